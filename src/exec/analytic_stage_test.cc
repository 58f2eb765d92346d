// What SQL cannot reach: limits, frontiers, memory. The functions themselves are in tests/slt/analytic_*.slt.
#include "exec/analytic_stage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "exec/analytic_partition.h"

namespace backstream::exec {
namespace {

using batch::Type;
using plan::AnalyticCall;

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kHour = 3600 * kSecond;

/// Keeps rows as text and the frontiers that came with them.
class Collector : public RowReceiver {
 public:
  void on_rows(const WindowRef&, batch::ColumnBatch& batch, bool) override {
    for (size_t row = 0; row < batch.row_count; ++row) {
      std::string text;
      for (const batch::Column& column : batch.columns) {
        if (!text.empty()) text += ' ';
        text += column.is_null(row) ? "NULL" : expr::value_text(expr::value_at(column, row), column.type);
      }
      rows.push_back(std::move(text));
    }
  }
  void on_frontier(Micros frontier) override { frontiers.push_back(frontier); }
  std::vector<std::string> sorted() {
    std::sort(rows.begin(), rows.end());
    return rows;
  }
  std::vector<std::string> rows;
  std::vector<Micros> frontiers;
};

/// One call over (ts, k, name): f(name) OVER (PARTITION BY k ORDER BY ts), put out as k, name, result.
plan::Query query_of(AnalyticCall call, int64_t rows_before, int64_t rows_after) {
  plan::Query query;
  plan::Stage& stage = query.stages.emplace_back();
  stage.input.columns = {{"ts", Type::kTimestamptz, 0}, {"k", Type::kInt8, 0}, {"name", Type::kText, 0}};
  stage.grouped = stage.input;
  stage.grouped.columns.push_back({"result", call.type, 0});
  plan::Analytic& analytic = stage.analytic.emplace();
  analytic.partition_by = {1};
  analytic.order_by = {{0, false, false}};
  analytic.across_windows = true;
  analytic.time_column = 0;
  analytic.rows_before = rows_before;
  analytic.rows_after = rows_after;
  analytic.calls.push_back(std::move(call));
  for (const int column : {1, 2, 3}) {
    const batch::ColumnDef& def = stage.grouped.columns[static_cast<size_t>(column)];
    stage.outputs.push_back(expr::make_column(column, def.type));
    stage.output.columns.push_back(def);
  }
  return query;
}

AnalyticCall call_of(AnalyticCall::Kind kind) {
  AnalyticCall call;
  call.kind = kind;
  call.args = {2};
  call.number = 1;
  call.type = Type::kText;
  return call;
}

struct Row {
  Micros time;
  int64_t k;
  std::string_view name;
};
void give(StageRunner& stage, const std::vector<Row>& rows) {
  batch::BatchBuffer buffer({Type::kTimestamptz, Type::kInt8, Type::kText}, {true, true, true}, rows.size());
  buffer.batch.row_count = rows.size();
  for (size_t i = 0; i < rows.size(); ++i) {
    buffer.batch.columns[0].as<int64_t>()[i] = rows[i].time;
    buffer.batch.columns[1].as<int64_t>()[i] = rows[i].k;
    buffer.batch.columns[2].as<std::string_view>()[i] = rows[i].name;
  }
  stage.on_rows({}, buffer.batch, false);
}

TEST(AnalyticStage, PartitionsBeyondTheLimitAreRefusedAndCounted) {
  const plan::Query query = query_of(call_of(AnalyticCall::Kind::kLag), 1, 0);
  EngineOptions options;
  options.analytic_partitions_max = 2;
  Collector out;
  const auto stage = make_analytic_stage(query, query.stages[0], options, out);
  give(*stage, {{1 * kSecond, 1, "a"}, {2 * kSecond, 2, "b"}, {3 * kSecond, 3, "c"}, {4 * kSecond, 1, "d"}});
  stage->on_frontier(10 * kSecond);
  EXPECT_EQ(out.sorted(), (std::vector<std::string>{"1 a NULL", "1 d a", "2 b NULL"}));
  EXPECT_EQ(stage->ledger().refused, 1u);
  // Partitions that are idle make room.
  stage->on_frontier(25 * kHour);
  give(*stage, {{26 * kHour, 3, "e"}, {26 * kHour, 1, "f"}});
  stage->on_frontier(base::kMaxTime);
  EXPECT_EQ(out.sorted(), (std::vector<std::string>{"1 a NULL", "1 d a", "1 f NULL", "2 b NULL", "3 e NULL"}));
  EXPECT_EQ(stage->ledger().refused, 1u);
}

TEST(AnalyticStage, RowsBeyondTheLimitAreRefusedAndCounted) {
  const plan::Query query = query_of(call_of(AnalyticCall::Kind::kLag), 1, 0);
  EngineOptions options;
  options.stage_rows_max = 3;
  Collector out;
  const auto stage = make_analytic_stage(query, query.stages[0], options, out);
  for (Micros second = 1; second <= 5; ++second) give(*stage, {{second * kSecond, 1, "x"}});
  EXPECT_EQ(stage->ledger().refused, 2u);
  stage->on_frontier(base::kMaxTime);
  EXPECT_EQ(out.rows.size(), 3u);
  // What has gone out and is forgotten no longer counts.
  EXPECT_EQ(out.frontiers.back(), base::kMaxTime);
}

TEST(AnalyticStage, MemoryDoesNotGrowWithTheStream) {
  const plan::Query query = query_of(call_of(AnalyticCall::Kind::kLag), 3, 0);
  EngineOptions options;
  options.stage_rows_max = 40;
  Collector out;
  const auto stage = make_analytic_stage(query, query.stages[0], options, out);
  for (Micros second = 1; second <= 2000; ++second) {
    give(*stage, {{second * kSecond, second % 2, "some text that is not short at all"}});
    stage->on_frontier(second * kSecond);
  }
  stage->on_frontier(base::kMaxTime);
  EXPECT_EQ(stage->ledger().refused, 0u);
  EXPECT_EQ(out.rows.size(), 2000u);
}

TEST(AnalyticStage, TheFrontierWaitsForRowsThatWait) {
  const plan::Query query = query_of(call_of(AnalyticCall::Kind::kLead), 0, 1);
  Collector out;
  const auto stage = make_analytic_stage(query, query.stages[0], {}, out);
  give(*stage, {{5 * kSecond, 1, "a"}, {7 * kSecond, 2, "b"}});
  stage->on_frontier(10 * kSecond);
  EXPECT_TRUE(out.rows.empty());
  EXPECT_EQ(out.frontiers.back(), 5 * kSecond);
  give(*stage, {{11 * kSecond, 1, "c"}});
  stage->on_frontier(20 * kSecond);
  EXPECT_EQ(out.rows, (std::vector<std::string>{"1 a c"}));
  EXPECT_EQ(out.frontiers.back(), 7 * kSecond);
  // Partitions that are idle do not hold it for ever.
  stage->on_frontier(48 * kHour);
  EXPECT_EQ(out.sorted(), (std::vector<std::string>{"1 a c", "1 c NULL", "2 b NULL"}));
  EXPECT_EQ(out.frontiers.back(), 48 * kHour);
}

enum class Rows : uint8_t { kWithinWindows, kAcrossWindows, kAlongStream };

/// Random rows, window by window (or second by second of a stream), some with several of one partition, through a stage
/// with these calls over (ts, k, v, d), partitioned by k: the sorted rows that come out, and how many were refused.
std::pair<std::vector<std::string>, uint64_t> run_windows(const std::vector<AnalyticCall>& calls, Rows kind,
                                                          bool in_place, bool order_by_value, size_t partitions_max,
                                                          uint32_t seed) {
  const bool across = kind != Rows::kWithinWindows, along_stream = kind == Rows::kAlongStream;
  plan::Query query;
  plan::Stage& stage = query.stages.emplace_back();
  if (!along_stream) stage.window.kind = plan::Window::Kind::kInherited;
  stage.input.columns = {{"ts", Type::kTimestamptz}, {"k", Type::kInt8, 4}, {"v", Type::kInt8}, {"d", Type::kFloat8}};
  stage.grouped = stage.input;
  plan::Analytic& analytic = stage.analytic.emplace();
  analytic.partition_by = {1};
  if (across) analytic.order_by = {{0, false, false}};
  if (order_by_value) analytic.order_by.push_back({2, !across, true});
  analytic.across_windows = across;
  if (across) analytic.time_column = 0;
  analytic.rows_before = across ? 3 : 0;
  analytic.calls = calls;
  for (const AnalyticCall& call : calls) stage.grouped.columns.push_back({"result", call.type});
  for (size_t column = 0; column < stage.grouped.columns.size(); ++column) {
    stage.outputs.push_back(expr::make_column(static_cast<int>(column), stage.grouped.columns[column].type));
    stage.output.columns.push_back(stage.grouped.columns[column]);
  }
  EngineOptions options;
  options.batch_rows = 64;
  options.analytic_in_place = in_place;
  options.analytic_partitions_max = partitions_max;
  Collector out;
  const auto runner = make_analytic_stage(query, query.stages[0], options, out);
  std::mt19937 random(seed);
  const auto below = [&](uint32_t bound) { return static_cast<int64_t>(random() % bound); };
  for (Micros window = 0; window < 12; ++window) {
    // After the eighth, partitions are idle and begin anew; those of a stream by the microsecond.
    const Micros start = window * kSecond + (window < 8 ? 0 : along_stream ? 24 * kHour - kSecond : 48 * kHour);
    const size_t n = window % 3 == 0 ? 10 : 1 + random() % 60;
    batch::BatchBuffer rows(stage.input.types(), {true, true, true, true}, n);
    rows.batch.row_count = n;
    for (batch::Column& column : rows.batch.columns) column.has_nulls = true;
    for (size_t i = 0; i < n; ++i) {
      rows.batch.columns[0].as<int64_t>()[i] = start + (along_stream ? below(1000) * 1000 : 0);
      // In every third window one row a partition.
      rows.batch.columns[1].as<int64_t>()[i] = window % 3 == 0 ? static_cast<int64_t>(i) : below(20);
      rows.batch.columns[2].as<int64_t>()[i] = below(5);
      rows.batch.columns[3].as<double>()[i] = static_cast<double>(below(100)) / 8;
      rows.batch.columns[0].validity[i] = 1;
      for (const size_t column : {1, 2, 3}) rows.batch.columns[column].validity[i] = below(10) != 0;
    }
    runner->on_rows(along_stream ? WindowRef{} : WindowRef{start, start + kSecond}, rows.batch, true);
    runner->on_frontier(start + kSecond);
  }
  runner->on_frontier(base::kMaxTime);
  return {out.sorted(), runner->ledger().refused};
}

AnalyticCall aggregate_of(std::string_view name, int column, Type type) {
  AnalyticCall call;
  call.kind = AnalyticCall::Kind::kAggregate;
  call.aggregate = *agg::resolve(name, {type}, false, false, {});
  call.args = {column};
  call.type = call.aggregate->result_type;
  return call;
}

TEST(AnalyticStage, RowsInPlaceGiveWhatPartitionsOfRowsGive) {
  using Kind = AnalyticCall::Kind;
  std::vector<AnalyticCall> carried, within;
  for (const int64_t number : {1, 3}) {
    for (const int column : {2, 3}) {
      AnalyticCall& lag = carried.emplace_back(call_of(Kind::kLag));
      lag.args = {column};
      lag.number = number;
      lag.type = column == 2 ? Type::kInt8 : Type::kFloat8;
    }
  }
  AnalyticCall& ewma = carried.emplace_back(call_of(Kind::kEwma));
  ewma.args = {3};
  ewma.number = 2 * kSecond;
  ewma.type = Type::kFloat8;
  for (const int64_t bits : {0, 32, 64}) {
    AnalyticCall& delta = carried.emplace_back(call_of(Kind::kCounterDelta));
    delta.number = bits;
    delta.type = Type::kInt8;
  }
  for (const bool by_range : {true, false}) {
    carried.push_back(aggregate_of("sum", 2, Type::kInt8));
    carried.back().frame.by_range = by_range;
  }
  for (const Kind kind :
       {Kind::kRowNumber, Kind::kRank, Kind::kDenseRank, Kind::kPercentRank, Kind::kCumeDist, Kind::kNtile}) {
    AnalyticCall& call = within.emplace_back(call_of(kind));
    call.args = {};
    call.number = 3;
    call.type = kind == Kind::kPercentRank || kind == Kind::kCumeDist ? Type::kFloat8 : Type::kInt8;
  }
  within.push_back(aggregate_of("max", 3, Type::kFloat8));
  within.back().frame.end = plan::Frame::Bound::kUnboundedFollowing;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    for (const Rows kind : {Rows::kWithinWindows, Rows::kAcrossWindows, Rows::kAlongStream}) {
      const bool across = kind != Rows::kWithinWindows;
      for (const bool order_by_value : {true, false}) {
        for (const size_t partitions_max : {size_t{12}, size_t{1000}}) {
          const auto& calls = across ? carried : within;
          const auto in_place = run_windows(calls, kind, true, order_by_value, partitions_max, seed);
          const auto apart = run_windows(calls, kind, false, order_by_value, partitions_max, seed);
          EXPECT_GT(in_place.first.size(), 50u);
          // Which partitions find room depends on the order of rows.
          if (!across || partitions_max == 1000) {
            EXPECT_EQ(in_place, apart) << "seed " << seed << " kind " << static_cast<int>(kind);
          } else {
            EXPECT_GT(in_place.second, 0u);
            EXPECT_EQ(in_place.first.size() + in_place.second, apart.first.size() + apart.second);
          }
        }
      }
    }
  }
}

TEST(AnalyticFunctions, CompactingFreesMemoryAndKeepsRunningAggregates) {
  AnalyticCall call = call_of(AnalyticCall::Kind::kAggregate);
  call.aggregate = *agg::resolve("max", {Type::kText}, false, false, {});
  const plan::Query query = query_of(std::move(call), 0, 0);
  AnalyticFunctions functions(query.stages[0]);
  const auto partition = functions.make_partition();
  batch::BatchBuffer buffer({Type::kTimestamptz, Type::kInt8, Type::kText}, {true, true, true}, 1);
  buffer.batch.row_count = 1;
  const uint8_t begins = 1;
  const auto add = [&](Micros time, std::string_view text) {
    buffer.batch.columns[0].as<int64_t>()[0] = time;
    buffer.batch.columns[2].as<std::string_view>()[0] = text;
    functions.append(*partition, buffer.batch, &begins, time);
    std::string result(functions.compute(*partition, 1)[0].as<std::string_view>()[0]);
    functions.trim(*partition);
    return result;
  };
  std::string text(1000, 'a');
  for (int i = 0; i < 1000; ++i) {  // Ever greater texts: each is copied.
    text[static_cast<size_t>(i)] = 'b';
    ASSERT_EQ(add(i, text), text);
  }
  const size_t before = functions.context_octets();
  functions.compact([&](const auto& move) { move(*partition); });
  EXPECT_LT(functions.context_octets(), before / 5);
  EXPECT_EQ(add(2000, "a"), text);
  EXPECT_EQ(add(2001, "c"), "c");
}

}  // namespace
}  // namespace backstream::exec
