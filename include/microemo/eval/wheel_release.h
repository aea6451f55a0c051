#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "microemo/eval/class_table.h"
#include "microemo/eval/wheel.h"

namespace microemo::eval {

/// The wheels of one release ("2025" or "2026") from a folder that holds them (wheel1.xlsx … wheel5.xlsx, synonym.xlsx,
/// format.csv), or that holds such folders up to four levels below, as a checkout of MERTools or a folder with wheel2025/ and
/// wheel2026/ does.
///
/// The release of a folder is told from the hashes of its files, else from what the files say, so that a workbook that was saved
/// again still counts. Files of another release are refused: Error(config) that says which were found where. Files of no release
/// are taken when they are all there is (of several such folders, the one with the year in its path); EmotionWheel::release is
/// empty then. Throws Error(data) when there are no wheels, and as load_wheel.
EmotionWheel load_release(const std::filesystem::path& folder, const std::string& release);

/// The wheels of one release, ready for many labels: their classes are numbers, and the wheel has no groupings.
struct ReleaseWheels {
  EmotionWheel wheel;
  ClassTable classes;
};
/// As load_release, in half the time.
ReleaseWheels load_release_wheels(const std::filesystem::path& folder, const std::string& release);

/// One file of the wheels beside what is known of it.
struct KnownWheelFile {
  std::string name, hash;
  std::vector<std::string> releases;  ///< that have exactly this file; empty: none
};

/// Throws Error(data) when a file is missing.
std::vector<KnownWheelFile> identify_wheel_files(const std::filesystem::path& folder);

/// The release that has all of these files; empty when there is none.
std::string release_of(const std::vector<KnownWheelFile>& files);

/// SHA-256 over every form and its class under every grouping: of two folders equal when they score alike.
std::string content_hash(const EmotionWheel& wheel);

}  // namespace microemo::eval
