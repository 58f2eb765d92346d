#include "plan/unbound_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>

#include "plan/sql_text.h"

namespace backstream::plan {
namespace {

using enum Tightness;
using Expr = UnboundExpr;

constexpr size_t kColumnsMax = 120, kIndentMax = 60;

struct Text {
  std::string text;
  Tightness tightness = kWhole;
};

std::string commas(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) {
    if (!text.empty()) text += ", ";
    text += item;
  }
  return text;
}

/// As people write types that have several names.
std::string type_text(std::string_view type) {
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {{"smallint", "smallint"},
                                                                      {"integer", "integer"},
                                                                      {"bigint", "bigint"},
                                                                      {"real", "real"},
                                                                      {"double precision", "double precision"},
                                                                      {"boolean", "boolean"},
                                                                      {"interval", "interval"},
                                                                      {"numeric", "numeric"},
                                                                      {"character varying", "varchar"},
                                                                      {"timestamp with time zone", "timestamptz"},
                                                                      {"timestamp without time zone", "timestamp"},
                                                                      {"time with time zone", "timetz"},
                                                                      {"time without time zone", "time"}};
  std::string_view plain = type;
  while (plain.ends_with("[]")) plain.remove_suffix(2);
  const std::string_view arrays = type.substr(plain.size());
  for (const auto& [name, written] : kTypes) {
    if (plain == name) return fmt::format("{}{}", written, arrays);
  }
  return fmt::format("{}{}", sql_name(plain, SqlPlace::kFunction), arrays);
}

std::string_view box_type(UnboundBoxes::Box::Kind kind) {
  constexpr std::string_view kTypes[] = {"filter", "map", "union", "bsort", "aggregate", "join", "waitfor"};
  return kTypes[static_cast<size_t>(kind)];
}

/// What SQL has instead of a box; empty: the box itself.
std::string_view instead_of(UnboundBoxes::Box::Kind kind) {
  using Kind = UnboundBoxes::Box::Kind;
  switch (kind) {
    case Kind::kFilter:
    case Kind::kMap:
    case Kind::kUnion: return "";
    case Kind::kSort: return "SQL orders the rows of a window: ORDER BY behind GROUP BY window_start";
    case Kind::kAggregate:
      return "an aggregate is SQL where its windows are VALUES of the event time, with independent-window-alignment=1 "
             "and "
             "drop-empty-outputs=1, and without firstval, lastval, slack and timeout";
    case Kind::kJoin:
      return "SQL joins streams within a time: a JOIN b ON ... AND b.time BETWEEN a.time AND a.time + interval '1 min'";
    case Kind::kWaitFor:
      return "SQL joins streams within a time: a JOIN b ON ... AND b.time BETWEEN a.time - interval '1 min' AND a.time";
  }
  return "";
}

class Writer {
 public:
  base::Result<std::string> statement(const UnboundStatement& statement) {
    using Kind = UnboundStatement::Kind;
    if (statement.kind == Kind::kCreateMaterializedView || statement.kind == Kind::kCreateView) {
      create(statement);
    } else if (statement.kind != Kind::kSelect) {
      return base::fail("0A000", "only a query is written as SQL", statement.span);
    }
    assert(statement.select != nullptr);
    select(*statement.select);
    if (statement.with_no_data) out_ += "\nWITH NO DATA";
    if (refusal_) return tl::unexpected(*std::move(refusal_));
    return std::move(out_) + ";\n";
  }

 private:
  /// One level of nesting while it lives. What is too deep is not written.
  class Deeper {
   public:
    Deeper(Writer& writer, base::SourceSpan span) : writer_(writer) {
      if (++writer_.depth_ > kSqlDepthMax) {
        writer_.refuse(base::fail("54001", fmt::format("this is nested more than {} levels deep", kSqlDepthMax), span));
      }
    }
    ~Deeper() { --writer_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Writer& writer_;
  };

  void refuse(tl::unexpected<base::Diagnostic> why) {
    if (!refusal_) refusal_ = std::move(why.value());
  }

  // --- layout
  size_t column() const {
    const size_t line = out_.rfind('\n');
    return line == std::string::npos ? out_.size() : out_.size() - line - 1;
  }
  void new_line(size_t columns) {
    if (on_one_line_) {
      out_ += ' ';
    } else {
      out_ += '\n';
      out_.append(std::min(columns, kIndentMax), ' ');
    }
  }
  bool fits(size_t octets) const { return on_one_line_ || column() + octets <= kColumnsMax; }
  /// With commas between; where a line would be too long, another begins under the first item.
  void list(const std::vector<std::string>& items) {
    const size_t begin = column();
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) {
        out_ += ',';
        if (fits(1 + items[i].size() + 1)) {
          out_ += ' ';
        } else {
          new_line(begin);
        }
      }
      out_ += items[i];
    }
  }
  /// "WHERE a AND b": where a line would be too long, the next begins with AND, which ends where the word does.
  void condition(std::string_view word, const Expr& e) {
    new_line(indent_);
    out_ += word;
    out_ += ' ';
    if (e.kind != Expr::Kind::kAnd) {
      out_ += within(e, kOr);
      return;
    }
    for (size_t i = 0; i < e.args.size(); ++i) {
      const std::string part = within(*e.args[i], i == 0 ? kAnd : kNot);
      if (i > 0) {
        if (fits(part.size() + 5)) {
          out_ += ' ';
        } else {
          new_line(indent_ + word.size() - 3);
        }
        out_ += "AND ";
      }
      out_ += part;
    }
  }
  void nested(const UnboundSelect& s) {
    out_ += '(';
    const size_t around = std::exchange(indent_, std::min(column(), kIndentMax));
    select(s);
    indent_ = around;
    out_ += ')';
  }
  std::string on_one_line(const UnboundSelect& s) {
    std::string around = std::exchange(out_, {});
    const bool was = std::exchange(on_one_line_, true);
    nested(s);
    on_one_line_ = was;
    return std::exchange(out_, std::move(around));
  }

  // --- statements
  void create(const UnboundStatement& statement) {
    const bool materialized = statement.kind == UnboundStatement::Kind::kCreateMaterializedView;
    out_ = fmt::format("CREATE {}{} {}{}", statement.or_replace ? "OR REPLACE " : "",
                       materialized ? "MATERIALIZED VIEW" : "VIEW", statement.if_exists ? "IF NOT EXISTS " : "",
                       sql_name(statement.name, SqlPlace::kName));
    columns(statement.column_aliases);
    if (!statement.options.empty()) {
      std::vector<std::string> options;
      for (const UnboundOption& option : statement.options) options.push_back(option_text(option));
      new_line(0);
      out_ += "WITH (";
      list(options);
      out_ += ')';
    }
    out_ += " AS\n";
  }
  static std::string option_text(const UnboundOption& option) {
    // alert.when is two words to the parser, as long as there are no more.
    const size_t dot = option.name.find('.');
    const bool in_space = dot != std::string::npos && dot > 0 && dot + 1 < option.name.size() &&
                          option.name.find('.', dot + 1) == std::string::npos;
    std::string text =
        in_space ? fmt::format("{}.{}", sql_name(std::string_view(option.name).substr(0, dot), SqlPlace::kLabel),
                               sql_name(std::string_view(option.name).substr(dot + 1), SqlPlace::kLabel))
                 : sql_name(option.name, SqlPlace::kLabel);
    if (!option.has_value) return text;
    constexpr size_t kDigitsMax = 18;
    const bool number = !option.value.empty() && option.value.size() <= kDigitsMax &&
                        option.value.find_first_not_of("0123456789") == std::string::npos;
    return fmt::format("{} = {}", text, number ? option.value : sql_quoted(option.value));
  }
  void columns(const std::vector<std::string>& names) {
    if (names.empty()) return;
    out_ += " (";
    list(column_names(names));
    out_ += ')';
  }
  static std::vector<std::string> column_names(const std::vector<std::string>& names) {
    std::vector<std::string> texts;
    for (const std::string& name : names) texts.push_back(sql_name(name, SqlPlace::kName));
    return texts;
  }

  // --- SELECT
  void select(const UnboundSelect& s) {
    const Deeper deeper(*this, s.span);
    if (refusal_) return;
    ctes(s);
    if (s.set_op != UnboundSelect::SetOp::kNone) {
      set_operation(s);
    } else {
      rows(s);
    }
    if (!s.order_by.empty()) {
      new_line(indent_);
      out_ += "ORDER BY ";
      list(order(s.order_by));
    }
    if (s.limit && !s.with_ties) {
      new_line(indent_);
      out_ += "LIMIT " + within(*s.limit, kOr);
    }
    if (s.offset) {
      out_ += s.limit && !s.with_ties ? " OFFSET " : (new_line(indent_), "OFFSET ");
      out_ += within(*s.offset, kOr);
    }
    if (s.limit && s.with_ties) {
      new_line(indent_);
      out_ += fmt::format("FETCH FIRST {} ROWS WITH TIES", within(*s.limit, kWhole));
    }
  }
  void ctes(const UnboundSelect& s) {
    for (size_t i = 0; i < s.ctes.size(); ++i) {
      const UnboundCte& cte = s.ctes[i];
      if (i > 0) {
        out_ += ',';
        new_line(indent_);
      }
      out_ += fmt::format("{}{}", i == 0 ? "WITH " : "     ", sql_name(cte.name, SqlPlace::kName));
      columns(cte.column_aliases);
      out_ += " AS ";
      nested(*cte.select);
    }
    if (!s.ctes.empty()) new_line(indent_);
  }
  void set_operation(const UnboundSelect& s) {
    using Op = UnboundSelect::SetOp;
    const auto level = [](const UnboundSelect& branch) {
      return branch.set_op == Op::kNone ? 2 : branch.set_op == Op::kIntersect ? 1 : 0;
    };
    const auto branch = [&](const UnboundSelect& of, int least) {
      const bool whole = !of.ctes.empty() || !of.order_by.empty() || of.limit || of.offset || level(of) < least;
      whole ? nested(of) : select(of);
    };
    branch(*s.left, level(s));
    new_line(indent_);
    out_ += s.set_op == Op::kUnion ? "UNION" : s.set_op == Op::kIntersect ? "INTERSECT" : "EXCEPT";
    if (s.set_all) out_ += " ALL";
    new_line(indent_);
    branch(*s.right, level(s) + 1);
  }
  void rows(const UnboundSelect& s) {
    out_ += "SELECT ";
    if (s.distinct) out_ += "DISTINCT ";
    if (!s.distinct_on.empty()) out_ += fmt::format("DISTINCT ON ({}) ", commas(texts(s.distinct_on)));
    std::vector<std::string> targets;
    for (const UnboundTarget& target : s.targets) {
      targets.push_back(within(*target.expr, kOr));
      if (!target.alias.empty()) targets.back() += " AS " + sql_name(target.alias, SqlPlace::kLabel);
    }
    list(targets);
    for (size_t i = 0; i < s.from.size(); ++i) {
      if (i == 0) {
        new_line(indent_);
        out_ += "FROM ";
      } else {
        out_ += ',';
        new_line(indent_ + 5);
      }
      from(*s.from[i]);
    }
    if (s.where) condition("WHERE", *s.where);
    if (!s.group_by.empty()) {
      new_line(indent_);
      out_ += "GROUP BY ";
      list(texts(s.group_by));
    }
    if (s.having) condition("HAVING", *s.having);
  }
  std::vector<std::string> order(const std::vector<UnboundOrder>& keys) {
    std::vector<std::string> out;
    for (const UnboundOrder& key : keys) {
      out.push_back(within(*key.expr, kOr));
      if (key.descending) out.back() += " DESC";
      if (key.nulls_first) out.back() += *key.nulls_first ? " NULLS FIRST" : " NULLS LAST";
    }
    return out;
  }

  // --- FROM
  void from(const UnboundFrom& f) {
    const Deeper deeper(*this, f.span);
    if (refusal_) return;
    if (f.lateral) out_ += "LATERAL ";
    switch (f.kind) {
      case UnboundFrom::Kind::kRelation: out_ += sql_name(f.name, SqlPlace::kName); break;
      case UnboundFrom::Kind::kFunction: function(f); break;
      case UnboundFrom::Kind::kSubquery: nested(*f.subquery); break;
      case UnboundFrom::Kind::kJoin: return join(f);
      case UnboundFrom::Kind::kBoxes: return boxes(*f.boxes, f.span);
    }
    // With AS, as there are words that stand for nothing else without.
    if (!f.alias.empty()) out_ += " AS " + sql_name(f.alias, SqlPlace::kName);
    columns(f.column_aliases);
  }
  void function(const UnboundFrom& f) {
    out_ += sql_name(f.name, SqlPlace::kFunction) + '(';
    const auto name = [&](size_t i) { return i < f.arg_names.size() ? f.arg_names[i] : std::string(); };
    for (size_t i = 0; i < f.args.size(); ++i) {
      if (i > 0) out_ += ", ";
      const Expr& arg = *f.args[i];
      if (!name(i).empty()) {
        // partition_by => (a, b) are arguments of one name.
        size_t end = i + 1;
        while (end < f.args.size() && name(end) == name(i)) ++end;
        std::vector<std::string> values;
        for (size_t k = i; k < end; ++k) values.push_back(within(*f.args[k], kOr));
        const std::string all = commas(values);
        out_ +=
            fmt::format("{} => {}", sql_name(name(i), SqlPlace::kFunction), values.size() > 1 ? '(' + all + ')' : all);
        i = end - 1;
      } else if (arg.kind == Expr::Kind::kSubquery && arg.op.empty()) {
        nested(*arg.subquery);
      } else {
        out_ += within(arg, kOr);
      }
    }
    out_ += ')';
  }
  void join(const UnboundFrom& f) {
    from(*f.left);
    new_line(indent_ + 5);
    switch (f.join) {
      case UnboundFrom::Join::kInner: break;
      case UnboundFrom::Join::kLeft: out_ += "LEFT "; break;
      case UnboundFrom::Join::kRight: out_ += "RIGHT "; break;
      case UnboundFrom::Join::kFull: out_ += "FULL "; break;
      case UnboundFrom::Join::kCross: out_ += "CROSS "; break;
    }
    out_ += "JOIN ";
    const bool whole = f.right->kind == UnboundFrom::Kind::kJoin;
    if (whole) out_ += '(';
    from(*f.right);
    if (whole) out_ += ')';
    if (f.on) out_ += " ON " + within(*f.on, kOr);
    if (!f.using_columns.empty()) out_ += fmt::format(" USING ({})", commas(column_names(f.using_columns)));
  }
  void boxes(const UnboundBoxes& boxes, base::SourceSpan around) {
    const auto found = std::find_if(boxes.boxes.begin(), boxes.boxes.end(),
                                    [](const UnboundBoxes::Box& box) { return !instead_of(box.kind).empty(); });
    if (found == boxes.boxes.end())
      return refuse(base::fail("0A000", "these boxes have no SQL that means the same", around));
    refuse(base::fail(
        "0A000", fmt::format("the box '{}' ({}) has no SQL that means the same", found->name, box_type(found->kind)),
        found->span, std::string(instead_of(found->kind))));
  }

  // --- expressions
  std::string within(const Expr& e, Tightness least) {
    Text text = write(e);
    return text.tightness >= least ? std::move(text.text) : fmt::format("({})", text.text);
  }
  std::vector<std::string> texts(const std::vector<UnboundExprPtr>& list, size_t first = 0) {
    std::vector<std::string> out;
    for (size_t i = first; i < list.size(); ++i) out.push_back(within(*list[i], kOr));
    return out;
  }
  std::string joined(const Expr& e, std::string_view separator, Tightness first, Tightness least) {
    std::string text;
    for (size_t i = 0; i < e.args.size(); ++i) {
      if (i > 0) text += separator;
      text += within(*e.args[i], i == 0 ? first : least);
    }
    return text;
  }

  Text write(const Expr& e) {
    const Deeper deeper(*this, e.span);
    if (refusal_) return {};
    const std::string_view no = e.negated ? "NOT " : "";
    switch (e.kind) {
      case Expr::Kind::kColumn:
      case Expr::Kind::kStar: return {name(e), kWhole};
      case Expr::Kind::kNull: return {"NULL", kWhole};
      case Expr::Kind::kBool: return {e.text, kWhole};
      case Expr::Kind::kInteger:
      case Expr::Kind::kFloat: return {e.text, e.text.starts_with('-') ? kSign : kWhole};
      case Expr::Kind::kString: return {sql_quoted(e.text), kWhole};
      case Expr::Kind::kCast: return {cast(e), kWhole};
      case Expr::Kind::kCall: return {call(e), kWhole};
      case Expr::Kind::kOperator: return operation(e);
      case Expr::Kind::kAnd: return {joined(e, " AND ", kAnd, kNot), kAnd};
      case Expr::Kind::kOr: return {joined(e, " OR ", kOr, kAnd), kOr};
      case Expr::Kind::kNot:
        if (const Expr& arg = *e.args[0]; arg.kind == Expr::Kind::kSubquery && arg.op == "in")
          return subquery(arg, "NOT ");
        return {"NOT " + within(*e.args[0], kNot), kNot};
      case Expr::Kind::kIsNull: return {fmt::format("{} IS {}NULL", within(*e.args[0], kOther), no), kComparison};
      case Expr::Kind::kIsTruth: {
        const std::string_view truth = e.op == "true" ? "TRUE" : e.op == "false" ? "FALSE" : "UNKNOWN";
        return {fmt::format("{} IS {}{}", within(*e.args[0], kOther), no, truth), kComparison};
      }
      case Expr::Kind::kDistinctFrom:
        return {fmt::format("{} IS {}DISTINCT FROM {}", within(*e.args[0], kOther), no, within(*e.args[1], kOther)),
                kComparison};
      case Expr::Kind::kCase: return {cases(e), kWhole};
      case Expr::Kind::kCoalesce: return word_call("coalesce", e);
      case Expr::Kind::kNullIf: return word_call("nullif", e);
      case Expr::Kind::kGreatest: return word_call("greatest", e);
      case Expr::Kind::kLeast: return word_call("least", e);
      case Expr::Kind::kBetween:
        return {fmt::format("{} {}BETWEEN {}{} AND {}", within(*e.args[0], kOther), no,
                            e.op.empty() ? "" : "SYMMETRIC ", within(*e.args[1], kOther), within(*e.args[2], kOther)),
                kComparison};
      case Expr::Kind::kInList:
        return {fmt::format("{} {}IN ({})", within(*e.args[0], kOther), no, commas(texts(e.args, 1))), kComparison};
      case Expr::Kind::kLike: {
        std::string text = fmt::format("{} {}{} {}", within(*e.args[0], kOther), no, e.op == "like" ? "LIKE" : "ILIKE",
                                       within(*e.args[1], kOther));
        if (e.args.size() > 2) text += " ESCAPE " + within(*e.args[2], kOther);
        return {std::move(text), kComparison};
      }
      case Expr::Kind::kAnyArray:
      case Expr::Kind::kAllArray:
        return {fmt::format("{} {} {} (ARRAY[{}])", within(*e.args[0], kOther), array_operator(e.op),
                            e.kind == Expr::Kind::kAnyArray ? "ANY" : "ALL", commas(texts(e.args, 1))),
                kComparison};
      case Expr::Kind::kAtTimeZone:
        return {fmt::format("{} AT TIME ZONE {}", within(*e.args[0], kSign), within(*e.args[1], kSign)), kComparison};
      case Expr::Kind::kSubquery: return subquery(e, "");
      case Expr::Kind::kParameterDefault: return {"DEFAULT", kWhole};
    }
    return {};
  }

  static std::string name(const Expr& e) {
    std::string text = e.names.empty() ? "" : sql_name(e.names[0], SqlPlace::kName);
    if (e.names.size() > 1) text += '.' + sql_name(e.names[1], SqlPlace::kLabel);
    if (e.kind == Expr::Kind::kStar) text += e.names.empty() ? "*" : ".*";
    return text;
  }
  std::string cast(const Expr& e) {
    const bool text = e.args[0]->kind == Expr::Kind::kString;
    if (text && (e.text == "interval" || e.text == "timestamp with time zone"))
      return fmt::format("{} {}", type_text(e.text), sql_quoted(e.args[0]->text));
    return fmt::format("{}::{}", within(*e.args[0], kWhole), type_text(e.text));
  }
  std::string cases(const Expr& e) {
    std::string text = "CASE";
    if (e.args[0]) text += ' ' + within(*e.args[0], kOr);
    for (size_t i = 1; i + 2 < e.args.size(); i += 2)
      text += fmt::format(" WHEN {} THEN {}", within(*e.args[i], kOr), within(*e.args[i + 1], kOr));
    if (e.args.back()) text += " ELSE " + within(*e.args.back(), kOr);
    return text + " END";
  }
  Text word_call(std::string_view word, const Expr& e) {
    return {fmt::format("{}({})", word, commas(texts(e.args))), kWhole};
  }
  static std::string_view array_operator(std::string_view op) {
    if (op == "~~") return "LIKE";
    if (op == "!~~") return "NOT LIKE";
    if (op == "~~*") return "ILIKE";
    return op == "!~~*" ? "NOT ILIKE" : op;
  }
  Text operation(const Expr& e) {
    // Two signs of one letter would be another operator, or a comment: their operand has parentheses.
    if (e.args.size() == 1) {
      const bool sign = e.op == "-" || e.op == "+";
      return {fmt::format("{}{}", e.op, within(*e.args[0], kWhole)), sign ? kSign : kOther};
    }
    const Tightness own = tightness_of(e.op);
    return {fmt::format("{} {} {}", within(*e.args[0], own == kComparison ? kOther : own), e.op,
                        within(*e.args[1], tighter(own))),
            own};
  }
  Text subquery(const Expr& e, std::string_view no) {
    std::string rows = on_one_line(*e.subquery);
    if (e.op == "exists") return {"EXISTS " + rows, kWhole};
    if (e.op == "in") return {fmt::format("{} {}IN {}", within(*e.args[0], kOther), no, rows), kComparison};
    return {std::move(rows), kWhole};
  }

  std::string call(const Expr& e) {
    constexpr std::string_view kWithoutBrackets[] = {
        "current_catalog", "current_date", "current_role",   "current_schema", "current_time", "current_timestamp",
        "current_user",    "localtime",    "localtimestamp", "session_user",   "user"};
    const bool plain = !e.star && !e.over && !e.filter && e.order_by.empty();
    if (plain && e.args.empty() &&
        std::find(std::begin(kWithoutBrackets), std::end(kWithoutBrackets), e.text) != std::end(kWithoutBrackets))
      return e.text;
    if (e.text == "extract" && plain && e.args.size() == 2 && e.args[0]->kind == Expr::Kind::kString) {
      const std::string& field = e.args[0]->text;
      const bool word = std::all_of(field.begin(), field.end(), [](char c) { return c >= 'a' && c <= 'z'; });
      if (word && sql_name(field, SqlPlace::kName) == field)
        return fmt::format("extract({} FROM {})", field, within(*e.args[1], kOr));
    }
    std::string args = e.star ? "*" : "";
    for (size_t i = 0; i < e.args.size(); ++i) {
      if (i > 0) args += ", ";
      if (i < e.arg_names.size() && !e.arg_names[i].empty())
        args += sql_name(e.arg_names[i], SqlPlace::kFunction) + " => ";
      args += within(*e.args[i], kOr);
    }
    const std::string ordered = e.order_by.empty() ? "" : fmt::format("ORDER BY {}", commas(order(e.order_by)));
    std::string text =
        fmt::format("{}({}{}", sql_name(e.text, SqlPlace::kFunction), e.distinct ? "DISTINCT " : "", args);
    if (!ordered.empty() && !e.within_group) text += ' ' + ordered;
    text += ')';
    if (e.within_group) text += fmt::format(" WITHIN GROUP ({})", ordered);
    if (e.filter) text += fmt::format(" FILTER (WHERE {})", within(*e.filter, kOr));
    if (e.over) text += fmt::format(" OVER ({})", over(*e.over));
    return text;
  }
  std::string over(const UnboundWindowSpec& spec) {
    std::string text;
    const auto part = [&](std::string_view words, const std::string& what) {
      text += fmt::format("{}{}{}", text.empty() ? "" : " ", words, what);
    };
    if (!spec.partition_by.empty()) part("PARTITION BY ", commas(texts(spec.partition_by)));
    if (!spec.order_by.empty()) part("ORDER BY ", commas(order(spec.order_by)));
    if (spec.frame) part("", frame(*spec.frame));
    return text;
  }
  std::string frame(const UnboundFrame& f) {
    constexpr std::string_view kUnits[] = {"ROWS", "RANGE", "GROUPS"};
    return fmt::format("{} BETWEEN {} AND {}{}", kUnits[static_cast<size_t>(f.unit)], bound(f.start, f.start_offset),
                       bound(f.end, f.end_offset), f.excludes ? " EXCLUDE CURRENT ROW" : "");
  }
  std::string bound(UnboundFrame::Bound kind, const UnboundExprPtr& offset) {
    using Bound = UnboundFrame::Bound;
    switch (kind) {
      case Bound::kUnboundedPreceding: return "UNBOUNDED PRECEDING";
      case Bound::kPreceding: return within(*offset, kOr) + " PRECEDING";
      case Bound::kCurrentRow: return "CURRENT ROW";
      case Bound::kFollowing: return within(*offset, kOr) + " FOLLOWING";
      case Bound::kUnboundedFollowing: return "UNBOUNDED FOLLOWING";
    }
    return "";
  }

  std::string out_;
  size_t indent_ = 0;  ///< where clauses of the SELECT under way begin
  size_t depth_ = 0;
  bool on_one_line_ = false;
  std::optional<base::Diagnostic> refusal_;  ///< the first
};

}  // namespace

base::Result<std::string> to_sql(const UnboundStatement& statement) { return Writer().statement(statement); }

}  // namespace backstream::plan
