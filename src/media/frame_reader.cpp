#include "microemo/media/frame_reader.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "microemo/base/error.h"
#include "video_decoder.h"

namespace microemo::media {

using namespace libav;

namespace {

/// What the packets of a stream tell.
struct Index {
  std::vector<IndexedFrame> frames;
  std::vector<EntryPoint> entries;  ///< ascending
  std::vector<PacketPlace> places;  ///< of all packets, ascending; empty for a folder of pictures
  bool jumps = false;               ///< the packets have all times, so that what follows a jump can be recognised
  double end_s = 0;
  std::optional<Damage> damage;
};

struct PacketFacts {
  int64_t pts = AV_NOPTS_VALUE, duration = 0, position = -1;
  bool key = false, shown = true;
};

struct Packets {
  std::vector<PacketFacts> facts;
  std::vector<PacketPlace> places;
  std::optional<Damage> damage;
};

Packets packets_of(MediaFile& file) {
  std::vector<PacketFacts> facts;
  if (file.pictures) {
    // Pictures need not be read to know their times.
    for (int64_t i = 0; i < file.pictures->count(); ++i) facts.push_back({.pts = i, .duration = 1, .key = true});
    return {std::move(facts), {}, std::nullopt};
  }
  PacketReader packets(file);
  const Packet packet = new_packet();
  while (packets.next(file.video_stream, *packet)) {
    facts.push_back({packet->pts, packet->duration, packet->pos, (packet->flags & AV_PKT_FLAG_KEY) != 0,
                     (packet->flags & AV_PKT_FLAG_DISCARD) == 0});
    av_packet_unref(packet.get());
  }
  if (!file.limits.partial) packets.check_complete();
  std::optional<Damage> damage = packets.damage(file.video_stream, packets.stream_end_s());
  std::vector<PacketPlace> places;
  for (const PacketFacts& one : facts) places.push_back({one.pts, one.position});
  std::ranges::sort(places, {}, &PacketPlace::pts);
  // As VideoReader ends: what is shown later follows frames that are missing.
  if (damage && packets.last_dts() != AV_NOPTS_VALUE)
    std::erase_if(facts, [&](const PacketFacts& one) { return one.pts > packets.last_dts(); });
  return {std::move(facts), std::move(places), std::move(damage)};
}

/// Where the last frame ends: its packet's duration, else that of the frame before.
double end_of(const MediaFile& file, const std::vector<IndexedFrame>& frames, int64_t last_duration) {
  if (frames.empty()) return 0;
  if (last_duration > 0) return file.seconds(file.video_stream, frames.back().pts + last_duration);
  const double before = frames.size() > 1 ? frames.back().seconds - frames[frames.size() - 2].seconds : 0;
  return frames.back().seconds + before;
}

/// Nothing when the packets do not have all times, or the same time twice, or begin before a key frame: what becomes of those,
/// and of later pictures that refer to what they left, is known to the decoder alone.
std::optional<Index> index_of_packets(const MediaFile& file, Packets read) {
  std::vector<PacketFacts>& packets = read.facts;
  Index index;
  index.jumps = true;
  index.damage = std::move(read.damage);
  index.places = std::move(read.places);
  if (packets.empty() || !packets.front().key) return std::nullopt;
  for (const PacketFacts& packet : packets) {
    if (packet.pts == AV_NOPTS_VALUE) return std::nullopt;
    if (packet.key) index.entries.push_back({packet.pts, packet.position});
  }
  // What is shown before the first key frame refers to pictures that are not in the file: decoders drop it.
  const int64_t first = index.entries.front().pts;
  std::erase_if(packets, [&](const PacketFacts& packet) { return !packet.shown || packet.pts < first; });
  std::ranges::sort(packets, {}, &PacketFacts::pts);
  if (std::ranges::adjacent_find(packets, {}, &PacketFacts::pts) != packets.end()) return std::nullopt;
  std::ranges::sort(index.entries, {}, &EntryPoint::pts);
  for (const PacketFacts& packet : packets)
    index.frames.push_back({packet.pts, file.seconds(file.video_stream, packet.pts), packet.key});
  index.end_s = end_of(file, index.frames, packets.empty() ? 0 : packets.back().duration);
  return index;
}

/// Decodes the file once.
Index index_of_frames(const MediaInput& input, VideoReader::Options options) {
  options.rgb = options.md5 = false;
  VideoDecoder decoder(input, options);
  Index index;
  int64_t duration = 0;
  while (decoder.receive()) {
    const VideoFrame frame = decoder.take(int64_t(index.frames.size()));
    index.frames.push_back({frame.pts, frame.seconds, frame.key});
    duration = decoder.last_duration;
  }
  decoder.check_end(int64_t(index.frames.size()));
  index.damage = decoder.damage;
  index.end_s = end_of(decoder.file, index.frames, duration);
  return index;
}

Error not_there(const std::filesystem::path& path, int64_t index, size_t count) {
  return DataError("there is no frame {}: the video has {}", index, count)
      .where(path)
      .hint(fmt::format("frames are counted from 0 to {}", int64_t(count) - 1));
}

}  // namespace

struct FrameReader::State {
  State(const MediaInput& media, const VideoReader::Options& reader_options) : options(reader_options), input(media) {
    auto opened = std::make_unique<VideoDecoder>(input, options);
    info = opened->file.info;
    std::optional<Index> packets = index_of_packets(opened->file, packets_of(opened->file));
    index = packets ? std::move(*packets) : index_of_frames(input, options);
    if (index.frames.empty()) throw truncated(opened->file, {0, "no picture could be decoded"});
    // What was opened to read the packets goes on as the decoder.
    if (index.jumps) decoder = with_places(std::move(opened));
  }

  VideoFrame frame(int64_t wanted);
  bool decode_to(int64_t wanted);
  bool shortens(size_t entry) const;
  size_t entry_before(int64_t pts) const;
  void restart();
  std::unique_ptr<VideoDecoder> with_places(std::unique_ptr<VideoDecoder> opened) const;

  VideoReader::Options options;
  MediaInput input;
  VideoInfo info;
  Index index;
  std::unique_ptr<VideoDecoder> decoder;
  int64_t at = -1;           ///< the frame in the decoder's hands; -1: none, decoding goes on from before the first
  bool known = false;        ///< `at` says where decoding stands
  bool trusts_jumps = true;  ///< no jump has led to other packets than those of the index
  int64_t decoded = 0;
};

std::unique_ptr<VideoDecoder> FrameReader::State::with_places(std::unique_ptr<VideoDecoder> opened) const {
  if (!index.places.empty()) opened->places = &index.places;
  return opened;
}

void FrameReader::State::restart() {
  decoder = std::make_unique<VideoDecoder>(input, options);
  at = -1;
  known = true;
}

/// The last entry point at or before a time.
size_t FrameReader::State::entry_before(int64_t pts) const {
  const auto behind = std::ranges::upper_bound(index.entries, pts, {}, &EntryPoint::pts);
  return behind == index.entries.begin() ? 0 : size_t(behind - index.entries.begin()) - 1;
}

/// Whether a jump decodes less than going on from the frame at hand. What the decoder holds back comes without a jump.
bool FrameReader::State::shortens(size_t entry) const {
  if (!index.jumps || !trusts_jumps) return false;
  const auto key = std::ranges::lower_bound(index.frames, index.entries[entry].pts, {}, &IndexedFrame::pts);
  const int64_t held = decoder->decoder->has_b_frames + 1;
  return key - index.frames.begin() > at + 1 + held;
}

/// Decodes forward until the wanted frame is in the decoder's hands; false when it was passed or the file ended.
bool FrameReader::State::decode_to(int64_t wanted) {
  const int64_t pts = index.frames[size_t(wanted)].pts;
  if (index.jumps) decoder->unwanted_before = pts;
  while (decoder->receive()) {
    ++decoded;
    if (decoder->strayed) {
      trusts_jumps = false;
      return false;
    }
    // Without times in the packets frames are counted.
    if (!index.jumps) {
      if (++at == wanted) return true;
      decoder->last_pts = decoder->timestamp(), decoder->last_duration = decoder->frame->pkt_duration;
      continue;
    }
    const int64_t time = decoder->timestamp();
    decoder->last_pts = time, decoder->last_duration = decoder->frame->pkt_duration;
    if (time > pts) return false;
    if (time == pts) {
      at = wanted;
      known = true;
      return true;
    }
  }
  return false;
}

VideoFrame FrameReader::State::frame(int64_t wanted) {
  const int64_t pts = index.frames[size_t(wanted)].pts;
  size_t entry = index.jumps && trusts_jumps ? entry_before(pts) : 0;
  const bool ahead = decoder && known && at < wanted;
  if (ahead && !shortens(entry)) {
    if (decode_to(wanted)) return decoder->take(wanted);
    known = false;
  }
  // From an entry point, an earlier one where the container lands too late, and from the start in the end.
  for (; entry > 0 && trusts_jumps; --entry) {
    if (!decoder) decoder = with_places(std::make_unique<VideoDecoder>(input, options));
    known = false;
    if (decoder->enter(index.entries[entry]) && decode_to(wanted) && decoder->frame->decode_error_flags == 0)
      return decoder->take(wanted);
  }
  known = false;
  if (decoder && index.jumps && trusts_jumps && decoder->enter(index.entries.front()) && decode_to(wanted) &&
      decoder->frame->decode_error_flags == 0)
    return decoder->take(wanted);
  restart();
  if (decode_to(wanted)) return decoder->take(wanted);
  const std::string bad = decoder->first_bad
                              ? fmt::format(": the decoder refuses packet {} at {:.3f} s ({})", decoder->first_bad->number,
                                            decoder->first_bad->seconds, decoder->first_bad->reason)
                              : std::string();
  throw DataError("frame {} at {:.3f} s cannot be decoded{}", wanted, index.frames[size_t(wanted)].seconds, bad)
      .where(input.path)
      .hint("copy or download the file again, or convert it with ffmpeg");
}

FrameReader::FrameReader(const MediaInput& input, const VideoReader::Options& options)
    : state_(std::make_unique<State>(input, options)) {}
FrameReader::~FrameReader() = default;
FrameReader::FrameReader(FrameReader&&) noexcept = default;

const VideoInfo& FrameReader::info() const { return state_->info; }
const std::vector<IndexedFrame>& FrameReader::frames() const { return state_->index.frames; }
double FrameReader::end_s() const { return state_->index.end_s; }
const std::optional<Damage>& FrameReader::damage() const { return state_->index.damage; }
int64_t FrameReader::decoded() const { return state_->decoded; }

int64_t FrameReader::shown_at(double seconds) const {
  const auto& frames = state_->index.frames;
  if (!(seconds >= 0) || seconds >= std::max(end_s(), frames.back().seconds + 1e-9))
    throw DataError("nothing is shown at {:.3f} s: the pictures end at {:.3f} s", seconds, end_s())
        .where(state_->input.path)
        .hint("give times from 0 up to that end");
  // Times come through decimal text: half a microsecond early is meant to be the frame.
  const auto behind = std::ranges::upper_bound(frames, seconds + 5e-7, {}, &IndexedFrame::seconds);
  return std::max<int64_t>(0, behind - frames.begin() - 1);
}

void FrameReader::read(const std::vector<int64_t>& indices, const std::function<void(const VideoFrame&)>& visit) {
  State& s = *state_;
  std::optional<VideoFrame> last;
  for (const int64_t wanted : indices) {
    if (wanted < 0 || wanted >= int64_t(frames().size())) throw not_there(s.input.path, wanted, frames().size());
    MICROEMO_CHECK(!last || last->index <= wanted, "frame {} is asked for behind frame {}", wanted, last->index);
    if (!last || last->index != wanted) last = s.frame(wanted);
    visit(*last);
  }
}

std::vector<VideoFrame> FrameReader::read(const std::vector<int64_t>& indices) {
  std::vector<size_t> order(indices.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return indices[i]; });
  std::vector<int64_t> ascending;
  for (const size_t i : order) ascending.push_back(indices[i]);
  std::vector<VideoFrame> frames(indices.size());
  size_t next = 0;
  read(ascending, [&](const VideoFrame& frame) { frames[order[next++]] = frame; });
  return frames;
}

std::optional<int64_t> announced_frames(const MediaInput& input, const ReadLimits& limits) {
  ReadLimits any_end = limits;
  any_end.partial = true;
  MediaFile file = open_media(input, any_end);
  if (!file.info.has_video) return std::nullopt;
  const std::optional<Index> index = index_of_packets(file, packets_of(file));
  return index ? std::optional(int64_t(index->frames.size())) : std::nullopt;
}

std::vector<int64_t> uniform_frames(int64_t total, int64_t count) {
  std::vector<int64_t> frames;
  const int64_t taken = std::min(count, total);
  for (int64_t i = 0; i < taken; ++i) frames.push_back(i * total / taken);
  return frames;
}

std::vector<int64_t> timechat_frames(int64_t total, int64_t count) {
  std::vector<int64_t> frames;
  const int64_t taken = std::min(count, total);
  const double step = double(total) / double(taken);
  for (int64_t i = 0; i < taken; ++i) frames.push_back(int64_t(double(i) * step));
  return frames;
}

std::vector<int64_t> middle_frames(int64_t total, int64_t count) {
  std::vector<int64_t> frames;
  const int64_t taken = std::min(count, total);
  for (int64_t i = 0; i < taken; ++i) frames.push_back((2 * i + 1) * total / (2 * taken));
  return frames;
}

std::vector<int64_t> frames_at_rate(const std::vector<IndexedFrame>& frames, double end_s, double rate) {
  constexpr double rounding_s = 1e-6;
  std::vector<int64_t> taken;
  size_t shown = 0;
  for (int64_t k = 0; !frames.empty(); ++k) {
    const double due_s = frames.front().seconds + double(k) / rate;
    if (due_s >= end_s - rounding_s) break;
    while (shown + 1 < frames.size() && frames[shown + 1].seconds <= due_s + rounding_s) ++shown;
    if (taken.empty() || taken.back() != int64_t(shown)) taken.push_back(int64_t(shown));
  }
  return taken;
}

}  // namespace microemo::media
