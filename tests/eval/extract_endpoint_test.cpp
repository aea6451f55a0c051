#include "microemo/eval/extract_endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/log.h"
#include "support/http_stub.h"

namespace microemo::eval {
namespace {

namespace fs = std::filesystem;

using testing::DoubleEq;
using testing::Each;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string reply_of(const std::string& text) {
  return Json{{"choices", Json::array({{{"message", {{"content", text}}}}})}}.dump();
}

/// An endpoint that answers by a script, and time that passes by sleeping alone.
struct ScriptedEndpoint : testing::Test {
  TemporaryFolder folder;
  std::deque<HttpReply> script;
  std::vector<HttpRequest> requests;
  std::vector<double> waits;
  double now_s = 0;
  EndpointOptions options;

  ScriptedEndpoint() {
    options.url = "http://somewhere/v1/";
    options.model = "model";
    options.cache = folder.path() / "replies";
  }

  Endpoint endpoint() {
    return Endpoint(options,
                    [this](const HttpRequest& request) {
                      requests.push_back(request);
                      if (script.empty()) return HttpReply{200, reply_of("fine"), "", -1};
                      const HttpReply reply = script.front();
                      script.pop_front();
                      return reply;
                    },
                    {[this] { return now_s; },
                     [this](double seconds) {
                       waits.push_back(seconds);
                       now_s += seconds;
                     }});
  }

  fs::path only_file() const {
    for (const auto& entry : fs::recursive_directory_iterator(options.cache))
      if (entry.is_regular_file()) return entry.path();
    return {};
  }

  template <class Call>
  static Error mistake(const Call& call) {
    try {
      call();
    } catch (const Error& error) {
      return error;
    }
    return InternalError("nothing was thrown");
  }
};

TEST_F(ScriptedEndpoint, SendsModelMessageAndSampling) {
  options.key = "secret";
  EXPECT_EQ(endpoint().answer("What?", 3), "fine");
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].url, "http://somewhere/v1/chat/completions");
  EXPECT_EQ(requests[0].key, "secret");
  EXPECT_EQ(Json::parse(requests[0].body),
            Json::parse(R"({"model":"model","messages":[{"role":"user","content":"What?"}],"temperature":0.7,"top_p":0.8,)"
                        R"("max_tokens":512,"seed":3,"repetition_penalty":1.05})"));
}

TEST_F(ScriptedEndpoint, LeavesARepetitionPenaltyOfOneOut) {
  options.repetition_penalty = 1;
  endpoint().answer("What?", 0);
  EXPECT_THAT(requests[0].body, Not(HasSubstr("repetition_penalty")));
}

TEST_F(ScriptedEndpoint, AsksForNothingTwice) {
  Endpoint first = endpoint();
  first.answer("a", 0);
  first.answer("a", 0);
  first.answer("b", 0);
  first.answer("a", 1);
  EXPECT_EQ(first.asked(), 3);
  EXPECT_EQ(first.cached(), 1);
  options.url = "https://elsewhere";
  options.key = "other";
  Endpoint second = endpoint();
  second.answer("a", 1);
  EXPECT_EQ(second.cached(), 1);
  EXPECT_EQ(requests.size(), 3u);
}

TEST_F(ScriptedEndpoint, NeverWritesTheKey) {
  options.key = "very-secret";
  endpoint().answer("a", 0);
  EXPECT_THAT(read_file(only_file()), Not(HasSubstr("very-secret")));
}

TEST_F(ScriptedEndpoint, ReplaysWithoutASingleRequest) {
  endpoint().answer("a", 0);
  options.replay = true;
  options.url = "";
  Endpoint replay = endpoint();
  EXPECT_EQ(replay.answer("a", 0), "fine");
  EXPECT_EQ(requests.size(), 1u);
  const Error error = mistake([&] { replay.answer("b", 0); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.message(), HasSubstr("no reply to this request was kept"));
  EXPECT_EQ(requests.size(), 1u);
}

TEST_F(ScriptedEndpoint, OfOtherSamplingHasOtherReplies) {
  endpoint().answer("a", 0);
  options.replay = true;
  options.temperature = 0;
  EXPECT_EQ(mistake([&] { endpoint().answer("a", 0); }).kind(), ErrorKind::data);
}

TEST_F(ScriptedEndpoint, IsAskedAgainAfterWhatMayPass) {
  script = {{0, "", "Timeout was reached", -1},
            {503, "busy", "", -1},
            {429, "slower", "", -1},
            {200, "<html>", "", -1},
            {200, "{\"choices\": []}", "", -1}};
  EXPECT_EQ(endpoint().answer("a", 0), "fine");
  EXPECT_THAT(waits, ElementsAre(1, 2, 4, 8, 16));
}

TEST_F(ScriptedEndpoint, WaitsAsLongAsItIsTold) {
  script = {{429, "", "", 7}, {429, "", "", 1e9}};
  endpoint().answer("a", 0);
  EXPECT_THAT(waits, ElementsAre(7, 3600));
}

TEST_F(ScriptedEndpoint, GivesUpAfterItsTriesAndNamesTheLastReason) {
  options.tries = 3;
  script.assign(9, {429, "too many requests", "", -1});
  const Error error = mistake([&] { endpoint().answer("a", 0); });
  EXPECT_EQ(error.kind(), ErrorKind::environment);
  EXPECT_THAT(error.message(), HasSubstr("no usable reply in 3 tries; the last: status 429: too many requests"));
  EXPECT_EQ(requests.size(), 3u);
  EXPECT_EQ(only_file(), fs::path());
}

TEST_F(ScriptedEndpoint, TellsOfALongWait) {
  script = {{429, "", "", 9}, {503, "", "", 600}};
  open_log(LogLevel::warning, folder.path() / "log.jsonl");
  endpoint().answer("a", 0);
  close_log();
  const std::string told = read_file(folder.path() / "log.jsonl");
  EXPECT_THAT(told, HasSubstr("status 503: ; asked again in 600 s"));
  EXPECT_THAT(told, Not(HasSubstr("429")));
}

TEST_F(ScriptedEndpoint, TellsOnceOfRepliesThatWereCutOff) {
  Json reply = Json::parse(reply_of("[happy, sa"));
  reply["choices"][0]["finish_reason"] = "length";
  script.assign(2, {200, reply.dump(), "", -1});
  open_log(LogLevel::warning, folder.path() / "log.jsonl");
  Endpoint asked = endpoint();
  EXPECT_EQ(asked.answer("a", 0), "[happy, sa");
  asked.answer("b", 0);
  close_log();
  const std::string told = read_file(folder.path() / "log.jsonl");
  EXPECT_EQ(std::ranges::count(told, '\n'), 1);
  EXPECT_THAT(told, HasSubstr("limit of 512 tokens"));
}

TEST_F(ScriptedEndpoint, ShowsNothingOfARefusalThatATerminalWouldObey) {
  for (const auto& [body, shown] :
       {std::pair("no \x1b[31m\nway\x7f", "status 400: no ?[31m?way?"), {"h\xff!", "status 400: h?!"}, {"é", "status 400: é"}}) {
    script = {{400, body, "", -1}};
    EXPECT_THAT(mistake([&] { endpoint().answer("a", 0); }).message(), HasSubstr(shown));
  }
}

TEST_F(ScriptedEndpoint, IsNotAskedAgainWhenItRefuses) {
  for (const long status : {400L, 401L, 403L, 404L, 302L}) {
    requests.clear();
    script = {{status, "no", "", -1}};
    const Error error = mistake([&] { endpoint().answer("a", 0); });
    EXPECT_EQ(error.kind(), ErrorKind::environment);
    EXPECT_THAT(error.message(), HasSubstr("status " + std::to_string(status)));
    EXPECT_EQ(requests.size(), 1u);
  }
}

TEST_F(ScriptedEndpoint, TakesNoReplyForOneThatIsNotTheJsonItShouldBe) {
  options.tries = 1;
  for (const char* body : {"", "null", "[]", "3", "{", "{\"choices\": 3}", "{\"choices\": [{\"message\": {\"content\": null}}]}",
                           "{\"choices\": [{\"text\": \"x\"}]}", "{\"error\": \"x\"}", "\xff\xfe"}) {
    script = {{200, body, "", -1}};
    EXPECT_EQ(mistake([&] { endpoint().answer("a", 0); }).kind(), ErrorKind::environment) << body;
  }
  EXPECT_EQ(only_file(), fs::path());
}

TEST_F(ScriptedEndpoint, KeepsToItsRate) {
  options.requests_per_minute = 30;
  Endpoint limited = endpoint();
  for (const char* prompt : {"a", "b", "c", "a"}) limited.answer(prompt, 0);
  EXPECT_THAT(waits, ElementsAre(DoubleEq(2), DoubleEq(2)));
}

TEST_F(ScriptedEndpoint, RefusesAKeptReplyThatWasDamagedOrMoved) {
  endpoint().answer("a", 0);
  const fs::path file = only_file();
  const std::string whole = read_file(file);
  Json other = Json::parse(whole);
  other["request"]["seed"] = 9;
  for (const std::string& text : {whole.substr(0, whole.size() / 2), std::string(), std::string("[]"), std::string("{}"),
                                  other.dump(), std::string("{\"request\": 1, \"reply\": 2}")}) {
    write_file_atomic(file, text);
    const Error error = mistake([&] { endpoint().answer("a", 0); });
    EXPECT_EQ(error.kind(), ErrorKind::data) << text;
    EXPECT_THAT(error.place(), HasSubstr(file.filename().string()));
  }
}

TEST_F(ScriptedEndpoint, RefusesWrongOptions) {
  const EndpointOptions good = options;
  const auto refuses = [&](auto change) {
    options = good;
    change(options);
    EXPECT_EQ(mistake([&] { endpoint(); }).kind(), ErrorKind::config);
  };
  refuses([](EndpointOptions& o) { o.url = "ftp://x"; });
  refuses([](EndpointOptions& o) { o.url = ""; });
  refuses([](EndpointOptions& o) { o.model = ""; });
  refuses([](EndpointOptions& o) { o.cache = ""; });
  refuses([](EndpointOptions& o) { o.timeout_s = 0; });
  refuses([](EndpointOptions& o) { o.requests_per_minute = -1; });
  refuses([](EndpointOptions& o) { o.tries = 0; });
}

// Over a true connection

TEST(HttpRequests, CarryBodyAndKeyAndBringTheReply) {
  const test::HttpStub stub([](const std::string&) { return test::StubReply{429, "{\"wait\": 1}", "Retry-After: 5\r\n"}; });
  const HttpReply reply = curl_post()({stub.url() + "/chat/completions", "secret", "{\"a\": 1}", 10});
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.body, "{\"wait\": 1}");
  EXPECT_EQ(reply.retry_after_s, 5);
  ASSERT_EQ(stub.requests().size(), 1u);
  EXPECT_THAT(stub.requests()[0], HasSubstr("POST /v1/chat/completions"));
  EXPECT_THAT(stub.requests()[0], HasSubstr("Authorization: Bearer secret"));
  EXPECT_THAT(stub.requests()[0], testing::EndsWith("{\"a\": 1}"));
}

TEST(HttpRequests, SendNoKeyWhenThereIsNone) {
  const test::HttpStub stub([](const std::string&) { return test::StubReply{}; });
  curl_post()({stub.url(), "", "{}", 10});
  EXPECT_THAT(stub.requests().at(0), Not(HasSubstr("Authorization")));
}

TEST(HttpRequests, EndWhenNothingComes) {
  const test::HttpStub stub([](const std::string&) { return test::StubReply{.body = "", .headers = "", .silent = true}; });
  const HttpReply reply = curl_post()({stub.url(), "", "{}", 0.2});
  EXPECT_EQ(reply.status, 0);
  EXPECT_EQ(reply.failure, "none within 0.2 s");
}

TEST(HttpRequests, EndWhenTooMuchComes) {
  const test::HttpStub stub(
      [](const std::string&) { return test::StubReply{.body = std::string((16u << 20) + 1, ' '), .headers = ""}; });
  const HttpReply reply = curl_post()({stub.url(), "", "{}", 30});
  EXPECT_EQ(reply.status, 0);
  EXPECT_EQ(reply.failure, "one of more than 16 MiB");
}

TEST(HttpRequests, FollowNoRedirect) {
  const test::HttpStub other([](const std::string&) { return test::StubReply{}; });
  const test::HttpStub stub([&](const std::string&) { return test::StubReply{302, "", "Location: " + other.url() + "\r\n"}; });
  EXPECT_EQ(curl_post()({stub.url(), "secret", "{}", 10}).status, 302);
  EXPECT_THAT(other.requests(), IsEmpty());
}

TEST(HttpRequests, SayWhyNobodyAnswers) {
  std::string closed;
  {
    closed = test::HttpStub([](const std::string&) { return test::StubReply{}; }).url();
  }
  const HttpReply reply = curl_post()({closed, "", "{}", 10});
  EXPECT_EQ(reply.status, 0);
  EXPECT_THAT(reply.failure, HasSubstr("connect"));
}

}  // namespace
}  // namespace microemo::eval
