#pragma once
// Values of elements as text, for columns that list what has no column of its own. Private to the room.
#include <string>

#include "decode/record_plan.h"

namespace backstream::decode {

/// Appends `name=value` and a blank before it where `out` is not empty. Names of IANA's elements; N for a number that
/// the registry does not have, E/N for an enterprise's. Values as SQL prints them; texts with blanks, quotes or '='
/// in double quotes, their quotes and backslashes behind a backslash; what has no text form, and what no value of the
/// type can be, as hexadecimal octets behind 0x. At most 256 octets of a value are shown, then "...".
void append_element(std::string& out, const FieldSpec& field, const uint8_t* at, unsigned width);
/// The same under another name.
void append_named(std::string& out, std::string_view name, batch::ElementType type, const uint8_t* at, unsigned width);
/// A field of fixed length without the zeros that it is filled up with; empty when it is no UTF-8.
std::string_view text_of(const uint8_t* at, unsigned width);

}  // namespace backstream::decode
