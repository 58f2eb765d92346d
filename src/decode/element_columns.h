#pragma once
// Elements as they were exported, into columns. Private to the room.
#include "decode/record_plan.h"

namespace backstream::decode {

/// Writes one field of n records, `stride` octets apart, to a column of WantedElements. Values that no value of the
/// type can be become null and are counted. RFC 7011 §6.1 and §6.2: encodings, and fewer octets than the type has.
/// @param width  octets of the field, > 0
void write_element(batch::ElementType type, const uint8_t* at, size_t stride, unsigned width, size_t n, size_t column,
                   FlowWriter& out, RecordCounts& counts);

}  // namespace backstream::decode
