#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "microemo/infer/text_generation.h"
#include "microemo/text/tokenizer.h"

namespace microemo::infer {

/// How the turns of a conversation are written for a model.
struct ChatStyle {
  std::string system;             ///< before the first turn, where the system has something to say; with {system}
  std::string turn;               ///< with {user} and then {answer}; what stands behind {answer} closes it
  std::string usual_system = {};  ///< the system's words where nobody gives some
};
/// One of "chatml", "qwen2.5" (chatml with the words that Qwen2.5's system has by itself), "llama3", "llama2", "vicuna", or the
/// text of a turn with {user} and {answer}, whose system part is
/// "{system}\n". Throws Error(config) for another name, with those there are, and for a turn without one of the two, with one of
/// them twice, or in the other order.
ChatStyle chat_style(const std::string& name_or_turn);

/// The text of a turn up to its answer, without blanks at the end; of the first turn with the system's words, of another with
/// what closes the answer before, unless that was `closed` by the model. As the public templates have it
/// (tests/reference/chat_templates.py). Without words of the system those that the style has by itself. Throws Error(internal)
/// for a style that chat_style does not give.
std::string turn_text(const ChatStyle& style, const std::string& system, const std::string& words, bool first, bool closed);

struct ConversationOptions {
  TextGenerationOptions generation = {};  ///< the token that closes a turn ends it, too
  std::vector<std::string> stop = {};
  std::string system = {};
};

struct Reply {
  std::string text;
  GeneratedText tokens;
  bool complete = false;      ///< ended by the model or a stop text; false: cut at a limit or by the caller
  int64_t prompt_tokens = 0;  ///< tokens of this turn that were given
  int64_t reused_tokens = 0;  ///< tokens of earlier turns that were not read again
};

/// What a user and a decoder say in turns; keys and values of earlier turns are kept. Decoder and tokenizer must outlive it. Not
/// thread-safe.
class Conversation {
 public:
  /// Throws Error(config) as check_stop does.
  Conversation(const model::Decoder& decoder, const text::Tokenizer& tokenizer, ChatStyle style, ConversationOptions options);
  /// `on_text` gets whole characters as they are written, and ends the answer by returning false. Throws Error(data) for words
  /// that hold the name of a special token, which could end the user's turn, and as TextSession::turn does.
  Reply say(const std::string& words, const std::function<bool(const std::string&)>& on_text = {});

 private:
  std::vector<int64_t> turn_ids(const std::string& words) const;

  const text::Tokenizer& tokenizer_;
  ChatStyle style_;
  ConversationOptions options_;
  TextSession session_;
  bool closed_ = false;  ///< the text that closes the last answer was written by the model
};

}  // namespace microemo::infer
