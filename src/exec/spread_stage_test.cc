#include "exec/spread_stage.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "window/pane_grid.h"

namespace backstream::exec {
namespace {

using batch::Type;

constexpr Micros kSecond = base::kMicrosPerSecond;

/// Columns: time, start, end, octets, id, note.
plan::Stage stage_of(Micros pane_us) {
  plan::Stage stage;
  for (const Type type :
       {Type::kTimestamptz, Type::kTimestamptz, Type::kTimestamptz, Type::kInt8, Type::kInt8, Type::kText})
    stage.input.columns.push_back({std::string(1, static_cast<char>(0x61 + stage.input.columns.size())), type});
  stage.input_used.assign(6, true);
  stage.spread = plan::Spread{1, 2, 0, {3}, pane_us};
  return stage;
}

struct Part {
  Micros time;
  int64_t octets;
  std::string note;
};

/// Keeps the parts by the id of their row.
class Reader final : public StageRunner {
 public:
  explicit Reader(size_t batch_rows) : batch_rows_(batch_rows) {}
  void process(const batch::ColumnBatch& rows, const ProcessContext&) override {
    EXPECT_LE(rows.row_count, batch_rows_);
    EXPECT_GE(rows.row_count, 1u);
    for (size_t row = 0; row < rows.row_count; ++row) {
      parts[rows.columns[4].as<int64_t>()[row]].push_back({rows.columns[0].as<Micros>()[row],
                                                           rows.columns[3].as<int64_t>()[row],
                                                           std::string(rows.columns[5].as<std::string_view>()[row])});
    }
  }
  void on_rows(const WindowRef&, batch::ColumnBatch&, bool) override {}
  void on_frontier(Micros) override {}
  void advance(Micros) override {}
  void mark_gap(Micros from, Micros until) override { gaps.emplace_back(from, until); }
  std::vector<std::pair<Micros, Micros>> gaps;
  WindowLedger ledger() const override { return {}; }
  void add_state_octets(std::vector<uint64_t>&) const override {}
  void save_state(StateWriter&) override {}
  void load_state(StateReader&) override {}
  std::map<int64_t, std::vector<Part>> parts;

 private:
  const size_t batch_rows_;
};

TEST(Spread, TellsWhatIsMissing) {
  const plan::Stage stage = stage_of(60 * kSecond);
  auto reader = std::make_unique<Reader>(16);
  Reader& told = *reader;
  const auto spread = make_spread_stage(stage, {}, std::move(reader));
  spread->mark_gap(1, 2);
  EXPECT_EQ(told.gaps, (std::vector<std::pair<Micros, Micros>>{{1, 2}}));
}

TEST(Spread, ShareIsExact) {
  EXPECT_EQ(spread_share(10, 1, 3), 3);
  EXPECT_EQ(spread_share(-10, 1, 3), -3);
  EXPECT_EQ(spread_share(10, 3, 3), 10);
  EXPECT_EQ(spread_share(INT64_MAX, 1, 2), INT64_MAX / 2);
  EXPECT_EQ(spread_share(INT64_MAX, INT64_MAX - 1, INT64_MAX), INT64_MAX - 1);
  EXPECT_EQ(spread_share(INT64_MIN, 1, 1'000'000'007), INT64_MIN / 1'000'000'007);
}

/// For random flows: the sum is kept, each part lies in a pane of its own that the flow touches and differs by less
/// than one from its share by time; for any size of batches the same parts.
TEST(Spread, RandomFlowsKeepTheirSums) {
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6, 7, 8}) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const Micros pane = 1 + static_cast<Micros>(random() % static_cast<uint64_t>(90 * kSecond));
    struct Flow {
      Micros start, end;
      int64_t octets;
    };
    std::vector<Flow> flows;
    for (int i = 0; i < 400; ++i) {
      const Micros start = static_cast<Micros>(random() % static_cast<uint64_t>(1'000 * kSecond)) - 500 * kSecond;
      Micros length =
          static_cast<Micros>(random() % static_cast<uint64_t>(1 + pane * (1 + static_cast<Micros>(random() % 40))));
      if (random() % 8 == 0) length = 0;
      if (random() % 8 == 0) length = base::floor_to(start + length, pane) - start;  // Ends where a pane does.
      int64_t octets = static_cast<int64_t>(random() >> (1 + random() % 62));
      if (random() % 10 == 0) octets = -octets;
      flows.push_back({start, std::max(start, start + length), octets});
    }
    const auto run = [&](size_t batch_rows) {
      const plan::Stage stage = stage_of(pane);
      EngineOptions options;
      options.batch_rows = batch_rows;
      auto reader = std::make_unique<Reader>(batch_rows);
      Reader& parts = *reader;
      const auto spread = make_spread_stage(stage, options, std::move(reader));
      batch::BatchBuffer buffer(stage.input.types(), std::vector<bool>(6, true), batch_rows);
      for (size_t done = 0; done < flows.size();) {
        const size_t n = std::min(batch_rows, flows.size() - done);
        for (size_t row = 0; row < n; ++row) {
          const Flow& flow = flows[done + row];
          buffer.batch.columns[0].as<Micros>()[row] = flow.end;
          buffer.batch.columns[1].as<Micros>()[row] = flow.start;
          buffer.batch.columns[2].as<Micros>()[row] = flow.end;
          buffer.batch.columns[3].as<int64_t>()[row] = flow.octets;
          buffer.batch.columns[4].as<int64_t>()[row] = static_cast<int64_t>(done + row);
          buffer.batch.columns[5].as<std::string_view>()[row] = flow.octets % 2 == 0 ? "even" : "odd";
        }
        buffer.batch.row_count = n;
        spread->process(buffer.batch, {});
        done += n;
      }
      EXPECT_EQ(spread->ledger().spread_rows, flows.size());
      EXPECT_EQ(spread->ledger().spread_without_span + spread->ledger().spread_too_long, 0u);
      return parts.parts;
    };
    const auto parts = run(2048);
    ASSERT_EQ(parts.size(), flows.size());
    for (const auto& [id, of_flow] : parts) {
      const Flow& flow = flows[static_cast<size_t>(id)];
      int64_t sum = 0;
      Micros last_pane = base::kMinTime;
      for (const Part& part : of_flow) {
        sum += part.octets;
        const Micros begin = base::floor_to(part.time, pane);
        EXPECT_GT(begin, last_pane);
        last_pane = begin;
        EXPECT_GE(part.time, flow.start);
        EXPECT_LE(part.time, flow.end);
        EXPECT_EQ(part.note, flow.octets % 2 == 0 ? "even" : "odd");
        if (flow.end == flow.start) continue;
        const Micros inside = std::min(flow.end, begin + pane) - std::max(flow.start, begin);
        EXPECT_GT(inside, 0);
        const long double share = static_cast<long double>(flow.octets) * inside / (flow.end - flow.start);
        EXPECT_NEAR(static_cast<double>(part.octets - share), 0, 1 + 1e-9);
      }
      EXPECT_EQ(sum, flow.octets);
      const Micros last_instant = std::max(flow.start, flow.end - 1);
      EXPECT_EQ(
          of_flow.size(),
          static_cast<size_t>((base::floor_to(last_instant, pane) - base::floor_to(flow.start, pane)) / pane + 1));
    }
    for (const size_t batch_rows : {1, 7, 64}) {
      const auto again = run(batch_rows);
      ASSERT_EQ(again.size(), parts.size());
      for (const auto& [id, of_flow] : parts) {
        const auto& other = again.at(id);
        ASSERT_EQ(other.size(), of_flow.size());
        for (size_t p = 0; p < other.size(); ++p) {
          EXPECT_EQ(other[p].time, of_flow[p].time);
          EXPECT_EQ(other[p].octets, of_flow[p].octets);
        }
      }
    }
  }
}

}  // namespace
}  // namespace backstream::exec
