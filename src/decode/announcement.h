#pragma once
// What exporters announce about their records: templates (RFC 7011 §3.4, RFC 3954 §5.2) and facts from options data.
#include <atomic>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/inet.h"
#include "base/time.h"

namespace backstream::decode {

using base::Micros;

/// A field of a template as sent.
struct FieldSpec {
  uint16_t element = 0;
  uint16_t width = 0;       ///< octets; kVariable: in each record
  uint32_t enterprise = 0;  ///< 0: IANA's elements
  bool operator==(const FieldSpec&) const = default;
};
inline constexpr uint16_t kVariable = 65535;
/// The "enterprise" of NetFlow v9's scope types, whose numbers are no elements.
inline constexpr uint32_t kScopeTypes = UINT32_MAX;

/// Whose announcements they are: what one sender says holds for no other.
struct SenderKey {
  base::Inet address;
  uint16_t port = 0;  ///< 0: whatever the port (decode.template_per_port)
  bool operator==(const SenderKey&) const = default;
};
struct SenderHash {
  size_t operator()(const SenderKey& key) const noexcept {
    return base::hash_mix(base::hash_mix(key.address.hi, key.address.lo), key.address.family | uint32_t{key.port} << 8);
  }
};

/// Template ids are unique within an observation domain and a version of the protocol (RFC 7011 §8, RFC 3954 §5.2);
/// those of data and of options are one space.
struct TemplateKey {
  uint32_t domain = 0;
  uint16_t version = 0;
  uint16_t id = 0;
  bool operator==(const TemplateKey&) const = default;
};
struct TemplateKeyHash {
  size_t operator()(const TemplateKey& key) const noexcept {
    return (uint64_t{key.domain} << 32 | uint64_t{key.version} << 16 | key.id) * 0x9e3779b97f4a7c15 >> 7;
  }
};

/// A template as its exporter defined it. Shared by all decoders; only the time of its last refresh changes.
struct TemplateDefinition {
  bool options = false;
  uint16_t scope_count = 0;       ///< options: so many of the fields, the first ones, are the scope
  std::vector<FieldSpec> fields;  ///< as sent
  /// When it was last announced or used, to a minute, by the clock that datagrams carry. Any thread.
  mutable std::atomic<Micros> refreshed_at{0};

  bool same_layout(const TemplateDefinition& other) const {
    return options == other.options && scope_count == other.scope_count && fields == other.fields;
  }
};
using TemplatePointer = std::shared_ptr<const TemplateDefinition>;
inline constexpr size_t kTemplateFieldsMax = 1'024;
/// Whether records can be read by it: its id, its widths and counts.
bool can_be_template(uint16_t id, const TemplateDefinition& definition);

/// What a record of options says about its exporter. Values stand in state files: never change or reuse one.
enum class FactKind : uint8_t {
  kSamplingRate = 1,          ///< id: samplerId or selectorId, kNoSampler without one; number: the rate, 0: not in use
  kSystemInitTime = 2,        ///< number: ms since 1970
  kExporterAddress = 3,       ///< text: as base::to_string
  kInterfaceName = 4,         ///< id: the interface; number: bits per second, 0: not told; text
  kVrfName = 5,               ///< id: the VRF; text
  kApplicationName = 6,       ///< id: applicationId's octets as a number (the first one, the engine, is not 0); text
  kInterfaceDescription = 7,  ///< id: the interface; text
  kApplicationDescription = 8,  ///< id: as of the name; text
};
inline constexpr auto kFactKindLast = FactKind::kApplicationDescription;
/// What people read, and decoding does not need: there may be many.
inline bool is_name(FactKind kind) { return kind >= FactKind::kInterfaceName; }
inline constexpr uint64_t kNoSampler = UINT64_MAX;
struct FactKey {
  uint32_t domain = 0;
  FactKind kind = FactKind::kSamplingRate;
  uint64_t id = 0;
  auto operator<=>(const FactKey&) const = default;
};
struct Fact {
  uint64_t number = 0;
  std::string text;  ///< at most kFactTextMax octets
  bool operator==(const Fact&) const = default;
};
inline constexpr size_t kFactTextMax = 255;

}  // namespace backstream::decode
