#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace microemo::media {

/// Interleaved 8-bit picture, rows without padding: channels 3 is RGB (never BGR), 1 is grey.
struct Image {
  int width = 0, height = 0, channels = 3;
  std::vector<uint8_t> pixels;  ///< height * width * channels

  uint8_t* row(int y) { return pixels.data() + size_t(y) * width * channels; }
  const uint8_t* row(int y) const { return pixels.data() + size_t(y) * width * channels; }
};

struct Point {
  double x = 0, y = 0;
};

/// Reads a JPEG, PNG or any still picture libavcodec knows, as RGB. Throws Error(data).
Image read_image(const std::filesystem::path& path);
/// Throws Error(config) for a name that does not end in ".png": a picture is what its name says. For checks before long work.
void check_png_name(const std::filesystem::path& path);
/// A PNG's bytes.
std::string png_bytes(const Image& image);
/// Writes a PNG, atomically. Throws as check_png_name does.
void write_png(const std::filesystem::path& path, const Image& image);

/// Area interpolation when shrinking, linear when growing; the aspect ratio is the caller's business.
Image resize(const Image& image, int width, int height);
Image to_gray(const Image& image);

/// Drawing for contact sheets and timelines; coordinates in pixels, clipped at the border. text_drawing.h has the letters.
struct Color {
  uint8_t red = 0, green = 0, blue = 0;
};
void draw_box(Image& image, double left, double top, double right, double bottom, Color color, int thickness = 1);
void fill_box(Image& image, double left, double top, double right, double bottom, Color color);
void draw_line(Image& image, Point from, Point to, Color color, int thickness = 1);
void draw_dot(Image& image, Point center, int radius, Color color);
/// Copies `patch` into `image` with its top left corner at (left, top); clipped.
void paste(Image& image, const Image& patch, int left, int top);

/// Lays pictures out in rows of `columns` with a caption under each, shortened where it is wider than the cell; all cells are as
/// large as the largest picture, which stand in their middle.
struct Cell {
  Image picture;
  std::string caption;
};
Image contact_sheet(const std::vector<Cell>& cells, int columns);

}  // namespace microemo::media
