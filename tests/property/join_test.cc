// Joins of streams against a nested loop over all rows: random queries, rows, orders, deals and batch sizes. The seed
// is printed and replays (BACKSTREAM_SEED=n). And the late rows, each by itself (docs/design/0016).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <random>

#include "base/arena.h"
#include "exec/engine.h"
#include "plan/bind.h"
#include "sql/parse.h"

namespace backstream {
namespace {

using base::Micros;

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kBegin = Micros{1'769'853'600} * kSecond;

struct Row {
  std::optional<Micros> time;
  std::optional<int64_t> k;
  std::optional<std::string> g;
  int64_t n = 0;
  bool late = false;
};

enum class Kind { kInner, kLeft, kRight, kFull, kSemi, kAnti };

/// One test case: the query as text, and what it means.
struct Case {
  Kind kind;
  bool self = false;  ///< the stream l on both sides
  bool by_window = false, by_k = true, by_g = false, compares = false, filters = false;
  Micros least = 0, greatest = 0, window = 0;
  std::string sql() const {
    std::string on;
    const auto add = [&](const std::string& part) { on += (on.empty() ? "" : " AND ") + part; };
    if (by_window) add("l.window_start = r.window_start");
    if (by_k) add("l.k = r.k");
    if (by_g) add("l.g || '!' = r.g || '!'");
    if (!by_window) {
      add(fmt::format("r.ts BETWEEN l.ts + interval '{} us' AND l.ts + interval '{} us'", least, greatest));
    }
    if (compares) add("l.n < r.n");
    const auto from = [&](char alias) {
      const char relation = self ? 'l' : alias;
      return by_window ? fmt::format("tumble({}, ts, interval '{} us') {}", relation, window, alias)
                       : fmt::format("{} {}", relation, alias);
    };
    const std::string where = filters ? "l.n % 3 > 0" : "";
    if (kind == Kind::kSemi || kind == Kind::kAnti) {
      return fmt::format("SELECT l.n AS a FROM {} WHERE {}EXISTS (SELECT 1 FROM {} WHERE {}){}", from('l'),
                         kind == Kind::kAnti ? "NOT " : "", from('r'), on, filters ? " AND " + where : "");
    }
    static constexpr const char* kJoins[] = {"JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"};
    return fmt::format("SELECT l.n AS a, r.n AS b FROM {} {} {} ON {}{}", from('l'), kJoins[static_cast<size_t>(kind)],
                       from('r'), on, filters ? " WHERE " + where : "");
  }
  bool meet(const Row& l, const Row& r) const {
    if (!l.time || !r.time) return false;
    if (by_k && (!l.k || !r.k || *l.k != *r.k)) return false;
    if (by_g && (!l.g || !r.g || *l.g != *r.g)) return false;
    if (compares && l.n >= r.n) return false;
    if (by_window) return base::floor_to(*l.time, window) == base::floor_to(*r.time, window);
    return *r.time - *l.time >= least && *r.time - *l.time <= greatest;
  }
  /// A row without a time has no window.
  bool exists(const Row& row) const { return !row.late && (row.time || !by_window); }
};

/// Marks rows that are late by the rules: a row is judged by the watermark that the rows before it made.
void mark_late(std::vector<Row>& rows, Micros delay, const Case& test) {
  Micros watermark = base::kMinTime;
  for (Row& row : rows) {
    if (!row.time) continue;
    if (watermark != base::kMinTime) {
      row.late = test.by_window ? base::floor_to(*row.time, test.window) + test.window <= watermark
                                : *row.time < base::floor_to(watermark, kSecond);
    }
    watermark = std::max(watermark, *row.time - delay);
  }
}

std::vector<std::string> expected_rows(const Case& test, const std::vector<Row>& left, const std::vector<Row>& right) {
  std::vector<std::string> rows;
  std::vector<bool> met_right(right.size());
  const auto passes = [&](const Row* l) { return !test.filters || (l != nullptr && l->n % 3 > 0); };
  const auto add = [&](const Row* l, const Row* r) {
    if (!passes(l)) return;
    rows.push_back(fmt::format("{} {}", l ? std::to_string(l->n) : "-", r ? std::to_string(r->n) : "-"));
  };
  for (const Row& l : left) {
    if (!test.exists(l)) continue;
    bool met = false;
    for (size_t i = 0; i < right.size(); ++i) {
      if (!test.exists(right[i]) || !test.meet(l, right[i])) continue;
      met = met_right[i] = true;
      if (test.kind <= Kind::kFull) add(&l, &right[i]);
    }
    const bool alone = !met && (test.kind == Kind::kLeft || test.kind == Kind::kFull);
    if (alone || (met && test.kind == Kind::kSemi) || (!met && test.kind == Kind::kAnti)) add(&l, nullptr);
  }
  if (test.kind == Kind::kRight || test.kind == Kind::kFull) {
    for (size_t i = 0; i < right.size(); ++i) {
      if (test.exists(right[i]) && !met_right[i]) add(nullptr, &right[i]);
    }
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

/// Those of `v_late`. A condition on the left side has been tested, unless the right one's rows are kept.
std::vector<std::string> expected_late(const Case& test, const std::vector<Row>& left, const std::vector<Row>& right) {
  const bool tested = test.filters && test.kind != Kind::kRight && test.kind != Kind::kFull;
  const bool shows_right = test.kind != Kind::kSemi && test.kind != Kind::kAnti;
  std::vector<std::string> rows;
  for (const Row& row : left) {
    if (row.late && (!tested || row.n % 3 > 0)) rows.push_back(fmt::format("{} -", row.n));
  }
  for (const Row& row : right) {
    if (row.late) rows.push_back(shows_right ? fmt::format("- {}", row.n) : "- -");
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

class Collector : public exec::ResultSink {
 public:
  void on_result(const exec::ResultBatch& result) override {
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      std::string text;
      for (size_t c = 0; c < 2; ++c) {
        const bool there = c < result.rows.columns.size() && !result.rows.columns[c].is_null(row);
        if (c > 0) text += ' ';
        text += there ? std::to_string(result.rows.columns[c].as<int64_t>()[row]) : "-";
      }
      rows.push_back(std::move(text));
    }
  }
  std::vector<std::string> rows;
};

/// Gives rows to an engine as a source does: row by row in order, handed over at cuts or when a batch is full.
class Feeder {
 public:
  Feeder(exec::Engine& engine, std::string stream, Micros delay, const exec::EngineOptions& options, bool always)
      : engine_(engine), stream_(std::move(stream)), delay_(delay), batch_rows_(options.batch_rows), always_(always) {
    using batch::Type;
    for (uint32_t edge = 0; edge < options.edges; ++edge) {
      buffers_.emplace_back(std::vector<Type>{Type::kTimestamptz, Type::kInt8, Type::kText, Type::kInt8},
                            std::vector<bool>(4, true), batch_rows_);
    }
  }
  void add(const Row& row, uint32_t edge) {
    batch::ColumnBatch& rows = buffers_[edge].batch;
    const size_t at = rows.row_count++;
    const auto put = [&](size_t column, bool there) {
      rows.columns[column].has_nulls |= !there;
      rows.columns[column].validity[at] = there ? 1 : 0;
    };
    put(0, row.time.has_value());
    put(1, row.k.has_value());
    put(2, row.g.has_value());
    rows.columns[0].as<int64_t>()[at] = row.time.value_or(0);
    rows.columns[1].as<int64_t>()[at] = row.k.value_or(0);
    rows.columns[2].as<std::string_view>()[at] = row.g ? texts_.copy(*row.g) : std::string_view();
    rows.columns[3].as<int64_t>()[at] = row.n;
    if (rows.row_count == batch_rows_) flush();
    if (row.time) watermark_ = std::max(watermark_, *row.time - delay_);
    if (watermark_ == base::kMinTime || (!always_ && watermark_ < engine_.next_cut(stream_))) return;
    flush();
    engine_.advance(stream_, watermark_);
  }
  void flush() {
    for (uint32_t edge = 0; edge < buffers_.size(); ++edge) {
      batch::ColumnBatch& rows = buffers_[edge].batch;
      if (rows.row_count > 0) engine_.process(stream_, rows, exec::RowsContext(edge));
      rows.row_count = 0;
      for (batch::Column& column : rows.columns) column.has_nulls = false;
    }
    texts_.reset();
  }

 private:
  exec::Engine& engine_;
  const std::string stream_;
  const Micros delay_;
  const size_t batch_rows_;
  const bool always_;
  Micros watermark_ = base::kMinTime;
  std::vector<batch::BatchBuffer> buffers_;
  base::Arena texts_;
};

constexpr Micros kDelays[2] = {5 * kSecond, 20 * kSecond};

struct Answer {
  std::vector<std::string> rows, late;
};
Answer run(const Case& test, const std::vector<Row>& left, const std::vector<Row>& right, std::mt19937_64& random) {
  plan::Catalog catalog(false);
  for (const char* table : {"l", "r"}) {
    const auto statements = sql::parse(
        fmt::format("CREATE FOREIGN TABLE {} (ts timestamptz, k bigint, g text, n bigint) SERVER test OPTIONS "
                    "(event_time 'ts', watermark '{} us')",
                    table, kDelays[*table == 'r']),
        "test");
    catalog.add(*plan::bind_foreign_table((*statements)[0]));
  }
  const auto bind = [&](const std::string& statement) -> std::unique_ptr<plan::Query> {
    auto statements = sql::parse(statement, "test");
    EXPECT_TRUE(statements.has_value()) << statements.error().render();
    auto query = plan::bind((*statements)[0], statement, catalog);
    EXPECT_TRUE(query.has_value()) << statement << "\n" << query.error().message << " " << query.error().hint;
    return query ? std::make_unique<plan::Query>(std::move(*query)) : nullptr;
  };
  const std::string text = "CREATE MATERIALIZED VIEW v AS " + test.sql();
  auto query = bind(text);
  if (!query) return {};
  catalog.add_view(*query);
  auto query_of_late = bind("SELECT * FROM v_late");
  if (!query_of_late) return {};
  exec::EngineOptions options;
  options.batch_rows = std::vector<size_t>{1, 3, 16, 2048}[random() % 4];
  options.edges = random() % 2 == 0 ? 1 : 3;
  options.ship = options.edges > 1;
  if (random() % 4 == 0) options.hash_mask = 0;
  Collector rows, late;
  {
    exec::Engine engine(options);
    engine.set_delay("l", kDelays[0]);
    engine.set_delay("r", kDelays[1]);
    engine.add_query(std::move(query), &rows);
    engine.add_query(std::move(query_of_late), &late);
    const bool always = random() % 2 == 0;
    Feeder feed_left(engine, "l", kDelays[0], options, always), feed_right(engine, "r", kDelays[1], options, always);
    // How the two streams are interleaved must not matter, be one of them far ahead.
    const uint64_t share = random() % 101;
    for (size_t l = 0, r = test.self ? right.size() : 0; l < left.size() || r < right.size();) {
      const bool take_left = r == right.size() || (l < left.size() && random() % 100 < share);
      const auto edge = static_cast<uint32_t>(random() % options.edges);
      if (take_left) feed_left.add(left[l++], edge);
      else feed_right.add(right[r++], edge);
    }
    feed_left.flush();
    feed_right.flush();
    engine.finish();
    const exec::WindowLedger ledger = engine.ledger(0);
    EXPECT_EQ(ledger.assigned, ledger.counted + ledger.filtered + ledger.late + ledger.errored + ledger.shed) << text;
    EXPECT_EQ(ledger.refused, 0u);
    EXPECT_EQ(ledger.late, late.rows.size());
  }
  std::sort(rows.rows.begin(), rows.rows.end());
  std::sort(late.rows.begin(), late.rows.end());
  return {std::move(rows.rows), std::move(late.rows)};
}

std::vector<Row> random_rows(size_t count, int64_t keys, Micros span, Micros disorder, std::mt19937_64& random) {
  std::vector<Row> rows;
  for (size_t i = 0; i < count; ++i) {
    Row row;
    row.n = static_cast<int64_t>(i);
    const Micros at = span / static_cast<Micros>(count) * static_cast<Micros>(i);
    const Micros back = static_cast<Micros>(random() % static_cast<uint64_t>(disorder));
    // Often whole seconds, so that rows lie on the bounds.
    Micros time = kBegin + at - back;
    if (random() % 2 == 0) time = base::floor_to(time, kSecond);
    if (random() % 30 != 0) row.time = time;
    if (random() % 10 != 0) row.k = static_cast<int64_t>(random() % static_cast<uint64_t>(keys)) - 1;
    if (random() % 10 != 0) row.g = random() % 3 == 0 ? "" : std::string(random() % 20, 'x');
    rows.push_back(std::move(row));
  }
  return rows;
}

TEST(JoinProperty, EqualsANestedLoopOverAllRows) {
  const char* given = std::getenv("BACKSTREAM_SEED");
  const uint64_t first = given ? std::strtoull(given, nullptr, 10) : 1;
  const uint64_t count = given ? 1 : 400;
  uint64_t rows_seen = 0, late_seen = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    std::mt19937_64 random(seed);
    Case test;
    test.kind = static_cast<Kind>(random() % 6);
    test.self = random() % 5 == 0;
    test.by_window = random() % 3 == 0;
    test.by_k = random() % 8 != 0;
    test.by_g = random() % 4 == 0;
    test.compares = random() % 3 == 0;
    test.filters = random() % 3 == 0;
    test.window = static_cast<Micros>(1 + random() % 30) * kSecond;
    const Micros reach = static_cast<Micros>(random() % 4 == 0 ? 0 : random() % (random() % 2 == 0 ? 4 : 60)) * kSecond;
    test.least = (static_cast<Micros>(random() % 41) - 20) * kSecond + static_cast<Micros>(random() % 2);
    test.greatest = test.least + reach;
    const Micros span = static_cast<Micros>(1 + random() % 200) * kSecond;
    const Micros disorder = static_cast<Micros>(1 + random() % 30) * kSecond;
    const int64_t keys = static_cast<int64_t>(1 + random() % 12);
    auto left = random_rows(random() % 120, keys, span, disorder, random);
    auto right = random_rows(random() % 120, keys, span, disorder, random);
    mark_late(left, kDelays[0], test);
    mark_late(right, kDelays[1], test);
    if (test.self) right = left;
    for (const Row& row : left) late_seen += row.late;
    const auto expected = expected_rows(test, left, right);
    const auto actual = run(test, left, right, random);
    rows_seen += expected.size();
    ASSERT_EQ(actual.rows, expected) << "BACKSTREAM_SEED=" << seed << "\n" << test.sql();
    ASSERT_EQ(actual.late, expected_late(test, left, right)) << "BACKSTREAM_SEED=" << seed << "\n" << test.sql();
  }
  if (!given) {  // The cases are not trivial.
    EXPECT_GT(rows_seen, 10'000u);
    EXPECT_GT(late_seen, 1'000u);
  }
}

}  // namespace
}  // namespace backstream
