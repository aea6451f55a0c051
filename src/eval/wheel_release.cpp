#include "microemo/eval/wheel_release.h"

#include <algorithm>
#include <map>
#include <optional>
#include <system_error>

#include "mertools_wheel.h"
#include "microemo/base/error.h"
#include "microemo/base/hash.h"

namespace microemo::eval {
namespace {

namespace fs = std::filesystem;

constexpr int deepest = 4;

/// First half of the hashes of the public files (MERTools, emotion_wheel); the workbooks are the same in both releases.
struct PublicFile {
  const char* name;
  const char* hash;
  std::vector<std::string> releases;
};

const std::vector<PublicFile>& public_files() {
  static const std::vector<PublicFile> files = {
      {"wheel1.xlsx", "e70485d354b82a74", {"2025", "2026"}}, {"wheel2.xlsx", "acc001e076a8e604", {"2025", "2026"}},
      {"wheel3.xlsx", "d62f30bf88c17c55", {"2025", "2026"}}, {"wheel4.xlsx", "660260561b7fe155", {"2025", "2026"}},
      {"wheel5.xlsx", "2dd4595b2cf8e762", {"2025", "2026"}}, {"synonym.xlsx", "23f81f9ab1d2418a", {"2025", "2026"}},
      {"format.csv", "ba6de7d61db8e129", {"2025"}},          {"format.csv", "82234299875465ec", {"2026"}},
  };
  return files;
}

/// First half of content_hash of each release (tests/reference/eval_parity.py computes it).
std::string release_by_content(const std::string& hash) {
  if (hash.starts_with("bacc383af3ae1d64")) return "2025";
  if (hash.starts_with("e6d8c5243a143a6c")) return "2026";
  return "";
}

bool holds_wheels(const fs::path& folder) { return fs::exists(folder / "wheel1.xlsx") && fs::exists(folder / "format.csv"); }

/// Folders that cannot be opened are passed over: they are not what was named.
std::vector<fs::path> find_folders(const fs::path& folder) {
  if (holds_wheels(folder)) return {folder};
  std::vector<fs::path> found;
  std::error_code ignored;
  fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, ignored), end;
  for (; at != end; at.increment(ignored)) {
    if (at.depth() + 1 >= deepest) at.disable_recursion_pending();
    if (at->is_directory(ignored) && holds_wheels(at->path())) found.push_back(at->path());
  }
  std::ranges::sort(found);
  return found;
}

struct Candidate {
  fs::path folder;
  std::string release;
};

/// Reads the wheels only where the hashes say nothing.
Candidate identify(const fs::path& folder) {
  std::string release = release_of(identify_wheel_files(folder));
  if (release.empty()) release = release_by_content(content_hash(load_wheel(folder)));
  return {folder, release};
}

Error other_release(const fs::path& folder, const std::string& wanted, const std::vector<Candidate>& candidates) {
  std::string found;
  for (const Candidate& candidate : candidates)
    found += fmt::format("{}{} in {}", found.empty() ? "" : ", ",
                         candidate.release.empty() ? "an unknown release" : "those of " + candidate.release,
                         candidate.folder.string());
  return ConfigError("the metric needs the emotion wheels of {}, and there are {}", wanted, found)
      .where(folder)
      .hint(fmt::format("name the folder emotion_wheel of MER{}, or the metric of the other release", wanted));
}

std::optional<fs::path> choose(const std::vector<Candidate>& candidates, const std::string& release) {
  const auto is = [](const std::string& wanted) { return [wanted](const Candidate& c) { return c.release == wanted; }; };
  if (const auto found = std::ranges::find_if(candidates, is(release)); found != candidates.end()) return found->folder;
  std::vector<fs::path> unknown;
  for (const Candidate& candidate : candidates)
    if (candidate.release.empty()) unknown.push_back(candidate.folder);
  if (unknown.size() == 1 && candidates.size() == 1) return unknown[0];
  std::erase_if(unknown, [&](const fs::path& path) { return path.string().find(release) == std::string::npos; });
  return unknown.size() == 1 ? std::optional(unknown[0]) : std::nullopt;
}

/// The folder with the wheels of a release, and its own.
Candidate find_release(const fs::path& folder, const std::string& release) {
  if (!fs::is_directory(folder))
    throw DataError("there is no folder of emotion wheels")
        .where(folder)
        .hint("name a folder with wheel1.xlsx to wheel5.xlsx, synonym.xlsx and format.csv, such as MERTools' emotion_wheel");
  std::vector<Candidate> candidates;
  for (const fs::path& found : find_folders(folder)) candidates.push_back(identify(found));
  if (candidates.empty())
    throw DataError("the folder has no emotion wheels")
        .where(folder)
        .hint("name a folder with wheel1.xlsx to wheel5.xlsx, synonym.xlsx and format.csv, or one that holds such folders");
  const auto chosen = choose(candidates, release);
  if (!chosen) throw other_release(folder, release, candidates);
  return *std::ranges::find(candidates, *chosen, &Candidate::folder);
}

}  // namespace

EmotionWheel load_release(const fs::path& folder, const std::string& release) {
  const Candidate found = find_release(folder, release);
  EmotionWheel wheel = load_wheel(found.folder);
  wheel.release = found.release;
  return wheel;
}

ReleaseWheels load_release_wheels(const fs::path& folder, const std::string& release) {
  const Candidate found = find_release(folder, release);
  ReleaseWheels wheels = load_mertools_classes(found.folder);
  wheels.wheel.release = found.release;
  return wheels;
}

std::vector<KnownWheelFile> identify_wheel_files(const fs::path& folder) {
  std::vector<KnownWheelFile> files;
  for (const PublicFile& known : public_files()) {
    if (!files.empty() && files.back().name == known.name) continue;
    if (!fs::exists(folder / known.name))
      throw DataError("the folder of wheels has no {}", known.name)
          .where(folder)
          .hint("a MERTools folder emotion_wheel holds wheel1.xlsx to wheel5.xlsx, synonym.xlsx and format.csv");
    files.push_back({known.name, sha256_file(folder / known.name), {}});
  }
  for (KnownWheelFile& file : files)
    for (const PublicFile& known : public_files())
      if (file.name == known.name && file.hash.starts_with(known.hash)) file.releases = known.releases;
  return files;
}

std::string release_of(const std::vector<KnownWheelFile>& files) {
  for (const std::string release : {"2025", "2026"})
    if (std::ranges::all_of(
            files, [&](const KnownWheelFile& file) { return std::ranges::find(file.releases, release) != file.releases.end(); }))
      return release;
  return "";
}

std::string content_hash(const EmotionWheel& wheel) {
  std::string text;
  for (const Grouping& grouping : wheel.groupings) {
    const std::map<std::string_view, std::string_view> sorted(grouping.class_of.begin(), grouping.class_of.end());
    for (const auto& [form, name] : sorted) text += fmt::format("{}\t{}\t{}\n", grouping.name, form, name);
  }
  return sha256(text);
}

}  // namespace microemo::eval
