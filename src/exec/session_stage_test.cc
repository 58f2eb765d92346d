#include "exec/session_stage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace backstream::exec {
namespace {

using batch::Type;

constexpr Micros kSecond = base::kMicrosPerSecond;

plan::AggregateCall call_of(std::string_view name, bool star) {
  plan::AggregateCall call;
  call.function = *agg::resolve(name, star ? std::vector<Type>{} : std::vector{Type::kTimestamptz}, false, star, {});
  if (!star) call.args.push_back(expr::make_column(0, Type::kTimestamptz));
  return call;
}

/// count(*) of the sessions of k over (ts, k), as the binder makes it: first and last row come last.
plan::Query query_of(Micros gap) {
  plan::Query query;
  query.source.kind = plan::Relation::Kind::kStream;
  plan::Stage& stage = query.stages.emplace_back();
  stage.input.columns = {{"ts", Type::kTimestamptz}, {"k", Type::kInt8, 16}};
  stage.input_used = {true, true};
  stage.window = {};
  stage.window.kind = plan::Window::Kind::kSession;
  stage.window.time_column = 0;
  stage.window.size_us = gap;
  stage.aggregates_rows = true;
  stage.keys.push_back(expr::make_column(1, Type::kInt8));
  stage.aggregates.push_back(call_of("count", true));
  stage.aggregates.push_back(call_of("min", false));
  stage.aggregates.push_back(call_of("max", false));
  stage.grouped.columns = {{"window_start", Type::kTimestamptz},
                           {"window_end", Type::kTimestamptz},
                           {"k", Type::kInt8, 16},
                           {"n", Type::kInt8},
                           {"first", Type::kTimestamptz},
                           {"last", Type::kTimestamptz}};
  for (const int column : {0, 1, 2, 3}) {
    const batch::ColumnDef& def = stage.grouped.columns[static_cast<size_t>(column)];
    stage.outputs.push_back(expr::make_column(column, def.type));
    stage.output.columns.push_back(def);
  }
  return query;
}

using Session = std::array<int64_t, 4>;  // start, end, k, rows

class Collector : public RowReceiver {
 public:
  void on_rows(const WindowRef&, batch::ColumnBatch& batch, bool) override {
    for (size_t row = 0; row < batch.row_count; ++row) {
      Session session{};
      for (size_t c = 0; c < session.size(); ++c) session[c] = batch.columns[c].as<int64_t>()[row];
      EXPECT_GE(session[0], frontier) << "a session that begins before what was promised";
      EXPECT_FALSE(batch.columns[2].is_null(row));
      sessions.push_back(session);
    }
  }
  void on_frontier(Micros given) override {
    EXPECT_GE(given, frontier);
    frontier = given;
  }
  std::vector<Session> sessions;
  Micros frontier = base::kMinTime;
};

/// Rows out of order, keys that come back after their session was over, over long enough that the table is made anew.
TEST(SessionStage, RandomRowsMakeTheSessionsOfTheirSortedTimes) {
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const Micros gap = seed % 3 == 0 ? 7 * kSecond + 3 : 20 * kSecond, disorder = 3 * gap;
    const uint32_t keys = seed % 2 == 0 ? 3000 : 30;
    const plan::Query query = query_of(gap);
    Collector out;
    const auto stage = make_session_stage(query, query.stages[0], 1, seed % 4 == 0, true, EngineOptions{}, out);
    std::map<int64_t, std::multiset<Micros>> times;
    batch::BatchBuffer rows({Type::kTimestamptz, Type::kInt8}, {true, true}, 100);
    rows.batch.row_count = 100;
    Micros now = 1000 * gap, watermark = base::kMinTime;
    for (int batch = 0; batch < 300; ++batch) {
      for (size_t row = 0; row < 100; ++row) {
        now += static_cast<Micros>(random() % static_cast<uint32_t>(gap / 20));
        const Micros time = std::max(now - static_cast<Micros>(random() % static_cast<uint64_t>(disorder)),
                                     watermark == base::kMinTime ? Micros{0} : watermark);
        const auto k = static_cast<int64_t>(random() % keys);
        rows.batch.columns[0].as<int64_t>()[row] = time;
        rows.batch.columns[1].as<int64_t>()[row] = k;
        times[k].insert(time);
      }
      ProcessContext context;
      context.watermark = watermark;
      stage->process(rows.batch, context);
      if (random() % 3 != 0) stage->advance(watermark = now - disorder);
    }
    stage->advance(base::kMaxTime);
    std::vector<Session> wanted;
    for (const auto& [k, sorted] : times) {
      for (const Micros time : sorted) {
        if (!wanted.empty() && wanted.back()[2] == k && time < wanted.back()[1]) {
          wanted.back()[1] = time + gap;
          ++wanted.back()[3];
        } else {
          wanted.push_back({time, time + gap, k, 1});
        }
      }
    }
    std::sort(wanted.begin(), wanted.end());
    std::sort(out.sessions.begin(), out.sessions.end());
    ASSERT_EQ(stage->ledger().late, 0u);
    EXPECT_EQ(out.sessions, wanted);
    EXPECT_EQ(stage->ledger().windows_closed, wanted.size());
  }
}

}  // namespace
}  // namespace backstream::exec
