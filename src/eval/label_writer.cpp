#include "microemo/eval/label_writer.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/eval/labels.h"
#include "microemo/formats/csv.h"
#include "microemo/formats/npy.h"

namespace microemo::eval {
namespace {

/// The list as text, each label in quotes of its own where `quote` is not empty.
std::string list_text(const std::filesystem::path& path, const LabelledItem& item, const char* quote) {
  std::string text;
  for (const std::string& label : item.labels) text += fmt::format("{}{}{}{}", text.empty() ? "" : ", ", quote, label, quote);
  text = "[" + text + "]";
  if (string_to_list(text) != item.labels)
    throw DataError("the labels of '{}' cannot be kept as a list in text: {}", item.id, text)
        .where(path)
        .hint("write .jsonl, or take commas, quotes and blanks around out of the labels");
  return text;
}

/// Of every item; empty where none names one.
std::vector<std::string> extractors_of(const std::vector<LabelledItem>& items) {
  if (std::ranges::all_of(items, [](const LabelledItem& item) { return item.extractor.empty(); })) return {};
  std::vector<std::string> makers;
  for (const LabelledItem& item : items) makers.push_back(item.extractor);
  return makers;
}

void write_arrays(const std::filesystem::path& path, const std::vector<LabelledItem>& items) {
  std::vector<std::string> names, lists;
  for (const LabelledItem& item : items) {
    names.push_back(item.id);
    lists.push_back(list_text(path, item, ""));
  }
  const auto count = static_cast<int64_t>(items.size());
  std::vector<std::pair<std::string, formats::NpyArray>> arrays{{"filenames", formats::make_npy(std::move(names), {count})},
                                                                {"fileitems", formats::make_npy(std::move(lists), {count})}};
  if (const std::vector<std::string> makers = extractors_of(items); !makers.empty()) {
    const bool one = std::ranges::count(makers, makers.front()) == count;
    arrays.emplace_back("extractor", one ? formats::make_npy({makers.front()}, {}) : formats::make_npy(makers, {count}));
  }
  formats::write_npz(path, arrays);
}

void write_table(const std::filesystem::path& path, const std::vector<LabelledItem>& items) {
  std::vector<std::string> header{"name", "openset"};
  std::vector<std::vector<std::string>> rows;
  for (const LabelledItem& item : items) rows.push_back({item.id, list_text(path, item, "'")});
  if (const std::vector<std::string> makers = extractors_of(items); !makers.empty()) {
    header.emplace_back("extractor");
    for (size_t i = 0; i < rows.size(); ++i) rows[i].push_back(makers[i]);
  }
  formats::write_csv(path, header, rows);
}

void write_lines(const std::filesystem::path& path, const std::vector<LabelledItem>& items) {
  std::vector<Json> lines;
  for (const LabelledItem& item : items) {
    lines.push_back({{"id", item.id}, {"labels", item.labels}});
    if (!item.extractor.empty()) lines.back()["extractor"] = item.extractor;
  }
  write_jsonl(path, lines);
}

}  // namespace

void write_label_file(const std::filesystem::path& path, const std::vector<LabelledItem>& items) {
  const std::string end = path.extension();
  if (end == ".npz") return write_arrays(path, items);
  if (end == ".csv") return write_table(path, items);
  if (end == ".jsonl") return write_lines(path, items);
  throw DataError("files of labels end with .jsonl, .csv or .npz, not '{}'", end).where(path).hint("choose one of these ends");
}

}  // namespace microemo::eval
