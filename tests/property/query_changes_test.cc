// Queries come and go while the engine runs. Those that stay give the same rows as if they were alone, and those that
// come give, of windows that lie within their lives, what they would have given from the begin.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "batch/flow_schema.h"
#include "exec/engine.h"
#include "plan/bind.h"
#include "sql/parse.h"

namespace backstream {
namespace {

using base::Micros;
using batch::FlowColumn;

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kStart = 1'769'860'800 * kSecond;  // 2026-01-31 12:00:00 UTC
constexpr Micros kDelay = 20 * kSecond;

/// Some stay from begin to end.
const char* const kResidents[] = {
    "CREATE MATERIALIZED VIEW matrix AS SELECT window_start, src_as, dst_as, sum(octets) AS octets FROM tumble(flows, "
    "time, "
    "interval '60 s') GROUP BY window_start, src_as, dst_as",
    "CREATE MATERIALIZED VIEW tcp AS SELECT window_start, src_as, sum(octets) AS octets, count(*) AS n FROM hop(flows, "
    "time, "
    "interval '30 s', interval '60 s') WHERE protocol = 6 GROUP BY window_start, src_as",
    "CREATE MATERIALIZED VIEW busy AS SELECT window_start, max(octets) AS most FROM tumble(matrix, window_start, "
    "interval '120 s') "
    "GROUP BY window_start",
};
/// These come and go: some share groups, conditions or tables with a resident or with each other, some read views.
const char* const kGuests[] = {
    "CREATE MATERIALIZED VIEW matrix_packets AS SELECT window_start, src_as, dst_as, sum(packets) AS packets, count(*) "
    "AS n FROM "
    "tumble(flows, time, interval '60 s') GROUP BY window_start, src_as, dst_as",
    "CREATE MATERIALIZED VIEW matrix_twin AS SELECT window_start, src_as, dst_as, sum(octets) AS octets, min(octets) "
    "AS least FROM "
    "tumble(flows, time, interval '60 s') GROUP BY window_start, src_as, dst_as",
    "CREATE MATERIALIZED VIEW tcp_large AS SELECT window_start, dst_as, count(*) AS n FROM tumble(flows, time, "
    "interval '30 s') WHERE "
    "protocol = 6 AND octets > 500 GROUP BY window_start, dst_as",
    "CREATE MATERIALIZED VIEW share AS SELECT window_start, src_as, octets * 100 / sum(octets) OVER () AS part FROM "
    "matrix",
    "CREATE MATERIALIZED VIEW pairs AS SELECT a.window_start, a.src_as, a.octets, b.n FROM matrix a JOIN tcp b ON "
    "a.window_start = b.window_start AND a.src_as = b.src_as",
    "CREATE MATERIALIZED VIEW ports AS SELECT window_start, count(DISTINCT dst_port) AS ports, entropy(dst_port) AS e "
    "FROM "
    "hop(flows, time, interval '30 s', interval '90 s') GROUP BY window_start",
    "CREATE MATERIALIZED VIEW mixed AS SELECT window_start, src_as AS who, sum(octets) AS n FROM tumble(flows, time, "
    "interval '60 s') GROUP "
    "BY window_start, src_as UNION ALL SELECT window_start, dst_as, count(*) FROM tumble(flows, time, interval '60 s') "
    "GROUP BY "
    "window_start, dst_as",
};

struct Flow {
  Micros time;
  int64_t octets, packets, protocol, src_as, dst_as, dst_port;
};

/// At most kDelay out of order, so that none is late.
std::vector<Flow> make_flows(std::mt19937_64& random, size_t count) {
  std::vector<Flow> flows;
  for (size_t i = 0; i < count; ++i) {
    const auto at = static_cast<Micros>(i) * 1200 * kSecond / static_cast<Micros>(count);
    flows.push_back({kStart + at - static_cast<Micros>(random() % static_cast<uint64_t>(kDelay)),
                     static_cast<int64_t>(random() % 2000), static_cast<int64_t>(1 + random() % 3),
                     random() % 3 == 0 ? 17 : 6, static_cast<int64_t>(random() % 6), static_cast<int64_t>(random() % 4),
                     static_cast<int64_t>(random() % 50)});
  }
  return flows;
}

struct Window {
  std::vector<std::string> rows;
  bool complete = true;
  Micros end = 0;
};
using Windows = std::map<Micros, Window>;  ///< by start

class Sink : public exec::ResultSink {
 public:
  void on_result(const exec::ResultBatch& result) override {
    if (!result.final) return;
    Window& window = (*now)[result.window_start];
    window.complete = result.complete;
    window.end = result.window_end;
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      std::string text;
      for (const auto& column : result.rows.columns)
        text += (column.is_null(row) ? "NULL" : expr::value_text(expr::value_at(column, row), column.type)) + '|';
      window.rows.push_back(std::move(text));
    }
  }
  Windows* now = nullptr;
};

/// A query's stay: from when it was there, and what it gave.
struct Stay {
  std::string name;
  Micros seen_until = base::kMinTime;  ///< rows before may have been missed
  Windows windows;
  Sink sink;
};

class Running {
 public:
  explicit Running(const exec::EngineOptions& options) : engine_(options), edges_(options.edges) {
    const std::vector<batch::Type> types = batch::flow_schema().types();
    std::vector<bool> used(types.size());
    for (const FlowColumn column : kColumns) used[static_cast<size_t>(column)] = true;
    for (uint32_t e = 0; e < edges_; ++e) {
      buffers_.emplace_back(types, used, options.batch_rows);
      buffers_.back().batch.row_count = 0;
    }
    batch_rows_ = options.batch_rows;
  }

  std::vector<size_t> add(const std::vector<std::string>& texts) {
    flush();
    std::vector<size_t> added;
    for (const std::string& text : texts) {
      auto statements = sql::parse(text, "");
      EXPECT_TRUE(statements.has_value()) << text;
      auto query = plan::bind(statements->front(), text, catalog_);
      EXPECT_TRUE(query.has_value()) << text << ": " << query.error().message;
      plan::rewrite(*query);
      if (query->is_view) catalog_.add_view(*query);
      auto stay = std::make_unique<Stay>();
      stay->name = query->name;
      stay->sink.now = &stay->windows;
      const size_t number = engine_.add_query(std::make_unique<plan::Query>(std::move(*query)), &stay->sink);
      EXPECT_EQ(number, stays.size());
      if (newest_ != base::kMinTime) {
        stay->seen_until = newest_ + 1;
        engine_.mark_gap(number, base::kMinTime, stay->seen_until);
      }
      stays.push_back(std::move(stay));
      added.push_back(number);
    }
    engine_.catch_up();
    return added;
  }
  /// Views of these names are there already; they are replaced.
  std::vector<size_t> add_again(const std::vector<std::string>& texts) {
    for (const auto& stay : stays) {
      catalog_.remove(stay->name);
      catalog_.remove(stay->name + "_late");
    }
    return add(texts);
  }
  bool remove(size_t number, bool name_goes = true) {
    flush();
    if (!engine_.remove_query(number)) return false;
    EXPECT_FALSE(engine_.has_query(number));
    if (!name_goes) return true;
    catalog_.remove(stays[number]->name);
    catalog_.remove(stays[number]->name + "_late");
    return true;
  }
  void take(const Flow& f, uint32_t edge) {
    auto& batch = buffers_[edge].batch;
    const size_t row = batch.row_count++;
    const int64_t values[] = {f.time, f.octets, f.packets, f.protocol, f.src_as, f.dst_as, f.dst_port};
    for (size_t c = 0; c < std::size(kColumns); ++c) {
      auto& column = batch.columns[static_cast<size_t>(kColumns[c])];
      column.has_nulls = false;
      column.as<int64_t>()[row] = values[c];
    }
    newest_ = std::max(newest_, f.time);
    if (batch.row_count == batch_rows_) flush();
    if (newest_ - kDelay >= engine_.next_cut("flows")) {
      flush();
      engine_.advance("flows", newest_ - kDelay);
    }
  }
  void finish() {
    flush();
    engine_.finish();
  }
  void set_life(size_t number, Micros from, Micros until) { engine_.set_life(number, from, until); }
  bool has_ended(size_t number) const { return engine_.has_ended(number); }
  Micros newest() const { return newest_; }

  std::vector<std::unique_ptr<Stay>> stays;  ///< by number

 private:
  static constexpr FlowColumn kColumns[] = {FlowColumn::kTime,     FlowColumn::kOctets, FlowColumn::kPackets,
                                            FlowColumn::kProtocol, FlowColumn::kSrcAs,  FlowColumn::kDstAs,
                                            FlowColumn::kDstPort};
  void flush() {
    for (uint32_t e = 0; e < edges_; ++e) {
      if (buffers_[e].batch.row_count > 0) engine_.process("flows", buffers_[e].batch, e);
      buffers_[e].batch.row_count = 0;
    }
  }

  plan::Catalog catalog_;
  exec::Engine engine_;
  uint32_t edges_;
  size_t batch_rows_;
  std::vector<batch::BatchBuffer> buffers_;
  Micros newest_ = base::kMinTime;
};

Windows sorted(Windows windows) {
  for (auto& [start, window] : windows) std::sort(window.rows.begin(), window.rows.end());
  return windows;
}

void expect_equal(const Windows& got, const Windows& expected, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (const auto& [start, window] : expected) {
    const auto at = got.find(start);
    ASSERT_NE(at, got.end()) << what << " lacks the window at " << start;
    EXPECT_EQ(at->second.rows, window.rows) << what << " at " << (start - kStart) / kSecond << " s";
    EXPECT_EQ(at->second.complete, window.complete) << what;
  }
}

TEST(QueryChanges, NobodyNoticesWhoComesAndGoes) {
  size_t compared = 0, incomplete = 0;
  for (unsigned seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const std::vector<Flow> flows = make_flows(random, 6000);
    exec::EngineOptions options;
    options.edges = seed % 3 == 0 ? 3 : 1;
    options.ship = seed % 6 == 3;
    options.share = seed % 4 != 1;
    options.batch_rows = seed % 2 == 0 ? 64 : 2048;

    std::vector<std::string> all(std::begin(kResidents), std::end(kResidents));
    const size_t resident_count = all.size();
    all.insert(all.end(), std::begin(kGuests), std::end(kGuests));
    Running whole(options);
    whole.add(all);
    for (const Flow& f : flows) whole.take(f, 0);
    whole.finish();
    std::map<std::string, Windows> expected;
    for (const auto& stay : whole.stays) expected[stay->name] = sorted(stay->windows);

    Running changing(options);
    changing.add({std::begin(kResidents), std::end(kResidents)});
    std::set<size_t> there;
    std::map<size_t, Micros> gone_at;
    size_t added = 0, removed = 0;
    for (size_t i = 0; i < flows.size(); ++i) {
      if (random() % 100 == 0) {
        std::vector<std::string> coming;
        for (size_t g = resident_count; g < all.size(); ++g) {
          const bool here = std::any_of(there.begin(), there.end(), [&](size_t number) {
            return all[g].find(" " + changing.stays[number]->name + " ") != std::string::npos;
          });
          if (!here && random() % 4 == 0) coming.push_back(all[g]);
        }
        for (const size_t number : changing.add(coming)) there.insert(number);
        added += coming.size();
      }
      if (random() % 100 == 0 && !there.empty()) {
        const auto going = std::next(there.begin(), static_cast<long>(random() % there.size()));
        ASSERT_TRUE(changing.remove(*going));
        gone_at[*going] = flows[i].time;
        there.erase(going);
        ++removed;
      }
      changing.take(flows[i], static_cast<uint32_t>(random() % options.edges));
    }
    EXPECT_FALSE(changing.remove(0)) << "another view reads it";
    changing.finish();
    EXPECT_GT(added, 20u);
    EXPECT_GT(removed, 20u);

    for (size_t number = 0; number < changing.stays.size(); ++number) {
      const Stay& stay = *changing.stays[number];
      const Windows got = sorted(stay.windows);
      if (number < resident_count) {
        expect_equal(got, expected[stay.name], stay.name);
        continue;
      }
      for (const auto& [start, window] : got) {
        // What reads the windows of a view sees each of them whole.
        const bool of_view = stay.name == "share" || stay.name == "pairs";
        EXPECT_EQ(window.complete, of_view || start >= stay.seen_until) << stay.name;
        incomplete += !window.complete;
        if (!window.complete) continue;
        EXPECT_EQ(window.rows, expected[stay.name][start].rows) << stay.name << " at " << (start - kStart) / kSecond
                                                                << " s, since " << (stay.seen_until - kStart) / kSecond;
        ++compared;
      }
      // Nothing is missing of those that stayed to the end.
      for (const auto& [start, window] : expected[stay.name]) {
        if (gone_at.contains(number) || start < stay.seen_until) continue;
        EXPECT_TRUE(got.contains(start)) << stay.name;
      }
    }
  }
  EXPECT_GT(compared, 300u) << "windows of guests were compared at all";
  EXPECT_GT(incomplete, 200u);
}

/// A new version of a chain of views takes over while the old one still completes the windows that it began.
TEST(QueryChanges, ANewVersionTakesOverAtABoundary) {
  const std::vector<std::string> chain = {
      "CREATE MATERIALIZED VIEW hops AS SELECT window_start, src_as, sum(octets) AS octets FROM hop(flows, time, "
      "interval "
      "'30 s', interval '90 s') GROUP BY window_start, src_as",
      "CREATE MATERIALIZED VIEW ranks AS SELECT window_start, src_as, rank() OVER (ORDER BY octets DESC) AS r FROM "
      "hops",
      "CREATE MATERIALIZED VIEW longer AS SELECT window_start, max(octets) AS most FROM tumble(hops, window_start, "
      "interval "
      "'60 s') GROUP BY window_start",
  };
  const Micros slides[] = {30 * kSecond, 30 * kSecond, 60 * kSecond};
  for (unsigned seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const std::vector<Flow> flows = make_flows(random, 4000);
    exec::EngineOptions options;
    options.edges = seed % 2 == 0 ? 2 : 1;
    options.share = seed % 3 != 0;
    Running whole(options);
    whole.add(chain);
    for (const Flow& f : flows) whole.take(f, 0);
    whole.finish();

    Running changing(options);
    std::vector<size_t> current = changing.add(chain), ending;
    std::map<size_t, Micros> began;
    for (const size_t number : current) began[number] = base::kMinTime;
    size_t takeovers = 0;
    for (const Flow& f : flows) {
      changing.take(f, static_cast<uint32_t>(random() % options.edges));
      if (!ending.empty() &&
          std::all_of(ending.begin(), ending.end(), [&](size_t n) { return changing.has_ended(n); })) {
        for (auto number = ending.rbegin(); number != ending.rend(); ++number)
          EXPECT_TRUE(changing.remove(*number, false));
        ending.clear();
      }
      if (!ending.empty() || random() % 300 != 0) continue;
      ending = current;
      current = changing.add_again(chain);
      for (size_t c = 0; c < chain.size(); ++c) {
        const Micros boundary = base::floor_to(changing.newest(), slides[c], 0) + slides[c];
        changing.set_life(ending[c], began[ending[c]], boundary);
        changing.set_life(current[c], boundary, base::kMaxTime);
        began[current[c]] = boundary;
      }
      ++takeovers;
    }
    changing.finish();
    EXPECT_GT(takeovers, 3u);
    for (size_t c = 0; c < chain.size(); ++c) {
      Windows all;
      for (const auto& stay : changing.stays) {
        if (stay->name != whole.stays[c]->name) continue;
        for (const auto& [start, window] : stay->windows) {
          EXPECT_FALSE(all.contains(start)) << stay->name << " gives the window twice";
          all[start] = window;
        }
      }
      expect_equal(sorted(all), sorted(whole.stays[c]->windows), whole.stays[c]->name);
    }
  }
}

}  // namespace
}  // namespace backstream
