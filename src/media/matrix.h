#pragma once
#include <opencv2/core/mat.hpp>

#include "microemo/media/image.h"

namespace microemo::media {

/// An OpenCV view of an image, without a copy: valid while the image lives and keeps its size. OpenCV's own threads are switched
/// off here for the process: work is spread over clips, not over the rows of one picture.
cv::Mat matrix(Image& image);
const cv::Mat matrix(const Image& image);

/// An image of the given size, black.
Image blank(int width, int height, int channels);

}  // namespace microemo::media
