// Any text: statements or one located diagnostic, never a crash. What is lowered must have its places inside the text.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sql/parse.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const backstream::plan::UnboundStatement& statement, std::string_view text) {
  require(statement.span.offset_octets + statement.span.length_octets <= text.size());
  require(statement.name_span.offset_octets + statement.name_span.length_octets <= text.size());
  for (const auto& option : statement.options) {
    const size_t octets = option.value.size();
    require(option.places.empty() || option.places.size() == octets + 1);
    require(!option.condition || option.condition->span.offset_octets + option.condition->span.length_octets <= octets);
    const auto span = option.span_of({0, static_cast<uint32_t>(octets)});
    require(span.offset_octets + span.length_octets <= text.size());
  }
  if (statement.inner) check(*statement.inner, text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto statements = backstream::sql::parse(text, "fuzz");
  if (!statements) {
    const backstream::base::Diagnostic& error = statements.error();
    require(!error.message.empty() && !error.code.empty() && error.line > 0 && error.column > 0);
    require(error.span.offset_octets + error.span.length_octets <= text.size());
    require(!error.render().empty());
    return 0;
  }
  for (const auto& statement : *statements) check(statement, text);
  return 0;
}
