// Which column a name means: alone, or qualified by a relation of FROM.
#include <fmt/format.h>

#include <algorithm>

#include "plan/binder.h"

namespace backstream::plan {

using base::fail;

std::optional<NamedColumns> Input::find_relation(std::string_view name) const {
  if (relations.empty()) {
    if (name != alias) return std::nullopt;
    return NamedColumns{
        alias, 0, static_cast<int>(schema.columns.size()), true, window_start_column, window_end_column};
  }
  for (const NamedColumns& relation : relations) {
    if (relation.alias == name) return relation;
  }
  return std::nullopt;
}

bool Input::is_window_start(int column) const {
  return column >= 0 && (column == window_start_column ||
                         std::any_of(relations.begin(), relations.end(), [&](const NamedColumns& relation) {
                           return column == relation.window_start_column;
                         }));
}
bool Input::is_window_end(int column) const {
  return column >= 0 && (column == window_end_column ||
                         std::any_of(relations.begin(), relations.end(), [&](const NamedColumns& relation) {
                           return column == relation.window_end_column;
                         }));
}

std::string Input::relations_hint() const {
  if (relations.empty()) return alias.empty() ? "" : fmt::format("the relation here is '{}'", alias);
  std::string names;
  for (const NamedColumns& relation : relations) {
    if (!relation.alias.empty()) names += fmt::format("{}'{}'", names.empty() ? "" : ", ", relation.alias);
  }
  return names.empty() ? "" : "the relations here are " + names;
}

std::vector<int> Input::star(const NamedColumns* of) const {
  std::vector<int> columns;
  if (of != nullptr) {
    for (int c = of->first; c < of->first + of->count; ++c) {
      if (!is_hidden(c)) columns.push_back(c);
    }
    return columns;
  }
  columns = using_columns;
  for (int c = 0; c < static_cast<int>(schema.columns.size()); ++c) {
    if (is_hidden(c) || (static_cast<size_t>(c) < merged.size() && merged[static_cast<size_t>(c)])) continue;
    if (std::find(using_columns.begin(), using_columns.end(), c) == using_columns.end()) columns.push_back(c);
  }
  return columns;
}

Result<void> append_columns(Input& left, const Input& right, SourceSpan span) {
  const auto relations_of = [](const Input& input) {
    if (!input.relations.empty()) return input.relations;
    return std::vector{NamedColumns{input.alias, 0, static_cast<int>(input.schema.columns.size()), input.has_windows(),
                                    input.window_start_column, input.window_end_column}};
  };
  const auto offset = static_cast<int>(left.schema.columns.size());
  const auto moved = [offset](int column) { return column < 0 ? column : column + offset; };
  left.relations = relations_of(left);
  for (NamedColumns& relation : relations_of(right)) {
    if (!relation.alias.empty() && left.find_relation(relation.alias)) {
      return fail("42712", fmt::format("table name \"{}\" specified more than once", relation.alias), span,
                  "give each relation a name of its own: FROM a x JOIN a y ON ...");
    }
    relation.first += offset;
    relation.window_start_column = moved(relation.window_start_column);
    relation.window_end_column = moved(relation.window_end_column);
    left.relations.push_back(relation);
  }
  for (auto* flags : {&left.merged, &left.hidden}) {
    const std::vector<bool>& more = flags == &left.merged ? right.merged : right.hidden;
    flags->resize(static_cast<size_t>(offset));
    flags->insert(flags->end(), more.begin(), more.end());
    flags->resize(static_cast<size_t>(offset) + right.schema.columns.size());
  }
  for (const int column : right.using_columns) left.using_columns.push_back(moved(column));
  left.schema.columns.insert(left.schema.columns.end(), right.schema.columns.begin(), right.schema.columns.end());
  return {};
}

std::vector<int> ExprBinder::columns_named(const UnboundExpr& e) const {
  const bool qualified = e.names.size() == 2;
  NamedColumns of{"", 0, static_cast<int>(input_.schema.columns.size())};
  if (qualified) {
    const auto relation = input_.find_relation(e.names[0]);
    if (!relation) return {};
    of = *relation;
  }
  const std::vector<bool>& merged = input_.merged;
  std::vector<int> found;
  const auto search = [&](int first, int end) {
    for (int c = first; c < end; ++c) {
      if (!qualified && static_cast<size_t>(c) < merged.size() && merged[static_cast<size_t>(c)]) continue;
      if (!input_.is_hidden(c) && input_.schema.columns[static_cast<size_t>(c)].name == e.names.back())
        found.push_back(c);
    }
  };
  if (qualified || input_.nested_first < 0) {
    search(of.first, of.first + of.count);
    // A column of the view's own hides one that every view has.
    const auto only_by_name = [&](int c) { return input_.schema.columns[static_cast<size_t>(c)].hidden; };
    if (!std::all_of(found.begin(), found.end(), only_by_name)) std::erase_if(found, only_by_name);
    return found;
  }
  search(input_.nested_first, of.count);
  if (found.empty()) search(0, input_.nested_first);
  return found;
}

void note_columns(const expr::Expr* e, std::vector<bool>& used) {
  if (e == nullptr) return;
  expr::walk(*e, [&](const expr::Expr& part) {
    if (part.kind == expr::ExprKind::kColumn && static_cast<size_t>(part.column) < used.size())
      used[static_cast<size_t>(part.column)] = true;
  });
}

void note_lookups(const std::vector<LookupStep>& lookups, std::vector<bool>& used) {
  for (const LookupStep& step : lookups) {
    for (const auto& key : step.keys) note_columns(key.get(), used);
    note_columns(step.condition.get(), used);
  }
}

int ExprBinder::find_beside(int column, std::string_view name) const {
  int first = 0, end = static_cast<int>(input_.schema.columns.size());
  for (const NamedColumns& relation : input_.relations) {
    if (column < relation.first || column >= relation.first + relation.count) continue;
    first = relation.first;
    end = first + relation.count;
  }
  for (int c = first; c < end; ++c) {
    if (!input_.is_hidden(c) && input_.schema.columns[static_cast<size_t>(c)].name == name) return c;
  }
  return -1;
}

bool ExprBinder::is_window_column(const UnboundExpr& e, bool& is_end) const {
  if (e.kind != UnboundExpr::Kind::kColumn || !input_.has_windows() || e.names.size() > 2) return false;
  if (e.names.size() == 2) {
    const auto relation = input_.find_relation(e.names[0]);
    if (!relation || !relation->has_window) return false;
  }
  const std::string& name = e.names.back();
  is_end = name == "window_end";
  // A window function hides columns of these names below it (a view's own window).
  if (input_.window.kind != Window::Kind::kInherited) return is_end || name == "window_start";
  const std::vector<int> columns = columns_named(e);
  if (columns.empty()) return is_end || name == "window_start";
  if (columns.size() > 1) return false;
  is_end = input_.is_window_end(columns[0]);
  return is_end || input_.is_window_start(columns[0]);
}

Result<int> ExprBinder::find_column(const UnboundExpr& e) const {
  const std::string& name = e.names.back();
  if (e.names.size() > 2) return fail("0A000", "a column is named by itself or as relation.column", e.span);
  std::optional<NamedColumns> relation;
  if (e.names.size() == 2) {
    relation = input_.find_relation(e.names[0]);
    if (!relation)
      return fail("42P01", fmt::format("\"{}\" is not in FROM", e.names[0]), e.span, input_.relations_hint());
  }
  bool is_end = false;
  const bool is_window = is_window_column(e, is_end);
  const bool hidden = input_.window.kind != Window::Kind::kInherited && is_window;
  const std::vector<int> columns = hidden ? std::vector<int>{} : columns_named(e);
  if (columns.size() == 1) return columns[0];
  if (columns.size() > 1) {
    std::string hint = "give one of them another name with AS";
    if (!relation && !input_.relations.empty()) {
      std::string names;
      for (const NamedColumns& known : input_.relations) {
        const bool has = std::any_of(columns.begin(), columns.end(),
                                     [&](int c) { return c >= known.first && c < known.first + known.count; });
        if (has) names += fmt::format("{}{}.{}", names.empty() ? "" : " or ", known.alias, name);
      }
      hint = "write " + names;
    }
    return fail("42702", fmt::format("column reference \"{}\" is ambiguous", name), e.span, hint);
  }
  if (is_window) return -1;
  std::vector<std::string_view> names;
  const size_t first = relation ? static_cast<size_t>(relation->first) : 0;
  const size_t end = relation ? first + static_cast<size_t>(relation->count) : input_.schema.columns.size();
  for (size_t c = first; c < end; ++c) {
    if (!input_.is_hidden(static_cast<int>(c))) names.push_back(input_.schema.columns[c].name);
  }
  if (input_.has_windows()) names.insert(names.end(), {"window_start", "window_end"});
  std::string hint;
  const auto near = base::nearest_name(name, names);
  // SQL makes names lower case unless they stand in double quotes.
  const bool needs_quotes = std::any_of(near.begin(), near.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!near.empty())
    hint = needs_quotes ? fmt::format("did you mean \"{}\", in double quotes?", near)
                        : fmt::format("did you mean '{}'?", near);
  else if (name == "window_start" || name == "window_end")
    hint = "window columns come from a window function: FROM tumble(flows, time, interval '300 s')";
  return fail("42703", fmt::format("column \"{}\" does not exist", name), e.span, hint);
}

Result<int> ExprBinder::find_time_column(const UnboundExpr& e) const {
  auto column = find_column(e);
  if (!column) return column;
  if (*column < 0) return fail("42804", "the time of a window is no column of its rows", e.span);
  const batch::ColumnDef& time = input_.schema.columns[static_cast<size_t>(*column)];
  if (time.type == batch::Type::kTimestamptz) return column;
  return fail(
      "42804",
      fmt::format("column \"{}\" is of type {}, not timestamp with time zone", time.name, batch::name(time.type)),
      e.span);
}

}  // namespace backstream::plan
