#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "microemo/data/prepared.h"
#include "microemo/data/prompt_options.h"
#include "microemo/model/clip_batch.h"
#include "microemo/model/options.h"
#include "microemo/text/tokenizer.h"

namespace microemo::data {

/// A prepared clip with its words as token ids: all that batches are made of.
struct Sample {
  Clip clip = {};
  PreparedClip prepared = {};
  int64_t index = 0;                      ///< in the manifest; seeds of augmentation use it
  std::vector<at::Tensor> features = {};  ///< of FeatureOptions::names, float32 [width] each
  std::filesystem::path entry = {};       ///< that `prepared` was read from; empty where it was not
  /// Files of encoded.h with what the frozen encoders gave for the whole frames, or the image Q-Former behind theirs, and for the
  /// pieces of sound: BatchBuilder reads these in their place. Empty: there are none.
  std::filesystem::path encoded_frames = {}, encoded_queries = {}, encoded_sound = {};
};

/// Samples of a manifest, prepared features read from the cache and held in memory. Throws Error(data) naming the first clip that
/// is not in the cache (run prepare) or was listed as unreadable when `allow_missing` is false; otherwise such clips are left out
/// and listed in `missing`. A clip without a video throws. Without `frames` the pixels of whole frames are not read
/// (read_prepared_without_frames).
struct Dataset {
  std::vector<Sample> samples = {};
  std::vector<std::string> missing = {};
  std::vector<std::string> partial() const;  ///< samples whose files break off (prepare.partial)
  std::string manifest_hash;                 ///< of the manifest, and of all features that were read
};
Dataset load_dataset(const Manifest& manifest, const std::filesystem::path& cache, const PrepareOptions& options,
                     bool allow_missing, bool frames = true);
/// The words of all clips, for models that neither look nor listen; nothing has to be prepared, and nothing is missing.
Dataset load_words(const Manifest& manifest);

/// The clip's features, float32 [width] each, in the order of the options. Throws Error(data) naming clip or file: a feature that
/// the clip does not name (with those that it does), an array that is not of floating-point numbers, not one vector ([width] or
/// [1, width]), of another width, or with values that are not finite.
std::vector<at::Tensor> read_features(const Clip& clip, const model::FeatureOptions& options);
/// Those of every sample; their values become part of the hash.
void read_features(Dataset& dataset, const model::FeatureOptions& options);

struct AugmentOptions {
  bool flip = false, timechat_crop = false;
  int64_t face_shift = 0;
};
template <class Visitor>
void describe(Visitor& option, AugmentOptions& o) {
  option("flip", o.flip, "Mirror a clip with probability one half; horizontal movement changes its sign.");
  option("timechat_crop", o.timechat_crop,
         "Cut a rectangle of at least half the area out of the whole frames, the same for all of a clip, and stretch it, as "
         "TimeChat "
         "trains: overshoots of the cubic kernel wrap round in a byte, which leaves specks.");
  option("face_shift", o.face_shift, "Shift the face input by up to so many pixels, the same for all frames of a clip.")
      .min(0)
      .max(8);
}

/// Which question of which clip.
struct Question {
  int64_t sample = 0, utterance = 0;
};

enum class Purpose { train, generate };

/// Lays out and pads batches. Immutable after construction, thread-safe.
class BatchBuilder {
 public:
  /// The prompt's time_tokenizer is opened here; throws as text::Tokenizer and check_prompt do.
  BatchBuilder(std::shared_ptr<const text::Tokenizer> tokenizer, const model::ModelOptions& model, const PrepareOptions& prepare,
               const PromptOptions& prompt = {});

  /// One row per question; each clip is read once however many questions it has. Purpose::train appends the answers and sets
  /// labels; Purpose::generate ends where the answer would begin. `draw` seeds the augmentation of each clip together with its
  /// sample index. Throws Error(data) naming the clip: row longer than decoder.max_tokens, more utterances than
  /// decoder.utterances, training question without answer and labels; and for what read_encoded throws.
  model::ClipBatch build(const std::vector<const Sample*>& samples, const std::vector<Question>& questions, Purpose purpose,
                         const AugmentOptions& augment, uint64_t draw) const;

  /// What the image Q-Former reads of the frames of a clip, int64 [T, L] as in ClipBatch::time_text_BTL; undefined where it reads
  /// nothing. Times [T] in seconds.
  at::Tensor time_text(const at::Tensor& frame_times_T) const;
  /// A text that is another where the same times give other ids.
  std::string time_text_rule() const;

  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  /// The text that closes an answer in the prompt's template ("###"), without blanks around; empty where nothing but a token
  /// does.
  std::string end_text() const;

 private:
  struct Prompt;
  bool reads_times() const;

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  model::ModelOptions model_;
  PrepareOptions prepare_;
  std::shared_ptr<const Prompt> prompt_;
};

/// Names of the movement classes, "none" first, and of the manners of voice: what class numbers in ClipBatch mean.
const std::vector<std::string>& movement_classes();
const std::vector<std::string>& voice_classes();

/// Sentences that hold every piece of text the batch builder itself writes, digits included; a tokenizer's training text should
/// contain them.
std::vector<std::string> prompt_sentences();

/// The question and the training answer of an utterance as text: the manifest's own, or built from its times and labels.
std::string question_text(const Utterance& utterance);
std::string answer_text(const Utterance& utterance);

model::InputShapes input_shapes(const PrepareOptions& prepare, int64_t vocabulary);

}  // namespace microemo::data
