#include "batch/flow_schema.h"

#include <array>

namespace backstream::batch {

namespace {

Schema standard_schema() {
  Schema schema{{
#define BACKSTREAM_X(enumerator, sql_name, type, bits, about) {sql_name, Type::type, bits},
      BACKSTREAM_FLOW_COLUMNS(BACKSTREAM_X)
#undef BACKSTREAM_X
  }};
  for (const FlowColumn column :
       {FlowColumn::kOctets, FlowColumn::kPackets, FlowColumn::kOctetsRaw, FlowColumn::kPacketsRaw}) {
    schema.columns[static_cast<size_t>(column)].additive = true;
  }
  for (const Element& element : iana_elements()) {
    ColumnDef& column = schema.columns.emplace_back();
    column.name = element.name;
    column.type = sql_type(element.type);
    column.hidden = true;
    column.additive = element.semantics == ElementSemantics::kDeltaCounter;
  }
  return schema;
}

}  // namespace

const Schema& flow_schema() {
  static const Schema schema = standard_schema();
  return schema;
}

Schema flow_schema(std::span<const UserColumn> user_columns) {
  Schema schema = flow_schema();
  for (const UserColumn& column : user_columns) schema.columns.push_back({column.name, sql_type(column.from.type)});
  return schema;
}

std::vector<ElementColumn> element_columns(std::span<const UserColumn> user_columns) {
  std::vector<ElementColumn> columns;
  for (const Element& element : iana_elements()) columns.push_back({0, element.id, element.type});
  for (const UserColumn& column : user_columns) columns.push_back(column.from);
  return columns;
}

std::string_view about(FlowColumn column) {
  static constexpr std::array<std::string_view, kFlowColumnCount> kAbout{{
#define BACKSTREAM_X(enumerator, sql_name, type, bits, about) about,
      BACKSTREAM_FLOW_COLUMNS(BACKSTREAM_X)
#undef BACKSTREAM_X
  }};
  return kAbout[static_cast<size_t>(column)];
}

}  // namespace backstream::batch
