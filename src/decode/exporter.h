#pragma once
// What is remembered of an exporter. Private to the room.
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "decode/decoder.h"
#include "decode/record_plan.h"
#include "decode/sequence_order.h"
#include "decode/template_store.h"

namespace backstream::decode {

/// A template, compiled: of data records for the wanted columns.
struct Template {
  Template(TemplatePointer made, DecodeSettings::Biflow biflow);
  TemplatePointer definition;
  RecordPlan plan;
  std::unique_ptr<RecordPlan> reverse;  ///< of the other direction (decode/biflow.h); null: the records count one only
};

/// The templates of a sender. References stay valid until the template is erased.
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
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [key, known] : templates_) visit(key, known);
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

/// Sampling rates that a sender announced. Looked up from the exact to the general: this domain's sampler, the same
/// sampler of another domain (Catalyst 9300 sends its options there), this domain's rate, the only rate there is.
class SamplerTable {
 public:
  /// `sampler`: kNoSampler for a rate without one. `rate` 0: the sampler is not in use.
  void set(uint32_t domain, uint64_t sampler, uint64_t rate) {
    rates_[{domain, sampler}] = rate;
    last_known_ = false;
  }
  /// 0: unknown. `sampler`: kNoSampler when the record names none.
  uint64_t find(uint32_t domain, uint64_t sampler) const;
  /// The same for records that name none, asked once a set.
  uint64_t find(uint32_t domain) {
    if (!last_known_ || last_domain_ != domain) {
      last_rate_ = find(domain, kNoSampler);
      last_domain_ = domain;
      last_known_ = true;
    }
    return last_rate_;
  }
  void clear() {
    rates_.clear();
    last_known_ = false;
  }
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [key, rate] : rates_) visit(key.first, rate);
  }

 private:
  std::map<std::pair<uint32_t, uint64_t>, uint64_t> rates_;
  bool last_known_ = false;
  uint32_t last_domain_ = 0;
  uint64_t last_rate_ = 0;
};

/// A stream of which this decoder has read messages.
struct KnownStream : SequenceStream {
  uint32_t number = 0;  ///< where decoders share their streams: SequenceOrder's; 0: not asked for yet
  bool is_new = true;   ///< its mark was not looked for yet
};

/// The streams of messages of an exporter, by protocol and domain, engine or sFlow data source.
class SequenceTable {
 public:
  /// Null: there are too many. Messages come in the same few streams: those that came last are at hand.
  KnownStream* find(uint32_t kind, uint64_t stream) {
    Recent& recent = recent_[stream % std::size(recent_)];
    if (recent.found != nullptr && recent.kind == kind && recent.stream == stream) return recent.found;
    constexpr size_t kStreamsMax = 65'536;
    const auto key = std::pair(kind, stream);
    auto known = streams_.find(key);
    if (known == streams_.end()) {
      if (streams_.size() >= kStreamsMax) return nullptr;
      known = streams_.try_emplace(key).first;
    }
    recent = {kind, stream, &known->second};
    return recent.found;
  }
  void add_marks(SequenceMarks& marks, const base::Inet& owner) const {
    for (const auto& [key, stream] : streams_) add_mark(marks, {owner, key.first, key.second}, stream);
  }

 private:
  struct Recent {
    uint32_t kind = 0;
    uint64_t stream = 0;
    KnownStream* found = nullptr;
  };
  std::map<std::pair<uint32_t, uint64_t>, KnownStream> streams_;
  Recent recent_[8];
};

/// One that flows are counted for.
struct Exporter {
  base::Inet address;
  uint32_t index = 0;
  uint32_t site = 0;       ///< of its last datagram
  uint32_t protocols = 0;  ///< bit per Protocol
  IngestLedger ledger;
  Micros minute = base::kMinTime;                        ///< of arrival, that is being counted
  IngestLedger before_minute;                            ///< `ledger` when it began
  uint64_t sampling_override = 0, sampling_default = 0;  ///< 0: none
  SequenceTable sequences;
  int64_t missing_away = 0;  ///< records: SequenceChange::away
  RatesSeen rates;           ///< of headers, samples and records in the minute
  RatesSeen rates_before;    ///< in the last minute before it that had any

  /// What holds where the exporter's own word is `announced` (0: none).
  uint64_t sampling_rate(uint64_t announced) const {
    return sampling_override != 0 ? sampling_override : announced != 0 ? announced : sampling_default;
  }
};

/// A set whose template has not come yet.
struct PendingSet {
  TemplateKey key;
  Micros received_at = 0, exported_at = 0;
  bool has_uptime = false;
  uint32_t uptime_ms = 0;
  Exporter* exporter = nullptr;  ///< it was counted for
  bool ready = false;            ///< another decoder has learnt the template, in time
  std::vector<uint8_t> octets;
};

/// One that datagrams come from. Usually that is the exporter; behind an address translator or a replicator there may
/// be several of them (decode.exporter_identity).
struct Sender {
  SenderKey key;
  ExporterIdentity identity = ExporterIdentity::kSource;
  Exporter* exporter = nullptr;  ///< of the source address; null: nothing was counted for it yet
  TemplateTable templates;
  SamplerTable samplers;
  std::map<FactKey, Fact> facts;  ///< as the store has them
  bool any_init_time = false;     ///< among the facts
  std::vector<PendingSet> pending;
  bool any_ready = false;  ///< of `pending`
  /// Where records name their exporters: by protocol, port and domain, as several behind one address number their
  /// messages apart, and one that collects for others numbers them together.
  SequenceTable sequences;
  /// Exporters by source port and domain, as their records name them. An address that is not set: records name
  /// several, so it is one that collects for others.
  std::map<std::pair<uint16_t, uint32_t>, base::Inet> identities;

  void take_fact(const FactKey& of, const Fact& told) {
    facts[of] = told;
    if (of.kind == FactKind::kSamplingRate) samplers.set(of.domain, of.id, told.number);
    any_init_time |= of.kind == FactKind::kSystemInitTime;
  }
  const Fact* fact(uint32_t domain, FactKind kind) const {
    const auto known = facts.find({domain, kind, 0});
    return known == facts.end() ? nullptr : &known->second;
  }
};

enum class Protocol : uint8_t { kNetflow5, kNetflow9, kIpfix, kSflow, kNetflow1, kNetflow7, kFlowBatch, kGoflow2 };

struct FlowChunk;

/// What a decoder has read of streams that it shares with others (SequenceOrder) and not handed over yet.
struct SequenceOutbox {
  SequenceOrder* order = nullptr;
  uint32_t lane = 0;
  std::vector<SequenceNote> notes;
};

/// What the decoders of all protocols share while one datagram is read.
struct DecodeContext {
  const DecodeSettings& settings;
  const std::vector<std::string>& sites;
  const base::Datagram& datagram;
  Exporter& exporter;
  Sender& sender;
  TemplateStore& store;
  uint64_t& store_seen;  ///< version of `store` that this decoder has taken in
  FlowWriter& out;
  DecodeOutcome& outcome;
  const ColumnKernels& kernels;
  RecordPlan* fixed_plan;  ///< of the records of NetFlow v1, v5 and v7; null in messages of the others
  std::vector<Micros>& time_scratch;
  size_t& pending_octets;
  SideWriters* side;                                    ///< null: no query reads any of them
  const std::function<void(const NameNews&)>& on_name;  ///< empty: nobody asks
  SequenceOutbox* outbox;                               ///< null: the streams are this decoder's alone
  const SequenceMarks* marks;                           ///< that its streams go on at; null: none does
  std::unique_ptr<FlowChunk>& flow_chunk;               ///< null: no message had flows yet

  /// Null: no query reads the stream.
  SideWriter* side_writer(batch::SideStream stream) const { return side == nullptr ? nullptr : side->of(stream); }
  void saw_time(Micros time) {
    outcome.time_max = outcome.any_rows ? std::max(outcome.time_max, time) : time;
    outcome.any_rows = true;
  }
};

/// Keeps what the sender's options or counters named, and tells who listens (context.on_name). Long texts are cut.
void tell_name(DecodeContext& context, uint32_t domain, NameNews news);

/// For who follows the streams in the end. `owner`: of the table that the stream was found in.
void note_sequence(DecodeContext& context, const base::Inet& owner, uint32_t kind, uint64_t stream, KnownStream& known,
                   const SequencePlace& place);

/// Puts what the message's number says to the exporter's ledger. `kind` and `stream` name the stream of messages.
inline void follow_sequence(DecodeContext& context, SequenceTable& table, const base::Inet& owner, uint32_t kind,
                            uint64_t stream, const SequencePlace& place) {
  KnownStream* const known = table.find(kind, stream);
  if (known == nullptr) return;  // There are too many.
  if (context.outbox != nullptr) return note_sequence(context, owner, kind, stream, *known, place);
  if (std::exchange(known->is_new, false) && context.marks != nullptr)
    resume_stream(*known, *context.marks, {owner, kind, stream});
  const SequenceChange change = known->follow(place);
  IngestLedger& ledger = context.exporter.ledger;
  ledger.missing += static_cast<uint64_t>(change.missing);
  if (change.away != 0 && counts_records(kind)) context.exporter.missing_away += change.away;
  ledger.duplicates += change.duplicates;
  ledger.exporter_restarts += change.restarts;
  if (place.agent_drops_told) ledger.agent_drops += known->follow_agent_drops(place.agent_drops);
}

/// The records of NetFlow v1, v5 and v7 as if they had a template: v9 and IPFIX records take the same way.
RecordPlan netflow1_plan();
RecordPlan netflow5_plan();
RecordPlan netflow7_plan();

/// Each reads one datagram of its protocol, whose version has been checked, and counts it as decoded, rejected or
/// undecodable.
void decode_netflow1(DecodeContext& context);
void decode_netflow5(DecodeContext& context);
void decode_netflow7(DecodeContext& context);
void decode_netflow9(DecodeContext& context);
void decode_ipfix(DecodeContext& context);
void decode_sflow(DecodeContext& context);
void decode_flow_batch(DecodeContext& context);
void decode_goflow2(DecodeContext& context);

/// Reads what the sender's data waited for, where other decoders have learnt it: no message of it is at hand.
void read_released(DecodeContext& context);

}  // namespace backstream::decode
