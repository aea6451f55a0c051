#include "prepare_reasons.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/ranges.h>

namespace microemo::data {
namespace {

/// A reason is told by a part of the message; the first that fits holds. tests/data/prepare_reasons_test.cpp makes clips of each.
struct Reason {
  std::string_view name, part, advice;
};

constexpr std::string_view copy_again = "copy or download these videos again";
constexpr std::array reasons{
    Reason{"hang", "taken to hang", "convert these videos with ffmpeg, or take them out of the manifest"},
    Reason{"over_memory", "of memory", "allow more with --memory, or lower prepare.frame_rate, prepare.face_rate or their sizes"},
    Reason{"utterance_outside", "after the clip (", "correct the times in the manifest or transcripts, or name the right videos"},
    Reason{"no_video", "has no video, so", "keep clips of words alone in a manifest of their own"},
    Reason{"missing", "there is no such file", "correct the paths in the manifest, or copy the videos there"},
    Reason{"missing", "No such file", "correct the paths in the manifest, or copy the videos there"},
    Reason{"empty", "the file is empty", copy_again},
    Reason{"truncated", "truncated or damaged",
           "copy or download these videos again, or use what is there with prepare.partial=allow"},
    Reason{"bad_pictures", "the folder of pictures",
           "number the pictures of each folder without gaps, and keep nothing else in it"},
    Reason{"not_media", "not a media file", "give the videos themselves; a download may have left an error page in their place"},
    Reason{"not_a_file", "this is a folder", "name the files in the manifest"},
    Reason{"not_a_file", "not a regular file", "name the files in the manifest"},
    Reason{"no_stream", "holds neither", "look at these files with ffprobe; they may be damaged"},
    Reason{"no_sound", "no sound stream", "give videos with sound"},
    Reason{"over_limit", "over the limit", "scale these videos down, or cut them into parts"},
    Reason{"over_limit", "longer than the limit", "cut these videos into parts"},
    Reason{"size_changes", "the picture size changes", "scale these videos to one size, for instance with ffmpeg"},
    Reason{"not_decodable", "its format is not one", "convert these videos to H.264 and AAC, for instance with ffmpeg"},
    Reason{"not_decodable", "cannot be decoded", "convert these videos to H.264 and AAC, for instance with ffmpeg"},
    Reason{"not_decodable", "cannot be resampled", "convert the sound of these videos to AAC, for instance with ffmpeg"},
    Reason{"not_decodable", "cannot be converted to RGB", "convert these videos to H.264 and AAC, for instance with ffmpeg"},
    Reason{"unreadable", "the file cannot be", "check the permissions of these files, and the disk"}};

/// The commonest first.
std::vector<std::pair<std::string, int64_t>> ordered(const SkipCounts& counts) {
  std::vector<std::pair<std::string, int64_t>> list(counts.begin(), counts.end());
  std::ranges::stable_sort(list, std::greater{}, &std::pair<std::string, int64_t>::second);
  return list;
}

}  // namespace

std::string skip_reason(const Error& error) {
  const auto found =
      std::ranges::find_if(reasons, [&](const Reason& reason) { return error.message().find(reason.part) != std::string::npos; });
  return found == reasons.end() ? "other" : std::string(found->name);
}

std::string skip_advice(const std::string& reason) {
  const auto found = std::ranges::find(reasons, reason, &Reason::name);
  return found == reasons.end() ? "mend these clips as the list says" : std::string(found->advice);
}

std::string skip_text(const SkipCounts& counts, size_t most) {
  const auto list = ordered(counts);
  std::vector<std::string> parts;
  int64_t others = 0;
  for (size_t i = 0; i < list.size(); ++i)
    if (i < most)
      parts.push_back(fmt::format("{} {}", list[i].first, list[i].second));
    else
      others += list[i].second;
  if (others > 0) parts.push_back(fmt::format("others {}", others));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string commonest_reason(const SkipCounts& counts) {
  const auto list = ordered(counts);
  return list.empty() ? "" : list.front().first;
}

}  // namespace microemo::data
