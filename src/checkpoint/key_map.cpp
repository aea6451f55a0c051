#include "microemo/checkpoint/key_map.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "key_map_pattern.h"
#include "microemo/base/error.h"
#include "microemo/base/nearest.h"

namespace microemo::checkpoint {
namespace {

constexpr size_t most_listed = 8;

/// What a family says about the names of one file.
class Assignment {
 public:
  Assignment(const KeyFamily& family, const std::vector<std::string>& names, KeyDirection direction)
      : rules_(plain_rules(family)), direction_(direction) {
    for (const std::string& name : names) assign(name);
    for (size_t r = 0; r < rules_.size(); ++r) find_missing(r);
  }

  const std::vector<std::string>& unknown() const { return unknown_; }
  const std::vector<std::string>& ignored() const { return ignored_; }
  const std::set<std::string>& missing() const { return missing_; }
  size_t kept() const { return kept_; }

  std::vector<KeyStep> steps() const;
  std::string near(const std::string& name) const;

 private:
  using Place = std::pair<size_t, Captures>;  ///< rule and numbers

  void assign(const std::string& name);
  void find_missing(size_t rule);
  bool same_domain(const PlainRule& a, const PlainRule& b) const;
  std::set<Captures> needed(const PlainRule& rule) const;
  std::vector<std::string> blocks_of(const PlainRule& rule, const Captures& captures) const;
  void add_steps(const PlainRule& rule, const Captures& captures, std::vector<KeyStep>& steps) const;

  std::vector<PlainRule> rules_;
  KeyDirection direction_;
  std::map<Place, std::string> theirs_;          ///< public name that the file has
  std::map<Place, std::set<std::string>> ours_;  ///< names of ours that the file has, or that a public name becomes
  std::vector<std::string> unknown_, ignored_;
  std::set<std::string> missing_;
  size_t kept_ = 0;
};

/// "block{i}" of "decoder.block{i}.query.weight": rules that count the same things.
std::string_view domain(const PlainRule& rule) {
  const std::string& ours = rule.ours.front();
  const size_t at = ours.find("{i}");
  return at == std::string::npos ? std::string_view() : std::string_view(ours).substr(0, at);
}

bool Assignment::same_domain(const PlainRule& a, const PlainRule& b) const {
  return !a.ours.empty() && !b.ours.empty() && a.part == b.part && domain(a) == domain(b);
}

void Assignment::assign(const std::string& name) {
  for (size_t r = 0; r < rules_.size(); ++r) {
    const PlainRule& rule = rules_[r];
    if (direction_ == KeyDirection::to_ours) {
      const auto captures = match(rule.theirs, name);
      if (!captures) continue;
      if (rule.ours.empty()) return ignored_.push_back(name);
      theirs_.emplace(Place(r, *captures), name);
      for (const std::string& pattern : rule.ours) ours_[Place(r, *captures)].insert(fill(pattern, *captures));
      return void(++kept_);
    }
    if (rule.source->alias) continue;
    for (const std::string& pattern : rule.ours)
      if (const auto captures = pattern.empty() ? std::nullopt : match(pattern, name)) {
        ours_[Place(r, *captures)].insert(name);
        return void(++kept_);
      }
  }
  unknown_.push_back(name);
}

/// Numbers for which a rule has to be there, given what is there.
std::set<Captures> Assignment::needed(const PlainRule& rule) const {
  std::set<Captures> places;
  const std::string_view group = rule.source->group;
  for (const auto& [place, names] : ours_) {
    const PlainRule& other = rules_[place.first];
    if (same_domain(rule, other) && (group.empty() || other.source->group == group)) places.insert(place.second);
  }
  if (!group.empty() || places.empty() || places.begin()->size() != 1) return places;
  // Layers are counted from 0: one that is absent as a whole is missing too.
  int64_t last = 0;
  for (const Captures& captures : places) last = std::max(last, int64_t(std::stoll(captures[0])));
  if (last < int64_t(2 * places.size() + 64))
    for (int64_t i = 0; i < last; ++i) places.insert({std::to_string(i)});
  return places;
}

void Assignment::find_missing(size_t index) {
  const PlainRule& rule = rules_[index];
  if (rule.ours.empty() || rule.source->alias) return;
  for (const Captures& captures : needed(rule)) {
    std::set<std::string> present;
    for (size_t r = 0; r < rules_.size(); ++r)
      if (const auto found = ours_.find(Place(r, captures)); found != ours_.end() && rules_[r].part == rule.part)
        present.insert(found->second.begin(), found->second.end());
    for (const std::string& pattern : rule.ours) {
      if (pattern.empty() || present.contains(fill(pattern, captures))) continue;
      missing_.insert(direction_ == KeyDirection::to_ours ? fill(rule.theirs, captures) : fill(pattern, captures));
    }
  }
}

std::vector<std::string> Assignment::blocks_of(const PlainRule& rule, const Captures& captures) const {
  std::vector<std::string> names;
  for (const std::string& pattern : rule.ours) names.push_back(pattern.empty() ? pattern : fill(pattern, captures));
  return names;
}

void Assignment::add_steps(const PlainRule& rule, const Captures& captures, std::vector<KeyStep>& steps) const {
  const std::vector<std::string> blocks = blocks_of(rule, captures);
  const std::string theirs = fill(rule.theirs, captures);
  const auto step = [&](const std::string& to, std::vector<std::string> from, size_t block) {
    steps.push_back(
        {to, std::move(from), rule.source->op, direction_, int64_t(block), int64_t(blocks.size()), rule.source->delta});
  };
  if (direction_ == KeyDirection::to_public) return step(theirs, blocks, 0);
  for (size_t b = 0; b < blocks.size(); ++b) step(blocks[b], {theirs}, b);
}

std::vector<KeyStep> Assignment::steps() const {
  std::vector<KeyStep> steps;
  for (const auto& [place, names] : ours_) add_steps(rules_[place.first], place.second, steps);
  std::sort(steps.begin(), steps.end(),
            [](const KeyStep& a, const KeyStep& b) { return std::tie(a.to, a.from) < std::tie(b.to, b.from); });
  return steps;
}

/// Names that the rules would take in the place of an unknown one: the same numbers in every pattern.
std::string Assignment::near(const std::string& name) const {
  Captures numbers;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] < '0' || name[i] > '9') continue;
    const size_t end = std::min(name.find_first_not_of("0123456789", i), name.size());
    if (i > 0 && (name[i - 1] == '.' || direction_ == KeyDirection::to_public)) numbers.push_back(name.substr(i, end - i));
    i = end;
  }
  std::vector<std::string> candidates;
  for (const PlainRule& rule : rules_) {
    if (rule.ours.empty() || rule.source->alias) continue;
    if (direction_ == KeyDirection::to_ours) candidates.push_back(fill(rule.theirs, numbers));
    for (const std::string& pattern : rule.ours)
      if (direction_ == KeyDirection::to_public && !pattern.empty()) candidates.push_back(fill(pattern, numbers));
  }
  return nearest_of(name, candidates);
}

template <class Names, class Near>
std::string listing(const std::string& title, const Names& names, Near near) {
  if (names.empty()) return {};
  std::string text = fmt::format("\n  {} {}:", names.size(), title);
  size_t listed = 0;
  for (const std::string& name : names) {
    if (listed++ == most_listed) break;
    const std::string nearest = near(name);
    text += fmt::format("\n    {}{}", name, nearest.empty() ? "" : "; nearest: " + nearest);
  }
  if (names.size() > most_listed) text += fmt::format("\n    and {} more", names.size() - most_listed);
  return text;
}

void refuse_same_target(const std::vector<KeyStep>& steps, const std::filesystem::path& source) {
  for (size_t i = 1; i < steps.size(); ++i)
    if (!steps[i].to.empty() && steps[i].to == steps[i - 1].to)
      throw CheckpointError("'{}' and '{}' are two names of one tensor, '{}'", steps[i - 1].from.front(), steps[i].from.front(),
                            steps[i].to)
          .where(source)
          .hint("remove one of the two");
}

}  // namespace

const KeyFamily& find_family(const std::string& name) {
  std::vector<std::string> names;
  for (const KeyFamily& family : key_families()) {
    if (family.name == name) return family;
    names.push_back(family.name);
  }
  const std::string nearest = nearest_name(name, names);
  std::string all;
  for (const std::string& known : names) all += (all.empty() ? "" : ", ") + known;
  throw ConfigError("there is no family of checkpoints '{}'{}", name, nearest.empty() ? "" : "; did you mean '" + nearest + "'?")
      .hint("families: " + all);
}

const KeyFamily* detect_family(const std::vector<std::string>& public_names) {
  const KeyFamily* best = nullptr;
  size_t most = 0;
  for (const KeyFamily& family : key_families()) {
    const Assignment assignment(family, public_names, KeyDirection::to_ours);
    if (!assignment.unknown().empty() || assignment.kept() <= most) continue;
    best = &family;
    most = assignment.kept();
  }
  return best;
}

const KeyFamily& require_family(const std::vector<std::string>& public_names, const std::filesystem::path& source) {
  if (const KeyFamily* family = detect_family(public_names)) return *family;
  const KeyFamily* nearest = nullptr;
  size_t most = 0;
  for (const KeyFamily& family : key_families())
    if (const size_t kept = Assignment(family, public_names, KeyDirection::to_ours).kept(); kept > most) {
      nearest = &family;
      most = kept;
    }
  if (nearest) plan_keys(*nearest, public_names, KeyDirection::to_ours, source);
  throw CheckpointError("the names are of no family of checkpoints that is known")
      .where(source)
      .hint("see what it holds with microemo inspect; docs/checkpoints.md lists the families");
}

bool are_our_names(const std::vector<std::string>& names) {
  for (const KeyFamily& family : key_families())
    if (Assignment(family, names, KeyDirection::to_public).unknown().empty() && !names.empty()) return true;
  return false;
}

std::vector<std::string> parts_of_ours(const std::vector<std::string>& names) {
  // The modules of src/model/microemo.cpp. Each can be left out but the decoder, whose table of tokens no public file names so.
  static const std::set<std::string> modules{"alignment",     "audio_encoder",  "audio_projection", "audio_qformer",
                                             "decoder",       "global_local",   "image_qformer",    "local_branch",
                                             "video_qformer", "visual_encoder", "video_projection"};
  std::set<std::string> parts;
  for (const std::string& name : names) parts.insert(name.substr(0, name.find('.')));
  const bool trained = std::find(names.begin(), names.end(), "decoder.tokens.weight") != names.end() &&
                       std::includes(modules.begin(), modules.end(), parts.begin(), parts.end());
  if (!trained && !are_our_names(names)) return {};
  return {parts.begin(), parts.end()};
}

KeyPlan plan_keys(const KeyFamily& family, const std::vector<std::string>& names, KeyDirection direction,
                  const std::filesystem::path& source) {
  const Assignment assignment(family, names, direction);
  const std::vector<std::string> missing(assignment.missing().begin(), assignment.missing().end());
  if (!assignment.unknown().empty() || !missing.empty()) {
    std::string text = fmt::format("the names are not those of '{}'", family.name);
    text += listing("without a rule", assignment.unknown(), [&](const std::string& name) { return assignment.near(name); });
    text += listing("missing", missing, [&](const std::string& name) { return nearest_of(name, assignment.unknown()); });
    throw CheckpointError("{}", text).where(source).hint("name the family that the file is of, or complete the file");
  }
  KeyPlan plan{assignment.steps(), assignment.ignored()};
  refuse_same_target(plan.steps, source);
  return plan;
}

}  // namespace microemo::checkpoint
