#include "decode/biflow.h"

#include <algorithm>

namespace backstream::decode {
namespace {

/// Elements that change places with each other.
constexpr std::pair<uint16_t, uint16_t> kSwapped[] = {
    {7, 11},     // sourceTransportPort, destinationTransportPort
    {8, 12},     // sourceIPv4Address, destinationIPv4Address
    {9, 13},     // sourceIPv4PrefixLength, destinationIPv4PrefixLength
    {10, 14},    // ingressInterface, egressInterface
    {16, 17},    // bgpSourceAsNumber, bgpDestinationAsNumber
    {27, 28},    // sourceIPv6Address, destinationIPv6Address
    {29, 30},    // sourceIPv6PrefixLength, destinationIPv6PrefixLength
    {44, 45},    // sourceIPv4Prefix, destinationIPv4Prefix
    {56, 80},    // sourceMacAddress, destinationMacAddress
    {81, 57},    // postSourceMacAddress, postDestinationMacAddress
    {128, 129},  // bgpNextAdjacentAsNumber, bgpPrevAdjacentAsNumber
    {170, 169},  // sourceIPv6Prefix, destinationIPv6Prefix
    {180, 181},  // udpSourcePort, udpDestinationPort
    {182, 183},  // tcpSourcePort, tcpDestinationPort
    {225, 226},  // postNATSourceIPv4Address, postNATDestinationIPv4Address
    {227, 228},  // postNAPTSourceTransportPort, postNAPTDestinationTransportPort
    {231, 232},  // initiatorOctets, responderOctets
    {234, 235},  // ingressVRFID, egressVRFID
    {252, 253},  // ingressPhysicalInterface, egressPhysicalInterface
    {281, 282},  // postNATSourceIPv6Address, postNATDestinationIPv6Address
    {298, 299},  // initiatorPackets, responderPackets
};

/// Counters and properties of the packets of one direction: none where they are not told of the other, too.
constexpr uint16_t kForwardOnly[] = {1,   2,   3,   5,   6,   15,  18,  19,  20,  23,  24,  25,  26,
                                     31,  32,  52,  53,  55,  61,  62,  63,  70,  71,  72,  73,  74,
                                     75,  76,  77,  78,  79,  85,  86,  132, 133, 134, 139, 176, 177,
                                     178, 179, 192, 218, 219, 220, 221, 222, 223, 313, 314, 315, 352};

constexpr uint16_t kCounters[] = {1, 2, 85, 86, 23, 24, 352};

bool has(std::span<const FieldSpec> fields, uint32_t enterprise, uint16_t element) {
  return std::any_of(fields.begin(), fields.end(), [&](const FieldSpec& field) {
    return field.enterprise == enterprise && field.element == element && field.width != 0;
  });
}

}  // namespace

std::vector<FieldSpec> reverse_fields(std::span<const FieldSpec> fields) {
  const bool counted = std::any_of(std::begin(kCounters), std::end(kCounters),
                                   [&](uint16_t counter) { return has(fields, kReverseEnterprise, counter); });
  // Cisco's and others' firewalls: the initiator is the source.
  const bool answered = has(fields, 0, 231) && has(fields, 0, 232);
  if (!counted && !answered) return {};
  std::vector<FieldSpec> reversed(fields.begin(), fields.end());
  for (FieldSpec& field : reversed) {
    if (field.enterprise == kReverseEnterprise) {
      field.enterprise = 0;
      continue;
    }
    if (field.enterprise != 0) continue;
    const uint16_t element = field.element;
    if (has(fields, kReverseEnterprise, element) ||
        std::find(std::begin(kForwardOnly), std::end(kForwardOnly), element) != std::end(kForwardOnly)) {
      field.enterprise = kReverseEnterprise;
      continue;
    }
    for (const auto& [one, other] : kSwapped) {
      if (element == one) field.element = other;
      if (element == other) field.element = one;
    }
  }
  return reversed;
}

}  // namespace backstream::decode
