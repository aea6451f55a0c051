#include <poll.h>
#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

#include "generate_words.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"
#include "microemo/base/workers.h"
#include "microemo/infer/conversation.h"

namespace microemo::cli {
namespace {

std::vector<std::string> read_turns(const std::string& file) {
  const Json json = read_json(file);
  std::vector<std::string> turns;
  if (json.is_array())
    for (const Json& turn : json)
      if (turn.is_string()) turns.push_back(turn.get<std::string>());
  if (turns.empty() || turns.size() != json.size())
    throw DataError("the turns are no list of texts").where(file).hint("write [\"first question\", \"second question\"]");
  return turns;
}

Json json_of(const std::string& said, const infer::Reply& reply) {
  return {{"user", said},
          {"answer", reply.text},
          {"ids", reply.tokens.ids},
          {"complete", reply.complete},
          {"log_probability", reply.tokens.log_probability},
          {"prompt_tokens", reply.prompt_tokens},
          {"reused_tokens", reply.reused_tokens}};
}

/// Lines of standard input as they come. A signal ends the wait for the next one, which it would not with std::getline.
class Lines {
 public:
  bool next(std::string& line) {
    if (::isatty(STDIN_FILENO) != 0) std::fputs("> ", stderr);
    size_t end = 0;
    while ((end = held_.find('\n')) == std::string::npos && read_more()) {
    }
    if (stop_requested() || held_.empty()) return false;
    line = held_.substr(0, end);
    held_.erase(0, end == std::string::npos ? end : end + 1);
    return true;
  }

 private:
  /// False at the end, or when the user wants to stop.
  bool read_more() {
    constexpr int look_again_ms = 200;
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    while (!stop_requested())
      if (::poll(&input, 1, look_again_ms) > 0) {
        char bytes[4096];
        const ssize_t count = ::read(STDIN_FILENO, bytes, sizeof bytes);
        if (count > 0) held_.append(bytes, size_t(count));
        return count > 0;
      }
    return false;
  }

  std::string held_;
};

}  // namespace

void converse(const GenerateWords& words, const GenerateModel& model) {
  infer::Conversation conversation(*model.decoder, *model.tokenizer, infer::chat_style(words.chat),
                                   {.generation = model.options, .stop = words.stop, .system = words.system});
  Json replies = Json::array();
  const auto say = [&](const std::string& said) {
    const infer::Reply reply = conversation.say(said, [&](const std::string& text) {
      if (!words.json) write_out(text);
      return !stop_requested();
    });
    if (words.json)
      replies.push_back(json_of(said, reply));
    else
      write_out("\n");
  };
  if (!words.turns.empty()) {
    for (const std::string& said : read_turns(words.turns))
      if (!stop_requested()) say(said);
  } else {
    Lines lines;
    for (std::string said; !stop_requested() && lines.next(said);)
      if (!said.empty()) say(said);
  }
  if (words.json) write_out(replies.dump(2) + "\n");
}

}  // namespace microemo::cli
