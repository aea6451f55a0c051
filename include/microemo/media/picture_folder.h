#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

// A folder of pictures with a frame rate is a clip: MediaInput::frame_rate.

namespace microemo::media {

inline constexpr double least_frame_rate = 0.001, most_frame_rate = 10'000;

/// Frames a second from text such as "25", "23.976" or "30000/1001"; nothing for what is no rate from least_frame_rate to
/// most_frame_rate. Pure.
std::optional<double> frame_rate_of(const std::string& text);

/// The pictures of a folder in the order in which a clip shows them: that of the one number in which their names differ, by its
/// value. PNG, JPEG, BMP, TIFF or WebP by the ending of the name, all of one kind; hidden files, Thumbs.db and desktop.ini are
/// left out. Reads no picture. Throws Error(data) naming the file: no folder, no picture in it, something else in it (another
/// kind of file, a folder, a pipe), two kinds of pictures, a name without a number, names that differ in more than a number, a
/// number twice (7.png and 07.png), a number that is missing.
std::vector<std::filesystem::path> picture_files(const std::filesystem::path& folder);

}  // namespace microemo::media
