#include "plan/kept_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "expr/function.h"
#include "plan/bind.h"
#include "plan/join_conditions.h"
#include "plan/share.h"
#include "plan/sql_text.h"
#include "plan/written_select.h"

namespace backstream::plan {
namespace {

using batch::Type;
using expr::Expr;
using expr::ExprKind;
using expr::ExprPtr;

bool same(const ExprPtr& a, const ExprPtr& b) { return a == nullptr || b == nullptr ? a == b : expr::equal(*a, *b); }
bool same(const std::vector<ExprPtr>& a, const std::vector<ExprPtr>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) { return same(x, y); });
}
bool same(const LookupStep& a, const LookupStep& b) {
  return a.table == b.table && a.by == b.by && a.columns == b.columns && a.index == b.index && same(a.keys, b.keys) &&
         same(a.filter, b.filter) && same(a.condition, b.condition) && a.test == b.test && a.in == b.in &&
         a.inner == b.inner && a.first_column == b.first_column && a.matched_column == b.matched_column;
}
bool same_lookups(const Stage& a, const Stage& b) {
  return std::equal(a.lookups.begin(), a.lookups.end(), b.lookups.begin(), b.lookups.end(),
                    [](const LookupStep& x, const LookupStep& y) { return same(x, y); });
}

/// What WHERE asks of a row. What rewrite() made of it to be tested before rows are looked up is part of it.
std::vector<const Expr*> conditions_of(const Stage& stage) {
  std::vector<const Expr*> all = conjuncts_of(stage.lookup_where);
  for (const Expr* condition : conjuncts_of(stage.where)) {
    if (std::none_of(all.begin(), all.end(), [&](const Expr* known) { return expr::equal(*known, *condition); }))
      all.push_back(condition);
  }
  return all;
}
bool contains(const std::vector<const Expr*>& conditions, const Expr& wanted) {
  return std::any_of(conditions.begin(), conditions.end(), [&](const Expr* e) { return expr::equal(*e, wanted); });
}

/// 36,000 years from 1970: times beyond, and longer windows, are no ranges that somebody means, but sums that overflow.
constexpr Micros kFarthest = Micros{1} << 60;

/// `column` compared with a constant time, as a range; empty: the condition is another one.
AskedTime range_of(const Expr& condition, int column) {
  if (condition.kind != ExprKind::kCall || condition.function->kind != expr::ScalarFunction::Kind::kOperator ||
      condition.args.size() != 2)
    return {};
  const bool swapped = condition.args[0]->kind == ExprKind::kLiteral;
  const Expr &left = *condition.args[swapped ? 1 : 0], &right = *condition.args[swapped ? 0 : 1];
  const auto* time = std::get_if<int64_t>(&right.literal);
  if (left.kind != ExprKind::kColumn || left.column != column || right.kind != ExprKind::kLiteral ||
      right.type != Type::kTimestamptz || time == nullptr || std::abs(*time) > kFarthest)
    return {};
  const std::string_view op = condition.function->name;
  if (op == (swapped ? "<=" : ">=")) return {*time, std::nullopt};
  if (op == (swapped ? "<" : ">")) return {*time + 1, std::nullopt};
  if (op == (swapped ? ">" : "<")) return {std::nullopt, *time};
  if (op == (swapped ? ">=" : "<=")) return {std::nullopt, *time + 1};
  return {};
}
void narrow(AskedTime& range, const AskedTime& by) {
  if (by.from) range.from = std::max(range.from.value_or(*by.from), *by.from);
  if (by.until) range.until = std::min(range.until.value_or(*by.until), *by.until);
}
/// What HAVING asks of the start of a window, as a range of event times.
AskedTime range_of_windows(const Stage& stage) {
  AskedTime range;
  for (const Expr* condition : conjuncts_of(stage.having)) narrow(range, range_of(*condition, 0));
  if (range.until && stage.window.size_us > kFarthest) range.until.reset();
  if (range.until) *range.until += stage.window.size_us;
  return range;
}

std::string length_text(const Window& window) {
  return window.calendar ? window.calendar->text() : base::format_duration(window.size_us);
}
std::string window_text(const Window& window) {
  const std::string size = length_text(window);
  switch (window.kind) {
    case Window::Kind::kHop:
      return fmt::format("windows of {} that begin every {}", size, base::format_duration(window.slide_us));
    case Window::Kind::kSession: return fmt::format("sessions with a gap of {}", size);
    default: break;
  }
  if (window.offset_us == 0 || window.calendar) return "windows of " + size;
  return fmt::format("windows of {} with an offset of {}", size, base::format_duration(window.offset_us));
}
std::string list_text(const std::vector<std::string>& items, std::string_view last) {
  std::string text;
  for (size_t i = 0; i < items.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : i + 1 == items.size() ? fmt::format(" {} ", last) : ", ", items[i]);
  }
  return text;
}

/// Which values there are is all that matters to it, not how often: computed over groups' keys it is what it is over
/// rows.
bool is_of_values(const agg::AggregateFunction& function) {
  constexpr std::string_view kNames[] = {"min",   "max",    "bool_and", "bool_or",
                                         "every", "bit_or", "bit_and",  "approx_count_distinct"};
  return (function.name == "count" && function.distinct) ||
         std::find(std::begin(kNames), std::end(kNames), function.name) != std::end(kNames);
}
/// Over the results of several groups it is the result of all of them.
bool is_of_results(const agg::AggregateFunction& function) {
  constexpr std::string_view kNames[] = {"sum",   "min",    "max",     "bool_and", "bool_or",
                                         "every", "bit_or", "bit_and", "bit_xor"};
  return !function.distinct && function.form == agg::CallForm::kPlain &&
         std::find(std::begin(kNames), std::end(kNames), function.name) != std::end(kNames);
}

/// What the rows of a view are, for who makes other groups of them.
std::string view_obstacle(const Query& view) {
  if (!view.inputs.empty()) return "it combines the rows of several queries";
  if (view.source.kind == Relation::Kind::kView) return fmt::format("it reads another view, \"{}\"", view.source.name);
  if (view.stages.size() != 1) return "its rows are computed from groups once more (a subquery, or OVER)";
  const Stage& stage = view.stages.front();
  if (!stage.aggregates_rows) return "it passes on rows one by one, without groups and windows";
  if (stage.window_start_output < 0) return "it keeps no window_start";
  return {};
}

/// Looks how a question can be asked of the rows of a view.
class Search {
 public:
  Search(const Query& question, const Query& view, std::optional<Micros> kept_since)
      : view_(view), q_(question.stages.front()), v_(view.stages.front()), kept_since_(kept_since) {
    compare(question);
  }

  /// Where there is no other reason against the view.
  std::optional<WrittenSelect> make() {
    if (!because_.empty() || !missing_.empty()) {
      if (!other_rows_) tell_all();
      return std::nullopt;
    }
    // A row of the view is a group of the question: then all that is the same in both can be read from it.
    if (windows_ == Windows::kSame && rows_are_groups()) {
      auto select = rows_as_they_are();
      if (select || v_.window.kind == Window::Kind::kSession) return select;
      // Perhaps it can be made of other results of the row.
      auto why = std::exchange(because_, {}), what = std::exchange(missing_, {});
      select = groups_of_rows();
      if (select) return select;
      because_ = std::move(why);
      missing_ = std::move(what);
      return std::nullopt;
    }
    if (v_.window.kind == Window::Kind::kSession) {
      because("it keeps a row for each of its sessions, which are others with fewer keys");
      return std::nullopt;
    }
    return groups_of_rows();
  }

  std::vector<std::string> reasons() const {
    std::vector<std::string> all;
    if (!missing_.empty()) all.push_back("it keeps no " + list_text(missing_, "or"));
    all.insert(all.end(), because_.begin(), because_.end());
    return all;
  }
  std::vector<std::string> take_notes() { return std::move(notes_); }
  size_t lacks() const { return missing_.size() + because_.size() + (other_rows_ ? 100 : 0); }

 private:
  enum class Windows : uint8_t { kOther, kSame, kMadeOf };
  using Missing = std::vector<std::string>;

  void because(std::string sentence) { because_.push_back(std::move(sentence)); }
  static void lack(Missing* missing, std::string what) {
    if (missing == nullptr || std::find(missing->begin(), missing->end(), what) != missing->end()) return;
    missing->push_back(std::move(what));
  }

  /// What else speaks against a view that cannot answer anyway, so that it is not found one by one.
  void tell_all() {
    if (v_.having && !q_.having) lacks_groups();
    if (v_.limit && !q_.limit) lacks_rest();
    Stage scratch;
    for (const AggregateCall& call : q_.aggregates) {
      const bool has = std::any_of(v_.aggregates.begin(), v_.aggregates.end(),
                                   [&](const AggregateCall& other) { return same_aggregate(call, other); });
      if (!has) (void)made_of_results(call, scratch);
    }
  }

  // --- of which rows, in which windows --------------------------------------------------------------------------

  void compare(const Query& question) {
    if (std::string obstacle = view_obstacle(view_); !obstacle.empty()) {
      other_rows_ = true;
      return because(std::move(obstacle));
    }
    if (question.source.name != view_.source.name) {
      other_rows_ = true;
      return because(fmt::format("it is made of {}, not of {}", view_.source.name, question.source.name));
    }
    if (q_.spread != v_.spread) {
      other_rows_ = true;
      return because(v_.spread ? "its flows are spread over time, the question's are not"
                               : "its flows are not spread over time as the question's are");
    }
    if (!same_lookups(q_, v_)) {
      other_rows_ = true;
      return because(v_.lookups.empty() ? "its flows are not joined with lookup tables, as the question's are"
                     : q_.lookups.empty()
                         ? "its flows are joined with lookup tables, the question's are not"
                         : "its flows are joined with lookup tables in another way than the question's");
    }
    compare_windows();
    compare_options(question);
    compare_conditions();
    for (const ExprPtr& key : q_.keys) (void)kept(*key, &missing_);
  }

  void compare_windows() {
    const Window &asked = q_.window, &has = v_.window;
    if (same_window(asked, has)) {
      windows_ = Windows::kSame;
      return;
    }
    const auto name = [&](int column) { return q_.input.columns[static_cast<size_t>(column)].name; };
    if (asked.time_column != has.time_column)
      return because(
          fmt::format("its windows are over {}, not over {}", name(has.time_column), name(asked.time_column)));
    const bool asks_more = asked.kind == Window::Kind::kTumble || asked.kind == Window::Kind::kHop;
    // Whether windows of the calendar can be made of these is known to who binds them.
    const bool fits = asked.calendar != nullptr || (has.calendar == nullptr && asked.slide_us % has.size_us == 0 &&
                                                    (asked.offset_us - has.offset_us) % has.size_us == 0);
    if (asks_more && has.kind == Window::Kind::kTumble && fits) {
      windows_ = Windows::kMadeOf;
      return;
    }
    because(fmt::format("{} cannot be made of its {}", window_text(asked), window_text(has)));
  }

  void compare_options(const Query& question) {
    const QueryOptions &asked = question.options, &has = view_.options;
    if (asked.truncation != has.truncation && reads_addresses()) {
      because(has.truncation
                  ? fmt::format("it cuts addresses to /{} and /{}", has.truncation->v4_bits, has.truncation->v6_bits)
                  : "it does not cut addresses as the question does");
    }
    if (has.on_error == QueryOptions::OnError::kDrop && asked.on_error != has.on_error && may_fail())
      because("it leaves out flows of which a value cannot be computed (on_error = 'drop')");
    if (asked.allowed_lateness_us != has.allowed_lateness_us) {
      notes_.push_back(fmt::format("windows stayed open to late flows for {} (allowed_lateness), the question's for {}",
                                   base::format_duration(has.allowed_lateness_us),
                                   base::format_duration(asked.allowed_lateness_us)));
    }
    if (asked.delay_us != has.delay_us) {
      const auto text = [](std::optional<Micros> delay) {
        return delay ? base::format_duration(*delay) : std::string("the stream's");
      };
      notes_.push_back(fmt::format("flows were waited for by another delay: {}, the question's is {}",
                                   text(has.delay_us), text(asked.delay_us)));
    }
    if (has.has_state_limit() && has.on_limit == QueryOptions::OnLimit::kShed)
      notes_.push_back("groups were dropped where memory was short: _complete is false in such windows");
  }
  bool reads_addresses() const {
    const auto is_address = [&](size_t c) {
      const Type type = q_.input.columns[c].type;
      return type == Type::kInet || type == Type::kCidr;
    };
    for (size_t c = 0; c < q_.input_used.size(); ++c) {
      if (q_.input_used[c] && is_address(c)) return true;
    }
    bool reads = false;
    for (const Expr* condition : conditions_of(v_)) {
      expr::walk(*condition, [&](const Expr& part) {
        reads |= part.kind == ExprKind::kColumn && is_address(static_cast<size_t>(part.column));
      });
    }
    return reads;
  }
  bool may_fail() const {
    const auto fails = [](const ExprPtr& e) { return e != nullptr && !expr::always_computed(*e); };
    return fails(v_.where) || std::any_of(v_.keys.begin(), v_.keys.end(), fails) ||
           std::any_of(v_.aggregates.begin(), v_.aggregates.end(), [&](const AggregateCall& call) {
             return fails(call.filter) || std::any_of(call.args.begin(), call.args.end(), fails);
           });
  }

  void compare_conditions() {
    const auto asked = conditions_of(q_), has = conditions_of(v_);
    std::string counted;
    for (const Expr* condition : has) {
      if (!contains(asked, *condition)) counted += (counted.empty() ? "" : " AND ") + text_over(*condition, v_.input);
    }
    if (!counted.empty()) because("it counts only flows with " + counted);
    for (const Expr* condition : asked) {
      if (contains(has, *condition)) continue;
      if (const AskedTime range = range_of(*condition, q_.window.time_column); range.from || range.until) {
        narrow(range_, range);
        continue;
      }
      further_.push_back(kept(*condition, &missing_));
    }
    widen_to_windows();
  }
  static std::string text_over(const Expr& e, const batch::Schema& schema) {
    std::vector<SqlColumn> columns;
    for (const batch::ColumnDef& column : schema.columns) columns.push_back({column.name});
    return to_sql(e, columns, SqlStyle::kShort);
  }
  /// Rows are kept window by window: where a time that is asked for is within one, all of it is given.
  void widen_to_windows() {
    const Window& has = v_.window;
    if (!range_.from && !range_.until) return;
    if (has.kind != Window::Kind::kTumble || has.size_us > kFarthest) {
      return because(
          fmt::format("a condition on time would cut its {}: ask for windows, with HAVING", window_text(has)));
    }
    const auto window_of = [&](Micros time) {
      if (has.calendar) return has.calendar->window_of(time);
      const Micros start = base::floor_to(time - has.offset_us, has.size_us) + has.offset_us;
      return window::Calendar::Span{start, start + has.size_us};
    };
    const AskedTime asked = range_;
    if (range_.from) range_.from = window_of(*range_.from).start;
    if (range_.until) {
      const auto last = window_of(*range_.until);
      if (last.start != *range_.until) range_.until = last.end;
    }
    std::string whole;
    if (range_.from != asked.from) whole += " from " + base::format_timestamp(*range_.from);
    if (range_.until != asked.until) whole += " until " + base::format_timestamp(*range_.until);
    if (!whole.empty()) notes_.push_back(fmt::format("its windows are taken whole:{}", whole));
  }

  // --- what of the view says what the question says -----------------------------------------------------------

  /// Of an expression over flows the same over the view's groups (its grouped row); null: it needs more than keys.
  ExprPtr of_keys(const Expr& e, Missing* missing) const {
    for (size_t k = 0; k < v_.keys.size(); ++k) {
      if (expr::equal(e, *v_.keys[k])) return expr::make_column(static_cast<int>(2 + k), e.type);
    }
    if (e.kind == ExprKind::kColumn) {
      lack(missing, expr::to_string(e, q_.input));
      return nullptr;
    }
    return with_args(e, [&](const Expr& arg) { return of_keys(arg, missing); });
  }
  /// Of an expression over the view's groups the same over its rows; null: its rows do not say it.
  ExprPtr of_rows(const Expr& e, Missing* missing) const {
    for (size_t o = 0; o < v_.output.columns.size(); ++o) {
      if (expr::equal(e, *v_.outputs[o])) return expr::make_column(static_cast<int>(o), e.type);
    }
    if (e.kind == ExprKind::kColumn) {
      // Rows that come window by window have both ends of theirs, whether the view shows them or not.
      if (e.column == 1 && view_.has_windows)
        return expr::make_column(static_cast<int>(v_.output.columns.size()) + 1, e.type);
      lack(missing, v_.grouped.columns[static_cast<size_t>(e.column)].name);
      return nullptr;
    }
    return with_args(e, [&](const Expr& arg) { return of_rows(arg, missing); });
  }
  template <typename Translate>
  static ExprPtr with_args(const Expr& e, Translate&& translate) {
    ExprPtr copy = expr::make_literal(e.literal, e.type, e.span);
    copy->kind = e.kind;
    copy->column = e.column;
    copy->function = e.function;
    copy->prepared = e.prepared;
    bool all = true;
    for (const ExprPtr& arg : e.args) all &= copy->args.emplace_back(translate(*arg)) != nullptr;
    return all ? std::move(copy) : nullptr;
  }
  ExprPtr kept(const Expr& e, Missing* missing) const {
    const ExprPtr groups = of_keys(e, missing);
    return groups ? of_rows(*groups, missing) : nullptr;
  }

  /// Every key of the view is one of the question's, or has one value by its conditions.
  bool rows_are_groups() const {
    const auto conditions = conditions_of(q_);
    return std::all_of(v_.keys.begin(), v_.keys.end(), [&](const ExprPtr& key) {
      const auto is_key = [&](const ExprPtr& asked) { return expr::equal(*asked, *key); };
      if (std::any_of(q_.keys.begin(), q_.keys.end(), is_key)) return true;
      // Different intervals may be equal: 1 day, 24 h.
      return key->type != Type::kInterval && std::any_of(conditions.begin(), conditions.end(), [&](const Expr* e) {
               if (e->kind != ExprKind::kCall || e->function->name != "=" || e->args.size() != 2) return false;
               return (expr::equal(*e->args[0], *key) && e->args[1]->kind == ExprKind::kLiteral) ||
                      (expr::equal(*e->args[1], *key) && e->args[0]->kind == ExprKind::kLiteral);
             });
    });
  }

  // --- a row is a group -----------------------------------------------------------------------------------------

  /// Of an expression over the question's groups the same over the view's.
  ExprPtr of_groups(const Expr& e, Missing* missing) const {
    if (e.kind != ExprKind::kColumn) return with_args(e, [&](const Expr& arg) { return of_groups(arg, missing); });
    if (e.column < 2) return expr::clone(e);
    const size_t at = static_cast<size_t>(e.column) - 2;
    if (at < q_.keys.size()) return of_keys(*q_.keys[at], missing);
    const AggregateCall& call = q_.aggregates[at - q_.keys.size()];
    for (size_t a = 0; a < v_.aggregates.size(); ++a) {
      if (same_aggregate(call, v_.aggregates[a]))
        return expr::make_column(static_cast<int>(2 + v_.keys.size() + a), e.type);
    }
    lack(missing, call.label);
    return nullptr;
  }

  std::optional<WrittenSelect> rows_as_they_are() {
    WrittenSelect select = begin_select();
    Stage& stage = select.stage;
    stage.window.kind = Window::Kind::kInherited;
    const bool top = v_.limit.has_value() || v_.offset != 0;
    if (top && !is_part_of_top()) return std::nullopt;
    std::vector<ExprPtr> where = take_conditions();
    std::vector<ExprPtr> kept_having;
    for (const Expr* condition : conjuncts_of(v_.having)) kept_having.push_back(expr::clone(*condition));
    for (const Expr* condition : conjuncts_of(q_.having)) {
      const ExprPtr groups = of_groups(*condition, &missing_);
      if (!groups) continue;
      const auto is_it = [&](const ExprPtr& other) { return expr::equal(*other, *groups); };
      if (std::erase_if(kept_having, is_it) > 0) continue;
      if (auto rows = of_rows(*groups, &missing_)) where.push_back(std::move(rows));
    }
    if (!kept_having.empty()) lacks_groups();
    if (v_.distinct) check_distinct();
    for (const ExprPtr& output : q_.outputs) {
      const ExprPtr groups = of_groups(*output, &missing_);
      if (!groups) continue;
      if (auto rows = of_rows(*groups, &missing_)) stage.outputs.push_back(std::move(rows));
    }
    if (!missing_.empty() || !because_.empty()) return std::nullopt;
    add_range(range_, where);
    stage.where = *all_of(std::move(where));
    return select;
  }

  /// A view of the first groups of a window is asked for the same groups, or fewer.
  bool is_part_of_top() {
    const auto same_value = [&](const ExprPtr& asked, const ExprPtr& has) {
      const ExprPtr groups = of_groups(*asked, nullptr);
      return groups != nullptr && expr::equal(*groups, *has);
    };
    bool part = v_.offset == 0 && q_.limit && *q_.limit <= *v_.limit - std::min(*v_.limit, q_.offset) &&
                v_.limit_by.empty() && v_.rest_output < 0 && further_.empty() && q_.distinct == v_.distinct &&
                q_.order_by.size() == v_.order_by.size() && q_.output.columns.size() == v_.output.columns.size() &&
                conjuncts_of(q_.having).size() == conjuncts_of(v_.having).size();
    // Ties are broken by all visible columns, so these have to be the same, too.
    for (size_t o = 0; part && o < q_.output.columns.size(); ++o) part = same_value(q_.outputs[o], v_.outputs[o]);
    for (size_t k = 0; part && k < q_.order_by.size(); ++k) {
      const SortKey &asked = q_.order_by[k], &has = v_.order_by[k];
      part = asked.descending == has.descending && asked.nulls_first == has.nulls_first &&
             same_value(q_.outputs[static_cast<size_t>(asked.output)], v_.outputs[static_cast<size_t>(has.output)]);
    }
    if (!part) lacks_rest();
    return part;
  }

  // --- a group is several rows ------------------------------------------------------------------------------------

  std::optional<WrittenSelect> groups_of_rows() {
    WrittenSelect select = begin_select();
    Stage& stage = select.stage;
    stage.aggregates_rows = true;
    stage.window.kind = Window::Kind::kInherited;
    if (windows_ == Windows::kMadeOf) {
      stage.window = q_.window;
      stage.window.time_column = v_.window_start_output;
      select.window_start = "window_start";
      select.window_end = "window_end";
    }
    if (v_.having) lacks_groups();
    if (v_.limit || v_.offset != 0) lacks_rest();
    if (v_.distinct) check_distinct();
    std::vector<ExprPtr> where = take_conditions();
    for (const ExprPtr& key : q_.keys) stage.keys.push_back(kept(*key, nullptr));
    std::vector<ExprPtr> results;  // Of the question's aggregates, over the new groups.
    for (const AggregateCall& call : q_.aggregates) results.push_back(made_of_results(call, stage));
    if (!missing_.empty() || !because_.empty()) return std::nullopt;
    const auto translated = [&](const Expr& e) {
      ExprPtr copy = expr::clone(e);
      const auto substitute = [&](auto&& self, ExprPtr& part) -> void {
        const size_t first = 2 + q_.keys.size();
        if (part->kind == ExprKind::kColumn && static_cast<size_t>(part->column) >= first)
          part = expr::clone(*results[static_cast<size_t>(part->column) - first]);
        else
          for (ExprPtr& arg : part->args) self(self, arg);
      };
      substitute(substitute, copy);
      return copy;
    };
    for (const ExprPtr& output : q_.outputs) stage.outputs.push_back(translated(*output));
    if (q_.having) stage.having = translated(*q_.having);
    // Windows of the view that begin before HAVING lets any begin, or later, are in none that it lets through.
    AskedTime range = range_;
    narrow(range, range_of_windows(q_));
    add_range(range, windows_ == Windows::kMadeOf ? select.within : where);
    stage.where = *all_of(std::move(where));
    return select;
  }

  /// A result of the view that an aggregate can be made of.
  struct Result {
    ExprPtr value;   ///< over the view's rows
    ExprPtr filter;  ///< of rows that count, or null
  };
  std::optional<Result> result_of(const agg::AggregateFunction& function, const AggregateCall& call) const {
    for (const bool filtered : {true, false}) {
      ExprPtr filter;
      if (!filtered && !call.filter) break;
      if (!filtered && !(filter = kept(*call.filter, nullptr))) break;
      for (size_t a = 0; a < v_.aggregates.size(); ++a) {
        const AggregateCall& has = v_.aggregates[a];
        if (has.function != &function || !same(has.args, call.args) ||
            (filtered ? !same(has.filter, call.filter) : has.filter != nullptr))
          continue;
        const ExprPtr group = expr::make_column(static_cast<int>(2 + v_.keys.size() + a), function.result_type);
        if (ExprPtr value = of_rows(*group, nullptr)) return Result{std::move(value), std::move(filter)};
      }
    }
    return std::nullopt;
  }
  /// A call over the rows, added to the stage; its result over the new groups. Null: there is no such aggregate.
  ExprPtr add_call(Stage& stage, std::string_view name, Result of) const {
    const auto function = agg::resolve(name, {of.value->type}, false, false, {});
    if (!function) return nullptr;
    AggregateCall call;
    call.function = *function;
    call.args.push_back(std::move(of.value));
    call.filter = std::move(of.filter);
    return add_call(stage, std::move(call));
  }
  ExprPtr add_call(Stage& stage, AggregateCall call) const {
    const auto known = std::find_if(stage.aggregates.begin(), stage.aggregates.end(),
                                    [&](const AggregateCall& other) { return same_aggregate(other, call); });
    const auto at = static_cast<size_t>(known - stage.aggregates.begin());
    const Type type = call.function->result_type;
    if (known == stage.aggregates.end()) stage.aggregates.push_back(std::move(call));
    return expr::make_column(static_cast<int>(2 + q_.keys.size() + at), type);
  }

  ExprPtr made_of_results(const AggregateCall& call, Stage& stage) {
    const agg::AggregateFunction& function = *call.function;
    if (is_of_values(function)) {
      AggregateCall over_keys;
      over_keys.function = call.function;
      bool all = true;
      for (const ExprPtr& arg : call.args) all &= over_keys.args.emplace_back(kept(*arg, nullptr)) != nullptr;
      if (call.filter) all &= (over_keys.filter = kept(*call.filter, nullptr)) != nullptr;
      if (all) return add_call(stage, std::move(over_keys));
    }
    auto result = result_of(function, call);
    if (result && is_of_results(function)) {
      note_rounding(function, result->value->type);
      if (ExprPtr made = add_call(stage, function.name, std::move(*result))) return made;
    } else if (result && function.name == "count" && !function.distinct) {
      const bool filtered = result->filter != nullptr;
      ExprPtr sum = add_call(stage, "sum", std::move(*result));
      if (!filtered) return sum;
      // No row that counts: the sum of nothing is null.
      std::vector<ExprPtr> args;
      args.push_back(std::move(sum));
      args.push_back(expr::make_literal(int64_t{0}, Type::kInt8));
      return *expr::make_coalesce(std::move(args), {});
    } else if (function.name == "avg" && !function.distinct) {
      if (ExprPtr mean = mean_of_results(call, stage)) return mean;
    }
    if (!result) {
      if (function.name == "avg") lack(&missing_, call.label + " as a sum and a count");
      else if (function.name == "count" && function.distinct) lack(&missing_, "key to count: " + call.label);
      else lack(&missing_, call.label);
    } else if (function.name == "avg") {
      because(
          fmt::format("its {} is an average of each group: of several, one is made of a sum and a count", call.label));
    } else {
      because(fmt::format("its {} is that of each group: of several, none can be made of them", call.label));
    }
    return nullptr;
  }
  ExprPtr mean_of_results(const AggregateCall& call, Stage& stage) {
    const Type type = call.function->arg_types[0];
    const auto sum = agg::resolve("sum", {type}, false, false, {}),
               count = agg::resolve("count", {type}, false, false, {});
    if (!sum || !count) return nullptr;
    auto sums = result_of(**sum, call), counts = result_of(**count, call);
    if (!sums || !counts) return nullptr;
    note_rounding(**sum, sums->value->type);
    std::vector<ExprPtr> args;
    for (auto* part : {&sums, &counts}) {
      ExprPtr added = add_call(stage, "sum", std::move(**part));
      auto number = added ? expr::make_cast(std::move(added), Type::kFloat8, {}) : base::Result<ExprPtr>();
      if (!number || !*number) return nullptr;
      args.push_back(std::move(*number));
    }
    auto mean = expr::make_operator("/", std::move(args), {});
    return mean ? std::move(*mean) : nullptr;
  }
  void note_rounding(const agg::AggregateFunction& function, Type type) {
    if (function.name != "sum" || type != Type::kFloat8) return;
    std::string note = "sums of double precision are rounded in each of its rows, so that last digits may differ";
    if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) notes_.push_back(std::move(note));
  }

  // --- both ---------------------------------------------------------------------------------------------------

  WrittenSelect begin_select() const {
    WrittenSelect select;
    select.relation = view_.name;
    const auto name = [&](int output, const char* otherwise) {
      return output < 0 ? otherwise : v_.output.columns[static_cast<size_t>(output)].name;
    };
    select.window_start = name(v_.window_start_output, "window_start");
    select.window_end = name(v_.window_end_output, "window_end");
    Stage& stage = select.stage;
    stage.input = v_.output;
    stage.output = q_.output;
    stage.distinct = q_.distinct;
    stage.order_by = q_.order_by;
    stage.limit = q_.limit;
    stage.offset = q_.offset;
    return select;
  }
  std::vector<ExprPtr> take_conditions() const {
    std::vector<ExprPtr> conditions;
    for (const ExprPtr& condition : further_) conditions.push_back(expr::clone(*condition));
    return conditions;
  }
  /// What is asked of event time, of the windows of the view.
  void add_range(AskedTime range, std::vector<ExprPtr>& conditions) const {
    if (!range.from && !range_of_windows(q_).from && kept_since_) range.from = first_whole(*kept_since_);
    for (const auto& [op, bound] : {std::pair{">=", range.from}, std::pair{"<", range.until}}) {
      if (!bound) continue;
      std::vector<ExprPtr> args;
      args.push_back(expr::make_column(v_.window_start_output, Type::kTimestamptz));
      args.push_back(expr::make_literal(*bound, Type::kTimestamptz));
      auto condition = *expr::make_operator(op, std::move(args), {});
      const bool known = std::any_of(conditions.begin(), conditions.end(),
                                     [&](const ExprPtr& other) { return expr::equal(*other, *condition); });
      if (!known) conditions.push_back(std::move(condition));
    }
  }
  /// The first of the question's windows that is kept whole.
  Micros first_whole(Micros kept_since) const {
    const Window& asked = q_.window;
    if (asked.calendar || asked.kind == Window::Kind::kSession) return kept_since;
    const Micros begin = base::floor_to(kept_since - asked.offset_us, asked.slide_us) + asked.offset_us;
    return begin == kept_since ? begin : begin + asked.slide_us;
  }
  void lacks_groups() { because("it keeps only groups with " + text_over(*v_.having, v_.grouped)); }
  void lacks_rest() {
    const std::string of = v_.limit_by.empty() ? "window" : "part of a window";
    because(v_.limit ? fmt::format("it keeps only the first {} groups of a {}", *v_.limit, of)
                     : fmt::format("it leaves out the first {} groups of a {}", v_.offset, of));
  }
  void check_distinct() {
    for (size_t k = 0; k < v_.keys.size(); ++k) {
      if (of_rows(*expr::make_column(static_cast<int>(2 + k), v_.keys[k]->type), nullptr)) continue;
      return because("its rows are DISTINCT without all of their keys: one may be several groups");
    }
  }

  const Query& view_;
  const Stage &q_, &v_;
  const std::optional<Micros> kept_since_;
  Windows windows_ = Windows::kOther;
  bool other_rows_ = false;
  AskedTime range_;
  std::vector<ExprPtr> further_;  ///< conditions on the view's rows
  std::vector<std::string> missing_, because_, notes_;
};

}  // namespace

std::string question_obstacle(const Query& question) {
  if (!question.inputs.empty())
    return "it joins or unites rows of several relations: what is kept of one can be asked for, and joined then";
  if (question.stages.size() != 1)
    return "it computes from groups once more (a subquery, or OVER): ask for the groups, and compute from their rows";
  const Stage& stage = question.stages.front();
  if (!stage.aggregates_rows)
    return "it asks for flows, and none are kept: ask for groups of them by window, with GROUP BY window_start";
  if (question.source.kind == Relation::Kind::kStream && (!stage.limit_by.empty() || stage.rest_output >= 0))
    return "it has a row of the rest";
  return {};
}

AskedTime asked_time(const Query& question) {
  const Stage& stage = question.stages.front();
  AskedTime range = range_of_windows(stage);
  for (const Expr* condition : conditions_of(stage)) narrow(range, range_of(*condition, stage.window.time_column));
  return range;
}

KeptAnswer answer_from(const Query& question, const Query& view, const BindText& bind,
                       std::optional<Micros> kept_since) {
  KeptAnswer answer;
  Search search(question, view, kept_since);
  if (const auto select = search.make()) {
    answer.text = text_of(*select, bind);
    if (!answer.text.empty()) {
      answer.notes = search.take_notes();
      return answer;
    }
  }
  answer.reasons = search.reasons();
  answer.lacks = search.lacks();
  if (answer.reasons.empty()) {
    const Window& asked = question.stages.front().window;
    // Days and months whose midnights are in the middle of windows of the view: who binds them knows.
    answer.reasons.push_back(asked.calendar != nullptr ? fmt::format("{} cannot be made of its {}", window_text(asked),
                                                                     window_text(view.stages.front().window))
                                                       : "no text says what would have to be selected from it");
    ++answer.lacks;
  }
  return answer;
}

std::string keeping_statement(const Query& question, const std::string& name, const BindText& bind) {
  const Stage& asked = question.stages.front();
  WrittenSelect select;
  select.relation = question.source.name;
  Stage& stage = select.stage;
  stage.input = asked.input;
  stage.spread = asked.spread;
  stage.window = asked.window;
  stage.aggregates_rows = true;
  stage.distinct = asked.distinct;
  stage.limit = asked.limit;
  stage.offset = asked.offset;
  std::vector<ExprPtr> where, having;
  for (const Expr* condition : conditions_of(asked)) {
    const AskedTime range = range_of(*condition, asked.window.time_column);
    if (!range.from && !range.until) where.push_back(expr::clone(*condition));
  }
  for (const Expr* condition : conjuncts_of(asked.having)) {
    const AskedTime range = range_of(*condition, 0);
    if (!range.from && !range.until) having.push_back(expr::clone(*condition));
  }
  stage.where = *all_of(std::move(where));
  stage.having = *all_of(std::move(having));
  for (const ExprPtr& key : asked.keys) stage.keys.push_back(expr::clone(*key));
  for (const AggregateCall& call : asked.aggregates) {
    AggregateCall& copy = stage.aggregates.emplace_back();
    copy.function = call.function;
    for (const ExprPtr& arg : call.args) copy.args.push_back(expr::clone(*arg));
    if (call.filter) copy.filter = expr::clone(*call.filter);
  }
  // A session has the times of its first and last row as aggregates of its own.
  if (asked.window.kind == Window::Kind::kSession) stage.aggregates.resize(stage.aggregates.size() - 2);
  const auto add_output = [&](ExprPtr value, std::string output_name) {
    const std::string base = output_name;
    for (int number = 2; stage.output.find(output_name) >= 0; ++number)
      output_name = fmt::format("{}_{}", base, number);
    stage.output.columns.push_back({std::move(output_name), value->type, 0});
    stage.outputs.push_back(std::move(value));
  };
  // Rows without their window could not be asked about.
  const int moved = asked.window_start_output < 0 ? 1 : 0;
  if (moved != 0) add_output(expr::make_column(0, Type::kTimestamptz), "window_start");
  const size_t visible = asked.output.columns.size();
  for (size_t o = 0; o < visible; ++o) add_output(expr::clone(*asked.outputs[o]), asked.output.columns[o].name);
  for (size_t o = visible; o < asked.outputs.size(); ++o) stage.outputs.push_back(expr::clone(*asked.outputs[o]));
  stage.order_by = asked.order_by;
  for (SortKey& key : stage.order_by) key.output += moved;
  return text_of(select, bind, fmt::format("CREATE MATERIALIZED VIEW {} AS ", sql_name(name, SqlStyle::kShort)));
}

std::string keeping_name(const Query& question) {
  const Stage& stage = question.stages.front();
  std::string name = "by";
  for (const std::string& label : stage.key_labels) {
    std::string word;
    for (const char c : label) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
      const bool upper = c >= 'A' && c <= 'Z';
      if (plain || upper) word += upper ? static_cast<char>(c - 'A' + 'a') : c;
    }
    constexpr size_t kLengthMax = 48;
    if (!word.empty() && name.size() + word.size() < kLengthMax) name += '_' + word;
  }
  return name == "by" ? "totals" : name;
}

}  // namespace backstream::plan
