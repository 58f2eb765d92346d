#include "window/watermark.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace backstream::window {
namespace {

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kStart = 1'769'853'600 * kSecond;

Micros s(int64_t seconds) { return kStart + seconds * kSecond; }

WatermarkRules rules(Micros delay, bool live = false) {
  WatermarkRules r;
  r.delay_us = delay;
  r.live = live;
  return r;
}

TEST(Watermark, HasNotBegunBeforeTheFirstTimedRow) {
  WatermarkTracker tracker(rules(5 * kSecond));
  EXPECT_EQ(tracker.watermark(), base::kMinTime);
  tracker.observe(0, base::kMinTime, s(0));
  EXPECT_EQ(tracker.watermark(), base::kMinTime);
  EXPECT_FALSE(tracker.reached(s(-1000)));
  tracker.observe(0, s(0), s(1));
  EXPECT_EQ(tracker.watermark(), s(-5));
}

TEST(Watermark, IsHeldByTheExporterThatIsFurthestBehind) {
  WatermarkTracker tracker(rules(5 * kSecond));
  EXPECT_EQ(tracker.furthest_behind(), std::nullopt);
  tracker.set_delay(1, 20 * kSecond);
  tracker.observe(0, s(10), s(10));
  EXPECT_EQ(tracker.furthest_behind(), 0u);
  tracker.observe(1, s(12), s(12));
  EXPECT_EQ(tracker.furthest_behind(), 1u) << "its delay is longer";
  tracker.observe(1, s(40), s(40));
  EXPECT_EQ(tracker.furthest_behind(), 0u);
  tracker.observe(1, s(71), s(71));
  EXPECT_EQ(tracker.furthest_behind(), 1u) << "the other is silent";
}

TEST(Watermark, IsTheLeastOfAllExporters) {
  WatermarkTracker tracker(rules(5 * kSecond));
  tracker.observe(0, s(10), s(10));
  tracker.observe(1, s(12), s(12));
  EXPECT_EQ(tracker.watermark(), s(5));
  tracker.observe(1, s(30), s(30));
  EXPECT_EQ(tracker.watermark(), s(5));
  tracker.observe(0, s(20), s(30));
  EXPECT_EQ(tracker.watermark(), s(15));
}

TEST(Watermark, NeverGoesBackForANewcomerThatIsBehind) {
  WatermarkTracker tracker(rules(0));
  tracker.observe(0, s(100), s(100));
  tracker.observe(1, s(50), s(100));
  EXPECT_EQ(tracker.watermark(), s(100));
  tracker.observe(0, s(120), s(120));
  EXPECT_EQ(tracker.watermark(), s(100)) << "the newcomer holds it";
  tracker.observe(1, s(110), s(120));
  EXPECT_EQ(tracker.watermark(), s(110));
}

TEST(Watermark, DelayOfAnExporterIsItsOwn) {
  WatermarkTracker tracker(rules(75 * kSecond));
  tracker.set_delay(1, 2 * kSecond);
  tracker.observe(1, s(100), s(100));
  EXPECT_EQ(tracker.watermark(), s(98));
  tracker.observe(0, s(200), s(200));
  tracker.observe(1, s(150), s(200));
  EXPECT_EQ(tracker.watermark(), s(125));
}

TEST(Watermark, SilentExporterIsLeftOutInCaptureTimeAndMayReturn) {
  WatermarkTracker tracker(rules(0));
  tracker.observe(0, s(0), s(0));
  tracker.observe(1, s(0), s(0));
  tracker.observe(0, s(60), s(60));
  EXPECT_EQ(tracker.watermark(), s(0)) << "60 s of silence are allowed";
  tracker.observe(0, s(61), s(61));
  EXPECT_EQ(tracker.watermark(), s(61));
  EXPECT_TRUE(tracker.state(1).idle);
  tracker.observe(1, s(50), s(62));
  tracker.observe(0, s(70), s(70));
  EXPECT_EQ(tracker.watermark(), s(61)) << "back in, it holds the minimum but does not turn it back";
  EXPECT_FALSE(tracker.state(1).idle);
  tracker.observe(1, s(65), s(70));
  EXPECT_EQ(tracker.watermark(), s(65));
}

TEST(Watermark, OptionsDataDoesNotKeepAnExporterFromBeingSilent) {
  WatermarkTracker tracker(rules(0));
  tracker.observe(0, s(0), s(0));
  tracker.observe(1, s(0), s(0));
  for (int t = 10; t <= 70; t += 10) {
    tracker.observe(0, s(t), s(t));
    tracker.observe(1, base::kMinTime, s(t));
  }
  EXPECT_EQ(tracker.watermark(), s(70));
}

TEST(Watermark, LoneExporterOfAReplayMayPause) {
  WatermarkTracker tracker(rules(5 * kSecond));
  tracker.observe(0, s(0), s(0));
  tracker.observe(0, s(600), s(700));
  EXPECT_EQ(tracker.watermark(), s(595));
  tracker.tick(s(5000));
  EXPECT_EQ(tracker.watermark(), s(595)) << "in a replay nothing follows the clock";
}

TEST(Watermark, ReachedAgreesWithTheExactValueForAnyCut) {
  WatermarkTracker tracker(rules(0));
  tracker.observe(0, s(10), s(10));
  tracker.observe(1, s(20), s(20));
  EXPECT_FALSE(tracker.reached(s(11)));
  EXPECT_TRUE(tracker.reached(s(10)));
  tracker.observe(0, s(11), s(20));
  EXPECT_TRUE(tracker.reached(s(11)));
  EXPECT_FALSE(tracker.reached(s(12)));
  EXPECT_FALSE(tracker.reached(base::kMaxTime));
}

// The definition in plain words: after each datagram, the minimum over those heard within the idle timeout.
class Reference {
 public:
  explicit Reference(Micros delay, Micros idle) : delay_(delay), idle_(idle) {}
  void observe(uint32_t exporter, Micros time_max, Micros received_at) {
    clock_ = std::max(clock_, received_at);
    if (time_max != base::kMinTime) {
      auto [e, first] = exporters_.try_emplace(exporter, One{time_max, clock_, true});
      e->second = {std::max(time_max, e->second.high), clock_, true};
    }
    Micros least = base::kMaxTime;
    for (auto& [_, e] : exporters_) {
      if (clock_ - e.heard > idle_) e.active = false;
      if (e.active) least = std::min(least, e.high - delay_);
    }
    if (least != base::kMaxTime) watermark_ = std::max(watermark_, least);
  }
  Micros watermark() const { return watermark_; }

 private:
  struct One {
    Micros high, heard;
    bool active;
  };
  Micros delay_, idle_, clock_ = base::kMinTime, watermark_ = base::kMinTime;
  std::map<uint32_t, One> exporters_;
};

TEST(Watermark, WhoHasJustBegunToListenTakesNobodyForSilent) {
  WatermarkRules live = rules(5 * kSecond, true);
  live.max_hold_us = 86'400 * kSecond;
  WatermarkTracker tracker(live);
  // What the process before had seen is hours old: it waits in a topic, and is about to be read.
  tracker.resume_at(s(-10'800));
  tracker.tick(s(1));
  tracker.tick(s(30));
  EXPECT_EQ(tracker.watermark(), s(-10'800));
  tracker.observe(0, s(-10'700), s(31));
  EXPECT_EQ(tracker.watermark(), s(-10'705));

  WatermarkTracker unheard(live);
  unheard.resume_at(s(-10'800));
  unheard.tick(s(1));
  unheard.tick(s(60));
  EXPECT_EQ(unheard.watermark(), s(-10'800));
  unheard.tick(s(61));
  EXPECT_EQ(unheard.watermark(), s(56)) << "now it has listened for an idle_timeout";
}

TEST(Watermark, ResultDoesNotDependOnHowOftenItIsAsked) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
    WatermarkTracker always(rules(5 * kSecond)), sometimes(rules(5 * kSecond)), cuts(rules(5 * kSecond));
    Reference reference(5 * kSecond, 60 * kSecond);
    const uint64_t exporter_count = 1 + random() % 5;
    Micros clock = s(0), cut = s(0);
    for (int i = 0; i < 300; ++i) {
      clock += (below(20) == 0 ? below(100) : below(8)) * kSecond;
      const auto exporter = static_cast<uint32_t>(random() % exporter_count);
      const Micros time = below(10) == 0 ? base::kMinTime : clock - below(90) * kSecond;
      for (WatermarkTracker* tracker : {&always, &sometimes, &cuts}) tracker->observe(exporter, time, clock);
      reference.observe(exporter, time, clock);
      ASSERT_EQ(always.watermark(), reference.watermark()) << "seed " << seed << " datagram " << i;
      if (below(17) == 0) {
        ASSERT_EQ(sometimes.watermark(), reference.watermark()) << "seed " << seed;
      }
      ASSERT_EQ(cuts.reached(cut), reference.watermark() >= cut) << "seed " << seed << " datagram " << i;
      while (cuts.reached(cut)) cut += 10 * kSecond;
    }
    EXPECT_EQ(sometimes.watermark(), reference.watermark()) << "seed " << seed;
  }
}

TEST(WatermarkLive, FollowsTheClockWhenAllAreSilent) {
  WatermarkTracker tracker(rules(5 * kSecond, true));
  tracker.tick(s(0));
  EXPECT_EQ(tracker.watermark(), base::kMinTime) << "nobody has sent yet";
  tracker.observe(0, s(0), s(0));
  tracker.tick(s(60));
  EXPECT_EQ(tracker.watermark(), s(-5));
  tracker.tick(s(61));
  EXPECT_EQ(tracker.watermark(), s(56));
  tracker.tick(s(70));
  EXPECT_EQ(tracker.watermark(), s(65));
  EXPECT_TRUE(tracker.reached(s(65)));
}

TEST(WatermarkLive, ExporterFarBehindTheMedianIsLeftOut) {
  WatermarkTracker tracker(rules(5 * kSecond, true));
  for (int t = 0; t < 3; ++t) {
    tracker.observe(0, s(1000 + t), s(1000 + t));
    tracker.observe(1, s(1000 + t), s(1000 + t));
    tracker.observe(2, s(879 + t), s(1000 + t));
  }
  EXPECT_TRUE(tracker.state(2).held);
  EXPECT_EQ(tracker.watermark(), s(997));
  tracker.observe(2, s(1000), s(1003));
  tracker.observe(0, s(1010), s(1010));
  EXPECT_FALSE(tracker.state(2).held) << "it has caught up";
}

TEST(WatermarkLive, ExporterWithALongDelayMayRunThatFarBehind) {
  WatermarkTracker tracker(rules(5 * kSecond, true));
  tracker.set_delay(2, 300 * kSecond);
  for (int t = 0; t < 3; ++t) {
    tracker.observe(0, s(1000 + t), s(1000 + t));
    tracker.observe(1, s(1000 + t), s(1000 + t));
    tracker.observe(2, s(750 + t), s(1000 + t));
  }
  EXPECT_FALSE(tracker.state(2).held);
  EXPECT_EQ(tracker.state(2).high_time, s(752));
}

TEST(WatermarkLive, TimesFromTheFutureMoveNothing) {
  WatermarkTracker live(rules(0, true)), replay(rules(0));
  EXPECT_EQ(live.time_limit(s(0)), s(60));
  EXPECT_EQ(replay.time_limit(s(0)), base::kMaxTime);
  for (WatermarkTracker* tracker : {&live, &replay}) {
    tracker->observe(0, s(0), s(0));
    tracker->observe(0, s(61), s(0));
  }
  EXPECT_EQ(live.watermark(), s(0));
  EXPECT_EQ(live.state(0).future_refused, 1U);
  EXPECT_EQ(replay.watermark(), s(61));
}

TEST(WatermarkLive, WrongClockIsShiftedByItsMeasuredOffset) {
  WatermarkTracker tracker(rules(0, true));
  EXPECT_EQ(tracker.clock_shift(0, s(-29), s(0)), 0) << "within max_skew";
  EXPECT_EQ(tracker.clock_shift(1, s(-3600), s(0)), 3600 * kSecond);
  EXPECT_EQ(tracker.clock_shift(1, s(-3600), s(0) + kSecond / 2), 3600 * kSecond) << "jitter does not move it";
  EXPECT_EQ(tracker.clock_shift(2, s(7200), s(0)), -7200 * kSecond);
  EXPECT_EQ(tracker.state(1).datagrams_shifted, 2U);
  EXPECT_EQ(tracker.state(1).shift_us, 3600 * kSecond);
  EXPECT_EQ(tracker.state(1).clock_offset_us, 3600 * kSecond);
  // The clock is mended. From a time that is behind it is known at once, as no network is early.
  EXPECT_EQ(tracker.clock_shift(1, s(3), s(3)), 0);
  WatermarkTracker replay(rules(0));
  EXPECT_EQ(replay.clock_shift(0, s(-3600), s(0)), 0);
}

TEST(WatermarkLive, AClockThatFallsBackOrStandsStillIsFollowedWithin20Seconds) {
  WatermarkTracker tracker(rules(0, true));
  const auto error = [&](uint32_t exporter, Micros exported, Micros now) {
    return now - (exported + tracker.clock_shift(exporter, exported, now));
  };
  for (int t = 0; t <= 100; ++t) EXPECT_EQ(error(0, s(t), s(t)), 0);
  for (int t = 101; t <= 300; ++t) EXPECT_LE(error(0, s(t - 3600), s(t)), t < 121 ? 3600 * kSecond : 0) << t;
  EXPECT_EQ(tracker.state(0).shift_us, 3600 * kSecond);
  for (int t = 0; t <= 300; ++t) EXPECT_LE(error(1, 12 * kSecond, s(t)), 20 * kSecond) << t;
  // A datagram that waited somewhere says nothing of the clock.
  for (int t = 0; t <= 100; ++t) {
    if (t % 9 != 0) EXPECT_EQ(error(2, s(t - 7200), s(t)), 0);
    else tracker.clock_shift(2, s(t - 7250), s(t));
  }
  EXPECT_EQ(tracker.state(2).shift_us, 7200 * kSecond);
}

TEST(Watermark, AbsurdTimesDoNotOverflow) {
  WatermarkTracker tracker(rules(75 * kSecond));
  tracker.observe(0, base::kMaxTime, s(0));
  tracker.observe(0, base::kMinTime + 1, s(0));
  EXPECT_GT(tracker.watermark(), s(0));
}

TEST(DelayHistogram, QuantileIsAnUpperBoundWithinAnEighth) {
  DelayHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.999), 0);
  for (int i = 0; i < 999; ++i) histogram.add(20 * kSecond);
  histogram.add(400 * kSecond);
  EXPECT_GE(histogram.quantile(0.999), 20 * kSecond);
  EXPECT_LE(histogram.quantile(0.999), 20 * kSecond * 9 / 8);
  EXPECT_GE(histogram.quantile(1.0), 400 * kSecond);
  EXPECT_LE(histogram.quantile(1.0), 400 * kSecond * 9 / 8);
  EXPECT_EQ(histogram.count(), 1000U);
  DelayHistogram edges;
  edges.add(-5 * kSecond);
  EXPECT_EQ(edges.quantile(1.0), base::kMicrosPerMilli);
  edges.add(base::kMaxTime);
  EXPECT_GT(edges.quantile(1.0), 0);
}

}  // namespace
}  // namespace backstream::window
