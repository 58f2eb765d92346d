// Merge workers of one partition, by hand; tests/sim/workers_test.cc has them by chance.
#include "cluster/merge_worker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "batch/flow_schema.h"
#include "cluster/results_in.h"
#include "partial/codec.h"
#include "plan/bind.h"
#include "sql/parse.h"
#include "transport/memory_log.h"

namespace backstream::cluster {
namespace {

constexpr Micros kNow = 1'769'860'800 * base::kMicrosPerSecond;
constexpr uint32_t kEdge = 7, kRows = 3;
constexpr Pauses kPauses{std::chrono::microseconds(500), std::chrono::microseconds(1'000), std::chrono::seconds(30)};

/// Whose rows have no window: they come again if anybody gives them again.
MergeQuery rows_of_flows() {
  const char* text = "CREATE MATERIALIZED VIEW rows_of_flows AS SELECT time, octets FROM flows";
  auto query = plan::bind(sql::parse(text, "")->front(), text, plan::Catalog());
  EXPECT_TRUE(query.has_value()) << query.error().message;
  return {
      "rows_of_flows", {7, 1}, partial::incarnation_of(7, 7, 1), std::make_shared<plan::Query>(std::move(*query)), {}};
}

/// All that an edge has to say of the query, and that there is nothing more to come.
class Edge final : exec::PartialsOut {
 public:
  Edge(const MergeQuery& query, transport::Log& log) : log_(log) {
    exec::EngineOptions options;
    options.half = exec::Half::kEdge;
    options.edge = kEdge;
    options.partials_out = this;
    exec::Engine engine(options);
    engine.add_query(query.query, nullptr, exec::Measured::kNot, query.incarnation);
    const std::vector<batch::Type> types = batch::flow_schema().types();
    batch::BatchBuffer buffer(types, engine.columns_used("flows", types.size()), kRows);
    buffer.batch.row_count = kRows;
    for (size_t row = 0; row < kRows; ++row) {
      buffer.batch.columns[static_cast<size_t>(batch::FlowColumn::kTime)].as<int64_t>()[row] = kNow;
      buffer.batch.columns[static_cast<size_t>(batch::FlowColumn::kOctets)].as<int64_t>()[row] =
          static_cast<int64_t>(row);
    }
    engine.process("flows", buffer.batch);
    engine.finish();
  }
  uint64_t octets = 0;

 private:
  void append(std::vector<uint8_t>&& message) override {
    octets += message.size();
    EXPECT_EQ(log_.append(0, message).status, transport::LogStatus::kOk);
  }
  transport::Log& log_;
};

/// Logs of one partition, and who has it.
class Partition : public testing::Test {
 protected:
  std::unique_ptr<MergeWorker> worker(const std::string& name) {
    MergeWorker::Options options;
    options.name = name;
    options.engine.half = exec::Half::kMerge;
    options.absent_after = 3'600 * base::kMicrosPerSecond;
    options.clock = [this] { return now.load(); };
    options.place = [this](uint32_t) { return base::Result<std::optional<uint64_t>>(place); };
    options.set_place = [this, name](uint32_t, uint64_t to) -> base::Result<void> {
      if (owner != name) return base::fail("55000", "the partition is another's");
      place = to;
      return {};
    };
    options.tell = [](const std::string&) {};
    options.site_of = [](uint32_t) { return "fra"; };
    options.pauses = kPauses;
    auto worker = std::make_unique<MergeWorker>(partials, snapshots, results, std::move(options));
    worker->set_edges({{kEdge}});
    return worker;
  }
  void own(MergeWorker& worker, const std::string& name) {
    owner = name;
    worker.own({0});
  }
  /// Until `holds`, and not for ever.
  template <typename Condition>
  bool work(MergeWorker& worker, Condition&& holds) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > until) return false;
      now += base::kMicrosPerSecond / 100;
      if (!worker.work()) std::this_thread::sleep_for(kPauses.idle);
    }
    return true;
  }
  bool has_given_all(const MergeWorker& worker) const {
    const auto reports = worker.reports();
    const auto report = reports.find(query.id);
    return report != reports.end() && report->second.ledger.result_rows == kRows;
  }
  /// That a receiver is given, of all that there is when the first ones have come.
  size_t rows() {
    struct Count final : exec::ResultSink {
      void on_result(const exec::ResultBatch& result) override { rows += result.rows.row_count; }
      size_t rows = 0;
    } count;
    ResultsIn in(results, {});
    in.open(query.id, *query.query, query.name, count);
    const auto take_until = [&](auto&& holds) {
      const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      while (!holds() && std::chrono::steady_clock::now() < until) {
        if (!in.take(kNow)) std::this_thread::sleep_for(kPauses.idle);
      }
      EXPECT_TRUE(holds());
    };
    take_until([&] { return count.rows >= kRows; });
    results.append(0, std::vector<uint8_t>{'e', 'n', 'd'});
    take_until([&] { return in.status().refused == 1; });
    return count.rows;
  }

  const MergeQuery query = rows_of_flows();
  transport::MemoryLog partials{1, 1 << 20}, snapshots{1, 1 << 20}, results{1, 1 << 20};
  std::atomic<Micros> now{kNow};
  std::string owner;
  std::optional<uint64_t> place;
};

TEST_F(Partition, GivesNothingWhenItIsGivenUpThoughItsQueriesBecomeKnown) {
  const Edge edge(query, partials);
  const auto first = worker("first"), second = worker("second");
  second->set_queries({query});
  own(*first, "first");
  EXPECT_TRUE(work(*first, [&] { return first->status().early_octets == edge.octets; }));
  first->give_up(false);
  owner = "second";
  first->set_queries({query});
  first->give_up(false);  // It stops: what it had given is in the log.
  own(*second, "second");
  EXPECT_TRUE(work(*second, [&] { return has_given_all(*second); }));
  second->give_up(false);
  EXPECT_EQ(rows(), kRows);
}

TEST_F(Partition, IsGoneOnWithByTheQueriesThatBecameKnownMeanwhile) {
  const Edge edge(query, partials);
  const auto first = worker("first");
  own(*first, "first");
  EXPECT_TRUE(work(*first, [&] { return first->status().early_octets == edge.octets; }));
  first->give_up(false);
  first->set_queries({query});
  own(*first, "first");
  EXPECT_TRUE(work(*first, [&] { return has_given_all(*first); }));
  EXPECT_EQ(first->status().claims, 1u) << "it has gone on";
  EXPECT_EQ(first->status().early_octets, 0u);
  EXPECT_EQ(rows(), kRows);
}

TEST_F(Partition, IsTakenOverAnewWhereAnotherHasHadItMeanwhile) {
  const auto first = worker("first"), second = worker("second");
  first->set_queries({query});
  second->set_queries({query});
  own(*first, "first");
  first->give_up(false);
  const Edge edge(query, partials);
  own(*second, "second");
  second->give_up(false);
  own(*first, "first");
  EXPECT_TRUE(work(*first, [&] { return first->status().claims == 2 && has_given_all(*first); }));
  first->give_up(false);
  EXPECT_EQ(rows(), kRows);
}

}  // namespace
}  // namespace backstream::cluster
