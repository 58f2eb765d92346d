#pragma once
// Results as the API gives them. Numbers keep the digits that the server wrote: none passes through a double.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"

namespace backstream::app {

struct ResultCell {
  enum class Kind : uint8_t { kNull, kTrue, kFalse, kNumber, kText };
  Kind kind = Kind::kNull;
  std::string text;  ///< of kNumber and kText
};
struct ResultColumn {
  std::string name, type;
  bool key = false;            ///< tells a row from the others of its window
  std::string stderr_of = {};  ///< the column whose standard error it is; empty: of none
  bool operator==(const ResultColumn&) const = default;
};
/// Rows of one window and revision, or a part of them.
struct ResultPart {
  std::string query;
  uint64_t seq = 0;
  std::string window_start, window_end;  ///< RFC 3339; both empty: rows without a window
  int64_t revision = 1;
  bool final = true, complete = true, removed = false;
  std::vector<std::string> sites_missing;  ///< that are why it is not complete
  bool last = true;                        ///< of its window and revision
  bool truncated = false;                  ///< there are more rows than these, and no events for them
  std::vector<ResultColumn> columns;
  std::vector<std::vector<ResultCell>> rows;  ///< each as long as `columns`
};
/// An answer of /results.
struct ResultPage {
  std::vector<ResultColumn> columns;
  std::vector<ResultPart> parts;
  std::optional<uint64_t> next;      ///< there is more after this one
  std::optional<uint64_t> last_seq;  ///< the newest that there is
  uint64_t parts_dropped = 0;        ///< that are no longer kept
};

/// Error 08P01: it is no such document.
base::Result<ResultPart> parse_result_part(std::string_view json);
base::Result<ResultPage> parse_result_page(std::string_view json);

}  // namespace backstream::app
