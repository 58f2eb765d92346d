#include "borealis/elements.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "borealis/refused.h"

namespace backstream::borealis {
namespace {

using Known = ElementType::Attribute;
using Need = ElementType::Need;

constexpr size_t kNameOctetsMax = 63;  ///< as PostgreSQL's identifiers

constexpr Known kName{"name"}, kStream{"stream"}, kOptionalNode{"node", Need::kOptional};
constexpr Known kUpdateQueue{"update_queue", Need::kQueue}, kQueueType{"queue_type", Need::kQueue},
    kQueueKey{"key", Need::kRefused, "streams are append queues: leave it out"};

constexpr auto kBorealisAttributes = std::to_array<Known>({kUpdateQueue, kQueueType, kQueueKey});
constexpr auto kQueryAttributes = std::to_array<Known>({kName, kUpdateQueue, kQueueType, kQueueKey});
constexpr auto kSchemaAttributes = std::to_array<Known>({kName});
constexpr auto kFieldAttributes = std::to_array<Known>({kName, {"type"}, {"size", Need::kOptional}});
constexpr auto kInputAttributes = std::to_array<Known>({kStream, {"schema"}, kOptionalNode});
constexpr auto kOutputAttributes = std::to_array<Known>({kStream, {"schema", Need::kOptional}});
constexpr auto kBoxAttributes =
    std::to_array<Known>({kName, {"type"}, kOptionalNode, kUpdateQueue, kQueueType, kQueueKey});
constexpr auto kInAttributes =
    std::to_array<Known>({kStream,
                          {"connection_point_view", Need::kRefused, "a stream is read from now on: leave it out"},
                          kUpdateQueue,
                          kQueueType,
                          kQueueKey});
constexpr auto kOutAttributes = std::to_array<Known>({kStream});
constexpr auto kParameterAttributes = std::to_array<Known>({kName, {"value"}});

constexpr auto kQueryChildren = std::to_array<std::string_view>({"box", "schema", "input", "output"});
constexpr auto kBorealisChildren = std::to_array<std::string_view>({"box", "schema", "input", "output", "query"});
constexpr auto kSchemaChildren = std::to_array<std::string_view>({"field"});
constexpr auto kBoxChildren = std::to_array<std::string_view>({"in", "out", "parameter"});

/// Elements that Borealis knows, with what there is instead.
struct ForeignElement {
  std::string_view name, hint;
};
constexpr std::string_view kTableHint =
    "make a lookup table with CREATE TABLE, name it in an <input> and read it with a joinstatic box";
constexpr std::string_view kDeployHint = "it stands in a deployment file, in <deploy>";
constexpr std::string_view kRuntimeHint = "it is what nodes of Borealis send each other";
constexpr auto kForeignElements = std::to_array<ForeignElement>({
    {"table", kTableHint},
    {"access", kTableHint},
    {"key", kTableHint},
    {"index", kTableHint},
    {"type", "arrays are not supported: give each field a type of its own"},
    {"connection_point_view", "a stream is read from now on; results are kept as history without it"},
    {"order", "it belongs to <connection_point_view>, which is not supported"},
    {"size", "it belongs to <connection_point_view>, which is not supported"},
    {"range", "it belongs to <connection_point_view>, which is not supported"},
    {"radius", "it belongs to <connection_point_view>, which is not supported"},
    {"modify", "change the box in its diagram: backstream query alter DIAGRAM"},
    {"delete", "a query is removed by its name: backstream query drop NAME"},
    {"deploy", "diagrams and deployment stand in files of their own"},
    {"replica_set", kDeployHint},
    {"node", kDeployHint},
    {"region", kDeployHint},
    {"client", kDeployHint},
    {"publish", kDeployHint},
    {"subscribe", kDeployHint},
    {"unsubscribe", kDeployHint},
    {"move", kDeployHint},
    {"component", kRuntimeHint},
    {"head", kRuntimeHint},
    {"connect", kRuntimeHint},
    {"disconnect", kRuntimeHint},
    {"distribution", "backstream generate makes flows"},
    {"gen_info", "backstream generate makes flows"},
    {"stream", "an input is <input stream=\"...\" schema=\"...\"/>, any other stream the <out> of a box"},
});

void check_attribute(const Element& element, const Attribute& attribute, const ElementType& type) {
  const auto known = std::find_if(type.attributes.begin(), type.attributes.end(),
                                  [&](const Known& candidate) { return candidate.name == attribute.name; });
  if (known == type.attributes.end()) {
    std::vector<std::string_view> names;
    for (const Known& candidate : type.attributes) names.push_back(candidate.name);
    const std::string_view nearest = base::nearest_name(attribute.name, names);
    refuse("42601", fmt::format("<{}> has no attribute {}", element.name, quoted(attribute.name)), attribute.name_span,
           !nearest.empty() ? did_you_mean(nearest)
           : names.empty()  ? std::string()
                            : fmt::format("it has {}", listed(names)));
  }
  if (known->need == Need::kRefused) {
    refuse("0A000", fmt::format("{} of <{}> is not supported", quoted(attribute.name), element.name),
           attribute.name_span, std::string(known->hint));
  }
  if (known->need == Need::kQueue && attribute.value.text != "0") {
    refuse("0A000", fmt::format("{} other than 0 is not supported", quoted(attribute.name)), attribute.value.span,
           "streams are append queues: leave it out");
  }
}

void check_child(const Element& parent, const Element& child, const ElementType& type) {
  if (std::find(type.children.begin(), type.children.end(), child.name) != type.children.end()) return;
  const auto foreign = std::find_if(kForeignElements.begin(), kForeignElements.end(),
                                    [&](const ForeignElement& known) { return known.name == child.name; });
  if (foreign != kForeignElements.end()) {
    refuse("0A000", fmt::format("<{}> is not supported in <{}>", child.name, parent.name), child.span,
           std::string(foreign->hint));
  }
  const std::string_view nearest = base::nearest_name(child.name, {type.children.begin(), type.children.end()});
  std::string hint = did_you_mean(nearest);
  if (nearest.empty()) {
    hint = type.children.empty() ? std::string("it is empty") : fmt::format("in it stand {}", listed(type.children));
  }
  refuse("42601", fmt::format("<{}> has no element {}", parent.name, quoted(child.name)), child.span, std::move(hint));
}

}  // namespace

const ElementType kBorealis{"borealis", kBorealisAttributes, kBorealisChildren};
const ElementType kQuery{"query", kQueryAttributes, kQueryChildren};
const ElementType kSchema{"schema", kSchemaAttributes, kSchemaChildren};
const ElementType kField{"field", kFieldAttributes, {}};
const ElementType kInput{"input", kInputAttributes, {}};
const ElementType kOutput{"output", kOutputAttributes, {}};
const ElementType kBox{"box", kBoxAttributes, kBoxChildren};
const ElementType kIn{"in", kInAttributes, {}};
const ElementType kOut{"out", kOutAttributes, {}};
const ElementType kParameter{"parameter", kParameterAttributes, {}};

void check_element(const Element& element, const ElementType& type) {
  for (const Attribute& attribute : element.attributes) check_attribute(element, attribute, type);
  for (const Known& attribute : type.attributes) {
    if (attribute.need != Need::kRequired || element.find(attribute.name) != nullptr) continue;
    refuse("42601", fmt::format("<{}> needs the attribute '{}'", element.name, attribute.name), element.span);
  }
  for (const Element& child : element.children) check_child(element, child, type);
}

const Value& required(const Element& element, std::string_view attribute) { return element.find(attribute)->value; }

Name required_name(const Element& element, std::string_view attribute) { return name_of(required(element, attribute)); }

Name name_of(const Value& value) {
  if (value.text.empty()) refuse("42601", "a name belongs here", value.span);
  if (value.text.size() > kNameOctetsMax) {
    refuse("54000", fmt::format("a name has at most {} octets", kNameOctetsMax), value.span);
  }
  const bool is_odd = std::any_of(value.text.begin(), value.text.end(),
                                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }) ||
                      value.text.front() == ' ' || value.text.back() == ' ';
  if (is_odd) refuse("42601", "a name has no spaces around it, and no control characters", value.span);
  return {lower_case(value.text), value.span};
}

}  // namespace backstream::borealis
