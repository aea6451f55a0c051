#include "microemo/train/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/json.h"

namespace microemo::train {
namespace {

Error metrics_error(const std::filesystem::path& path) {
  return EnvironmentError("the metrics cannot be written: {}", std::strerror(errno))
      .where(path)
      .hint("check the access rights and the free space of the disk; the run can be resumed");
}

/// The step of a line; nothing for one that a kill or a power cut has torn.
std::optional<int64_t> step_of(const std::string& line) {
  const Json value = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object() || !value.contains("step") || !value["step"].is_number_integer()) return std::nullopt;
  return value["step"].get<int64_t>();
}

std::string lines_through(const std::string& text, int64_t last_step) {
  std::string kept;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string line = text.substr(begin, end - begin);
    if (const auto step = step_of(line); step && *step <= last_step) kept += line + '\n';
    begin = end + 1;
  }
  return kept;
}

Json to_json(const MetricsLine& line) {
  const StepResult& result = line.result;
  Json json = {
      {"step", line.step}, {"loss", result.loss}, {"answer_loss", result.answer_loss}, {"alignment_loss", result.alignment_loss}};
  if (result.movement_accuracy >= 0) json["movement_accuracy"] = result.movement_accuracy;
  for (const auto& [name, value] : line.validation) json[name] = value;
  json["lr"] = line.learning_rate;
  json["grad_norm"] = result.gradient_norm;
  for (const auto& [part, norm] : line.gradient_norms) json["grad_norm/" + part] = norm;
  json["tokens_per_s"] = static_cast<double>(result.tokens) / line.step_seconds;
  json["clips_per_s"] = static_cast<double>(result.clips) / line.step_seconds;
  json["seconds"] = line.seconds;
  json["data_wait_s"] = line.wait_seconds;
  json["memory_mb"] = line.memory_mb;
  if (line.skipped) json["skipped"] = true;
  if (!line.weights.empty()) json["weights"] = line.weights;
  return json;
}

std::vector<report::Scalar> scalars_of(const Json& line) {
  std::vector<report::Scalar> scalars;
  for (const auto& [name, value] : line.items())
    if (name != "step" && value.is_number()) scalars.emplace_back(name, value.get<double>());
  return scalars;
}

}  // namespace

MetricsFile::MetricsFile(const std::filesystem::path& path, int64_t last_step)
    : path_(path), events_(path.parent_path() / "tensorboard", last_step) {
  const std::string kept = std::filesystem::exists(path) ? lines_through(read_file(path), last_step) : std::string();
  write_file_atomic(path, kept);
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (descriptor_ < 0) throw metrics_error(path);
}

MetricsFile::~MetricsFile() { ::close(descriptor_); }

void MetricsFile::write(const MetricsLine& line) {
  const Json json = to_json(line);
  const std::string text = json.dump() + '\n';
  if (::write(descriptor_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) throw metrics_error(path_);
  events_.write(line.step, scalars_of(json));
}

void MetricsFile::sync() {
  if (::fsync(descriptor_) != 0) throw metrics_error(path_);
}

}  // namespace microemo::train
