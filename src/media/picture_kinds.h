#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "libav.h"

namespace microemo::media {

/// A format of pictures that a folder may hold.
struct PictureKind {
  const char* name;
  AVCodecID codec;
};

/// By the ending of a file's name; null for what is no picture.
const PictureKind* picture_kind(const std::filesystem::path& file);
/// ".png, .jpg, …" for messages.
std::string picture_endings();

/// Whether the content begins as one of this kind does.
bool begins_as(const PictureKind& kind, std::string_view bytes);
/// Whether the content of a file that begins so goes on to the end that it tells of. Looks only where libav's decoder would not
/// see the loss: that of JPEG makes an end up.
bool is_whole(const PictureKind& kind, std::string_view bytes);

}  // namespace microemo::media
