#include "media_file.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string_view>
#include <vector>

#include <fmt/ranges.h>

extern "C" {
#include <libavutil/avstring.h>
}

#include "header_facts.h"
#include "in_call.h"
#include "microemo/base/error.h"

namespace microemo::media {

using namespace libav;

namespace {

// Playlists and concatenations name other files, which protocol_whitelist=file would let them open; they are not on this list.
constexpr char formats[] =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,wav,w64,mp3,flac,ogg,aac,ac3,aiff,caf,amr";

std::string first_bytes(const MediaInput& input) {
  constexpr size_t most = 4096;
  if (input.bytes) return input.bytes->substr(0, most);
  std::string bytes(most, '\0');
  std::ifstream stream(input.path, std::ios::binary);
  stream.read(bytes.data(), std::streamsize(bytes.size()));
  bytes.resize(size_t(stream.gcount()));
  return bytes;
}

bool is_text(const std::string& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return uint8_t(c) >= 32 || c == '\n' || c == '\r' || c == '\t'; });
}

void check_regular(const std::filesystem::path& path) {
  std::error_code code;
  const auto status = std::filesystem::status(path, code);
  if (status.type() == std::filesystem::file_type::not_found)
    throw DataError("there is no such file").where(path).hint("check the path");
  if (code)
    throw DataError("the file cannot be opened: {}", code.message()).where(path).hint("check its name, links and permissions");
  if (std::filesystem::is_directory(status))
    throw DataError("this is a folder, not a media file")
        .where(path)
        .hint(
            "name a file in it; to read its pictures as a clip give their frame rate with --frame-rate, or in a manifest as "
            "\"frame_rate\"");
  if (!std::filesystem::is_regular_file(status))
    throw DataError("this is not a regular file").where(path).hint("copy its content to a file");
  if (std::filesystem::file_size(path, code) == 0 && !code)
    throw DataError("the file is empty").where(path).hint("copy or download it again");
}

/// The format that libav takes the bytes for, whether it is one that is read or not; null where it has no idea.
const AVInputFormat* guessed_format(std::string bytes) {
  const auto size = int(bytes.size());
  bytes.append(AVPROBE_PADDING_SIZE, '\0');
  const AVProbeData data{
      .filename = "", .buf = reinterpret_cast<unsigned char*>(bytes.data()), .buf_size = size, .mime_type = nullptr};
  int score = 0;
  const AVInputFormat* guess = av_probe_input_format3(&data, 1, &score);
  return score > AVPROBE_SCORE_RETRY ? guess : nullptr;
}

Error unreadable(const MediaInput& input, int code, const ReadLimits& limits) {
  const std::filesystem::path& path = input.path;
  if (code == AVERROR_EXIT) return stalled(path, limits);
  if (code == AVERROR(ENOMEM))
    return DataError("it has more streams than the limit max_streams = {}, or needs more memory than there is",
                     limits.max_streams)
        .where(path)
        .hint("keep the streams that are needed, for instance with ffmpeg -map");
  const std::string head = first_bytes(input);
  if (is_text(head))
    return DataError("this is text, not a media file").where(path).hint("give the video itself; playlists are not followed");
  if (head.size() > 8 && head.compare(4, 4, "ftyp") == 0)
    return DataError("the MP4 file is truncated or damaged: its index cannot be read ({})", reason(code))
        .where(path)
        .hint("copy or download it again, or record it again to the end");
  const AVInputFormat* format = guessed_format(head);
  if (format && av_match_list(format->name, formats, ',') == 0)
    return DataError("its format is not one that is read: {}", format->long_name)
        .where(path)
        .hint("convert it to MP4 or MKV, for instance with ffmpeg");
  return DataError("this is not a media file that can be read ({})", reason(code))
      .where(path)
      .hint("convert it to MP4 or MKV, for instance with ffmpeg");
}

int asks_to_end(void* watch) { return static_cast<const Watch*>(watch)->stalled() ? 1 : 0; }

void open_input(MediaFile& file, const MediaInput& input) {
  AVFormatContext* context = allocated(avformat_alloc_context());
  context->max_streams = int(file.limits.max_streams);
  context->probesize = int64_t(file.limits.probe_mb * 1e6);
  context->max_analyze_duration = int64_t(file.limits.probe_seconds * AV_TIME_BASE);
  context->interrupt_callback = {asks_to_end, file.watch.get()};
  if (file.memory) context->pb = file.memory->context();
  AVDictionary* options = nullptr;
  av_dict_set(&options, "format_whitelist", formats, 0);
  av_dict_set(&options, "protocol_whitelist", "file", 0);
  // The prefix keeps a name such as "http:x" from being taken for an address.
  const std::string name = file.memory ? std::string() : "file:" + input.path.string();
  const int code = in_call([&] { return avformat_open_input(&context, name.c_str(), nullptr, &options); });
  av_dict_free(&options);
  if (code < 0) throw unreadable(input, code, file.limits);
  file.format.reset(context);
}

void check_pixels(const AVFormatContext& format, const ReadLimits& limits, const std::filesystem::path& path) {
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    const AVCodecParameters& codec = *format.streams[i]->codecpar;
    if (codec.codec_type == AVMEDIA_TYPE_VIDEO && int64_t(codec.width) * codec.height > limits.max_pixels)
      throw DataError("its pictures have {} x {} pixels, over the limit max_pixels = {}", codec.width, codec.height,
                      limits.max_pixels)
          .where(path)
          .hint("scale the video down");
  }
}

/// What libav is told in place of max_pixels. It counts a picture filled up to whole blocks, so that one of just so many pixels
/// would be refused; check_pixels is exact, and no picture may be larger than the header of its stream says.
int64_t pixels_with_blocks(const AVCodecParameters& codec, const ReadLimits& limits) {
  constexpr int64_t block = 128;
  const auto filled = [](int64_t side) { return (side + block - 1) / block * block; };
  return std::max(limits.max_pixels + block * block, filled(codec.width) * filled(codec.height));
}

/// libav decodes some frames here to learn about the streams, so the limits hold for it too.
void find_streams(AVFormatContext& format, const ReadLimits& limits, const MediaInput& input) {
  std::vector<AVDictionary*> options(format.nb_streams);
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    av_dict_set_int(&options[i], "max_pixels", pixels_with_blocks(*format.streams[i]->codecpar, limits), 0);
    av_dict_set(&options[i], "threads", "1", 0);
  }
  const int code = in_call([&] { return avformat_find_stream_info(&format, options.data()); });
  for (AVDictionary*& option : options) av_dict_free(&option);
  if (code < 0) throw unreadable(input, code, limits);
}

bool is_moving_picture(const AVStream& stream) {
  return stream.codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !(stream.disposition & AV_DISPOSITION_ATTACHED_PIC) &&
         stream.codecpar->width > 0;
}

int best_video(const AVFormatContext& format) {
  int best = -1;
  for (int i = 0; i < int(format.nb_streams); ++i) {
    if (!is_moving_picture(*format.streams[i])) continue;
    if (format.streams[i]->disposition & AV_DISPOSITION_DEFAULT) return i;
    if (best < 0) best = i;
  }
  return best;
}

int best_audio(AVFormatContext& format) {
  const int index = av_find_best_stream(&format, AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  return index >= 0 && format.streams[index]->codecpar->sample_rate > 0 ? index : -1;
}

/// The stream that was asked for. Throws Error(data) when it is none of that kind.
int chosen_stream(const AVFormatContext& format, int wanted, AVMediaType kind, const std::filesystem::path& path) {
  const char* name = kind == AVMEDIA_TYPE_VIDEO ? "video" : "sound";
  std::vector<int> there;
  for (int i = 0; i < int(format.nb_streams); ++i) {
    const AVStream& stream = *format.streams[i];
    const bool fits = kind == AVMEDIA_TYPE_VIDEO ? is_moving_picture(stream)
                                                 : stream.codecpar->codec_type == kind && stream.codecpar->sample_rate > 0;
    if (fits) there.push_back(i);
  }
  if (std::find(there.begin(), there.end(), wanted) != there.end()) return wanted;
  throw DataError("stream {} is no {} stream", wanted, name)
      .where(path)
      .hint(there.empty() ? fmt::format("the file has no {} stream", name)
                          : fmt::format("{} streams: {}", name, fmt::join(there, ", ")));
}

double earliest_start(const AVFormatContext& format) {
  double earliest = std::numeric_limits<double>::infinity();
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    const AVStream& stream = *format.streams[i];
    const bool counts = is_moving_picture(stream) || stream.codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
    if (counts && stream.start_time != AV_NOPTS_VALUE)
      earliest = std::min(earliest, double(stream.start_time) * av_q2d(stream.time_base));
  }
  return std::isinf(earliest) ? 0 : earliest;
}

bool is_avi(const AVFormatContext& format) { return std::string_view(format.iformat->name) == "avi"; }

VideoInfo info_of(const MediaFile& file) {
  const AVFormatContext& format = *file.format;
  VideoInfo info;
  info.video_stream = file.video_stream;
  info.audio_stream = file.audio_stream;
  info.streams = int(format.nb_streams);
  info.container = format.iformat->name;
  info.start_s = earliest_start(format);
  const bool is_guess = format.duration_estimation_method == AVFMT_DURATION_FROM_BITRATE;
  if (format.duration != AV_NOPTS_VALUE && !is_guess) info.duration_s = std::max(0.0, double(format.duration) / AV_TIME_BASE);
  if (is_avi(format))
    for (const int index : {file.video_stream, file.audio_stream})
      if (index >= 0 && claimed_duration(format, file.stream(index)) != AV_NOPTS_VALUE)
        info.duration_s = std::max(info.duration_s,
                                   double(claimed_duration(format, file.stream(index))) * av_q2d(file.stream(index).time_base));
  info.has_video = file.video_stream >= 0;
  info.has_audio = file.audio_stream >= 0;
  if (info.has_audio) info.audio_codec = avcodec_get_name(file.stream(file.audio_stream).codecpar->codec_id);
  const AVStream& clock = file.stream(info.has_video ? file.video_stream : file.audio_stream);
  info.time_base_num = clock.time_base.num;
  info.time_base_den = clock.time_base.den;
  if (!info.has_video) return info;
  info.video_codec = avcodec_get_name(clock.codecpar->codec_id);
  info.rotation =
      clockwise_rotation(reinterpret_cast<const int32_t*>(av_stream_get_side_data(&clock, AV_PKT_DATA_DISPLAYMATRIX, nullptr)));
  info.width = clock.codecpar->width;
  info.height = clock.codecpar->height;
  if (info.rotation % 180 != 0) std::swap(info.width, info.height);
  return info;
}

MediaFile open_container(const MediaInput& input, const ReadLimits& limits) {
  silence();
  if (!input.bytes) check_regular(input.path);
  if (input.bytes && input.bytes->empty()) throw DataError("there are no bytes to read").where(input.path);
  MediaFile file{.watch = std::make_unique<Watch>(limits.stall_seconds),
                 .memory = input.bytes ? std::make_unique<MemoryInput>(input.bytes) : nullptr,
                 .pictures = nullptr,
                 .format = nullptr,
                 .path = input.path,
                 .limits = limits,
                 .info = {}};
  open_input(file, input);
  check_pixels(*file.format, limits, input.path);
  return file;
}

void choose_streams(MediaFile& file, const MediaInput& input) {
  file.video_stream = input.video_stream < 0 ? best_video(*file.format)
                                             : chosen_stream(*file.format, input.video_stream, AVMEDIA_TYPE_VIDEO, file.path);
  file.audio_stream = input.audio_stream < 0 ? best_audio(*file.format)
                                             : chosen_stream(*file.format, input.audio_stream, AVMEDIA_TYPE_AUDIO, file.path);
  if (file.video_stream < 0 && file.audio_stream < 0)
    throw DataError("the file holds neither a video nor a sound stream that can be read")
        .where(file.path)
        .hint("look at it with ffprobe; it may be truncated or damaged");
  file.info = info_of(file);
}

}  // namespace

int64_t claimed_duration(const AVFormatContext& format, const AVStream& stream) {
  if (format.duration_estimation_method != AVFMT_DURATION_FROM_STREAM) return AV_NOPTS_VALUE;
  // Where bytes are missing, libav takes the same share of the length away; the number of frames stays.
  const bool is_shortened = is_avi(format) && stream.duration != AV_NOPTS_VALUE && stream.nb_frames > stream.duration;
  return is_shortened ? stream.nb_frames : stream.duration;
}

Error stalled(const std::filesystem::path& path, const ReadLimits& limits) {
  return DataError("nothing could be read or decoded for {:.0f} s: the file is taken to hang, by the limit stall_seconds",
                   limits.stall_seconds)
      .where(path)
      .hint("look at the disk or network that it lies on, or convert it with ffmpeg");
}

MediaFile open_media(const MediaInput& input, const ReadLimits& limits) {
  if (input.frame_rate != 0) return open_picture_folder(input, limits);
  MediaFile file = open_container(input, limits);
  find_streams(*file.format, limits, input);
  check_pixels(*file.format, limits, input.path);
  choose_streams(file, input);
  return file;
}

MediaFile open_pictures(const MediaInput& input, const ReadLimits& limits) {
  if (input.frame_rate != 0) return open_picture_folder(input, limits);
  MediaFile file = open_container(input, limits);
  const int wanted = input.video_stream < 0 ? best_video(*file.format) : input.video_stream;
  if (wanted >= int(file.format->nb_streams) || !header_tells(file, wanted)) return open_media(input, limits);
  choose_streams(file, input);
  return file;
}

CodecContext open_decoder(const MediaFile& file, int stream_index) {
  const AVStream& stream = file.stream(stream_index);
  const auto refuse = [&](const std::string& why) {
    return DataError("its {} stream cannot be decoded: {}", avcodec_get_name(stream.codecpar->codec_id), why)
        .where(file.path)
        .hint("convert it to H.264 and AAC, for instance with ffmpeg");
  };
  const AVCodec* codec = avcodec_find_decoder(stream.codecpar->codec_id);
  if (!codec) throw refuse("there is no decoder for it");
  CodecContext decoder(allocated(avcodec_alloc_context3(codec)));
  int code = avcodec_parameters_to_context(decoder.get(), stream.codecpar);
  decoder->thread_count = 1;
  decoder->max_pixels = pixels_with_blocks(*stream.codecpar, file.limits);
  decoder->pkt_timebase = stream.time_base;
  if (file.pictures) file.pictures->guard(*decoder);
  if (code >= 0) code = avcodec_open2(decoder.get(), codec, nullptr);
  if (code < 0) throw refuse(reason(code));
  return decoder;
}

void PacketReader::note(const AVPacket& packet, int stream_index) {
  const int64_t begin = packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts;
  if (begin == AV_NOPTS_VALUE) return;
  const double end = file_.seconds(packet.stream_index, begin + std::max<int64_t>(packet.duration, 0));
  end_s_ = std::max(end_s_, end);
  if (packet.stream_index != stream_index) return;
  stream_end_s_ = std::max(stream_end_s_, end);
  last_dts_ = packet.dts;
}

bool PacketReader::is_cut(const AVPacket& packet) const {
  return file_.limits.partial && (packet.flags & AV_PKT_FLAG_CORRUPT) && file_.format->pb->eof_reached && damage();
}

int PacketReader::read_next(AVPacket& packet) {
  if (file_.pictures) return file_.pictures->next(packet);
  if (file_.read_ahead.empty()) return in_call([&] { return av_read_frame(file_.format.get(), &packet); });
  av_packet_move_ref(&packet, file_.read_ahead.front().get());
  file_.read_ahead.pop_front();
  return 0;
}

bool PacketReader::next(int stream_index, AVPacket& packet) {
  for (;;) {
    const int code = read_next(packet);
    if (code == AVERROR_EXIT) throw stalled(file_.path, file_.limits);
    file_.watch->passed();
    if (code < 0) {
      failure_ = code == AVERROR_EOF ? 0 : code;
      return false;
    }
    const bool is_whole = !is_cut(packet);
    if (is_whole) note(packet, stream_index);
    if (is_whole && packet.stream_index == stream_index) {
      ++count_;
      return true;
    }
    av_packet_unref(&packet);
  }
}

std::optional<Damage> PacketReader::damage() const {
  if (failure_ != 0) return Damage{end_s_, reason(failure_)};
  // Some containers count the duration from their first packet, others from time zero.
  const double latest_end_s = end_s_ + std::max(0.0, file_.info.start_s);
  if (latest_end_s + end_tolerance_s >= file_.info.duration_s) return std::nullopt;
  return Damage{end_s_, fmt::format("the container announces {:.3f} s", file_.info.duration_s)};
}

/// Whether the stream had come to its own end where the file breaks off.
bool PacketReader::has_ended(int stream_index) const {
  const AVStream& stream = file_.stream(stream_index);
  const int64_t claimed = claimed_duration(*file_.format, stream);
  if (claimed != AV_NOPTS_VALUE && stream.start_time != AV_NOPTS_VALUE)
    return stream_end_s_ + end_tolerance_s >= file_.seconds(stream_index, stream.start_time + claimed);
  // Files that say nothing of a stream's length hold all streams side by side.
  constexpr double interleaving_s = 1;
  return stream_end_s_ + interleaving_s < end_s_;
}

std::optional<Damage> PacketReader::damage(int stream_index, double reached_s) const {
  std::optional<Damage> found = damage();
  const bool all_is_here = has_ended(stream_index) && reached_s + end_tolerance_s >= stream_end_s_;
  if (found && !all_is_here) found->until_s = reached_s;
  return found;
}

void PacketReader::check_complete() const {
  if (const auto found = damage()) throw truncated(file_, *found);
}

Error truncated(const MediaFile& file, const Damage& damage) {
  return DataError("the file is truncated or damaged: it can be read up to {:.3f} s only ({})", damage.until_s, damage.reason)
      .where(file.path)
      .hint("copy or download it again, or use what is there: --partial, for prepare prepare.partial=allow");
}

}  // namespace microemo::media
