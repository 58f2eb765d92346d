// DESIGN §6 on a fake clock: of ten exporters the times of one are wrong. The windows of the other nine close when they
// would have closed without it, and each row that was sent is counted once: in a window, as late, or as refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <random>

#include "app/pipeline.h"
#include "app/query_set.h"

namespace backstream::app {
namespace {

using base::Micros;

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kHour = 3'600 * kSecond;
constexpr Micros kBegin = 1'769'860'800 * kSecond;  // 2026-01-31 12:00:00 UTC
constexpr Micros kSpan = 1'200 * kSecond;
constexpr Micros kWindow = 10 * kSecond;
constexpr Micros kDelay = 5 * kSecond;
constexpr uint32_t kFirst = 0x0a000001, kExporters = 10, kWrong = kExporters - 1;

/// What is wrong with the tenth exporter.
struct Fault {
  const char* name;
  /// What its clock shows; null: the right time.
  std::function<Micros(Micros now)> clock;
  /// Added to the times of its flows alone, by a clock that is right where it stamps messages.
  Micros flows_off = 0;
  Micros silent_since = base::kMaxTime;
};

/// Integers in network order.
class Octets {
 public:
  Octets& put(uint64_t value, int octets) {
    for (int i = octets - 1; i >= 0; --i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
    return *this;
  }
  Octets& u16(uint64_t value) { return put(value, 2); }
  Octets& u32(uint64_t value) { return put(value, 4); }
  std::vector<uint8_t> bytes;
};

/// What an exporter says in one datagram.
struct Message {
  Micros exported_at = 0;  ///< by its clock
  uint32_t uptime_ms = 0;
  uint32_t records_before = 0, messages_before = 0;
  std::vector<Micros> ended_ago;  ///< of each flow, before the export
};
/// Times are uptimes in NetFlow; in IPFIX they are what the clock showed. Templates come with every message.
std::vector<uint8_t> write(int version, const Message& message) {
  const size_t count = message.ended_ago.size();
  const auto seconds = static_cast<uint64_t>(message.exported_at / kSecond);
  const auto uptime_at_end = [&](Micros ago) {
    return static_cast<uint32_t>(Micros{message.uptime_ms} - ago / base::kMicrosPerMilli);
  };
  Octets out;
  switch (version) {
    case 5:
      out.u16(5).u16(count).u32(message.uptime_ms).u32(seconds);
      out.u32(static_cast<uint64_t>(message.exported_at % kSecond * 1'000)).u32(message.records_before).u32(0);
      for (const Micros ago : message.ended_ago)
        out.put(0, 8).put(0, 8).u32(1).u32(100).u32(uptime_at_end(ago)).u32(uptime_at_end(ago)).put(0, 8).put(0, 8);
      break;
    case 9:
      out.u16(9).u16(1 + count).u32(message.uptime_ms).u32(seconds).u32(message.messages_before).u32(1);
      out.u16(0).u16(16).u16(256).u16(2).u16(21).u16(4).u16(1).u16(4);
      out.u16(256).u16(4 + 8 * count);
      for (const Micros ago : message.ended_ago) out.u32(uptime_at_end(ago)).u32(100);
      break;
    default:
      out.u16(10).u16(16 + 16 + 4 + 12 * count).u32(seconds).u32(message.records_before).u32(1);
      out.u16(2).u16(16).u16(256).u16(2).u16(153).u16(8).u16(1).u16(4);
      out.u16(256).u16(4 + 12 * count);
      for (const Micros ago : message.ended_ago)
        out.put(static_cast<uint64_t>((message.exported_at - ago) / base::kMicrosPerMilli), 8).u32(100);
  }
  return std::move(out.bytes);
}

/// What the network brings, by time of arrival: of each exporter a datagram a second, whose flows ended in the two
/// seconds before. What the nine send is the same whatever the tenth does. All three protocols, the tenth's by the
/// seed.
class Network final : public ingest::DatagramSource {
 public:
  /// @param fault  null: the tenth does not exist
  Network(uint64_t seed, const Fault* fault) {
    for (uint32_t exporter = 0; exporter < kExporters; ++exporter) {
      const bool wrong = exporter == kWrong;
      if (wrong && fault == nullptr) continue;
      std::mt19937_64 random(seed * 100 + exporter);
      const auto below = [&](uint64_t n) { return static_cast<Micros>(random() % n); };
      constexpr int kVersions[] = {5, 9, 10};
      const int version = kVersions[(exporter + seed) % std::size(kVersions)];
      const Micros booted_at = kBegin - 1'000 * kSecond;
      Message message;
      for (Micros tick = below(kSecond); tick < kSpan; tick += kSecond) {
        const Micros now = kBegin + tick + below(200'000);
        if (wrong && now >= fault->silent_since) break;
        message.exported_at = wrong && fault->clock ? fault->clock(now) : now;
        message.uptime_ms = static_cast<uint32_t>((now - booted_at) / base::kMicrosPerMilli);
        message.ended_ago.clear();
        for (Micros more = below(10); more >= 0; --more)
          message.ended_ago.push_back(below(2'000) * base::kMicrosPerMilli - (wrong ? fault->flows_off : 0));
        const Micros transit = 1'000 + below(100'000);
        arrivals_.push_back({now + transit, exporter, write(version, message)});
        message.records_before += static_cast<uint32_t>(message.ended_ago.size());
        ++message.messages_before;
      }
      sent[exporter] = message.records_before;
    }
    std::stable_sort(arrivals_.begin(), arrivals_.end(),
                     [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
  }

  std::span<const base::Datagram> next_block() override {
    if (next_ == arrivals_.size()) return {};
    const Arrival& arrival = arrivals_[next_++];
    clock = arrival.at;
    datagram_.payload = arrival.payload.data();
    datagram_.payload_octets = static_cast<uint32_t>(arrival.payload.size());
    datagram_.source = base::Inet::v4(kFirst + arrival.exporter);
    datagram_.received_at = arrival.at;
    ++stats_.datagrams;
    return {&datagram_, 1};
  }
  bool at_end() const override { return next_ == arrivals_.size(); }
  const ingest::IngestStats& stats() const override { return stats_; }

  Micros clock = kBegin;           ///< arrival of the newest datagram
  uint64_t sent[kExporters] = {};  ///< rows

 private:
  struct Arrival {
    Micros at = 0;
    uint32_t exporter = 0;
    std::vector<uint8_t> payload;
  };
  std::vector<Arrival> arrivals_;
  size_t next_ = 0;
  base::Datagram datagram_;
  ingest::IngestStats stats_;
};

using Counts = std::map<std::pair<Micros, uint32_t>, uint64_t>;  ///< rows by begin of the window and exporter

/// Rows of each window by exporter, and when, on the fake clock, the window closed.
struct Windows final : public exec::ResultSink {
  explicit Windows(const Network& from) : network(from) {}
  void on_result(const exec::ResultBatch& result) override {
    // What the end of the input closes tells nothing about the watermark.
    if (!network.at_end()) closed_at.try_emplace(result.window_start, network.clock);
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      const auto exporter = static_cast<uint32_t>(result.rows.columns[1].as<base::Inet>()[row].hi >> 32) - kFirst;
      const auto count = static_cast<uint64_t>(result.rows.columns[2].as<int64_t>()[row]);
      rows[exporter] += count;
      (exporter == kWrong ? of_wrong : of_nine)[{result.window_start, exporter}] += count;
    }
  }
  const Network& network;
  std::map<Micros, Micros> closed_at;
  uint64_t rows[kExporters] = {};
  Counts of_nine, of_wrong;
};

struct Outcome {
  std::map<Micros, Micros> closed_at;  ///< by begin of the window
  uint64_t sent[kExporters] = {}, counted[kExporters] = {};
  Counts of_nine, of_wrong;
  exec::WindowLedger ledger;
  uint64_t late_since_begin = 0;  ///< rows of windows that begin when the run does, or later
  std::vector<window::WatermarkTracker::ExporterState> clocks;  ///< by exporter
  uint64_t sent_all() const { return std::accumulate(std::begin(sent), std::end(sent), uint64_t{0}); }
  uint64_t counted_all() const { return std::accumulate(std::begin(counted), std::end(counted), uint64_t{0}); }
};

/// @param delay  of the tenth exporter
Outcome simulate(uint64_t seed, const Fault* fault, bool live_rules, Micros delay = kDelay) {
  config::Settings settings;
  settings.watermark.delay_us = kDelay;
  config::ExporterSettings& own = settings.exporters.emplace_back();
  own.prefix = base::Inet::v4(kFirst + kWrong);
  own.delay_us = delay;
  const auto inventory = inventory::Inventory::open({});
  auto prepared = prepare_queries({{"test",
                                    "SELECT window_start, exporter, count(*) AS n FROM tumble(flows, time, "
                                    "interval '10 s') GROUP BY window_start, exporter"}},
                                  settings, **inventory);
  EXPECT_TRUE(prepared) << prepared.error().render();
  Network network(seed, fault);
  Windows windows(network);
  exec::EngineOptions engine_options;
  engine_options.edges = 1 + static_cast<uint32_t>(seed % 3);
  exec::Engine engine(engine_options);
  engine.add_query(std::move(prepared->queries[0].query), &windows);
  Pipeline::Options options;
  options.settings = settings;
  options.edges = engine_options.edges;
  options.deal = {Deal::Kind::kRandom, seed};
  options.live_rules = live_rules;
  Pipeline pipeline(options, {&network}, engine, {});
  Outcome outcome;
  pipeline.run([] { return true; });
  outcome.closed_at = windows.closed_at;
  std::copy(std::begin(network.sent), std::end(network.sent), outcome.sent);
  std::copy(std::begin(windows.rows), std::end(windows.rows), outcome.counted);
  outcome.of_nine = windows.of_nine;
  outcome.of_wrong = windows.of_wrong;
  outcome.ledger = engine.ledger(0);
  for (const exec::WindowRecord& window : engine.recent_windows(0))
    outcome.late_since_begin += window.start >= kBegin ? window.counts.late : 0;
  outcome.clocks.resize(kExporters);
  for (const Pipeline::Exporter& exporter : pipeline.exporters())
    outcome.clocks[static_cast<uint32_t>(exporter.address.hi >> 32) - kFirst] = exporter.clock;

  // Nothing is lost uncounted, whatever the clocks show.
  const exec::WindowLedger& ledger = outcome.ledger;
  EXPECT_EQ(ledger.assigned + ledger.time_future + ledger.time_null, outcome.sent_all());
  EXPECT_EQ(ledger.assigned, ledger.counted + ledger.late);
  EXPECT_EQ(ledger.counted, outcome.counted_all());
  EXPECT_EQ(pipeline.decoded().flows, outcome.sent_all());
  EXPECT_EQ(pipeline.decoded().missing, 0u);
  return outcome;
}

/// How much later than without the tenth exporter the windows of the nine closed: at most, and of the last half. What
/// was still open at the end counts as closed then.
struct Lag {
  Micros most = 0, most_later = 0;
};
Lag lag_of(const Outcome& run, const Outcome& nine) {
  Lag lag;
  for (const auto& [start, closed_at] : nine.closed_at) {
    const auto found = run.closed_at.find(start);
    const Micros late = (found == run.closed_at.end() ? kBegin + kSpan : found->second) - closed_at;
    lag.most = std::max(lag.most, late);
    if (start >= kBegin + kSpan / 2) lag.most_later = std::max(lag.most_later, late);
  }
  return lag;
}

class Clocks : public testing::TestWithParam<uint64_t> {
 protected:
  /// With the live rules. Whatever the tenth does, the nine have the same rows in the same windows.
  Outcome run(const Fault& fault, Micros delay = kDelay) {
    SCOPED_TRACE(fault.name);
    Outcome outcome = simulate(GetParam(), &fault, true, delay);
    EXPECT_EQ(outcome.of_nine, nine_.of_nine);
    for (uint32_t exporter = 0; exporter < kWrong; ++exporter) {
      EXPECT_EQ(outcome.counted[exporter], outcome.sent[exporter]) << "exporter " << exporter;
      EXPECT_EQ(outcome.clocks[exporter].shift_us, 0);
      EXPECT_EQ(outcome.clocks[exporter].datagrams_shifted, 0u);
      EXPECT_FALSE(outcome.clocks[exporter].held);
      EXPECT_FALSE(outcome.clocks[exporter].idle);
      EXPECT_EQ(outcome.clocks[exporter].future_refused, 0u);
    }
    return outcome;
  }
  Lag lag(const Outcome& outcome) const { return lag_of(outcome, nine_); }
  void SetUp() override {
    // Windows close when the exporter that is furthest behind is past their end by the delay: a datagram a second, its
    // newest flow up to two seconds old.
    ASSERT_GE(nine_.closed_at.size(), size_t{kSpan / kWindow} - 2);
    for (const auto& [start, closed_at] : nine_.closed_at) {
      EXPECT_GE(closed_at, start + kWindow + kDelay);
      EXPECT_LE(closed_at, start + kWindow + kDelay + 4 * kSecond);
    }
    EXPECT_EQ(nine_.counted_all(), nine_.sent_all());
  }

 private:
  const Outcome nine_ = simulate(GetParam(), nullptr, true);
};

// Of a clock that runs, however wrong, the first datagram tells the offset, to the second that headers have it in (v5:
// better): its rows are in the windows of our clock, none is late.
TEST_P(Clocks, AnHourSlowAnHourFastOrOf1970IsShifted) {
  const Fault faults[] = {{"an hour slow", [](Micros now) { return now - kHour; }},
                          {"an hour fast", [](Micros now) { return now + kHour; }},
                          {"since its start in 1970", [](Micros now) { return now - kBegin + 1'000 * kSecond; }}};
  const Micros offsets[] = {kHour, -kHour, kBegin - 1'000 * kSecond};
  for (size_t i = 0; i < std::size(faults); ++i) {
    SCOPED_TRACE(faults[i].name);
    const Outcome outcome = run(faults[i]);
    EXPECT_LE(lag(outcome).most, 2 * kSecond);
    EXPECT_EQ(outcome.ledger.late + outcome.ledger.time_future, 0u);
    EXPECT_EQ(outcome.counted[kWrong], outcome.sent[kWrong]);
    ASSERT_FALSE(outcome.of_wrong.empty());
    EXPECT_GE(outcome.of_wrong.begin()->first.first, kBegin - kWindow);
    EXPECT_LT(outcome.of_wrong.rbegin()->first.first, kBegin + kSpan + kWindow);
    const auto& clock = outcome.clocks[kWrong];
    EXPECT_LE(std::abs(clock.shift_us - offsets[i]), kSecond);
    EXPECT_EQ(clock.datagrams_shifted, clock.datagrams);
    EXPECT_FALSE(clock.held);
  }
}

// Until it is off by max_skew (30 s) a clock is believed: so long it holds the windows by as much as it is off. Then
// the offset, which is measured over 10 to 20 s, is behind by what the clock loses meanwhile.
TEST_P(Clocks, ADriftingOneDelaysByNoMoreThanTheSkewThatIsAllowed) {
  const Fault faults[] = {{"slow by 6 s a minute", [](Micros now) { return now - (now - kBegin) / 10; }},
                          {"fast by 6 s a minute", [](Micros now) { return now + (now - kBegin) / 10; }}};
  for (const Fault& fault : faults) {
    SCOPED_TRACE(fault.name);
    const Outcome outcome = run(fault);
    const auto [most, most_later] = lag(outcome);
    EXPECT_LE(most, (30 + 2 + 2) * kSecond);
    EXPECT_LE(most_later, (2 + 2) * kSecond);
    const auto& clock = outcome.clocks[kWrong];
    EXPECT_GT(clock.datagrams_shifted, clock.datagrams / 2);
    EXPECT_GT(std::abs(clock.shift_us), 100 * kSecond);
    EXPECT_LT(std::abs(clock.shift_us), 122 * kSecond);
  }
}

// The header says the same second for ever: an offset that is 20 s old is 20 s wrong.
TEST_P(Clocks, OneThatStandsStillDelaysByWhatMeasuringTakes) {
  const Fault faults[] = {{"stuck in 1970", [](Micros) { return 12 * kSecond; }},
                          {"stuck at noon", [](Micros) { return kBegin; }}};
  for (const Fault& fault : faults) {
    SCOPED_TRACE(fault.name);
    const Outcome outcome = run(fault);
    const auto [most, most_later] = lag(outcome);
    EXPECT_LE(most, (30 + 20 + 2) * kSecond) << "it was right, and is believed until it is off by 30 s";
    EXPECT_LE(most_later, (20 + 2) * kSecond);
    EXPECT_GT(outcome.clocks[kWrong].datagrams_shifted, outcome.clocks[kWrong].datagrams * 9 / 10);
    EXPECT_EQ(outcome.counted[kWrong] + outcome.ledger.late + outcome.ledger.time_future, outcome.sent[kWrong]);
  }
}

// The header's clock is right, the flows' times are not: nothing to shift by.
TEST_P(Clocks, FlowsFarBehindAreHeldOutAndLate) {
  const Outcome outcome = run({"flows an hour old", nullptr, -kHour});
  EXPECT_LE(lag(outcome).most, 2 * kSecond);
  EXPECT_TRUE(outcome.clocks[kWrong].held);
  EXPECT_EQ(outcome.clocks[kWrong].shift_us, 0);
  EXPECT_GT(outcome.ledger.late, outcome.sent[kWrong] * 9 / 10);
  EXPECT_EQ(outcome.counted[kWrong] + outcome.ledger.late, outcome.sent[kWrong]);
}

// A clock that falls back is seen when what was measured before is 10 to 20 s old; one that leaps ahead at once, as
// no network is early.
TEST_P(Clocks, AClockThatIsSetInTheMiddleOfTheRun) {
  const auto set_at_half_time = [](Micros before, Micros after) {
    return [=](Micros now) { return now + (now < kBegin + kSpan / 2 ? before : after); };
  };
  const Outcome back = run({"falls back by an hour", set_at_half_time(0, -kHour)});
  EXPECT_LE(lag(back).most, (20 + 2) * kSecond);
  EXPECT_LE(std::abs(back.clocks[kWrong].shift_us - kHour), kSecond);
  EXPECT_GT(back.ledger.late, 0u);
  EXPECT_LE(back.ledger.late, uint64_t{20 + 2} * 10) << "at most ten a second";
  const Outcome mended = run({"was an hour slow", set_at_half_time(-kHour, 0)});
  EXPECT_LE(lag(mended).most, 2 * kSecond);
  EXPECT_EQ(mended.clocks[kWrong].shift_us, 0);
  EXPECT_GT(mended.clocks[kWrong].datagrams_shifted, mended.clocks[kWrong].datagrams / 3);
  EXPECT_EQ(mended.ledger.late + mended.ledger.time_future, 0u);
}

// Within max_hold an exporter is waited for, so that what it sends late is no late row; with a delay of its own,
// longer.
TEST_P(Clocks, AnExporterThatIsSlowToExportIsWaitedFor) {
  const Fault slow{"flows 50 s old", nullptr, -50 * kSecond};
  const Outcome outcome = run(slow);
  EXPECT_GE(lag(outcome).most_later, 48 * kSecond);
  EXPECT_LE(lag(outcome).most, 53 * kSecond);
  EXPECT_FALSE(outcome.clocks[kWrong].held);
  EXPECT_EQ(outcome.late_since_begin, 0u);
  const Fault slower{"flows 200 s old", nullptr, -200 * kSecond};
  const Outcome not_waited = run(slower);
  EXPECT_TRUE(not_waited.clocks[kWrong].held);
  EXPECT_GT(not_waited.late_since_begin, not_waited.sent[kWrong] / 2);
  const Outcome waited = run(slower, 205 * kSecond);
  EXPECT_FALSE(waited.clocks[kWrong].held);
  EXPECT_EQ(waited.late_since_begin, 0u);
  EXPECT_GT(waited.counted[kWrong], waited.sent[kWrong] / 2);
}

TEST_P(Clocks, FlowsFromTheFutureAreRefusedAndMoveNothing) {
  const Outcome outcome = run({"flows an hour ahead", nullptr, kHour});
  EXPECT_EQ(lag(outcome).most, 0);
  EXPECT_EQ(outcome.ledger.time_future, outcome.sent[kWrong]);
  EXPECT_EQ(outcome.ledger.late, 0u);
  EXPECT_GT(outcome.clocks[kWrong].future_refused, 0u);
}

TEST_P(Clocks, ASilentOneDelaysOnceByTheIdleTimeout) {
  const Outcome outcome = run({"silent", nullptr, 0, kBegin + kSpan / 4});
  const auto [most, most_later] = lag(outcome);
  EXPECT_GT(most, 50 * kSecond);
  EXPECT_LE(most, 62 * kSecond);
  EXPECT_EQ(most_later, 0);
  EXPECT_TRUE(outcome.clocks[kWrong].idle);
  EXPECT_EQ(outcome.counted[kWrong], outcome.sent[kWrong]);
  EXPECT_EQ(outcome.ledger.late, 0u);
}

// A replay of old captures believes their clocks: without the rules a slow exporter holds everything. Still nothing is
// lost uncounted, which simulate() looks at, and of the nine nothing at all.
TEST_P(Clocks, WithoutTheLiveRulesNothingIsLostEither) {
  const Fault slow{"an hour slow", [](Micros now) { return now - kHour; }};
  const Fault fast{"an hour fast", [](Micros now) { return now + kHour; }};
  const Fault stuck{"stuck in 1970", [](Micros) { return 12 * kSecond; }};
  const Fault ahead{"flows an hour ahead", nullptr, kHour};
  for (const Fault* fault : {&slow, &fast, &stuck, &ahead}) {
    SCOPED_TRACE(fault->name);
    const Outcome outcome = simulate(GetParam(), fault, false);
    EXPECT_EQ(outcome.ledger.time_future, 0u);
    EXPECT_EQ(outcome.clocks[kWrong].shift_us, 0);
    EXPECT_FALSE(outcome.clocks[kWrong].held);
    for (uint32_t exporter = 0; exporter < kWrong; ++exporter)
      EXPECT_EQ(outcome.counted[exporter], outcome.sent[exporter]) << "exporter " << exporter;
    const bool holds = fault == &slow || fault == &stuck;
    EXPECT_EQ(outcome.closed_at.lower_bound(kBegin) == outcome.closed_at.end(), holds);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Clocks, testing::Values(1, 2, 3));

}  // namespace
}  // namespace backstream::app
