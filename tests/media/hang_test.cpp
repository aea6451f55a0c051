// Readers that do not come back.
#include "microemo/media/hang.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "clips.h"
#include "microemo/media/frame_reader.h"
#include "microemo/media/sound.h"
#include "support/errors.h"
#include "support/held_file.h"

namespace microemo::media {
namespace {

using test::Clips;
using test::HeldFile;

TEST(Stay, CountsLooksAtOneAndTheSameCall) {
  Pulse pulse;
  Stay stay;
  EXPECT_EQ(stay.look(pulse), 0);
  pulse.enter();
  EXPECT_EQ(stay.look(pulse), 0);
  EXPECT_EQ(stay.look(pulse), 1);
  EXPECT_EQ(stay.look(pulse), 2);
}

TEST(Stay, ForgetsACallThatCameBack) {
  Pulse pulse;
  Stay stay;
  pulse.enter();
  stay.look(pulse);
  EXPECT_EQ(stay.look(pulse), 1);
  pulse.leave();
  EXPECT_EQ(stay.look(pulse), 0);
  EXPECT_EQ(stay.look(pulse), 0);
}

TEST(Stay, TellsCallsApartThatFollowEachOtherBetweenTwoLooks) {
  Pulse pulse;
  Stay stay;
  for (int i = 0; i < 100; ++i) {
    pulse.enter();
    EXPECT_EQ(stay.look(pulse), 0);
    pulse.leave();
  }
}

TEST(HangGuard, SaysNothingOfAFileThatIsRead) {
  const Clips clips;
  const auto file = clips.make("a.mp4");
  std::atomic<int> hangs = 0;
  {
    const HangGuard guard(60, [&] { ++hangs; });
    VideoReader reader(file);
    while (reader.next()) {
    }
    read_sound(file);
    FrameReader(file).read({40, 3});
  }
  EXPECT_EQ(hangs, 0);
}

TEST(HangGuard, SeesACallThatDoesNotComeBack) {
  const Clips clips;
  const auto file = clips.make("a.mp4");
  HeldFile held(file);
  if (!held.is_held()) GTEST_SKIP() << "no leases on this file system";
  std::atomic<int> hangs = 0;
  {
    // The clip can only be opened once the guard has spoken, twice.
    const HangGuard guard(0.02, [&] {
      if (++hangs == 2) held.release();
    });
    VideoReader reader(file);
    EXPECT_TRUE(reader.next());
  }
  EXPECT_GE(hangs, 2);
}

TEST(HangGuard, LooksAtItsOwnThreadAlone) {
  const Clips clips;
  const auto file = clips.make("a.mp4");
  HeldFile held(file);
  if (!held.is_held()) GTEST_SKIP() << "no leases on this file system";
  std::atomic<int> mine = 0;
  const HangGuard guard(0.02, [&] { ++mine; });
  std::jthread hanging([&] {
    const HangGuard theirs(0.02, [&] { held.release(); });
    probe(file);
  });
  hanging.join();
  EXPECT_EQ(mine, 0);
}

TEST(HangGuard, IsOneForEachThread) {
  const HangGuard guard(60, [] {});
  test::expect_error(
      ErrorKind::internal, [] { HangGuard(60, [] {}); }, "second guard");
}

TEST(HangGuard, AnotherMayFollow) {
  {
    const HangGuard first(60, [] {});
  }
  EXPECT_NO_THROW(HangGuard(60, [] {}));
}

}  // namespace
}  // namespace microemo::media
