#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace microemo {

/// SHA-256 of bytes, 64 lower-case hexadecimal digits (equal to sha256sum).
std::string sha256(std::string_view bytes);

/// SHA-256 of a file's content, read in pieces. Throws Error(data) when it cannot be read.
std::string sha256_file(const std::filesystem::path& path);

/// Base64 of bytes in one line, with padding (RFC 4648).
std::string base64(std::string_view bytes);

}  // namespace microemo
