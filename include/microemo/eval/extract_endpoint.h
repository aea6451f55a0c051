#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "microemo/base/json.h"

namespace microemo::eval {

struct HttpRequest {
  std::string url, key, body;  ///< key: sent as "Authorization: Bearer …" when it is not empty
  double timeout_s = 60;
};

struct HttpReply {
  long status = 0;  ///< 0: no reply came, see `failure`
  std::string body, failure;
  double retry_after_s = -1;  ///< of the header Retry-After, in seconds; below 0 when there is none
};

/// Sends a POST of JSON. Does not throw for what happens on the network.
using HttpPost = std::function<HttpReply(const HttpRequest&)>;

/// libcurl. Redirects are not followed, so that the key goes nowhere but to the endpoint.
HttpPost curl_post();

/// Time, so that tests need not wait.
struct Clock {
  std::function<double()> now_s;
  std::function<void(double)> sleep_s;
};
Clock wall_clock();

struct EndpointOptions {
  std::string url;                 ///< of the OpenAI-compatible server, up to "/v1"
  std::string model;               ///< name that the server knows
  std::string key;                 ///< never written anywhere
  std::filesystem::path cache;     ///< folder of all requests and replies
  bool replay = false;             ///< only what the cache has
  double timeout_s = 60;           ///< of one request
  double requests_per_minute = 0;  ///< 0: as fast as replies come
  int64_t tries = 6;               ///< of one request
  double temperature = 0.7, top_p = 0.8, repetition_penalty = 1.05;
  int64_t max_tokens = 512;
};

/// A language model behind an OpenAI-compatible endpoint ("/chat/completions"), one request at a time. Every reply is kept under
/// the SHA-256 of its request (model, message, sampling, seed; neither URL nor key), each atomically in a file of its own, so
/// that a run that ends goes on where it stopped and can be replayed without a network. Not thread-safe.
class Endpoint {
 public:
  /// Throws Error(config) for an empty model or cache, a URL that is neither http nor https, and numbers out of range;
  /// Error(environment) when the cache cannot be written.
  Endpoint(EndpointOptions options, HttpPost post, Clock clock);

  /// The model's text. `repeat` is the seed, and tells repeated requests apart. A reply without status, with 408, 429 or 5xx, or
  /// that is not the JSON it should be is asked for again, after Retry-After or 1, 2, 4, … up to 60 s. Throws Error(environment)
  /// when all tries failed or the server refuses (other statuses), naming the last reason; Error(data) when `replay` finds
  /// nothing, or a file of the cache is damaged or of another request.
  std::string answer(const std::string& prompt, int64_t repeat);

  int64_t asked() const { return asked_; }    ///< replies that came over the network
  int64_t cached() const { return cached_; }  ///< replies out of the cache

 private:
  Json request(const std::string& prompt, int64_t repeat) const;
  std::string ask(const std::string& body);
  void wait_for_turn();

  EndpointOptions options_;
  HttpPost post_;
  Clock clock_;
  double next_turn_s_ = 0;
  int64_t asked_ = 0, cached_ = 0;
  bool told_of_cut_ = false;
};

}  // namespace microemo::eval
