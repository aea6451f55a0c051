// Shapes: B clips, T whole frames, N face frames, F log-mel frames, W windows, R rows, L tokens; see model/clip_batch.h.
#include <algorithm>
#include <map>
#include <optional>

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/random.h"
#include "microemo/data/crop.h"
#include "microemo/data/encoded.h"
#include "microemo/data/sample.h"
#include "microemo/nn/loss.h"
#include "prompt.h"
#include "row.h"
#include "row_template.h"

namespace microemo::data {
namespace {

using at::Tensor;
using model::ClipBatch;

/// Stacks tensors that differ in their first dimension, padded on the right to the longest (at least 1).
Tensor pad_stack(const std::vector<Tensor>& parts, const at::Scalar& value) {
  int64_t longest = 1;
  for (const Tensor& part : parts) longest = std::max(longest, part.size(0));
  std::vector<Tensor> padded;
  for (const Tensor& part : parts) {
    std::vector<int64_t> widths(size_t(2 * part.dim()), 0);
    widths.back() = longest - part.size(0);
    padded.push_back(widths.back() == 0 ? part : at::constant_pad_nd(part, widths, value));
  }
  return at::stack(padded);
}

Tensor lengths_mask(const std::vector<Tensor>& parts) {
  std::vector<Tensor> ones;
  for (const Tensor& part : parts) ones.push_back(at::ones({part.size(0)}, at::kBool));
  return pad_stack(ones, false);
}

Tensor integers(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

/// Rows of different length as one [rows, longest] tensor, at least one column wide.
Tensor pad_integers(const std::vector<std::vector<int64_t>>& rows, int64_t value) {
  size_t longest = 1;
  for (const auto& row : rows) longest = std::max(longest, row.size());
  Tensor padded = at::full({int64_t(rows.size()), int64_t(longest)}, value, at::kLong);
  int64_t* start = padded.mutable_data_ptr<int64_t>();
  for (size_t i = 0; i < rows.size(); ++i) std::copy(rows[i].begin(), rows[i].end(), start + i * longest);
  return padded;
}

struct Augmentation {
  bool flip = false;
  int64_t shift_x = 0, shift_y = 0;
  std::optional<Crop> crop;
};

Augmentation draw_augmentation(const AugmentOptions& options, uint64_t draw, const Sample& sample) {
  Random random(draw, "augment", {uint64_t(sample.index)});
  Augmentation drawn;
  drawn.flip = random.chance(0.5) && options.flip;
  const uint64_t span = uint64_t(2 * options.face_shift + 1);
  drawn.shift_x = int64_t(random.below(span)) - options.face_shift;
  drawn.shift_y = int64_t(random.below(span)) - options.face_shift;
  const Tensor& frames_TCHW = sample.prepared.frames_TCHW;
  if (options.timechat_crop && frames_TCHW.defined() && frames_TCHW.numel() > 0) {
    Random places(draw, "crop", {uint64_t(sample.index)});
    drawn.crop = draw_crop(places, frames_TCHW.size(2), frames_TCHW.size(3));
  }
  return drawn;
}

/// Moves pictures by whole pixels; what comes in from outside is 0.
Tensor shift_pictures(const Tensor& pictures, int64_t x, int64_t y) {
  return x == 0 && y == 0 ? pictures : at::constant_pad_nd(pictures, {x, -x, y, -y}, 0);
}

Tensor augment_faces(const Tensor& faces_NCSS, const Augmentation& drawn, FaceInput input) {
  Tensor faces = shift_pictures(faces_NCSS, drawn.shift_x, drawn.shift_y);
  if (!drawn.flip) return faces;
  faces = faces.flip(3);
  if (input == FaceInput::flow) faces.select(1, 0).neg_();  // flip made a copy; a mirrored movement goes the other way
  return faces;
}

Tensor augment_frames(const Tensor& frames_TCHW, const Augmentation& drawn) {
  const Tensor frames = drawn.crop ? crop_as_timechat(frames_TCHW, *drawn.crop) : frames_TCHW;
  return drawn.flip ? frames.flip(3) : frames;
}

/// What the frozen encoder gave for each clip, as many rows as there are times, padded; undefined where it was not encoded.
Tensor encoded(const std::vector<const Sample*>& samples, std::filesystem::path Sample::*file, Tensor PreparedClip::*times) {
  const bool any = std::ranges::any_of(samples, [file](const Sample* sample) { return !(sample->*file).empty(); });
  if (!any) return {};
  std::vector<Tensor> tokens;
  for (const Sample* sample : samples) {
    MICROEMO_CHECK(!(sample->*file).empty(), "clips of a batch are encoded, and clip '{}' is not", sample->clip.id);
    tokens.push_back(read_encoded(sample->*file, (sample->prepared.*times).size(0), sample->clip.id));
  }
  return pad_stack(tokens, 0);
}

void add_pictures(ClipBatch& batch, const std::vector<const Sample*>& samples, const std::vector<Augmentation>& drawn,
                  FaceInput input) {
  batch.encoded_queries_BTQC = encoded(samples, &Sample::encoded_queries, &PreparedClip::frame_times_T);
  batch.encoded_BTSC = encoded(samples, &Sample::encoded_frames, &PreparedClip::frame_times_T);
  std::vector<Tensor> frames, frame_times, faces, face_times, face_masks;
  for (size_t i = 0; i < samples.size(); ++i) {
    const PreparedClip& clip = samples[i]->prepared;
    if (!batch.encoded_BTSC.defined() && !batch.encoded_queries_BTQC.defined())
      frames.push_back(augment_frames(clip.frames_TCHW, drawn[i]));
    frame_times.push_back(clip.frame_times_T.to(at::kFloat));
    faces.push_back(augment_faces(clip.faces_NCSS, drawn[i], input));
    face_times.push_back(clip.face_times_N.to(at::kFloat));
    face_masks.push_back(clip.face_mask_N);
  }
  if (!frames.empty()) batch.frames_BTCHW = pad_stack(frames, 0);
  batch.frame_times_BT = pad_stack(frame_times, 0);
  batch.frame_mask_BT = lengths_mask(frame_times);
  batch.faces_BNCSS = pad_stack(faces, 0);
  batch.face_times_BN = pad_stack(face_times, 0);
  batch.face_mask_BN = pad_stack(face_masks, false);
  batch.face_padding_BN = lengths_mask(face_times);
}

void add_sound(ClipBatch& batch, const std::vector<const Sample*>& samples) {
  std::vector<Tensor> mel, times;
  for (const Sample* sample : samples) {
    mel.push_back(sample->prepared.mel_FM.to(at::kFloat));
    times.push_back(sample->prepared.mel_times_F.to(at::kFloat));
  }
  batch.mel_BFM = pad_stack(mel, 0);
  batch.mel_times_BF = pad_stack(times, 0);
  batch.mel_mask_BF = lengths_mask(times);
}

void add_pieces(ClipBatch& batch, const std::vector<const Sample*>& samples, SoundInput sound) {
  batch.encoded_pieces_BKSC = encoded(samples, &Sample::encoded_sound, &PreparedClip::piece_times_K);
  std::vector<Tensor> pieces, times;
  for (const Sample* sample : samples) {
    if (!batch.encoded_pieces_BKSC.defined()) pieces.push_back(sample->prepared.pieces_K);
    times.push_back(sample->prepared.piece_times_K.to(at::kFloat));
  }
  if (!pieces.empty()) batch.pieces_BK = pad_stack(pieces, 0);
  batch.piece_times_BK = pad_stack(times, 0);
  batch.piece_mask_BK = lengths_mask(times);
  batch.piece_s = piece_seconds(sound);
}

/// Writes the times of frames for the image Q-Former.
struct TimeWriter {
  const text::Tokenizer& tokenizer;
  bool special = false;  ///< begin and end tokens go around
  int64_t rows = 0;      ///< of the Q-Former's token table; 0: as many as are needed

  std::vector<int64_t> encode(const std::string& time) const {
    std::vector<int64_t> ids = tokenizer.encode(time, {.add_special = special});
    for (const int64_t id : ids)
      if (rows > 0 && id >= rows)
        throw DataError("\"{}\" holds token {}, and the image Q-Former's table has {} rows", time, id, rows)
            .hint("name the tokenizer of its table with prompt.time_tokenizer, or set model.image_qformer.vocabulary");
    return ids;
  }
};

/// "This frame is sampled at t second." for every frame; padding frames hold -1. Frames of many clips share their times, so each
/// text is encoded once.
Tensor time_text_ids(const TimeWriter& writer, const Tensor& times_BT, const Tensor& mask_BT) {
  std::map<std::string, std::vector<int64_t>> encoded;
  std::vector<std::vector<int64_t>> rows(size_t(times_BT.numel()));
  const float* times = times_BT.const_data_ptr<float>();
  const bool* is_frame = mask_BT.const_data_ptr<bool>();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!is_frame[i]) continue;
    const std::string text = time_text(times[i]);
    const auto [entry, is_new] = encoded.try_emplace(text);
    if (is_new) entry->second = writer.encode(text);
    rows[i] = entry->second;
  }
  return pad_integers(rows, -1).view({times_BT.size(0), times_BT.size(1), -1});
}

/// The whole clip, and its utterances.
void add_clips(ClipBatch& batch, const std::vector<const Sample*>& samples) {
  std::vector<Tensor> windows;
  for (const Sample* sample : samples) {
    std::vector<float> times = {0, float(sample->prepared.duration_s) + 1};
    for (const Utterance& utterance : sample->clip.utterances)
      times.insert(times.end(), {float(utterance.start_s), float(utterance.end_s)});
    windows.push_back(at::tensor(times).view({-1, 2}));
  }
  batch.clips = {pad_stack(windows, 0), lengths_mask(windows)};
}

int64_t class_of(const std::vector<std::string>& classes, const std::string& name) {
  const auto found = std::find(classes.begin(), classes.end(), name);
  return found == classes.end() ? nn::ignored_label : found - classes.begin();
}

/// The movement's class where it is well under way, ignored at its faint ends, 0 elsewhere.
int64_t movement_at(const Clip& clip, double seconds) {
  constexpr double faint = 0.2;  // of the rise and of the fall
  int64_t label = 0;
  for (const Movement& movement : clip.movements) {
    if (seconds < movement.onset_s || seconds > movement.offset_s) continue;
    const bool strong = seconds >= movement.onset_s + faint * (movement.apex_s - movement.onset_s) &&
                        seconds <= movement.offset_s - faint * (movement.offset_s - movement.apex_s);
    label = strong ? class_of(movement_classes(), movement.unit) : nn::ignored_label;
  }
  return label;
}

std::vector<int64_t> movement_labels(const Sample& sample, const Tensor& times) {
  const bool known = std::any_of(sample.clip.utterances.begin(), sample.clip.utterances.end(),
                                 [](const Utterance& u) { return !u.face.empty(); });
  std::vector<int64_t> labels;
  const double* seconds = times.const_data_ptr<double>();
  for (int64_t i = 0; i < times.size(0); ++i) labels.push_back(known ? movement_at(sample.clip, seconds[i]) : nn::ignored_label);
  return labels;
}

/// Which movement is under way in every face frame and in every whole frame.
void add_movements(ClipBatch& batch, const std::vector<const Sample*>& samples) {
  std::vector<std::vector<int64_t>> movement, frame_movement;
  for (const Sample* sample : samples) {
    movement.push_back(movement_labels(*sample, sample->prepared.face_times_N));
    frame_movement.push_back(movement_labels(*sample, sample->prepared.frame_times_T));
  }
  batch.movement_BN = pad_integers(movement, nn::ignored_label).masked_fill_(batch.face_mask_BN.logical_not(), nn::ignored_label);
  batch.movement_BT = pad_integers(frame_movement, nn::ignored_label);
}

/// What the face and the voice do in every window; of the whole clip nothing is said.
void add_manners(ClipBatch& batch, const std::vector<const Sample*>& samples) {
  std::vector<std::vector<int64_t>> faces, voices;
  for (const Sample* sample : samples) {
    faces.push_back({nn::ignored_label});
    voices.push_back({nn::ignored_label});
    for (const Utterance& utterance : sample->clip.utterances) {
      faces.back().push_back(class_of(movement_classes(), utterance.face));
      voices.back().push_back(class_of(voice_classes(), utterance.voice));
    }
  }
  batch.window_movement_BW = pad_integers(faces, nn::ignored_label);
  batch.window_voice_BW = pad_integers(voices, nn::ignored_label);
}

void check_sample(const Sample& sample, const model::DecoderOptions& decoder) {
  if (int64_t(sample.clip.utterances.size()) > decoder.utterances)
    throw DataError("clip '{}' has {} utterances, the model takes {}", sample.clip.id, sample.clip.utterances.size(),
                    decoder.utterances)
        .hint("split the clip or merge utterances; a model that is yet to be trained takes more with model.decoder.utterances");
}

void add_features(ClipBatch& batch, const std::vector<const Sample*>& samples, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    std::vector<Tensor> vectors;
    for (const Sample* sample : samples) vectors.push_back(sample->features.at(i));
    batch.features_BC.push_back(at::stack(vectors));
  }
}

void add_rows(ClipBatch& batch, const std::vector<Row>& rows) {
  std::vector<std::vector<int64_t>> ids, media, utterance, labels;
  std::vector<int64_t> lengths;
  for (const Row& row : rows) {
    ids.push_back(row.ids);
    media.push_back(row.media);
    utterance.push_back(row.utterance);
    labels.push_back(row.labels);
    lengths.push_back(int64_t(row.ids.size()));
  }
  batch.ids_RL = pad_integers(ids, 0);
  batch.media_RL = pad_integers(media, -1);
  batch.utterance_RL = pad_integers(utterance, 0);
  batch.labels_RL = pad_integers(labels, nn::ignored_label);
  batch.lengths_R = integers(lengths);
}

}  // namespace

/// The template, read once; without one our own rows are written.
struct BatchBuilder::Prompt {
  PromptOptions options;
  std::vector<PromptAtom> atoms;
  std::shared_ptr<const text::Tokenizer> times;  ///< of the frames' times

  Tensor time_texts(const model::ModelOptions& model, const Tensor& times_BT, const Tensor& mask_BT) const {
    return time_text_ids({*times, options.time_special, model.image_qformer.vocabulary}, times_BT, mask_BT);
  }
  Row write(const RowContext& context, const Sample& sample, int64_t utterance, Purpose purpose) const {
    return atoms.empty() ? write_row(context, sample, utterance, purpose)
                         : write_template_row(context, atoms, options, sample, utterance, purpose);
  }
};

BatchBuilder::BatchBuilder(std::shared_ptr<const text::Tokenizer> tokenizer, const model::ModelOptions& model,
                           const PrepareOptions& prepare, const PromptOptions& prompt)
    : tokenizer_(std::move(tokenizer)), model_(model), prepare_(prepare) {
  check_prompt(prompt, model);
  prompt_ = std::make_shared<const Prompt>(
      Prompt{prompt, parse_prompt(prompt.text),
             prompt.time_tokenizer.empty() ? tokenizer_ : std::make_shared<const text::Tokenizer>(prompt.time_tokenizer)});
}

bool BatchBuilder::reads_times() const { return model::has_image_qformer(model_) && model_.image_qformer.timestamp_text; }

Tensor BatchBuilder::time_text(const Tensor& frame_times_T) const {
  if (!reads_times() || frame_times_T.size(0) == 0) return {};
  const Tensor times_BT = frame_times_T.to(at::kFloat).unsqueeze(0);
  return prompt_->time_texts(model_, times_BT, at::ones(times_BT.sizes(), at::kBool)).squeeze(0);
}

std::string BatchBuilder::time_text_rule() const {
  if (!reads_times()) return "";
  // Files beside the vocabulary change ids too, and not its hash: lower case, blanks, begin and end.
  const TimeWriter writer{*prompt_->times, prompt_->options.time_special};
  std::string rule = prompt_->times->hash();
  for (const double digit : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
    rule += fmt::format(" [{}]", fmt::join(writer.encode(data::time_text(digit * 1.1)), " "));
  return rule;
}

std::string BatchBuilder::end_text() const {
  const auto& atoms = prompt_->atoms;
  auto answer = std::find_if(atoms.begin(), atoms.end(), [](const PromptAtom& atom) { return atom.part == PromptPart::answer; });
  if (answer == atoms.end() || ++answer == atoms.end() || answer->part != PromptPart::text) return "";
  const size_t first = answer->text.find_first_not_of(" \n"), last = answer->text.find_last_not_of(" \n");
  return first == std::string::npos ? "" : answer->text.substr(first, last - first + 1);
}

ClipBatch BatchBuilder::build(const std::vector<const Sample*>& samples, const std::vector<Question>& questions, Purpose purpose,
                              const AugmentOptions& augment, uint64_t draw) const {
  ClipBatch batch;
  std::vector<Augmentation> drawn;
  for (const Sample* sample : samples) {
    check_sample(*sample, model_.decoder);
    drawn.push_back(draw_augmentation(augment, draw, *sample));
    batch.ids.push_back(sample->clip.id);
  }
  add_clips(batch, samples);
  const model::MediaLayout layout = model::media_layout(model_);
  if (model_.visual.enabled) {
    add_pictures(batch, samples, drawn, prepare_.face_input);
    if (reads_times()) batch.time_text_BTL = prompt_->time_texts(model_, batch.frame_times_BT, batch.frame_mask_BT);
    batch.video_windows = model::windows_of(layout.video, batch.clips, batch.frame_times_BT, batch.frame_mask_BT);
  }
  if (model_.audio.enabled) {
    const bool whole = prepare_.sound == SoundInput::log_mel;
    whole ? add_sound(batch, samples) : add_pieces(batch, samples, prepare_.sound);
    batch.audio_windows = whole ? model::windows_of(layout.audio, batch.clips, batch.mel_times_BF, batch.mel_mask_BF)
                                : model::windows_of(layout.audio, batch.clips, batch.piece_times_BK, batch.piece_mask_BK);
  }
  add_features(batch, samples, model_.features.names.size());
  if (purpose == Purpose::train) {
    if (model_.visual.enabled) add_movements(batch, samples);
    add_manners(batch, samples);
  }

  std::vector<Row> rows;
  for (const Question& question : questions) {
    const Sample& sample = *samples.at(size_t(question.sample));
    rows.push_back(prompt_->write({*tokenizer_, batch, layout, question.sample}, sample, question.utterance, purpose));
    if (int64_t(rows.back().ids.size()) > model_.decoder.max_tokens)
      throw DataError("the question about utterance {} of clip '{}' takes {} tokens, the decoder {}", question.utterance,
                      sample.clip.id, rows.back().ids.size(), model_.decoder.max_tokens)
          .hint(
              "split the clip or shorten its words; a model that is yet to be trained takes more with model.decoder.max_tokens");
  }
  add_rows(batch, rows);
  return batch;
}

}  // namespace microemo::data
