// Shapes: T whole frames of a clip, K pieces of sound, S tokens of each, C channels.
#include "microemo/train/encode_clips.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/base/log.h"
#include "microemo/base/progress.h"
#include "microemo/base/workers.h"
#include "microemo/checkpoint/load.h"
#include "microemo/checkpoint/tensors.h"
#include "microemo/data/encoded.h"
#include "microemo/model/vit.h"
#include "microemo/parallel/same.h"
#include "microemo/train/fit.h"
#include "microemo/train/optimizer.h"

namespace microemo::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* frames_child = "visual_encoder";
constexpr const char* queries_child = "image_qformer";
constexpr const char* sound_child = "audio_encoder";

/// Changes when the same weights and options would give other tokens.
constexpr int64_t version = 1;

/// Frames or pieces that an encoder takes at once: a clip gives the same whatever other clips there are.
constexpr int64_t at_once = 32;

std::shared_ptr<torch::nn::Module> child_of(const model::MicroEmo& model, const std::string& name) {
  for (const auto& child : model.named_children())
    if (child.key() == name) return child.value();
  return nullptr;
}

bool is_frozen(const torch::nn::Module* module) { return module != nullptr && !learns(*module); }

/// Tokens that are kept.
struct Kept {
  data::EncodedBy by;
  std::vector<std::string> children;  ///< that compute them
  fs::path data::Sample::*file;
  std::function<int64_t(const data::Sample&)> rows;
  std::function<at::Tensor(const data::Sample&)> encode;
};

/// The weights as they are kept, and what decides how they compute.
std::string fingerprint_of(const torch::nn::Module& encoder, const Json& computes) {
  std::string text = computes.dump() + "\n";
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    const at::Tensor values = tensor.detach().cpu().contiguous();
    const std::string hash = sha256({static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
    text += fmt::format("{} {} {} {}\n", name, c10::toString(values.scalar_type()), fmt::join(values.sizes(), ","), hash);
  };
  for (const auto& item : encoder.named_parameters()) add(item.key(), item.value());
  for (const auto& item : encoder.named_buffers()) add(item.key(), item.value());
  return sha256(text);
}

Json frames_computed_by(const RunOptions& options, const std::optional<at::ScalarType>& type) {
  const bool all_tokens =
      model::has_image_qformer(options.model) || options.model.video_qformer.pooling == model::VideoPooling::patches;
  return {{"version", version},
          {"options", options_to_json(options.model.visual)},
          {"gives", all_tokens ? "tokens" : "features"},
          {"computes_in", c10::toString(type.value_or(at::kFloat))}};
}

/// The encoder's own options alone: those of what reads its tokens change nothing.
Json sound_computed_by(const model::AudioBranchOptions& o) {
  return {{"version", version}, {"style", int64_t(o.style)},       {"layers", o.layers},
          {"heads", o.heads},   {"piece_tokens", o.piece_tokens},  {"joint_normalisation", o.joint_normalisation},
          {"hidden", o.hidden}, {"wave_channels", o.wave_channels}};
}

/// Rows of an input, so many at once.
at::Tensor in_turns(const at::Tensor& input_n, const at::Device& device,
                    const std::function<at::Tensor(const at::Tensor& some_n, int64_t first)>& encode) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> tokens;
  for (int64_t first = 0; first == 0 || first < input_n.size(0); first += at_once)
    tokens.push_back(encode(input_n.slice(0, first, first + at_once).to(device), first).cpu());
  return at::cat(tokens);
}

int64_t frames_of(const data::Sample& sample) { return sample.prepared.frame_times_T.size(0); }

std::string fingerprint_of_frames(const RunOptions& options, const model::MicroEmo& model, const at::Device& device) {
  return fingerprint_of(*child_of(model, frames_child),
                        frames_computed_by(options, compute_type(options.train.compute_dtype, device)));
}

Kept kept_frames(const RunOptions& options, const model::MicroEmo& model, const at::Device& device) {
  const auto encode = [&model, device](const data::Sample& sample) {
    return in_turns(data::read_prepared_frames(sample.entry), device,
                    [&](const at::Tensor& frames_n3HW, int64_t) { return model.encode_frames(frames_n3HW); });
  };
  return {{"frames", fingerprint_of_frames(options, model, device)},
          {frames_child},
          &data::Sample::encoded_frames,
          frames_of,
          encode};
}

/// Behind those of the ViT.
Kept kept_queries(const RunOptions& options, const std::shared_ptr<const data::BatchBuilder>& builder,
                  const model::MicroEmo& model, const at::Device& device) {
  const Json computes = {{"version", version},
                         {"options", options_to_json(options.model.image_qformer)},
                         {"time_text", builder->time_text_rule()},
                         {"frames", fingerprint_of_frames(options, model, device)}};
  const auto encode = [&model, device, builder](const data::Sample& sample) {
    const at::Tensor text_TL = builder->time_text(sample.prepared.frame_times_T);
    return in_turns(data::read_prepared_frames(sample.entry), device, [&](const at::Tensor& frames_n3HW, int64_t first) {
      return model.encode_queries(frames_n3HW, text_TL.defined() ? text_TL.slice(0, first, first + at_once) : text_TL);
    });
  };
  return {{"frame-queries", fingerprint_of(*child_of(model, queries_child), computes)},
          {frames_child, queries_child},
          &data::Sample::encoded_queries,
          frames_of,
          encode};
}

Kept kept_sound(const RunOptions& options, const model::MicroEmo& model, const at::Device& device) {
  const auto encode = [&model, device](const data::Sample& sample) {
    return in_turns(sample.prepared.pieces_K, device,
                    [&](const at::Tensor& pieces_n, int64_t) { return model.encode_pieces(pieces_n); });
  };
  return {{"sound", fingerprint_of(*child_of(model, sound_child), sound_computed_by(options.model.audio))},
          {sound_child},
          &data::Sample::encoded_sound,
          [](const data::Sample& sample) { return sample.prepared.piece_times_K.size(0); },
          encode};
}

std::vector<Kept> kept_parts(const RunOptions& options, const KeptEncoders& kept,
                             const std::shared_ptr<const text::Tokenizer>& tokenizer, const model::MicroEmo& model,
                             const at::Device& device) {
  std::vector<Kept> parts;
  if (kept.queries) {
    const auto builder = std::make_shared<const data::BatchBuilder>(tokenizer, options.model, options.prepare, options.prompt);
    parts.push_back(kept_queries(options, builder, model, device));
  } else if (kept.frames) {
    parts.push_back(kept_frames(options, model, device));
  }
  if (kept.sound) parts.push_back(kept_sound(options, model, device));
  return parts;
}

/// The values of encoders that come from a checkpoint, as the trainer will load them with the rest.
void load_encoders(model::MicroEmo& model, const KeptEncoders& kept, const fs::path& folder) {
  const fs::path file = folder / "model.safetensors";
  const auto is_of = [](const std::string& name, const char* child) { return name.starts_with(std::string(child) + "."); };
  const auto is_kept = [&](const std::string& name) {
    return (kept.frames && is_of(name, frames_child)) || (kept.queries && is_of(name, queries_child)) ||
           (kept.sound && is_of(name, sound_child));
  };
  checkpoint::NamedTensors tensors = checkpoint::read_tensors(file);
  std::erase_if(tensors, [&](const auto& one) { return !is_kept(one.first); });
  checkpoint::LoadOptions options{.source = file, .exact_type = true};
  for (const auto& [name, tensor] : checkpoint::tensors_of(model))
    if (!is_kept(name)) options.instead[name] = {};
  checkpoint::load_into(model, tensors, options);
}

void bring(const model::MicroEmo& model, const Kept& part, const at::Device& device) {
  for (const std::string& child : part.children) child_of(model, child)->to(device);
}

/// A file that is to be written, and a clip to write it for; clips of the same contents share files.
using Missing = std::map<fs::path, const data::Sample*>;

std::vector<data::Sample*> samples_of(TrainingData& data) {
  std::vector<data::Sample*> samples;
  for (auto* list : {&data.samples, &data.validation})
    for (data::Sample& sample : *list) samples.push_back(&sample);
  return samples;
}

Missing name_files(const fs::path& cache, const Kept& part, const std::vector<data::Sample*>& samples) {
  Missing files;
  for (data::Sample* sample : samples) {
    MICROEMO_CHECK(!sample->entry.empty(), "clip '{}' was not read from a cache", sample->clip.id);
    sample->*part.file = data::encoded_file(cache, part.by, sample->entry);
    files.emplace(sample->*part.file, sample);
  }
  return files;
}

Missing without_those_there(const Kept& part, Missing files) {
  std::erase_if(files, [&](const auto& one) { return data::has_encoded(one.first, part.by, part.rows(*one.second)); });
  return files;
}

/// Hours are not to be lost to a disk that cannot take what is still to come, judged by the first file.
void warn_of_a_small_disk(const fs::path& first_file, int64_t files) {
  constexpr double gb = 1e9;
  std::error_code trouble;
  const auto bytes = fs::file_size(first_file, trouble);
  const fs::space_info disk = trouble ? fs::space_info{} : fs::space(first_file.parent_path(), trouble);
  const double needed = double(bytes) * double(files - 1);
  if (trouble || needed <= double(disk.available)) return;
  log_warning(fmt::format("{} clips of about {:.1f} MB each take {:.1f} GB more, and the disk of {} has {:.1f} GB left",
                          files - 1, double(bytes) / 1e6, needed / gb, first_file.parent_path().string(),
                          double(disk.available) / gb));
}

/// Encodes every `world`-th from the own rank on; returns how many. Ends early when it has to stop.
int64_t fill(const Kept& part, const Missing& missing, Share share, parallel::Group& group, const std::function<bool()>& stops) {
  const auto own = (int64_t(missing.size()) + share.world - 1 - share.rank) / share.world;
  if (own == 0) return 0;
  Progress progress("encode " + part.by.part, "clips", own);
  int64_t place = 0, done = 0;
  for (const auto& [file, sample] : missing) {
    if (place++ % share.world != share.rank) continue;
    if (stops()) break;
    // Every clip is a sign of life: all of them may take hours.
    group.enter(parallel::Phase::start, ++done);
    const at::Tensor tokens = part.encode(*sample);
    try {
      data::write_encoded(file, part.by, tokens);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      throw DataError("clip '{}': {}", sample->clip.id, error.message()).where(sample->entry).hint(error.next_step());
    }
    if (group.first() && done == 1) warn_of_a_small_disk(file, int64_t(missing.size()));
    progress.add();
  }
  return done;
}

void give_up_inputs(const KeptEncoders& kept, data::Sample& sample) {
  data::PreparedClip& clip = sample.prepared;
  if (!kept.frames && clip.frames_TCHW.numel() == 0) clip.frames_TCHW = data::read_prepared_frames(sample.entry);
  if (kept.frames) clip.frames_TCHW = at::empty({clip.frame_times_T.size(0), 0, 0, 0}, at::kByte);
  if (kept.sound) clip.pieces_K = at::empty({clip.piece_times_K.size(0), 0}, at::kFloat);
}

void require_steady_frames(const data::AugmentOptions& augment) {
  const char* key = augment.flip ? "train.augment.flip" : (augment.timechat_crop ? "train.augment.timechat_crop" : nullptr);
  if (key == nullptr) return;
  throw ConfigError("frames that are changed at random in every step cannot be encoded once")
      .at(fmt::format("train.encoder_cache and {}", key))
      .hint(fmt::format("set {}=false, or leave train.encoder_cache empty", key));
}

/// The option that makes a piece's tokens others in every step, or depend on the other clips of the batch; nullptr for none.
const char* unsteady_sound(const model::AudioBranchOptions& o) {
  if (o.style == model::AudioStyle::imagebind && o.drop_path > 0) return "model.audio.drop_path";
  return o.style == model::AudioStyle::hubert && o.joint_normalisation ? "model.audio.joint_normalisation" : nullptr;
}

}  // namespace

KeptEncoders kept_encoders(const RunOptions& options, const model::MicroEmo& model) {
  const model::ModelOptions& o = options.model;
  const bool public_sound = o.audio.enabled && o.audio.style != model::AudioStyle::plain,
             frozen_sound = public_sound && is_frozen(child_of(model, sound_child).get());
  const char* unsteady = unsteady_sound(o.audio);
  KeptEncoders kept{.frames = is_frozen(child_of(model, frames_child).get()), .sound = frozen_sound && unsteady == nullptr};
  if (!kept.frames && frozen_sound && !kept.sound)
    throw ConfigError("it has no effect: what the frozen encoder of sound gives for a clip is not the same in every step")
        .at(fmt::format("train.encoder_cache and {}", unsteady))
        .hint("leave train.encoder_cache empty, or freeze the encoder of frames");
  if (!kept.frames && !kept.sound)
    throw ConfigError("it has no effect: no encoder of frames or of pieces of sound is frozen")
        .at("train.encoder_cache")
        .hint(
            "name visual_encoder.*, or audio_encoder.* of a public encoder (model.audio.style), in train.frozen, or leave "
            "train.encoder_cache empty");
  if (kept.frames) require_steady_frames(options.train.augment);
  const model::ImageQFormerOptions& qformer = o.image_qformer;
  kept.queries = kept.frames && is_frozen(child_of(model, queries_child).get()) && qformer.dropout == 0 && !qformer.keep_text;
  const bool reads_faces = o.local.enabled && o.local.encoder == model::FaceEncoder::shared;
  if (kept.frames && !reads_faces) kept.not_run.emplace_back(frames_child);
  if (kept.queries) kept.not_run.emplace_back(queries_child);
  if (kept.sound) kept.not_run.emplace_back(sound_child);
  return kept;
}

EncodedClips encode_clips(const RunOptions& options, TrainingData& data, const std::shared_ptr<const text::Tokenizer>& tokenizer,
                          model::MicroEmo& model, const fs::path& checkpoint, const at::Device& device, parallel::Group& group,
                          const std::function<bool()>& stops) {
  EncodedClips result{.kept = kept_encoders(options, model)};
  if (!checkpoint.empty()) load_encoders(model, result.kept, checkpoint);
  if (const auto type = compute_type(options.train.compute_dtype, device)) model.compute_in(*type);
  const std::vector<data::Sample*> samples = samples_of(data);
  const fs::path& cache = options.train.encoder_cache;
  const Share own{group.rank(), group.world()};
  for (const Kept& part : kept_parts(options, result.kept, tokenizer, model, device)) {
    parallel::require_same(group, {{"the frozen encoder of " + part.by.part, part.by.fingerprint}});
    const Missing files = name_files(cache, part, samples), missing = without_those_there(part, files);
    // Every rank has looked before the first writes.
    group.barrier();
    if (!missing.empty()) bring(model, part, device);
    double done = double(fill(part, missing, own, group, stops));
    result.stopped = group.any(stops());
    if (!result.stopped && !group.alone()) done += double(fill(part, without_those_there(part, missing), {}, group, stops));
    bring(model, part, at::kCPU);
    result.stopped = group.any(stops());
    result.clips = std::max(result.clips, int64_t(files.size()));
    result.encoded += int64_t(group.sums({done})[0]);
    log_info(fmt::format("encoder cache: {} of {} clips were there for the frozen encoder of {}, in {}",
                         files.size() - missing.size(), files.size(), part.by.part,
                         data::encoded_folder(cache, part.by).string()));
    if (result.stopped) return result;
  }
  for (data::Sample* sample : samples) give_up_inputs(result.kept, *sample);
  return result;
}

}  // namespace microemo::train
