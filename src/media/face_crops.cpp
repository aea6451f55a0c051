#include "microemo/media/face_crops.h"

#include <algorithm>

#include "microemo/base/error.h"
#include "microemo/formats/npy.h"

namespace microemo::media {
namespace {

constexpr int64_t smallest_side = 16, largest_side = 1024;

/// Red and blue change places.
void copy_swapped(const uint8_t* from, size_t pixels, uint8_t* to) {
  for (size_t i = 0; i < pixels; ++i) {
    to[3 * i] = from[3 * i + 2];
    to[3 * i + 1] = from[3 * i + 1];
    to[3 * i + 2] = from[3 * i];
  }
}

void check_array(const formats::NpyArray& array, const std::filesystem::path& path) {
  const auto refuse = [&](const std::string& why) {
    return DataError("these are no face crops: {}, which is {}", why, array.describe())
        .where(path)
        .hint(
            "give uint8 [frames, side, side, 3] in the order blue, green, red, as MERTools and microemo media faces --crops "
            "write");
  };
  if (array.kind != formats::NpyKind::unsigned_integer || array.item_bytes != 1) throw refuse("the array does not hold bytes");
  const auto& shape = array.shape;
  if (shape.size() != 4 || shape[1] != shape[2] || shape[3] != 3) throw refuse("the array has another shape");
  if (shape[0] == 0) throw refuse("the array is empty");
  if (shape[1] < smallest_side || shape[1] > largest_side)
    throw refuse(fmt::format("the side is not in {} to {}", smallest_side, largest_side));
}

}  // namespace

void check_crops_name(const std::filesystem::path& path) {
  if (path.extension() != ".npy")
    throw ConfigError("face crops are written as .npy").where(path).hint("give a name that ends in .npy");
}

void write_face_crops(const std::filesystem::path& path, const std::vector<Image>& crops, int size) {
  check_crops_name(path);
  const size_t pixels = size_t(size) * size_t(size);
  formats::NpyArray array;
  array.kind = formats::NpyKind::unsigned_integer;
  array.item_bytes = 1;
  array.shape = {int64_t(crops.size()), size, size, 3};
  array.bytes.resize(crops.size() * pixels * 3);
  for (size_t i = 0; i < crops.size(); ++i) {
    const Image& crop = crops[i];
    if (crop.pixels.empty()) continue;
    MICROEMO_CHECK(crop.width == size && crop.height == size && crop.channels == 3, "a crop of {} x {} x {} among those of {}",
                   crop.width, crop.height, crop.channels, size);
    copy_swapped(crop.pixels.data(), pixels, reinterpret_cast<uint8_t*>(array.bytes.data()) + i * pixels * 3);
  }
  formats::write_npy(path, array);
}

std::vector<Image> read_face_crops(const std::filesystem::path& path) {
  const formats::NpyArray array = formats::read_npy(path);
  check_array(array, path);
  const int side = int(array.shape[1]);
  const size_t bytes = size_t(side) * size_t(side) * 3;
  std::vector<Image> crops(size_t(array.shape[0]));
  for (size_t i = 0; i < crops.size(); ++i) {
    const auto* const from = reinterpret_cast<const uint8_t*>(array.bytes.data()) + i * bytes;
    if (std::all_of(from, from + bytes, [](uint8_t value) { return value == 0; })) continue;
    crops[i] = {side, side, 3, std::vector<uint8_t>(bytes)};
    copy_swapped(from, bytes / 3, crops[i].pixels.data());
  }
  return crops;
}

}  // namespace microemo::media
