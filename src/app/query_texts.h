#pragma once
// Texts of queries as people keep them: in files, one or several statements each.
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"

namespace backstream::app {

/// One statement that is to be a query, and where in its file it stands.
struct QueryText {
  std::string name;    ///< of its CREATE VIEW; else as the caller said; may be empty
  std::string source;  ///< tells it from the others of a request: the file's name, and "#2" for its second statement
  size_t offset_octets = 0, length_octets = 0;  ///< with the comments before it, without the space around
  bool is_named = false;                        ///< it is a CREATE VIEW
  base::SourceSpan place;                       ///< of its name, or of the statement; in the file
};

/// Splits a file into its statements. A file of one statement is one text, its comments included, so that what stands
/// above a query in its file stands above it in the register.
/// @param source_name  for messages
/// @param name         what a SELECT is called that is alone in the file; empty: nothing
/// Errors: those of sql::parse, located; 42601 there is no statement, one that is no query, or a SELECT
/// among several, which has no name.
base::Result<std::vector<QueryText>> split_queries(std::string_view text, const std::string& source_name,
                                                   const std::string& name);

/// The end of the statement before `from`: behind its semicolon, comments skipped; the size of the text where there is
/// none.
size_t end_of_statement(std::string_view text, size_t from);

/// The text with options of its WITH set, written in where there are none: `name = 'value'`. A SELECT becomes a
/// CREATE MATERIALIZED VIEW of `query`. Errors: those of sql::parse.
base::Result<std::string> with_options(std::string_view text, const std::string& query,
                                       const std::vector<std::pair<std::string, std::string>>& options);

}  // namespace backstream::app
