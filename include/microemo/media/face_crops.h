#pragma once
#include <filesystem>
#include <vector>

#include "microemo/media/image.h"

namespace microemo::media {

/// Writes crops as MERTools keeps those of OpenFace: one .npy of uint8 [T, size, size, 3] in the order blue, green, red, T the
/// number of frames; atomically. `crops` are RGB of size x size, or empty pictures, which become black. The file holds no times.
/// Throws Error(config) for a name that does not end in ".npy", Error(internal) for a picture of another size.
void write_face_crops(const std::filesystem::path& path, const std::vector<Image>& crops, int size);
/// Throws as write_face_crops does for a name. For checks before long work.
void check_crops_name(const std::filesystem::path& path);

/// Reads such a file, RGB; a crop that is black throughout is an empty picture: a frame without a face. Throws Error(data),
/// naming file and array: not an .npy, another type than uint8, another shape than [T, S, S, 3], no crop, S below 16 or over
/// 1024.
std::vector<Image> read_face_crops(const std::filesystem::path& path);

}  // namespace microemo::media
