#pragma once
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "plan/unbound.h"

namespace backstream::sql {

/// Parses one or more statements, PostgreSQL 15's grammar (libpg_query), into the unbound plan.
/// Limits: 64 KiB of text; UTF-8; identifiers up to 63 octets (longer: an error, PostgreSQL cuts them silently).
/// Foreign spellings that PostgreSQL takes for aliases (SELECT STREAM x, FROM t EMIT, ...) are refused with our
/// spelling. Errors are located in `text` under `source_name`. Any thread; the parser itself runs on one thread with a
/// large stack (docs/design/0003-parser.md).
base::Result<std::vector<plan::UnboundStatement>> parse(std::string_view text, std::string_view source_name);

/// Gives options that are conditions ("filter.SITE", "alert.when", "alert.clear") their `condition`, as parse() does of
/// statements: of a diagram, whose options are SQL, too. At most 64 KiB each. Errors: with the span of what is wrong in
/// the text that the options stand in. Any thread.
base::Result<void> parse_conditions(std::vector<plan::UnboundOption>& options);

}  // namespace backstream::sql
