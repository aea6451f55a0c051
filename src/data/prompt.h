#pragma once
#include <string>
#include <string_view>

#include "microemo/data/manifest.h"

namespace microemo::data {

/// What a row says around the media tokens: "The clip:" before those of the whole clip, the header before those and the words of
/// an utterance.
inline constexpr std::string_view clip_header = "The clip:";
std::string time_text(double seconds);
std::string utterance_header(const Utterance& utterance);

}  // namespace microemo::data
