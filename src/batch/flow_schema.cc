#include "batch/flow_schema.h"

#include <array>

namespace backstream::batch {

const Schema& flow_schema() {
  static const Schema schema{{
#define BACKSTREAM_X(enumerator, sql_name, type, bits, about) {sql_name, Type::type, bits},
      BACKSTREAM_FLOW_COLUMNS(BACKSTREAM_X)
#undef BACKSTREAM_X
  }};
  return schema;
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
