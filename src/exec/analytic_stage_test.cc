// What SQL cannot reach: limits, frontiers, memory. The functions themselves are in tests/slt/analytic_*.slt.
#include "exec/analytic_stage.h"

#include <gtest/gtest.h>

#include <algorithm>

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
    const std::string result(functions.compute(*partition, 1)[0].as<std::string_view>()[0]);
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
