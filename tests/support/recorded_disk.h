#pragma once
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

// What may lie on a disk when the power fails, from what tests/support/file_recorder.cpp wrote down.

namespace microemo::test {

struct FileChange {
  std::string kind, path, target;  ///< target: of a rename
  size_t offset = 0;               ///< of a write; the size of a truncation
  std::string bytes;
  int file = -1;  ///< which file or folder it is of, whatever its name is or becomes; -1: of one from before
};

inline std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
inline bool lies_below(const std::string& path, const std::string& folder) { return path.rfind(folder + "/", 0) == 0; }

/// Names and contents; a folder is a name with the content of none.
class DiskImage {
 public:
  /// False when the change is of something that is not there, because an earlier one was lost.
  bool apply(const FileChange& change) {
    if (change.kind == "create") return add(change, /*is_folder=*/false);
    if (change.kind == "mkdir") return add(change, /*is_folder=*/true);
    if (change.kind == "rename") return rename(change.path, change.target);
    if (change.kind == "remove") return names_.erase(change.path) > 0;
    if (change.kind == "sync") return true;
    std::string& content = contents_[change.file];
    size_t& version = versions_[change.file];
    version = version * 31 + std::hash<std::string>()(change.bytes) + change.offset;
    if (change.kind == "truncate") {
      content.resize(change.offset);
    } else {
      content.resize(std::max(content.size(), change.offset + change.bytes.size()));
      content.replace(change.offset, change.bytes.size(), change.bytes);
    }
    return true;
  }

  int file_at(const std::string& path) const {
    const auto found = names_.find(path);
    return found == names_.end() ? -1 : found->second;
  }

  /// Equal for images of equal names and contents.
  std::string key() const {
    std::ostringstream text;
    for (const auto& [path, file] : names_) {
      const auto version = versions_.find(file);
      text << path << ' ' << file << ' ' << (version == versions_.end() ? 0 : version->second) << '\n';
    }
    return text.str();
  }

  void write_to(const std::string& from, const std::filesystem::path& to) const {
    for (const auto& [path, file] : names_) {
      if (path != from && !lies_below(path, from)) continue;
      const std::filesystem::path place = to.string() + path.substr(from.size());
      if (folders_.contains(file)) {
        std::filesystem::create_directories(place);
      } else if (std::filesystem::is_directory(place.parent_path())) {
        const auto content = contents_.find(file);
        std::ofstream(place, std::ios::binary) << (content == contents_.end() ? std::string() : content->second);
      }
    }
  }

 private:
  bool add(const FileChange& change, bool is_folder) {
    names_[change.path] = change.file;
    if (is_folder) folders_.insert(change.file);
    return true;
  }

  bool rename(const std::string& from, const std::string& to) {
    std::map<std::string, int> moved;
    for (auto entry = names_.begin(); entry != names_.end();) {
      if (entry->first != from && !lies_below(entry->first, from)) {
        ++entry;
        continue;
      }
      moved[to + entry->first.substr(from.size())] = entry->second;
      entry = names_.erase(entry);
    }
    for (const auto& [path, file] : moved) names_[path] = file;
    return !moved.empty();
  }

  std::map<std::string, int> names_;
  std::map<int, std::string> contents_;
  std::map<int, size_t> versions_;
  std::set<int> folders_;
};

inline std::string from_hex(const std::string& text) {
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  return bytes;
}

inline std::vector<FileChange> read_changes(const std::filesystem::path& log) {
  std::vector<FileChange> changes;
  DiskImage disk;
  std::ifstream lines(log);
  int files = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    FileChange change;
    words >> change.kind >> change.path;
    if (change.kind == "rename") words >> change.target;
    if (change.kind == "write" || change.kind == "truncate") words >> change.offset;
    std::string text;
    if (change.kind == "write") words >> text;
    change.bytes = from_hex(text);
    change.file = change.kind == "create" || change.kind == "mkdir" ? files++ : disk.file_at(change.path);
    disk.apply(change);
    changes.push_back(change);
  }
  return changes;
}

/// Whether a sync before `end` makes sure of a change: of the file for what it holds, of the folder for its names.
inline bool is_synced(const std::vector<FileChange>& changes, size_t change, size_t end) {
  const FileChange& one = changes[change];
  const bool is_content = one.kind == "write" || one.kind == "truncate";
  for (size_t i = change + 1; i < end; ++i) {
    if (changes[i].kind != "sync") continue;
    if (is_content ? changes[i].file == one.file : changes[i].path == parent_of(one.kind == "rename" ? one.target : one.path))
      return true;
  }
  return false;
}

}  // namespace microemo::test
