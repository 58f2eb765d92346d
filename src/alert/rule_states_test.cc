#include "alert/rule_states.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>

namespace backstream::alert {
namespace {

constexpr Micros kMinute = 60 * base::kMicrosPerSecond;
using Kind = Event::Kind;

KeyRow row(std::string key, bool fires = true, bool clears = false) {
  return {std::move(key), fires, clears, 1.0, [] { return std::string("{}"); }};
}
/// The n-th minute.
WindowRows window(int n, std::vector<KeyRow> rows) {
  WindowRows w;
  w.start = n * kMinute;
  w.end = (n + 1) * kMinute;
  w.rows = std::move(rows);
  return w;
}
WindowRows incomplete(WindowRows w) {
  w.complete = false;
  w.sites_missing = {"ams"};
  return w;
}
WindowRows open(WindowRows w) {
  w.final = false;
  return w;
}

struct Rule {
  RuleStates states;
  explicit Rule(RuleStates::Options options = {}) : states(with_size(options)) {}
  static RuleStates::Options with_size(RuleStates::Options options) {
    if (options.window_size_us == 0) options.window_size_us = kMinute;
    return options;
  }
  /// "+a" fired, "-a" resolved.
  std::string take(const WindowRows& w) {
    std::vector<Event> events;
    states.take(w, events);
    return text(events);
  }
  std::string advance(int minute) {
    std::vector<Event> events;
    states.advance(minute * kMinute, events);
    return text(events);
  }
  static std::string text(const std::vector<Event>& events) {
    std::string out;
    for (const Event& event : events)
      out += fmt::format("{}{}{}", out.empty() ? "" : " ", event.kind == Kind::kFired ? '+' : '-', event.key.key);
    return out;
  }
};

TEST(RuleStates, AKeyFiresOnceAndEndsWhenAWindowComesWithoutIt) {
  Rule rule;
  EXPECT_EQ(rule.take(window(0, {row("a")})), "+a");
  EXPECT_EQ(rule.take(window(1, {row("a"), row("b")})), "+b");
  EXPECT_EQ(rule.take(window(2, {row("b")})), "-a");
  EXPECT_EQ(rule.take(window(3, {row("b", false)})), "-b");
  EXPECT_EQ(rule.take(window(4, {row("a")})), "+a");
}

TEST(RuleStates, WindowsThatComeAgainSayNothing) {
  Rule rule;
  EXPECT_EQ(rule.take(window(0, {row("a")})), "+a");
  EXPECT_EQ(rule.take(window(1, {})), "-a");
  EXPECT_EQ(rule.take(window(0, {row("a")})), "");
  EXPECT_EQ(rule.take(window(1, {})), "");
}

TEST(RuleStates, BetweenTwoThresholdsAKeyGoesOn) {
  Rule rule({.has_clear = true});
  EXPECT_EQ(rule.take(window(0, {row("a", false, false)})), "") << "between: it does not begin";
  EXPECT_EQ(rule.take(window(1, {row("a", true, false)})), "+a");
  EXPECT_EQ(rule.take(window(2, {row("a", false, false)})), "") << "between: it does not end";
  EXPECT_EQ(rule.take(window(3, {row("a", false, true)})), "-a");
  EXPECT_EQ(rule.take(window(4, {row("a", true, true)})), "") << "what clears does not fire";
}

TEST(RuleStates, ForIsTheTimeInWhichEveryWindowFired) {
  Rule rule({.for_us = 3 * kMinute});
  EXPECT_EQ(rule.take(window(0, {row("a")})), "");
  EXPECT_EQ(rule.take(window(1, {row("a")})), "");
  EXPECT_EQ(rule.take(window(2, {row("a", false)})), "");
  EXPECT_EQ(rule.take(window(3, {row("a")})), "");
  EXPECT_EQ(rule.take(window(4, {row("a")})), "");
  EXPECT_EQ(rule.take(window(5, {row("a")})), "+a");
}

TEST(RuleStates, AWindowThatNeverCameBreaksTheWait) {
  Rule rule({.for_us = 2 * kMinute});
  EXPECT_EQ(rule.take(window(0, {row("a")})), "");
  EXPECT_EQ(rule.take(window(2, {row("a")})), "");
  EXPECT_EQ(rule.take(window(3, {row("a")})), "+a");
}

TEST(RuleStates, KeepFiringForOutlastsAWobble) {
  Rule rule({.keep_us = 2 * kMinute});
  EXPECT_EQ(rule.take(window(0, {row("a")})), "+a");
  EXPECT_EQ(rule.take(window(1, {})), "");
  EXPECT_EQ(rule.take(window(2, {row("a")})), "") << "it never ended";
  EXPECT_EQ(rule.take(window(3, {})), "");
  EXPECT_EQ(rule.take(window(4, {})), "-a");
}

TEST(RuleStates, AnIncompleteWindowEndsNothingButMayFire) {
  Rule rule;
  EXPECT_EQ(rule.take(incomplete(window(0, {row("a")}))), "+a");
  EXPECT_EQ(rule.states.find("a")->sites_missing, std::vector<std::string>{"ams"});
  EXPECT_EQ(rule.take(incomplete(window(1, {}))), "");
  EXPECT_EQ(rule.take(incomplete(window(2, {row("a", false)}))), "");
  EXPECT_EQ(rule.take(window(3, {})), "-a");
  WindowRows lost = window(5, {});
  EXPECT_EQ(rule.take(window(4, {row("a")})), "+a");
  lost.rows_lost = true;
  EXPECT_EQ(rule.take(lost), "");
}

TEST(RuleStates, AnIncompleteWindowDoesNotBreakTheWait) {
  Rule rule({.for_us = 3 * kMinute});
  EXPECT_EQ(rule.take(window(0, {row("a")})), "");
  EXPECT_EQ(rule.take(incomplete(window(1, {}))), "");
  EXPECT_EQ(rule.take(window(2, {row("a")})), "+a");
}

TEST(RuleStates, OpenWindowsAreForEarlyRulesAndNeverEndAnything) {
  Rule late;
  EXPECT_EQ(late.take(open(window(0, {row("a")}))), "");
  Rule rule({.early = true});
  EXPECT_EQ(rule.take(open(window(0, {row("a", false)}))), "");
  EXPECT_EQ(rule.take(open(window(0, {row("a")}))), "+a");
  EXPECT_EQ(rule.take(open(window(0, {row("a")}))), "");
  EXPECT_EQ(rule.take(open(window(1, {}))), "");
  EXPECT_EQ(rule.take(window(0, {row("a")})), "");
  EXPECT_EQ(rule.take(window(1, {})), "-a");
  EXPECT_EQ(rule.take(open(window(1, {row("a")}))), "") << "it is closed";
}

TEST(RuleStates, AnEarlierWindowDoesNotEndWhatALaterOpenOneFired) {
  Rule rule({.early = true});
  WindowRows first = window(0, {}), second = window(0, {row("a")});
  second.start += kMinute / 2, second.end += kMinute / 2;  // They overlap.
  EXPECT_EQ(rule.take(open(second)), "+a");
  EXPECT_EQ(rule.take(first), "");
  EXPECT_EQ(rule.take(second), "");
}

TEST(RuleStates, AnOpenWindowMayEndTheWait) {
  Rule rule({.for_us = 2 * kMinute, .early = true});
  EXPECT_EQ(rule.take(open(window(0, {row("a")}))), "");
  EXPECT_EQ(rule.take(window(0, {row("a")})), "");
  EXPECT_EQ(rule.take(open(window(2, {row("a")}))), "") << "minute 1 is not known yet";
  EXPECT_EQ(rule.take(open(window(1, {row("a")}))), "+a");
}

TEST(RuleStates, TimeThatPassesWithoutWindowsEndsKeys) {
  Rule rule;
  EXPECT_EQ(rule.take(window(0, {row("a")})), "+a");
  EXPECT_EQ(rule.advance(1), "");
  EXPECT_EQ(rule.advance(2), "-a");
  EXPECT_EQ(rule.take(window(1, {row("a")})), "") << "it was said that it would not come";
  EXPECT_EQ(rule.take(window(5, {row("a")})), "+a");
  EXPECT_EQ(rule.take(window(7, {row("a")})), "-a +a") << "minute 6 had no rows";
}

TEST(RuleStates, NobodyLookedIsNotNothingThere) {
  Rule rule;
  EXPECT_EQ(rule.take(window(0, {row("a")})), "+a");
  rule.states.set_blind_until(10 * kMinute);
  EXPECT_EQ(rule.take(window(9, {row("a")})), "");
  EXPECT_EQ(rule.advance(10), "");
  EXPECT_EQ(rule.advance(11), "-a");
}

TEST(RuleStates, TimeThatNobodySawIsNoPartOfTheWait) {
  Rule rule({.for_us = 3 * kMinute});
  EXPECT_EQ(rule.take(window(0, {row("a")})), "");
  rule.states.set_blind_until(10 * kMinute);
  EXPECT_EQ(rule.take(window(9, {row("a")})), "");
  EXPECT_EQ(rule.take(window(10, {row("a")})), "");
  EXPECT_EQ(rule.take(window(11, {row("a")})), "+a");
}

TEST(RuleStates, KeysBeyondTheBoundAreOneThatSaysHowMany) {
  Rule rule({.keys_max = 2});
  std::vector<KeyRow> many;
  for (int i = 0; i < 100'000; ++i) many.push_back(row(std::to_string(i)));
  EXPECT_EQ(rule.take(window(0, many)), "+0 +1 +*");
  EXPECT_EQ(rule.states.keys_left_out(), 99'998u);
  EXPECT_EQ(rule.states.keys().size(), 3u);
  EXPECT_EQ(rule.take(window(1, {row("0"), row("1"), row("2"), row("2"), row("3")})), "");
  EXPECT_EQ(rule.states.keys_left_out(), 2u);
  EXPECT_EQ(rule.take(window(2, {row("1"), row("2")})), "-0 +2 -*");
}

TEST(RuleStates, ARowOfAKeyThatFiresCountsWhateverElseTheKeyHas) {
  Rule rule;
  EXPECT_EQ(rule.take(window(0, {row("a", false), row("a", true), row("a", false)})), "+a");
  EXPECT_EQ(rule.take(window(1, {row("a", false), row("a", true)})), "");
}

TEST(RuleStates, ARuleThatGoesEndsItsKeys) {
  Rule rule({.for_us = kMinute});
  rule.take(window(0, {row("a")}));
  rule.take(window(1, {row("a")}));
  rule.states.take_changes();
  std::vector<Event> events;
  rule.states.end(5 * kMinute, events);
  EXPECT_EQ(Rule::text(events), "-a");
  EXPECT_EQ(rule.states.take_changes().gone, std::vector<std::string>{"a"});
}

TEST(RuleStates, ChangesAreWhatARestartNeeds) {
  Rule rule({.for_us = 2 * kMinute, .keep_us = 2 * kMinute});
  const auto restarted = [&] {
    Rule other({.for_us = 2 * kMinute, .keep_us = 2 * kMinute});
    std::vector<KeyState> keys;
    for (const auto& [of, key] : rule.states.keys()) keys.push_back(key);
    other.states.restore(std::move(keys), rule.states.evaluated_until());
    return other;
  };
  rule.take(window(0, {row("a")}));
  rule = restarted();
  EXPECT_EQ(rule.take(window(1, {row("a")})), "+a");
  rule = restarted();
  EXPECT_EQ(rule.take(window(0, {row("a")})), "") << "given again";
  EXPECT_EQ(rule.take(window(1, {row("a")})), "");
  EXPECT_EQ(rule.take(window(2, {})), "");
  rule = restarted();
  EXPECT_EQ(rule.take(window(3, {})), "-a");
}

/// One key by the book: looks at all windows so far, whenever one comes.
class Oracle {
 public:
  explicit Oracle(RuleStates::Options options) : options_(options) {}
  std::string take(const WindowRows& w) {
    windows_.push_back(w);
    if (!firing_) {
      // The longest row of windows up to this one that fired, or that could not know.
      const KeyRow* last = row_of(w);
      if (last == nullptr || !fires(*last)) return "";
      size_t first = windows_.size() - 1;
      for (size_t i = windows_.size(); i-- > ended_;) {
        const KeyRow* at = row_of(windows_[i]);
        const bool fired = at != nullptr && fires(*at);
        if (!fired && windows_[i].complete) break;
        if (i + 1 < windows_.size() && windows_[i].end != windows_[i + 1].start) break;
        if (fired) first = i;
      }
      if (w.end - windows_[first].start < options_.for_us) return "";
      firing_ = true;
      return "+a";
    }
    // The time since the last window that held it, of windows that knew all.
    const KeyRow* at = row_of(w);
    const bool holds = at != nullptr && (options_.has_clear ? !at->clears : at->fires);
    if (holds) bad_since_.reset();
    else if (w.complete && !bad_since_) bad_since_ = w.start;
    if (holds || !w.complete || w.end - *bad_since_ < options_.keep_us) return "";
    firing_ = false;
    bad_since_.reset();
    ended_ = windows_.size();
    return "-a";
  }

 private:
  static const KeyRow* row_of(const WindowRows& w) { return w.rows.empty() ? nullptr : &w.rows[0]; }
  bool fires(const KeyRow& row) const { return row.fires && !(options_.has_clear && row.clears); }
  const RuleStates::Options options_;
  std::vector<WindowRows> windows_;
  size_t ended_ = 0;
  bool firing_ = false;
  std::optional<Micros> bad_since_;
};

TEST(RuleStates, DoesWhatTheBookSays) {
  for (uint32_t seed = 0; seed < 2'000; ++seed) {
    std::mt19937 random(seed);
    const auto chance = [&](uint32_t percent) { return random() % 100 < percent; };
    RuleStates::Options options{.for_us = static_cast<Micros>(random() % 4) * kMinute,
                                .keep_us = static_cast<Micros>(random() % 3) * kMinute,
                                .has_clear = chance(50),
                                .window_size_us = kMinute};
    Rule rule(options);
    Oracle oracle(options);
    for (int n = 0; n < 60; ++n) {
      WindowRows w = window(n, {});
      if (chance(75)) w.rows.push_back(row("a", chance(60), chance(30)));
      w.complete = !chance(15);
      ASSERT_EQ(rule.take(w), oracle.take(w)) << "seed " << seed << ", window " << n;
      if (!chance(20)) continue;
      ASSERT_EQ(rule.take(w), "") << "given again, seed " << seed << ", window " << n;
    }
  }
}

}  // namespace
}  // namespace backstream::alert
