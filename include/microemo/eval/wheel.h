#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace microemo::eval {

// Emotion wheels, as data: tables that say which open-vocabulary labels count as the same answer. A label that a wheel does not
// know belongs to no class and is dropped by every metric; the score table counts such labels.

/// One way to put labels into classes. Labels are spelled as normalise_label leaves them.
struct Grouping {
  std::string name;
  std::unordered_map<std::string, std::string> class_of;
};

struct WheelFile {
  std::filesystem::path path;
  std::string hash;  ///< SHA-256
};

struct EmotionWheel {
  std::string name;  ///< "microemo", "MERTools 2025", "MERTools 2026" or "MERTools (unknown release)"
  std::filesystem::path path;
  std::vector<WheelFile> files;
  std::string hash;  ///< of the file; of several, SHA-256 over their names and hashes
  std::vector<Grouping> groupings;
  std::vector<std::string> headline;  ///< names of the groupings whose mean is the wheel's score
  std::string release = {};           ///< "2025" or "2026" of MERTools wheels, where it is known

  /// Throws Error(config) that lists the groupings.
  const Grouping& grouping(std::string_view grouping_name) const;
};

/// One row of a wheel file of the project's own form (data/wheels/microemo.csv).
struct WheelWord {
  std::string word, group, sector;
  int intensity = 2;               ///< 1 mild, 2 plain, 3 strong
  std::vector<std::string> forms;  ///< other spellings, nouns, adverbs
};

/// CSV with the columns word, group, sector, intensity, forms (separated by ";"); lines at the head that begin with "#" are
/// comments. Throws Error(data) with file and line for a word or form that stands twice or is not spelled as normalise_label
/// leaves it, an intensity other than 1, 2 and 3, a group in two sectors, and a group that is no word of its own.
std::vector<WheelWord> read_wheel_words(const std::filesystem::path& path);

/// A file of the form above, with the groupings "group" (the score) and "sector"; or a folder of the MERTools emotion wheels
/// (wheel1.xlsx … wheel5.xlsx, synonym.xlsx, format.csv), with the groupings "M1" (word form to base), "M2" (synonym to wheel
/// word) and "W1-L1", "W1-L2" … "W5-L2" (ring 1 and 2 of each wheel); the score is the mean over the five L1. The release is told
/// from the hashes of the files. The folder's maps are built as the public code builds them (MERTools,
/// my_affectgpt/evaluation/wheel.py). Throws Error(data).
EmotionWheel load_wheel(const std::filesystem::path& path);

/// The project's own wheel, beside the program: data/wheels/microemo.csv of the source tree that it was built in, or
/// ../share/microemo/wheels of an installation. Throws Error(environment) when it is not there.
std::filesystem::path own_wheel_path();

/// The classes that labels belong to.
std::set<std::string> classes_of(const std::vector<std::string>& labels, const Grouping& grouping);

}  // namespace microemo::eval
