#include "batch/elements.h"

namespace backstream::batch {
namespace {

constexpr std::string_view kTypeNames[] = {
#define BACKSTREAM_X(enumerator, name) name,
    BACKSTREAM_ELEMENT_TYPES(BACKSTREAM_X)
#undef BACKSTREAM_X
};

constexpr Element kElements[] = {
#define X(id, name, type, semantics) {id, #name, ElementType::type, ElementSemantics::semantics},
#include "batch/iana_elements.inc"
#undef X
};

}  // namespace

std::string_view name(ElementType type) { return kTypeNames[static_cast<size_t>(type)]; }

std::optional<ElementType> parse_element_type(std::string_view text) {
  for (size_t i = 0; i < std::size(kTypeNames); ++i) {
    if (kTypeNames[i] == text) return static_cast<ElementType>(i);
  }
  return std::nullopt;
}

std::vector<std::string_view> element_type_names() { return {std::begin(kTypeNames), std::end(kTypeNames)}; }

Type sql_type(ElementType type) {
  using E = ElementType;
  switch (type) {
    case E::kUnsigned8:
    case E::kUnsigned16:
    case E::kUnsigned32:
    case E::kUnsigned64:
    case E::kSigned8:
    case E::kSigned16:
    case E::kSigned32:
    case E::kSigned64: return Type::kInt8;
    case E::kFloat32:
    case E::kFloat64: return Type::kFloat8;
    case E::kBoolean: return Type::kBool;
    case E::kMacAddress: return Type::kMacaddr;
    case E::kString: return Type::kText;
    case E::kDateTimeSeconds:
    case E::kDateTimeMilliseconds:
    case E::kDateTimeMicroseconds:
    case E::kDateTimeNanoseconds: return Type::kTimestamptz;
    case E::kIpv4Address:
    case E::kIpv6Address: return Type::kInet;
    case E::kOctetArray:
    case E::kUnsigned256:
    case E::kBasicList:
    case E::kSubTemplateList:
    case E::kSubTemplateMultiList: break;
  }
  return Type::kBytea;
}

std::span<const Element> iana_elements() { return kElements; }

}  // namespace backstream::batch
