#include "microemo/base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <mutex>

#include "console.h"
#include "microemo/base/error.h"
#include "microemo/base/json.h"

namespace microemo {
namespace {

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      break;
  }
  return spdlog::level::warn;
}

std::string text_of(const spdlog::details::log_msg& message) { return {message.payload.data(), message.payload.size()}; }

class ConsoleSink : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg& message) override {
    console_line((message.level >= spdlog::level::warn ? "warning: " : "") + text_of(message));
  }
  void flush_() override {}
};

/// UTC with milliseconds: "2026-01-31T12:00:00.123Z".
std::string time_text(std::chrono::system_clock::time_point time) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec, milliseconds % 1000);
}

class JsonlSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit JsonlSink(const std::filesystem::path& path) : file_(path, std::ios::app) {
    if (!file_) throw EnvironmentError("the log file cannot be opened").where(path).hint("choose a folder that you may write to");
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const char* level = message.level >= spdlog::level::warn   ? "warning"
                        : message.level == spdlog::level::info ? "info"
                                                               : "debug";
    const Json line = {{"time", time_text(message.time)}, {"level", level}, {"message", text_of(message)}};
    // A message may quote a broken file: bytes that are not UTF-8 become U+FFFD here rather than an error.
    file_ << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  }
  void flush_() override { file_.flush(); }

  std::ofstream file_;
};

std::mutex mutex;
std::shared_ptr<spdlog::logger> current;

void write(spdlog::level::level_enum level, const std::string& message) {
  std::shared_ptr<spdlog::logger> logger;
  {
    const std::lock_guard lock(mutex);
    logger = current;
  }
  if (logger) logger->log(level, spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace

void open_log(LogLevel console_level, const std::filesystem::path& jsonl) {
  auto console = std::make_shared<ConsoleSink>();
  console->set_level(level_of(console_level));
  auto logger = std::make_shared<spdlog::logger>("microemo", console);
  logger->set_level(spdlog::level::debug);
  if (!jsonl.empty()) logger->sinks().push_back(std::make_shared<JsonlSink>(jsonl));
  const std::lock_guard lock(mutex);
  current = std::move(logger);
}

void close_log() {
  const std::lock_guard lock(mutex);
  current.reset();
}

void log_debug(const std::string& message) { write(spdlog::level::debug, message); }
void log_info(const std::string& message) { write(spdlog::level::info, message); }
void log_warning(const std::string& message) { write(spdlog::level::warn, message); }

}  // namespace microemo
