#include <curl/curl.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include "microemo/base/error.h"
#include "microemo/eval/extract_endpoint.h"

namespace microemo::eval {
namespace {

constexpr size_t largest_reply = 16u << 20;

size_t append(char* data, size_t size, size_t count, void* body) {
  auto& text = *static_cast<std::string*>(body);
  if (text.size() + size * count > largest_reply) return 0;
  text.append(data, size * count);
  return size * count;
}

struct Headers {
  curl_slist* list = nullptr;
  ~Headers() { curl_slist_free_all(list); }
  void add(const std::string& line) { list = curl_slist_append(list, line.c_str()); }
};

std::string failure_of(CURLcode code, double timeout_s) {
  if (code == CURLE_OPERATION_TIMEDOUT) return fmt::format("none within {:g} s", timeout_s);
  if (code == CURLE_WRITE_ERROR) return fmt::format("one of more than {} MiB", largest_reply >> 20);
  return curl_easy_strerror(code);
}

HttpReply post(const HttpRequest& request) {
  const std::unique_ptr<CURL, void (*)(CURL*)> handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) throw EnvironmentError("libcurl cannot start").hint("check the memory that is left");
  HttpReply reply;
  Headers headers;
  headers.add("Content-Type: application/json");
  headers.add("Expect:");
  if (!request.key.empty()) headers.add("Authorization: Bearer " + request.key);
  const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(handle.get(), option, value); };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_HTTPHEADER, headers.list);
  set(CURLOPT_POST, 1L);
  set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  set(CURLOPT_POSTFIELDS, request.body.data());
  set(CURLOPT_WRITEFUNCTION, append);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&reply.body));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout_s * 1000));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  const CURLcode code = curl_easy_perform(handle.get());
  if (code != CURLE_OK) {
    reply.failure = failure_of(code, request.timeout_s);
    return reply;
  }
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &reply.status);
  curl_off_t wait = 0;
  if (curl_easy_getinfo(handle.get(), CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0)
    reply.retry_after_s = static_cast<double>(wait);
  return reply;
}

}  // namespace

HttpPost curl_post() {
  static std::once_flag started;
  std::call_once(started, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  return post;
}

Clock wall_clock() {
  using std::chrono::duration;
  using std::chrono::steady_clock;
  return {[] { return duration<double>(steady_clock::now().time_since_epoch()).count(); },
          [](double seconds) { std::this_thread::sleep_for(duration<double>(seconds)); }};
}

}  // namespace microemo::eval
