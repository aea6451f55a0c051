#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "microemo/base/error.h"

namespace microemo::data {

/// Why clips were skipped: how many, by reason.
using SkipCounts = std::map<std::string, int64_t>;

/// A stable name for what is wrong with a clip, for counts and scripts: missing, unreadable, not_a_file, empty, not_media,
/// truncated, bad_pictures, no_stream, no_sound, over_limit, not_decodable, size_changes, utterance_outside, no_video,
/// over_memory, hang; "other" for what has no name. Pure.
std::string skip_reason(const Error& error);
/// What a user can do about clips that were skipped for this reason, in the form of Error::hint. Pure.
std::string skip_advice(const std::string& reason);

/// "truncated 12, missing 3": the commonest first, at most `most` of them, "others N" for the rest.
std::string skip_text(const SkipCounts& counts, size_t most = 4);
/// The name of the commonest reason; of equals the first in the alphabet. Empty without any.
std::string commonest_reason(const SkipCounts& counts);

}  // namespace microemo::data
