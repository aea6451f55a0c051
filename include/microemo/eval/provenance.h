#pragma once
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/base/json.h"
#include "microemo/eval/label_table.h"
#include "microemo/eval/wheel.h"

namespace microemo::eval {

/// What a number was made from. Every result names it beside the metric: another wheel, extractor, data or split, another number.
struct Provenance {
  std::string wheel_release;  ///< as release_name gives it; empty where no wheel was used
  std::string extractor;      ///< as names_of gives it: "rules-1", "mertools-1:MODEL", "given labels"
  std::string data_version;   ///< SHA-256 of the file of truths
  std::string split;          ///< that the truths name, or the name of their file
};

/// The release of MERTools wheels, "2025" or "2026"; of others the name with the first twelve digits of their hash.
std::string release_name(const EmotionWheel& wheel);

/// Names in one text: "given labels + rules-1".
std::string names_of(const LabelNames& names);

/// `wheel` is nullptr where none was used.
Provenance provenance_of(const LabelSource& predictions, const LabelSource& truths, const EmotionWheel* wheel);

/// {"wheel_release", "extractor", "data_version", "split"}, null where there is none.
Json to_json(const Provenance& provenance);

/// What a result says of itself under these keys; "unknown" where it says nothing.
Provenance provenance_in(const Json& result);

/// "wheel 2026; extractor rules-1; data 0123456789abcdef; split test": for tables and pages.
std::string to_text(const Provenance& provenance);

/// Columns at the end of every table of a result, and what stands in them.
inline constexpr std::array<std::string_view, 4> provenance_columns{"wheel_release", "extractor", "data_version", "split"};
std::array<std::string, 4> provenance_fields(const Provenance& provenance);

/// Adds these columns to a table that has them not yet.
void add_provenance(std::vector<std::string>& header, std::vector<std::vector<std::string>>& rows, const Provenance& provenance);

}  // namespace microemo::eval
