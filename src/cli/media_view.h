#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "microemo/base/json.h"
#include "microemo/media/image.h"
#include "microemo/media/video_reader.h"

// What the views of `microemo media` have in common.

namespace microemo::cli {

constexpr int sheet_columns = 4;
constexpr int cell_height = 160;

/// Never -0, which people do not write.
double rounded(double value, int decimals);
Json info_json(const media::VideoInfo& info, const std::string& path);
/// null for a whole file.
Json damage_json(const std::optional<media::Damage>& damage);
/// For people: that the file is read in part, how far and why.
std::string damage_text(const media::Damage& damage);
void print_info(const media::VideoInfo& info, const std::string& path);
/// One item a line: a clip has hundreds of frames, and 68 points each. `head` is an object, without its last brace.
void print_json_lines(const Json& head, const char* name, const std::vector<Json>& items);

/// `count` indices spread evenly over 0 … total - 1, first and last included.
std::vector<int64_t> spread(int64_t total, int64_t count);
media::Image shrunk(const media::Image& image);
std::string caption(const media::VideoFrame& frame);

/// Reads the video once more and makes a cell of each of `cells` frames.
template <class MakeCell>
void write_sheet(const media::MediaInput& video, const media::ReadLimits& limits, const std::string& sheet, int64_t frame_count,
                 int cells, MakeCell&& make_cell) {
  const auto chosen = spread(frame_count, cells);
  std::vector<media::Cell> made;
  media::VideoReader reader(video, {.limits = limits});
  while (auto frame = reader.next())
    if (std::binary_search(chosen.begin(), chosen.end(), frame->index)) made.push_back(make_cell(*frame));
  media::write_png(sheet, media::contact_sheet(made, sheet_columns));
}

/// A check of CLI11, whose Range lets "nan" through.
std::string finite(const std::string& text);

/// `microemo media faces`.
void add_faces_view(CLI::App& media_command);

}  // namespace microemo::cli
