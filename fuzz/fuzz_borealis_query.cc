// Any text as queries of Borealis, up to their plan: bound, or one located diagnostic.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "borealis/compile.h"
#include "plan/definitions.h"
#include "plan/unbound_text.h"

namespace {

using namespace backstream;

void check(const base::Diagnostic& error, std::string_view text) {
  if (error.code.empty() || error.message.empty()) std::abort();
  if (error.span.offset_octets + uint64_t{error.span.length_octets} > text.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t octets) {
  const std::string_view text(reinterpret_cast<const char*>(data), octets);
  auto statements = borealis::parse(text, "fuzz");
  if (!statements) {
    check(statements.error(), text);
    return 0;
  }
  plan::Definitions definitions(true);
  for (plan::UnboundStatement& statement : *statements) {
    auto select = statement.maker->make(definitions.catalog());
    if (!select) {
      check(select.error(), text);
      continue;
    }
    statement.select = std::move(*select);
    if (const auto sql = plan::to_sql(statement); !sql) check(sql.error(), text);
    if (const auto bound = definitions.bind(statement, text); !bound) check(bound.error(), text);
  }
  return 0;
}
