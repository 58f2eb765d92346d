#pragma once
// Texts of queries that are diagrams in Borealis XML: what SQL has in WITH stands in <?backstream name="value" …?>
// before the root, and so does which relation an input stream is.
#include <string>
#include <string_view>
#include <vector>

#include "app/query_texts.h"
#include "base/diagnostic.h"

namespace CLI {
class App;
}

namespace backstream::app {

struct SqlText;

/// A query for each output stream, called like it; each has the whole document as its text.
/// Errors: those of borealis::parse, located.
base::Result<std::vector<QueryText>> split_diagram(std::string_view text, const std::string& source_name);

/// A diagram with options set or taken away: nothing else of it changes. Lines stay where they are, so that what is
/// said of a place in it holds for the text that it was made of. Errors: those of borealis::read_document, located.
base::Result<std::string> with_diagram_options(const std::string& text, const std::string& source_name,
                                               const std::vector<OptionChange>& changes);

/// --bind STREAM=RELATION of a command, as options of its diagram.
/// Errors: "usage" a binding that is none, or the text is no diagram; those of with_diagram_options().
base::Result<std::string> with_bindings(const std::string& text, const std::string& source_name,
                                        const std::vector<std::string>& bindings);

/// The same for texts that run together, SQL among them: of several diagrams each takes the bindings of its own inputs.
/// Errors: also "usage" a binding that none of them takes.
base::Result<void> bind_inputs(std::vector<SqlText>& texts, const std::vector<std::string>& bindings);

/// Adds --bind STREAM=RELATION.
void add_bind_flag(CLI::App& app, std::vector<std::string>& bindings);
/// Adds --as plan|sql|xml.
void add_as_flag(CLI::App& app, std::string& as);

/// Whether a text is a Borealis deploy file: its root is <deploy>.
bool is_deploy_file(std::string_view text);

/// Whether the name of a file says that queries are in it: *.sql, *.xml.
bool is_query_file(std::string_view name);

}  // namespace backstream::app
