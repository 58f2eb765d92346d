#include "exec/rest_row.h"

#include <algorithm>

namespace backstream::exec {
RestRow::RestRow(const plan::Stage& stage)
    : stage_(stage), row_(stage.grouped.types(), std::vector<bool>(stage.grouped.columns.size(), true), 1) {
  batch::ColumnBatch& row = row_.batch;
  row.row_count = 1;
  for (size_t k = 0; k < stage.keys.size(); ++k) {
    batch::Column& key = row.columns[2 + k];
    key.has_nulls = true;
    key.validity[0] = 0;
    std::fill_n(static_cast<uint8_t*>(key.values), batch::octets_per_value(batch::physical(key.type)), uint8_t{0});
  }
}

const batch::ColumnBatch& RestRow::combine(PaneTable& table, const WindowRef& window, const uint32_t* groups, size_t n,
                                           agg::NullResults& nulls) {
  const GroupLayout& layout = table.layout();
  const auto& aggregates = stage_.aggregates;
  context_ = agg::StateContext();
  states_.assign(layout.state_octets() / 8, 0);
  auto* states = reinterpret_cast<uint8_t*>(states_.data());
  batch::ColumnBatch& row = row_.batch;
  row.columns[0].as<Micros>()[0] = window.start;
  row.columns[1].as<Micros>()[0] = window.end;
  for (size_t a = 0; a < aggregates.size(); ++a) {
    const agg::AggregateFunction& function = *aggregates[a].function;
    const uint32_t offset = layout.state_offsets()[a];
    if (function.init != nullptr) function.init(states + offset);
    for (size_t i = 0; i < n; ++i) {
      const uint8_t* group = table.row(groups[i]) + table.states_at(table.is_wide(groups[i]));
      function.combine(states + offset, group + offset, context_);
    }
    batch::Column& out = row.columns[2 + stage_.keys.size() + a];
    out.has_nulls = true;
    function.finish(&states, offset, 1, out, 0, context_);
  }
  nulls += context_;
  return row;
}

}  // namespace backstream::exec
