#include "telemetry/clock_watch.h"

#include <gtest/gtest.h>

namespace backstream::telemetry {
namespace {

constexpr base::Micros kSecond = base::kMicrosPerSecond;

TEST(ClockWatchTest, OnlyWhatIsSetIsAStep) {
  ClockWatch watch;
  base::Micros wall = 1'769'860'800 * kSecond, steady = 5;
  EXPECT_FALSE(watch.look(wall, steady)) << "nothing to compare with yet";
  for (int i = 0; i < 3'600; ++i) {  // Slewed as fast as a kernel does.
    wall += kSecond + 500;
    steady += kSecond;
    ASSERT_FALSE(watch.look(wall, steady));
  }
  wall += 100 * kSecond;  // It was not asked for long.
  steady += 100 * kSecond;
  EXPECT_FALSE(watch.look(wall, steady));
  EXPECT_EQ(watch.count(), 0u);
  EXPECT_FALSE(watch.last());
}

TEST(ClockWatchTest, StepsOfBothKindsAreSeenOnce) {
  ClockWatch watch;
  watch.look(0, 0);
  const auto forward = watch.look(3'601 * kSecond, kSecond);
  ASSERT_TRUE(forward);
  EXPECT_EQ(forward->by, 3'600 * kSecond);
  EXPECT_EQ(forward->at, 3'601 * kSecond);
  EXPECT_FALSE(watch.look(3'602 * kSecond, 2 * kSecond));
  const auto back = watch.look(3 * kSecond - ClockWatch::kLeast + 3'600 * kSecond, 3 * kSecond);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->by, -ClockWatch::kLeast);
  EXPECT_EQ(watch.count(), 2u);
  EXPECT_EQ(watch.last()->by, back->by);
}

}  // namespace
}  // namespace backstream::telemetry
