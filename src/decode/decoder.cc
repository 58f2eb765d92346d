#include "decode/decoder.h"

#include <cassert>
#include <map>

#include "base/byte_order.h"
#include "decode/exporter.h"
#include "decode/side_rows.h"

namespace backstream::decode {

std::string_view name(DecodeFault fault) {
  switch (fault) {
#define BACKSTREAM_X(enumerator, text, about) \
  case DecodeFault::enumerator: return text;
    BACKSTREAM_DECODE_FAULTS(BACKSTREAM_X)
#undef BACKSTREAM_X
  }
  return "";
}

IngestLedger& IngestLedger::operator+=(const IngestLedger& other) {
  datagrams += other.datagrams;
  decoded += other.decoded;
  rejected += other.rejected;
  undecodable += other.undecodable;
  records += other.records;
  flows += other.flows;
  events += other.events;
  option_rows += other.option_rows;
  malformed += other.malformed;
  awaiting_template += other.awaiting_template;
  counter_samples += other.counter_samples;
  discard_samples += other.discard_samples;
  agent_drops += other.agent_drops;
  missing += other.missing;
  sampling_unknown_rows += other.sampling_unknown_rows;
  counter_overflow += other.counter_overflow;
  element_unreadable += other.element_unreadable;
  for (size_t i = 0; i < kDecodeFaultCount; ++i) faults[i] += other.faults[i];
  return *this;
}

IngestLedger& IngestLedger::operator-=(const IngestLedger& other) {
  datagrams -= other.datagrams;
  decoded -= other.decoded;
  rejected -= other.rejected;
  undecodable -= other.undecodable;
  records -= other.records;
  flows -= other.flows;
  events -= other.events;
  option_rows -= other.option_rows;
  malformed -= other.malformed;
  awaiting_template -= other.awaiting_template;
  counter_samples -= other.counter_samples;
  discard_samples -= other.discard_samples;
  agent_drops -= other.agent_drops;
  missing -= other.missing;
  sampling_unknown_rows -= other.sampling_unknown_rows;
  counter_overflow -= other.counter_overflow;
  element_unreadable -= other.element_unreadable;
  for (size_t i = 0; i < kDecodeFaultCount; ++i) faults[i] -= other.faults[i];
  return *this;
}

namespace {

constexpr uint64_t kMinute = 60 * base::kMicrosPerSecond;

struct InetHash {
  size_t operator()(const base::Inet& inet) const noexcept {
    return (inet.hi ^ (inet.lo * 0x9e3779b97f4a7c15) ^ inet.family) * 0xbf58476d1ce4e5b9 >> 11;
  }
};

bool protocol_of(const base::Datagram& datagram, Protocol& protocol) {
  if (datagram.payload_octets < 4) return false;
  switch (base::load_be16(datagram.payload)) {
    case 5: protocol = Protocol::kNetflow5; return true;
    case 9: protocol = Protocol::kNetflow9; return true;
    case 10: protocol = Protocol::kIpfix; return true;
    case 0: protocol = Protocol::kSflow; return base::load_be32(datagram.payload) == 5;
    default: return false;
  }
}

}  // namespace

struct Decoder::State {
  DecodeSettings settings;
  std::vector<std::string> sites;
  std::vector<std::unique_ptr<Exporter>> exporters;
  std::unordered_map<base::Inet, uint32_t, InetHash> index;
  Exporter* last = nullptr;  ///< the exporter of the last datagram
  const ColumnKernels& kernels = column_kernels(base::cpu_level());
  RecordPlan netflow5_plan = decode::netflow5_plan();
  std::vector<Micros> time_scratch;
  size_t pending_octets = 0;
  IngestLedger refused;  ///< datagrams of exporters beyond the limit
  using Minutes = std::map<std::pair<Micros, uint32_t>, IngestLedger>;
  Minutes minutes;               ///< by begin and exporter
  Minutes unwritten;             ///< of those, what write_minutes() has yet to write
  bool keeps_unwritten = false;  ///< somebody reads them

  /// Puts what has been counted since the exporter's minute began to that minute.
  static void close_minute(const Exporter& exporter, Minutes& to) {
    IngestLedger change = exporter.ledger;
    change -= exporter.before_minute;
    if (!(change == IngestLedger{})) to[{exporter.minute, exporter.index}] += change;
  }
  void begin_minute(Exporter& exporter, Micros received_at) {
    end_minute(exporter);
    exporter.minute = base::floor_to(received_at, Micros{kMinute});
    while (minutes.size() > kMinuteLedgersMax) minutes.erase(minutes.begin());
    constexpr size_t kUnwrittenMax = 200'000;  // Of more exporters than this the oldest rows are lost.
    while (unwritten.size() > kUnwrittenMax) unwritten.erase(unwritten.begin());
  }
  void end_minute(Exporter& exporter) {
    if (exporter.minute == base::kMinTime) return;
    close_minute(exporter, minutes);
    if (keeps_unwritten) close_minute(exporter, unwritten);
    exporter.before_minute = exporter.ledger;
  }

  Exporter* exporter(const base::Inet& address) {
    if (last != nullptr && last->address == address) return last;
    if (const auto known = index.find(address); known != index.end()) return last = exporters[known->second].get();
    if (exporters.size() >= settings.exporter_count_max) return nullptr;
    auto& made = exporters.emplace_back(std::make_unique<Exporter>());
    made->address = address;
    made->index = static_cast<uint32_t>(exporters.size() - 1);
    index.emplace(address, made->index);
    return last = made.get();
  }
};

Decoder::Decoder(DecodeSettings settings, std::vector<std::string> sites) : state_(std::make_unique<State>()) {
  state_->settings = settings;
  state_->sites = std::move(sites);
  if (state_->sites.empty()) state_->sites.emplace_back();
}
Decoder::~Decoder() = default;

DecodeOutcome Decoder::decode(const base::Datagram& datagram, FlowWriter& out, SideWriters* side) noexcept {
  DecodeOutcome outcome;
  state_->keeps_unwritten = side != nullptr && side->of(batch::SideStream::kExporterMinutes) != nullptr;
  assert(datagram.site < state_->sites.size());
  Exporter* exporter = state_->exporter(datagram.source);
  if (exporter == nullptr) {
    ++state_->refused.datagrams;
    ++state_->refused.rejected;
    state_->refused.add(DecodeFault::kExporterLimit);
    return outcome;
  }
  outcome.exporter = exporter->index;
  exporter->site = datagram.site;
  // Unsigned, so that a step back of time is a far one ahead.
  if (static_cast<uint64_t>(datagram.received_at) - static_cast<uint64_t>(exporter->minute) >= kMinute)
    state_->begin_minute(*exporter, datagram.received_at);
  ++exporter->ledger.datagrams;
  Protocol protocol{};
  if (!protocol_of(datagram, protocol)) {
    exporter->ledger.add(DecodeFault::kNotAnExport);
    ++exporter->ledger.undecodable;
    return outcome;
  }
  exporter->protocols |= 1u << static_cast<unsigned>(protocol);
  DecodeContext context{state_->settings,
                        state_->sites,
                        datagram,
                        *exporter,
                        out,
                        outcome,
                        state_->kernels,
                        state_->netflow5_plan,
                        state_->time_scratch,
                        state_->pending_octets,
                        side};
  switch (protocol) {
    case Protocol::kNetflow5: decode_netflow5(context); break;
    case Protocol::kNetflow9: decode_netflow9(context); break;
    case Protocol::kIpfix: decode_ipfix(context); break;
    case Protocol::kSflow: decode_sflow(context); break;
  }
  return outcome;
}

size_t Decoder::exporter_count() const { return state_->exporters.size(); }
const base::Inet& Decoder::exporter_address(ExporterIndex exporter) const {
  return state_->exporters[exporter]->address;
}
std::string Decoder::exporter_protocols(ExporterIndex exporter) const {
  static constexpr std::string_view kNames[] = {"NetFlow v5", "NetFlow v9", "IPFIX", "sFlow"};
  std::string text;
  for (size_t p = 0; p < std::size(kNames); ++p) {
    if ((state_->exporters[exporter]->protocols >> p & 1) == 0) continue;
    if (!text.empty()) text += '+';
    text += kNames[p];
  }
  return text;
}
const IngestLedger& Decoder::ledger(ExporterIndex exporter) const { return state_->exporters[exporter]->ledger; }
IngestLedger Decoder::total() const {
  IngestLedger total = state_->refused;
  for (const auto& exporter : state_->exporters) total += exporter->ledger;
  return total;
}
std::vector<MinuteLedger> Decoder::minutes() const {
  State::Minutes all = state_->minutes;
  for (const auto& exporter : state_->exporters) State::close_minute(*exporter, all);
  while (all.size() > kMinuteLedgersMax) all.erase(all.begin());
  std::vector<MinuteLedger> list;
  for (const auto& [key, ledger] : all) list.push_back({key.first, key.second, ledger});
  return list;
}
void Decoder::write_minutes(Micros end, SideWriter& out) {
  for (const auto& exporter : state_->exporters) {
    if (exporter->minute < end) state_->end_minute(*exporter);
  }
  const auto written_end = state_->unwritten.lower_bound({end, 0});
  for (auto at = state_->unwritten.begin(); at != written_end; ++at) {
    const Exporter& exporter = *state_->exporters[at->first.second];
    write_minute({at->first.first, at->first.second, at->second}, exporter.address, state_->sites[exporter.site],
                 exporter_protocols(exporter.index), out);
  }
  state_->unwritten.erase(state_->unwritten.begin(), written_end);
}
void Decoder::finish() {
  for (auto& exporter : state_->exporters) exporter->pending.clear();
  state_->pending_octets = 0;
}

}  // namespace backstream::decode
