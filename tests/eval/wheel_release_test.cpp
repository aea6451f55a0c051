#include "microemo/eval/wheel_release.h"

#include <fstream>

#include "formats/support.h"
#include "microemo/formats/csv.h"

namespace microemo::eval {
namespace {

namespace fs = std::filesystem;

using test::expect_error;

const fs::path small = test::data_folder() / "eval" / "wheels";

class WheelFolders : public testing::Test {
 protected:
  /// A copy of wheels below the test's folder.
  fs::path copy(const fs::path& from, const fs::path& below) const {
    const fs::path to = folder_.path() / below;
    fs::create_directories(to);
    for (const auto& file : fs::directory_iterator(from)) {
      fs::copy_file(file, to / file.path().filename());
      fs::permissions(to / file.path().filename(), fs::perms::owner_all);
    }
    return to;
  }
  TemporaryFolder folder_;
};

TEST_F(WheelFolders, OfNoReleaseServeForBoth) {
  for (const std::string release : {"2025", "2026"}) {
    const EmotionWheel wheel = load_release(small, release);
    EXPECT_EQ(wheel.release, "");
    EXPECT_EQ(wheel.path, small);
  }
}

TEST_F(WheelFolders, AsNumbersSayTheSameAsAsTexts) {
  const EmotionWheel wheel = load_release(small, "2026");
  const ReleaseWheels numbers = load_release_wheels(small, "2026");
  EXPECT_EQ(numbers.wheel.hash, wheel.hash);
  ASSERT_EQ(numbers.classes.columns.size(), wheel.groupings.size());
  for (const Grouping& grouping : wheel.groupings) {
    const ClassTable::Column& column = numbers.classes.column(grouping.name);
    std::unordered_map<std::string, std::string> class_of;
    for (const auto& [form, number] : numbers.classes.form_numbers)
      if (const int32_t found = column.class_of[number]; found >= 0) class_of[form] = column.names[static_cast<size_t>(found)];
    EXPECT_EQ(class_of, grouping.class_of) << grouping.name;
  }
}

TEST_F(WheelFolders, OfNoReleaseAreToldByTheYearInTheirPath) {
  copy(small, "mine/wheel2025");
  copy(small, "mine/wheel2026");
  EXPECT_EQ(load_release(folder_.path() / "mine", "2026").path.filename(), "wheel2026");
}

TEST_F(WheelFolders, RefuseSeveralOfNoRelease) {
  copy(small, "a");
  copy(small, "b");
  expect_error(
      ErrorKind::config, [&] { load_release(folder_.path(), "2026"); },
      "needs the emotion wheels of 2026, and there are an unknown release in", "MER2026");
}

TEST_F(WheelFolders, RefuseAPathThatIsNoFolder) {
  expect_error(
      ErrorKind::data, [&] { load_release(folder_.path() / "absent", "2026"); }, "there is no folder", "absent");
}

TEST_F(WheelFolders, RefuseAFolderWithoutWheels) {
  expect_error(
      ErrorKind::data, [&] { load_release(folder_.path(), "2026"); }, "has no emotion wheels", "wheel1.xlsx to wheel5.xlsx");
}

TEST_F(WheelFolders, RefuseAFolderThatLacksAFile) {
  fs::remove(copy(small, "x") / "synonym.xlsx");
  expect_error(
      ErrorKind::data, [&] { load_release(folder_.path(), "2026"); }, "has no synonym.xlsx", "x");
}

TEST_F(WheelFolders, OfAReleaseAreFoundBesideTheOther) {
  MICROEMO_SKIP_WITHOUT_EMER();
  EXPECT_EQ(load_release(test::emer_folder(), "2025").name, "MERTools 2025");
  EXPECT_EQ(load_release(test::emer_folder(), "2026").release, "2026");
}

TEST_F(WheelFolders, OfTheOtherReleaseAreRefused) {
  MICROEMO_SKIP_WITHOUT_EMER();
  expect_error(
      ErrorKind::config, [&] { load_release(test::emer_folder() / "wheel2026", "2025"); },
      "needs the emotion wheels of 2025, and there are those of 2026 in", "emotion_wheel of MER2025");
}

TEST_F(WheelFolders, AreToldByTheirContentWhenTheyWereSavedAgain) {
  MICROEMO_SKIP_WITHOUT_EMER();
  for (const std::string release : {"2025", "2026"}) {
    const fs::path path = copy(test::emer_folder() / ("wheel" + release), release);
    std::ofstream(path / "format.csv", std::ios::app) << "\r\n";
    EXPECT_EQ(load_wheel(path).name, "MERTools (unknown release)");
    EXPECT_EQ(load_release(path, release).release, release);
  }
}

TEST_F(WheelFolders, TheirHashesAreThoseOfTheReference) {
  MICROEMO_SKIP_WITHOUT_EMER();
  for (const std::string release : {"2025", "2026"}) {
    const auto files = identify_wheel_files(test::emer_folder() / ("wheel" + release));
    EXPECT_EQ(files.size(), 7u);
    EXPECT_EQ(release_of(files), release);
  }
}

TEST_F(WheelFolders, AFileOfNoReleaseMakesTheFolderUnknown) {
  MICROEMO_SKIP_WITHOUT_EMER();
  const fs::path path = copy(test::emer_folder() / "wheel2026", "x");
  fs::copy_file(small / "wheel3.xlsx", path / "wheel3.xlsx", fs::copy_options::overwrite_existing);
  const auto files = identify_wheel_files(path);
  EXPECT_TRUE(files[2].releases.empty());
  EXPECT_EQ(release_of(files), "");
}

}  // namespace
}  // namespace microemo::eval
