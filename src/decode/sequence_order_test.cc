#include "decode/sequence_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>

namespace backstream::decode {
namespace {

constexpr int64_t kStart = 1'769'860'800'000'000'000;  // 2026-01-31 12:00:00 UTC
constexpr Micros kMinute = 60 * base::kMicrosPerSecond;

SequenceName name_of(uint32_t exporter, uint32_t kind = 5) { return {base::Inet::v4(0x0a000001 + exporter), kind, 7}; }

SequenceNote note_of(uint32_t stream, int64_t arrived_ns, uint32_t sequence, uint32_t units = 1) {
  SequenceNote note;
  note.arrived_ns = arrived_ns;
  note.received_at = arrived_ns / 1000;
  note.stream = stream;
  note.place.sequence = sequence;
  note.place.units = units;
  return note;
}

using Sums = std::map<std::pair<Micros, uint32_t>, SequenceOrder::Change>;  // By minute and exporter.

void add_up(const std::vector<SequenceOrder::Change>& changes, Sums& sums) {
  for (const SequenceOrder::Change& change : changes) {
    SequenceOrder::Change& sum = sums[{change.minute, change.exporter}];
    sum.missing += change.missing;
    sum.duplicates += change.duplicates;
    sum.restarts += change.restarts;
    sum.agent_drops += change.agent_drops;
  }
}
SequenceOrder::Change total(const Sums& sums) {
  SequenceOrder::Change total;
  for (const auto& [key, sum] : sums) {
    total.missing += sum.missing;
    total.duplicates += sum.duplicates;
    total.restarts += sum.restarts;
    total.agent_drops += sum.agent_drops;
  }
  return total;
}

/// What exporters sent and the network made of it, in the order in which it came: some is lost, comes twice or late, in
/// runs of one time stamp (GRO); exporters begin anew. Protocols with and without times and units that are known.
std::vector<SequenceNote> traffic(std::mt19937& random, uint32_t exporters) {
  constexpr uint32_t kKinds = 4;  // v5, v9, IPFIX, sFlow
  struct Sender {
    uint32_t next = 0;
    Micros booted_at = kStart / 1000 - 5'000 * base::kMicrosPerSecond;
    uint32_t agent_drops = 0;
  };
  std::vector<Sender> senders(exporters * kKinds);
  for (Sender& sender : senders) sender.next = random();
  std::vector<SequenceNote> sent;
  int64_t now = kStart;
  for (int i = 0; i < 40'000; ++i) {
    const uint32_t at = random() % static_cast<uint32_t>(senders.size());
    Sender& sender = senders[at];
    now += random() % 8'000'000;  // 160 s in all: over minutes
    const bool starts = random() % 4'000 == 0;
    if (starts && at % kKinds != 3) {
      sender.next = 0;
      sender.booted_at = now / 1000;
    }
    const uint32_t run = 1 + (random() % 8 == 0 ? random() % 40 : 0);
    for (uint32_t r = 0; r < run; ++r) {
      SequenceNote note = note_of(at + 1, now, sender.next, at % kKinds == 1 ? 1 : 1 + random() % 30);
      note.exporter = at / kKinds;
      if (at % kKinds != 3) note.place.exported_at = now / 1'000'000'000 * base::kMicrosPerSecond;
      if (at % kKinds < 2) note.place.booted_at = sender.booted_at;
      if (at % kKinds == 2) note.place.units_known = random() % 50 != 0;
      if (at % kKinds == 3) {
        sender.agent_drops += random() % 100 == 0 ? random() % 9 : 0;
        note.place.agent_drops_told = true;
        note.place.agent_drops = sender.agent_drops;
      }
      sender.next += note.place.units;
      if (random() % 100 == 0) continue;  // lost
      sent.push_back(note);
      if (random() % 200 == 0) sent.push_back(note);  // twice
      if (random() % 200 == 0 && sent.size() > 20) {  // overtaken: the stamp is that of when it came
        SequenceNote& earlier = sent[sent.size() - 1 - random() % 20];
        std::swap(sent.back().place, earlier.place);
        std::swap(sent.back().stream, earlier.stream);
        std::swap(sent.back().exporter, earlier.exporter);
      }
    }
  }
  return sent;
}

/// As one thread that reads everything counts it.
Sums in_order(const std::vector<SequenceNote>& notes) {
  std::map<uint32_t, SequenceStream> streams;
  Sums sums;
  for (const SequenceNote& note : notes) {
    SequenceStream& stream = streams[note.stream];
    const SequenceChange change = stream.follow(note.place);
    const uint32_t drops =
        note.place.agent_drops_told ? stream.follow_agent_drops(note.place.agent_drops) : uint32_t{0};
    if (change == SequenceChange{} && drops == 0) continue;
    SequenceOrder::Change one;
    one.minute = base::floor_to(note.received_at, kMinute);
    one.exporter = note.exporter;
    one.missing = change.missing;
    one.duplicates = change.duplicates;
    one.restarts = change.restarts;
    one.agent_drops = drops;
    add_up({one}, sums);
  }
  return sums;
}

/// Each run of one stamp to one lane, as the kernel hands it on in one piece.
std::vector<std::vector<SequenceNote>> deal(const std::vector<SequenceNote>& notes, uint32_t lanes,
                                            std::mt19937& random) {
  std::vector<std::vector<SequenceNote>> dealt(lanes);
  uint32_t lane = 0;
  for (size_t i = 0; i < notes.size(); ++i) {
    if (i == 0 || notes[i].arrived_ns != notes[i - 1].arrived_ns) lane = random() % lanes;
    dealt[lane].push_back(notes[i]);
  }
  return dealt;
}

void expect_same(const Sums& got, const Sums& expected, unsigned seed) {
  for (const auto& [key, sum] : expected) {
    const auto at = got.find(key);
    ASSERT_TRUE(at != got.end()) << "seed " << seed << " exporter " << key.second;
    EXPECT_EQ(at->second.missing, sum.missing) << "seed " << seed << " exporter " << key.second;
    EXPECT_EQ(at->second.duplicates, sum.duplicates) << "seed " << seed << " exporter " << key.second;
    EXPECT_EQ(at->second.restarts, sum.restarts) << "seed " << seed << " exporter " << key.second;
    EXPECT_EQ(at->second.agent_drops, sum.agent_drops) << "seed " << seed << " exporter " << key.second;
  }
  EXPECT_EQ(got.size(), expected.size()) << "seed " << seed;
}

TEST(SequenceOrder, SeveralThreadsCountWhatOneCounts) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    std::mt19937 random(seed);
    const uint32_t exporters = 1 + seed % 3, lanes = 2 + seed % 3;
    const std::vector<SequenceNote> notes = traffic(random, exporters);
    const Sums expected = in_order(notes);
    ASSERT_GT(total(expected).missing, 100);
    ASSERT_GT(total(expected).duplicates, 10u);
    ASSERT_GT(total(expected).restarts, 0u);
    ASSERT_GT(total(expected).agent_drops, 0u);
    SequenceOrder order(lanes);
    for (uint32_t exporter = 0; exporter < exporters; ++exporter) {
      for (uint32_t kind = 0; kind < 4; ++kind)
        ASSERT_EQ(order.number_of(name_of(exporter, kind)), exporter * 4 + kind + 1);
    }
    const auto dealt = deal(notes, lanes, random);
    Sums got;
    std::vector<std::thread> threads;
    for (uint32_t lane = 0; lane < lanes; ++lane) {
      threads.emplace_back([&, lane] {
        std::mt19937 pace(seed * 100 + lane);
        // Of two sockets, of which it reads now one and now the other.
        std::vector<SequenceNote> sockets[2], block;
        for (const SequenceNote& note : dealt[lane]) sockets[note.arrived_ns % 2].push_back(note);
        size_t read[2] = {};
        const auto next_of = [&](size_t socket) {
          return read[socket] < sockets[socket].size() ? sockets[socket][read[socket]].arrived_ns : INT64_MAX;
        };
        while (next_of(0) != INT64_MAX || next_of(1) != INT64_MAX) {
          const size_t socket = pace() % 2;
          const size_t end = std::min(sockets[socket].size(), read[socket] + 1 + pace() % 200);
          for (; read[socket] < end; ++read[socket]) block.push_back(sockets[socket][read[socket]]);
          if (pace() % 4 == 0) std::this_thread::yield();
          order.hand_over(lane, block, std::min(next_of(0), next_of(1)));
          EXPECT_TRUE(block.empty());
        }
      });
    }
    for (int i = 0; i < 20; ++i) add_up(order.take_changes(), got);
    for (std::thread& thread : threads) thread.join();
    order.finish();
    add_up(order.take_changes(), got);
    EXPECT_EQ(order.early_count(), 0u);
    std::erase_if(got, [](const auto& entry) {
      const auto& sum = entry.second;
      return sum.missing == 0 && sum.duplicates == 0 && sum.restarts == 0 && sum.agent_drops == 0;
    });
    Sums wanted = expected;
    std::erase_if(wanted, [](const auto& entry) {
      const auto& sum = entry.second;
      return sum.missing == 0 && sum.duplicates == 0 && sum.restarts == 0 && sum.agent_drops == 0;
    });
    expect_same(got, wanted, seed);
  }
}

TEST(SequenceOrder, WaitsForTheLaneThatIsBehindAndForWhatIsOnItsWay) {
  SequenceOrder order(2);
  const uint32_t stream = order.number_of(name_of(0));
  std::vector<SequenceNote> notes;
  const auto hand_over = [&](uint32_t lane, const std::vector<uint32_t>& numbers, int64_t complete_until_ms) {
    for (const uint32_t number : numbers) notes.push_back(note_of(stream, kStart + number * 1'000'000, number));
    order.hand_over(lane, notes, kStart + complete_until_ms * 1'000'000);
    Sums sums;
    add_up(order.take_changes(), sums);
    return total(sums).missing;
  };
  EXPECT_EQ(hand_over(0, {0, 2, 4, 6, 9}, 500), 0) << "nothing is known of the other lane";
  EXPECT_EQ(hand_over(1, {1, 3}, 104), 0) << "up to 4: nothing is missing";
  EXPECT_EQ(hand_over(1, {5}, 107), 0) << "6 and 5 in their order";
  EXPECT_EQ(hand_over(1, {7}, 500), 1) << "8 is missing";
  EXPECT_EQ(hand_over(0, {8}, 500), -1) << "it was overtaken";
  EXPECT_EQ(order.early_count(), 0u);
}

TEST(SequenceOrder, NamesAreWholeNames) {
  SequenceOrder order(1);
  const uint32_t number = order.number_of(name_of(0));
  EXPECT_EQ(order.number_of(name_of(0)), number);
  EXPECT_NE(order.number_of(name_of(1)), number);
  EXPECT_NE(order.number_of(name_of(0, 9)), number);
  EXPECT_NE(order.number_of({base::Inet::v4(0x0a000001), 5, 8}), number);
}

TEST(SequenceOrder, ALaneThatLagsCostsNoMoreMemoryThanItMayAndNoLoss) {
  constexpr size_t kNotesMax = 60;
  SequenceOrder order(2, kNotesMax);
  const uint32_t stream = order.number_of(name_of(0));
  std::vector<SequenceNote> even, odd;
  for (uint32_t i = 0; i < 2 * kNotesMax; i += 2) {
    even.push_back(note_of(stream, kStart + i, i));
    odd.push_back(note_of(stream, kStart + i + 1, i + 1));
  }
  Sums sums;
  order.hand_over(0, even, kStart + 1'000'000'000);
  EXPECT_EQ(order.early_count(), 0u) << "just as many as there may be";
  even.push_back(note_of(stream, kStart + 2 * kNotesMax, 2 * kNotesMax));
  order.hand_over(0, even, kStart + 1'000'000'000);
  EXPECT_EQ(order.early_count(), kNotesMax / 2 + 1);
  add_up(order.take_changes(), sums);
  EXPECT_EQ(total(sums).missing, static_cast<int64_t>(kNotesMax / 2)) << "for now";
  order.hand_over(1, odd, kStart + 1'000'000'000);
  order.finish();
  add_up(order.take_changes(), sums);
  EXPECT_EQ(total(sums).missing, 0);
  EXPECT_EQ(total(sums).duplicates, 0u);
}

TEST(SequenceOrder, AClockThatIsSetBackHoldsNothingUp) {
  SequenceOrder order(2);
  const uint32_t stream = order.number_of(name_of(0));
  constexpr int64_t kHour = 3'600'000'000'000;
  uint32_t next = 0;
  std::vector<SequenceNote> notes;
  const auto hand_over = [&](uint32_t lane, int64_t now, bool any) {
    if (any) {
      notes.push_back(note_of(stream, now, next));
      next += 2;  // one is lost each time
    }
    order.hand_over(lane, notes, now);
  };
  Sums sums;
  for (int i = 0; i < 10; ++i) hand_over(i % 2, kStart + i * 1'000'000, true);
  add_up(order.take_changes(), sums);
  EXPECT_EQ(total(sums).missing, 0) << "all wait for their time";
  for (int i = 10; i < 20; ++i) hand_over(i % 2, kStart - kHour + i * 1'000'000, true);
  for (int i = 0; i < 2; ++i) hand_over(i, kStart - kHour + 1'000'000'000, false);
  add_up(order.take_changes(), sums);
  EXPECT_EQ(total(sums).missing, 19);
  EXPECT_EQ(total(sums).restarts, 0u);
}

}  // namespace
}  // namespace backstream::decode
