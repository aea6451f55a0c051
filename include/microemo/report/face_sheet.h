#pragma once
#include <optional>
#include <vector>

#include "microemo/media/face.h"
#include "microemo/media/image.h"
#include "microemo/media/input.h"

namespace microemo::report {

/// Whose face is watched in each frame (media::watched_faces); empty where nobody asks.
using WatchedFaces = std::vector<std::optional<media::Face>>;

/// A picture of every face that was followed through a clip: under the number, time, length and mean score of each track its
/// aligned crops (media::align_faces) in order of time, each with its second. `faces` has the faces of each frame of the video,
/// as media::FaceTracker gives them; about `crops` in all are shown, spread evenly over each track, but at least 8 of each that
/// has as many. The heading of a track that is never watched is blue, all others are yellow. A clip without a face gives a page
/// that says so. Throws Error(data) as media::FrameReader does.
media::Image draw_face_sheet(const media::MediaInput& video, const std::vector<std::vector<media::Face>>& faces, int crops,
                             const WatchedFaces& watched = {}, const media::ReadLimits& limits = {});
/// The same below `frames` frames, spread evenly over the clip, in which every face has its box and the number of its track,
/// large ones their landmarks: yellow the face that is watched, blue the others. Each has its number and
/// second, the page has a heading with the video's name.
media::Image draw_face_page(const media::MediaInput& video, const std::vector<std::vector<media::Face>>& faces,
                            const WatchedFaces& watched, int frames, const media::ReadLimits& limits = {});

/// Top left corners of labels, each beside the box of its face: within a picture of this size, and none on another label. Nothing
/// for a label that has no such place; the first ones have the first choice. Pixels. Pure.
std::vector<std::optional<media::Point>> place_tags(int width, int height, const std::vector<media::Box>& boxes,
                                                    const std::vector<int>& tag_widths, int tag_height);

}  // namespace microemo::report
