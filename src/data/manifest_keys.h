#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "microemo/base/json.h"

namespace microemo::data {

inline constexpr std::array<std::string_view, 9> clip_keys = {"id",     "video",      "split",      "identity", "speaker",
                                                              "labels", "transcript", "utterances", "movements"};
inline constexpr std::array<std::string_view, 10> utterance_keys = {"start_s", "end_s",    "text", "speaker", "labels",
                                                                    "answer",  "question", "face", "voice",   "words"};
inline constexpr std::array<std::string_view, 6> movement_keys = {"unit",     "onset_s",   "apex_s",
                                                                  "offset_s", "amplitude", "utterance"};

/// Throws Error(data) with the nearest name when `object` ("a clip") is no JSON object or has a key that is not in `known`.
void refuse_unknown_keys(const Json& object, std::span<const std::string_view> known, std::string_view what,
                         const std::filesystem::path& file, int64_t line);

}  // namespace microemo::data
