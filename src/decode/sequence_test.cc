#include "decode/sequence.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace backstream::decode {
namespace {

constexpr Micros kBoot = 1'769'000'000'000'000, kSecond = base::kMicrosPerSecond;

/// Places of messages of one exporter, and what its stream made of them.
struct Stream {
  SequenceStream stream;
  SequenceChange sum;

  void take(uint32_t sequence, uint32_t units, Micros exported_at = base::kMinTime, Micros booted_at = base::kMinTime) {
    SequencePlace place;
    place.sequence = sequence;
    place.units = units;
    place.exported_at = exported_at;
    place.booted_at = booted_at;
    const SequenceChange change = stream.follow(place);
    sum.missing += change.missing;
    sum.duplicates += change.duplicates;
    sum.restarts += change.restarts;
    if (sum.restarts != 0) return;
    EXPECT_EQ(static_cast<uint64_t>(sum.missing), stream.next() - stream.first() - stream.received());
  }
  void expect(int64_t missing, uint32_t duplicates, uint32_t restarts) const {
    EXPECT_EQ(sum.missing, missing);
    EXPECT_EQ(sum.duplicates, duplicates);
    EXPECT_EQ(sum.restarts, restarts);
  }
};

TEST(SequenceStream, LossAndItsReturn) {
  Stream s;
  s.take(100, 30);
  s.take(130, 30);
  s.take(220, 30);
  s.expect(60, 0, 0);
  s.take(190, 30);
  s.expect(30, 0, 0);
  s.take(160, 30);
  s.expect(0, 0, 0);
  s.take(160, 30);
  s.expect(0, 1, 0);
  s.take(220, 30);
  s.expect(0, 2, 0);
}

TEST(SequenceStream, TheWrapAt32BitsIsNoLoss) {
  Stream s;
  s.take(0xfffffff0, 10);
  s.take(0xfffffffa, 10);
  s.take(4, 10);
  s.expect(0, 0, 0);
  s.take(24, 10);
  s.expect(10, 0, 0);
  s.take(14, 10);
  s.expect(0, 0, 0);
  EXPECT_EQ(s.stream.received(), 50u);
}

/// What a stream that goes on at `mark` makes of messages of 10 units that begin at these numbers.
SequenceChange resumed(const SequenceMark& mark, const std::vector<uint32_t>& sequences, Micros exported_at,
                       Micros booted_at) {
  SequenceStream stream;
  stream.resume(mark);
  EXPECT_FALSE(stream.has_begun());
  SequenceChange sum;
  for (const uint32_t sequence : sequences) {
    const SequenceChange change = stream.follow({sequence, 10, true, false, 0, exported_at, booted_at});
    sum.missing += change.missing;
    sum.duplicates += change.duplicates;
    sum.restarts += change.restarts;
    sum.away += change.away;
  }
  EXPECT_TRUE(stream.has_begun());
  return sum;
}

TEST(SequenceStream, WhatWasSentWhileNobodyListenedIsMissing) {
  SequenceStream before;
  const Micros at = kBoot + 100 * kSecond, later = at + 20 * kSecond;
  before.follow({0xfffffff0, 8, true, false, 0, at, kBoot});
  const SequenceMark mark = before.mark();
  EXPECT_EQ(static_cast<uint32_t>(mark.next), 0xfffffff8);
  using Sequences = std::vector<uint32_t>;
  EXPECT_EQ(resumed(mark, Sequences{0xfffffff8, 2}, later, kBoot), SequenceChange()) << "nothing was";
  EXPECT_EQ(resumed(mark, Sequences{0xfffffff8, 12}, later, kBoot), (SequenceChange{10, 0, 0, 0}))
      << "what is missing later is missed by who listens";
  EXPECT_EQ(resumed(mark, Sequences{92, 102, 122}, later, kBoot), (SequenceChange{110, 0, 0, 100}));
  EXPECT_EQ(resumed(mark, Sequences{199'992, 200'002}, later, kBoot), (SequenceChange{200'000, 0, 0, 200'000}))
      << "so large a step is believed when the second message agrees";
  EXPECT_EQ(resumed(mark, Sequences{5, 15}, later, kBoot + 110 * kSecond), (SequenceChange{0, 0, 1, 0}))
      << "another boot of the exporter counts anew";
}

TEST(SequenceStream, ARestartIsToldByTheBootTime) {
  Stream s;
  Micros now = kBoot + 5'000 * kSecond;
  for (uint32_t i = 0; i < 100; ++i) s.take(i * 30, 30, now += kSecond, kBoot + (i % 2) * kSecond);
  s.take(0, 30, now += kSecond, kBoot + 5'050 * kSecond);
  s.expect(0, 0, 1);
  s.take(30, 30, now += kSecond, kBoot + 5'050 * kSecond);
  s.take(120, 30, now + kSecond, kBoot + 5'050 * kSecond);
  s.expect(60, 0, 1);
}

TEST(SequenceStream, AClockThatIsSetIsNoRestart) {
  Stream s;
  s.take(0, 30, kBoot + 10 * kSecond, kBoot);
  s.take(30, 30, kBoot + 10'000 * kSecond, kBoot + 9'000 * kSecond);
  s.take(90, 30, kBoot + 10'001 * kSecond, kBoot + 9'000 * kSecond);
  s.expect(30, 0, 0);
}

TEST(SequenceStream, AnUptimeThatWrapsIsNoRestart) {
  Stream s;
  const Micros wrap = (Micros{1} << 32) * base::kMicrosPerMilli;
  s.take(0, 1, kBoot + wrap - kSecond, kBoot);
  s.take(5, 1, kBoot + wrap + kSecond, kBoot + wrap);
  s.expect(4, 0, 0);
}

TEST(SequenceStream, ARestartWithoutUptimeIsToldByTheExportTime) {
  Stream s;  // as IPFIX
  Micros now = kBoot;
  for (uint32_t i = 0; i < 50; ++i) s.take(i * 30, 30, now += kSecond);
  s.take(0, 30, now += kSecond);  // what came first has the same number, but is older
  s.take(30, 30, now += kSecond);
  s.take(60, 30, now += kSecond);
  s.expect(0, 0, 1);
  EXPECT_EQ(s.stream.received(), 90u);
  s.take(120, 30, now + kSecond);
  s.expect(30, 0, 1);
}

TEST(SequenceStream, ARestartWithoutAnyTimeIsToldByItsRun) {
  Stream s;  // as sFlow
  for (uint32_t i = 0; i < 500; ++i) s.take(i, 1);
  for (uint32_t i = 0; i < 100; ++i) s.take(i, 1);
  EXPECT_EQ(s.sum.restarts, 1u);
  EXPECT_EQ(s.sum.missing, 0);
}

TEST(SequenceStream, ADamagedNumberIsNotBelieved) {
  std::mt19937 random(3);
  Stream s;
  Micros now = kBoot;
  int64_t damaged = 0;
  for (uint32_t i = 0; i < 10'000; ++i) {
    const bool damage = i % 100 == 50;
    const uint32_t number = damage ? i * 30 ^ 1u << (24 + random() % 8) : i * 30;
    s.take(number, 30, now += kSecond / 100, kBoot);
    damaged += damage;
  }
  s.expect(30 * damaged, 0, 0);  // they came, but nobody can know that
}

TEST(SequenceStream, AGreatLossIsBelievedWhenTheNextAgrees) {
  Stream s;
  s.take(0, 30, kBoot, kBoot);
  s.take(90'000'000, 30, kBoot + kSecond, kBoot);
  s.expect(0, 0, 0);
  s.take(90'000'030, 30, kBoot + kSecond, kBoot);
  s.expect(89'999'970, 0, 0);
}

TEST(SequenceStream, WhatCannotBeCountedIsToldByTheNextMessage) {
  SequenceStream stream;
  SequencePlace place;
  place.units = 10;
  stream.follow(place);
  place.sequence = 10;
  place.units = 2;  // and a set without a template
  place.units_known = false;
  stream.follow(place);
  place.sequence = 25;
  place.units = 5;
  place.units_known = true;
  EXPECT_EQ(stream.follow(place), (SequenceChange{}));
  place.sequence = 33;
  EXPECT_EQ(stream.follow(place).missing, 3);
}

TEST(SequenceStream, TemplatesAloneHaveNoNumber) {
  Stream s;
  s.take(0, 30, kBoot);
  s.take(30, 0, kBoot);
  s.take(30, 0, kBoot);
  s.take(30, 30, kBoot);
  s.take(30, 0, kBoot);
  s.expect(0, 0, 0);
}

/// Messages are dropped, repeated and overtake each other, by a seed; the counts are exact.
TEST(SequenceStream, CountsAreExactUnderLossRepetitionAndDisorder) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    struct Sent {
      uint32_t sequence, units;
      Micros exported_at;
    };
    std::vector<Sent> sent;
    auto sequence = static_cast<uint32_t>(random());
    Micros now = kBoot;
    for (int i = 0; i < 2'000; ++i) {
      const uint32_t units = 1 + random() % 30;
      sent.push_back({sequence, units, now += kSecond / 50});
      sequence += units;
    }
    std::vector<Sent> arriving;
    int64_t missing = 0;
    uint32_t duplicates = 0;
    for (size_t i = 0; i < sent.size(); ++i) {
      const bool edge = i == 0 || i + 1 == sent.size();  // a loss before and after is seen by nobody
      if (!edge && random() % 20 == 0) {
        missing += sent[i].units;
        continue;
      }
      arriving.push_back(sent[i]);
      if (random() % 30 == 0) {
        arriving.push_back(sent[i]);
        ++duplicates;
      }
    }
    for (size_t i = 1; i + 8 < arriving.size(); i += 6) {
      if (random() % 4 == 0)
        std::shuffle(arriving.begin() + static_cast<std::ptrdiff_t>(i),
                     arriving.begin() + static_cast<std::ptrdiff_t>(i) + 5, random);
    }
    Stream s;
    for (const Sent& message : arriving) s.take(message.sequence, message.units, message.exported_at, kBoot);
    SCOPED_TRACE(seed);
    s.expect(missing, duplicates, 0);
  }
}

}  // namespace
}  // namespace backstream::decode
