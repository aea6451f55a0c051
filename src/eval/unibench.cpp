#include "microemo/eval/unibench.h"

#include <fmt/ranges.h>
#include <algorithm>
#include <charconv>

#include "microemo/base/error.h"
#include "microemo/base/nearest.h"
#include "microemo/eval/labels.h"
#include "microemo/eval/metric_name.h"
#include "microemo/formats/npy_objects.h"
#include "microemo/formats/zip.h"

namespace microemo::eval {
namespace {

using Labels = std::vector<std::string>;
using Items = std::vector<std::pair<std::string, Labels>>;

const Labels mer = {"worried", "happy", "neutral", "angry", "surprise", "sad"};
const Labels iemocap = {"happy", "sad", "neutral", "anger"};
const Labels meld = {"anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise"};

bool is_of_valence(const UniBenchSet& set) { return is_of_sentiment(parse_metric(set.metric)); }
bool is_open(const UniBenchSet& set) { return parse_metric(set.metric).family == MetricFamily::wheel_sets; }

/// One entry of a label file: the set's member of it, as text.
std::string text_of(const Json& entry, const UniBenchSet& set, const std::string& id, const std::filesystem::path& path) {
  const char* key = is_of_valence(set) ? "val" : "emo";
  const bool found = entry.is_object() && entry.contains(key) && (entry.at(key).is_string() || entry.at(key).is_number());
  if (!found)
    throw DataError("'{}' of {} has no '{}'", id, set.corpus, key)
        .where(path)
        .hint("the label files of MER-UniBench hold {id: {'emo': …, 'val': …}}");
  return entry.at(key).is_string() ? entry.at(key).get<std::string>() : entry.at(key).dump();
}

Items read_corpus(const std::filesystem::path& path, const UniBenchSet& set) {
  const Json corpus = formats::read_npz_objects(path, set.corpus);
  if (!corpus.is_object()) throw DataError("{} is no dictionary of ids", set.corpus).where(path);
  Items items;
  for (const auto& [id, entry] : corpus.items())
    if (id.starts_with(set.only_ids)) items.push_back({id, {text_of(entry, set, id, path)}});
  return items;
}

LabelTable read_table(const std::filesystem::path& path, const UniBenchSet& set, Vocabulary& words) {
  if (path.extension() == ".npz" && !set.corpus.empty() && formats::ZipFile(path).contains(set.corpus + ".npy"))
    return make_label_table(path, read_corpus(path, set), words);
  return read_label_table(path, words, is_of_valence(set) ? LabelContent::sentiment : LabelContent::labels);
}

/// "3" is the fourth label of the set.
std::string named(const std::string& label, const UniBenchSet& set, const std::string& id, const std::filesystem::path& path) {
  size_t number = 0;
  const auto [end, problem] = std::from_chars(label.data(), label.data() + label.size(), number);
  const bool whole = problem == std::errc() && end == label.data() + label.size();
  if (whole && number < set.labels.size()) return set.labels[number];
  if (std::ranges::find(set.labels, normalise_label(label)) == set.labels.end())
    throw DataError("'{}' of '{}' is no label of {}", label, id, set.name)
        .where(path)
        .hint(fmt::format("its labels are {}, or their numbers from 0", fmt::join(set.labels, ", ")));
  return label;
}

}  // namespace

const std::vector<UniBenchSet>& unibench_sets() {
  static const std::vector<UniBenchSet> sets = {
      {"mer2023", "hit2025-l1", {"mscore2025-l1"}, 411, mer, "test1_corpus"},
      {"mer2024", "hit2025-l1", {"mscore2025-l1"}, 1169, mer, "test1_corpus"},
      {"meld", "hit2025-l1", {"mscore2025-l1"}, 2610, meld, "test_corpus"},
      {"iemocapfour", "hit2025-l1", {"mscore2025-l1"}, 1241, iemocap, "whole_corpus", "Ses05"},
      {"cmumosi", "sentiment-waf", {"sentiment-acc"}, 686, {}, "test_corpus"},
      {"cmumosei", "sentiment-waf", {"sentiment-acc"}, 4659, {}, "test_corpus"},
      {"sims", "sentiment-waf", {"sentiment-acc"}, 457, {}, "test_corpus"},
      {"simsv2", "sentiment-waf", {"sentiment-acc"}, 1034, {}, "test_corpus"},
      {"ovmerdplus", "ew2025-l1", {}, 532, {}, ""},
  };
  return sets;
}

const UniBenchSet& unibench_set(std::string_view name) {
  std::vector<std::string> names;
  for (const UniBenchSet& set : unibench_sets()) {
    if (set.name == name) return set;
    names.push_back(set.name);
  }
  const std::string near = nearest_name(name, names);
  throw ConfigError("MER-UniBench has no set '{}'", name)
      .at("--dataset")
      .hint(fmt::format("{}its sets are {}", near.empty() ? "" : "did you mean " + near + "? ", fmt::join(names, ", ")));
}

LabelTable read_unibench_truths(const std::filesystem::path& path, const UniBenchSet& set, Vocabulary& words) {
  LabelTable table = read_table(path, set, words);
  if (static_cast<int64_t>(table.size()) != set.items)
    throw DataError("there are {} truths, and the test split of {} has {}", table.size(), set.name, set.items)
        .where(path)
        .hint("name the whole split, or score a part of it with --metric " + set.metric);
  std::vector<uint32_t> labels;
  std::vector<uint64_t> ends;
  for (size_t item = 0; item < table.size(); ++item) {
    const auto given = table.labels_of(item);
    if (is_open(set) && given.empty()) labels.push_back(words.number("neutral"));
    for (const uint32_t label : given)
      labels.push_back(set.labels.empty() ? label
                                          : words.number(named(words.text(label), set, std::string(table.id(item)), path)));
    ends.push_back(labels.size());
  }
  table.labels = std::move(labels);
  table.label_ends = std::move(ends);
  return table;
}

}  // namespace microemo::eval
