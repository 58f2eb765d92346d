#include "plan/late_join.h"

#include <algorithm>
#include <utility>

#include "plan/join_conditions.h"

namespace backstream::plan {
namespace {

using batch::Type;
using expr::ExprKind;
using expr::ExprPtr;

/// Numbers of columns that stand for the window of the row, wherever it is known.
constexpr int kWindowStart = -2, kWindowEnd = -3;

bool passes_rows(const Stage& stage) {
  return !stage.aggregates_rows && !stage.analytic && !stage.union_all && !stage.join && !stage.boxes &&
         (stage.window.kind == Window::Kind::kNone || stage.window.kind == Window::Kind::kInherited);
}

/// Replaces columns: with(column) is what stands for one; null: nothing does.
template <typename With>
void substitute(ExprPtr& e, With&& with) {
  if (e->kind == ExprKind::kColumn) {
    const Type type = e->type;
    e = with(e->column);
    if (!e) e = expr::make_literal({}, type);
    return;
  }
  for (ExprPtr& arg : e->args) substitute(arg, with);
}

/// Expressions over the stage's visible output become ones over its input.
void put_below_stage(std::vector<ExprPtr>& outputs, const Stage& stage, int input_columns, int window_at) {
  for (ExprPtr& e : outputs) {
    substitute(e, [&](int column) -> ExprPtr {
      if (column < 0) return expr::make_column(column, Type::kTimestamptz);
      return expr::clone(*stage.outputs[static_cast<size_t>(column)]);
    });
    substitute(e, [&](int column) -> ExprPtr {
      const bool window = column >= window_at && window_at >= 0;
      if (window || column < 0)
        return expr::make_column(window ? kWindowStart - (column - window_at) : column, Type::kTimestamptz);
      if (column >= input_columns) return nullptr;  // Of a lookup table: what it had then is not known.
      return expr::make_column(column, stage.input.columns[static_cast<size_t>(column)].type);
    });
  }
}

bool is_raw(const Window& window) { return window.kind == Window::Kind::kTumble || window.kind == Window::Kind::kHop; }

/// The side's rows are rows of a stream, which pass one by one.
bool is_stream(const Query& input) {
  return input.inputs.empty() && input.source.kind == Relation::Kind::kStream &&
         std::none_of(input.stages.begin(), input.stages.end(), [](const Stage& stage) {
           return stage.aggregates_rows || stage.analytic || stage.outputs.size() != stage.output.columns.size();
         });
}

const Join::Side& side_of(const Join& join, size_t side) { return side == 0 ? join.left : join.right; }

/// The columns of a side that are equal in a row and its partner: of the other side, of its own. -1: there is none.
std::vector<std::pair<int, int>> equal_columns(const Query& query, size_t side) {
  const Join& join = *query.stages.front().join;
  std::vector<std::pair<int, int>> equal;
  for (const Join::Key& key : join.keys)
    equal.emplace_back(side == 0 ? key.right : key.left, side == 0 ? key.left : key.right);
  if (!join.by_window) return equal;
  const auto start_of = [&](size_t s) {
    const Join::Side& plan = side_of(join, s);
    return is_raw(plan.window) ? plan.window_start_column : query.inputs[s]->stages.back().window_start_output;
  };
  const auto end_of = [&](size_t s) {
    const Join::Side& plan = side_of(join, s);
    return is_raw(plan.window) ? plan.window_end_column : query.inputs[s]->stages.back().window_end_output;
  };
  equal.emplace_back(start_of(1 - side), start_of(side));
  equal.emplace_back(end_of(1 - side), end_of(side));
  return equal;
}

class SideFinder {
 public:
  explicit SideFinder(std::vector<LateSide>& found) : found_(found) {}

  /// @param names    of `outputs`
  /// @param outputs  over the visible output of the query's stage `last`
  void look(const Query& query, size_t last, const std::vector<batch::ColumnDef>& names, std::vector<ExprPtr> outputs) {
    const auto& stages = query.stages;
    if (!stages.front().join) return;
    for (size_t s = last; s > 0; --s) {
      if (!passes_rows(stages[s])) return;
      const auto below = static_cast<int>(stages[s - 1].output.columns.size());
      const bool windowed = stages[s].window.kind == Window::Kind::kInherited;
      put_below_stage(outputs, stages[s], below, windowed ? static_cast<int>(stages[s].input.columns.size()) : -1);
    }
    put_below_stage(outputs, stages.front(), static_cast<int>(stages.front().input.columns.size()), -1);
    for (const size_t side : {size_t{0}, size_t{1}}) look_at_side(query, side, names, outputs);
  }

 private:
  void look_at_side(const Query& query, size_t side, const std::vector<batch::ColumnDef>& names,
                    const std::vector<ExprPtr>& joined) {
    const Join& join = *query.stages.front().join;
    const Query& input = *query.inputs[side];
    const Join::Side& plan = side_of(join, side);
    const auto left_columns = static_cast<int>(query.inputs[0]->output().columns.size());
    const auto& columns = input.output().columns;
    const auto equal = equal_columns(query, side);
    const bool of_stream = is_stream(input) && (!join.by_window || is_raw(plan.window));
    std::vector<ExprPtr> outputs;
    for (const ExprPtr& e : joined) {
      outputs.push_back(expr::clone(*e));
      substitute(outputs.back(), [&](int column) -> ExprPtr {
        int own = -1;
        if (column < 0 && !of_stream) return expr::make_column(column, Type::kTimestamptz);
        if (column == kWindowStart) own = plan.window_start_column;
        else if (column == kWindowEnd) own = plan.window_end_column;
        else if ((column < left_columns) == (side == 0)) own = side == 0 ? column : column - left_columns;
        else {
          const int other = side == 0 ? column - left_columns : column;
          for (const auto& [theirs, mine] : equal) own = theirs == other && own < 0 ? mine : own;
        }
        return own < 0 ? nullptr : expr::make_column(own, columns[static_cast<size_t>(own)].type);
      });
    }
    if (of_stream) return add(input, plan, side, names, std::move(outputs));
    path_.push_back(side);
    look(input, input.stages.size() - 1, names, std::move(outputs));
    path_.pop_back();
  }

  void add(const Query& input, const Join::Side& plan, size_t side, const std::vector<batch::ColumnDef>& names,
           std::vector<ExprPtr> outputs) {
    LateSide& late = found_.emplace_back();
    late.path = path_;
    late.side = side;
    Stage& stage = late.stage;
    stage.input = input.output();
    const auto span_end = static_cast<int>(stage.input.columns.size());
    stage.input.columns.push_back({"_span_end", Type::kTimestamptz, 0});
    stage.input.columns.push_back({"_is_late", Type::kBool, 0});
    stage.grouped = stage.input;
    stage.input_used.assign(stage.input.columns.size(), true);
    stage.where = expr::make_column(span_end + 1, Type::kBool);
    stage.outputs = std::move(outputs);
    stage.output.columns = names;
    const auto add_output = [&](const char* name, ExprPtr output) {
      stage.output.columns.push_back({name, output->type, 0});
      stage.outputs.push_back(std::move(output));
    };
    ExprPtr late_by = expr::make_literal({}, Type::kInterval);
    if (plan.arrival_column >= 0) {
      std::vector<ExprPtr> difference;
      difference.push_back(expr::make_column(plan.arrival_column, Type::kTimestamptz));
      difference.push_back(expr::make_column(span_end, Type::kTimestamptz));
      late_by = *expr::make_operator("-", std::move(difference), {});
    }
    add_output("_late_by", std::move(late_by));
    add_output("_site", plan.site_column >= 0 ? expr::make_column(plan.site_column, Type::kText)
                                              : expr::make_literal({}, Type::kText));
    add_output("_rows", expr::make_literal(int64_t{1}, Type::kInt8));
    add_output("_side", expr::make_literal(std::string(side == 0 ? "left" : "right"), Type::kText));
  }

  std::vector<LateSide>& found_;
  std::vector<size_t> path_;
};

/// Both sides of a join may have a column of one name: then the later one gets a number.
std::vector<batch::ColumnDef> distinct_names(std::vector<batch::ColumnDef> columns) {
  for (size_t c = 0; c < columns.size(); ++c) {
    const std::string name = columns[c].name;
    const auto taken = [&] {
      return std::any_of(columns.begin(), columns.begin() + static_cast<long>(c),
                         [&](const batch::ColumnDef& other) { return other.name == columns[c].name; });
    };
    for (int number = 2; taken(); ++number) columns[c].name = name + "_" + std::to_string(number);
  }
  return columns;
}

/// Has the stages, which pass rows on, pass a column of the first one's input as well, as their last output.
int pass_column(std::vector<Stage>& stages, int column) {
  for (size_t s = 0; s < stages.size(); ++s) {
    Stage& stage = stages[s];
    if (s > 0) {  // The column came after those of the stage below; lookups append theirs behind.
      const auto moved = [&](int old) { return old >= column ? old + 1 : old; };
      const auto move_all = [&](ExprPtr& e) {
        if (e) renumber(*e, moved);
      };
      renumber_lookups(stage.lookups, moved);
      move_all(stage.lookup_where);
      move_all(stage.where);
      for (ExprPtr& output : stage.outputs) move_all(output);
      stage.window.time_column = moved(stage.window.time_column);
      const batch::ColumnDef& passed = stages[s - 1].output.columns.back();
      stage.input.columns.insert(stage.input.columns.begin() + column, passed);
      stage.grouped.columns.insert(stage.grouped.columns.begin() + column, passed);
      stage.input_used.insert(stage.input_used.begin() + column, true);
    }
    stage.input_used[static_cast<size_t>(column)] = true;
    const batch::ColumnDef& passed = stage.input.columns[static_cast<size_t>(column)];
    stage.outputs.push_back(expr::make_column(column, passed.type));
    stage.output.columns.push_back(passed);
    column = static_cast<int>(stage.output.columns.size() - 1);
  }
  return column;
}

/// As above, for a side of the join; the join has it in its input.
int pass_to_join(Query& query, size_t side, int column) {
  Stage& stage = query.stages.front();
  Query& input = *query.inputs[side];
  const auto left_columns = static_cast<int>(query.inputs[0]->output().columns.size());
  const int passed = pass_column(input.stages, column);
  if (side == 0) {
    const auto moved = [&](int old) { return old >= left_columns ? old + 1 : old; };
    for (ExprPtr& output : stage.outputs) renumber(*output, moved);
    if (stage.join->condition) renumber(*stage.join->condition, moved);
  }
  const int at = side == 0 ? passed : left_columns + passed;
  stage.input.columns.insert(stage.input.columns.begin() + at, input.output().columns.back());
  stage.grouped = stage.input;
  stage.input_used.assign(stage.input.columns.size(), true);
  return passed;
}

}  // namespace

std::vector<LateSide> late_sides(const Query& query) {
  std::vector<LateSide> found;
  if (!query.stages.front().join) return found;
  size_t last = 0;
  while (last + 1 < query.stages.size() && passes_rows(query.stages[last + 1])) ++last;
  const std::vector<batch::ColumnDef>& columns = query.stages[last].output.columns;
  std::vector<ExprPtr> outputs;
  for (size_t c = 0; c < columns.size(); ++c)
    outputs.push_back(expr::make_column(static_cast<int>(c), columns[c].type));
  SideFinder(found).look(query, last, distinct_names(columns), std::move(outputs));
  return found;
}

void pass_late_columns(Query& query) {
  for (const LateSide& late : late_sides(query)) {
    Query* at = &query;
    for (const size_t input : late.path) at = at->inputs[input].get();
    Join& join = *at->stages.front().join;
    Join::Side& plan = late.side == 0 ? join.left : join.right;
    const Relation& source = at->inputs[late.side]->source;
    if (plan.arrival_column < 0 && source.arrival_column >= 0)
      plan.arrival_column = pass_to_join(*at, late.side, source.arrival_column);
    const int site = source.schema.find("site");
    const bool has_site = site >= 0 && source.schema.columns[static_cast<size_t>(site)].type == Type::kText;
    if (plan.site_column < 0 && has_site) plan.site_column = pass_to_join(*at, late.side, site);
  }
}

}  // namespace backstream::plan
