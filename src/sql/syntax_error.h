#pragma once
#include <string_view>

#include "base/diagnostic.h"
#include "sql/tokens.h"

namespace backstream::sql {

/// What PostgreSQL's parser said about a text, in plain words: placed where the slip is rather than where the parser
/// gave up, and with our spelling when the text is another streaming engine's.
/// @param message  the parser's, such as: syntax error at or near "x"
/// @param offset   octets from the text's begin; the text's size when the place is its end
base::Diagnostic explain_syntax_error(const Tokens& tokens, std::string_view message, uint32_t offset);

}  // namespace backstream::sql
