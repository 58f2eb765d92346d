#include "borealis/deploy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "borealis/attributes.h"
#include "borealis/elements.h"
#include "borealis/refused.h"

namespace backstream::borealis {
namespace {

using Known = ElementType::Attribute;
using Need = ElementType::Need;

constexpr size_t kHostOctetsMax = 253;  ///< as names of nodes
constexpr size_t kPortMax = 65'535;

constexpr Known kStream{"stream"};
constexpr auto kNodeAttributes = std::to_array<Known>({{"endpoint"}, {"query", Need::kOptional}});
constexpr auto kPublishAttributes = std::to_array<Known>({kStream, {"node", Need::kOptional}});
constexpr auto kSubscribeAttributes = std::to_array<Known>(
    {kStream,
     {"endpoint", Need::kOptional},
     {"gap", Need::kRefused, "what a window is without is counted and told with it: leave it out"}});
constexpr auto kClientAttributes = std::to_array<Known>({{"prefix", Need::kOptional}, {"endpoint", Need::kOptional}});
constexpr auto kMoveAttributes = std::to_array<Known>(
    {{"box"}, {"node"}, {"table", Need::kRefused, "a lookup table is made by CREATE TABLE, and every node has it"}});

constexpr auto kDeployChildren = std::to_array<std::string_view>({"node", "publish", "subscribe", "client", "move"});
constexpr auto kClientChildren = std::to_array<std::string_view>({"publish", "subscribe"});

const ElementType kDeploy{"deploy", {}, kDeployChildren};
const ElementType kNode{"node", kNodeAttributes, {}};
const ElementType kPublish{"publish", kPublishAttributes, {}};
const ElementType kSubscribe{"subscribe", kSubscribeAttributes, {}};
const ElementType kClient{"client", kClientAttributes, kClientChildren};
const ElementType kMove{"move", kMoveAttributes, {}};

/// Elements that Borealis knows, with what there is instead.
struct ForeignElement {
  std::string_view name, hint;
};
constexpr std::string_view kDiagramHint = "it belongs in a diagram: backstream query add NAME diagram.xml";
constexpr std::string_view kRuntimeHint = "it is what nodes of Borealis send each other";
constexpr auto kForeignElements = std::to_array<ForeignElement>({
    {"replica_set",
     "merge workers take over from each other, and Kafka keeps what is not done: name the queries under <node>"},
    {"region", "nodes know each other by the catalog that they share: leave it out"},
    {"unsubscribe", "who wants no more results stops reading them: leave it out"},
    {"disconnect", "boxes go with their query: backstream query drop NAME"},
    {"component", kRuntimeHint},
    {"head", kRuntimeHint},
    {"connect", kRuntimeHint},
    {"modify", "change the diagram: backstream query alter NAME diagram.xml"},
    {"delete", "a query is removed by its name: backstream query drop NAME"},
    {"borealis", kDiagramHint},
    {"query", kDiagramHint},
    {"box", kDiagramHint},
    {"schema", kDiagramHint},
    {"type", kDiagramHint},
    {"table", kDiagramHint},
    {"input", kDiagramHint},
    {"output", kDiagramHint},
    {"connection_point_view", kDiagramHint},
});

/// check_element(), and elements that stand in no deploy file of ours are refused with what there is instead.
void check(const Element& element, const ElementType& type) {
  for (const Element& child : element.children) {
    const auto foreign = std::find_if(kForeignElements.begin(), kForeignElements.end(),
                                      [&](const ForeignElement& known) { return known.name == child.name; });
    if (foreign == kForeignElements.end()) continue;
    refuse("0A000", fmt::format("<{}> is not supported in <{}>", child.name, element.name), child.span,
           std::string(foreign->hint));
  }
  check_element(element, type);
}

/// The host of "[host]:port" or "host".
Name host_of(const Value& endpoint) {
  constexpr std::string_view kHint = "it is NODE:PORT, or NODE alone";
  const size_t colon = endpoint.text.rfind(':');
  const size_t host_octets = std::min(colon, endpoint.text.size());
  if (endpoint.text.empty()) refuse("22023", "an endpoint belongs here", endpoint.span, std::string(kHint));
  if (colon != std::string::npos) {
    const std::string port = endpoint.text.substr(colon + 1);
    const bool is_port = !port.empty() && port.size() <= 5 &&
                         port.find_first_not_of("0123456789") == std::string::npos && std::stoul(port) != 0 &&
                         std::stoul(port) <= kPortMax;
    if (!is_port) {
      refuse("22023", fmt::format("{} is no port", quoted(port)), endpoint.span_of(colon + 1, port.size()),
             std::string(kHint));
    }
  }
  const std::string host = endpoint.text.substr(0, host_octets);
  if (host.empty()) return {"", endpoint.span};
  const SourceSpan span = endpoint.span_of(0, host.size());
  if (host.size() > kHostOctetsMax) {
    refuse("54000", fmt::format("the name of a node has at most {} octets", kHostOctetsMax), span);
  }
  const bool is_odd =
      std::any_of(host.begin(), host.end(), [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; });
  if (is_odd) refuse("22023", fmt::format("{} is no host", quoted(host)), span, std::string(kHint));
  return {lower_case(host), span};
}
std::optional<Name> host_of(const Attribute* endpoint) {
  if (endpoint == nullptr) return std::nullopt;
  return host_of(endpoint->value);
}

class DeploymentReader {
 public:
  Deployment read(const Document& document) {
    const Element& root = document.root;
    if (root.name == "borealis") {
      refuse("42601", "this is a diagram, not a deploy file", root.span, "backstream query add NAME diagram.xml");
    }
    if (root.name != kDeploy.name) {
      refuse("42601", fmt::format("a deploy file is one <deploy>, not {}", quoted(root.name)), root.span);
    }
    if (document.options_span.length_octets != 0) {
      refuse("42601", "<?backstream ...?> belongs in a diagram", document.options_span,
             "a deploy file sets the options sites and placement of queries");
    }
    check(root, kDeploy);
    if (root.children.empty()) {
      refuse("42601", "there is nothing in <deploy>", root.span,
             fmt::format("in it stand {}", listed(kDeployChildren)));
    }
    for (const Element& element : root.children) {
      if (element.name == kNode.name) read_node(element);
      if (element.name == kPublish.name) read_publish(element);
      if (element.name == kSubscribe.name) read_subscribe(element, std::nullopt);
      if (element.name == kClient.name) read_client(element);
      if (element.name == kMove.name) read_move(element);
    }
    return std::move(deployment_);
  }

 private:
  void read_node(const Element& element) {
    check(element, kNode);
    Deployment::Node& node = deployment_.nodes.emplace_back();
    node.host = host_of(required(element, "endpoint"));
    if (const Attribute* queries = element.find("query")) node.queries = names_in(queries->value);
  }
  void read_publish(const Element& element) {
    check(element, kPublish);
    deployment_.publishes.push_back({required_name(element, "stream"), host_of(element.find("node"))});
  }
  void read_subscribe(const Element& element, const std::optional<Name>& client) {
    check(element, kSubscribe);
    const Attribute* endpoint = element.find("endpoint");
    deployment_.subscribes.push_back(
        {required_name(element, "stream"), endpoint == nullptr ? client : host_of(endpoint)});
  }
  /// Its prefix names the class that Borealis makes for programs that send and read tuples: there is none here.
  void read_client(const Element& element) {
    check(element, kClient);
    const std::optional<Name> host = host_of(element.find("endpoint"));
    if (element.children.empty()) {
      refuse("42601", "there is nothing in <client>", element.span,
             fmt::format("in it stand {}", listed(kClientChildren)));
    }
    for (const Element& child : element.children) {
      if (child.name == kPublish.name) read_publish(child);
      else read_subscribe(child, host);
    }
  }
  void read_move(const Element& element) {
    check(element, kMove);
    Deployment::Move& move = deployment_.moves.emplace_back();
    move.boxes = names_in(required(element, "box"));
    if (move.boxes.empty()) refuse("42601", "a name belongs here", required(element, "box").span);
    move.host = host_of(required(element, "node"));
  }

  /// Names with white space between.
  std::vector<Name> names_in(const Value& list) {
    std::vector<Name> names;
    const std::string_view text = list.text;
    for (size_t begin = 0, end = 0; begin < text.size(); begin = end) {
      while (begin < text.size() && is_xml_space(text[begin])) ++begin;
      end = begin;
      while (end < text.size() && !is_xml_space(text[end])) ++end;
      if (begin == end) break;
      const SourceSpan span = list.span_of(begin, end - begin);
      if (++name_count_ > kDeployNamesMax) {
        refuse("54000", fmt::format("there are more than {} names of queries and boxes", kDeployNamesMax), span);
      }
      names.push_back(name_of(Value{std::string(text.substr(begin, end - begin)), span, {}}));
    }
    return names;
  }

  Deployment deployment_;
  size_t name_count_ = 0;
};

}  // namespace

Result<Deployment> read_deployment(const Document& document) {
  try {
    return DeploymentReader().read(document);
  } catch (Refused& refused) {
    return tl::unexpected<base::Diagnostic>(std::move(refused.diagnostic));
  }
}

}  // namespace backstream::borealis
