#pragma once
// Values as text: JSON and CSV of results, and text of the network's on a terminal.
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "batch/column_batch.h"

namespace backstream::receiver {

/// Longest text of a value of fixed form: an IPv6 prefix or a timestamp, with quotes.
inline constexpr size_t kCellOctetsMax = 64;

inline char* put(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

/// A JSON string with its quotes; writes at most 6 octets for each of the text, and 2. RFC 8259 §7; what is no UTF-8
/// becomes U+FFFD.
char* put_json_string(std::string_view text, char* at);
/// RFC 4180; an empty text is quoted, as PostgreSQL's COPY does, because a null is nothing at all. At most twice the
/// text's octets, and 2.
char* put_csv_text(std::string_view text, char* at);
std::string csv_text(std::string_view text);
std::string json_string(std::string_view text);
/// Text from the network must not move a person's cursor: control characters are shown by number.
std::string printable(std::string_view text);
size_t characters(std::string_view text);

/// A standard error for people, who see its value beside it: "±2.5 %" of it; of no value, or none that is a part of
/// anything, as it is.
std::string error_for_people(std::string_view value, std::string_view error);

/// The value as `run -o jsonl` writes it: integers as numbers, times RFC 3339, NaN and infinities as strings, null.
void append_json_value(std::string& out, const batch::Column& column, size_t row);
/// As `run -o csv` does: times as PostgreSQL prints them, nothing for null.
void append_csv_value(std::string& out, const batch::Column& column, size_t row);

}  // namespace backstream::receiver
