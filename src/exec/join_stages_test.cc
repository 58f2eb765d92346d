// Both kinds of join, at the level of batches: what is paired, when it comes, what is held.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "exec/interval_join_stage.h"
#include "exec/window_join_stage.h"

namespace backstream::exec {
namespace {

using batch::Type;
using plan::Join;

constexpr Micros kSecond = base::kMicrosPerSecond;

/// Both sides have the columns time, k (bigint) and name (text); keys are k.
struct TestJoin {
  explicit TestJoin(Join::Kind kind, bool by_window = false) {
    batch::Schema side;
    side.columns = {{"time", Type::kTimestamptz, 0}, {"k", Type::kInt8, 0}, {"name", Type::kText, 0}};
    for (int s = 0; s < 2; ++s) {
      auto input = std::make_unique<plan::Query>();
      input->stages.resize(1);
      input->stages[0].output = side;
      query.inputs.push_back(std::move(input));
    }
    plan::Stage& stage = query.stages.emplace_back();
    for (int s = 0; s < 2; ++s) {
      stage.input.columns.insert(stage.input.columns.end(), side.columns.begin(), side.columns.end());
    }
    const bool semi = kind == Join::Kind::kSemi || kind == Join::Kind::kAnti;
    for (const int column : {2, 5}) {
      if (column == 5 && semi) continue;
      stage.outputs.push_back(expr::make_column(column, Type::kText));
      stage.output.columns.push_back({"name", Type::kText, 0});
    }
    stage.grouped = stage.input;
    Join join;
    join.kind = kind;
    join.keys = {{1, 1}};
    join.by_window = by_window;
    if (by_window) {
      join.left.window.kind = join.right.window.kind = plan::Window::Kind::kInherited;
      stage.window.kind = plan::Window::Kind::kInherited;
    } else {
      join.left.time_column = join.right.time_column = 0;
    }
    stage.join = std::move(join);
  }
  Join& join() { return *query.stages[0].join; }
  plan::Query query;
};

/// What came: both names for a pair, "-" for null, "[start ...]" around a window, "|frontier" in seconds.
class Trace : public RowReceiver {
 public:
  void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
    largest_batch = std::max(largest_batch, rows.row_count);
    if (window.end != 0 && !open_) text += (window.complete ? "[" : "[incomplete ") + std::to_string(window.start);
    open_ = !last;
    std::vector<std::string> texts;  // The order of rows is not promised.
    for (size_t row = 0; row < rows.row_count; ++row) {
      std::string& one = texts.emplace_back();
      for (const batch::Column& column : rows.columns) {
        EXPECT_TRUE(!column.is_null(row) || column.as<std::string_view>()[row].empty());
        one += column.is_null(row) ? "-" : std::string(column.as<std::string_view>()[row]);
      }
      ++row_count;
    }
    std::sort(texts.begin(), texts.end());
    for (const std::string& one : texts) text += ' ' + one;
    if (window.end != 0 && last) text += ']';
  }
  void on_frontier(Micros frontier) override {
    text += '|' + (frontier == base::kMaxTime ? "end" : std::to_string(frontier / kSecond));
  }
  std::string text;
  size_t largest_batch = 0, row_count = 0;

 private:
  bool open_ = false;
};

struct Row {
  std::optional<Micros> time;
  std::optional<int64_t> k;
  std::string_view name;
};

void give(RowReceiver& input, const std::vector<Row>& rows, WindowRef window = {}, bool last = true) {
  std::vector<int64_t> times, keys;
  std::vector<std::string_view> names;
  std::vector<uint8_t> has_time, has_key;
  for (const Row& row : rows) {
    times.push_back(row.time.value_or(0));
    keys.push_back(row.k.value_or(0));
    names.push_back(row.name);
    has_time.push_back(row.time.has_value());
    has_key.push_back(row.k.has_value());
  }
  batch::ColumnBatch batch;
  batch.row_count = rows.size();
  batch.columns.resize(3);
  batch.columns[0] = {Type::kTimestamptz, true, times.data(), has_time.data()};
  batch.columns[1] = {Type::kInt8, true, keys.data(), has_key.data()};
  batch.columns[2] = {Type::kText, false, names.data(), nullptr};
  input.on_rows(window, batch, last);
}

TEST(IntervalJoin, PairsComeWhenBothRowsAreThere) {
  TestJoin test(Join::Kind::kInner);
  test.join().greatest_us = 3 * kSecond;
  Trace out;
  const auto join = make_interval_join_stage(test.query, test.query.stages[0], {}, out);
  give(join->input(0), {{10 * kSecond, 1, "a"}, {11 * kSecond, 1, "b"}});
  give(join->input(1), {{9 * kSecond, 1, "x"}, {11 * kSecond, 2, "y"}, {std::nullopt, 1, "z"}});
  EXPECT_EQ(out.text, "");
  give(join->input(1), {{13 * kSecond, 1, "v"}});
  EXPECT_EQ(out.text, " av bv");
  give(join->input(0), {{13 * kSecond + 1, 1, "c"}, {13 * kSecond, std::nullopt, "d"}});
  EXPECT_EQ(out.text, " av bv");
  join->input(0).on_frontier(base::kMaxTime);
  join->input(1).on_frontier(base::kMaxTime);
  EXPECT_EQ(out.text, " av bv|end");
}

TEST(IntervalJoin, ARowWithoutPartnerComesWhenTheFrontierProvesIt) {
  TestJoin test(Join::Kind::kFull);
  test.join().least_us = -1 * kSecond;
  test.join().greatest_us = 2 * kSecond;
  Trace out;
  const auto join = make_interval_join_stage(test.query, test.query.stages[0], {}, out);
  give(join->input(0), {{10 * kSecond, 1, "a"}, {12 * kSecond, 2, "b"}, {12 * kSecond, std::nullopt, "n"}});
  EXPECT_EQ(out.text, " n-") << "a null key has no partner";
  join->input(1).on_frontier(12 * kSecond);  // A partner of a may still come at 12 s.
  EXPECT_EQ(out.text, " n-");
  join->input(1).on_frontier(13 * kSecond + 1);
  EXPECT_EQ(out.text, " n- a-");
  give(join->input(1), {{14 * kSecond, 2, "y"}, {15 * kSecond, 3, "z"}});
  EXPECT_EQ(out.text, " n- a- by");
  join->input(0).on_frontier(17 * kSecond);  // Partners of z have times up to 16 s.
  EXPECT_EQ(out.text, " n- a- by -z|11");
  join->input(1).on_frontier(base::kMaxTime);
  EXPECT_EQ(out.text, " n- a- by -z|11|16");
  join->input(0).on_frontier(base::kMaxTime);
  EXPECT_EQ(out.text, " n- a- by -z|11|16|end");
}

/// A long reach has long segments; rows are settled one by one all the same.
TEST(IntervalJoin, RowsOfASegmentAreSettledByTheirTime) {
  TestJoin test(Join::Kind::kLeft);
  test.join().greatest_us = 80 * kSecond;
  Trace out;
  const auto join = make_interval_join_stage(test.query, test.query.stages[0], {}, out);
  give(join->input(0), {{8 * kSecond, 1, "c"}, {5 * kSecond, 1, "b"}, {3 * kSecond, 1, "a"}});
  join->input(1).on_frontier(84 * kSecond);
  EXPECT_EQ(out.text, " a-");
  give(join->input(0), {{4 * kSecond, 1, "d"}, {2 * kSecond, 1, "e"}});
  join->input(1).on_frontier(86 * kSecond);
  EXPECT_EQ(out.text, " a- b- d- e-");
  join->input(1).on_frontier(base::kMaxTime);
  EXPECT_EQ(out.text, " a- b- d- e- c-");
}

TEST(IntervalJoin, RowsBehindTheirOwnFrontierAreLate) {
  TestJoin test(Join::Kind::kLeft);
  Trace out;
  const auto join = make_interval_join_stage(test.query, test.query.stages[0], {}, out);
  join->input(0).on_frontier(10 * kSecond + 500'000);
  give(join->input(1), {{9 * kSecond, 1, "x"}, {10 * kSecond, 1, "y"}});
  give(join->input(0), {{9 * kSecond, 1, "a"}, {10 * kSecond, 1, "b"}});
  EXPECT_EQ(out.text, " by");
  EXPECT_EQ(join->ledger().late, 1u);
  EXPECT_EQ(join->ledger().late_by_max_us, kSecond);
  EXPECT_EQ(join->input(0).next_cut(10 * kSecond + 500'000), 11 * kSecond);
  give(join->input(0), {{Micros{1} << 62 | 1, 1, "c"}});
  EXPECT_EQ(join->ledger().time_future, 1u);
}

TEST(IntervalJoin, RowsBeyondTheLimitAreRefusedAndExpiryMakesRoom) {
  TestJoin test(Join::Kind::kLeft);
  EngineOptions options;
  options.stage_rows_max = 3;
  Trace out;
  const auto join = make_interval_join_stage(test.query, test.query.stages[0], options, out);
  give(join->input(0), {{10 * kSecond, 1, "a"}, {10 * kSecond, 2, "b"}});
  give(join->input(1), {{10 * kSecond, 1, "x"}, {10 * kSecond, 2, "y"}});
  EXPECT_EQ(join->ledger().refused, 1u);
  EXPECT_EQ(out.text, " ax");
  join->input(0).on_frontier(20 * kSecond);
  join->input(1).on_frontier(20 * kSecond);
  EXPECT_EQ(out.text, " ax b-|20");
  give(join->input(0), {{20 * kSecond, 1, "a"}, {20 * kSecond, 2, "b"}, {20 * kSecond, 3, "c"}});
  EXPECT_EQ(join->ledger().refused, 1u);
}

TEST(IntervalJoin, EveryRowMeetsManyInBatches) {
  TestJoin test(Join::Kind::kSemi);
  EngineOptions options;
  options.batch_rows = 8;
  options.hash_mask = 0;
  const auto pairs = [&](Join::Kind kind) {
    TestJoin other(kind);
    Trace out;
    const auto join = make_interval_join_stage(other.query, other.query.stages[0], options, out);
    for (int i = 0; i < 50; ++i) give(join->input(0), {{kSecond, i % 2, "a"}, {kSecond, 5, "b"}});
    for (int i = 0; i < 50; ++i) give(join->input(1), {{kSecond, i % 2, "x"}});
    for (const size_t i : {0, 1}) join->input(i).on_frontier(base::kMaxTime);
    EXPECT_LE(out.largest_batch, 8u);
    return out.row_count;
  };
  EXPECT_EQ(pairs(Join::Kind::kInner), 50u * 25);
  EXPECT_EQ(pairs(Join::Kind::kLeft), 50u * 25 + 50);
  EXPECT_EQ(pairs(Join::Kind::kSemi), 50u);
  EXPECT_EQ(pairs(Join::Kind::kAnti), 50u);
}

TEST(IntervalJoin, TheRestOfTheConditionDecidesWhoIsAPartner) {
  TestJoin test(Join::Kind::kFull);
  std::vector<expr::ExprPtr> args;
  args.push_back(expr::make_column(2, Type::kText));
  args.push_back(expr::make_column(5, Type::kText));
  test.join().condition = *expr::make_operator("<", std::move(args), {});
  Trace out;
  const auto join = make_interval_join_stage(test.query, test.query.stages[0], {}, out);
  give(join->input(0), {{kSecond, 1, "a"}, {kSecond, 1, "m"}, {kSecond, 1, "z"}});
  give(join->input(1), {{kSecond, 1, "b"}, {kSecond, 1, "a"}, {kSecond, 1, "n"}});
  EXPECT_EQ(out.text, " ab an mn");
  join->input(0).on_frontier(base::kMaxTime);
  join->input(1).on_frontier(base::kMaxTime);
  EXPECT_EQ(out.text, " ab an mn -a z-|end");
}

TEST(WindowJoin, AWindowIsJoinedWhenBothSidesArePastIt) {
  TestJoin test(Join::Kind::kFull, true);
  Trace out;
  const auto join = make_window_join_stage(test.query, test.query.stages[0], {}, out);
  const WindowRef first{10 * kSecond, 20 * kSecond}, second{20 * kSecond, 30 * kSecond};
  give(join->input(0), {{0, 1, "a"}, {0, 2, "b"}}, first, false);
  give(join->input(0), {{0, 1, "c"}, {0, std::nullopt, "n"}}, first);
  give(join->input(0), {{0, 1, "d"}}, second);
  join->input(0).on_frontier(30 * kSecond);
  give(join->input(1), {{0, 1, "x"}}, {first.start, first.end, 1, false});  // A revision that is not final.
  give(join->input(1), {{0, 1, "x"}, {0, std::nullopt, "y"}, {0, 0, "z"}}, first);
  EXPECT_EQ(out.text, "");
  join->input(1).on_frontier(20 * kSecond);
  EXPECT_EQ(out.text, "[10000000 ax cx b- n- -y -z]|20");
  give(join->input(1), {}, second);
  join->input(1).on_frontier(base::kMaxTime);
  EXPECT_EQ(out.text, "[10000000 ax cx b- n- -y -z]|20[20000000 d-]|30");
  EXPECT_EQ(join->ledger().windows_closed, 2u);
}

TEST(WindowJoin, RowsWithWindowColumnsArePutIntoWindows) {
  TestJoin test(Join::Kind::kInner, true);
  for (Join::Side* side : {&test.join().left, &test.join().right}) {
    side->window.kind = plan::Window::Kind::kTumble;
    side->window.size_us = side->window.slide_us = 10 * kSecond;
    side->time_column = side->window_start_column = 0;  // A time at the start of its window.
  }
  Trace out;
  const auto join = make_window_join_stage(test.query, test.query.stages[0], {}, out);
  give(join->input(0),
       {{10 * kSecond, 1, "a"}, {20 * kSecond, 1, "b"}, {10 * kSecond, 1, "c"}, {std::nullopt, 1, "n"}});
  give(join->input(1), {{20 * kSecond, 1, "y"}, {10 * kSecond, 1, "x"}});
  EXPECT_EQ(join->input(0).next_cut(15 * kSecond), 20 * kSecond);
  join->input(0).on_frontier(20 * kSecond);
  join->input(1).on_frontier(19 * kSecond);
  EXPECT_EQ(out.text, "|10");
  give(join->input(0), {{10 * kSecond, 1, "l"}});
  join->input(1).on_frontier(25 * kSecond);
  EXPECT_EQ(out.text, "|10[10000000 ax cx]|20");
  join->input(0).on_frontier(base::kMaxTime);
  join->input(1).on_frontier(base::kMaxTime);
  EXPECT_EQ(out.text, "|10[10000000 ax cx]|20[20000000 by]|end");
  EXPECT_EQ(join->ledger().late, 1u);
  EXPECT_EQ(join->ledger().time_null, 1u);
}

TEST(WindowJoin, AWindowIsCompleteWhenThatOfBothSidesIs) {
  for (const size_t incomplete : {0, 1}) {
    TestJoin test(Join::Kind::kInner, true);
    Trace out;
    const auto join = make_window_join_stage(test.query, test.query.stages[0], {}, out);
    const WindowRef first{10 * kSecond, 20 * kSecond}, second{20 * kSecond, 30 * kSecond};
    WindowRef shed = first;
    shed.complete = false;
    give(join->input(incomplete), {{0, 1, "a"}}, shed, false);
    give(join->input(incomplete), {}, first);
    give(join->input(1 - incomplete), {{0, 1, "a"}}, first);
    for (const size_t i : {0, 1}) {
      give(join->input(i), {{0, 1, "b"}}, second);
      join->input(i).on_frontier(30 * kSecond);
    }
    EXPECT_EQ(out.text, "[incomplete 10000000 aa][20000000 bb]|30");
  }
}

TEST(WindowJoin, RowsBeyondTheLimitAreRefused) {
  TestJoin test(Join::Kind::kInner, true);
  EngineOptions options;
  options.stage_rows_max = 3;
  Trace out;
  const auto join = make_window_join_stage(test.query, test.query.stages[0], options, out);
  const WindowRef window{10 * kSecond, 20 * kSecond};
  give(join->input(0), {{0, 1, "a"}, {0, 2, "b"}}, window);
  give(join->input(1), {{0, 1, "x"}, {0, 2, "y"}}, window);
  EXPECT_EQ(join->ledger().refused, 1u);
  for (const size_t i : {0, 1}) join->input(i).on_frontier(30 * kSecond);
  EXPECT_EQ(out.text, "[10000000 ax]|30");
}

}  // namespace
}  // namespace backstream::exec
