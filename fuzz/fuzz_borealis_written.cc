// Any SQL as a diagram: what is written is read again, and bound; or one diagnostic, located in the SQL.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "borealis/compile.h"
#include "borealis/write.h"
#include "plan/definitions.h"
#include "sql/parse.h"

namespace {

using namespace backstream;

void check(const plan::UnboundStatement& statement, std::string_view text, const plan::Definitions& definitions) {
  const auto xml = borealis::to_xml(statement, definitions.catalog());
  if (!xml) {
    const base::Diagnostic& error = xml.error();
    if (error.code.empty() || error.message.empty()) std::abort();
    if (error.span.offset_octets + uint64_t{error.span.length_octets} > text.size()) std::abort();
    return;
  }
  if (xml->size() > borealis::kXmlOctetsMax) std::abort();
  auto again = borealis::parse(*xml, "fuzz");
  if (!again || again->size() != 1) std::abort();
  auto select = again->front().maker->make(definitions.catalog());
  if (!select) std::abort();
  again->front().select = std::move(*select);
  if (!sql::parse_conditions(again->front().options)) std::abort();
  if (!definitions.bind(again->front(), *xml)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t octets) {
  const std::string_view text(reinterpret_cast<const char*>(data), octets);
  auto statements = sql::parse(text, "fuzz");
  if (!statements) return 0;
  plan::Definitions definitions(true);
  for (plan::UnboundStatement& statement : *statements) {
    using Kind = plan::UnboundStatement::Kind;
    check(statement, text, definitions);
    if (statement.kind == Kind::kCreateForeignTable) {
      auto stream = plan::bind_foreign_table(statement);
      if (!stream || definitions.catalog().find(stream->name) != nullptr) return 0;
      definitions.catalog().add(std::move(*stream));
    } else if (plan::Definitions::is_change(statement.kind)) {
      if (!definitions.change(std::move(statement))) return 0;
    } else if (statement.kind == Kind::kSelect || statement.kind == Kind::kCreateMaterializedView) {
      if (!definitions.add_query(std::move(statement), text, "query")) return 0;
    } else {
      return 0;
    }
  }
  return 0;
}
