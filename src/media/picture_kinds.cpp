#include "picture_kinds.h"

#include <algorithm>
#include <array>
#include <utility>

namespace microemo::media {
namespace {

constexpr PictureKind png{"PNG", AV_CODEC_ID_PNG}, jpeg{"JPEG", AV_CODEC_ID_MJPEG}, bmp{"BMP", AV_CODEC_ID_BMP},
    tiff{"TIFF", AV_CODEC_ID_TIFF}, webp{"WebP", AV_CODEC_ID_WEBP};

constexpr std::array<std::pair<std::string_view, const PictureKind*>, 7> endings{
    {{".png", &png}, {".jpg", &jpeg}, {".jpeg", &jpeg}, {".bmp", &bmp}, {".tif", &tiff}, {".tiff", &tiff}, {".webp", &webp}}};

uint32_t little_endian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= uint32_t(uint8_t(bytes[at + i])) << (8 * i);
  return value;
}

/// Walks from marker to marker: only those stand behind a byte 0xff, in coded data too, where a real 0xff is followed by 0.
bool jpeg_ends(std::string_view bytes) {
  for (size_t at = 2; at + 2 <= bytes.size();) {
    const auto lead = uint8_t(bytes[at]), marker = uint8_t(bytes[at + 1]);
    if (lead != 0xff || marker == 0xff) {
      ++at;
    } else if (marker == 0xd9) {
      return true;
    } else if (marker <= 1 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
    } else {
      if (at + 4 > bytes.size()) return false;
      at += 2 + size_t(uint8_t(bytes[at + 2])) * 256 + uint8_t(bytes[at + 3]);
    }
  }
  return false;
}

}  // namespace

const PictureKind* picture_kind(const std::filesystem::path& file) {
  std::string ending = file.extension().string();
  std::ranges::transform(ending, ending.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  const auto found =
      std::ranges::find(endings, std::string_view(ending), &std::pair<std::string_view, const PictureKind*>::first);
  return found == endings.end() ? nullptr : found->second;
}

std::string picture_endings() {
  std::string text;
  for (const auto& [ending, kind] : endings) text += (text.empty() ? "" : ", ") + std::string(ending);
  return text;
}

bool begins_as(const PictureKind& kind, std::string_view bytes) {
  switch (kind.codec) {
    case AV_CODEC_ID_PNG:
      return bytes.starts_with("\x89PNG\r\n\x1a\n");
    case AV_CODEC_ID_MJPEG:
      return bytes.starts_with("\xff\xd8\xff");
    case AV_CODEC_ID_BMP:
      return bytes.starts_with("BM");
    case AV_CODEC_ID_TIFF:
      return bytes.starts_with(std::string_view("II*\0", 4)) || bytes.starts_with(std::string_view("MM\0*", 4));
    default:
      return bytes.size() > 12 && bytes.starts_with("RIFF") && bytes.substr(8, 4) == "WEBP";
  }
}

bool is_whole(const PictureKind& kind, std::string_view bytes) {
  if (kind.codec == AV_CODEC_ID_MJPEG) return jpeg_ends(bytes);
  // It would take the last rows to lack their padding.
  if (kind.codec == AV_CODEC_ID_BMP) return bytes.size() >= 6 && little_endian(bytes, 2) <= bytes.size();
  if (kind.codec == AV_CODEC_ID_WEBP) return size_t(little_endian(bytes, 4)) + 8 <= bytes.size();
  return true;
}

}  // namespace microemo::media
