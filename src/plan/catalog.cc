// The relations that a statement may name.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "plan/binder.h"
#include "plan/late.h"

namespace backstream::plan {

using base::fail;
using batch::Type;

Catalog::Catalog(const batch::Schema* flow_schema) {
  if (flow_schema == nullptr) return;
  Relation flows;
  flows.kind = Relation::Kind::kStream;
  flows.name = "flows";
  flows.schema = *flow_schema;
  flows.time_column = static_cast<int>(batch::FlowColumn::kTime);
  flows.arrival_column = static_cast<int>(batch::FlowColumn::kReceivedAt);
  relations_.push_back(std::move(flows));
  for (const batch::SideStreamDef& stream : batch::side_streams()) {
    Relation beside;
    beside.kind = Relation::Kind::kStream;
    beside.name = stream.name;
    beside.schema = stream.schema;
    beside.time_column = stream.time_column;
    beside.arrival_column = stream.arrival_column;
    relations_.push_back(std::move(beside));
  }
}
void Catalog::add(Relation relation) { relations_.push_back(std::move(relation)); }
void Catalog::add_view(const Query& view) {
  add(as_relation(view));
  if (view.options.late != QueryOptions::Late::kSide) return;
  if (auto late = late_relation(view)) add(std::move(*late));
}
bool Catalog::remove(std::string_view name) {
  return std::erase_if(relations_, [&](const Relation& r) { return r.name == name; }) > 0;
}
Relation* Catalog::find(std::string_view name) { return const_cast<Relation*>(std::as_const(*this).find(name)); }
const Relation* Catalog::find(std::string_view name) const {
  for (const Relation& relation : relations_) {
    if (relation.name == name) return &relation;
  }
  return nullptr;
}
std::vector<std::string_view> Catalog::names() const {
  std::vector<std::string_view> names;
  for (const Relation& relation : relations_) names.push_back(relation.name);
  return names;
}

Result<Relation> bind_foreign_table(const UnboundStatement& statement) {
  Relation table;
  table.kind = Relation::Kind::kStream;
  table.name = statement.name;
  for (const UnboundColumnDef& column : statement.columns) {
    const auto type = expr::parse_type(column.type_name, column.span);
    if (!type) return tl::unexpected(type.error());
    if (table.schema.find(column.name) >= 0)
      return fail("42701", fmt::format("column \"{}\" specified more than once", column.name), column.span);
    table.schema.columns.push_back({column.name, *type, 0});
  }
  for (const UnboundOption& option : statement.options) {
    if (option.name == "event_time" || option.name == "arrival") {
      const int column = table.schema.find(option.value);
      if (column < 0) return fail("42703", fmt::format("column \"{}\" does not exist", option.value), option.span);
      if (table.schema.columns[static_cast<size_t>(column)].type != Type::kTimestamptz)
        return fail("42804", fmt::format("{} must be a timestamptz column", option.name), option.span);
      (option.name == "arrival" ? table.arrival_column : table.time_column) = column;
    } else if (option.name == "watermark") {
      const auto delay = interval_option(option.value, "watermark", option.span);
      if (!delay) return tl::unexpected(delay.error());
      table.delay_us = *delay;
    } else {
      return fail("HV00D", fmt::format("invalid option \"{}\"", option.name), option.span,
                  "options are event_time, watermark and arrival");
    }
  }
  return table;
}

std::optional<Window> window_of_rows(const std::vector<Stage>& stages, const Relation& source) {
  for (size_t s = stages.size(); s-- > 0;) {
    const Stage& stage = stages[s];
    if (stage.union_all) return std::nullopt;
    if (stage.window.kind == Window::Kind::kTumble || stage.window.kind == Window::Kind::kHop) return stage.window;
    if (stage.window.kind != Window::Kind::kInherited) return std::nullopt;
  }
  return source.window;
}

Relation as_relation(const Query& view) {
  Relation relation;
  relation.kind = Relation::Kind::kView;
  relation.name = view.name;
  relation.schema = view.output();
  relation.time_column = view.time_output;
  relation.has_windows = view.has_windows;
  relation.window_size_us = view.window_size_us;
  relation.has_hidden = true;
  relation.window_end_column = view.has_windows ? view.stages.back().window_end_output : -1;
  if (view.has_windows) relation.window = window_of_rows(view.stages, view.source);
  return relation;
}

}  // namespace backstream::plan
