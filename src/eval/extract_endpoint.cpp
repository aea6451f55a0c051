#include "microemo/eval/extract_endpoint.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/log.h"
#include "microemo/formats/utf8.h"

namespace microemo::eval {
namespace {

namespace fs = std::filesystem;

constexpr double first_wait_s = 1, longest_wait_s = 60, longest_asked_wait_s = 3600, told_wait_s = 10;
constexpr size_t shown_of_a_reply = 200;

/// The server chose it: what is no text, or could move a terminal's cursor, is shown as "?".
std::string start_of(const std::string& text) {
  size_t end = std::min(text.size(), shown_of_a_reply);
  if (end < text.size())
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  std::string shown = text.substr(0, end);
  const bool utf8 = formats::is_utf8(shown);
  for (char& c : shown) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8)) c = '?';
  }
  return end < text.size() ? shown + "…" : shown;
}

bool may_pass(long status) { return status == 0 || status == 408 || status == 429 || status >= 500; }

/// choices[0].message.content; nothing when the reply is not the JSON it should be.
std::optional<std::string> content_of(const std::string& body) {
  const Json reply = Json::parse(body, nullptr, false);
  const Json::json_pointer place("/choices/0/message/content");
  if (reply.is_discarded() || !reply.contains(place) || !reply.at(place).is_string()) return std::nullopt;
  return reply.at(place).get<std::string>();
}

/// True when the model was stopped by the limit on tokens.
bool is_cut(const std::string& body) {
  const Json reply = Json::parse(body, nullptr, false);
  const Json::json_pointer place("/choices/0/finish_reason");
  return !reply.is_discarded() && reply.contains(place) && reply.at(place) == "length";
}

std::string failure_of(const HttpReply& reply) {
  if (reply.status == 0) return "no reply: " + reply.failure;
  if (reply.status != 200) return fmt::format("status {}: {}", reply.status, start_of(reply.body));
  return fmt::format("the reply has no text at choices[0].message.content: {}", start_of(reply.body));
}

void check(const EndpointOptions& options) {
  const auto wrong = [](const std::string& message, const char* hint) { return ConfigError("{}", message).hint(hint); };
  if (!options.replay && !options.url.starts_with("http://") && !options.url.starts_with("https://"))
    throw wrong(fmt::format("the endpoint \"{}\" is no http or https address", options.url),
                "give the address up to /v1, for instance http://localhost:8000/v1");
  if (options.model.empty()) throw wrong("the endpoint's model is not named", "give --model, a name that the server knows");
  if (options.cache.empty()) throw wrong("no folder is named for the replies", "give --reply-cache FOLDER");
  if (!(options.timeout_s > 0)) throw wrong("the time for a reply has to be above 0 s", "give --timeout in seconds");
  if (!(options.requests_per_minute >= 0)) throw wrong("requests a minute cannot be below 0", "0 sets no limit");
  for (const double number : {options.temperature, options.top_p, options.repetition_penalty})
    if (!std::isfinite(number)) throw wrong("temperature, top-p and repetition penalty are numbers", "leave out what is none");
  if (options.tries < 1) throw wrong("a request needs one try at least", "give --tries 1 or more");
}

/// Of the cache: the text that was replied to this request; nothing when it was never asked.
std::optional<std::string> kept_reply(const fs::path& file, const Json& request) {
  if (!fs::exists(file)) return std::nullopt;
  const auto damaged = [&](const char* what) {
    return DataError("a kept reply {}", what).where(file).hint("remove the file; the request is then sent again");
  };
  const Json kept = Json::parse(read_file(file), nullptr, false);
  if (kept.is_discarded() || !kept.is_object() || !kept.contains("request") || !kept.contains("reply"))
    throw damaged("cannot be read");
  if (kept["request"] != request) throw damaged("belongs to another request");
  const auto text = kept["reply"].is_string() ? content_of(kept["reply"].get<std::string>()) : std::nullopt;
  if (!text) throw damaged("has no text");
  return text;
}

}  // namespace

Endpoint::Endpoint(EndpointOptions options, HttpPost post, Clock clock)
    : options_(std::move(options)), post_(std::move(post)), clock_(std::move(clock)) {
  check(options_);
  while (options_.url.ends_with('/')) options_.url.pop_back();
  if (!options_.replay) ensure_writable_folder(options_.cache);
}

Json Endpoint::request(const std::string& prompt, int64_t repeat) const {
  Json json = {{"model", options_.model},
               {"messages", Json::array({{{"role", "user"}, {"content", prompt}}})},
               {"temperature", options_.temperature},
               {"top_p", options_.top_p},
               {"max_tokens", options_.max_tokens},
               {"seed", repeat}};
  // Not a key of OpenAI's own servers, which refuse it; vLLM and others have it.
  if (options_.repetition_penalty != 1) json["repetition_penalty"] = options_.repetition_penalty;
  return json;
}

std::string Endpoint::answer(const std::string& prompt, int64_t repeat) {
  const Json json = request(prompt, repeat);
  const std::string body = json.dump(), hash = sha256(body);
  const fs::path file = options_.cache / hash.substr(0, 2) / (hash + ".json");
  if (auto text = kept_reply(file, json)) {
    ++cached_;
    return *text;
  }
  if (options_.replay)
    throw DataError("no reply to this request was kept")
        .where(file)
        .hint("run without --replay to ask the endpoint, or name the folder, model and sampling of the run to replay");
  const std::string reply = ask(body);
  if (is_cut(reply) && !told_of_cut_) {
    log_warning(
        fmt::format("a reply ends at the limit of {} tokens, so that its last label may be half a word; --max-tokens takes more",
                    options_.max_tokens));
    told_of_cut_ = true;
  }
  write_json(file, {{"request", json}, {"reply", reply}});
  ++asked_;
  return *content_of(reply);
}

void Endpoint::wait_for_turn() {
  if (options_.requests_per_minute <= 0) return;
  const double now = clock_.now_s();
  if (next_turn_s_ > now) clock_.sleep_s(next_turn_s_ - now);
  next_turn_s_ = std::max(next_turn_s_, now) + 60 / options_.requests_per_minute;
}

/// A usable reply's body.
std::string Endpoint::ask(const std::string& body) {
  const std::string url = options_.url + "/chat/completions";
  std::string failure;
  for (int64_t tried = 0; tried < options_.tries; ++tried) {
    wait_for_turn();
    const HttpReply reply = post_({url, options_.key, body, options_.timeout_s});
    if (reply.status == 200 && content_of(reply.body)) return reply.body;
    failure = failure_of(reply);
    if (reply.status != 200 && !may_pass(reply.status))
      throw EnvironmentError("the endpoint refuses: {}", failure).at(url).hint("check address, model and key");
    const double wait = std::min(first_wait_s * std::exp2(static_cast<double>(tried)), longest_wait_s);
    if (tried + 1 == options_.tries) break;
    const double pause = reply.retry_after_s >= 0 ? std::min(reply.retry_after_s, longest_asked_wait_s) : wait;
    if (pause >= told_wait_s) log_warning(fmt::format("{}; asked again in {:g} s", failure, pause));
    clock_.sleep_s(pause);
  }
  throw EnvironmentError("no usable reply in {} tries; the last: {}", options_.tries, failure)
      .at(url)
      .hint("run again when the endpoint is well; replies that came are kept");
}

}  // namespace microemo::eval
