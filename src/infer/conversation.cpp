#include "microemo/infer/conversation.h"

#include <algorithm>
#include <map>

#include <fmt/ranges.h>

#include "microemo/base/error.h"
#include "microemo/infer/answer_text.h"

namespace microemo::infer {
namespace {

const std::string user_place = "{user}", answer_place = "{answer}", system_place = "{system}";

const std::map<std::string, ChatStyle>& named_styles() {
  static const ChatStyle chatml{"<|im_start|>system\n{system}<|im_end|>\n",
                                "<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"};
  static const std::map<std::string, ChatStyle> styles{
      {"chatml", chatml},
      {"qwen2.5", {chatml.system, chatml.turn, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."}},
      {"llama3",
       {"<|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|>",
        "<|start_header_id|>user<|end_header_id|>\n\n{user}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        "{answer}<|eot_id|>"}},
      {"llama2", {"<<SYS>>\n{system}\n<</SYS>>\n\n", "[INST] {user} [/INST] {answer} </s><s>"}},
      {"vicuna", {"{system} ", "USER: {user} ASSISTANT: {answer}</s>"}}};
  return styles;
}

std::string replaced(const std::string& text, const std::string& place, const std::string& by) {
  const size_t at = text.find(place);
  return at == std::string::npos ? text : text.substr(0, at) + by + text.substr(at + place.size());
}

bool stands_once(const std::string& text, const std::string& place) {
  const size_t at = text.find(place);
  return at != std::string::npos && text.find(place, at + 1) == std::string::npos;
}

}  // namespace

ChatStyle chat_style(const std::string& name_or_turn) {
  const auto named = named_styles().find(name_or_turn);
  if (named != named_styles().end()) return named->second;
  if (name_or_turn.find('{') == std::string::npos) {
    std::vector<std::string> names;
    for (const auto& [name, style] : named_styles()) names.push_back(name);
    throw ConfigError("there is no chat style '{}'", name_or_turn)
        .hint(fmt::format("choose {}, or write a turn such as \"USER: {{user}} ASSISTANT: {{answer}}</s>\"",
                          fmt::join(names, ", ")));
  }
  if (!stands_once(name_or_turn, user_place) || !stands_once(name_or_turn, answer_place) ||
      name_or_turn.find(user_place) > name_or_turn.find(answer_place))
    throw ConfigError("the turn '{}' needs {{user}} once and {{answer}} once behind it", name_or_turn)
        .hint("write a turn such as \"USER: {user} ASSISTANT: {answer}</s>\"");
  return {"{system}\n", name_or_turn};
}

Conversation::Conversation(const model::Decoder& decoder, const text::Tokenizer& tokenizer, ChatStyle style,
                           ConversationOptions options)
    : tokenizer_(tokenizer), style_(std::move(style)), options_(std::move(options)), session_(decoder, "conversation") {
  check_stop(options_.stop);
  const size_t answer = style_.turn.find(answer_place);
  MICROEMO_CHECK(answer != std::string::npos, "a turn without its places: '{}'", style_.turn);
  const std::string after = style_.turn.substr(answer + answer_place.size());
  options_.generation.vocabulary = tokenizer.size();
  const size_t closing = after.find_first_not_of(" \n");
  if (closing == std::string::npos) return;
  // A special token closes a turn by its id, any other text by its letters.
  const std::vector<int64_t> ids = tokenizer.encode(after.substr(closing), {.find_special = true, .add_special = false});
  if (tokenizer.decode({ids[0]}).empty() && !tokenizer.decode({ids[0]}, /*keep_special=*/true).empty())
    options_.generation.end_ids.push_back(ids[0]);
  else
    options_.stop.push_back(after);
}

std::string turn_text(const ChatStyle& style, const std::string& system, const std::string& words, bool first, bool closed) {
  const size_t user = style.turn.find(user_place), answer = style.turn.find(answer_place);
  MICROEMO_CHECK(user < answer && answer != std::string::npos, "a turn without its places: '{}'", style.turn);
  const std::string before = style.turn.substr(0, user), after = style.turn.substr(answer + answer_place.size());
  const std::string& whole = system.empty() ? style.usual_system : system;
  const std::string said = first && !whole.empty() ? replaced(style.system, system_place, whole) : "";
  std::string text = first || closed ? "" : after;
  const bool inside = style.turn.starts_with("[INST] ");  // LLaMA 2 has its system inside the first turn
  text += inside ? before + said : said + before;
  text += words + style.turn.substr(user + user_place.size(), answer - user - user_place.size());
  return text.substr(0, text.find_last_not_of(' ') + 1);  // blanks before an answer belong to its first token
}

std::vector<int64_t> Conversation::turn_ids(const std::string& words) const {
  if (tokenizer_.encode(words, {.find_special = true}) != tokenizer_.encode(words))
    throw DataError("the message holds the name of a special token of this model")
        .hint("leave it out: the model would take it for the end of a turn, or the like");
  const bool first = session_.ids().empty();
  return tokenizer_.encode(turn_text(style_, options_.system, words, first, closed_),
                           {.find_special = true, .add_special = first});
}

Reply Conversation::say(const std::string& words, const std::function<bool(const std::string&)>& on_text) {
  const std::vector<int64_t> ids = turn_ids(words);
  Reply reply;
  reply.prompt_tokens = int64_t(ids.size());
  reply.reused_tokens = session_.read();
  AnswerText text(tokenizer_, {.stop = options_.stop});
  reply.tokens = session_.turn(ids, options_.generation, [&](int64_t id) {
    const std::string added = text.add(id);
    const bool goes_on = !on_text || added.empty() || on_text(added);
    return goes_on && !text.ended();
  });
  const std::string rest = text.finish();
  if (on_text && !rest.empty()) on_text(rest);
  closed_ = text.ended();
  reply.text = text.text();
  reply.complete = reply.tokens.ended || text.ended();
  return reply;
}

}  // namespace microemo::infer
