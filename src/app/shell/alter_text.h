#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "plan/unbound.h"

namespace backstream::app::shell {

/// The text of a registered query with the options of ALTER MATERIALIZED VIEW name SET (…) or RESET (…): the server
/// keeps whole texts, so the statement becomes a new version of the text. Nothing else of it changes.
/// @param text  SELECT, or CREATE MATERIALIZED VIEW name [(…)] [WITH (…)] AS SELECT
/// Errors: those of sql::parse, should the text not be one of these.
base::Result<std::string> altered_text(const std::string& name, const std::string& text,
                                       const plan::UnboundStatement& alter, std::string_view alter_text);

}  // namespace backstream::app::shell
