#pragma once
#include <array>

#include "microemo/media/image.h"

namespace microemo::media {

/// Landmarks that facial movements hardly move: jaw beside the ears, nose, inner and lower rims of the eyes (OpenFace 2).
constexpr std::array<int, 24> openface_points = {1,  2,  3,  4,  12, 13, 14, 15, 27, 28, 29, 31,
                                                 32, 33, 34, 35, 36, 39, 40, 41, 42, 45, 46, 47};

/// Where they lie in a crop of side 1; written by tests/reference/mean_face.py from 26 faces.
constexpr std::array<Point, 24> mean_face = {{
    {0.05482, 0.38368}, {0.06690, 0.50248}, {0.08713, 0.62068}, {0.12638, 0.73143}, {0.87362, 0.73143}, {0.91287, 0.62068},
    {0.93310, 0.50248}, {0.94518, 0.38368}, {0.50000, 0.23273}, {0.50000, 0.31017}, {0.50000, 0.38554}, {0.41545, 0.52602},
    {0.45526, 0.53982}, {0.50000, 0.55380}, {0.54474, 0.53982}, {0.58455, 0.52602}, {0.23722, 0.25747}, {0.38423, 0.26113},
    {0.33436, 0.27383}, {0.28282, 0.27501}, {0.61577, 0.26113}, {0.76278, 0.25747}, {0.71718, 0.27501}, {0.66564, 0.27383},
}};

/// How far below the middle of the outer eye corners the middle of the frontal detector's box lies, in their distance.
constexpr double frontal_box_below = 0.4441;

}  // namespace microemo::media
