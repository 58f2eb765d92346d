#pragma once
// Parts of results as text: over HTTP, in files, as messages.
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "receiver/result_part.h"

namespace backstream::receiver {

/// What stands behind the columns of the query.
enum class Marks : uint8_t {
  kNone,
  kRevision,  ///< _rev, _final, _complete, _op: 'u' a row that is there, 'd' one that the revision before had (its
              ///< keys)
  kAll,       ///< _window_start, _window_end, and those, with _sites_missing before _op
};

/// RFC 4180, with its end of line ("\n").
std::string csv_header(const ResultForm& form, Marks marks);
void append_csv(std::string& out, const ResultPart& part, Marks marks);
/// One object a row, each with its end of line.
void append_jsonl(std::string& out, const ResultPart& part, Marks marks);

/// Parts that follow each other; where the columns are others than before, a header comes again after an empty line.
std::string csv_of(std::span<const std::shared_ptr<const ResultPart>> parts, Marks marks);
std::string jsonl_of(std::span<const std::shared_ptr<const ResultPart>> parts, Marks marks);

}  // namespace backstream::receiver
