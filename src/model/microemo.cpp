// Shapes: B clips, T whole frames, N face frames, S audio tokens, W windows, Q query tokens, C width, D decoder width, R rows, L
// tokens.
#include "microemo/model/microemo.h"

#include <algorithm>
#include <iterator>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/record_function.h>

#include "alignment_heads.h"
#include "microemo/base/error.h"
#include "microemo/model/attention_pool.h"
#include "microemo/model/local_branch.h"
#include "microemo/model/pictures.h"
#include "microemo/model/qformer.h"
#include "microemo/model/sound_encoder.h"
#include "microemo/model/vit.h"
#include "microemo/model/window_qformer.h"
#include "microemo/nn/loss.h"

namespace microemo::model {
namespace {

QFormerOptions image_qformer_options(const ModelOptions& o, int64_t vocabulary) {
  const ImageQFormerOptions& given = o.image_qformer;
  QFormerOptions options{.layers = layers_of_style(given.style), .queries = given.queries};
  options.layers.layers = given.layers;
  options.layers.heads = given.heads;
  options.layers.width = frame_token_width(o);
  options.layers.hidden = given.hidden;
  options.layers.memory_width = o.visual.width;
  options.layers.look_every = given.look_every;
  if (given.timestamp_text) options.vocabulary = given.vocabulary > 0 ? given.vocabulary : vocabulary;
  options.text_layers = given.style == QFormerStyle::bert;
  options.keep_text = given.keep_text;
  options.layers.dropout = given.dropout;
  return options;
}

/// Sizes are left to the caller.
WindowQFormerOptions window_qformer_options(QFormerStyle style, const WindowOptions& window) {
  const bool both = window.has_whole() && window.has_others();
  return {.layers = layers_of_style(style),
          .utterance_queries = both && window.whole_reader != WholeReader::shared_queries,
          .whole_layers = both && window.whole_reader == WholeReader::own_layers};
}

WindowQFormerOptions video_qformer_options(const ModelOptions& o) {
  const VideoQFormerOptions& given = o.video_qformer;
  WindowQFormerOptions options = window_qformer_options(given.style, given.window);
  options.layers.layers = given.layers;
  options.layers.heads = given.heads;
  options.layers.width = video_token_width(o);
  options.layers.hidden = given.hidden;
  options.layers.memory_width = frame_token_width(o);
  options.layers.dropout = given.dropout;
  options.queries = given.queries;
  options.positions = given.positions;
  options.nothing_token = given.nothing_token;
  return options;
}

WindowQFormerOptions audio_qformer_options(const ModelOptions& o) {
  const AudioBranchOptions& given = o.audio;
  WindowQFormerOptions options = window_qformer_options(given.qformer_style, given.window);
  options.layers.layers = given.qformer_layers;
  options.layers.heads = given.qformer_heads > 0 ? given.qformer_heads : given.heads;
  options.layers.width = audio_token_width(o);
  options.layers.hidden = given.qformer_hidden;
  options.layers.memory_width = sound_token_width(o);
  options.layers.dropout = given.qformer_dropout;
  options.queries = given.queries;
  options.positions = given.positions;
  options.nothing_token = given.nothing_token;
  return options;
}

/// One vector for each of the clip and its utterances, for the alignment heads.
at::Tensor window_means(const WindowOptions& window, const at::Tensor& tokens_BWQC, const TimedTokens& memory,
                        const ClipBatch& clips) {
  if (window.windows == Windows::utterance && window.whole) return tokens_BWQC.mean(2);
  return mean_of_windows(memory, clips.clips.spans_BW2);
}

/// The clip as one window.
WindowOptions without_windows(WindowOptions window) {
  window.windows = Windows::none;
  return window;
}

/// Tokens of a single frame leave no room for what mixes frames and faces.
void check_patches(const ModelOptions& o, const Vit& encoder) {
  const VideoQFormerOptions& given = o.video_qformer;
  if (given.queries * given.merge != encoder.patches())
    throw ConfigError("{} tokens of {} patches each are asked for, and a frame has {} patches", given.queries, given.merge,
                      encoder.patches())
        .at("model.video_qformer.queries and model.video_qformer.merge")
        .hint(fmt::format("set model.video_qformer.queries={}", encoder.patches() / given.merge));
  if (o.local.enabled)
    throw ConfigError("the patches of a frame go to the decoder as they are, and the local branch would change them")
        .at("model.local.enabled and model.video_qformer.pooling")
        .hint("set model.local.enabled=false, or another pooling");
}

void check_features(const FeatureOptions& given) {
  if (given.names.size() != given.widths.size())
    throw ConfigError("{} features have names, and {} have widths", given.names.size(), given.widths.size())
        .at("model.features.names and model.features.widths")
        .hint("give every feature its width, in the order of the names");
  for (size_t i = 0; i < given.names.size(); ++i)
    if (given.names[i].empty() || std::ranges::count(given.names, given.names[i]) > 1)
      throw ConfigError("the feature name '{}' is empty or stands twice", given.names[i])
          .at("model.features.names")
          .hint("give every feature a name of its own, that of the manifest");
}

/// A range under the part's name, which profilers and train/cost.h see.
template <class Compute>
auto in_part(const char* name, Compute&& compute) {
  at::RecordFunction range(at::RecordScope::USER_SCOPE);
  if (range.isActive()) range.before(name);
  return compute();
}

/// Tokens of a batch's frames that were computed before: they are right for what is not trained.
at::Tensor checked(const at::Tensor& tokens_BTSC, const ClipBatch& clips, const std::vector<at::Tensor>& parameters) {
  MICROEMO_CHECK(tokens_BTSC.dim() == 4 && tokens_BTSC.sizes().slice(0, 2) == clips.frame_mask_BT.sizes(),
                 "frames that were encoded before do not fit the frames of the batch");
  const bool learns = std::ranges::any_of(parameters, &at::Tensor::requires_grad);
  MICROEMO_CHECK(!learns || !at::GradMode::is_enabled(), "frames that were encoded before cannot teach the picture encoder");
  return tokens_BTSC.flatten(0, 1).to(at::kFloat);
}

/// Parts that draw their dropout from the keys of a clip.
enum Place : uint64_t { image_qformer, video_qformer, audio_qformer, sound_encoder };

int64_t first_above_zero(int64_t first, int64_t second) { return first > 0 ? first : second; }

}  // namespace

bool has_image_qformer(const ModelOptions& o) {
  return o.visual.enabled && o.visual.style != VisualStyle::clip && o.video_qformer.pooling != VideoPooling::patches;
}

int64_t frame_token_width(const ModelOptions& o) {
  if (o.video_qformer.pooling == VideoPooling::patches) return o.video_qformer.merge * o.visual.width;
  if (o.visual.style == VisualStyle::clip) return o.visual.projection;
  return first_above_zero(o.image_qformer.width, o.visual.width);
}

int64_t video_token_width(const ModelOptions& o) {
  if (o.video_qformer.pooling != VideoPooling::qformer) return frame_token_width(o);
  return first_above_zero(o.video_qformer.width, frame_token_width(o));
}

int64_t sound_token_width(const ModelOptions& o) {
  return o.audio.style == AudioStyle::imagebind ? o.audio.projection : o.audio.width;
}

int64_t audio_token_width(const ModelOptions& o) {
  if (o.audio.pooling == Pooling::attention) return sound_token_width(o);
  return first_above_zero(o.audio.qformer_width, sound_token_width(o));
}

MicroEmo::MicroEmo(const ModelOptions& options, const InputShapes& shapes) : options_(options), shapes_(shapes) {
  const int64_t vocabulary = first_above_zero(options.decoder.vocabulary, shapes.vocabulary);
  if (options.visual.enabled) build_video(vocabulary);
  if (options.audio.enabled) build_audio();
  if (options.fusion.enabled && options.visual.enabled && options.audio.enabled) {
    fusion_ = register_module("fusion", std::make_shared<AttentionFusion>(frame_token_width(options), sound_token_width(options),
                                                                          options.fusion.width));
    fusion_projection_ =
        register_module("fusion_projection", std::make_shared<nn::Linear>(options.fusion.width, options.decoder.width));
  }
  build_features();
  decoder_ = register_module("decoder", std::make_shared<Decoder>(options.decoder, vocabulary));
  alignment_ = register_module("alignment", std::make_shared<AlignmentHeads>(options, shapes));
}

void MicroEmo::build_video(int64_t vocabulary) {
  const int64_t width = frame_token_width(options_);
  visual_encoder_ = register_module("visual_encoder",
                                    std::make_shared<Vit>(frame_vit(options_.visual, shapes_.frame_height, shapes_.frame_width)));
  if (has_image_qformer(options_))
    image_qformer_ = register_module("image_qformer", std::make_shared<QFormer>(image_qformer_options(options_, vocabulary)));
  if (options_.local.enabled) {
    const SharedEncoder shared{visual_encoder_, options_.visual.style};
    local_branch_ = register_module("local_branch", std::make_shared<LocalBranch>(options_.local, shapes_, width, shared));
    global_local_ = register_module("global_local", std::make_shared<GlobalLocalAttention>(options_.local, width));
  }
  if (options_.video_qformer.pooling == VideoPooling::patches)
    check_patches(options_, *visual_encoder_);
  else if (options_.video_qformer.pooling == VideoPooling::attention)
    video_pool_ = register_module("video_pool", std::make_shared<AttentionPool>(width));
  else
    video_qformer_ = register_module("video_qformer", std::make_shared<WindowQFormer>(video_qformer_options(options_)));
  video_projection_ =
      register_module("video_projection", std::make_shared<nn::Linear>(video_token_width(options_), options_.decoder.width));
}

void MicroEmo::build_audio() {
  sound_encoder_ = std::make_unique<SoundEncoder>(*this, options_.audio, shapes_);
  if (options_.audio.pooling == Pooling::attention)
    audio_pool_ = register_module("audio_pool", std::make_shared<AttentionPool>(sound_token_width(options_)));
  else
    audio_qformer_ = register_module("audio_qformer", std::make_shared<WindowQFormer>(audio_qformer_options(options_)));
  audio_projection_ =
      register_module("audio_projection", std::make_shared<nn::Linear>(audio_token_width(options_), options_.decoder.width));
}

void MicroEmo::build_features() {
  const FeatureOptions& given = options_.features;
  check_features(given);
  for (size_t i = 0; i < given.names.size(); ++i)
    feature_projections_.push_back(register_module("feature_projection" + std::to_string(i),
                                                   std::make_shared<nn::Linear>(given.widths[i], options_.decoder.width)));
  if (!given.class_token) return;
  if (!visual_encoder_ || options_.video_qformer.pooling != VideoPooling::patches)
    throw ConfigError("a class token is asked for, and the model takes no patches of a frame")
        .at("model.features.class_token and model.video_qformer.pooling")
        .hint("set model.video_qformer.pooling=patches, or model.features.class_token=false");
  if (options_.visual.style == VisualStyle::plain)
    throw ConfigError("a class token is asked for, and the encoder of style plain has none")
        .at("model.features.class_token and model.visual.style")
        .hint("set model.visual.style=eva, or model.features.class_token=false");
  class_projection_ =
      register_module("class_projection", std::make_shared<nn::Linear>(options_.visual.width, options_.decoder.width));
}

MicroEmo::~MicroEmo() = default;

void MicroEmo::compute_in(at::ScalarType type) {
  decoder_->compute_in(type);
  if (visual_encoder_) visual_encoder_->compute_in(type);
}

void MicroEmo::replay_shapes() {
  if (visual_encoder_) visual_encoder_->replay_shapes();
  if (local_branch_) local_branch_->replay_shapes();
  if (sound_encoder_) sound_encoder_->replay_shapes();
}

at::Tensor MicroEmo::encoded_frames(const ClipBatch& clips) const {
  if (!clips.encoded_BTSC.defined()) return encode_frames(clips.frames_BTCHW.flatten(0, 1));
  return checked(clips.encoded_BTSC, clips, visual_encoder_->parameters());
}

at::Tensor MicroEmo::frame_queries(const ClipBatch& clips) const {
  if (clips.encoded_queries_BTQC.defined()) {
    std::vector<at::Tensor> parameters = visual_encoder_->parameters();
    std::ranges::copy(image_qformer_->parameters(), std::back_inserter(parameters));
    return checked(clips.encoded_queries_BTQC, clips, parameters);
  }
  const at::Tensor text_nL = options_.image_qformer.timestamp_text ? clips.time_text_BTL.flatten(0, 1) : at::Tensor();
  const nn::DropoutKeys keys_n = clips.clip_keys.at(Place::image_qformer).parts(clips.frame_mask_BT.size(1));
  const at::Tensor seen_nSC = encoded_frames(clips);
  return in_part("image_qformer", [&] { return image_qformer_->forward(seen_nSC, text_nL, nullptr, keys_n); });
}

at::Tensor MicroEmo::encode_queries(const at::Tensor& frames_n3HW, const at::Tensor& text_nL) const {
  if (frames_n3HW.size(0) == 0) return at::zeros({0, options_.image_qformer.queries, frame_token_width(options_)});
  return image_qformer_->forward(encode_frames(frames_n3HW), text_nL);
}

at::Tensor MicroEmo::encode_pieces(const at::Tensor& pieces_n) const { return sound_encoder_->encode(pieces_n); }

at::Tensor MicroEmo::encode_frames(const at::Tensor& frames_n3HW) const {
  // The shape of none is that of any.
  if (frames_n3HW.size(0) == 0)
    return encode_frames(at::zeros({1, 3, shapes_.frame_height, shapes_.frame_width}, frames_n3HW.options())).slice(0, 0, 0);
  const at::Tensor pictures_n3HW = normalised_pictures(options_.visual.style, frames_n3HW);
  return in_part("visual_encoder", [&] {
    return has_image_qformer(options_) || options_.video_qformer.pooling == VideoPooling::patches
               ? visual_encoder_->forward(pictures_n3HW)
               : visual_encoder_->features(pictures_n3HW).unsqueeze(1);
  });
}

MicroEmo::Seen MicroEmo::see_patches(const ClipBatch& clips) const {
  const int64_t batch = clips.frame_mask_BT.size(0), frames = clips.frame_mask_BT.size(1);
  require_moments(clips.frame_mask_BT, clips.ids);
  if (frames > 1)
    throw DataError("{} frames of a clip, and the model takes the patches of one", frames)
        .hint("set prepare.frame_rule=uniform and prepare.frame_count=1, and prepare again");
  const at::Tensor tokens_nSC = encoded_frames(clips);
  const at::Tensor patches_nPC = tokens_nSC.slice(1, tokens_nSC.size(1) - visual_encoder_->patches());
  const at::Tensor merged_BTQM = patches_nPC.reshape({batch, frames, options_.video_qformer.queries, -1});
  return {{merged_BTQM, clips.frame_times_BT, clips.frame_mask_BT},
          class_projection_ ? tokens_nSC.select(1, 0).view({batch, frames, -1}) : at::Tensor()};
}

MicroEmo::Seen MicroEmo::look(const ClipBatch& clips, AlignmentInput* for_alignment) const {
  const int64_t batch = clips.frame_mask_BT.size(0), frames = clips.frame_mask_BT.size(1), width = frame_token_width(options_);
  if (options_.video_qformer.pooling == VideoPooling::patches) {
    Seen seen = see_patches(clips);
    if (for_alignment) for_alignment->frames_BTC = seen.frames.tokens_BTPM.mean(2);
    return seen;
  }
  at::Tensor frames_BTQC;
  if (image_qformer_) {
    frames_BTQC = frame_queries(clips).view({batch, frames, -1, width});
  } else {
    frames_BTQC = encoded_frames(clips).view({batch, frames, 1, width});
  }
  if (local_branch_) {
    const at::Tensor faces_BNC = in_part("local_branch", [&] {
      return local_branch_->forward(clips.faces_BNCSS, clips.face_times_BN, clips.face_mask_BN, clips.face_padding_BN);
    });
    frames_BTQC = in_part("global_local", [&] {
      return global_local_->forward(frames_BTQC, faces_BNC, clips.frame_times_BT, clips.frame_mask_BT, clips.face_times_BN,
                                    clips.face_padding_BN);
    });
    if (for_alignment) for_alignment->faces_BNC = faces_BNC;
  }
  if (for_alignment) for_alignment->frames_BTC = frames_BTQC.mean(2);
  return {{frames_BTQC, clips.frame_times_BT, clips.frame_mask_BT}, {}};
}

at::Tensor MicroEmo::video_tokens(const ClipBatch& clips, const TimedTokens& frames, AlignmentInput* for_alignment) const {
  if (video_pool_) {
    if (for_alignment) for_alignment->video_BWC = mean_of_windows(frames, clips.clips.spans_BW2);
    return video_projection_->forward(video_pool_->forward(frames, clips.ids));
  }
  if (!video_qformer_) {
    if (for_alignment) for_alignment->video_BWC = mean_of_windows(frames, clips.clips.spans_BW2);
    return video_projection_->forward(frames.tokens_BTPM);
  }
  const TimedTokens memory = video_qformer_->placed(frames);
  const at::Tensor video_BWQC = in_part("video_qformer", [&] {
    return video_qformer_->forward(memory, clips.video_windows, clips.ids, clips.clip_keys.at(Place::video_qformer));
  });
  if (for_alignment) for_alignment->video_BWC = window_means(options_.video_qformer.window, video_BWQC, memory, clips);
  return video_projection_->forward(video_BWQC);
}

at::Tensor MicroEmo::audio_tokens(const ClipBatch& clips, const TimedTokens& sound, AlignmentInput* for_alignment) const {
  if (audio_pool_) {
    if (for_alignment) for_alignment->audio_BWC = mean_of_windows(sound, clips.clips.spans_BW2);
    return audio_projection_->forward(audio_pool_->forward(sound, clips.ids));
  }
  const TimedTokens memory = audio_qformer_->placed(sound);
  const at::Tensor audio_BWQC = in_part("audio_qformer", [&] {
    return audio_qformer_->forward(memory, clips.audio_windows, clips.ids, clips.clip_keys.at(Place::audio_qformer));
  });
  if (for_alignment) for_alignment->audio_BWC = window_means(options_.audio.window, audio_BWQC, memory, clips);
  return audio_projection_->forward(audio_BWQC);
}

at::Tensor MicroEmo::feature_tokens(const ClipBatch& clips, const at::Tensor& class_BTC) const {
  MICROEMO_CHECK(clips.features_BC.size() == feature_projections_.size(), "a batch with {} features, and the model reads {}",
                 clips.features_BC.size(), feature_projections_.size());
  std::vector<at::Tensor> tokens_BD;
  for (size_t i = 0; i < feature_projections_.size(); ++i)
    tokens_BD.push_back(feature_projections_[i]->forward(clips.features_BC[i]));
  if (class_projection_) tokens_BD.push_back(class_projection_->forward(class_BTC.select(1, 0)));
  return at::stack(tokens_BD, 1).flatten(0, 1);
}

at::Tensor MicroEmo::media_tokens(const ClipBatch& clips, AlignmentInput* for_alignment) const {
  std::vector<at::Tensor> tables;
  Seen seen;
  TimedTokens sound;
  if (visual_encoder_) {
    seen = look(clips, for_alignment);
    tables.push_back(video_tokens(clips, seen.frames, for_alignment).flatten(0, 2));
  }
  if (sound_encoder_) {
    sound = in_part("audio_encoder", [&] { return sound_encoder_->forward(clips, clips.clip_keys.at(Place::sound_encoder)); });
    tables.push_back(audio_tokens(clips, sound, for_alignment).flatten(0, 2));
  }
  if (fusion_) tables.push_back(fusion_projection_->forward(fusion_->forward(seen.frames, sound, clips.ids)));
  if (options_.features.tokens() > 0) tables.push_back(feature_tokens(clips, seen.class_BTC));
  return tables.empty() ? at::zeros({0, options_.decoder.width}, decoder_->output_weight().options()) : at::cat(tables);
}

at::Tensor MicroEmo::spliced(const at::Tensor& ids_N, const at::Tensor& media_N, const at::Tensor& utterance_N,
                             const at::Tensor& table_mD) const {
  at::Tensor tokens_ND = decoder_->embed(ids_N);
  if (table_mD.size(0) > 0)
    tokens_ND = at::where(media_N.ge(0).unsqueeze(1), table_mD.index_select(0, media_N.clamp_min(0)), tokens_ND);
  return decoder_->add_utterances(tokens_ND, utterance_N);
}

at::Tensor MicroEmo::splice(const ClipBatch& clips, const at::Tensor& media) const {
  return spliced(clips.ids_RL.flatten(), clips.media_RL.flatten(), clips.utterance_RL.flatten(), media)
      .view({clips.ids_RL.size(0), clips.ids_RL.size(1), -1});
}

void MicroEmo::add_answer(const ClipBatch& clips, const at::Tensor& media_nD, BatchLoss& loss) const {
  const at::Tensor &lengths_R = clips.lengths_R, &labels_RL = clips.labels_RL;
  MICROEMO_CHECK(lengths_R.is_cpu() && labels_RL.is_cpu(), "lengths and labels of rows are read on the CPU");
  const PackedRows rows{{lengths_R.const_data_ptr<int64_t>(), lengths_R.const_data_ptr<int64_t>() + lengths_R.numel()}};
  const at::Tensor place_L = at::arange(labels_RL.size(1), lengths_R.options());
  const at::Tensor real_N = place_L.lt(lengths_R.unsqueeze(1)).flatten().nonzero().squeeze(1);
  const at::Tensor labels_N = labels_RL.flatten().index_select(0, real_N),
                   learned_n = labels_N.ne(nn::ignored_label).nonzero().squeeze(1);
  const auto there = [&](const at::Tensor& t) { return t.to(media_nD.device(), at::kLong, /*non_blocking=*/true); };
  const at::Tensor real_there_N = there(real_N);
  const auto real = [&](const at::Tensor& t_RL) { return t_RL.flatten().index_select(0, real_there_N); };
  const at::Tensor tokens_ND = spliced(real(clips.ids_RL), real(clips.media_RL), real(clips.utterance_RL), media_nD);
  const at::Tensor hidden_nD = decoder_->forward_packed(tokens_ND, rows, there(learned_n), clips.row_keys);
  loss.terms.push_back({"answer",
                        nn::linear_cross_entropy_sum(hidden_nD, decoder_->output_weight(), labels_N.index_select(0, learned_n)),
                        double(learned_n.size(0)), options_.alignment.answer});
}

BatchLoss MicroEmo::forward(const ClipBatch& clips) const {
  AlignmentInput for_alignment;
  const at::Tensor media_nD = media_tokens(clips, &for_alignment);
  BatchLoss loss;
  if (options_.alignment.answer > 0) in_part("decoder", [&] { add_answer(clips, media_nD, loss); });
  in_part("alignment", [&] { alignment_->add_terms(clips, for_alignment, loss); });
  return loss;
}

std::map<std::string, int64_t> MicroEmo::recomputable() const {
  std::map<std::string, int64_t> parts;
  if (image_qformer_) parts["image_qformer"] = options_.image_qformer.layers;
  if (video_qformer_) parts["video_qformer"] = options_.video_qformer.layers;
  if (audio_qformer_) parts["audio_qformer"] = options_.audio.qformer_layers;
  if (local_branch_) parts["faces"] = options_.local.temporal_layers;
  return parts;
}

void MicroEmo::recompute_layers(const std::string& part, const std::vector<bool>& chosen) {
  MICROEMO_CHECK(recomputable().contains(part), "the model has no part '{}' that is computed again", part);
  if (part == "image_qformer") image_qformer_->recompute_layers(chosen);
  if (part == "video_qformer") video_qformer_->recompute_layers(chosen);
  if (part == "audio_qformer") audio_qformer_->recompute_layers(chosen);
  if (part == "faces") local_branch_->recompute_layers(chosen);
}

MediaLayout media_layout(const ModelOptions& o) {
  const bool one_video = o.video_qformer.pooling == VideoPooling::attention, one_audio = o.audio.pooling == Pooling::attention;
  MediaLayout layout{.fused = o.fusion.enabled && o.visual.enabled && o.audio.enabled, .features = o.features.tokens()};
  if (o.visual.enabled) layout.video_queries = one_video ? 1 : o.video_qformer.queries;
  if (o.audio.enabled) layout.audio_queries = one_audio ? 1 : o.audio.queries;
  const bool windows = o.video_qformer.pooling == VideoPooling::qformer;
  layout.video = windows ? o.video_qformer.window : without_windows(o.video_qformer.window);
  layout.audio = one_audio ? without_windows(o.audio.window) : o.audio.window;
  return layout;
}

}  // namespace microemo::model
