#include "microemo/media/image.h"

#include <algorithm>

#include <opencv2/core.hpp>
#include <opencv2/core/utility.hpp>
#include <opencv2/imgproc.hpp>

#include "matrix.h"
#include "microemo/base/error.h"
#include "microemo/media/text_drawing.h"

namespace microemo::media {
namespace {

// Sub-pixel bits of OpenCV's drawing functions: coordinates are given in sixteenths.
constexpr int fraction_bits = 4;

cv::Point fixed_point(Point p) { return {cvRound(p.x * (1 << fraction_bits)), cvRound(p.y * (1 << fraction_bits))}; }

cv::Scalar scalar(const Image& image, Color color) {
  if (image.channels == 3) return {double(color.red), double(color.green), double(color.blue)};
  return cv::Scalar((color.red * 299 + color.green * 587 + color.blue * 114) / 1000);
}

Image to_rgb(const Image& gray) {
  Image result = blank(gray.width, gray.height, 3);
  cv::Mat target = matrix(result);
  cv::cvtColor(matrix(gray), target, cv::COLOR_GRAY2RGB);
  return result;
}

constexpr int caption_height = 22, caption_baseline = 16, caption_size = 14;
constexpr int gap = 8;
constexpr Color sheet_ground{24, 24, 24}, caption_ink{230, 230, 230};

}  // namespace

cv::Mat matrix(Image& image) {
  static const bool single_threaded = (cv::setNumThreads(0), true);
  (void)single_threaded;
  MICROEMO_CHECK(image.pixels.size() == size_t(image.width) * image.height * image.channels,
                 "an image of {} x {} x {} holds {} bytes", image.width, image.height, image.channels, image.pixels.size());
  return cv::Mat(image.height, image.width, CV_8UC(image.channels), image.pixels.data());
}

const cv::Mat matrix(const Image& image) { return matrix(const_cast<Image&>(image)); }

Image blank(int width, int height, int channels) {
  return {width, height, channels, std::vector<uint8_t>(size_t(width) * height * channels)};
}

Image resize(const Image& image, int width, int height) {
  MICROEMO_CHECK(width > 0 && height > 0 && image.width > 0, "cannot resize to {} x {}", width, height);
  if (width == image.width && height == image.height) return image;
  Image result = blank(width, height, image.channels);
  const bool shrinks = width <= image.width && height <= image.height;
  cv::Mat target = matrix(result);
  cv::resize(matrix(image), target, target.size(), 0, 0, shrinks ? cv::INTER_AREA : cv::INTER_LINEAR);
  return result;
}

Image to_gray(const Image& image) {
  if (image.channels == 1) return image;
  Image result = blank(image.width, image.height, 1);
  cv::Mat target = matrix(result);
  cv::cvtColor(matrix(image), target, cv::COLOR_RGB2GRAY);
  return result;
}

void draw_box(Image& image, double left, double top, double right, double bottom, Color color, int thickness) {
  cv::Mat target = matrix(image);
  cv::rectangle(target, fixed_point({left, top}), fixed_point({right, bottom}), scalar(image, color), thickness, cv::LINE_AA,
                fraction_bits);
}

void fill_box(Image& image, double left, double top, double right, double bottom, Color color) {
  const cv::Rect frame(0, 0, image.width, image.height);
  const cv::Rect box(cv::Point(cvRound(left), cvRound(top)), cv::Point(cvRound(right), cvRound(bottom)));
  if ((box & frame).empty()) return;
  matrix(image)(box & frame).setTo(scalar(image, color));
}

void draw_line(Image& image, Point from, Point to, Color color, int thickness) {
  cv::Mat target = matrix(image);
  cv::line(target, fixed_point(from), fixed_point(to), scalar(image, color), thickness, cv::LINE_AA, fraction_bits);
}

void draw_dot(Image& image, Point center, int radius, Color color) {
  cv::Mat target = matrix(image);
  cv::circle(target, fixed_point(center), radius << fraction_bits, scalar(image, color), cv::FILLED, cv::LINE_AA, fraction_bits);
}

void paste(Image& image, const Image& patch, int left, int top) {
  MICROEMO_CHECK(image.channels == patch.channels, "pasting {} channels into {}", patch.channels, image.channels);
  const cv::Rect visible = cv::Rect(left, top, patch.width, patch.height) & cv::Rect(0, 0, image.width, image.height);
  if (visible.empty()) return;
  cv::Mat target = matrix(image)(visible);
  matrix(patch)(visible - cv::Point(left, top)).copyTo(target);
}

Image contact_sheet(const std::vector<Cell>& cells, int columns) {
  MICROEMO_CHECK(!cells.empty() && columns > 0, "a contact sheet of {} cells in {} columns", cells.size(), columns);
  int width = 0, height = 0;
  for (const Cell& cell : cells) {
    width = std::max(width, cell.picture.width);
    height = std::max(height, cell.picture.height);
  }
  const int across = std::min(columns, int(cells.size())), down = (int(cells.size()) + columns - 1) / columns;
  const int step_x = width + gap, step_y = height + caption_height + gap;
  Image sheet = blank(across * step_x + gap, down * step_y + gap, 3);
  fill_box(sheet, 0, 0, sheet.width, sheet.height, sheet_ground);
  for (size_t i = 0; i < cells.size(); ++i) {
    const Image& picture = cells[i].picture;
    const int left = gap + int(i) % columns * step_x, top = gap + int(i) / columns * step_y;
    paste(sheet, picture.channels == 1 ? to_rgb(picture) : picture, left + (width - picture.width) / 2,
          top + (height - picture.height) / 2);
    draw_text(sheet, shortened_text(cells[i].caption, caption_size, width),
              {double(left), double(top + height + caption_baseline)}, caption_size, caption_ink);
  }
  return sheet;
}

}  // namespace microemo::media
