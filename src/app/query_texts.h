#pragma once
// Texts of queries as people keep them: in files, one or several statements each.
#include <optional>
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
  bool is_named = false;                        ///< it is a CREATE VIEW, or an output stream of a diagram
  bool is_diagram = false;                      ///< its text is the whole document: others of it have the same
  base::SourceSpan place;                       ///< of its name, or of the statement; in the file
};

/// Splits a file into its statements. A file of one statement is one text, its comments included, so that what stands
/// above a query in its file stands above it in the register. A diagram in Borealis XML is as split_diagram() says.
/// @param source_name  for messages
/// @param name         what a SELECT is called that is alone in the file; empty: nothing
/// Errors: those of sql::parse, located; 42601 there is no statement, one that is no query, or a SELECT
/// among several, which has no name.
base::Result<std::vector<QueryText>> split_queries(std::string_view text, const std::string& source_name,
                                                   const std::string& name);

/// The end of the statement before `from`: behind its semicolon, comments skipped; the size of the text where there is
/// none.
size_t end_of_statement(std::string_view text, size_t from);

/// An option of a view as it is to be.
struct OptionChange {
  std::string name;                  ///< "sites"
  std::optional<std::string> value;  ///< none: it is taken away
  std::string written = {};          ///< "sites = 'ams'", as it stands in WITH
};
OptionChange set_option(const std::string& name, std::string_view value);

/// The text of a query with options of its WITH set or taken away: nothing else of it changes, comments stay. A SELECT
/// becomes a CREATE MATERIALIZED VIEW of `query`. Taking away what is not there is no change. Of a diagram see
/// with_diagram_options().
/// Errors: those of sql::parse; 42809 the text is no materialised view.
base::Result<std::string> with_options(const std::string& text, const std::string& query,
                                       const std::vector<OptionChange>& changes);

/// An identifier as SQL has to write it: in quotes where it is not plain, or a key word.
std::string quoted_name(std::string_view name);

}  // namespace backstream::app
