// Runs .slt files (slt_file.h) through SQL, binder and engine, in a variant of how the engine works: the rows are the
// same in all of them. Last line: "N passed, N failed". Exit status 1 when anything failed.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "base/arena.h"
#include "borealis/compile.h"
#include "exec/engine.h"
#include "exec/revision_changes.h"
#include "expr/expr.h"
#include "plan/bind_table.h"
#include "plan/definitions.h"
#include "slt_file.h"
#include "sql/parse.h"

namespace backstream::slt {
namespace {

using base::Micros;
using batch::Type;

constexpr std::string_view kDay = "2026-01-31";
constexpr size_t kRevisionKeysMax = 1'000'000;
constexpr std::string_view kSourceName = "test";

struct Variant {
  size_t batch_rows = batch::kBatchRows;
  bool constant_hash = false;
  bool rewrites = true;
  bool share = true;
  uint32_t edges = 1;
  bool restarts = false;        ///< after each batch the engine is saved, and another one goes on
  bool advance_always = false;  ///< the watermark is told after each row, not only where it cuts
};

struct Tally {
  uint64_t passed = 0, failed = 0;
};

std::string value_field(const expr::Value& value, Type type) {
  if (std::holds_alternative<std::monostate>(value)) return "NULL";
  std::string text = expr::value_text(value, type);
  // "2026-01-31 10:00:00+00" -> "10:00:00"
  if (type == Type::kTimestamptz && text.starts_with(kDay) && text.ends_with("+00")) {
    text = text.substr(kDay.size() + 1, text.size() - kDay.size() - 4);
  }
  return write_field(text);
}

char type_letter(Type type) {
  if (batch::is_integer(type)) return 'I';
  if (type == Type::kFloat8) return 'R';
  return type == Type::kBool ? 'B' : 'T';
}

/// Rows of one query as text, as they came.
class Collector : public exec::ResultSink {
 public:
  struct Row {
    std::string text;
    int revision;
    bool final;
    bool removed = false;
  };
  std::vector<Row> rows;
  std::string types;  ///< of the first batch
  std::string fault;

  void on_result(const exec::ResultBatch& result) override {
    types.clear();
    for (const batch::ColumnDef& column : result.schema->columns) types += type_letter(column.type);
    if (result.rows.columns.size() != result.schema->columns.size()) fault = "columns are not those of the schema";
    for (size_t row = 0; row < result.rows.row_count && fault.empty(); ++row) {
      std::string text;
      for (size_t c = 0; c < result.schema->columns.size(); ++c) {
        if (c != 0) text += ' ';
        text += value_field(expr::value_at(result.rows.columns[c], row), result.schema->columns[c].type);
      }
      rows.push_back({std::move(text), result.revision, result.final, result.removed});
    }
  }
};

/// One test: from the begin of a file or a reset to the next.
class Scenario {
 public:
  Scenario(std::string file, const Variant& variant, Tally& tally)
      : file_(std::move(file)),
        variant_(variant),
        tally_(tally),
        definitions_(variant.rewrites),
        restarts_(variant.restarts) {
    options_.batch_rows = variant.batch_rows;
    if (variant.constant_hash) options_.hash_mask = 0;
    options_.edges = variant.edges;
    options_.share = variant.share;
    if (variant.edges > 1) {
      options_.ship = true;
      options_.pane_us_max = 60 * base::kMicrosPerSecond;
    }
    engine_ = std::make_unique<exec::Engine>(options_);
  }

  void run(const std::vector<const Block*>& blocks) {
    bool fed = false;
    for (const Block* block : blocks) {
      fed = fed || block->kind == Block::Kind::kFeed;
      const bool waits = fed && changes_table(*block);
      if ((block->kind == Block::Kind::kStatement || block->kind == Block::Kind::kQuery) && !waits) state(*block);
    }
    start();
    fed = false;
    for (const Block* block : blocks) {
      if (block->kind == Block::Kind::kFeed) feed(*block);
      fed = fed || block->kind == Block::Kind::kFeed;
      if (!fed || !changes_table(*block)) continue;
      for (auto& [name, table] : tables_) flush(table);
      state(*block);
    }
    for (auto& [name, table] : tables_) flush(table);
    engine_->finish();
    check_failures(blocks);
    for (Running& running : queries_) {
      if (!running.analyzed || running.index < 0) continue;
      const auto index = static_cast<size_t>(running.index);
      const plan::QueryActivity activity = engine_->activity(index);
      show_plan(running, plan::explain(engine_->query(index), *running.analyzed, &activity));
    }
    const Block* above = nullptr;
    for (const Block* block : blocks) {
      if (block->kind == Block::Kind::kStatement || block->kind == Block::Kind::kQuery) above = block;
      if (block->kind == Block::Kind::kQuery || block->kind == Block::Kind::kResults) compare_rows(*block);
      if (block->kind == Block::Kind::kLedger) compare_ledger(*block, above);
      if (block->kind == Block::Kind::kWindows) compare_windows(*block, above);
    }
  }

 private:
  struct Running {
    const Block* block;
    std::string name;
    std::unique_ptr<Collector> rows;
    std::unique_ptr<exec::RevisionChanges> changes = nullptr;     ///< before `rows`
    size_t entry = kNoEntry;                                      ///< its number in definitions_
    int index = -1;                                               ///< in the engine
    std::optional<plan::ExplainOptions> analyzed = std::nullopt;  ///< EXPLAIN ANALYZE: its rows are the plan
    static constexpr size_t kNoEntry = SIZE_MAX;
  };
  struct Table {
    plan::Relation relation;
    std::vector<batch::BatchBuffer> buffers;  ///< one an edge, made at the first row
    base::Arena texts;
    Micros watermark = base::kMinTime;
    uint64_t row_count = 0;
  };

  /// Statements that change a lookup table between two feeds are done between them.
  static bool changes_table(const Block& block) {
    if (block.kind != Block::Kind::kStatement) return false;
    return std::regex_search(block.sql, std::regex("^(INSERT|UPDATE|DELETE|TRUNCATE) "));
  }
  void complain(const Block& at, const std::string& what) {
    ++tally_.failed;
    std::printf("%s:%zu: %s\n", file_.c_str(), at.line, what.c_str());
  }
  void check(const Block& at, bool passed, const std::string& what) {
    if (passed) ++tally_.passed;
    else complain(at, what);
  }
  bool matches(const std::string& text, const std::string& pattern) {
    try {
      return std::regex_search(text, std::regex(pattern));
    } catch (const std::regex_error&) {
      std::printf("%s: '%s' is no regex\n", file_.c_str(), pattern.c_str());
      return false;
    }
  }

  /// Each "fails" tells of a query that was stopped, and each of those is told of.
  void check_failures(const std::vector<const Block*>& blocks) {
    std::vector<std::string> failures;
    for (size_t q = 0; q < engine_->query_count(); ++q) {
      if (!engine_->failure(q).empty()) failures.push_back(engine_->query(q).name + ": " + engine_->failure(q));
    }
    for (const Block* block : blocks) {
      if (block->kind != Block::Kind::kFails) continue;
      const auto told = std::find_if(failures.begin(), failures.end(),
                                     [&](const std::string& failure) { return matches(failure, block->pattern); });
      check(*block, told != failures.end(), "no query failed so");
      if (told != failures.end()) failures.erase(told);
    }
    for (const std::string& failure : failures) complain(*blocks.front(), "a query failed: " + failure);
  }

  void state(const Block& block) {
    const auto done = execute(block);
    std::string error;
    if (!done) {
      base::Diagnostic diagnostic = done.error();
      if (diagnostic.line == 0) base::locate(diagnostic, kSourceName, block.sql);
      error = diagnostic.render();
      if (!diagnostic.code.empty()) error = diagnostic.code + ' ' + error;
    }
    if (block.pattern.empty()) {
      if (!done) complain(block, "refused:\n" + error);
      else if (block.kind == Block::Kind::kStatement) ++tally_.passed;
      return;
    }
    if (done) return complain(block, "accepted, but an error was expected: " + block.pattern);
    if (!matches(error, block.pattern)) return complain(block, "another error than /" + block.pattern + "/:\n" + error);
    std::string expected;
    for (const std::string& row : block.rows) expected += row + '\n';
    std::string rendered;  // Without blanks at line ends, as the file is read.
    std::istringstream lines(error.substr(error.find(' ') + 1));
    for (std::string line; std::getline(lines, line);) {
      line.erase(line.find_last_not_of(' ') + 1);
      rendered += line + '\n';
    }
    check(block, !block.has_expected || rendered == expected,
          "the diagnostic differs\nexpected:\n" + expected + "actual:\n" + rendered);
  }

  base::Result<void> execute(const Block& block) {
    auto statements =
        borealis::is_xml(block.sql) ? borealis::parse(block.sql, kSourceName) : sql::parse(block.sql, kSourceName);
    if (!statements) return tl::unexpected(statements.error());
    for (plan::UnboundStatement& statement : *statements) {
      using Kind = plan::UnboundStatement::Kind;
      if (plan::LookupTables::is_statement(statement.kind)) {
        if (auto done = lookup_tables_.execute(statement, definitions_.catalog()); !done) return done;
        engine_->refresh_lookups();
        continue;
      }
      switch (statement.kind) {
        case Kind::kCreateForeignTable: {
          auto relation = plan::bind_foreign_table(statement);
          if (!relation) return tl::unexpected(relation.error());
          Table& table = tables_[relation->name];
          table.relation = *relation;
          definitions_.catalog().add(*relation);
          if (relation->delay_us) engine_->set_delay(relation->name, *relation->delay_us);
          break;
        }
        case Kind::kExplain: {
          const auto options = plan::bind_explain_options(statement.options);
          if (!options) return tl::unexpected(options.error());
          if (options->analyze) {
            auto entry = definitions_.add_query(std::move(*statement.inner), block.sql, "the SELECT");
            if (!entry) return tl::unexpected(std::move(entry.error()));
            if (*entry == nullptr) break;
            auto& running = queries_.emplace_back(Running{&block, "", std::make_unique<Collector>()});
            running.entry = (*entry)->number;
            running.analyzed = *options;
            break;
          }
          auto query = definitions_.bind(*statement.inner, block.sql);
          if (!query) return tl::unexpected(query.error());
          show_plan(queries_.emplace_back(Running{&block, "", std::make_unique<Collector>()}),
                    plan::explain(*query, *options));
          break;
        }
        default: {
          if (plan::Definitions::is_change(statement.kind)) {
            if (auto changed = definitions_.change(std::move(statement)); !changed)
              return tl::unexpected(std::move(changed.error()));
            break;
          }
          auto entry = definitions_.add_query(std::move(statement), block.sql, "the SELECT");
          if (!entry) return tl::unexpected(std::move(entry.error()));
          if (*entry == nullptr) break;
          Running& running = queries_.emplace_back(Running{&block, "", std::make_unique<Collector>()});
          running.entry = (*entry)->number;
        }
      }
    }
    return {};
  }

  static void show_plan(Running& running, const std::string& plan) {
    running.rows->types = "T";
    std::istringstream lines(plan);
    for (std::string line; std::getline(lines, line);) running.rows->rows.push_back({write_field(line), 1, true});
  }

  /// Gives the engine what the statements made.
  void start() {
    for (auto& entry : definitions_.entries()) {
      for (Running& running : queries_) {
        if (running.entry != entry->number) continue;
        running.name = entry->query->name;
        running.index = static_cast<int>(engine_->query_count());
        for (const batch::ColumnDef& column : entry->query->output().columns)
          running.rows->types += type_letter(column.type);
        const bool analyzed = running.analyzed.has_value();
        running.changes = std::make_unique<exec::RevisionChanges>(*running.rows, kRevisionKeysMax);
        added_.push_back({std::move(entry->query), analyzed ? nullptr : running.changes.get()});
        engine_->add_query(added_.back().query, added_.back().sink,
                           analyzed ? exec::Measured::kStages : exec::Measured::kNot);
        restarts_ = restarts_ && !analyzed;  // What was measured is of one run.
        running.changes->watch(engine_->query_count() - 1, engine_->query(engine_->query_count() - 1));
        break;
      }
    }
  }

  void feed(const Block& block) {
    const auto found = tables_.find(block.name);
    if (found == tables_.end()) return complain(block, "no table '" + block.name + "'");
    Table& table = found->second;
    const batch::Schema& schema = table.relation.schema;
    if (table.buffers.empty()) {
      const std::vector<Type> types = schema.types();
      std::vector<bool> wanted = engine_->columns_used(block.name, types.size());
      for (uint32_t edge = 0; edge < variant_.edges; ++edge)
        table.buffers.emplace_back(types, wanted, variant_.batch_rows);
    }
    for (size_t r = 0; r < block.rows.size(); ++r) {
      const std::vector<Field> fields = split_row(block.rows[r]);
      if (fields.size() != schema.columns.size()) {
        return complain(block, "row " + std::to_string(r + 1) + " has " + std::to_string(fields.size()) + " fields");
      }
      std::vector<expr::Value> values;
      for (size_t c = 0; c < fields.size(); ++c) {
        std::string text = fields[c].text;
        const Type type = schema.columns[c].type;
        if (fields[c].is_null()) {
          values.emplace_back();
          continue;
        }
        if (type == Type::kTimestamptz && text.size() > 2 && text[2] == ':')
          text = std::string(kDay) + ' ' + text + "+00";
        auto value = expr::parse_value(text, type);
        if (!value) return complain(block, "row " + std::to_string(r + 1) + ": " + value.error().message);
        values.push_back(std::move(*value));
      }
      // Which edge a row reaches must not matter; neighbours go to different ones.
      const uint32_t edge = block.edge >= 0 ? static_cast<uint32_t>(block.edge) % variant_.edges
                                            : static_cast<uint32_t>(table.row_count * 7 / 3 % variant_.edges);
      add_row(table, edge, values);
    }
    ++tally_.passed;
  }

  void add_row(Table& table, uint32_t edge, const std::vector<expr::Value>& values) {
    batch::ColumnBatch& rows = table.buffers[edge].batch;
    const size_t row = rows.row_count++;
    ++table.row_count;
    for (size_t c = 0; c < values.size(); ++c) {
      batch::Column& column = rows.columns[c];
      if (column.values == nullptr) continue;
      const bool present = !std::holds_alternative<std::monostate>(values[c]);
      column.validity[row] = present ? 1 : 0;
      column.has_nulls |= !present;
      if (!present) {
        if (physical(column.type) == batch::Physical::kText) column.as<std::string_view>()[row] = {};
        continue;
      }
      switch (physical(column.type)) {
        case batch::Physical::kByte: column.as<uint8_t>()[row] = std::get<bool>(values[c]) ? 1 : 0; break;
        case batch::Physical::kInt64: column.as<int64_t>()[row] = std::get<int64_t>(values[c]); break;
        case batch::Physical::kDouble: column.as<double>()[row] = std::get<double>(values[c]); break;
        case batch::Physical::kText:
          column.as<std::string_view>()[row] = table.texts.copy(std::get<std::string>(values[c]));
          break;
        case batch::Physical::kInet: column.as<base::Inet>()[row] = std::get<base::Inet>(values[c]); break;
        case batch::Physical::kInterval: column.as<base::Interval>()[row] = std::get<base::Interval>(values[c]); break;
      }
    }
    const std::string& stream = table.relation.name;
    if (rows.row_count == variant_.batch_rows) flush(table);
    const int time_column = table.relation.time_column;
    if (time_column >= 0) {
      const auto* time = std::get_if<int64_t>(&values[static_cast<size_t>(time_column)]);
      if (time != nullptr) table.watermark = std::max(table.watermark, *time - table.relation.delay_us.value_or(0));
    }
    if (table.watermark == base::kMinTime) return;
    if (variant_.advance_always || table.watermark >= engine_->next_cut(stream)) {
      flush(table);
      engine_->advance(stream, table.watermark);
    }
  }

  void flush(Table& table) {
    for (uint32_t edge = 0; edge < table.buffers.size(); ++edge) {
      batch::ColumnBatch& rows = table.buffers[edge].batch;
      if (rows.row_count == 0) continue;
      exec::RowsContext context(edge);
      context.watermarks[static_cast<size_t>(exec::Clock::kEvent)] = table.watermark;
      engine_->process(table.relation.name, rows, context);
      rows.row_count = 0;
      for (batch::Column& column : rows.columns) column.has_nulls = false;
    }
    table.texts.reset();
    restart();
  }

  /// Another engine goes on with what this one held. A query that has failed has nothing to go on with.
  void restart() {
    for (size_t q = 0; q < added_.size(); ++q) restarts_ = restarts_ && engine_->failure(q).empty();
    if (!restarts_) return;
    std::vector<uint8_t> streams;
    engine_->save_streams(streams);
    std::vector<std::vector<uint8_t>> states(added_.size());
    for (size_t q = 0; q < added_.size(); ++q) engine_->save_state(q, states[q]);
    engine_ = std::make_unique<exec::Engine>(options_);
    for (const Added& added : added_) engine_->add_query(added.query, added.sink);
    bool taken = engine_->restore_streams(streams).has_value();
    for (size_t q = 0; q < added_.size(); ++q) taken &= engine_->restore_state(q, states[q]).has_value();
    engine_->catch_up();
    if (taken) return;
    std::printf("%s: a saved state was refused\n", file_.c_str());
    ++tally_.failed;
  }

  const Running* find(const Block& block) const {
    for (const Running& running : queries_) {
      if (block.kind == Block::Kind::kQuery ? running.block == &block : running.name == block.name) return &running;
    }
    return nullptr;
  }

  void compare_rows(const Block& block) {
    const Running* running = find(block);
    if (running == nullptr) {
      if (block.kind == Block::Kind::kResults) complain(block, "no view '" + block.name + "'");
      return;  // A query that was refused has been complained about.
    }
    const Collector& got = *running->rows;
    if (!got.fault.empty()) return complain(block, got.fault);
    if (got.types != block.types) return complain(block, "columns are " + got.types + ", not " + block.types);
    std::vector<std::string> actual, expected;
    for (const Collector::Row& row : got.rows) {
      if (block.revisions)
        actual.push_back(row.text + ' ' + std::to_string(row.revision) + (row.final ? " final" : " open") +
                         (row.removed ? " d" : ""));
      else if (row.final && !row.removed) actual.push_back(row.text);
    }
    for (const std::string& row : block.rows) {
      std::string text;
      for (const Field& field : split_row(row)) {
        text += text.empty() ? "" : " ";
        text += field.quoted ? write_field(field.text) : field.text;
      }
      expected.push_back(text);
    }
    if (block.sorted) {
      std::sort(actual.begin(), actual.end());
      std::sort(expected.begin(), expected.end());
    }
    if (actual == expected) {
      ++tally_.passed;
      return;
    }
    std::string what = "rows differ (- expected, + actual)";
    for (const std::string& row : expected) {
      if (std::count(actual.begin(), actual.end(), row) == 0 || !block.sorted) what += "\n- " + row;
    }
    for (const std::string& row : actual) {
      if (std::count(expected.begin(), expected.end(), row) == 0 || !block.sorted) what += "\n+ " + row;
    }
    if (actual.size() != expected.size()) {
      what += "\n" + std::to_string(expected.size()) + " rows expected, " + std::to_string(actual.size()) + " came";
    }
    complain(block, what);
  }

  /// Index in the engine of the query that a block names, or that stands above it; -1: none.
  int query_of(const Block& block, const Block* above) const {
    int index = -1;
    for (const Running& running : queries_) {
      if (block.name.empty() ? running.block == above : running.name == block.name) index = running.index;
    }
    return index;
  }

  void compare_windows(const Block& block, const Block* above) {
    const int index = query_of(block, above);
    if (index < 0) return complain(block, "no query has these windows");
    std::vector<std::string> actual;
    for (const exec::WindowRecord& window : engine_->recent_windows(static_cast<size_t>(index))) {
      const window::PaneCounts& c = window.counts;
      std::string text = value_field(window.start, Type::kTimestamptz);
      for (const uint64_t count : {c.assigned, c.counted, c.filtered, c.late, c.errored, c.shed})
        text += ' ' + std::to_string(count);
      actual.push_back(std::move(text));
      if (c.assigned != c.counted + c.filtered + c.late + c.errored + c.shed)
        complain(block, "the ledger of a window does not balance: " + actual.back());
    }
    std::string what = "windows differ (- expected, + actual)";
    for (const std::string& row : block.rows) what += "\n- " + row;
    for (const std::string& row : actual) what += "\n+ " + row;
    check(block, actual == block.rows, what);
  }

  void compare_ledger(const Block& block, const Block* above) {
    const int index = query_of(block, above);
    if (index < 0) return complain(block, "no query has this ledger");
    const exec::WindowLedger ledger = engine_->ledger(static_cast<size_t>(index));
    const std::map<std::string, uint64_t> counters = {{"assigned", ledger.assigned},
                                                      {"counted", ledger.counted},
                                                      {"filtered", ledger.filtered},
                                                      {"late", ledger.late},
                                                      {"errored", ledger.errored},
                                                      {"shed", ledger.shed},
                                                      {"shed_octets", ledger.shed_octets},
                                                      {"time_null", ledger.time_null},
                                                      {"time_future", ledger.time_future},
                                                      {"refused", ledger.refused},
                                                      {"windows_closed", ledger.windows_closed},
                                                      {"result_rows", ledger.result_rows},
                                                      {"sum_overflow", ledger.sum_overflow},
                                                      {"late_unkept", ledger.late_unkept},
                                                      {"box_tuples_refused", ledger.box_tuples_refused},
                                                      {"box_windows_skipped", ledger.box_windows_skipped},
                                                      {"spread_rows", ledger.spread_rows},
                                                      {"spread_without_span", ledger.spread_without_span},
                                                      {"spread_too_long", ledger.spread_too_long},
                                                      {"capped_groups", ledger.capped_groups},
                                                      {"negative_weights", ledger.negative_weights},
                                                      {"value_errors", ledger.value_errors.total()}};
    for (const auto& [name, value] : block.counters) {
      const auto found = counters.find(name);
      if (found == counters.end()) return complain(block, "no counter '" + name + "'");
      if (found->second != static_cast<uint64_t>(value)) {
        return complain(block, name + " is " + std::to_string(found->second) + ", not " + std::to_string(value));
      }
    }
    check(block, ledger.assigned == ledger.counted + ledger.filtered + ledger.late + ledger.errored + ledger.shed,
          "the ledger does not balance: assigned " + std::to_string(ledger.assigned) + ", counted " +
              std::to_string(ledger.counted) + ", filtered " + std::to_string(ledger.filtered) + ", late " +
              std::to_string(ledger.late) + ", errored " + std::to_string(ledger.errored) + ", shed " +
              std::to_string(ledger.shed));
  }

  std::string file_;
  const Variant& variant_;
  Tally& tally_;
  plan::Definitions definitions_;
  plan::LookupTables lookup_tables_;
  std::vector<Running> queries_;  ///< before engine_: it holds pointers to the collectors
  std::map<std::string, Table> tables_;
  struct Added {
    std::shared_ptr<const plan::Query> query;
    exec::ResultSink* sink;
  };
  std::vector<Added> added_;  ///< by number in the engine
  bool restarts_;
  exec::EngineOptions options_;
  std::unique_ptr<exec::Engine> engine_;
};

void run_file(const std::string& path, const Variant& variant, Tally& tally) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  // Files of lookup tables are named as seen from the file with the test.
  std::filesystem::current_path(std::filesystem::path(path).parent_path());
  if (!in) {
    std::printf("%s: cannot be read\n", path.c_str());
    ++tally.failed;
    return;
  }
  const auto blocks = parse_slt(text.str(), path);
  if (!blocks) {
    std::printf("%s", blocks.error().render().c_str());
    ++tally.failed;
    return;
  }
  std::vector<const Block*> scenario;
  const auto run = [&] {
    if (!scenario.empty()) Scenario(path, variant, tally).run(scenario);
    scenario.clear();
  };
  for (const Block& block : *blocks) {
    if (block.rewritten && !variant.rewrites) continue;
    if (block.kind == Block::Kind::kReset) run();
    else scenario.push_back(&block);
  }
  run();
}

int run_all(int argc, char** argv) {
  Variant variant;
  Tally tally;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const auto number = [&] { return i + 1 < argc ? std::strtoul(argv[++i], nullptr, 10) : 0; };
    if (arg == "--one-row-batches") {
      variant.batch_rows = 1;
      variant.advance_always = true;
    } else if (arg == "--constant-hash") {
      variant.constant_hash = true;
    } else if (arg == "--no-rewrites") {
      variant.rewrites = false;
    } else if (arg == "--no-sharing") {
      variant.share = false;
    } else if (arg == "--restarts") {
      variant.restarts = true;
    } else if (arg == "--edges") {
      variant.edges = static_cast<uint32_t>(number());
    } else if (arg == "--batch-rows") {
      variant.batch_rows = number();
    } else if (std::filesystem::is_directory(arg)) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(arg)) {
        if (entry.path().extension() == ".slt") files.push_back(std::filesystem::absolute(entry.path()).string());
      }
    } else {
      files.push_back(std::filesystem::absolute(arg).string());
    }
  }
  if (files.empty() || variant.edges == 0 || variant.batch_rows == 0) {
    std::fprintf(stderr,
                 "usage: slt_runner [--one-row-batches] [--constant-hash] [--no-rewrites] [--no-sharing] "
                 "[--restarts] [--edges N] [--batch-rows N] FILE|FOLDER...\n");
    return 2;
  }
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    const uint64_t failed_before = tally.failed;
    run_file(file, variant, tally);
    if (tally.failed != failed_before) std::printf("FAILED %s\n", file.c_str());
  }
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(tally.passed),
              static_cast<unsigned long long>(tally.failed));
  return tally.failed == 0 && tally.passed != 0 ? 0 : 1;
}

}  // namespace
}  // namespace backstream::slt

int main(int argc, char** argv) { return backstream::slt::run_all(argc, argv); }
