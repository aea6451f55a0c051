#include "microemo/eval/provenance.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace microemo::eval {
namespace {

constexpr size_t shown_digits = 16, name_digits = 12;

}  // namespace

std::string release_name(const EmotionWheel& wheel) {
  return wheel.release.empty() ? fmt::format("{}@{}", wheel.name, wheel.hash.substr(0, name_digits)) : wheel.release;
}

std::string names_of(const LabelNames& names) { return fmt::format("{}", fmt::join(names, " + ")); }

Provenance provenance_of(const LabelSource& predictions, const LabelSource& truths, const EmotionWheel* wheel) {
  return {.wheel_release = wheel == nullptr ? "" : release_name(*wheel),
          .extractor = names_of(predictions.extractors),
          .data_version = truths.hash,
          .split = truths.splits.empty() ? truths.path.filename().string() : names_of(truths.splits)};
}

Json to_json(const Provenance& provenance) {
  return {{"wheel_release", provenance.wheel_release.empty() ? Json() : Json(provenance.wheel_release)},
          {"extractor", provenance.extractor.empty() ? Json() : Json(provenance.extractor)},
          {"data_version", provenance.data_version},
          {"split", provenance.split}};
}

Provenance provenance_in(const Json& result) {
  const auto read = [&](std::string_view key) -> std::string {
    const auto found = result.find(std::string(key));
    if (found != result.end() && found->is_null()) return "";
    return found != result.end() && found->is_string() ? found->get<std::string>() : "unknown";
  };
  return {read(provenance_columns[0]), read(provenance_columns[1]), read(provenance_columns[2]), read(provenance_columns[3])};
}

std::string to_text(const Provenance& provenance) {
  const auto part = [](const char* name, const std::string& value) {
    return value.empty() ? fmt::format("no {}", name) : fmt::format("{} {}", name, value);
  };
  return fmt::format("{}; {}; data {}; split {}", part("wheel", provenance.wheel_release),
                     part("extractor", provenance.extractor), provenance.data_version.substr(0, shown_digits), provenance.split);
}

std::array<std::string, 4> provenance_fields(const Provenance& provenance) {
  return {provenance.wheel_release, provenance.extractor, provenance.data_version, provenance.split};
}

void add_provenance(std::vector<std::string>& header, std::vector<std::vector<std::string>>& rows, const Provenance& provenance) {
  header.insert(header.end(), provenance_columns.begin(), provenance_columns.end());
  const auto fields = provenance_fields(provenance);
  for (auto& row : rows) row.insert(row.end(), fields.begin(), fields.end());
}

}  // namespace microemo::eval
