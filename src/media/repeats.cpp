#include "microemo/media/repeats.h"

#include <algorithm>
#include <cstddef>

#include <opencv2/imgproc.hpp>

#include "matrix.h"
#include "microemo/base/error.h"

namespace microemo::media {
namespace {

constexpr int cell_side = 16;
constexpr double still = 0.5;          // grey levels
constexpr double part_of_usual = 0.1;  // of the change around a frame
constexpr std::ptrdiff_t reach = 6;    // frames on either side
constexpr double usual_rank = 0.8;     // at 60 frames a second only two of five of a film's are new

/// Every second row, without a copy.
cv::Mat field(const cv::Mat& gray, int parity) {
  return {(gray.rows - parity + 1) / 2, gray.cols, CV_8UC1, const_cast<uint8_t*>(gray.ptr(parity)), 2 * gray.step};
}

double largest_change(const cv::Mat& before, const cv::Mat& now) {
  cv::Mat difference, precise, cells;
  cv::absdiff(before, now, difference);
  difference.convertTo(precise, CV_16U, 256);
  const cv::Size count(std::max(1, now.cols / cell_side), std::max(1, now.rows * 2 / cell_side));
  cv::resize(precise, cells, count, 0, 0, cv::INTER_AREA);
  double largest = 0;
  cv::minMaxLoc(cells, nullptr, &largest);
  return largest / 256;
}

double usual_change(const std::vector<double>& changes, size_t frame) {
  const auto place = changes.begin() + std::ptrdiff_t(frame);
  std::vector<double> around(place - std::min(reach, place - changes.begin()),
                             place + std::min(reach + 1, changes.end() - place));
  const auto rank = around.begin() + std::ptrdiff_t(usual_rank * double(around.size() - 1));
  std::nth_element(around.begin(), rank, around.end());
  return *rank;
}

}  // namespace

void RepeatFinder::add(const Image& frame) {
  Image gray = to_gray(frame);
  if (!last_.pixels.empty()) {
    MICROEMO_CHECK(gray.width == last_.width && gray.height == last_.height && gray.height > 1,
                   "a frame of {} x {} behind one of {} x {}", gray.width, gray.height, last_.width, last_.height);
    const cv::Mat before = matrix(last_), now = matrix(gray);
    changes_.push_back({largest_change(field(before, 0), field(now, 0)), largest_change(field(before, 1), field(now, 1))});
  }
  last_ = std::move(gray);
}

std::vector<Repeat> RepeatFinder::finish() {
  std::vector<Repeat> repeats(last_.pixels.empty() ? 0 : 1, Repeat::none);
  std::vector<double> all;
  for (const Change& change : changes_) all.push_back(std::max(change.even, change.odd));
  for (size_t i = 0; i < changes_.size(); ++i) {
    const double limit = std::max(still, part_of_usual * usual_change(all, i));
    const bool even = changes_[i].even <= limit, odd = changes_[i].odd <= limit;
    repeats.push_back(even && odd ? Repeat::frame : even || odd ? Repeat::field : Repeat::none);
  }
  *this = {};
  return repeats;
}

}  // namespace microemo::media
