#include "microemo/checkpoint/folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/base/log.h"

namespace microemo::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr int64_t format_version = 1;
constexpr const char* manifest_name = "manifest.json";
constexpr const char* partial_suffix = ".partial";
constexpr const char* replaced_suffix = ".replaced";
constexpr std::string_view step_prefix = "step-";

Error folder_error(const fs::path& path, const std::string& reason) {
  return EnvironmentError("the checkpoint cannot be written: {}", reason)
      .where(path)
      .hint("check the access rights and the free space of the disk");
}

void sync(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw folder_error(path, std::strerror(errno));
  const int outcome = ::fsync(descriptor), code = errno;
  ::close(descriptor);
  // Some network file systems cannot sync a folder and answer EINVAL.
  if (outcome != 0 && code != EINVAL) throw folder_error(path, std::strerror(code));
}

void rename_folder(const fs::path& from, const fs::path& to) {
  std::error_code failure;
  fs::rename(from, to, failure);
  if (failure) throw folder_error(to, failure.message());
}

void remove_folder(const fs::path& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

fs::path with_suffix(fs::path path, const std::string& suffix) { return path += suffix; }

/// Under another name first: a removal that is interrupted must not look like a damaged checkpoint.
void retire(const fs::path& folder) {
  const fs::path doomed = with_suffix(folder, std::string(".old") + partial_suffix);
  remove_folder(doomed);
  rename_folder(folder, doomed);
  remove_folder(doomed);
}

Json describe_files(const fs::path& folder, const std::map<std::string, FileFacts>& others) {
  std::map<std::string, FileFacts> facts = others;
  for (const auto& [name, told] : others) {
    std::error_code failure;
    if (const uintmax_t bytes = fs::file_size(folder / name, failure); failure || bytes != told.bytes)
      throw EnvironmentError("{} of another rank is not to be seen from rank 0 as it was written", name)
          .where(folder)
          .hint("all ranks have to see the same run folder");
  }
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).generic_string();
    if (entry.is_directory())
      sync(entry.path());
    else if (!others.contains(name))
      facts[name] = synced_facts(entry.path());
  }
  Json files = Json::object();
  for (const auto& [name, one] : facts) files[name] = {{"bytes", one.bytes}, {"sha256", one.sha256}};
  return files;
}

/// `name` may stand in a folder, as that of a tokenizer does.
std::string damage_of_file(const fs::path& folder, const std::string& name, const Json& expected) {
  const fs::path path = folder / name;
  std::error_code failure;
  const uintmax_t bytes = fs::file_size(path, failure);
  if (failure) return fmt::format("{} is missing", name);
  if (bytes != expected.at("bytes").get<uintmax_t>())
    return fmt::format("{} has {} bytes instead of {}", name, bytes, expected.at("bytes").get<uintmax_t>());
  if (sha256_file(path) != expected.at("sha256").get<std::string>()) return fmt::format("the content of {} has changed", name);
  return {};
}

std::string check_manifest(const fs::path& folder) {
  const Json manifest = read_json(folder / manifest_name);
  const auto version = manifest.at("format").get<int64_t>();
  if (version > format_version) return fmt::format("it has format {}, and this program reads up to {}", version, format_version);
  for (const auto& [name, expected] : manifest.at("files").items())
    if (const std::string damage = damage_of_file(folder, name, expected); !damage.empty()) return damage;
  return {};
}

/// A folder that was to be replaced counts as long as the new one has not its name.
bool was_replaced(const fs::path& path) {
  return path.extension() == replaced_suffix && fs::exists(path.parent_path() / path.stem());
}

std::optional<int64_t> step_of(const std::string& name) {
  int64_t step = 0;
  if (!name.starts_with(step_prefix)) return std::nullopt;
  const char *first = name.data() + step_prefix.size(), *last = name.data() + name.size();
  const auto [end, failure] = std::from_chars(first, last, step);
  return failure == std::errc() && end == last ? std::optional(step) : std::nullopt;
}

}  // namespace

PendingFolder::PendingFolder(fs::path final_path) : final_(std::move(final_path)), partial_(with_suffix(final_, partial_suffix)) {
  remove_folder(partial_);
  std::error_code failure;
  fs::create_directories(partial_, failure);
  if (failure) throw folder_error(partial_, failure.message());
}

PendingFolder::~PendingFolder() { remove_folder(partial_); }

FileFacts synced_facts(const fs::path& file) {
  sync(file);
  return {fs::file_size(file), sha256_file(file)};
}

void PendingFolder::commit(const std::map<std::string, FileFacts>& others) {
  write_json(partial_ / manifest_name, {{"format", format_version}, {"files", describe_files(partial_, others)}});
  sync(partial_);
  // At every moment one of the two is there under a name that list_checkpoints knows.
  const fs::path replaced = with_suffix(final_, replaced_suffix);
  if (fs::exists(final_)) {
    remove_folder(replaced);
    rename_folder(final_, replaced);
  }
  rename_folder(partial_, final_);
  sync(final_.parent_path());
  remove_folder(replaced);
}

std::vector<std::string> files_in_manifest(const fs::path& folder) {
  std::vector<std::string> names;
  const Json manifest = read_json(folder / manifest_name);
  const Json files = manifest.value("files", Json::object());
  for (const auto& [name, facts] : files.items()) names.push_back(name);
  return names;
}

std::string damage_of(const fs::path& folder) {
  if (!fs::is_directory(folder)) return "there is no such folder";
  if (!fs::exists(folder / manifest_name)) return fmt::format("{} is missing", manifest_name);
  try {
    return check_manifest(folder);
  } catch (const Error& error) {
    return fmt::format("it cannot be read: {}", error.message());
  } catch (const Json::exception&) {
    return fmt::format("{} does not say which files there are", manifest_name);
  }
}

fs::path step_folder(const fs::path& run, int64_t step) {
  return run / "checkpoints" / fmt::format("{}{:08}", step_prefix, step);
}

std::vector<RunCheckpoint> list_checkpoints(const fs::path& run) {
  std::vector<RunCheckpoint> found;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", absent)) {
    const fs::path name = entry.path().filename();
    if (was_replaced(entry.path())) continue;
    const auto step = step_of((name.extension() == replaced_suffix ? name.stem() : name).string());
    if (step) found.push_back({*step, entry.path()});
  }
  std::sort(found.begin(), found.end(), [](const RunCheckpoint& a, const RunCheckpoint& b) { return a.step < b.step; });
  return found;
}

std::optional<RunCheckpoint> find_latest(const fs::path& run) {
  std::vector<RunCheckpoint> checkpoints = list_checkpoints(run);
  for (; !checkpoints.empty(); checkpoints.pop_back()) {
    const std::string damage = damage_of(checkpoints.back().path);
    if (damage.empty()) return checkpoints.back();
    log_warning(fmt::format("checkpoint {} is damaged and not used: {}; trying the one before", checkpoints.back().path.string(),
                            damage));
  }
  return std::nullopt;
}

fs::path find_checkpoint(const fs::path& path) {
  if (!fs::is_directory(path))
    throw CheckpointError("there is no such folder").where(path).hint("name a run folder or a checkpoint folder");
  if (fs::exists(path / manifest_name)) {
    const std::string damage = damage_of(path);
    if (damage.empty()) return path;
    throw CheckpointError("the checkpoint is damaged: {}", damage).where(path).hint("use another checkpoint of the run");
  }
  if (const auto latest = find_latest(path)) return latest->path;
  throw CheckpointError("no whole checkpoint was found here")
      .where(path)
      .hint("name a run folder with a folder checkpoints in it");
}

void prune_checkpoints(const fs::path& run, int64_t keep_last, int64_t spared, int64_t newest) {
  std::error_code absent;
  std::vector<fs::path> remainders;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", absent))
    if (entry.path().extension() == partial_suffix || was_replaced(entry.path())) remainders.push_back(entry.path());
  for (const fs::path& path : remainders) remove_folder(path);
  std::vector<RunCheckpoint> all = list_checkpoints(run);
  std::erase_if(all, [newest](const RunCheckpoint& one) { return one.step > newest; });
  const auto keep = static_cast<size_t>(keep_last);
  for (size_t i = 0; keep_last > 0 && i + keep < all.size(); ++i)
    if (all[i].step != spared) retire(all[i].path);
}

}  // namespace microemo::checkpoint
