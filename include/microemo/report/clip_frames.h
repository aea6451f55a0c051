#pragma once
#include <vector>

#include "microemo/media/input.h"
#include "microemo/report/timeline.h"

namespace microemo::report {

/// `count` frames of a video, each the one shown in the middle of its part of [0, duration_s), with the best face that is found
/// in it, cut out a little wider than its box. A video with fewer frames gives fewer. Throws Error(data) as media::VideoReader
/// does.
std::vector<TimelineFrame> sample_frames(const media::MediaInput& video, double duration_s, int count,
                                         const media::ReadLimits& limits = {});

/// The best face of a frame, by size and score of the detector, cut out in the same way; 0 x 0 when none is found.
media::Image best_face(const media::Image& frame);

}  // namespace microemo::report
