#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "microemo/base/json.h"

namespace microemo::infer {

struct VerifyOptions {
  double tolerance = 1e-5;  ///< of max |ours - recorded| / max |recorded|, for each output
  bool as_stored = false;   ///< compute in the type of the weights instead of fp32
};

/// For logits: what the difference means for the next token.
struct NextTokenAgreement {
  double mean_kl = 0, max_kl = 0;  ///< KL(recorded || ours) of the distributions, in nats, over the positions
  double top1 = 0;                 ///< share of positions with the same most likely token
};

struct OutputComparison {
  std::string name;
  std::vector<int64_t> shape;
  double max_absolute = 0, max_relative = 0;  ///< relative to the largest recorded value
  std::optional<NextTokenAgreement> next_token;
  bool within = false;
};

struct VerifyReport {
  std::string model_type;
  double tolerance = 0;
  std::vector<OutputComparison> outputs;
  std::vector<std::string> not_compared;  ///< recorded outputs of the public model that are not computed here

  bool within() const;
};

/// Runs the recorded inputs of a file (input.NAME, output.NAME; tests/reference/record.py writes it) through the model of a
/// Hugging Face folder and compares what is recorded of the decoders (logits, hidden_states.N, last_hidden_state), CLIP's vision
/// side (also image_embeds), BLIP-2 and InstructBLIP (vision_outputs.…, qformer_outputs.…), HuBERT, and Whisper's encoder
/// (encoder_…), and BERT (without its pooler and heads). Positions that the attention mask leaves out are not compared. Throws
/// Error(checkpoint): a folder that cannot be loaded, a file without inputs or without an output that can be compared, inputs
/// that the model does not take, are of a wrong type or shape, or are padded on the left, token ids outside the vocabulary, an
/// output that the public model has not either (with the nearest names), of another shape (with both) or of complex numbers;
/// Error(config) for as_stored with another model than a decoder.
VerifyReport verify_model(const std::filesystem::path& folder, const std::filesystem::path& reference,
                          const VerifyOptions& options = {});

Json to_json(const VerifyReport& report);

}  // namespace microemo::infer
