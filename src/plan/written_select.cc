#include "plan/written_select.h"

#include <fmt/format.h>

#include <algorithm>

#include "plan/join_conditions.h"
#include "plan/share.h"
#include "plan/sql_text.h"

namespace backstream::plan {
namespace {

using expr::Expr;
using expr::ExprKind;
using expr::ExprPtr;

bool has_own_windows(const Stage& stage) {
  return stage.window.kind != Window::Kind::kInherited && stage.window.kind != Window::Kind::kNone;
}

class SelectWriter {
 public:
  SelectWriter(const WrittenSelect& select, SqlStyle style) : select_(select), stage_(select.stage), style_(style) {
    for (const batch::ColumnDef& column : stage_.input.columns) rows_.push_back({sql_name(column.name, style)});
    outputs_ = rows_;
    if (stage_.aggregates_rows) outputs_.clear();
    outputs_.push_back({sql_name(select_.window_start, style)});
    outputs_.push_back({sql_name(select_.window_end, style)});
    if (!stage_.aggregates_rows) return;
    for (const ExprPtr& key : stage_.keys)
      outputs_.push_back({to_sql(*key, rows_, style_), key->kind == ExprKind::kColumn});
    for (const AggregateCall& call : stage_.aggregates) outputs_.push_back({to_sql(call, rows_, style_)});
  }

  std::string text() const {
    std::string text = stage_.distinct ? "SELECT DISTINCT " : "SELECT ";
    for (size_t o = 0; o < stage_.output.columns.size(); ++o) {
      const std::string value = to_sql(*stage_.outputs[o], outputs_, style_);
      const std::string name = sql_name(stage_.output.columns[o].name, style_);
      text += fmt::format("{}{}{}", o > 0 ? ", " : "", value, value == name ? "" : " AS " + name);
    }
    text += " FROM " + from();
    // Rows that are not grouped have their window's ends in WHERE, too.
    if (stage_.where) text += " WHERE " + to_sql(*stage_.where, stage_.aggregates_rows ? rows_ : outputs_, style_);
    if (stage_.aggregates_rows) text += " GROUP BY " + group_by();
    if (stage_.having) text += " HAVING " + to_sql(*stage_.having, outputs_, style_);
    for (size_t k = 0; k < stage_.order_by.size(); ++k) {
      const SortKey& key = stage_.order_by[k];
      text += fmt::format("{}{}{}", k == 0 ? " ORDER BY " : ", ", sort_value(key), key.descending ? " DESC" : "");
      if (key.nulls_first != key.descending) text += key.nulls_first ? " NULLS FIRST" : " NULLS LAST";
    }
    if (stage_.limit) text += fmt::format(" LIMIT {}", *stage_.limit);
    if (stage_.offset != 0) text += fmt::format(" OFFSET {}", stage_.offset);
    return text;
  }

 private:
  std::string relation() const {
    std::string relation = sql_name(select_.relation, style_);
    const auto column = [&](int number) { return rows_[static_cast<size_t>(number)].text; };
    if (const auto& spread = stage_.spread) {
      return fmt::format("spread({}, {}, {}, {})", relation, column(spread->start_column), column(spread->end_column),
                         sql_interval(spread->pane_us));
    }
    if (select_.within.empty()) return relation;
    std::string conditions;
    for (const ExprPtr& condition : select_.within)
      conditions += (conditions.empty() ? "" : " AND ") + to_sql(*condition, rows_, style_);
    return fmt::format("(SELECT * FROM {} WHERE {})", relation, conditions);
  }
  std::string from() const {
    if (!has_own_windows(stage_)) return relation();
    const Window& window = stage_.window;
    std::string args = fmt::format("{}, {}", relation(), rows_[static_cast<size_t>(window.time_column)].text);
    if (window.calendar) return fmt::format("tumble({}, {})", args, calendar_args(*window.calendar));
    if (window.kind == Window::Kind::kSession) {
      std::string keys;
      for (const ExprPtr& key : stage_.keys) keys += (keys.empty() ? "" : ", ") + to_sql(*key, rows_, style_);
      return fmt::format("session({}, {}{})", args, sql_interval(window.size_us),
                         keys.empty() ? "" : fmt::format(", partition_by => ({})", keys));
    }
    const bool hop = window.kind == Window::Kind::kHop;
    if (hop) args += ", " + sql_interval(window.slide_us);
    args += ", " + sql_interval(window.size_us);
    if (window.offset_us != 0) args += ", " + sql_interval(window.offset_us);
    return fmt::format("{}({})", hop ? "hop" : "tumble", args);
  }
  /// From "1 month in Europe/Berlin, offset 9 d".
  static std::string calendar_args(const window::Calendar& calendar) {
    const std::string text = calendar.text();
    const std::string size = text.substr(0, text.find(" in "));
    const size_t offset = text.find(", offset ");
    return fmt::format("interval {}{}, timezone => {}", sql_quoted(size),
                       offset == std::string::npos
                           ? ""
                           : ", interval " + sql_quoted(text.substr(offset + std::string_view(", offset ").size())),
                       sql_quoted(calendar.zone().name()));
  }
  std::string group_by() const {
    std::string text = outputs_[0].text;
    const bool reads_end = std::any_of(stage_.outputs.begin(), stage_.outputs.end(), [](const ExprPtr& output) {
      bool reads = false;
      expr::walk(std::as_const(*output),
                 [&](const Expr& part) { reads |= part.kind == ExprKind::kColumn && part.column == 1; });
      return reads;
    });
    if (reads_end) text += ", " + outputs_[1].text;
    for (const ExprPtr& key : stage_.keys) text += ", " + to_sql(*key, rows_, style_);
    return text;
  }
  std::string sort_value(const SortKey& key) const {
    const auto& columns = stage_.output.columns;
    const auto index = static_cast<size_t>(key.output);
    if (index >= columns.size()) return to_sql(*stage_.outputs[index], outputs_, style_);
    const auto same_name = [&](const batch::ColumnDef& column) { return column.name == columns[index].name; };
    if (std::count_if(columns.begin(), columns.end(), same_name) == 1) return sql_name(columns[index].name, style_);
    return std::to_string(index + 1);
  }

  const WrittenSelect& select_;
  const Stage& stage_;
  const SqlStyle style_;
  std::vector<SqlColumn> rows_;     ///< by column of the relation
  std::vector<SqlColumn> outputs_;  ///< by column of what outputs read
};

bool same(const ExprPtr& a, const ExprPtr& b) { return a == nullptr || b == nullptr ? a == b : expr::equal(*a, *b); }

/// Whether a stage that was bound of the text is the one that was written.
class Check {
 public:
  Check(const WrittenSelect& select, const Query& bound)
      : select_(select), wanted_(select.stage), bound_(bound), stage_(bound.stages.back()) {}

  bool is_it() const {
    if (!bound_.inputs.empty() || bound_.source.name != select_.relation) return false;
    if (bound_.stages.size() != (select_.within.empty() ? 1 : 2) || !is_within()) return false;
    const bool same_rows = wanted_.aggregates_rows == stage_.aggregates_rows && wanted_.spread == stage_.spread &&
                           stage_.lookups.empty() && !stage_.analytic && same(wanted_.where, stage_.where);
    if (!same_rows || wanted_.keys.size() != stage_.keys.size()) return false;
    if (has_own_windows(wanted_) ? !same_window(wanted_.window, stage_.window) : has_own_windows(stage_)) return false;
    if (wanted_.distinct != stage_.distinct || wanted_.limit != stage_.limit || wanted_.offset != stage_.offset ||
        wanted_.order_by.size() != stage_.order_by.size())
      return false;
    for (size_t k = 0; k < wanted_.order_by.size(); ++k) {
      const SortKey &a = wanted_.order_by[k], &b = stage_.order_by[k];
      if (a.descending != b.descending || a.nulls_first != b.nulls_first ||
          !same_output(static_cast<size_t>(a.output), static_cast<size_t>(b.output)))
        return false;
    }
    if (wanted_.output.columns.size() != stage_.output.columns.size()) return false;
    for (size_t o = 0; o < wanted_.output.columns.size(); ++o) {
      if (wanted_.output.columns[o].name != stage_.output.columns[o].name || !same_output(o, o)) return false;
    }
    return (wanted_.having == nullptr) == (stage_.having == nullptr) &&
           (wanted_.having == nullptr || expr::equal(*wanted_.having, *renumbered(*stage_.having)));
  }

 private:
  bool is_within() const {
    if (select_.within.empty()) return true;
    const Stage& below = bound_.stages.front();
    const auto conditions = conjuncts_of(below.where);
    const bool same_conditions =
        std::equal(conditions.begin(), conditions.end(), select_.within.begin(), select_.within.end(),
                   [](const Expr* a, const ExprPtr& b) { return expr::equal(*a, *b); });
    bool all = below.outputs.size() == wanted_.input.columns.size();
    for (size_t o = 0; all && o < below.outputs.size(); ++o) {
      all = below.outputs[o]->kind == ExprKind::kColumn && below.outputs[o]->column == static_cast<int>(o);
    }
    return same_conditions && all && !below.aggregates_rows && !below.limit && !below.distinct;
  }
  bool same_output(size_t wanted, size_t bound) const {
    return expr::equal(*wanted_.outputs[wanted], *renumbered(*stage_.outputs[bound]));
  }
  /// With the columns of groups numbered as was wanted: keys and aggregates come in the order of the text.
  ExprPtr renumbered(const Expr& e) const {
    ExprPtr copy = expr::clone(e);
    if (!stage_.aggregates_rows) return copy;
    renumber(*copy, [&](int column) {
      if (column < 2) return column;
      const size_t at = static_cast<size_t>(column) - 2, keys = stage_.keys.size();
      const auto place = [](const auto& list, size_t first, auto&& is_it) {
        const auto found = std::find_if(list.begin(), list.end(), is_it);
        return found == list.end() ? -1 : static_cast<int>(first + static_cast<size_t>(found - list.begin()));
      };
      if (at < keys)
        return place(wanted_.keys, 2, [&](const ExprPtr& key) { return expr::equal(*key, *stage_.keys[at]); });
      return place(wanted_.aggregates, 2 + keys,
                   [&](const AggregateCall& call) { return same_aggregate(call, stage_.aggregates[at - keys]); });
    });
    return copy;
  }

  const WrittenSelect& select_;
  const Stage& wanted_;
  const Query& bound_;
  const Stage& stage_;
};

}  // namespace

std::string text_of(const WrittenSelect& select, const BindText& bind, const std::string& before) {
  for (const SqlStyle style : kSqlStyles) {
    std::string text = before + SelectWriter(select, style).text();
    if (const auto bound = bind(text); bound && Check(select, *bound).is_it()) return text;
  }
  return {};
}

std::vector<const Expr*> conjuncts_of(const ExprPtr& condition) {
  std::vector<const Expr*> all;
  if (!condition) return all;
  if (condition->kind != ExprKind::kAnd) return {condition.get()};
  for (const ExprPtr& arg : condition->args) all.push_back(arg.get());
  return all;
}

}  // namespace backstream::plan
