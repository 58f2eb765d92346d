#pragma once
// Texts of queries come in two languages: SQL, and Borealis XML. Whoever takes either reads it here.
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "plan/definitions.h"
#include "plan/unbound.h"

namespace backstream::service {

/// The statements of a text: of SQL as sql::parse() has them, of a diagram one for each output stream.
/// Errors: those of sql::parse() and borealis::parse(), located.
base::Result<std::vector<plan::UnboundStatement>> parse_queries(std::string_view text, std::string_view source_name);

/// The query that a text is, as a view of the name under which it is registered. Of a diagram it is the output stream
/// of that name; the only one that there is, whatever it is called. Errors: those of parse_queries(); 42601 it is not
/// one query, or has another name; 42704 no output stream has the name.
base::Result<plan::UnboundStatement> query_called(const std::string& name, std::string_view text,
                                                  std::string_view source_name);

/// query_called() of many queries: a diagram of which several are output streams is read once. Texts must outlive it.
class QueryReader {
 public:
  base::Result<plan::UnboundStatement> query_called(const std::string& name, std::string_view text,
                                                    std::string_view source_name);

 private:
  std::map<std::string_view, std::vector<plan::UnboundStatement>> outputs_;  ///< by text: those not asked for yet
};

/// The names that a text itself gives to queries: of one CREATE VIEW, or of the output streams of a diagram. Empty
/// where it is something else, or cannot be read.
std::vector<std::string> names_in(std::string_view text);

enum class Language : uint8_t { kSql, kXml };

/// SELECTs and materialized views as a text of the language, once they are bound and so known to be right. Their
/// SELECTs are made where there are none (SelectMaker).
/// @param text  that they stand in; of a diagram it is the XML, whatever its boxes
/// Errors: those of binding; 42601 a diagram is of one query, or this is none; 0A000 the language has no words for it.
/// With spans in `text`.
base::Result<std::string> written_in(Language language, std::span<plan::UnboundStatement> statements,
                                     std::string_view text, const plan::Definitions& definitions);

}  // namespace backstream::service
