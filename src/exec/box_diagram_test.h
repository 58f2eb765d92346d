#pragma once
// Diagrams of boxes, built in a few words, and what comes of rows in many ways that must be the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "exec/box_stage.h"
#include "plan/bind.h"
#include "plan/boxes.h"
#include "sql/parse.h"

namespace backstream::exec {

using plan::UnboundBoxes;
using Kind = UnboundBoxes::Box::Kind;
inline constexpr Micros kMilli = 1'000;

inline plan::Catalog catalog_of_test() {
  plan::Catalog catalog(false);
  const char* const kStreams[] = {
      "CREATE FOREIGN TABLE s (at timestamptz, ts timestamptz, k bigint, v bigint, x float8, t text) SERVER test "
      "OPTIONS (event_time 'ts', arrival 'at')",
      "CREATE FOREIGN TABLE other (at timestamptz, ts timestamptz, k bigint, v bigint, x float8, t text) SERVER test "
      "OPTIONS (event_time 'ts', arrival 'at')"};
  for (const char* text : kStreams) {
    auto statements = sql::parse(text, "test");
    catalog.add(plan::bind_foreign_table(statements->front()).value());
  }
  return catalog;
}

inline std::unique_ptr<plan::UnboundSelect> select_of(const std::string& text) {
  auto statements = sql::parse(text, "test");
  if (!statements) throw std::runtime_error(statements.error().message + ": " + text);
  return std::move(statements->front().select);
}
inline plan::UnboundExprPtr expr_of(const std::string& text) {
  return text.empty() ? nullptr : std::move(select_of("SELECT " + text + " FROM s")->targets.front().expr);
}

inline std::vector<plan::UnboundTarget> targets_of(const std::string& text) {
  auto targets = std::move(select_of("SELECT " + text + " FROM s")->targets);
  for (plan::UnboundTarget& target : targets) {
    if (target.alias.empty()) target.alias = target.expr->names.back();
  }
  return targets;
}

/// A diagram under construction; a stream is what a source or box writes.
class Diagram {
 public:
  using Stream = UnboundBoxes::Stream;
  explicit Diagram(const std::vector<std::string>& sources = {"SELECT at, ts, k, v, x, t FROM s"}) {
    for (const std::string& source : sources)
      boxes_->sources.push_back({select_of(source), source.find("window_start") == std::string::npos ? "at" : "w"});
  }
  static Stream source(uint32_t number = 0) { return {number, 0}; }
  UnboundBoxes::Box& add(Kind kind, std::vector<Stream> inputs) {
    UnboundBoxes::Box& box = boxes_->boxes.emplace_back();
    box.kind = kind;
    box.name = "box" + std::to_string(boxes_->boxes.size());
    box.inputs = std::move(inputs);
    return box;
  }
  Stream last(uint32_t port = 0) const {
    return {static_cast<uint32_t>(boxes_->sources.size() + boxes_->boxes.size() - 1), port};
  }
  Stream filter(Stream in, const std::vector<std::string>& conditions, bool rest = false) {
    UnboundBoxes::Box& box = add(Kind::kFilter, {in});
    for (const std::string& condition : conditions) box.conditions.push_back(expr_of(condition));
    box.passes_rest = rest;
    return last();
  }
  Stream map(Stream in, const std::string& targets) {
    add(Kind::kMap, {in}).targets = targets_of(targets);
    return last();
  }
  Stream unite(std::vector<Stream> in) {
    add(Kind::kUnion, std::move(in));
    return last();
  }
  Stream sort(Stream in, const std::string& by, uint64_t slack, const std::string& group_by = "") {
    UnboundBoxes::Box& box = add(Kind::kSort, {in});
    box.order_on = expr_of(by);
    box.slack = slack;
    if (!group_by.empty()) box.group_by.push_back(expr_of(group_by));
    return last();
  }
  /// Windows by values of v, grouped by k, start called w, unless told otherwise.
  UnboundBoxes::Window& aggregate(Stream in, const std::string& functions, double size, double advance) {
    UnboundBoxes::Box& box = add(Kind::kAggregate, {in});
    box.targets = targets_of(functions);
    box.window.size = size;
    box.window.advance = advance;
    box.window.order_on = expr_of("v");
    box.window.start_name = "w";
    box.window.group_by.push_back(expr_of("k"));
    return box.window;
  }
  UnboundBoxes::Box& join(Stream left, Stream right, const std::string& predicate, const std::string& targets) {
    UnboundBoxes::Box& box = add(Kind::kJoin, {left, right});
    box.conditions.push_back(expr_of(predicate));
    box.targets = targets_of(targets);
    return box;
  }
  Stream wait_for(Stream buffered, Stream enabler, const std::string& predicate, double timeout) {
    UnboundBoxes::Box& box = add(Kind::kWaitFor, {buffered, enabler});
    box.conditions.push_back(expr_of(predicate));
    box.timeout_seconds = timeout;
    return last();
  }

  base::Result<plan::Query> bind(std::string_view options = "") {
    boxes_->output = output ? *output : last();
    auto parsed = sql::parse("CREATE MATERIALIZED VIEW d " + std::string(options) + " AS SELECT * FROM s", "test");
    plan::UnboundStatement& statement = parsed->front();
    statement.select->from.front()->kind = plan::UnboundFrom::Kind::kBoxes;
    statement.select->from.front()->boxes = boxes_;
    return plan::bind(std::as_const(statement), "", catalog_of_test());
  }
  std::shared_ptr<const plan::Query> query(std::string_view options = "WITH (on_error = 'drop')") {
    auto bound = bind(options);
    if (!bound) throw std::runtime_error(bound.error().message);
    return std::make_shared<const plan::Query>(std::move(*bound));
  }

  std::optional<Stream> output;  ///< none: of the last box

 private:
  std::shared_ptr<UnboundBoxes> boxes_ = std::make_shared<UnboundBoxes>();
};

struct Row {
  int64_t at_ms = 0;
  std::optional<int64_t> k, v;
  uint32_t edge = 0;
  const char* stream = "s";
  std::optional<double> x = {};
  std::string t = {};
};

class Sink final : public ResultSink {
 public:
  void on_result(const ResultBatch& result) override {
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      if (!text.empty()) text += " | ";
      for (size_t c = 0; c < result.rows.columns.size(); ++c) {
        const batch::Column& column = result.rows.columns[c];
        text += c == 0 ? "" : " ";
        if (column.is_null(row)) text += "null";
        else if (column.type == batch::Type::kTimestamptz)
          text += std::to_string(column.as<int64_t>()[row] / kMilli) + "ms";
        else text += expr::value_text(expr::value_at(column, row), column.type);
      }
    }
  }
  std::string text;
};

/// In which way rows reach the boxes.
struct Way {
  size_t batch_rows = batch::kBatchRows;
  bool advances = false;  ///< after each row, as far as the rows to come allow; else at the end
  bool restarts = false;  ///< a state is saved after each row, and another engine goes on
  bool hash = true;
  bool ship = false;
  size_t rows_max = 50'000'000, groups_max = 1'000'000;
};

struct Outcome {
  std::string text;
  WindowLedger ledger;
};

/// Gives an engine rows of one stream.
inline void give_rows(Engine& engine, const std::vector<Row>& rows, uint32_t edge) {
  using batch::Type;
  const std::vector<Type> types = {Type::kTimestamptz, Type::kTimestamptz, Type::kInt8,
                                   Type::kInt8,        Type::kFloat8,      Type::kText};
  batch::BatchBuffer buffer(types, std::vector<bool>(types.size(), true), rows.size());
  for (batch::Column& column : buffer.batch.columns) column.has_nulls = true;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto put = [&](size_t column, const auto& value) {
      batch::Column& to = buffer.batch.columns[column];
      to.validity[i] = value ? 1 : 0;
      using Value = std::decay_t<decltype(*value)>;
      if (value) to.as<Value>()[i] = *value;
    };
    put(0, std::optional<int64_t>(rows[i].at_ms * kMilli));
    put(1, std::optional<int64_t>(0));
    put(2, rows[i].k);
    put(3, rows[i].v);
    put(4, rows[i].x);
    put(5, std::optional<std::string_view>(rows[i].t));
  }
  buffer.batch.row_count = rows.size();
  engine.process(rows.front().stream, buffer.batch, edge);
}

class Runner {
 public:
  Runner(std::shared_ptr<const plan::Query> query, const Way& way) : query_(std::move(query)), way_(way) { start({}); }

  void give(const std::vector<Row>& rows) {  // Of one edge and stream.
    give_rows(*engine_, rows, rows.front().edge);
  }
  void advance(Micros arrival) {
    for (const char* stream : {"s", "other"}) engine_->advance(stream, arrival, Clock::kArrival);
  }
  void restart() {
    std::vector<uint8_t> streams, state;
    engine_->save_streams(streams);
    engine_->save_state(0, state);
    start(streams);
    const auto restored = engine_->restore_state(0, state);
    ASSERT_TRUE(restored.has_value()) << restored.error().message;
    engine_->catch_up();
  }
  Outcome finish() {
    engine_->finish();
    return {sink.text, engine_->ledger(0)};
  }
  Engine& engine() { return *engine_; }
  Sink sink;

 private:
  void start(const std::vector<uint8_t>& streams) {
    EngineOptions options;
    options.batch_rows = way_.batch_rows;
    options.edges = 3;
    options.ship = way_.ship;
    if (!way_.hash) options.hash_mask = 0;
    options.stage_rows_max = way_.rows_max;
    options.analytic_partitions_max = way_.groups_max;
    engine_ = std::make_unique<Engine>(options);
    engine_->add_query(query_, &sink);
    if (!streams.empty()) {
      ASSERT_TRUE(engine_->restore_streams(streams).has_value());
    }
  }
  std::shared_ptr<const plan::Query> query_;
  const Way way_;
  std::unique_ptr<Engine> engine_;
};

inline Outcome run(const std::shared_ptr<const plan::Query>& query, const std::vector<Row>& rows, const Way& way) {
  Runner runner(query, way);
  for (size_t i = 0; i < rows.size();) {
    std::vector<Row> together;
    for (size_t j = i; j < rows.size() && together.size() < way.batch_rows && !way.advances; ++j) {
      if (rows[j].edge != rows[i].edge || std::string(rows[j].stream) != rows[i].stream) break;
      together.push_back(rows[j]);
    }
    if (together.empty()) together.push_back(rows[i]);
    runner.give(together);
    i += together.size();
    int64_t least = INT64_MAX / kMilli;
    for (size_t j = i; j < rows.size(); ++j) least = std::min(least, rows[j].at_ms);
    if (way.advances && i < rows.size()) runner.advance(least * kMilli);
    if (way.restarts) runner.restart();
  }
  return runner.finish();
}

/// What comes of the rows, whatever the way.
inline std::string result_of(const std::shared_ptr<const plan::Query>& query, const std::vector<Row>& rows) {
  const std::string expected = run(query, rows, {}).text;
  for (const size_t batch_rows : {size_t{1}, size_t{3}, size_t{batch::kBatchRows}}) {
    for (const bool advances : {false, true}) {
      for (const bool restarts : {false, true}) {
        for (const bool hash : {true, false}) {
          const Way way{batch_rows, advances, restarts, hash, !hash};
          EXPECT_EQ(run(query, rows, way).text, expected)
              << batch_rows << (advances ? " advances" : "") << (restarts ? " restarts" : "") << (hash ? "" : " hash");
        }
      }
    }
  }
  return expected;
}
inline std::string result_of(Diagram& diagram, const std::vector<Row>& rows) {
  return result_of(diagram.query(), rows);
}

inline const std::vector<std::string> kTwoSources = {"SELECT at, k, v, x, t FROM s",
                                                     "SELECT at, k, v, x, t FROM other"};
inline Row other(int64_t at, int64_t k, std::optional<int64_t> v, const char* t = "") {
  return {at, k, v, 1, "other", {}, t};
}

}  // namespace backstream::exec
