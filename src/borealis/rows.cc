#include "borealis/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace backstream::borealis {

namespace {

std::vector<UnboundExprPtr> clones(const std::vector<UnboundExprPtr>& list) {
  std::vector<UnboundExprPtr> made;
  for (const UnboundExprPtr& e : list) made.push_back(clone(*e));
  return made;
}

std::unique_ptr<plan::UnboundSelect> copy(const plan::UnboundSelect& select);

std::unique_ptr<plan::UnboundFrom> copy(const plan::UnboundFrom& from) {
  auto made = std::make_unique<plan::UnboundFrom>();
  made->kind = from.kind;
  made->span = from.span;
  made->name = from.name;
  made->name_span = from.name_span;
  made->alias = from.alias;
  for (const UnboundExprPtr& arg : from.args) {
    if (arg->subquery) {
      auto enclosing = std::make_unique<UnboundExpr>();
      enclosing->kind = UnboundExpr::Kind::kSubquery;
      enclosing->span = arg->span;
      enclosing->subquery = copy(*arg->subquery);
      made->args.push_back(std::move(enclosing));
    } else {
      made->args.push_back(clone(*arg));
    }
  }
  made->arg_names = from.arg_names;
  if (from.subquery) made->subquery = copy(*from.subquery);
  made->join = from.join;
  if (from.left) made->left = copy(*from.left);
  if (from.right) made->right = copy(*from.right);
  if (from.on) made->on = clone(*from.on);
  return made;
}

std::unique_ptr<plan::UnboundSelect> copy(const plan::UnboundSelect& select) {
  auto made = std::make_unique<plan::UnboundSelect>();
  made->span = select.span;
  made->set_op = select.set_op;
  made->set_all = select.set_all;
  if (select.left) made->left = copy(*select.left);
  if (select.right) made->right = copy(*select.right);
  for (const plan::UnboundTarget& each : select.targets)
    made->targets.push_back(target(clone(*each.expr), name_of(each)));
  for (const auto& from : select.from) made->from.push_back(copy(*from));
  if (select.where) made->where = clone(*select.where);
  made->group_by = clones(select.group_by);
  if (select.having) made->having = clone(*select.having);
  return made;
}

}  // namespace

Rows Rows::copy() const {
  Rows made;
  made.from = borealis::copy(*from);
  for (const Join& join : joins) made.joins.push_back({join.table, join.alias, join.span, clone(*join.on)});
  for (const auto& [to, of] : {std::pair{&made.window_time, &window_time},
                               {&made.window_size, &window_size},
                               {&made.window_slide, &window_slide}}) {
    if (*of) *to = clone(**of);
  }
  made.where = clones(where);
  made.having = clones(having);
  made.group_by = clones(group_by);
  made.is_grouped = is_grouped;
  for (const FieldValue& field : fields) made.fields.push_back(field.copy());
  made.arrival_column = arrival_column;
  made.start_column = start_column;
  made.group_start = group_start;
  made.step = step;
  made.selects = selects;
  made.inputs = inputs;
  made.span = span;
  return made;
}

std::string free_name(const std::vector<FieldValue>& fields, std::string_view wanted) {
  std::string name(wanted);
  const auto taken = [&] {
    return std::any_of(fields.begin(), fields.end(), [&](const FieldValue& field) { return field.name == name; });
  };
  for (int number = 1; taken(); ++number) name = fmt::format("{}_{}", wanted, number);
  return name;
}

std::unique_ptr<plan::UnboundSelect> select_of(Rows rows) {
  auto select = std::make_unique<plan::UnboundSelect>();
  select->span = rows.span;
  std::unique_ptr<plan::UnboundFrom> from = std::move(rows.from);
  if (rows.window_size) {
    auto window = std::make_unique<plan::UnboundFrom>();
    window->kind = plan::UnboundFrom::Kind::kFunction;
    window->span = window->name_span = rows.span;
    window->name = rows.window_slide ? "hop" : "tumble";
    if (from->kind == plan::UnboundFrom::Kind::kRelation) {
      window->args.push_back(column(from->name, from->name_span));
      if (!rows.joins.empty()) window->alias = from->name;
    } else {
      auto subquery = std::make_unique<UnboundExpr>();
      subquery->kind = UnboundExpr::Kind::kSubquery;
      subquery->span = from->span;
      subquery->subquery = std::move(from->subquery);
      window->args.push_back(std::move(subquery));
      window->alias = from->alias;
    }
    window->args.push_back(std::move(rows.window_time));
    if (rows.window_slide) window->args.push_back(std::move(rows.window_slide));
    window->args.push_back(std::move(rows.window_size));
    window->arg_names.resize(window->args.size());
    from = std::move(window);
  }
  for (Rows::Join& join : rows.joins) {
    auto joined = std::make_unique<plan::UnboundFrom>();
    joined->kind = plan::UnboundFrom::Kind::kJoin;
    joined->span = join.span;
    joined->left = std::move(from);
    joined->right = from_relation(join.table, join.span);
    joined->right->alias = join.alias;
    joined->on = std::move(join.on);
    from = std::move(joined);
  }
  select->from.push_back(std::move(from));
  for (FieldValue& field : rows.fields) select->targets.push_back(target(std::move(field.value), field.name));
  if (!rows.where.empty()) select->where = all_of(std::move(rows.where));
  if (!rows.having.empty()) select->having = all_of(std::move(rows.having));
  select->group_by = std::move(rows.group_by);
  return select;
}

Rows enclosed(Rows rows) {
  Rows outer;
  outer.span = rows.span;
  outer.selects = rows.selects + 1;
  outer.inputs = rows.inputs;
  outer.step = rows.step;
  std::erase_if(rows.fields, [](const FieldValue& field) { return !field.is_needed; });
  const size_t visible = rows.fields.size();
  // A field that is the time itself tells it; else it is one more column, under a name that no field has.
  const auto keep = [&](const std::string& of, std::string_view wanted) {
    for (const FieldValue& field : rows.fields) {
      const UnboundExpr& value = *field.value;
      if (value.kind == UnboundExpr::Kind::kColumn && value.names.back() == of && field.time_column == of)
        return field.name;
    }
    FieldValue kept;
    kept.name = free_name(rows.fields, wanted);
    kept.family = Family::kTimestamp;
    kept.value = column(of, rows.span);
    kept.time_column = of;
    rows.fields.push_back(std::move(kept));
    return rows.fields.back().name;
  };
  for (size_t i = 0; i < visible; ++i) {
    FieldValue seen;
    seen.name = rows.fields[i].name;
    seen.family = rows.fields[i].family;
    seen.is_wide = rows.fields[i].is_wide;
    seen.in_whole_seconds = rows.fields[i].in_whole_seconds;
    seen.value = column(seen.name, rows.fields[i].value->span);
    const std::string time = rows.fields[i].time_column;
    if (!time.empty()) seen.time_column = keep(time, "time");
    outer.fields.push_back(std::move(seen));
  }
  if (rows.is_grouped) outer.start_column = keep(rows.group_start, "window_start");
  else if (!rows.start_column.empty()) outer.start_column = keep(rows.start_column, "window_start");
  else if (!rows.arrival_column.empty()) outer.arrival_column = keep(rows.arrival_column, "arrived_at");
  outer.from = from_subquery(select_of(std::move(rows)), outer.span);
  return outer;
}

}  // namespace backstream::borealis
