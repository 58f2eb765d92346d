// Any text as a deploy file of Borealis: what it says, or one located diagnostic. Every place is one in the text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "borealis/deploy.h"

namespace {

using namespace backstream;

void require(bool condition) {
  if (!condition) std::abort();
}

void check(base::SourceSpan span, std::string_view text) {
  require(span.offset_octets + uint64_t{span.length_octets} <= text.size());
}
void check(const borealis::Name& name, std::string_view text) {
  require(name.text.find_first_of(" \n\r\t") == std::string::npos);
  check(name.span, text);
}
void check(const std::optional<borealis::Name>& name, std::string_view text) {
  if (name) check(*name, text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t octets) {
  const std::string_view text(reinterpret_cast<const char*>(data), octets);
  const auto document = borealis::read_document(text);
  if (!document) return 0;  // Those are fuzz_borealis_document's.
  auto deployment = borealis::read_deployment(*document);
  if (!deployment) {
    require(!deployment.error().code.empty() && !deployment.error().message.empty());
    check(deployment.error().span, text);
    require(!base::locate(deployment.error(), "fuzz", text).render().empty());
    return 0;
  }
  for (const auto& node : deployment->nodes) {
    check(node.host, text);
    for (const borealis::Name& query : node.queries) check(query, text);
  }
  for (const auto& move : deployment->moves) {
    check(move.host, text);
    require(!move.boxes.empty());
    for (const borealis::Name& box : move.boxes) check(box, text);
  }
  for (const auto& publish : deployment->publishes) check(publish.host, text);
  for (const auto& subscribe : deployment->subscribes) check(subscribe.host, text);
  return 0;
}
