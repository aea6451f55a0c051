#pragma once
#include <vector>

#include "microemo/media/face.h"
#include "microemo/media/image.h"
#include "microemo/media/input.h"

namespace microemo::report {

/// A picture of every face that was followed through a clip: under the number, time, length and mean score of each track its
/// aligned crops (media::align_faces) in order of time, each with its second. `faces` has the faces of each frame of the video,
/// as media::FaceTracker gives them; about `crops` in all are shown, spread evenly over each track, but at least 8 of each that
/// has as many. A clip without a face gives a page that says so. Throws Error(data) as media::FrameReader does.
media::Image draw_face_sheet(const media::MediaInput& video, const std::vector<std::vector<media::Face>>& faces, int crops);

}  // namespace microemo::report
