// The engine's side of the oracle test (run.py): binds and evaluates SQL over rows that are given by hand. Reads lines
// of tab-separated fields from standard input, in COPY's text form (\N null, \\ \t \n), and answers in the same form:
//   table NAME COLUMN TYPE COLUMN TYPE ...     the table that following rows and cases are about
//   row VALUE ...                              one row of it
//   eval ID SELECT                             ID TYPE VALUE...: the only output of a SELECT without grouping, row by
//   row;
//                                              a value that cannot be computed is \E and its SQLSTATEs
//   query ID SELECT                            ID TYPE,TYPE... SQLSTATES VALUE...: a grouped SELECT, values row after
//   row,
//                                              SQLSTATES being those counted (empty: none)
//   functions                                  "function" and "aggregate" lines: all signatures
// A statement that is refused is answered by "ID ! SQLSTATE message". Exit status 1 only for input that is no such
// line.
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agg/aggregate.h"
#include "base/arena.h"
#include "exec/engine.h"
#include "expr/expr.h"
#include "plan/bind.h"
#include "sql/parse.h"

namespace backstream::oracle {
namespace {

using batch::Type;

constexpr size_t kRowsMax = 256;

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields;
  for (size_t begin = 0;;) {
    const size_t end = line.find('\t', begin);
    fields.push_back(line.substr(begin, end - begin));
    if (end == std::string::npos) return fields;
    begin = end + 1;
  }
}
std::string unescape(const std::string& field) {
  std::string text;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] != '\\' || i + 1 == field.size()) {
      text += field[i];
      continue;
    }
    const char next = field[++i];
    text += next == 'n' ? '\n' : next == 't' ? '\t' : next;
  }
  return text;
}
std::string escape(const std::string& text) {
  std::string field;
  for (const char c : text) {
    if (c == '\\') field += "\\\\";
    else if (c == '\t') field += "\\t";
    else if (c == '\n') field += "\\n";
    else field += c;
  }
  return field;
}

std::string value_field(const expr::Value& value, Type type) {
  return std::holds_alternative<std::monostate>(value) ? "\\N" : escape(expr::value_text(value, type));
}
/// "22003,22012": the kinds that were counted.
std::string states_of(const expr::ValueErrorCounts& errors) {
  std::string states;
  for (size_t i = 0; i < std::size(errors.by_kind); ++i) {
    if (errors.by_kind[i] == 0) continue;
    states += states.empty() ? "" : ",";
    states += expr::sqlstate(static_cast<expr::ValueError>(i));
  }
  return states;
}

class Collector : public exec::ResultSink {
 public:
  std::string fields;  ///< a tab and a value, for each value
  void on_result(const exec::ResultBatch& result) override {
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      for (size_t c = 0; c < result.schema->columns.size(); ++c)
        fields += '\t' + value_field(expr::value_at(result.rows.columns[c], row), result.schema->columns[c].type);
    }
  }
};

class Session {
 public:
  /// False when the line is none of ours.
  bool answer(const std::string& line) {
    const std::vector<std::string> fields = split(line);
    const std::string& what = fields[0];
    if (what == "table" && fields.size() >= 4 && fields.size() % 2 == 0) return declare(fields);
    if (what == "row" && fields.size() == relation_.schema.columns.size() + 1) return add_row(fields);
    if (what == "functions") {
      for (const std::string& signature : expr::describe_functions()) std::printf("function\t%s\n", signature.c_str());
      for (const std::string& signature : agg::describe_aggregates()) std::printf("aggregate\t%s\n", signature.c_str());
      return true;
    }
    if ((what == "eval" || what == "query") && fields.size() == 3) {
      const auto answered =
          what == "eval" ? evaluate(fields[1], unescape(fields[2])) : run(fields[1], unescape(fields[2]));
      if (!answered) {
        const base::Diagnostic& diagnostic = answered.error();
        std::printf("%s\t!\t%s\t%s\n", fields[1].c_str(), diagnostic.code.c_str(), escape(diagnostic.message).c_str());
      }
      return true;
    }
    return false;
  }

 private:
  bool declare(const std::vector<std::string>& fields) {
    relation_ = {};
    relation_.kind = plan::Relation::Kind::kStream;
    relation_.name = fields[1];
    std::vector<Type> types;
    for (size_t i = 2; i < fields.size(); i += 2) {
      const auto type = expr::parse_type(fields[i + 1], {});
      if (!type) return false;
      relation_.schema.columns.push_back({fields[i], *type});
      types.push_back(*type);
    }
    relation_.time_column = relation_.schema.find("at");
    catalog_.add(relation_);
    rows_ = batch::BatchBuffer(types, std::vector<bool>(types.size(), true), kRowsMax);
    return true;
  }

  bool add_row(const std::vector<std::string>& fields) {
    batch::ColumnBatch& rows = rows_.batch;
    if (rows.row_count == kRowsMax) return false;
    const size_t row = rows.row_count++;
    for (size_t c = 0; c < rows.columns.size(); ++c) {
      batch::Column& column = rows.columns[c];
      const std::string& field = fields[c + 1];
      column.validity[row] = field != "\\N";
      if (field == "\\N") {
        column.has_nulls = true;
        if (physical(column.type) == batch::Physical::kText) column.as<std::string_view>()[row] = {};
        continue;
      }
      const auto value = expr::parse_value(unescape(field), column.type);
      if (!value) {
        std::fprintf(stderr, "%s\n", value.error().message.c_str());
        return false;
      }
      switch (physical(column.type)) {
        case batch::Physical::kByte: column.as<uint8_t>()[row] = std::get<bool>(*value); break;
        case batch::Physical::kInt64: column.as<int64_t>()[row] = std::get<int64_t>(*value); break;
        case batch::Physical::kDouble: column.as<double>()[row] = std::get<double>(*value); break;
        case batch::Physical::kText:
          column.as<std::string_view>()[row] = texts_.copy(std::get<std::string>(*value));
          break;
        case batch::Physical::kInet: column.as<base::Inet>()[row] = std::get<base::Inet>(*value); break;
        case batch::Physical::kInterval: column.as<base::Interval>()[row] = std::get<base::Interval>(*value); break;
      }
    }
    return true;
  }

  base::Result<plan::Query> bind(const std::string& sql) {
    auto statements = sql::parse(sql, "case");
    if (!statements) return tl::unexpected(statements.error());
    return plan::bind(statements->front(), sql, catalog_);
  }

  base::Result<void> evaluate(const std::string& id, const std::string& sql) {
    auto query = bind(sql);
    if (!query) return tl::unexpected(query.error());
    const Type type = query->output().columns[0].type;
    expr::Evaluator evaluator(std::move(query->stages.back().outputs[0]), kRowsMax);
    std::string answer = id + '\t' + std::string(batch::name(type));
    std::vector<std::string> one_by_one;
    std::vector<uint8_t> active(rows_.batch.row_count, 0);
    for (size_t row = 0; row < active.size(); ++row) {
      active[row] = 1;
      expr::ValueErrorCounts errors;
      const batch::Column column = evaluator.evaluate(rows_.batch, active.data(), errors);
      one_by_one.push_back(value_field(expr::value_at(column, row), type));
      answer += '\t' + (errors.total() == 0 ? one_by_one.back() : "\\E" + states_of(errors));
      active[row] = 0;
    }
    // All rows at once must give what each gave alone.
    expr::ValueErrorCounts errors;
    const batch::Column column = evaluator.evaluate(rows_.batch, nullptr, errors);
    for (size_t row = 0; row < active.size(); ++row) {
      const std::string field = value_field(expr::value_at(column, row), type);
      if (field != one_by_one[row])
        answer = id + "\t!\tXX000\trow " + std::to_string(row) + " differs in a batch: " + field;
    }
    std::printf("%s\n", answer.c_str());
    return {};
  }

  base::Result<void> run(const std::string& id, const std::string& sql) {
    auto query = bind(sql);
    if (!query) return tl::unexpected(query.error());
    plan::rewrite(*query);
    std::string types;
    for (const batch::ColumnDef& column : query->output().columns) {
      if (!types.empty()) types += ',';
      types += batch::name(column.type);
    }
    Collector collector;
    exec::Engine engine({});
    engine.add_query(std::make_unique<plan::Query>(std::move(*query)), &collector);
    engine.process(relation_.name, rows_.batch);
    engine.finish();
    const exec::WindowLedger ledger = engine.ledger(0);
    std::string states = states_of(ledger.value_errors);
    if (ledger.sum_overflow != 0) states += states.empty() ? "22003" : ",22003";
    std::printf("%s\t%s\t%s%s\n", id.c_str(), types.c_str(), states.c_str(), collector.fields.c_str());
    return {};
  }

  plan::Catalog catalog_{false};
  plan::Relation relation_;
  batch::BatchBuffer rows_;
  base::Arena texts_;
};

}  // namespace
}  // namespace backstream::oracle

int main() {
  backstream::oracle::Session session;
  for (std::string line; std::getline(std::cin, line);) {
    if (session.answer(line)) continue;
    std::fprintf(stderr, "not understood: %s\n", line.c_str());
    return 1;
  }
  return 0;
}
