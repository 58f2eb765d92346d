#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace backstream::base {

/// A place in a text that a person wrote: octets from its begin. length 0: a point.
struct SourceSpan {
  uint32_t offset_octets = 0;
  uint32_t length_octets = 0;
  bool operator==(const SourceSpan&) const = default;
};

/// What is told a person about a mistake in SQL, TOML, XML or a flag. `code` is a SQLSTATE for SQL (PostgreSQL 15,
/// appendix A), otherwise one of ours. Until locate() is called only `span` says where.
struct Diagnostic {
  std::string code;
  std::string message;
  std::string hint;  ///< may be empty
  SourceSpan span;
  std::string source_name;  ///< file name, "-e" or empty
  uint32_t line = 0;        ///< from 1; 0: no place known
  uint32_t column = 0;      ///< from 1, in characters (code points), not octets
  std::string excerpt;      ///< the whole line that `line` names, tabs as they are
  uint32_t caret_characters = 1;

  /// "name:line:col: error: message", the line, a caret under the place, the hint. Ends with a newline.
  std::string render() const;
};

/// Fills line, column and excerpt from `span` and the text it points into.
Diagnostic& locate(Diagnostic& diagnostic, std::string_view source_name, std::string_view text);

template <typename T>
using Result = tl::expected<T, Diagnostic>;

inline tl::unexpected<Diagnostic> fail(std::string_view code, std::string message, SourceSpan span = {},
                                       std::string hint = {}) {
  Diagnostic diagnostic;
  diagnostic.code = code;
  diagnostic.message = std::move(message);
  diagnostic.hint = std::move(hint);
  diagnostic.span = span;
  return tl::unexpected<Diagnostic>(std::move(diagnostic));
}

/// The candidate nearest to `name` by edit distance, or empty when none is near enough to be a likely slip
/// (distance at most a third of the name's length, at least 1, case ignored).
std::string_view nearest_name(std::string_view name, const std::vector<std::string_view>& candidates);

}  // namespace backstream::base
