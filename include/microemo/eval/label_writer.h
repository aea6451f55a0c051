#pragma once
#include <filesystem>
#include <vector>

#include "microemo/eval/predictions.h"

namespace microemo::eval {

/// Writes labels atomically, in the form that the name's end says, so that read_label_table and the public code read them back:
///  .npz    the public "-openset.npz": texts filenames and fileitems ("[happy, sad]"), without pickles
///  .csv    columns name and openset ("['happy', 'sad']")
///  .jsonl  {"id": …, "labels": […]} a line
/// Where items name an extractor it stands beside them as "extractor": a third array (one text, or a text for every item), a
/// third column, a member of the line. The public code reads by name and does not see it.
/// Throws Error(data) naming the item when a list cannot be kept as text, because string_to_list would read other labels from it
/// (a label with a comma, a quote, or blanks around it), and for another end of the name; Error(environment) when the file cannot
/// be written.
void write_label_file(const std::filesystem::path& path, const std::vector<LabelledItem>& items);

}  // namespace microemo::eval
