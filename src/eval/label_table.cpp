#include "microemo/eval/label_table.h"

#include <optional>

#include "id_index.h"
#include "item_id.h"
#include "microemo/base/error.h"

namespace microemo::eval {
namespace {

std::vector<std::string> ids_of(const LabelTable& table, const std::vector<uint32_t>& items) {
  std::vector<std::string> ids;
  for (const uint32_t item : items) ids.emplace_back(table.id(item));
  return ids;
}

IdIndex index_of(const LabelTable& table) {
  IdIndex index(table);
  for (uint32_t item = 0; item < table.size(); ++item) index.add(item, table.id(item));
  return index;
}

}  // namespace

uint32_t Vocabulary::number(std::string_view text) {
  if (const auto found = numbers_.find(text); found != numbers_.end()) return found->second;
  const auto [place, is_new] = numbers_.emplace(text, static_cast<uint32_t>(texts_.size()));
  texts_.push_back(&place->first);
  return place->second;
}

std::string_view LabelTable::id(size_t item) const {
  const uint64_t start = item == 0 ? 0 : id_ends[item - 1];
  return std::string_view(id_text).substr(start, id_ends[item] - start);
}

std::span<const uint32_t> LabelTable::labels_of(size_t item) const {
  const uint64_t start = item == 0 ? 0 : label_ends[item - 1];
  return std::span(labels).subspan(start, label_ends[item] - start);
}

std::string_view clip_of_id(std::string_view id) {
  const size_t slash = id.rfind('/');
  const bool numbered = slash != std::string_view::npos && slash > 0 && slash + 1 < id.size() &&
                        id.find_first_not_of("0123456789", slash + 1) == std::string_view::npos;
  return numbered ? id.substr(0, slash) : id;
}

std::string list_ids(const std::vector<std::string>& ids) {
  constexpr size_t shown = 10;
  std::string text;
  for (size_t i = 0; i < std::min(shown, ids.size()); ++i) text += (i > 0 ? ", " : "") + ids[i];
  return ids.size() > shown ? fmt::format("{} and {} more", text, ids.size() - shown) : text;
}

TableMatch match_tables(const LabelTable& predictions, const LabelTable& truths) {
  TableMatch match;
  std::vector<uint32_t> missing;
  std::vector<bool> used(predictions.size());
  match.prediction_of.reserve(truths.size());
  std::optional<IdIndex> index;  // files in the same order need none
  for (uint32_t item = 0; item < truths.size(); ++item) {
    uint32_t found = item;
    if (item >= predictions.size() || predictions.id(item) != truths.id(item)) {
      if (!index) index.emplace(index_of(predictions));
      found = index->find(truths.id(item));
    }
    match.prediction_of.push_back(found);
    if (found == no_number)
      missing.push_back(item);
    else
      used[found] = true;
  }
  for (uint32_t item = 0; item < predictions.size(); ++item)
    if (!used[item]) match.extra.push_back(item);
  if (missing.empty()) return match;
  const std::vector<std::string> unanswered = ids_of(truths, missing), extra = ids_of(predictions, match.extra);
  throw DataError(
      "{} of {} truths have no prediction: {}{}", missing.size(), truths.size(), list_ids(unanswered),
      extra.empty() ? ""
                    : fmt::format("; {} of {} predictions have no truth: {}", extra.size(), predictions.size(), list_ids(extra)))
      .at(predictions.path.string() + " against " + truths.path.string())
      .hint(hint_for_missing(unanswered, extra));
}

}  // namespace microemo::eval
