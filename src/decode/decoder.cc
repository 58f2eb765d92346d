#include "decode/decoder.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <utility>

#include "base/byte_order.h"
#include "decode/exporter.h"
#include "decode/flow_fields.h"
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
  for (const auto counter : kCounters) this->*counter += other.*counter;
  for (size_t i = 0; i < kDecodeFaultCount; ++i) faults[i] += other.faults[i];
  return *this;
}

IngestLedger& IngestLedger::operator-=(const IngestLedger& other) {
  for (const auto counter : kCounters) this->*counter -= other.*counter;
  for (size_t i = 0; i < kDecodeFaultCount; ++i) faults[i] -= other.faults[i];
  return *this;
}

namespace {

constexpr uint64_t kMinute = 60 * base::kMicrosPerSecond;

bool protocol_of(const base::Datagram& datagram, Protocol& protocol) {
  switch (datagram.payload_form) {
    case base::PayloadForm::kExport: break;
    case base::PayloadForm::kFlowBatch: protocol = Protocol::kFlowBatch; return true;
    case base::PayloadForm::kGoflow2: protocol = Protocol::kGoflow2; return true;
  }
  if (datagram.payload_octets < 4) return false;
  switch (base::load_be16(datagram.payload)) {
    case 5: protocol = Protocol::kNetflow5; return true;
    case 9: protocol = Protocol::kNetflow9; return true;
    case 10: protocol = Protocol::kIpfix; return true;
    case 0: protocol = Protocol::kSflow; return base::load_be32(datagram.payload) == 5;
    case 1: protocol = Protocol::kNetflow1; return true;
    case 7: protocol = Protocol::kNetflow7; return true;
    default: return false;
  }
}

/// Agent address of an sFlow datagram: its type, 1 or 2, stands at octet 4.
std::optional<base::Inet> agent_of(const base::Datagram& datagram) {
  if (datagram.payload_octets < 12) return std::nullopt;
  const uint32_t type = base::load_be32(datagram.payload + 4);
  if (type == 1) return base::Inet::v4(base::load_be32(datagram.payload + 8));
  if (type == 2 && datagram.payload_octets >= 24) return base::Inet::from_v6_octets(datagram.payload + 8);
  return std::nullopt;
}

/// Observation domain (source id) in the header of a v9 or IPFIX message.
std::optional<uint32_t> domain_of(const base::Datagram& datagram, Protocol protocol) {
  const size_t at = protocol == Protocol::kNetflow9 ? 16 : 12;
  if (datagram.payload_octets < at + 4) return std::nullopt;
  return base::load_be32(datagram.payload + at);
}

/// What the longest prefix around the address that has the setting says.
template <typename T>
T setting_for(const DecodeSettings& settings, const base::Inet& address, std::optional<T> ExporterRule::*setting,
              T otherwise) {
  const ExporterRule* best = nullptr;
  for (const ExporterRule& rule : settings.exporters) {
    const bool longer = best == nullptr || rule.prefix.prefix_bits > best->prefix.prefix_bits;
    if ((rule.*setting).has_value() && longer && rule.prefix.contains_or_equals(address)) best = &rule;
  }
  return best == nullptr ? otherwise : *(best->*setting);
}

}  // namespace

struct Decoder::State {
  DecodeSettings settings;
  std::vector<std::string> sites;
  std::shared_ptr<TemplateStore> store;
  uint64_t store_seen = 0;
  std::vector<TemplateStore::Change> changes;  // Memory that is used again.
  SequenceOutbox outbox;
  std::shared_ptr<const SequenceMarks> marks;  ///< null: streams begin with their first message
  bool any_ready = false;                      ///< data of some sender waits no longer
  bool all_by_source = true;                   ///< no exporter is known by anything but its source address
  std::vector<std::unique_ptr<Exporter>> exporters;
  std::unordered_map<SenderKey, uint32_t, SenderHash> index;  ///< by address
  std::unordered_map<SenderKey, Sender, SenderHash> senders;
  Sender* recent[256] = {};  ///< senders of the last datagrams, by hash: the map divides, which costs as much as a row
  const ColumnKernels& kernels = column_kernels(base::cpu_level());
  std::unique_ptr<RecordPlan> netflow1_plan, netflow5_plan, netflow7_plan;  ///< made when the first message comes
  std::vector<Micros> time_scratch;
  std::unique_ptr<FlowChunk> flow_chunk;
  size_t pending_octets = 0;
  Micros purged_at = base::kMinTime;
  std::function<void(const NameNews&)> on_name;
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
    if (exporter.rates.least != 0) exporter.rates_before = exporter.rates;
    exporter.rates = {};
    exporter.minute = base::floor_to(received_at, Micros{kMinute});
    while (minutes.size() > kMinuteLedgersMax) minutes.erase(minutes.begin());
    constexpr size_t kUnwrittenMax = 200'000;  // Of more exporters than this the oldest rows are lost.
    while (unwritten.size() > kUnwrittenMax) unwritten.erase(unwritten.begin());
    expire_templates(received_at);
    purge_pending(received_at);
  }
  void end_minute(Exporter& exporter) {
    if (exporter.minute == base::kMinTime) return;
    close_minute(exporter, minutes);
    if (keeps_unwritten) close_minute(exporter, unwritten);
    exporter.before_minute = exporter.ledger;
  }

  void expire_templates(Micros now) {
    if (settings.template_expiry_us == 0) return;
    for (const auto& [key, count] : store->expire(now, now - settings.template_expiry_us)) {
      const auto known = senders.find(key);
      const bool counted = known != senders.end() && known->second.exporter != nullptr;
      (counted ? known->second.exporter->ledger : refused).templates_expired += count;
    }
  }

  /// Data that waited too long makes room for other data.
  void purge_pending(Micros now) {
    const Micros wait = settings.template_wait_us;
    if (pending_octets == 0) return;
    if (purged_at != base::kMinTime && now >= purged_at && now - purged_at < wait) return;
    purged_at = now;
    for (auto& [key, sender] : senders) {
      std::erase_if(sender.pending, [&](const PendingSet& set) {
        const bool old = !set.ready && now - set.received_at > wait;
        if (old) pending_octets -= set.octets.size();
        return old;
      });
    }
  }

  Exporter* exporter(const base::Inet& address) {
    const SenderKey key{address, 0};
    if (const auto known = index.find(key); known != index.end()) return exporters[known->second].get();
    if (exporters.size() >= settings.exporter_count_max) return nullptr;
    auto& made = exporters.emplace_back(std::make_unique<Exporter>());
    made->address = address;
    made->index = static_cast<uint32_t>(exporters.size() - 1);
    made->sampling_override = setting_for(settings, address, &ExporterRule::sampling_rate, uint64_t{0});
    made->sampling_default = setting_for(settings, address, &ExporterRule::sampling_default, settings.sampling_default);
    index.emplace(key, made->index);
    return made.get();
  }

  /// Null: there are too many.
  Sender* sender(const base::Datagram& datagram) {
    const uint16_t port = settings.template_per_port ? datagram.source_port : uint16_t{0};
    const SenderKey key{datagram.source, port};
    Sender*& slot = recent[SenderHash{}(key) % std::size(recent)];
    if (slot != nullptr && slot->key == key) return slot;
    if (const auto known = senders.find(key); known != senders.end()) return slot = &known->second;
    if (senders.size() >= settings.exporter_count_max) return nullptr;
    Sender& made = senders[key];
    made.key = key;
    made.identity = setting_for(settings, key.address, &ExporterRule::identity, settings.exporter_identity);
    load(made);
    return slot = &made;
  }

  /// The address in its records or its agent; nothing when those do not tell.
  static std::optional<base::Inet> named_exporter(const Sender& sender, Protocol protocol,
                                                  const base::Datagram& datagram) {
    if (sender.identity == ExporterIdentity::kAgent)
      return protocol == Protocol::kSflow ? agent_of(datagram) : std::nullopt;
    if (sender.identity != ExporterIdentity::kElement) return std::nullopt;
    if (protocol != Protocol::kNetflow9 && protocol != Protocol::kIpfix) return std::nullopt;
    const auto domain = domain_of(datagram, protocol);
    if (!domain) return std::nullopt;
    if (const auto known = sender.identities.find({datagram.source_port, *domain}); known != sender.identities.end())
      return known->second.family == 0 ? std::nullopt : std::optional(known->second);
    const Fact* fact = sender.fact(*domain, FactKind::kExporterAddress);
    return fact == nullptr ? std::nullopt : base::parse_inet(fact->text);
  }

  Exporter* exporter_of(Sender& sender, Protocol protocol, const base::Datagram& datagram) {
    if (sender.identity != ExporterIdentity::kSource) {
      if (const auto named = named_exporter(sender, protocol, datagram)) return exporter(*named);
    }
    if (sender.exporter == nullptr) sender.exporter = exporter(sender.key.address);
    return sender.exporter;
  }

  /// Null: the protocol's records have templates.
  RecordPlan* fixed_plan(Protocol protocol) {
    const auto made = [](std::unique_ptr<RecordPlan>& plan, RecordPlan (*make)()) {
      if (plan == nullptr) plan = std::make_unique<RecordPlan>(make());
      return plan.get();
    };
    switch (protocol) {
      case Protocol::kNetflow1: return made(netflow1_plan, decode::netflow1_plan);
      case Protocol::kNetflow5: return made(netflow5_plan, decode::netflow5_plan);
      case Protocol::kNetflow7: return made(netflow7_plan, decode::netflow7_plan);
      default: return nullptr;
    }
  }

  DecodeContext context(const base::Datagram& datagram, Exporter& exporter, Sender& sender, FlowWriter& out,
                        DecodeOutcome& outcome, SideWriters* side, RecordPlan* fixed_plan) {
    return {settings,       sites,     datagram,   exporter,
            sender,         *store,    store_seen, out,
            outcome,        kernels,   fixed_plan, time_scratch,
            pending_octets, side,      on_name,    outbox.order == nullptr ? nullptr : &outbox,
            marks.get(),    flow_chunk};
  }

  // --- what other decoders learnt

  void take_template(Sender& sender, const TemplateKey& key, const TemplatePointer& definition) {
    if (definition == nullptr) return sender.templates.erase(key);
    const Template* known = sender.templates.find(key);
    if (known != nullptr && known->definition == definition) return;
    sender.templates.set(key, Template(definition, settings.biflow));
    for (PendingSet& set : sender.pending) {
      if (set.key == key) set.ready = sender.any_ready = any_ready = true;
    }
  }
  void load(Sender& sender) {
    const TemplateStore::Announcements all = store->announcements_of(sender.key);
    std::unordered_map<TemplateKey, TemplatePointer, TemplateKeyHash> templates(all.templates.begin(),
                                                                                all.templates.end());
    sender.templates.erase_if([&](const TemplateKey& key, const Template&) { return !templates.contains(key); });
    for (const auto& [key, definition] : all.templates) take_template(sender, key, definition);
    sender.facts.clear();
    sender.samplers.clear();
    for (const auto& [key, fact] : all.facts) sender.take_fact(key, fact);
  }
  void take_changes() {
    changes.clear();
    if (!store->changes_since(store_seen, changes)) {
      for (auto& [key, sender] : senders) load(sender);
      return;
    }
    for (const TemplateStore::Change& change : changes) {
      const auto known = senders.find(change.sender);
      if (known == senders.end()) continue;  // read as a whole when its first datagram comes
      if (change.is_fact) known->second.take_fact(change.fact_key, change.fact);
      else take_template(known->second, change.key, change.definition);
    }
  }
};

Decoder::Decoder(DecodeSettings settings, std::vector<std::string> sites, std::shared_ptr<TemplateStore> store)
    : state_(std::make_unique<State>()) {
  state_->settings = std::move(settings);
  state_->sites = std::move(sites);
  if (state_->sites.empty()) state_->sites.emplace_back();
  if (store == nullptr) {
    TemplateStoreLimits limits;
    limits.sender_count_max = state_->settings.exporter_count_max;
    limits.template_count_max = state_->settings.template_count_max;
    store = std::make_shared<TemplateStore>(limits);
  }
  state_->store = std::move(store);
  state_->all_by_source = state_->settings.exporter_identity == ExporterIdentity::kSource;
  for (const ExporterRule& rule : state_->settings.exporters)
    state_->all_by_source &= rule.identity.value_or(ExporterIdentity::kSource) == ExporterIdentity::kSource;
}
Decoder::~Decoder() = default;

DecodeOutcome Decoder::decode(const base::Datagram& datagram, FlowWriter& out, SideWriters* side) noexcept {
  DecodeOutcome outcome;
  state_->keeps_unwritten = side != nullptr && side->of(batch::SideStream::kExporterMinutes) != nullptr;
  assert(datagram.site < state_->sites.size());
  if (state_->store->version() != state_->store_seen) state_->take_changes();
  Protocol protocol{};
  const bool known_protocol = protocol_of(datagram, protocol);
  Sender* sender = state_->sender(datagram);
  Exporter* exporter = sender == nullptr ? nullptr : state_->exporter_of(*sender, protocol, datagram);
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
  if (!known_protocol) {
    exporter->ledger.add(DecodeFault::kNotAnExport);
    ++exporter->ledger.undecodable;
    return outcome;
  }
  exporter->protocols |= 1u << static_cast<unsigned>(protocol);
  DecodeContext context =
      state_->context(datagram, *exporter, *sender, out, outcome, side, state_->fixed_plan(protocol));
  switch (protocol) {
    case Protocol::kNetflow1: decode_netflow1(context); break;
    case Protocol::kNetflow5: decode_netflow5(context); break;
    case Protocol::kNetflow7: decode_netflow7(context); break;
    case Protocol::kNetflow9: decode_netflow9(context); break;
    case Protocol::kIpfix: decode_ipfix(context); break;
    case Protocol::kSflow: decode_sflow(context); break;
    case Protocol::kFlowBatch: decode_flow_batch(context); break;
    case Protocol::kGoflow2: decode_goflow2(context); break;
  }
  return outcome;
}

void Decoder::resume_sequences(std::shared_ptr<const SequenceMarks> marks) { state_->marks = std::move(marks); }
void Decoder::add_marks(SequenceMarks& marks) const {
  for (const auto& exporter : state_->exporters) exporter->sequences.add_marks(marks, exporter->address);
  for (const auto& [key, sender] : state_->senders) sender.sequences.add_marks(marks, key.address);
}
uint64_t Decoder::missing_away() const {
  int64_t records = 0;
  for (const auto& exporter : state_->exporters) records += exporter->missing_away;
  return static_cast<uint64_t>(std::max<int64_t>(records, 0));
}

void Decoder::share_sequences(SequenceOrder& order, uint32_t lane) {
  state_->outbox.order = &order;
  state_->outbox.lane = lane;
}
void Decoder::hand_over_sequences(int64_t complete_until_ns) {
  SequenceOutbox& outbox = state_->outbox;
  outbox.order->hand_over(outbox.lane, outbox.notes, complete_until_ns);
}
void Decoder::count(const SequenceOrder::Change& told) {
  Exporter& exporter = *state_->exporters[told.exporter];
  IngestLedger change;
  change.missing = static_cast<uint64_t>(told.missing);
  change.duplicates = told.duplicates;
  change.exporter_restarts = told.restarts;
  change.agent_drops = told.agent_drops;
  exporter.ledger += change;
  exporter.missing_away += told.away;
  if (told.minute == exporter.minute) return;  // begin_minute() takes the difference.
  exporter.before_minute += change;
  const auto key = std::pair(told.minute, exporter.index);
  state_->minutes[key] += change;
  if (state_->keeps_unwritten) state_->unwritten[key] += change;
}

void Decoder::read_released(Micros now, FlowWriter& out, SideWriters* side,
                            const std::function<void(const base::Inet&)>& before) {
  if (state_->store->version() != state_->store_seen) state_->take_changes();
  if (!std::exchange(state_->any_ready, false)) return;
  for (auto& [key, sender] : state_->senders) {
    const auto ready =
        std::find_if(sender.pending.begin(), sender.pending.end(), [](const auto& set) { return set.ready; });
    if (ready == sender.pending.end()) continue;
    Exporter& exporter = *ready->exporter;
    before(exporter.address);
    base::Datagram datagram;
    datagram.source = key.address;
    datagram.source_port = key.port;
    datagram.site = exporter.site;
    datagram.received_at = now;
    DecodeOutcome outcome;
    DecodeContext context = state_->context(datagram, exporter, sender, out, outcome, side, nullptr);
    decode::read_released(context);
  }
}

base::Inet Decoder::identity_of(const base::Datagram& datagram) const {
  if (state_->all_by_source) return datagram.source;
  const uint16_t port = state_->settings.template_per_port ? datagram.source_port : uint16_t{0};
  const auto known = state_->senders.find({datagram.source, port});
  Protocol protocol{};
  if (!protocol_of(datagram, protocol)) return datagram.source;
  if (known != state_->senders.end())
    return State::named_exporter(known->second, protocol, datagram).value_or(datagram.source);
  Sender unknown;
  unknown.identity =
      setting_for(state_->settings, datagram.source, &ExporterRule::identity, state_->settings.exporter_identity);
  return State::named_exporter(unknown, protocol, datagram).value_or(datagram.source);
}

size_t Decoder::exporter_count() const { return state_->exporters.size(); }
const base::Inet& Decoder::exporter_address(ExporterIndex exporter) const {
  return state_->exporters[exporter]->address;
}
uint32_t Decoder::protocols(ExporterIndex exporter) const { return state_->exporters[exporter]->protocols; }
std::string Decoder::protocol_names(uint32_t protocols) {
  static constexpr std::string_view kNames[] = {"NetFlow v5", "NetFlow v9", "IPFIX", "sFlow",
                                                "NetFlow v1", "NetFlow v7", "flows", "goflow2"};
  std::string text;
  for (size_t p = 0; p < std::size(kNames); ++p) {
    if ((protocols >> p & 1) == 0) continue;
    if (!text.empty()) text += '+';
    text += kNames[p];
  }
  return text;
}
const IngestLedger& Decoder::ledger(ExporterIndex exporter) const { return state_->exporters[exporter]->ledger; }
std::vector<Decoder::ExporterSummary> Decoder::summaries() const {
  std::vector<ExporterSummary> list(state_->exporters.size());
  std::vector<RatesSeen> rates(list.size());
  for (const auto& [key, sender] : state_->senders) {
    std::unordered_map<uint32_t, uint32_t> named;  // Exporters by domain, where records name them.
    for (const auto& [port_and_domain, address] : sender.identities) {
      if (const auto known = state_->index.find({address, 0}); known != state_->index.end())
        named[port_and_domain.second] = known->second;
    }
    const Exporter* const own = sender.exporter;
    const auto with_exporter = [&named, own](uint32_t domain, auto&& take) {
      if (const auto known = named.find(domain); known != named.end()) take(known->second);
      else if (own != nullptr) take(own->index);
    };
    sender.templates.for_each([&](const TemplateKey& of, const Template&) {
      with_exporter(of.domain, [&](uint32_t exporter) { ++list[exporter].template_count; });
    });
    sender.samplers.for_each([&](uint32_t domain, uint64_t rate) {
      with_exporter(domain, [&](uint32_t exporter) { rates[exporter].add(rate); });
    });
  }
  for (const auto& exporter : state_->exporters) {
    RatesSeen seen = rates[exporter->index];
    seen.add(exporter->rates);
    seen.add(exporter->rates_before);
    const bool announced = exporter->sampling_override == 0 && seen.least != 0;
    ExporterSummary& summary = list[exporter->index];
    summary.sampling_rate_min = announced ? seen.least : exporter->sampling_rate(0);
    summary.sampling_rate_max = announced ? seen.most : exporter->sampling_rate(0);
  }
  return list;
}
void Decoder::on_name(std::function<void(const NameNews&)> listener) { state_->on_name = std::move(listener); }
void Decoder::tell_known_names() const {
  if (!state_->on_name) return;
  for (const SenderKey& sender : state_->store->senders()) {
    const auto names = state_->store->names_of(sender);
    if (names.empty()) continue;
    std::unordered_map<uint32_t, base::Inet> named;  // Exporters by domain, where options name them.
    const auto identity =
        setting_for(state_->settings, sender.address, &ExporterRule::identity, state_->settings.exporter_identity);
    if (identity == ExporterIdentity::kElement) {
      for (const auto& [key, fact] : state_->store->announcements_of(sender).facts) {
        const auto address = base::parse_inet(fact.text);
        if (key.kind == FactKind::kExporterAddress && address) named[key.domain] = *address;
      }
    }
    for (const auto& [key, fact] : names) {
      const bool application = key.kind == FactKind::kApplicationName || key.kind == FactKind::kApplicationDescription;
      if (application ? key.id <= UINT8_MAX : key.id > UINT32_MAX) continue;  // No record gave that.
      const auto exporter = named.find(key.domain);
      NameNews news;
      if (application) news.of = NameNews::Of::kApplication;
      news.exporter = exporter == named.end() ? sender.address : exporter->second;
      news.id = key.id;
      news.bits_per_second = fact.number;
      switch (key.kind) {
        case FactKind::kInterfaceName: news.name = fact.text; break;
        case FactKind::kInterfaceDescription: news.description = fact.text; break;
        case FactKind::kVrfName:
          news.of = NameNews::Of::kVrf;
          news.name = fact.text;
          break;
        case FactKind::kApplicationName: news.name = fact.text; break;
        case FactKind::kApplicationDescription: news.description = fact.text; break;
        default: continue;
      }
      state_->on_name(news);
    }
  }
}
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
void Decoder::write_minutes(std::span<Decoder* const> decoders, Micros end, SideWriter& out) {
  struct Known {
    base::Inet address;
    std::string_view site;
    uint32_t protocols = 0;
  };
  std::vector<Known> known;
  std::unordered_map<base::Inet, uint32_t, base::InetHash> places;
  State::Minutes merged;
  for (Decoder* decoder : decoders) {
    State& state = *decoder->state_;
    for (const auto& exporter : state.exporters) {
      if (exporter->minute < end) state.end_minute(*exporter);
    }
    const auto written_end = state.unwritten.lower_bound({end, 0});
    if (written_end == state.unwritten.begin()) continue;
    std::vector<uint32_t> place_of;  // By the decoder's index.
    for (const auto& exporter : state.exporters) {
      const auto [place, fresh] = places.try_emplace(exporter->address, static_cast<uint32_t>(known.size()));
      if (fresh) known.push_back({exporter->address, {}, 0});
      known[place->second].site = state.sites[exporter->site];
      known[place->second].protocols |= exporter->protocols;
      place_of.push_back(place->second);
    }
    for (auto at = state.unwritten.begin(); at != written_end; ++at)
      merged[{at->first.first, place_of[at->first.second]}] += at->second;
    state.unwritten.erase(state.unwritten.begin(), written_end);
  }
  for (const auto& [key, ledger] : merged) {
    const Known& exporter = known[key.second];
    write_minute({key.first, key.second, ledger}, exporter.address, exporter.site, protocol_names(exporter.protocols),
                 out);
  }
}
void Decoder::finish() {
  for (auto& [key, sender] : state_->senders) sender.pending.clear();
  state_->pending_octets = 0;
}

}  // namespace backstream::decode
