#include "borealis/write.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "borealis/diagram.h"
#include "borealis/refused.h"
#include "borealis/write_document.h"
#include "borealis/write_expression.h"
#include "expr/expr.h"

namespace backstream::borealis {

using base::Micros;
using plan::UnboundExpr;
using plan::UnboundFrom;
using plan::UnboundSelect;
using plan::UnboundTarget;

namespace {

constexpr uint32_t kNestedMax = 100;  ///< subqueries in subqueries
constexpr std::string_view kStart = "window_start", kEnd = "window_end";

[[noreturn]] void has_no_box(std::string_view what, base::SourceSpan at, std::string hint = {}) {
  refuse("0A000", fmt::format("{} has no box", what), at, std::move(hint));
}

/// A column of SQL as a field of a stream.
struct Column {
  std::string name, field;
  batch::Type type = batch::Type::kInt8;
  SqlKind kind = SqlKind::kInteger;
  bool is_natural = false;
  Micros slide_us = 0;  ///< it is the start of windows so far apart; 0: it is none
  int input = -1;       ///< it is column `number` of a relation that is read; -1: a box makes it
  size_t number = 0;
  bool hidden = false;    ///< * does not stand for it
  base::SourceSpan span;  ///< of the value, where a SELECT gives it
};

/// What stands in FROM.
struct Rows {
  std::string stream;
  std::vector<Column> columns;
  std::string qualifier;
  bool has_window = false;  ///< tumble() or hop() over them
  Micros size_us = 0, slide_us = 0;
  size_t time = 0;  ///< of a window: the column that it is of
  base::SourceSpan window_span;
};

/// A value that a SELECT gives.
struct Target {
  std::string name;
  base::SourceSpan span;
  Written value;
};

bool is_aggregate(const UnboundExpr& e) {
  return e.kind == UnboundExpr::Kind::kCall && !e.over &&
         (e.text == "count" || e.text == "sum" || e.text == "avg" || e.text == "min" || e.text == "max");
}

std::string target_name(const UnboundTarget& target, size_t number) {
  if (!target.alias.empty()) return target.alias;
  const UnboundExpr* e = target.expr.get();
  while (e->kind == UnboundExpr::Kind::kCast) e = e->args[0].get();
  if (e->kind == UnboundExpr::Kind::kColumn) return e->names.back();
  if (e->kind == UnboundExpr::Kind::kCall) return e->text;
  return fmt::format("column_{}", number + 1);
}

base::SourceSpan span_of(const UnboundTarget& target) {
  return target.alias.empty() ? target.expr->span : target.alias_span;
}

/// A name that is not in `taken`, and now is.
std::string free_name(std::string_view wanted, std::set<std::string>& taken) {
  std::string name(wanted);
  for (int number = 2; !taken.insert(name).second; ++number) name = fmt::format("{}_{}", wanted, number);
  return name;
}

class Writer {
 public:
  explicit Writer(const plan::Catalog& catalog) : catalog_(catalog) {}

  std::string statement(const plan::UnboundStatement& statement, const plan::Query& query) {
    diagram_.output = query.name.empty() ? free_stream_name("result") : query.name;
    check_name(diagram_.output, statement.name_span);
    taken_.insert(diagram_.output);
    const UnboundSelect& select = *statement.select;
    whole_ = select.span;
    Rows rows = this->select(select);
    std::vector<std::string> names;
    for (size_t i = 0; i < rows.columns.size(); ++i) {
      const base::SourceSpan at = place_of(select, i);
      std::string name = query.output().columns[i].name;
      check_name(name, at);
      if (std::find(names.begin(), names.end(), name) != names.end()) {
        refuse("0A000", fmt::format("two fields of a stream would be called \"{}\"", name), at,
               "give one of them another name: AS");
      }
      names.push_back(std::move(name));
    }
    finish(rows, names, select.span);
    write_options(statement);
    for (const WrittenInput& input : diagram_.inputs) {
      if (input.columns.size() > kFieldsMax)
        refuse("54000", fmt::format("a schema would have more than {} fields", kFieldsMax), select.span);
    }
    return document_text(diagram_, whole_);
  }

 private:
  struct Cte {
    const plan::UnboundCte* cte;
    Cte* before;  ///< the one whose name is looked for next; null: there is none
    std::optional<Rows> rows;
  };

  /// Columns of what stands in FROM.
  class RowMeanings final : public Meanings {
   public:
    RowMeanings(Writer& writer, const Rows& rows) : writer_(writer), rows_(rows) {}
    std::optional<Written> find(const UnboundExpr& e) override {
      if (e.kind != UnboundExpr::Kind::kColumn) return std::nullopt;
      if (is_window(rows_, e)) {
        refuse("0A000", fmt::format("\"{}\" is known behind an aggregate box only", e.names.back()), e.span,
               "group by it");
      }
      const Column& column = writer_.find_column(rows_, e);
      Written made = writer_.read(column, e.span);
      read.insert(made.field);
      return made;
    }
    std::set<std::string> read;  ///< fields

   private:
    Writer& writer_;
    const Rows& rows_;
  };

  /// One aggregate box.
  struct Groups {
    struct Key {
      const UnboundExpr* e;
      Written value;  ///< over the rows
      std::string field;
    };
    struct Function {
      std::string text, name;
      SqlKind kind;
    };
    std::vector<Key> keys;
    std::vector<Function> functions;
    std::set<std::string> taken;  ///< fields of its output
    std::string time_field;
    Micros size_us = 0, slide_us = 0;
  };
  /// What stands behind an aggregate.
  class GroupMeanings final : public Meanings {
   public:
    GroupMeanings(Writer& writer, const Rows& rows, Groups& groups, ExpressionWriter& over_rows)
        : writer_(writer), rows_(rows), groups_(groups), over_rows_(over_rows) {}
    std::optional<Written> find(const UnboundExpr& e) override {
      if (writer_.is_start(rows_, e, groups_)) {
        if (rows_.has_window && e.names.back() == kEnd)
          refuse("0A000", "an aggregate box tells the start of a window, not its end", e.span);
        Written made;
        made.text = field_text(groups_.time_field);
        made.kind = SqlKind::kTime;
        made.field = groups_.time_field;
        made.slide_us = groups_.slide_us;
        return made;
      }
      for (const Groups::Key& key : groups_.keys) {
        if (!same(*key.e, e)) continue;
        Written made;
        made.text = field_text(key.field);
        made.field = key.field;
        made.kind = key.value.kind;
        made.is_natural = key.value.is_natural;
        return made;
      }
      if (e.kind == UnboundExpr::Kind::kColumn) {
        refuse("0A000", fmt::format("\"{}\" is no field behind the aggregate box", e.names.back()), e.span);
      }
      return is_aggregate(e) ? std::optional(aggregate(e)) : std::nullopt;
    }
    std::string wanted_name;  ///< of the aggregate that comes next

   private:
    Written aggregate(const UnboundExpr& e) {
      const bool counts = e.text == "count";
      const auto refuse_this = [&](std::string_view what, std::string hint = {}) {
        refuse("0A000", fmt::format("Borealis has no {}", what), e.span, std::move(hint));
      };
      if (!e.order_by.empty()) refuse_this("ORDER BY in an aggregate");
      if (e.distinct && (!counts || e.filter)) refuse_this(fmt::format("{}(DISTINCT …)", e.text));
      Groups::Function made;
      made.kind = SqlKind::kInteger;
      if (counts && !e.distinct) {
        made.text = count_text(e);
      } else {
        if (e.filter) {
          refuse_this(fmt::format("{}(…) FILTER", e.text),
                      "that is null where no row meets the condition; sum(CASE WHEN … THEN x ELSE 0 END) is 0");
        }
        if (e.args.size() != 1) refuse_this(fmt::format("{}() of several values", e.text));
        Written arg = over_rows_.write(*e.args[0]);
        if (arg.kind == SqlKind::kLiteral) arg.kind = SqlKind::kText;
        const bool extreme = e.text == "min" || e.text == "max";
        const bool number = arg.kind == SqlKind::kInteger || arg.kind == SqlKind::kReal;
        if (arg.kind == SqlKind::kCondition || (extreme && arg.kind == SqlKind::kLabel) ||
            (!extreme && !counts && !number))
          refuse_this(fmt::format("{}() of these values", e.text));
        // Of integers it would be cut off.
        if (e.text == "avg") arg = as_real(std::move(arg));
        made.kind = counts ? SqlKind::kInteger : arg.kind;
        made.text = fmt::format("{}({})", counts ? "count_distinct" : e.text, arg.text);
      }
      if (made.text.size() > kExpressionOctetsMax)
        refuse("54000", fmt::format("this would be an expression of more than {} octets", kExpressionOctetsMax),
               e.span);
      auto known = std::find_if(groups_.functions.begin(), groups_.functions.end(),
                                [&](const Groups::Function& each) { return each.text == made.text; });
      if (known == groups_.functions.end()) {
        made.name = free_name(is_plain_field(wanted_name) ? wanted_name : name_of(e), groups_.taken);
        known = groups_.functions.insert(known, std::move(made));
      }
      Written value;
      value.text = value.field = known->name;
      value.kind = known->kind;
      value.is_natural = counts;
      return value;
    }
    /// count() takes no argument: what is counted is summed up.
    std::string count_text(const UnboundExpr& e) {
      std::vector<Written> conditions;
      if (e.filter) conditions.push_back(over_rows_.condition(*e.filter));
      if (!e.star && e.args.size() == 1) {
        const Written arg = over_rows_.write(*e.args[0]);
        // A null is not equal to itself.
        Written known;
        known.text = fmt::format("{0} = {0}", within(arg, Binding::kSum));
        known.binding = Binding::kEqual;
        known.kind = SqlKind::kCondition;
        conditions.push_back(std::move(known));
      }
      if (conditions.empty()) return "count()";
      std::string text;
      for (const Written& condition : conditions) {
        if (!text.empty()) text += " and ";
        text += within(condition, conditions.size() == 1 ? Binding::kOr : Binding::kNotEqual);
      }
      return fmt::format("sum(if {} then 1 else 0)", text);
    }
    static std::string name_of(const UnboundExpr& e) {
      const bool of_column = e.args.size() == 1 && e.args[0]->kind == UnboundExpr::Kind::kColumn;
      std::string name = of_column ? fmt::format("{}_{}", e.text, e.args[0]->names.back()) : e.text;
      return is_plain_field(name) ? name : e.text;
    }

    Writer& writer_;
    const Rows& rows_;
    Groups& groups_;
    ExpressionWriter& over_rows_;
  };

  // --- names
  static void check_name(const std::string& name, base::SourceSpan at) {
    const bool is_odd = std::any_of(name.begin(), name.end(), [](char c) {
      return (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '"';
    });
    if (is_odd || name.front() == ' ' || name.back() == ' ')
      refuse("0A000", fmt::format("names of Borealis cannot be like \"{}\"", name), at, "they have small letters");
  }
  /// Where output `number` is written.
  static base::SourceSpan place_of(const UnboundSelect& select, size_t number) {
    const UnboundSelect* first = &select;
    while (first->left) first = first->left.get();
    return number < first->targets.size() ? span_of(first->targets[number]) : first->span;
  }

  // --- columns
  static bool is_window(const Rows& rows, const UnboundExpr& e) {
    if (!rows.has_window || e.kind != UnboundExpr::Kind::kColumn) return false;
    if (e.names.size() == 2 && e.names[0] != rows.qualifier) return false;
    return e.names.back() == kStart || e.names.back() == kEnd;
  }
  /// Whether it is the start of the groups' windows; of tumble() and hop() their end, too.
  bool is_start(const Rows& rows, const UnboundExpr& e, const Groups& groups) const {
    if (e.kind != UnboundExpr::Kind::kColumn) return false;
    if (rows.has_window) return is_window(rows, e);
    const Column* column = look_up(rows, e);
    return column != nullptr && column->slide_us > 0 && column->field == groups.time_field;
  }
  static const Column* look_up(const Rows& rows, const UnboundExpr& e) {
    if (e.names.size() == 2 && e.names[0] != rows.qualifier) return nullptr;
    const auto found = std::find_if(rows.columns.begin(), rows.columns.end(),
                                    [&](const Column& column) { return column.name == e.names.back(); });
    return found == rows.columns.end() ? nullptr : &*found;
  }
  const Column& find_column(const Rows& rows, const UnboundExpr& e) const {
    const Column* found = look_up(rows, e);
    if (found == nullptr) refuse("0A000", fmt::format("a diagram cannot read \"{}\"", e.names.back()), e.span);
    return *found;
  }
  /// A field, which its schema has from now on.
  Written read(const Column& column, base::SourceSpan at) {
    if (column.input >= 0) {
      const bool is_odd =
          std::any_of(column.field.begin(), column.field.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
      if (is_odd)
        refuse("0A000", fmt::format("a diagram cannot read \"{}\"", column.field), at, "its names have small letters");
      if (column.kind == SqlKind::kCondition || column.kind == SqlKind::kOther) {
        refuse("0A000", fmt::format("no field of Borealis holds \"{}\", {}", column.field, batch::name(column.type)),
               at);
      }
      diagram_.inputs[static_cast<size_t>(column.input)].columns.insert(column.number);
      reads_addresses_ = reads_addresses_ || column.kind == SqlKind::kAddress;
    }
    return field_of(column);
  }
  /// One that is not read yet, and perhaps never.
  static Written field_of(const Column& column) {
    Written made;
    made.text = field_text(column.field);
    made.field = column.field;
    made.kind = column.kind;
    made.slide_us = column.slide_us;
    made.is_natural = column.is_natural;
    return made;
  }

  // --- boxes
  /// What no stream or box is called, nor a relation, which may become an input yet.
  std::string free_stream_name(std::string_view wanted) {
    std::string name;
    do name = free_name(wanted, taken_);
    while (catalog_.find(name) != nullptr);
    return name;
  }
  WrittenBox& add_box(std::string_view type, std::vector<std::string> inputs) {
    if (diagram_.boxes.size() == kBoxesMax)
      refuse("54000", fmt::format("the diagram would have more than {} boxes", kBoxesMax), whole_);
    WrittenBox& box = diagram_.boxes.emplace_back();
    box.type = type;
    box.name = box.output = free_stream_name(type);
    box.inputs = std::move(inputs);
    return box;
  }
  void put(WrittenBox& box, std::string name, std::string value) {
    octets_ += name.size() + value.size();
    if (octets_ > kXmlOctetsMax)
      refuse("54000", fmt::format("the diagram would be larger than {} octets", kXmlOctetsMax), whole_);
    box.parameters.emplace_back(std::move(name), std::move(value));
  }
  void add_filter(Rows& rows, const std::string& condition) {
    WrittenBox& box = add_box("filter", {rows.stream});
    put(box, "expression.0", condition);
    const auto fields = fields_of_.find(rows.stream);
    if (fields != fields_of_.end()) fields_of_.emplace(box.output, fields->second);
    rows.stream = box.output;
  }
  std::string add_map(const std::string& stream, const std::vector<std::pair<std::string, std::string>>& outputs,
                      base::SourceSpan at) {
    if (outputs.size() > kFieldsMax)
      refuse("54000", fmt::format("a map box would have more than {} fields", kFieldsMax), at);
    WrittenBox& box = add_box("map", {stream});
    std::vector<std::string>& fields = fields_of_[box.output];
    for (size_t i = 0; i < outputs.size(); ++i) {
      put(box, fmt::format("expression.{}", i), outputs[i].first);
      put(box, fmt::format("output-field-name.{}", i), outputs[i].second);
      fields.push_back(outputs[i].second);
    }
    return box.output;
  }
  /// Whether the stream has just these fields in this order: of an input one does not know yet.
  bool is_exactly(const Rows& rows, const std::vector<std::string>& names) const {
    const auto found = fields_of_.find(rows.stream);
    if (found == fields_of_.end() || found->second != names) return false;
    for (size_t i = 0; i < names.size(); ++i) {
      if (rows.columns[i].field != names[i]) return false;
    }
    return true;
  }
  /// The rows in a stream with just these fields.
  std::string exact_stream(const Rows& rows, const std::vector<std::string>& names, base::SourceSpan at) {
    if (is_exactly(rows, names)) return rows.stream;
    std::vector<std::pair<std::string, std::string>> outputs;
    for (size_t i = 0; i < names.size(); ++i)
      outputs.emplace_back(read(rows.columns[i], rows.columns[i].span).text, names[i]);
    return add_map(rows.stream, outputs, at);
  }
  void finish(const Rows& rows, const std::vector<std::string>& names, base::SourceSpan at) {
    std::string stream = exact_stream(rows, names, at);
    const bool is_read = std::any_of(diagram_.boxes.begin(), diagram_.boxes.end(), [&](const WrittenBox& box) {
      return std::find(box.inputs.begin(), box.inputs.end(), stream) != box.inputs.end();
    });
    if (is_read || stream != diagram_.boxes.back().output) {
      std::vector<std::pair<std::string, std::string>> outputs;
      for (const std::string& name : names) outputs.emplace_back(field_text(name), name);
      stream = add_map(stream, outputs, at);
    }
    diagram_.boxes.back().output = diagram_.output;
  }

  // --- FROM
  Rows from(const UnboundFrom& f) {
    Rows rows;
    switch (f.kind) {
      case UnboundFrom::Kind::kRelation: rows = relation(f.name, f.name_span); break;
      case UnboundFrom::Kind::kFunction: rows = window(f); break;
      case UnboundFrom::Kind::kSubquery: rows = select(*f.subquery); break;
      case UnboundFrom::Kind::kJoin:
        has_no_box("JOIN", f.span,
                   "a join box takes tuples in the order that they come in, a joinstatic box reads a table: "
                   "write the diagram");
      case UnboundFrom::Kind::kBoxes: has_no_box("this", f.span);
    }
    if (!f.alias.empty()) rows.qualifier = f.alias;
    rename(rows, f.column_aliases);
    return rows;
  }
  static void rename(Rows& rows, const std::vector<std::string>& names) {
    for (size_t i = 0; i < std::min(names.size(), rows.columns.size()); ++i) rows.columns[i].name = names[i];
  }
  Rows relation(const std::string& name, base::SourceSpan at) {
    for (Cte* each = newest_; each != nullptr; each = each->before) {
      if (each->cte->name == name) return with(*each);
    }
    const plan::Relation* relation = catalog_.find(name);
    if (relation == nullptr) refuse("42P01", fmt::format("relation \"{}\" does not exist", name), at);
    if (relation->kind == plan::Relation::Kind::kPlainView) return plain_view(*relation, at);
    check_name(name, at);
    const auto known = std::find_if(diagram_.inputs.begin(), diagram_.inputs.end(),
                                    [&](const WrittenInput& input) { return input.relation->name == relation->name; });
    const int input = static_cast<int>(known - diagram_.inputs.begin());
    if (known == diagram_.inputs.end()) diagram_.inputs.push_back({relation, {}});
    Rows rows;
    rows.stream = rows.qualifier = name;
    for (size_t i = 0; i < relation->schema.columns.size(); ++i) {
      const batch::ColumnDef& def = relation->schema.columns[i];
      Column& column = rows.columns.emplace_back();
      column.name = column.field = def.name;
      column.type = def.type;
      column.kind = kind_of(def.type);
      column.is_natural = batch::is_integer(def.type) && def.value_bits > 0;
      column.input = input;
      column.number = i;
      const bool is_start = relation->has_windows && static_cast<int>(i) == relation->time_column && relation->window &&
                            relation->window->offset_us == 0 && !relation->window->calendar;
      if (is_start) column.slide_us = relation->window->slide_us;
      column.hidden = def.hidden;
    }
    return rows;
  }
  /// What is wrong inside of it is in another text.
  Rows plain_view(const plan::Relation& view, base::SourceSpan at) {
    Cte* const around = std::exchange(newest_, nullptr);
    Rows rows;
    try {
      rows = select(*view.definition->select);
    } catch (Refused& refused) {
      refused.diagnostic.message = fmt::format("in view \"{}\": {}", view.name, refused.diagnostic.message);
      refused.diagnostic.span = at;
      throw;
    }
    newest_ = around;
    for (Column& column : rows.columns) column.span = at;
    rename(rows, view.definition->column_aliases);
    rows.qualifier = view.name;
    return rows;
  }
  /// A WITH query is written once, however often it is read.
  Rows with(Cte& cte) {
    if (!cte.rows) {
      Cte* const around = std::exchange(newest_, cte.before);
      Rows rows = select(*cte.cte->select);
      newest_ = around;
      rename(rows, cte.cte->column_aliases);
      cte.rows = std::move(rows);
    }
    Rows rows = *cte.rows;
    rows.qualifier = cte.cte->name;
    return rows;
  }
  Rows window(const UnboundFrom& f) {
    if (f.name != "tumble" && f.name != "hop") has_no_box(fmt::format("{}()", f.name), f.name_span);
    const size_t wanted = f.name == "hop" ? 4 : 3;
    for (size_t i = 0; i < f.args.size(); ++i) {
      const bool named = i < f.arg_names.size() && !f.arg_names[i].empty();
      if (i < wanted && !named) continue;
      has_no_box(
          named ? fmt::format("{} => of {}()", f.arg_names[i], f.name) : fmt::format("the offset of {}()", f.name),
          f.args[i]->span, "windows of an aggregate box begin at multiples of 'advance' from 1970 on");
    }
    const UnboundExpr& of = *f.args[0];
    if (of.kind == UnboundExpr::Kind::kCall) has_no_box(fmt::format("{}()", of.text), of.span);
    Rows rows = of.kind == UnboundExpr::Kind::kSubquery ? select(*of.subquery) : relation(of.names[0], of.span);
    const Column& time = find_column(rows, *f.args[1]);
    rows.time = static_cast<size_t>(&time - rows.columns.data());
    rows.size_us = length(*f.args[wanted - 1]);
    rows.slide_us = length(*f.args[2]);
    rows.has_window = true;
    rows.window_span = f.span;
    if (rows.qualifier.empty()) rows.qualifier = f.name;
    return rows;
  }
  /// An interval that is always as long.
  static Micros length(const UnboundExpr& e) {
    const UnboundExpr& literal = e.kind == UnboundExpr::Kind::kCast ? *e.args[0] : e;
    if (literal.kind != UnboundExpr::Kind::kString) has_no_box("a window of computed length", e.span);
    const auto value = expr::parse_value(literal.text, batch::Type::kInterval, e.span);
    const auto* interval = value ? std::get_if<base::Interval>(&*value) : nullptr;
    if (interval == nullptr || interval->months != 0)
      has_no_box("a window by the calendar", e.span, "'window-size' is in seconds");
    return interval->micros + interval->days * 24 * 3600 * base::kMicrosPerSecond;
  }
  static std::string seconds(Micros length) {
    const Micros whole = length / base::kMicrosPerSecond, rest = length % base::kMicrosPerSecond;
    if (rest == 0) return std::to_string(whole);
    std::string text = fmt::format("{}.{:06}", whole, rest);
    while (text.back() == '0') text.pop_back();
    return text;
  }

  // --- SELECT
  Rows select(const UnboundSelect& s) {
    if (nested_ == kNestedMax)
      refuse("54001", fmt::format("subqueries are nested more than {} levels deep", kNestedMax), s.span);
    ++nested_;
    Cte* const around = newest_;
    for (const plan::UnboundCte& cte : s.ctes) {
      ctes_.push_back({&cte, newest_, std::nullopt});
      newest_ = &ctes_.back();
    }
    Rows rows = s.set_op == UnboundSelect::SetOp::kNone ? rows_of(s) : union_of(s);
    newest_ = around;
    --nested_;
    return rows;
  }
  static void check_order(const UnboundSelect& s) {
    const base::SourceSpan at = !s.order_by.empty() ? s.order_by[0].expr->span : s.limit ? s.limit->span : s.span;
    if (!s.order_by.empty() && (s.limit || s.offset)) has_no_box("ORDER BY … LIMIT", at);
    if (!s.order_by.empty()) has_no_box("ORDER BY", at, "the rows are the same without it");
    if (s.limit || s.offset) has_no_box(s.limit ? "LIMIT" : "OFFSET", s.limit ? at : s.offset->span);
  }
  Rows rows_of(const UnboundSelect& s) {
    check_order(s);
    if (s.distinct || !s.distinct_on.empty())
      has_no_box("DISTINCT", s.span, "GROUP BY has the rows without their like");
    if (s.from.size() != 1) has_no_box(s.from.empty() ? "SELECT without FROM" : "several relations in FROM", s.span);
    Rows rows = from(*s.from[0]);
    RowMeanings meanings(*this, rows);
    ExpressionWriter over_rows(meanings);
    if (s.where) add_filter(rows, over_rows.condition(*s.where).text);
    std::vector<Target> targets;
    if (s.group_by.empty() && !s.having) {
      if (rows.has_window) has_no_box("a window without GROUP BY", rows.window_span);
      targets = row_targets(s, rows, over_rows);
    } else {
      targets = group(s, rows, over_rows);
    }
    may_fail_ = may_fail_ || over_rows.may_fail();
    return computed(std::move(rows), std::move(targets), s.span);
  }
  std::vector<Target> row_targets(const UnboundSelect& s, const Rows& rows, ExpressionWriter& over_rows) {
    std::vector<Target> targets;
    for (size_t i = 0; i < s.targets.size(); ++i) {
      const UnboundExpr& e = *s.targets[i].expr;
      if (e.kind == UnboundExpr::Kind::kStar) {
        for (const Column& column : rows.columns) {
          if (!column.hidden) targets.push_back({column.name, e.span, field_of(column)});
        }
        continue;
      }
      const bool is_column = e.kind == UnboundExpr::Kind::kColumn;
      targets.push_back(
          {target_name(s.targets[i], i), e.span, is_column ? field_of(find_column(rows, e)) : over_rows.write(e)});
    }
    return targets;
  }
  /// What a GROUP BY says may be a column, the place of an output, or the name of one.
  static const UnboundExpr& group_item(const UnboundSelect& s, const Rows& rows, const UnboundExpr& item) {
    if (item.kind == UnboundExpr::Kind::kInteger) {
      const size_t place = static_cast<size_t>(std::atoll(item.text.c_str()));
      return place >= 1 && place <= s.targets.size() ? *s.targets[place - 1].expr : item;
    }
    if (item.kind != UnboundExpr::Kind::kColumn || item.names.size() != 1 || is_window(rows, item) ||
        look_up(rows, item) != nullptr)
      return item;
    for (size_t i = 0; i < s.targets.size(); ++i) {
      if (target_name(s.targets[i], i) == item.names[0]) return *s.targets[i].expr;
    }
    return item;
  }
  std::vector<Target> group(const UnboundSelect& s, Rows& rows, ExpressionWriter& over_rows_before) {
    Groups groups;
    const Column* time = nullptr;
    std::vector<const UnboundExpr*> items;
    for (const auto& each : s.group_by) items.push_back(&group_item(s, rows, *each));
    if (rows.has_window) {
      time = &rows.columns[rows.time];
      groups.size_us = rows.size_us;
      groups.slide_us = rows.slide_us;
    } else {  // In the windows that the rows come in: each of them a window of its own.
      for (const UnboundExpr* item : items) {
        const Column* column = item->kind == UnboundExpr::Kind::kColumn ? look_up(rows, *item) : nullptr;
        if (column != nullptr && column->slide_us > 0 && time == nullptr) time = column;
      }
      if (time == nullptr) {
        has_no_box("GROUP BY in windows that differ", s.group_by.empty() ? s.span : s.group_by[0]->span,
                   "tumble() and hop() over what is read give it windows");
      }
      groups.size_us = groups.slide_us = time->slide_us;
    }
    read(*time, rows.window_span);
    groups.time_field = time->field;
    groups.taken.insert(groups.time_field);

    // Keys that are no fields yet become such in a map before the aggregate; names of fields that it passes on stay.
    std::set<std::string> taken;
    for (const Column& column : rows.columns) taken.insert(column.field);
    std::vector<Target> targets;
    bool computes = false;
    RowMeanings of_keys(*this, rows), of_functions(*this, rows);
    ExpressionWriter key_writer(of_keys), over_rows(of_functions);
    for (const UnboundExpr* item : items) {
      if (is_start(rows, *item, groups)) continue;
      Groups::Key key{item, key_writer.write(*item), {}};
      if (key.value.kind == SqlKind::kCondition)
        refuse("0A000", "a condition is no field to group by", item->span, "CASE WHEN … THEN 1 ELSE 0 END");
      if (key.value.kind == SqlKind::kLiteral) key.value.kind = SqlKind::kText;
      key.field = key.value.field;
      const bool known = std::any_of(groups.keys.begin(), groups.keys.end(),
                                     [&](const Groups::Key& each) { return same(*each.e, *item); });
      if (known) continue;
      // The time itself as a key would be a field of the window's name.
      if (key.field.empty() || key.field == groups.time_field) {
        computes = true;
        std::string wanted = "key";
        for (size_t i = 0; i < s.targets.size(); ++i) {
          if (same(*s.targets[i].expr, *item) && is_plain_field(target_name(s.targets[i], i)))
            wanted = target_name(s.targets[i], i);
        }
        key.field = free_name(wanted, taken);
      }
      groups.taken.insert(key.field);
      groups.keys.push_back(std::move(key));
    }

    GroupMeanings meanings(*this, rows, groups, over_rows);
    ExpressionWriter over_groups(meanings);
    for (size_t i = 0; i < s.targets.size(); ++i) {
      const UnboundExpr& e = *s.targets[i].expr;
      Target target{target_name(s.targets[i], i), e.span, {}};
      meanings.wanted_name = is_aggregate(e) ? target.name : "";
      target.value = over_groups.write(e);
      targets.push_back(std::move(target));
    }
    meanings.wanted_name.clear();
    std::optional<Written> having;
    if (s.having) having = over_groups.condition(*s.having);
    may_fail_ = may_fail_ || over_rows_before.may_fail() || key_writer.may_fail() || over_rows.may_fail() ||
                over_groups.may_fail();
    if (groups.functions.empty())
      groups.functions.push_back({"count()", free_name("count", groups.taken), SqlKind::kInteger});

    if (computes) {
      std::vector<std::pair<std::string, std::string>> outputs{{field_text(groups.time_field), groups.time_field}};
      std::set<std::string> passed{groups.time_field};
      const auto pass = [&](const std::string& text, const std::string& field) {
        if (passed.insert(field).second) outputs.emplace_back(text, field);
      };
      for (const Groups::Key& key : groups.keys) pass(key.value.text, key.field);
      for (const std::string& field : of_functions.read) pass(field_text(field), field);
      rows.stream = add_map(rows.stream, outputs, s.span);
    }
    add_aggregate(rows, groups, s.span);
    if (having) add_filter(rows, having->text);
    return targets;
  }
  void add_aggregate(Rows& rows, const Groups& groups, base::SourceSpan at) {
    if (groups.functions.size() > kFieldsMax)
      refuse("54000", fmt::format("an aggregate box would have more than {} functions", kFieldsMax), at);
    WrittenBox& box = add_box("aggregate", {rows.stream});
    std::vector<std::string>& fields = fields_of_[box.output];
    std::string keys;
    for (const Groups::Key& key : groups.keys) {
      if (std::find(fields.begin(), fields.end(), key.field) != fields.end()) continue;
      keys += fmt::format("{}{}", keys.empty() ? "" : ", ", field_text(key.field));
      fields.push_back(key.field);
    }
    fields.push_back(groups.time_field);
    for (size_t i = 0; i < groups.functions.size(); ++i) {
      put(box, fmt::format("aggregate-function.{}", i), groups.functions[i].text);
      put(box, fmt::format("aggregate-function-output-name.{}", i), groups.functions[i].name);
      fields.push_back(groups.functions[i].name);
    }
    if (!keys.empty()) put(box, "group-by", std::move(keys));
    put(box, "window-size-by", "VALUES");
    put(box, "window-size", seconds(groups.size_us));
    put(box, "advance", seconds(groups.slide_us));
    put(box, "order-by", "FIELD");
    put(box, "order-on-field", field_text(groups.time_field));
    put(box, "independent-window-alignment", "1");
    put(box, "drop-empty-outputs", "1");
    rows.stream = box.output;
  }
  /// The rows of a SELECT: values that are no fields become such in a map.
  Rows computed(Rows rows, std::vector<Target> targets, base::SourceSpan at) {
    Rows made;
    std::vector<std::pair<std::string, std::string>> outputs;
    std::set<std::string> taken;
    const bool computes =
        std::any_of(targets.begin(), targets.end(), [](const Target& target) { return target.value.field.empty(); });
    for (size_t i = 0; i < targets.size(); ++i) {
      Target& target = targets[i];
      Column& column = made.columns.emplace_back();
      if (target.value.kind == SqlKind::kCondition && target.value.field.empty())
        refuse("0A000", "a condition is no field", target.span, "CASE WHEN … THEN 1 ELSE 0 END");
      if (target.value.kind == SqlKind::kLiteral) target.value.kind = SqlKind::kText;
      column.name = target.name;
      column.span = target.span;
      column.kind = target.value.kind;
      column.is_natural = target.value.is_natural;
      column.slide_us = target.value.slide_us;
      const auto source = std::find_if(rows.columns.begin(), rows.columns.end(), [&](const Column& each) {
        return each.input >= 0 && each.field == target.value.field;
      });
      const bool is_of_input = source != rows.columns.end() && !fields_of_.contains(rows.stream);
      if (computes) {
        if (is_of_input) read(*source, target.span);
        column.field = free_name(is_plain_field(target.name) ? target.name : fmt::format("column_{}", i + 1), taken);
        outputs.emplace_back(target.value.text, column.field);
        continue;
      }
      column.field = target.value.field;
      if (is_of_input) {
        column.input = source->input;
        column.number = source->number;
        column.type = source->type;
      }
    }
    made.stream = computes ? add_map(rows.stream, outputs, at) : std::move(rows.stream);
    return made;
  }

  // --- UNION ALL
  Rows union_of(const UnboundSelect& s) {
    using Op = UnboundSelect::SetOp;
    check_order(s);
    std::vector<const UnboundSelect*> branches, left{&s};
    while (!left.empty()) {
      const UnboundSelect& branch = *left.back();
      left.pop_back();
      const bool is_plain = branch.order_by.empty() && !branch.limit && !branch.offset;
      if (branch.set_op == Op::kNone || (&branch != &s && (!branch.ctes.empty() || !is_plain))) {
        branches.push_back(&branch);
        continue;
      }
      if (branch.set_op != Op::kUnion || !branch.set_all) {
        has_no_box(branch.set_op == Op::kUnion    ? "UNION without ALL"
                   : branch.set_op == Op::kExcept ? "EXCEPT"
                                                  : "INTERSECT",
                   branch.span);
      }
      left.push_back(branch.right.get());
      left.push_back(branch.left.get());
    }
    if (branches.size() > kPortsMax)
      refuse("54000", fmt::format("a union box has at most {} inputs", kPortsMax), s.span);
    std::vector<Rows> inputs;
    for (const UnboundSelect* branch : branches) inputs.push_back(select(*branch));
    Rows made = united(branches, inputs);
    std::vector<std::string> names;
    for (const Column& column : made.columns) names.push_back(column.field);
    std::vector<std::string> streams;
    for (size_t i = 0; i < inputs.size(); ++i) {
      std::string stream = branch_stream(*branches[i], inputs[i], made.columns, names);
      if (std::find(streams.begin(), streams.end(), stream) != streams.end()) {
        std::vector<std::pair<std::string, std::string>> outputs;
        for (const std::string& name : names) outputs.emplace_back(field_text(name), name);
        stream = add_map(stream, outputs, branches[i]->span);
      }
      streams.push_back(std::move(stream));
    }
    WrittenBox& box = add_box("union", std::move(streams));
    fields_of_[box.output] = std::move(names);
    made.stream = box.output;
    return made;
  }
  /// What the columns of all branches are together.
  static Rows united(const std::vector<const UnboundSelect*>& branches, const std::vector<Rows>& inputs) {
    Rows made;
    std::set<std::string> taken;
    for (size_t c = 0; c < inputs[0].columns.size(); ++c) {
      Column column;
      column.name = inputs[0].columns[c].name;
      column.field = free_name(is_plain_field(column.name) ? column.name : fmt::format("column_{}", c + 1), taken);
      column.kind = inputs[0].columns[c].kind;
      column.slide_us = inputs[0].columns[c].slide_us;
      column.is_natural = true;
      for (size_t i = 0; i < inputs.size(); ++i) {
        const Column& of = inputs[i].columns[c];
        column.kind = common_kind(column.kind, of.kind, place_of(*branches[i], c));
        column.is_natural = column.is_natural && of.is_natural;
        if (of.slide_us != column.slide_us) column.slide_us = 0;
      }
      made.columns.push_back(std::move(column));
    }
    return made;
  }
  std::string branch_stream(const UnboundSelect& branch, const Rows& rows, const std::vector<Column>& columns,
                            const std::vector<std::string>& names) {
    bool converts = false;
    std::vector<std::pair<std::string, std::string>> outputs;
    for (size_t c = 0; c < columns.size(); ++c) {
      const Column& of = rows.columns[c];
      const bool to_real = columns[c].kind == SqlKind::kReal && of.kind == SqlKind::kInteger;
      Written value = read(of, of.span);
      if (to_real) value = as_real(std::move(value));
      converts = converts || to_real;
      outputs.emplace_back(value.text, names[c]);
    }
    return !converts && is_exactly(rows, names) ? rows.stream : add_map(rows.stream, outputs, branch.span);
  }

  // --- the document
  void write_options(const plan::UnboundStatement& statement) {
    std::string on_error;
    for (const plan::UnboundOption& option : statement.options) {
      const bool is_name = !option.name.empty() && std::all_of(option.name.begin(), option.name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
               c == '-';
      });
      if (!is_name) refuse("0A000", fmt::format("no attribute of XML is called \"{}\"", option.name), option.span);
      diagram_.options.emplace_back(option.name, option.has_value ? option.value : "true");
      if (option.name == "on_error") on_error = option.value;
    }
    // A diagram leaves out what has no result, SQL has null there.
    if (on_error.empty() && may_fail_) {
      on_error = "null";
      diagram_.options.emplace_back("on_error", on_error);
    }
    for (WrittenInput& input : diagram_.inputs) {
      if (input.columns.empty()) input.columns.insert(static_cast<size_t>(std::max(0, input.relation->time_column)));
    }
    if (!reads_addresses_) return;
    diagram_.comments.emplace_back("An address a.b.c.d is the number ((a * 256 + b) * 256 + c) * 256 + d: IPv4 only.");
    if (on_error == "null") diagram_.comments.emplace_back("One of IPv6 is null, and counted as an error.");
    else if (on_error != "fail") diagram_.comments.emplace_back("Flows of IPv6 are left out, and counted as errors.");
  }

  const plan::Catalog& catalog_;
  WrittenDiagram diagram_;
  std::map<std::string, std::vector<std::string>> fields_of_;  ///< by stream that a box makes, but filters of inputs
  std::set<std::string> taken_;                                ///< names of boxes and the streams that they write
  std::deque<Cte> ctes_;
  Cte* newest_ = nullptr;  ///< of those that can be named
  base::SourceSpan whole_;
  size_t octets_ = 0;  ///< of parameters
  uint32_t nested_ = 0;
  bool may_fail_ = false, reads_addresses_ = false;
};

}  // namespace

base::Result<std::string> to_xml(const plan::UnboundStatement& statement, const plan::Catalog& catalog) {
  using Kind = plan::UnboundStatement::Kind;
  if ((statement.kind != Kind::kSelect && statement.kind != Kind::kCreateMaterializedView) || !statement.select)
    return base::fail("0A000", "only a query of SQL is written as a diagram", statement.span);
  const auto query = plan::bind(statement, "", catalog);
  if (!query) return tl::unexpected(query.error());
  try {
    return Writer(catalog).statement(statement, *query);
  } catch (Refused& refused) {
    return tl::unexpected(std::move(refused.diagnostic));
  }
}

}  // namespace backstream::borealis
