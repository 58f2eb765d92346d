#pragma once
// Records that count both directions of a conversation. Private to the room.
#include <span>
#include <vector>

#include "decode/record_plan.h"

namespace backstream::decode {

/// RFC 5103 §6.1: elements of the reverse direction have the number of the forward one under this enterprise.
inline constexpr uint32_t kReverseEnterprise = 29'305;

/// The fields of a template as those of a record of the reverse direction: source and destination have changed places,
/// and reverse counters (or what the responder sent, elements 232 and 299) stand for the forward ones, which in turn
/// become reverse. What is true of the forward direction alone is no field of it. Widths and order stay, so that
/// offsets do. Empty: the records count no reverse direction.
std::vector<FieldSpec> reverse_fields(std::span<const FieldSpec> fields);

}  // namespace backstream::decode
