#include "batch/side_streams.h"

namespace backstream::batch {

const std::array<SideStreamDef, kSideStreamCount>& side_streams() {
  static const std::array<SideStreamDef, kSideStreamCount> streams = [] {
#define BACKSTREAM_COLUMN(enumerator, sql_name, type, bits, about) {sql_name, Type::type, bits},
#define BACKSTREAM_X(enumerator, name, columns, about) \
  SideStreamDef{SideStream::enumerator, name, {{columns(BACKSTREAM_COLUMN)}}},
    std::array<SideStreamDef, kSideStreamCount> made{BACKSTREAM_SIDE_STREAMS(BACKSTREAM_X)};
#undef BACKSTREAM_X
#undef BACKSTREAM_COLUMN
    for (SideStreamDef& stream : made) {
      stream.time_column = stream.schema.find("time");
      stream.arrival_column = stream.schema.find("received_at");
    }
    return made;
  }();
  return streams;
}

}  // namespace backstream::batch
