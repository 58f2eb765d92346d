#include "app/pipeline.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <optional>
#include <thread>

#include "app/backlog.h"
#include "app/query_set.h"
#include "base/byte_order.h"

namespace backstream::app {
namespace {

using base::Micros;
using base::wall_clock;
using namespace std::chrono_literals;

/// A NetFlow v5 datagram of `count` records that ended when it was exported.
std::vector<uint8_t> netflow5(Micros time, uint16_t count, uint32_t sequence) {
  std::vector<uint8_t> octets(24 + size_t{48} * count);
  base::store_be16(octets.data(), 5);
  base::store_be16(octets.data() + 2, count);
  base::store_be32(octets.data() + 4, 1'000'000);  // uptime, ms
  base::store_be32(octets.data() + 8, static_cast<uint32_t>(time / base::kMicrosPerSecond));
  base::store_be32(octets.data() + 12, static_cast<uint32_t>(time % base::kMicrosPerSecond * 1000));
  base::store_be32(octets.data() + 16, sequence);
  for (uint16_t i = 0; i < count; ++i) {
    uint8_t* const record = octets.data() + 24 + size_t{48} * i;
    base::store_be32(record + 16, 1);
    base::store_be32(record + 20, 100);
    base::store_be32(record + 24, 1'000'000);
    base::store_be32(record + 28, 1'000'000);
  }
  return octets;
}

/// Gives blocks of datagrams that are made as they are asked for, from exporters of its own.
class FakeSockets final : public ingest::DatagramSource {
 public:
  FakeSockets(uint32_t first_exporter, size_t blocks) : first_exporter_(first_exporter), blocks_(blocks) {}

  std::span<const base::Datagram> next_block() override {
    constexpr size_t kDatagrams = 16;
    block_.clear();
    payloads_.clear();
    std::this_thread::sleep_for(1ms);
    if (given_ == blocks_) {
      done_ = true;
      return {};
    }
    ++given_;
    const Micros now = wall_clock();
    for (size_t i = 0; i < kDatagrams; ++i) {
      payloads_.push_back(netflow5(now, 10, static_cast<uint32_t>((given_ - 1) * kDatagrams / 2 + i / 2) * 10));
      base::Datagram datagram;
      datagram.source = base::Inet::v4(first_exporter_ + i % 2);
      datagram.received_at = now;
      block_.push_back(datagram);
    }
    for (size_t i = 0; i < kDatagrams; ++i) {
      block_[i].payload = payloads_[i].data();
      block_[i].payload_octets = static_cast<uint32_t>(payloads_[i].size());
    }
    stats_.datagrams += block_.size();
    return block_;
  }
  bool at_end() const override { return false; }
  const ingest::IngestStats& stats() const override { return stats_; }

  size_t given() const { return given_; }
  bool done() const { return done_; }
  uint64_t records() const { return blocks_ * 160; }

 private:
  const uint32_t first_exporter_;
  const size_t blocks_;
  std::atomic<size_t> given_{0};
  std::atomic<bool> done_{false};
  std::vector<std::vector<uint8_t>> payloads_;
  std::vector<base::Datagram> block_;
  ingest::IngestStats stats_;
};

/// What one exporter sends, and some of it is lost: who asks gets the next datagrams.
class SpreadNetwork {
 public:
  explicit SpreadNetwork(uint32_t datagrams) : left_(datagrams) {}
  /// False: there are no more.
  bool take(std::vector<uint8_t>& payload, int64_t& arrived_ns) {
    const std::lock_guard lock(mutex_);
    if (left_ == 0) return false;
    --left_;
    if (left_ % 100 == 50) {
      sequence_ += 30;
      missing_ += 30;
    }
    const Micros now = wall_clock();
    arrived_ns_ = arrived_ns = std::max(arrived_ns_ + 1, now * 1000);
    payload = netflow5(now, 10, sequence_);
    sequence_ += 10;
    records_ += 10;
    return true;
  }
  uint64_t missing() const {
    const std::lock_guard lock(mutex_);
    return missing_;
  }
  uint64_t records() const {
    const std::lock_guard lock(mutex_);
    return records_;
  }

 private:
  mutable std::mutex mutex_;
  uint32_t left_, sequence_ = 0;
  int64_t arrived_ns_ = 0;
  uint64_t missing_ = 0, records_ = 0;
};

/// The sockets of one thread, to which a part of it comes.
class SpreadSockets final : public ingest::DatagramSource {
 public:
  explicit SpreadSockets(SpreadNetwork& network) : network_(network) {}

  std::span<const base::Datagram> next_block() override {
    constexpr size_t kDatagramsMax = 16;
    std::this_thread::sleep_for(1ms);
    block_.clear();
    payloads_.resize(kDatagramsMax);
    complete_until_ns_ = wall_clock() * 1000;
    for (size_t i = 0; i < kDatagramsMax; ++i) {
      base::Datagram datagram;
      datagram.source = base::Inet::v4(0x0A000001);
      if (!network_.take(payloads_[i], datagram.arrived_ns)) break;
      datagram.received_at = wall_clock();
      datagram.payload = payloads_[i].data();
      datagram.payload_octets = static_cast<uint32_t>(payloads_[i].size());
      complete_until_ns_ = datagram.arrived_ns;
      block_.push_back(datagram);
    }
    stats_.datagrams += block_.size();
    done_ = block_.empty();
    return block_;
  }
  bool at_end() const override { return false; }
  const ingest::IngestStats& stats() const override { return stats_; }
  int64_t complete_until_ns() const override { return complete_until_ns_; }
  bool done() const { return done_; }

 private:
  SpreadNetwork& network_;
  int64_t complete_until_ns_ = 0;
  std::atomic<bool> done_{false};
  std::vector<std::vector<uint8_t>> payloads_;
  std::vector<base::Datagram> block_;
  ingest::IngestStats stats_;
};

/// Takes its time, as windows of many groups do.
class SlowSink final : public exec::ResultSink {
 public:
  explicit SlowSink(const FakeSockets& watched) : watched_(watched) {}
  void on_result(const exec::ResultBatch& result) override {
    const size_t before = watched_.given();
    std::this_thread::sleep_for(100ms);
    received_meanwhile += watched_.given() - before;
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      ++rows;
      flows += static_cast<uint64_t>(result.rows.columns[1].as<int64_t>()[row]);
    }
  }
  size_t received_meanwhile = 0, rows = 0;
  uint64_t flows = 0;

 private:
  const FakeSockets& watched_;
};

struct Outcome {
  uint64_t flows = 0, counted = 0, late = 0, missing = 0, datagrams = 0, rests = 0;
  size_t exporters = 0, received_meanwhile = 0, windows = 0;
};

Outcome run_live(uint32_t threads, int64_t backlog_octets, std::string_view time, size_t blocks = 600) {
  config::Settings settings;
  settings.ingest.backlog_octets = backlog_octets;
  settings.watermark.delay_us = 100 * base::kMicrosPerMilli;
  const auto inventory = inventory::Inventory::open({});
  auto prepared = prepare_queries({{"test", "SELECT window_start, count(*) AS n FROM tumble(flows, " +
                                                std::string(time) + ", interval '200 ms') GROUP BY window_start"}},
                                  settings, **inventory);
  EXPECT_TRUE(prepared) << prepared.error().render();
  std::vector<std::unique_ptr<FakeSockets>> sources;
  std::vector<ingest::DatagramSource*> views;
  uint64_t records = 0;
  for (uint32_t t = 0; t < threads; ++t) {
    sources.push_back(std::make_unique<FakeSockets>(0x0A000001 + 2 * t, blocks));
    views.push_back(sources.back().get());
    records += sources.back()->records();
  }
  SlowSink sink(*sources[0]);
  exec::EngineOptions engine_options;
  engine_options.edges = threads;
  exec::Engine engine(engine_options);
  engine.add_query(std::move(prepared->queries[0].query), &sink);
  Pipeline::Options options;
  options.settings = settings;
  options.edges = options.threads = threads;
  options.live = true;
  Pipeline pipeline(options, views, engine, {});
  Outcome run;
  pipeline.run([&] {
    pipeline.at_rest([&] {
      ++run.rests;
      EXPECT_LE(engine.ledger(0).assigned, records);
      EXPECT_LE(pipeline.decoded().flows, records);
      EXPECT_LE(pipeline.ingested().datagrams * 10, records);
    });
    return !std::all_of(sources.begin(), sources.end(), [](const auto& source) { return source->done(); });
  });
  const exec::WindowLedger ledger = engine.ledger(0);
  run.flows = sink.flows;
  run.counted = ledger.counted;
  run.late = ledger.late;
  run.windows = ledger.windows_closed;
  run.received_meanwhile = sink.received_meanwhile;
  run.datagrams = pipeline.ingested().datagrams;
  for (const auto& exporter : pipeline.exporters()) run.missing += exporter.ledger.missing;
  run.exporters = pipeline.exporters().size();
  EXPECT_EQ(pipeline.decoded().flows, records);
  EXPECT_EQ(ledger.assigned, records);
  EXPECT_EQ(ledger.counted + ledger.late, records);
  return run;
}

TEST(LivePipeline, SeveralThreadsCountEveryRowOnce) {
  for (const uint32_t threads : {1u, 3u}) {
    const Outcome run = run_live(threads, 64 << 20, "time");
    EXPECT_EQ(run.flows, run.counted);
    EXPECT_EQ(run.missing, 0u);
    EXPECT_EQ(run.exporters, 2 * threads);
    EXPECT_EQ(run.datagrams, uint64_t{600} * 16 * threads);
    EXPECT_GT(run.windows, 2u);
    EXPECT_GT(run.rests, 2u);
  }
}

TEST(LivePipeline, ReceivesWhileWindowsClose) { EXPECT_GT(run_live(1, 64 << 20, "time").received_meanwhile, 20u); }

TEST(LivePipeline, WithoutRoomToWaitItStopsReceivingAndLosesNothing) {
  const Outcome run = run_live(2, 0, "time", 60);
  EXPECT_GT(run.windows, 0u);
  EXPECT_LE(run.received_meanwhile, run.windows + 1) << "at most the block that was being received";
}

TEST(LivePipeline, ArrivalTimeWaitsForWhatHasNotBeenReadYet) {
  EXPECT_EQ(run_live(2, 64 << 20, "received_at").late, 0u);
}

TEST(LivePipeline, OneExporterSpreadOverThreadsLosesWhatWasLost) {
  class Sink final : public exec::ResultSink {
   public:
    void on_result(const exec::ResultBatch&) override {
      std::this_thread::sleep_for(300ms);  // Much is read from the backlog: longer than notes wait for each other.
      ++windows;
    }
    size_t windows = 0;
  };
  constexpr uint32_t kThreads = 3, kDatagrams = 60'000;
  config::Settings settings;
  settings.ingest.steering = config::Steering::kSpread;
  settings.watermark.delay_us = 100 * base::kMicrosPerMilli;
  const auto inventory = inventory::Inventory::open({});
  auto prepared = prepare_queries(
      {{"test",
        "SELECT window_start, count(*) AS n FROM tumble(flows, time, interval '200 ms') GROUP BY window_start"}},
      settings, **inventory);
  ASSERT_TRUE(prepared) << prepared.error().render();
  SpreadNetwork network(kDatagrams);
  std::vector<std::unique_ptr<SpreadSockets>> sources;
  std::vector<ingest::DatagramSource*> views;
  for (uint32_t t = 0; t < kThreads; ++t) {
    sources.push_back(std::make_unique<SpreadSockets>(network));
    views.push_back(sources.back().get());
  }
  Sink sink;
  exec::EngineOptions engine_options;
  engine_options.edges = kThreads;
  exec::Engine engine(engine_options);
  engine.add_query(std::move(prepared->queries[0].query), &sink);
  Pipeline::Options options;
  options.settings = settings;
  options.edges = options.threads = kThreads;
  options.live = true;
  Pipeline pipeline(options, views, engine, {});
  pipeline.run([&] {
    pipeline.at_rest([&] { EXPECT_LE(pipeline.decoded().missing, network.missing()); });
    return !std::all_of(sources.begin(), sources.end(), [](const auto& source) { return source->done(); });
  });
  EXPECT_GT(sink.windows, 2u);
  EXPECT_EQ(pipeline.decoded().flows, network.records());
  EXPECT_EQ(engine.ledger(0).counted + engine.ledger(0).late, network.records());
  EXPECT_EQ(pipeline.decoded().missing, network.missing());
  EXPECT_EQ(network.missing(), kDatagrams / 100 * 30);
  EXPECT_EQ(pipeline.decoded().duplicates, 0u);
  EXPECT_EQ(pipeline.sequence_early_count(), 0u);
  ASSERT_EQ(pipeline.exporters().size(), 1u);
  EXPECT_EQ(pipeline.exporters()[0].protocols, "NetFlow v5");
  EXPECT_EQ(pipeline.exporters()[0].ledger, pipeline.decoded());
  decode::IngestLedger minutes;
  for (const decode::MinuteLedger& minute : pipeline.minutes()) minutes += minute.ledger;
  EXPECT_EQ(minutes, pipeline.decoded());
  EXPECT_LE(pipeline.minutes().size(), 3u) << "one a minute";
}

TEST(LivePipeline, QueriesComeAndGoWhileItReceives) {
  class Sink final : public exec::ResultSink {
   public:
    void on_result(const exec::ResultBatch& result) override {
      for (size_t row = 0; row < result.rows.row_count; ++row) {
        const auto value = [&](size_t c) { return static_cast<uint64_t>(result.rows.columns[c].as<int64_t>()[row]); };
        flows += value(1);
        octets += value(2);
        EXPECT_TRUE(result.rows.columns[3].is_null(row)) << "v5 does not have it";
      }
      EXPECT_EQ(result.complete, result.window_start >= seen_until) << "by when it came";
    }
    uint64_t flows = 0, octets = 0;
    Micros seen_until = base::kMinTime;
  };
  constexpr uint32_t kThreads = 2;
  config::Settings settings;
  settings.watermark.delay_us = 20 * base::kMicrosPerMilli;
  const auto inventory = inventory::Inventory::open({});
  const auto query = [&](std::string_view octets, std::string_view stream = "flows") {
    auto prepared = prepare_queries(
        {{"test", fmt::format("SELECT window_start, count(*) AS n, sum({}) AS o, max(\"ipTTL\") FROM tumble({}, time, "
                              "interval '20 ms') GROUP BY window_start",
                              octets, stream)}},
        settings, **inventory);
    EXPECT_TRUE(prepared) << prepared.error().render();
    return std::move(prepared->queries[0].query);
  };
  std::vector<std::unique_ptr<FakeSockets>> sources;
  std::vector<ingest::DatagramSource*> views;
  for (uint32_t t = 0; t < kThreads; ++t) {
    sources.push_back(std::make_unique<FakeSockets>(0x0A000001 + 2 * t, 1600));
    views.push_back(sources.back().get());
  }
  exec::EngineOptions engine_options;
  engine_options.edges = kThreads;
  exec::Engine engine(engine_options);
  Pipeline::Options options;
  options.settings = settings;
  options.edges = options.threads = kThreads;
  options.live = true;
  Pipeline pipeline(options, views, engine, {});  // Nobody reads anything yet.
  Sink stays;
  std::deque<Sink> guests;
  std::optional<size_t> resident, guest;
  uint64_t before = 0;
  size_t changes = 0;
  const auto add = [&](std::shared_ptr<const plan::Query> added, Sink& sink) {
    const size_t number = engine.add_query(std::move(added), &sink);
    EXPECT_NE(pipeline.newest(), base::kMinTime) << "something has come";
    sink.seen_until = pipeline.newest() + 1;
    engine.mark_gap(number, base::kMinTime, sink.seen_until);
    return number;
  };
  pipeline.run([&] {
    const bool done = std::all_of(sources.begin(), sources.end(), [](const auto& source) { return source->done(); });
    if (done || sources[0]->given() < 80 * (changes + 1)) return !done;
    const auto change = [&] {
      if (!resident) {
        before = pipeline.decoded().flows;
        resident = add(query("octets"), stays);
      } else if (guest) {
        EXPECT_TRUE(engine.remove_query(*guest));
        guest.reset();
      } else {
        guest = add(query(changes % 4 == 1 ? "octets_raw + dst_port" : "packets * 100 + coalesce(\"ipTTL\", 0)"),
                    guests.emplace_back());
      }
      engine.catch_up();
      ++changes;
    };
    pipeline.at_rest([&] { pipeline.change_queries(change); });
    return true;
  });
  EXPECT_GT(changes, 3u);
  const uint64_t records = sources[0]->records() + sources[1]->records();
  ASSERT_TRUE(resident);
  const exec::WindowLedger ledger = engine.ledger(*resident);
  EXPECT_EQ(ledger.assigned, records - before);
  EXPECT_EQ(stays.flows, ledger.counted);
  EXPECT_EQ(stays.octets, 100 * ledger.counted);
  uint64_t flows = 0, octets = 0;
  for (const Sink& sink : guests) {
    flows += sink.flows;
    octets += sink.octets;
  }
  EXPECT_GT(flows, 0u);
  EXPECT_EQ(octets, 100 * flows);
}

TEST(Backlog, KeepsCopiesInOrderWithinItsBound) {
  Backlog backlog(5 << 20);
  std::vector<uint8_t> payload(60'000);
  size_t count = 0;
  for (bool room = true; room; ++count) {
    payload[0] = static_cast<uint8_t>(count);
    base::Datagram datagram;
    datagram.payload = payload.data();
    datagram.payload_octets = static_cast<uint32_t>(payload.size());
    datagram.received_at = static_cast<Micros>(count) + 7;
    room = backlog.add({&datagram, 1});
  }
  EXPECT_LE(backlog.octets(), uint64_t{5} << 20);
  ASSERT_EQ(backlog.datagrams().size(), count - 1);
  EXPECT_GT(count, 80u);
  EXPECT_EQ(backlog.oldest(), 7);
  for (size_t i = 0; i < backlog.datagrams().size(); ++i)
    ASSERT_EQ(backlog.datagrams()[i].payload[0], static_cast<uint8_t>(i));
  backlog.clear();
  EXPECT_TRUE(backlog.empty());
  EXPECT_TRUE(backlog.add({}));
}

}  // namespace
}  // namespace backstream::app
