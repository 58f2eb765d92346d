#pragma once
// What is remembered of an exporter. Private to the room.
#include <map>
#include <unordered_map>
#include <vector>

#include "decode/decoder.h"
#include "decode/record_plan.h"

namespace backstream::decode {

/// Scope fields of NetFlow v9 have numbers of their own (RFC 3954 §6.1); they are kept under this enterprise.
inline constexpr uint32_t kV9Scope = UINT32_MAX;

/// A template of data records, compiled for the wanted columns; or of options.
struct Template {
  bool options = false;
  std::vector<FieldSpec> fields;  ///< as sent; options: scope fields first
  uint16_t scope_count = 0;
  RecordPlan plan;                      ///< data
  std::unique_ptr<RecordPlan> reverse;  ///< of the other direction (decode/biflow.h); null: the records count one only
};

/// Template ids are unique within an observation domain and a version of the protocol (RFC 7011 §8, RFC 3954 §5.2).
struct TemplateKey {
  uint32_t domain;
  uint16_t version;
  uint16_t id;
  bool operator==(const TemplateKey&) const = default;
};
struct TemplateKeyHash {
  size_t operator()(const TemplateKey& key) const noexcept {
    return (uint64_t{key.domain} << 32 | uint64_t{key.version} << 16 | key.id) * 0x9e3779b97f4a7c15 >> 7;
  }
};

/// The templates of an exporter. References stay valid until the template is erased.
class TemplateTable {
 public:
  size_t size() const { return templates_.size(); }
  /// Null: not known. Messages name the same few again and again: those that were asked for last are at hand.
  Template* find(const TemplateKey& key) {
    Recent& recent = recent_[key.id % std::size(recent_)];
    if (recent.found != nullptr && recent.key == key) return recent.found;
    const auto known = templates_.find(key);
    if (known == templates_.end()) return nullptr;
    recent = {key, &known->second};
    return recent.found;
  }
  void set(const TemplateKey& key, Template made) { templates_.insert_or_assign(key, std::move(made)); }
  void erase(const TemplateKey& key) {
    for (Recent& recent : recent_) recent = {};
    templates_.erase(key);
  }
  /// Those of which gone(key, template) is true.
  template <typename Gone>
  void erase_if(Gone&& gone) {
    for (Recent& recent : recent_) recent = {};
    std::erase_if(templates_, [&](const auto& entry) { return gone(entry.first, entry.second); });
  }

 private:
  struct Recent {
    TemplateKey key{};
    Template* found = nullptr;
  };
  std::unordered_map<TemplateKey, Template, TemplateKeyHash> templates_;
  Recent recent_[4];
};

/// A set whose template has not come yet.
struct PendingSet {
  TemplateKey key;
  Micros received_at = 0, exported_at = 0;
  uint32_t uptime_ms = 0;
  std::vector<uint8_t> octets;
};

/// Sampling rates that an exporter announced. Looked up from the exact to the general: this domain's sampler, the same
/// sampler of another domain (Catalyst 9300 sends its options there), this domain's rate, the only rate there is.
class SamplerTable {
 public:
  void set(uint32_t domain, uint64_t sampler, uint64_t rate) {
    if (rates_.size() < kSamplersMax || rates_.contains({domain, sampler})) rates_[{domain, sampler}] = rate;
  }
  /// A rate without sampler id.
  void set_default(uint32_t domain, uint64_t rate) { set(domain, kNoSampler, rate); }
  /// 0: unknown. `sampler`: kNoSampler when the record names none.
  uint64_t find(uint32_t domain, uint64_t sampler) const;
  static constexpr uint64_t kNoSampler = UINT64_MAX;

 private:
  static constexpr size_t kSamplersMax = 4'096;
  std::map<std::pair<uint32_t, uint64_t>, uint64_t> rates_;
};

struct Exporter {
  base::Inet address;
  uint32_t index = 0;
  uint32_t site = 0;       ///< of its last datagram
  uint32_t protocols = 0;  ///< bit per Protocol
  IngestLedger ledger;
  Micros minute = base::kMinTime;  ///< of arrival, that is being counted
  IngestLedger before_minute;      ///< `ledger` when it began
  TemplateTable templates;
  SamplerTable samplers;
  /// Next sequence number by (version, domain or engine, sFlow data source).
  std::map<std::pair<uint32_t, uint64_t>, uint32_t> sequences;
  std::vector<PendingSet> pending;
  std::unordered_map<uint64_t, uint32_t> agent_drops;  ///< of sFlow: by data source, as told last
};

enum class Protocol : uint8_t { kNetflow5, kNetflow9, kIpfix, kSflow };

/// Counts what is missing between the expected and the received sequence number; `units` is what this message carries.
void follow_sequence(Exporter& exporter, uint32_t kind, uint64_t stream, uint32_t received, uint32_t units);

/// What the decoders of all protocols share while one datagram is read.
struct DecodeContext {
  const DecodeSettings& settings;
  const std::vector<std::string>& sites;
  const base::Datagram& datagram;
  Exporter& exporter;
  FlowWriter& out;
  DecodeOutcome& outcome;
  const ColumnKernels& kernels;
  RecordPlan& netflow5_plan;
  std::vector<Micros>& time_scratch;
  size_t& pending_octets;
  SideWriters* side;  ///< null: no query reads any of them

  /// Null: no query reads the stream.
  SideWriter* side_writer(batch::SideStream stream) const { return side == nullptr ? nullptr : side->of(stream); }
  void saw_time(Micros time) {
    outcome.time_max = outcome.any_rows ? std::max(outcome.time_max, time) : time;
    outcome.any_rows = true;
  }
};

/// A NetFlow v5 record as if it had a template: v9 and IPFIX records take the same way.
RecordPlan netflow5_plan();

/// Each reads one datagram of its protocol, whose version has been checked, and counts it as decoded, rejected or
/// undecodable.
void decode_netflow5(DecodeContext& context);
void decode_netflow9(DecodeContext& context);
void decode_ipfix(DecodeContext& context);
void decode_sflow(DecodeContext& context);

}  // namespace backstream::decode
