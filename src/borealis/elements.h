#pragma once
// Which elements and attributes a diagram is made of. Inside this room only.
#include <span>
#include <string_view>

#include "borealis/diagram.h"

namespace backstream::borealis {

/// An element that may be taken, with what may stand in it.
struct ElementType {
  enum class Need : uint8_t {
    kRequired,
    kOptional,
    kQueue,    ///< of update queues: taken with its default, "0"; otherwise refused
    kRefused,  ///< known to Borealis, not run
  };
  struct Attribute {
    std::string_view name;
    Need need = Need::kRequired;
    std::string_view hint = {};  ///< kRefused: what there is instead
  };
  std::string_view name;
  std::span<const Attribute> attributes;
  std::span<const std::string_view> children;
};

extern const ElementType kBorealis, kQuery, kSchema, kField, kInput, kOutput, kBox, kIn, kOut, kParameter;

/// Throws Refused where an attribute is missing or none of the type's, or a child none of those that may stand in it.
void check_element(const Element& element, const ElementType& type);

/// The value of a required attribute.
const Value& required(const Element& element, std::string_view attribute);
/// The value of a required attribute that is a name. Throws Refused where it is empty, too long or holds control
/// characters.
Name required_name(const Element& element, std::string_view attribute);
Name name_of(const Value& value);

}  // namespace backstream::borealis
