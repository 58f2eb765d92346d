#pragma once
// datagram -> rows of `flows`. The payload's own bytes tell the protocol. Nothing here throws on input.
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/datagram.h"
#include "decode/flow_writer.h"
#include "decode/sampled_header.h"
#include "decode/sequence_order.h"
#include "decode/side_writer.h"

namespace backstream::decode {

using base::Micros;

/// Why bytes were not turned into rows. One enumerator a reason; the names appear in statistics and metrics.
#define BACKSTREAM_DECODE_FAULTS(X)                                                                       \
  X(kNotAnExport, "not_an_export", "the payload is none of the known protocols")                          \
  X(kHeaderTruncated, "header_truncated", "shorter than its protocol's header")                           \
  X(kCountMismatch, "count_mismatch", "the record count does not fit the length (datagram rejected)")     \
  X(kSetTruncated, "set_truncated", "a set or sample runs past the datagram")                             \
  X(kSetLengthInvalid, "set_length_invalid", "a set length below 4")                                      \
  X(kSetLengthMismatch, "set_length_mismatch", "a set that is no whole number of its template's records") \
  X(kTemplateUnknown, "template_unknown", "data whose template never came")                               \
  X(kTemplateInvalid, "template_invalid", "a template with impossible id, counts or widths")              \
  X(kTemplateLimit, "template_limit", "an exporter's template table is full")                             \
  X(kOptionsLimit, "options_limit", "an exporter's table of facts from options is full")                  \
  X(kRecordMalformed, "record_malformed", "a record that its template, or its schema, cannot read")       \
  X(kSampleMalformed, "sample_malformed", "an sFlow sample that cannot be read")                          \
  X(kExporterLimit, "exporter_limit", "the exporter table is full")                                       \
  X(kMessageMalformed, "message_malformed", "a record of Kafka that is no message of its format")         \
  X(kMessageVersion, "message_version", "a FlowBatch of a version that is not known, or without one")     \
  X(kExporterMissing, "exporter_missing", "a record of Kafka that names no exporter")

enum class DecodeFault : uint8_t {
#define BACKSTREAM_X(enumerator, name, about) enumerator,
  BACKSTREAM_DECODE_FAULTS(BACKSTREAM_X)
#undef BACKSTREAM_X
};
#define BACKSTREAM_X(enumerator, name, about) +1
inline constexpr size_t kDecodeFaultCount = BACKSTREAM_DECODE_FAULTS(BACKSTREAM_X);
#undef BACKSTREAM_X
std::string_view name(DecodeFault fault);

/// The ingest ledger (DESIGN rule 5) of one exporter.
///   datagrams = decoded + rejected + undecodable
///   records   = flows + events + option_rows + malformed + awaiting_template (an unknown set counts as one record)
struct IngestLedger {
  uint64_t datagrams = 0, decoded = 0, rejected = 0, undecodable = 0;
  uint64_t records = 0, flows = 0, events = 0, option_rows = 0, malformed = 0, awaiting_template = 0;
  uint64_t counter_samples = 0, discard_samples = 0;  ///< of sFlow
  uint64_t agent_drops = 0;                           ///< samples that an sFlow agent took and had no room to send
  uint64_t missing = 0;            ///< by sequence numbers: records (v5, v7, IPFIX), datagrams (v9), samples (sFlow)
  uint64_t duplicates = 0;         ///< messages (sFlow: samples) that had come before; their rows are counted again
  uint64_t exporter_restarts = 0;  ///< sequence numbers began anew, which is no loss
  uint64_t sets_held = 0;          ///< data sets kept until their template comes
  uint64_t sets_released = 0;      ///< those of them whose template came in time: they are no longer awaiting_template
  uint64_t templates_expired = 0;  ///< neither announced nor used for decode.template_expiry
  uint64_t sampling_unknown_rows = 0;
  uint64_t counter_overflow = 0;  ///< raw >= 2^63 or scaled beyond bigint: the column is null
  std::array<uint64_t, kDecodeFaultCount> faults{};
  void add(DecodeFault fault, uint64_t n = 1) { faults[static_cast<size_t>(fault)] += n; }
  uint64_t element_unreadable = 0;  ///< values of elements that no value of their type can be: the column is null
  /// Every counter but the faults.
  static constexpr uint64_t IngestLedger::*kCounters[] = {&IngestLedger::datagrams,
                                                          &IngestLedger::decoded,
                                                          &IngestLedger::rejected,
                                                          &IngestLedger::undecodable,
                                                          &IngestLedger::records,
                                                          &IngestLedger::flows,
                                                          &IngestLedger::events,
                                                          &IngestLedger::option_rows,
                                                          &IngestLedger::malformed,
                                                          &IngestLedger::awaiting_template,
                                                          &IngestLedger::counter_samples,
                                                          &IngestLedger::discard_samples,
                                                          &IngestLedger::agent_drops,
                                                          &IngestLedger::missing,
                                                          &IngestLedger::duplicates,
                                                          &IngestLedger::exporter_restarts,
                                                          &IngestLedger::sets_held,
                                                          &IngestLedger::sets_released,
                                                          &IngestLedger::templates_expired,
                                                          &IngestLedger::sampling_unknown_rows,
                                                          &IngestLedger::counter_overflow,
                                                          &IngestLedger::element_unreadable};
  IngestLedger& operator+=(const IngestLedger& other);
  IngestLedger& operator-=(const IngestLedger& other);
  bool operator==(const IngestLedger&) const = default;
};

/// Who is the exporter of a flow.
enum class ExporterIdentity : uint8_t {
  kSource,   ///< the address that datagrams come from
  kElement,  ///< the one that records or options name (exporterIPv4Address, exporterIPv6Address), else the source
  kAgent,    ///< sFlow: the agent address; else the source
};

/// What holds for the exporters of a prefix. For each setting the longest prefix that has it counts.
struct ExporterRule {
  base::Inet prefix;
  std::optional<uint64_t> sampling_rate;     ///< whatever the exporter says
  std::optional<uint64_t> sampling_default;  ///< where it says nothing
  std::optional<ExporterIdentity> identity;  ///< by the source address
};

struct DecodeSettings {
  enum class SflowOctets : uint8_t { kIp, kFrame };
  SflowOctets sflow_octets = SflowOctets::kIp;  ///< decode.sflow_octets
  Tunnels tunnels = Tunnels::kOuter;            ///< decode.tunnels
  enum class Biflow : uint8_t { kSplit, kForward };
  Biflow biflow = Biflow::kSplit;  ///< decode.biflow: what becomes of the reverse direction (RFC 5103)
  Micros template_wait_us =
      10'000'000;  ///< decode.template_wait: how long data is held for its template; 0: not at all
  size_t template_wait_octets_max = 4 << 20;  ///< decode.template_wait_octets: bound of that buffer, all exporters
  /// decode.template_expiry: a template that is neither announced nor used for so long is forgotten; 0: never
  Micros template_expiry_us = 24 * 3'600 * base::kMicrosPerSecond;
  bool template_per_port = false;  ///< decode.template_per_port: each source port has templates of its own
  size_t exporter_count_max = 65'536;
  size_t template_count_max = 4'096;  ///< per exporter
  uint64_t sampling_default = 0;      ///< decode.sampling_default: where nothing is known; 0: unknown
  ExporterIdentity exporter_identity = ExporterIdentity::kSource;  ///< decode.exporter_identity
  std::vector<ExporterRule> exporters;
};

class TemplateStore;

/// A dense index of an exporter's address, in order of first appearance. Stable for the process.
using ExporterIndex = uint32_t;

struct DecodeOutcome {
  ExporterIndex exporter = 0;
  bool any_rows = false;
  Micros time_max = 0;  ///< greatest event time among the datagram's rows (any_rows)
};

/// What came from an exporter in one minute of arrival. `missing` is a signed change: a datagram that comes after its
/// minute takes back what was counted as missing there.
struct MinuteLedger {
  Micros minute = 0;  ///< its begin
  ExporterIndex exporter = 0;
  IngestLedger ledger;
};

/// What an exporter told of something that flows have a number of: in options data, of interfaces in sFlow counters,
/// too. What it did not tell is empty or 0; texts are UTF-8 and of the datagram's memory.
struct NameNews {
  enum class Of : uint8_t { kInterface, kVrf, kApplication };
  Of of = Of::kInterface;
  base::Inet exporter;
  uint64_t id = 0;  ///< if_index or VRF id (32 bits); applicationId's octets as a number, the first of them not 0
  std::string_view name, description;
  uint64_t bits_per_second = 0;  ///< of an interface
};

/// All protocols. Owns exporters and compiled templates. One thread; several decoders may share a store, so that what
/// one learns of an exporter all know.
class Decoder {
 public:
  /// @param store  null: one of its own
  Decoder(DecodeSettings settings, std::vector<std::string> sites, std::shared_ptr<TemplateStore> store = nullptr);
  ~Decoder();
  /// Appends the datagram's flows to `out`. Never throws. What cannot be read is skipped and counted; rows read before
  /// it stay. Data that waited for a template which this datagram brings is decoded here too, after the template.
  /// @param side  rows of the streams beside flows; null, or without a writer: not decoded
  DecodeOutcome decode(const base::Datagram& datagram, FlowWriter& out, SideWriters* side = nullptr) noexcept;

  /// Called by decode() with all that exporters name, changed or not, as often as they do. It is kept in the store,
  /// which a state file outlives; what the store has no room for is counted as options_limit and not told.
  void on_name(std::function<void(const NameNews&)> listener);
  /// Tells the listener all names that the store has, of exporters that were not heard yet, too.
  void tell_known_names() const;

  /// Streams of messages go on at the marks of an earlier process. Before the first decode(), of decoders that do not
  /// share_sequences().
  void resume_sequences(std::shared_ptr<const SequenceMarks> marks);
  /// Adds where the streams of messages stand now, or moves what is there.
  void add_marks(SequenceMarks& marks) const;
  /// Flow records that exporters have sent between the marks and their first messages here: by those that number
  /// records (NetFlow v5, v7, IPFIX).
  uint64_t missing_away() const;

  // Where decoders of several threads read messages of the same exporters:
  /// Numbers of messages go to `order`, which outlives this, as those of `lane`. Before the first decode().
  void share_sequences(SequenceOrder& order, uint32_t lane);
  /// Hands over what decode() has noted. `complete_until_ns` is SequenceOrder's.
  void hand_over_sequences(int64_t complete_until_ns);
  /// What following notes of this decoder has changed, put to the exporter's ledger and minute.
  void count(const SequenceOrder::Change& change);
  /// Decodes what waits for a template that another decoder has learnt: decode() does it with the exporter's next
  /// datagram, which may come to another decoder, or never. `before` is told the exporter whose rows come next.
  void read_released(Micros now, FlowWriter& out, SideWriters* side,
                     const std::function<void(const base::Inet&)>& before);

  /// The address that the datagram's exporter is known by (decode.exporter_identity), as far as earlier ones tell.
  base::Inet identity_of(const base::Datagram& datagram) const;

  size_t exporter_count() const;
  const base::Inet& exporter_address(ExporterIndex exporter) const;
  /// E.g. "NetFlow v9", "IPFIX"; several joined by "+".
  std::string exporter_protocols(ExporterIndex exporter) const { return protocol_names(protocols(exporter)); }
  /// The same as a set of bits, and its spelling.
  uint32_t protocols(ExporterIndex exporter) const;
  static std::string protocol_names(uint32_t protocols);
  const IngestLedger& ledger(ExporterIndex exporter) const;
  struct ExporterSummary {
    uint64_t template_count = 0;
    /// Of the settings, options, headers, samples and records; equal: the only one. 0: unknown.
    uint64_t sampling_rate_min = 0, sampling_rate_max = 0;
  };
  /// By exporter. Looks at all senders: for once a second.
  std::vector<ExporterSummary> summaries() const;
  IngestLedger total() const;
  /// The last minutes, oldest first, those of one minute by exporter; at most kMinuteLedgersMax.
  std::vector<MinuteLedger> minutes() const;
  static constexpr size_t kMinuteLedgersMax = 20'000;
  /// Rows of `exporter_minutes`: of all minutes that began before `end` and were not written yet. A minute is written
  /// again, with what came since, when a datagram of it comes late. Its writer must be among those given to decode().
  void write_minutes(Micros end, SideWriter& out) {
    Decoder* const self = this;
    write_minutes({&self, 1}, end, out);
  }
  /// The same of several decoders: one row a minute and exporter.
  static void write_minutes(std::span<Decoder* const> decoders, Micros end, SideWriter& out);
  /// Counts what still waits for a template as lost (awaiting_template stays counted). Call at the end of a replay.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace backstream::decode
