#pragma once
#include <filesystem>

#include "microemo/eval/wheel.h"

namespace microemo::eval {

/// load_wheel for a folder of the MERTools wheels.
EmotionWheel load_mertools_wheel(const std::filesystem::path& folder);

}  // namespace microemo::eval
