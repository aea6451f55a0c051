#include "prepared_index.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <tuple>

#include "microemo/base/error.h"
#include "microemo/base/files.h"
#include "microemo/base/hash.h"
#include "microemo/base/json.h"
#include "microemo/base/log.h"
#include "microemo/base/write_error.h"
#include "microemo/data/prepared.h"
#include "microemo/media/picture_folder.h"
#include "prepared_hash.h"
#include "prepared_lock.h"

namespace microemo::data {
namespace {

namespace fs = std::filesystem;

/// A new number makes every cache entry anew: to be raised when the same options give other values.
constexpr int layout_version = 2;

std::string full_name(const fs::path& file) { return fs::absolute(file).lexically_normal().string(); }

class Descriptor {
 public:
  explicit Descriptor(const fs::path& file) : value_(::open(file.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666)) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

/// Appends lines, all of them or none: a write that fails is taken back. After a line that a killed process left unfinished a new
/// one is begun.
void append_whole(const fs::path& file, std::string text) {
  const Descriptor opened(file);
  const off_t size = opened.get() < 0 ? -1 : ::lseek(opened.get(), 0, SEEK_END);
  if (size < 0) throw write_error(file, errno);
  char last = '\n';
  if (size > 0 && ::pread(opened.get(), &last, 1, size - 1) != 1) throw write_error(file, errno);
  if (last != '\n') text.insert(0, "\n");
  for (std::string_view left = text; !left.empty();) {
    const ssize_t written = ::write(opened.get(), left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int code = errno;
      std::ignore = ::ftruncate(opened.get(), size);
      throw write_error(file, code);
    }
    left.remove_prefix(size_t(written));
  }
  if (::fsync(opened.get()) != 0) throw write_error(file, errno);
}

int64_t nanoseconds(const timespec& time) { return int64_t(time.tv_sec) * 1'000'000'000 + time.tv_nsec; }

}  // namespace

ContentHashes::ContentHashes(fs::path index) : index_(std::move(index)) {
  Contents contents = read();
  known_ = std::move(contents.entries);
  lines_ = contents.lines;
  mend_ = contents.damaged > 0;
  if (mend_)
    log_warning(fmt::format("{} of {} lines of the cache's index {} cannot be read; those videos are hashed again",
                            contents.damaged, contents.lines, index_.string()));
}

ContentHashes::Contents ContentHashes::read() const {
  Contents contents;
  std::error_code trouble;
  if (!fs::exists(index_, trouble)) return contents;
  std::string text;
  try {
    text = read_file(index_);
  } catch (const Error& error) {
    log_warning(fmt::format("the cache's index is not read, videos are hashed again: {}", error.what()));
  }
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    if (end == begin) continue;
    ++contents.lines;
    try {
      const Json entry = parse_json(std::string_view(text).substr(begin, end - begin), index_);
      const auto number = [&](const char* key) { return json_get<int64_t>(entry, key, index_, contents.lines); };
      contents.entries[json_get<std::string>(entry, "path", index_, contents.lines)] = {
          number("size"), number("modified_ns"), number("changed_ns"),
          json_get<std::string>(entry, "sha256", index_, contents.lines)};
    } catch (const Error&) {
      ++contents.damaged;
    }
  }
  // What follows the last line's end is being written by another process, or was when it was killed.
  return contents;
}

std::string ContentHashes::line_of(const std::string& path, const Known& entry) {
  return Json{{"path", path},
              {"size", entry.size},
              {"modified_ns", entry.modified_ns},
              {"changed_ns", entry.changed_ns},
              {"sha256", entry.sha256}}
             .dump() +
         "\n";
}

ContentHashes::Known ContentHashes::stamp(const fs::path& file) {
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0) return {};
  return {facts.st_size, nanoseconds(facts.st_mtim), nanoseconds(facts.st_ctim), {}};
}

/// A picture that is replaced, renamed, added or removed changes itself or the folder.
ContentHashes::Known ContentHashes::stamp(const fs::path& folder, const std::vector<fs::path>& pictures) {
  Known all = stamp(folder);
  all.size = 0;
  for (const fs::path& picture : pictures) {
    const Known one = stamp(picture);
    all.size += one.size;
    all.modified_ns = std::max(all.modified_ns, one.modified_ns);
    all.changed_ns = std::max(all.changed_ns, one.changed_ns);
  }
  return all;
}

std::string ContentHashes::of(const fs::path& file) {
  std::error_code trouble;
  const fs::file_type type = fs::status(file, trouble).type();
  // A pipe would be waited for without end.
  if (type == fs::file_type::fifo || type == fs::file_type::socket || type == fs::file_type::character)
    throw DataError("this is not a regular file").where(file).hint("copy its content to a file");
  return remembered(file, stamp(file), [&] { return sha256_file(file); });
}

std::string ContentHashes::of_pictures(const fs::path& folder) {
  const std::vector<fs::path> pictures = media::picture_files(folder);
  return remembered(folder, stamp(folder, pictures), [&] { return pictures_hash(pictures); });
}

std::string ContentHashes::remembered(const fs::path& file, Known now, const std::function<std::string()>& hash) {
  const std::string name = full_name(file);
  {
    const std::lock_guard lock(mutex_);
    const auto entry = known_.find(name);
    if (entry != known_.end()) {
      now.sha256 = entry->second.sha256;
      if (now == entry->second) return now.sha256;
    }
  }
  now.sha256 = hash();
  const std::lock_guard lock(mutex_);
  known_[name] = now;
  unsaved_.insert(name);
  return now.sha256;
}

void ContentHashes::append() {
  std::string text;
  for (const std::string& path : unsaved_) text += line_of(path, known_.at(path));
  append_whole(index_, text);
  lines_ += int64_t(unsaved_.size());
}

void ContentHashes::rewrite() {
  // Other processes have appended since it was read.
  Entries all = read().entries;
  for (const std::string& path : unsaved_) all[path] = known_.at(path);
  std::string text;
  for (const auto& [path, entry] : all) text += line_of(path, entry);
  write_file_atomic(index_, text);
  lines_ = int64_t(all.size());
  mend_ = false;
}

void ContentHashes::save(int64_t unsaved) {
  const std::lock_guard lock(mutex_);
  if (int64_t(unsaved_.size()) <= unsaved && !mend_) return;
  const CacheLock alone(index_.parent_path());
  if (mend_ || lines_ > 2 * int64_t(known_.size()))
    rewrite();
  else
    append();
  unsaved_.clear();
}

ContentHashes& content_hashes(const fs::path& cache) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<ContentHashes>> caches;
  const std::lock_guard lock(mutex);
  auto& hashes = caches[full_name(cache)];
  if (!hashes) hashes = std::make_unique<ContentHashes>(cache / "index.jsonl");
  return *hashes;
}

Json taken_options(const PrepareOptions& options) {
  Json taken = options_to_json(options);
  taken.erase("limits");
  if (options.partial == Partial::refuse) taken.erase("partial");
  return taken;
}

fs::path cache_file(const fs::path& cache, const Clip& clip, const PrepareOptions& options) {
  const bool pictures = clip.frame_rate > 0;
  ContentHashes& hashes = content_hashes(cache);
  Json key = {{"layout", layout_version},
              {"content", pictures ? hashes.of_pictures(clip.video) : hashes.of(clip.video)},
              {"options", taken_options(options)}};
  if (pictures) key["frame_rate"] = clip.frame_rate;
  if (options.faces && !clip.face_crops.empty())
    key["face_crops"] = {hashes.of(clip.face_crops), clip.face_crop_rate};
  else if (options.faces && options.face_choice == FaceChoice::speaking)
    for (const Utterance& utterance : clip.utterances) key["utterances"].push_back({utterance.start_s, utterance.end_s});
  const std::string name = sha256(key.dump());
  return cache / name.substr(0, 2) / (name + ".safetensors");
}

}  // namespace microemo::data
