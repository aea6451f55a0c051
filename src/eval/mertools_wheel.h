#pragma once
#include <filesystem>

#include "microemo/eval/wheel.h"
#include "microemo/eval/wheel_release.h"

namespace microemo::eval {

/// load_wheel for a folder of the MERTools wheels.
EmotionWheel load_mertools_wheel(const std::filesystem::path& folder);

/// The same as numbers.
ReleaseWheels load_mertools_classes(const std::filesystem::path& folder);

}  // namespace microemo::eval
