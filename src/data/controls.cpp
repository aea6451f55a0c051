#include "microemo/data/controls.h"

#include <algorithm>
#include <numeric>

#include <ATen/ops/full_like.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/nearest.h"
#include "microemo/base/random.h"

namespace microemo::data {
namespace {

/// Half of a byte's range: says nothing, and is the middle of what an encoder is given.
constexpr int grey = 127;

bool has(const std::vector<std::string>& names, const std::string& name) { return std::ranges::find(names, name) != names.end(); }

at::Tensor none_of(const at::Tensor& rows) { return rows.defined() ? rows.narrow(0, 0, 0) : rows; }

void take_picture(PreparedClip& clip) {
  clip.frames_TCHW = none_of(clip.frames_TCHW);
  clip.frame_times_T = none_of(clip.frame_times_T);
  clip.faces_NCSS = none_of(clip.faces_NCSS);
  clip.face_times_N = none_of(clip.face_times_N);
  clip.face_mask_N = none_of(clip.face_mask_N);
  clip.faces_found = 0;
}

void take_face(PreparedClip& clip) {
  if (!clip.faces_NCSS.defined()) return;
  clip.faces_NCSS = at::zeros_like(clip.faces_NCSS);
  clip.face_mask_N = at::zeros_like(clip.face_mask_N);
  clip.faces_found = 0;
}

void take_frames(PreparedClip& clip) {
  if (clip.frames_TCHW.defined()) clip.frames_TCHW = at::full_like(clip.frames_TCHW, grey);
}

void take_sound(PreparedClip& clip) {
  clip.mel_FM = none_of(clip.mel_FM);
  clip.mel_times_F = none_of(clip.mel_times_F);
  clip.pieces_K = none_of(clip.pieces_K);
  clip.piece_times_K = none_of(clip.piece_times_K);
}

void keep(Sample& sample, const std::vector<std::string>& modalities) {
  const bool frames = has(modalities, "frames"), face = has(modalities, "face");
  if (!frames && !face)
    take_picture(sample.prepared);
  else if (!frames)
    take_frames(sample.prepared);
  else if (!face)
    take_face(sample.prepared);
  if (!has(modalities, "sound")) take_sound(sample.prepared);
  if (has(modalities, "transcript")) return;
  for (Utterance& utterance : sample.clip.utterances) utterance.text.clear();
}

/// Every clip gets those of the one before it in a circle that is drawn.
void mismatch(std::vector<Sample>& samples, uint64_t seed) {
  if (samples.size() < 2)
    throw DataError("there is no other clip whose picture and sound could be shown instead").hint("evaluate two clips or more");
  std::vector<size_t> circle(samples.size());
  std::iota(circle.begin(), circle.end(), size_t{0});
  Random(seed, "mismatched video").shuffle(circle);
  const std::vector<Sample> own = samples;
  for (size_t i = 0; i < circle.size(); ++i) {
    const Sample& other = own[circle[(i + 1) % circle.size()]];
    Sample& sample = samples[circle[i]];
    sample.prepared = other.prepared;
    sample.prepared.duration_s = std::max(other.prepared.duration_s, own[circle[i]].prepared.duration_s);
    sample.features = other.features;
  }
}

/// False where all say the same.
bool shuffle_words(Sample& sample, uint64_t seed) {
  std::vector<Utterance>& utterances = sample.clip.utterances;
  const auto same = [&](const Utterance& utterance) { return utterance.text == utterances.front().text; };
  if (std::ranges::all_of(utterances, same)) return false;
  std::vector<size_t> order(utterances.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const std::vector<Utterance> own = utterances;
  Random random(seed, "shuffled utterances", {static_cast<uint64_t>(sample.index)});
  const auto unchanged = [&] {
    return std::ranges::all_of(order, [&, i = size_t{0}](size_t from) mutable { return own[from].text == own[i++].text; });
  };
  do random.shuffle(order);
  while (unchanged());
  for (size_t i = 0; i < order.size(); ++i) utterances[i].text = own[order[i]].text;
  return true;
}

}  // namespace

std::string control_name(const ControlOptions& options) {
  std::string name = options.modalities == all_modalities ? "" : fmt::format("{}", fmt::join(options.modalities, "+"));
  for (const auto& [value, word] : names_of(Control()))
    if (value == options.control && value != Control::none) name += (name.empty() ? "" : ", ") + std::string(word);
  return name;
}

void check_controls(const ControlOptions& options) {
  if (options.modalities.empty())
    throw ConfigError("no modality is left").at("modalities").hint("ask the question alone with control=question_only");
  for (const std::string& modality : options.modalities) {
    if (!has(all_modalities, modality))
      throw ConfigError("there is no modality '{}'", modality)
          .at("modalities")
          .hint(fmt::format("did you mean {}? There are {}", nearest_name(modality, all_modalities),
                            fmt::join(all_modalities, ", ")));
    if (std::ranges::count(options.modalities, modality) > 1)
      throw ConfigError("the modality '{}' stands twice", modality).at("modalities").hint("leave one of them out");
  }
  if (options.control == Control::question_only && options.modalities != all_modalities)
    throw ConfigError("question_only takes every modality away, and some are chosen")
        .at("control and modalities")
        .hint("leave one of the two out");
}

std::vector<std::string> apply_controls(std::vector<Sample>& samples, const ControlOptions& options) {
  check_controls(options);
  const auto seed = static_cast<uint64_t>(options.control_seed);
  std::vector<std::string> as_they_were;
  if (options.control == Control::mismatched_video) mismatch(samples, seed);
  for (Sample& sample : samples) {
    if (options.control == Control::shuffled_utterances && !shuffle_words(sample, seed)) as_they_were.push_back(sample.clip.id);
    keep(sample, options.control == Control::question_only ? std::vector<std::string>() : options.modalities);
    if (options.control == Control::question_only)
      for (at::Tensor& feature : sample.features) feature = at::zeros_like(feature);
  }
  return as_they_were;
}

std::vector<std::vector<std::string>> modality_sets() {
  std::vector<std::vector<std::string>> sets;
  for (unsigned bits = 1; bits < 1u << all_modalities.size(); ++bits) {
    std::vector<std::string>& set = sets.emplace_back();
    for (size_t i = 0; i < all_modalities.size(); ++i)
      if (bits >> i & 1) set.push_back(all_modalities[i]);
  }
  std::ranges::stable_sort(sets, std::ranges::greater(), [](const auto& set) { return set.size(); });
  return sets;
}

}  // namespace microemo::data
