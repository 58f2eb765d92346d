#pragma once
// Information elements of IPFIX (RFC 7012) as columns of `flows`.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "batch/type.h"

namespace backstream::batch {

/// Abstract data types, RFC 7012 §3.1. Unsigned256 is of the registry only.
#define BACKSTREAM_ELEMENT_TYPES(X)                \
  X(kOctetArray, "octetArray")                     \
  X(kUnsigned8, "unsigned8")                       \
  X(kUnsigned16, "unsigned16")                     \
  X(kUnsigned32, "unsigned32")                     \
  X(kUnsigned64, "unsigned64")                     \
  X(kUnsigned256, "unsigned256")                   \
  X(kSigned8, "signed8")                           \
  X(kSigned16, "signed16")                         \
  X(kSigned32, "signed32")                         \
  X(kSigned64, "signed64")                         \
  X(kFloat32, "float32")                           \
  X(kFloat64, "float64")                           \
  X(kBoolean, "boolean")                           \
  X(kMacAddress, "macAddress")                     \
  X(kString, "string")                             \
  X(kDateTimeSeconds, "dateTimeSeconds")           \
  X(kDateTimeMilliseconds, "dateTimeMilliseconds") \
  X(kDateTimeMicroseconds, "dateTimeMicroseconds") \
  X(kDateTimeNanoseconds, "dateTimeNanoseconds")   \
  X(kIpv4Address, "ipv4Address")                   \
  X(kIpv6Address, "ipv6Address")                   \
  X(kBasicList, "basicList")                       \
  X(kSubTemplateList, "subTemplateList")           \
  X(kSubTemplateMultiList, "subTemplateMultiList")

enum class ElementType : uint8_t {
#define BACKSTREAM_X(enumerator, name) enumerator,
  BACKSTREAM_ELEMENT_TYPES(BACKSTREAM_X)
#undef BACKSTREAM_X
};
std::string_view name(ElementType type);
/// By RFC 7012's name, in its spelling.
std::optional<ElementType> parse_element_type(std::string_view text);
std::vector<std::string_view> element_type_names();
/// The type of a column that holds such values. What SQL has no type for is bytea: the octets as sent.
Type sql_type(ElementType type);

/// Data type semantics, RFC 7012 §3.2.
enum class ElementSemantics : uint8_t {
  kDefault,
  kQuantity,
  kTotalCounter,
  kDeltaCounter,
  kIdentifier,
  kFlags,
  kList,
  kSnmpCounter,
  kSnmpGauge,
};

/// An entry of IANA's registry.
struct Element {
  uint16_t id;
  std::string_view name;
  ElementType type;
  ElementSemantics semantics;
};
/// All that have a name, by id.
std::span<const Element> iana_elements();

/// What fills a column that shows an element as it was exported.
struct ElementColumn {
  uint32_t enterprise = 0;  ///< private enterprise number; 0: IANA's elements
  uint16_t element = 0;
  ElementType type = ElementType::kOctetArray;
  bool operator==(const ElementColumn&) const = default;
};

/// A column that a person added to `flows`.
struct UserColumn {
  std::string name;
  ElementColumn from;
  bool operator==(const UserColumn&) const = default;
};

}  // namespace backstream::batch
