#pragma once
#include <filesystem>
#include <vector>

#include "microemo/eval/predictions.h"

namespace microemo::eval {

/// Writes labels atomically, in the form that the name's end says, so that read_label_table and the public code read them back:
///  .npz    the public "-openset.npz": texts filenames and fileitems ("[happy, sad]"), without pickles
///  .csv    columns name and openset ("['happy', 'sad']")
///  .jsonl  {"id": …, "labels": […]} a line
/// Throws Error(data) naming the item when a list cannot be kept as text, because string_to_list would read other labels from it
/// (a label with a comma, a quote, or blanks around it), and for another end of the name; Error(environment) when the file cannot
/// be written.
void write_label_file(const std::filesystem::path& path, const std::vector<LabelledItem>& items);

}  // namespace microemo::eval
