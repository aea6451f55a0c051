#include "microemo/model/hubert.h"

#include <ATen/ops/_weight_norm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/conv1d.h>
#include <ATen/ops/div.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include "load_encoder.h"
#include "microemo/base/error.h"
#include "microemo/nn/convolution.h"

namespace microemo::model {
namespace {

constexpr double wave_norm_epsilon = 1e-5, sample_epsilon = 1e-7;

/// [B, T], true before each row's length.
at::Tensor before(const std::vector<int64_t>& lengths, int64_t size, const at::Device& device) {
  return (at::arange(size).unsqueeze(0) < at::tensor(lengths, at::kLong).unsqueeze(1)).to(device);
}

}  // namespace

/// Convolution over the waveform, its norm if it has one, GELU.
class Hubert::WaveLayer : public nn::Convolution {
 public:
  WaveLayer(const nn::ConvolutionOptions& convolution, WaveNorm norm, bool is_first) : nn::Convolution(convolution) {
    if (norm == WaveNorm::every_layer)
      layer_norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(convolution.out, wave_norm_epsilon));
    else if (is_first)
      channel_norm_ = register_module("norm", std::make_shared<nn::ChannelNorm>(convolution.out, wave_norm_epsilon));
  }
  at::Tensor forward(const at::Tensor& x_BCT) const {
    at::Tensor y_BCT = nn::Convolution::forward(x_BCT);
    if (layer_norm_) y_BCT = layer_norm_->forward(y_BCT.transpose(1, 2)).transpose(1, 2);
    if (channel_norm_) y_BCT = channel_norm_->forward(y_BCT);
    return at::gelu(y_BCT);
  }

 private:
  std::shared_ptr<nn::LayerNorm> layer_norm_;
  std::shared_ptr<nn::ChannelNorm> channel_norm_;
};

/// What a frame hears around it says where it is (Baevski et al. 2020, section 2): a grouped convolution over time, whose weight
/// is a direction [C, C / groups, kernel] of length 1 and a scale [1, 1, kernel] per place of the kernel.
class Hubert::PositionConvolution : public torch::nn::Module {
 public:
  PositionConvolution(int64_t width, int64_t kernel, int64_t groups) : kernel_(kernel), groups_(groups) {
    bias_ = register_parameter("bias", at::empty({width}));
    scale_ = register_parameter("scale", at::empty({1, 1, kernel}));
    direction_ = register_parameter("direction", at::empty({width, width / groups, kernel}));
  }
  at::Tensor forward(const at::Tensor& x_BFC) const {
    const at::Tensor weight = at::_weight_norm(direction_, scale_, 2);
    const at::Tensor y_BCF = at::conv1d(x_BFC.transpose(1, 2), weight, bias_, 1, kernel_ / 2, 1, groups_);
    // An even kernel gives one frame more than there are.
    return at::gelu(y_BCF.slice(2, 0, x_BFC.size(1)).transpose(1, 2));
  }

 private:
  int64_t kernel_, groups_;
  at::Tensor bias_, scale_, direction_;
};

Hubert::Hubert(const HubertOptions& o) : options_(o) {
  if (o.convolutions.empty())
    throw ConfigError("an encoder of waveforms without convolutions").hint("give it at least one convolution");
  if (o.position_groups < 1 || o.width % o.position_groups != 0)
    throw ConfigError("{} channels cannot be shared by {} groups of the position convolution", o.width, o.position_groups)
        .hint("choose groups that divide the width");
  int64_t channels = 1;
  for (size_t i = 0; i < o.convolutions.size(); ++i) {
    const WaveConvolution& c = o.convolutions[i];
    const nn::ConvolutionOptions convolution{channels, c.channels, c.kernel, c.stride, 0, o.convolution_bias};
    convolutions_.push_back(
        register_module("conv" + std::to_string(i), std::make_shared<WaveLayer>(convolution, o.wave_norm, i == 0)));
    channels = c.channels;
  }
  if (o.feature_norm) feature_norm_ = register_module("feature_norm", std::make_shared<nn::LayerNorm>(channels, o.norm_epsilon));
  feature_projection_ = register_module("feature_projection", std::make_shared<nn::Linear>(channels, o.width));
  if (o.masked_embedding) embedding_masked_ = register_parameter("embedding_masked", at::empty({o.width}));
  position_conv_ =
      register_module("position_conv", std::make_shared<PositionConvolution>(o.width, o.position_kernel, o.position_groups));
  const nn::BlockOptions block{
      .attention = {.width = o.width, .heads = o.heads}, .hidden = o.hidden, .norms = o.norms, .norm_epsilon = o.norm_epsilon};
  for (int64_t i = 0; i < o.layers; ++i)
    blocks_.push_back(register_module("block" + std::to_string(i), std::make_shared<nn::TransformerBlock>(block)));
  norm_ = register_module("norm", std::make_shared<nn::LayerNorm>(o.width, o.norm_epsilon));
}

int64_t Hubert::frames(int64_t samples) const {
  for (const WaveConvolution& c : options_.convolutions) {
    if (samples < c.kernel) return 0;
    samples = (samples - c.kernel) / c.stride + 1;
  }
  return samples;
}

int64_t Hubert::shortest() const {
  int64_t samples = 1;
  for (auto c = options_.convolutions.rbegin(); c != options_.convolutions.rend(); ++c)
    samples = (samples - 1) * c->stride + c->kernel;
  return samples;
}

void Hubert::check(const at::Tensor& samples_BN, const std::vector<int64_t>& lengths) const {
  MICROEMO_CHECK(samples_BN.dim() == 2, "sounds have two dimensions, not {}", samples_BN.dim());
  MICROEMO_CHECK(lengths.empty() || int64_t(lengths.size()) == samples_BN.size(0), "{} lengths of {} sounds", lengths.size(),
                 samples_BN.size(0));
  std::vector<int64_t> all = lengths;
  all.push_back(samples_BN.size(1));
  for (const int64_t length : all) {
    MICROEMO_CHECK(length <= samples_BN.size(1), "a length of {} in rows of {} samples", length, samples_BN.size(1));
    if (length < shortest())
      throw DataError("a sound of {} samples is too short for the audio encoder, whose first frame hears {}", length, shortest())
          .hint("pad it with silence or leave it out");
  }
}

at::Tensor Hubert::visible(const at::Tensor& samples_BN, const std::vector<int64_t>& lengths) const {
  // Made there, without a wait.
  if (lengths.empty()) return at::ones({samples_BN.size(0), frames(samples_BN.size(1))}, samples_BN.options().dtype(at::kBool));
  std::vector<int64_t> counts(size_t(samples_BN.size(0)), frames(samples_BN.size(1)));
  for (size_t i = 0; i < lengths.size(); ++i) counts[i] = frames(lengths[i]);
  return before(counts, frames(samples_BN.size(1)), samples_BN.device());
}

at::Tensor Hubert::features(const at::Tensor& samples_BN) const {
  at::Tensor x_BCF = samples_BN.unsqueeze(1);
  for (const auto& convolution : convolutions_) x_BCF = convolution->forward(x_BCF);
  const at::Tensor x_BFC = x_BCF.transpose(1, 2);
  return feature_projection_->forward(feature_norm_ ? feature_norm_->forward(x_BFC) : x_BFC);
}

HubertStates Hubert::forward(const at::Tensor& samples_BN, const std::vector<int64_t>& lengths,
                             const at::Tensor& hidden_BF) const {
  check(samples_BN, lengths);
  MICROEMO_CHECK(!hidden_BF.defined() || embedding_masked_.defined(), "this model has no row for hidden frames");
  HubertStates result{{}, visible(samples_BN, lengths)};
  at::Tensor x_BFC = features(samples_BN), mask;
  if (hidden_BF.defined()) x_BFC = at::where(hidden_BF.unsqueeze(2), embedding_masked_, x_BFC);
  if (!lengths.empty()) {
    x_BFC = x_BFC.masked_fill(result.visible_BF.logical_not().unsqueeze(2), 0);
    mask = nn::additive_mask(result.visible_BF.unsqueeze(1).unsqueeze(2));
  }
  x_BFC = x_BFC + position_conv_->forward(x_BFC);
  const bool norm_last = options_.norms == nn::NormPlace::before;
  if (!norm_last) x_BFC = norm_->forward(x_BFC);
  for (const auto& block : blocks_) {
    result.states_BFC.push_back(x_BFC);
    x_BFC = block->forward(x_BFC, mask);
  }
  result.states_BFC.push_back(norm_last ? norm_->forward(x_BFC) : x_BFC);
  return result;
}

at::Tensor normalised_samples(const at::Tensor& samples_BN, const std::vector<int64_t>& lengths, SampleNorm norm) {
  if (norm == SampleNorm::joint)
    return (samples_BN - samples_BN.mean()) / (samples_BN.var(/*unbiased=*/false) + sample_epsilon).sqrt();
  const at::Tensor normalised_BN = at::empty_like(samples_BN);
  for (int64_t i = 0; i < samples_BN.size(0); ++i) {
    const int64_t length = lengths.empty() ? samples_BN.size(1) : lengths[size_t(i)];
    const at::Tensor sound = samples_BN[i].slice(0, 0, length), centred = sound - sound.mean();
    // The variance as a dot product: var() takes four times as long.
    const at::Tensor deviation = (centred.dot(centred) / double(length) + sample_epsilon).sqrt();
    at::Tensor normalised = normalised_BN[i].slice(0, 0, length);
    at::div_out(normalised, centred, deviation);
    normalised_BN[i].slice(0, length).zero_();
  }
  return normalised_BN;
}

at::Tensor mean_of_last_states(const HubertStates& states, int64_t layers) {
  const auto count = int64_t(states.states_BFC.size());
  if (layers < 1 || layers > count)
    throw ConfigError("the last {} states of {} cannot be averaged", layers, count).hint("choose at most as many as there are");
  const std::vector<at::Tensor> last(states.states_BFC.end() - layers, states.states_BFC.end());
  return at::stack(last).mean(0);
}

at::Tensor mean_of_last(const HubertStates& states, int64_t layers) {
  const at::Tensor mean_BFC = mean_of_last_states(states, layers),
                   weight_BF1 = states.visible_BF.unsqueeze(2).to(mean_BFC.dtype());
  return (mean_BFC * weight_BF1).sum(1) / weight_BF1.sum(1);
}

HubertOptions hubert_options(const checkpoint::HfHubertConfig& config) {
  HubertOptions options{
      .width = config.hidden_size,
      .layers = config.num_hidden_layers,
      .heads = config.num_attention_heads,
      .hidden = config.intermediate_size,
      .convolutions = {},
      .wave_norm = config.feat_extract_norm == checkpoint::HfConvNorm::layer ? WaveNorm::every_layer : WaveNorm::first_group,
      .convolution_bias = config.conv_bias,
      .feature_norm = config.feat_proj_layer_norm,
      .position_kernel = config.num_conv_pos_embeddings,
      .position_groups = config.num_conv_pos_embedding_groups,
      .norms = config.do_stable_layer_norm ? nn::NormPlace::before : nn::NormPlace::after,
      .norm_epsilon = config.layer_norm_eps};
  for (size_t i = 0; i < config.conv_dim.size(); ++i)
    options.convolutions.push_back({config.conv_dim[i], config.conv_kernel[i], config.conv_stride[i]});
  return options;
}

std::shared_ptr<Hubert> load_hubert(const std::filesystem::path& folder) {
  const auto config = config_of<checkpoint::HfHubertConfig>(folder, "hubert");
  const checkpoint::NamedTensors tensors = checkpoint::read_part(folder, "audio_encoder", "hubert");
  HubertOptions options = hubert_options(config);
  options.masked_embedding = tensors.contains("embedding_masked");
  checkpoint::require_size(block_parameters(options.layers, options.width, options.hidden), tensors, folder);
  return frozen_with(std::make_shared<Hubert>(options), tensors, folder);
}

}  // namespace microemo::model
