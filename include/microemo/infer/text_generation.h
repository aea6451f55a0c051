#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "microemo/infer/sampling.h"
#include "microemo/model/decoder.h"

namespace microemo::infer {

struct TextGenerationOptions {
  int64_t max_new_tokens = 256;
  std::vector<int64_t> end_ids =
      {};  ///< the first of these that is written ends the text and is no part of it; none: the limit alone
  SamplingOptions sampling = {};
  int64_t vocabulary = 0;  ///< only tokens below are written; 0 takes all that the decoder has
};

struct GeneratedText {
  std::vector<int64_t> ids;
  double log_probability = 0;  ///< by the decoder's own logits, unprocessed, natural logarithm, with that of the end token
  bool ended = false;          ///< by an end token; false: by max_new_tokens, the decoder's max_tokens, or the caller
};

/// A text that a caller and the decoder write in turns. Keys and values of all that was read are kept, so that a token costs one
/// pass over one row, and a turn reads nothing twice. The decoder must outlive it. Thread rule: one thread per session, any
/// number of sessions per decoder.
class TextSession {
 public:
  /// `sample` names what is drawn.
  explicit TextSession(const model::Decoder& decoder, std::string sample = "text");
  /// Reads the ids and writes on: the most probable token again and again, what transformers' generate(do_sample=False) writes,
  /// or drawn as the options say; places of draws count on through all turns. `on_token` gets every token that is part of the
  /// text as soon as it is known, and stops the text by returning false. Throws Error(config) as check_sampling does; Error(data)
  /// when the ids are none, do not fit behind what was read and written (the decoder's max_tokens), or hold one that is not in
  /// the decoder's table. A turn that is refused changes nothing.
  GeneratedText turn(const std::vector<int64_t>& ids, const TextGenerationOptions& options,
                     const std::function<bool(int64_t)>& on_token = {});
  /// All ids of the text, read and written; an end token that ended a turn is not among them.
  const std::vector<int64_t>& ids() const { return ids_; }
  /// Tokens that the decoder has read: never more than were given and written.
  int64_t read() const { return cache_.length(); }

 private:
  void check(const std::vector<int64_t>& ids) const;

  const model::Decoder& decoder_;
  std::string sample_;
  model::KeyValueCache cache_;
  std::vector<int64_t> ids_;
  int64_t drawn_ = 0;
};

/// One turn of a new session.
GeneratedText generate_text(const model::Decoder& decoder, const std::vector<int64_t>& prompt,
                            const TextGenerationOptions& options, const std::function<bool(int64_t)>& on_token = {});

/// A prompt of generate_texts.
struct TextPrompt {
  std::string id;  ///< names what is drawn
  std::vector<int64_t> ids;
};

/// Continues all prompts, batch_rows at a time, each behind the same `beginning` (may be empty), which is read once. On the CPU
/// with a fixed number of threads a text depends on its prompt, the beginning and the options alone, bit for bit, and on neither
/// batch_rows nor the other prompts. `on_token` as in TextSession, with the number of
/// the prompt. Throws as TextSession does, naming the prompt. Thread rule: one thread at a time per decoder.
std::vector<GeneratedText> generate_texts(const model::Decoder& decoder, const std::vector<int64_t>& beginning,
                                          const std::vector<TextPrompt>& prompts, const TextGenerationOptions& options,
                                          int64_t batch_rows,
                                          const std::function<bool(size_t prompt, int64_t id)>& on_token = {});

}  // namespace microemo::infer
