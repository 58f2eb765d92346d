#include "app/pipeline.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace backstream::app {
namespace {

using base::Micros;
using batch::FlowColumn;

constexpr std::string_view kFlows = "flows";
constexpr Micros kArrivalDelay = base::kMicrosPerSecond;  // DESIGN §6: event time = arrival needs 1 s.

decode::DecodeSettings decode_settings(const config::Settings& settings) {
  decode::DecodeSettings out;
  out.sflow_octets = settings.decode.sflow_octets == config::SflowOctets::kFrame
                         ? decode::DecodeSettings::SflowOctets::kFrame
                         : decode::DecodeSettings::SflowOctets::kIp;
  out.tunnels = settings.decode.tunnels == config::Tunnels::kInner ? decode::Tunnels::kInner : decode::Tunnels::kOuter;
  out.biflow = settings.decode.biflow == config::Biflow::kForward ? decode::DecodeSettings::Biflow::kForward
                                                                  : decode::DecodeSettings::Biflow::kSplit;
  out.template_wait_us = settings.decode.template_wait_us;
  out.template_wait_octets_max = static_cast<size_t>(settings.decode.template_wait_octets);
  out.exporter_count_max = static_cast<size_t>(settings.decode.exporter_limit);
  out.template_count_max = static_cast<size_t>(settings.decode.template_limit);
  return out;
}

window::WatermarkRules watermark_rules(const Pipeline::Options& options) {
  window::WatermarkRules rules;
  rules.delay_us = options.settings.watermark.delay_us;
  rules.idle_timeout_us = options.settings.watermark.idle_timeout_us;
  rules.live = options.live || options.live_rules;
  rules.max_skew_us = options.settings.watermark.max_skew_us;
  rules.max_hold_us = options.settings.watermark.max_hold_us;
  rules.max_future_us = options.settings.watermark.max_future_us;
  return rules;
}

batch::FlowColumnSet wanted_columns(const exec::Engine& engine) {
  batch::FlowColumnSet wanted;
  const std::vector<bool> used = engine.columns_used(kFlows, batch::kFlowColumnCount);
  for (size_t c = 0; c < used.size(); ++c) {
    if (used[c]) wanted.add(static_cast<FlowColumn>(c));
  }
  return wanted;
}

/// The labels of inputs, and of settings those that are not among them.
std::vector<std::string> all_sites(std::vector<std::string> sites, const config::Settings& settings) {
  if (sites.empty()) sites.emplace_back();
  for (const config::ExporterSettings& exporter : settings.exporters) {
    if (std::find(sites.begin(), sites.end(), exporter.site) == sites.end()) sites.push_back(exporter.site);
  }
  return sites;
}

/// The rows have all columns of the schema that queries were bound to, though most have no memory.
std::shared_ptr<const decode::WantedElements> wanted_elements(const exec::Engine& engine,
                                                              const config::Settings& settings) {
  const std::vector<batch::ElementColumn> columns = batch::element_columns(settings.columns);
  const std::vector<bool> used = engine.columns_used(kFlows, batch::kFlowColumnCount + columns.size());
  decode::WantedElements wanted;
  for (size_t i = 0; i < columns.size(); ++i) {
    wanted.types.push_back(batch::sql_type(columns[i].type));
    const size_t index = batch::kFlowColumnCount + i;
    if (used[index]) wanted.columns.push_back({index, columns[i]});
  }
  return std::make_shared<const decode::WantedElements>(std::move(wanted));
}

Micros wall_clock() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// The export time in a message header, at second precision, before anything of it is decoded: NetFlow v5 and v9 (RFC
/// 3954 §5.1) have it at octet 8, IPFIX (RFC 7011 §3.1) at octet 4. sFlow has none.
std::optional<Micros> export_time(const base::Datagram& datagram) {
  if (datagram.payload_octets < 16) return std::nullopt;
  const auto at = [&](size_t offset) { return uint32_t{datagram.payload[offset]}; };
  const auto seconds = [&](size_t o) {
    return Micros{at(o) << 24 | at(o + 1) << 16 | at(o + 2) << 8 | at(o + 3)} * base::kMicrosPerSecond;
  };
  switch (at(0) << 8 | at(1)) {
    case 5:
    case 9: return seconds(8);
    case 10: return seconds(4);
    default: return std::nullopt;
  }
}

}  // namespace

/// One edge half's share of the rows.
class Pipeline::Edge : public decode::FlowWriter::Consumer {
 public:
  Edge(Pipeline& pipeline, uint32_t number_of_edge, const batch::FlowColumnSet& columns,
       std::shared_ptr<const decode::WantedElements> elements)
      : writer(columns, *this, static_cast<size_t>(pipeline.options_.settings.exec.batch_rows), std::move(elements)),
        number(number_of_edge),
        pipeline_(pipeline) {}

  void on_flows(batch::ColumnBatch& rows) override {
    if (shift_us != 0) {
      for (const FlowColumn column :
           {FlowColumn::kTime, FlowColumn::kFlowStart, FlowColumn::kFlowEnd, FlowColumn::kExportedAt}) {
        Micros* times = rows.columns[static_cast<size_t>(column)].as<Micros>();
        for (size_t row = 0; times != nullptr && row < rows.row_count; ++row) times[row] += shift_us;
      }
    }
    exec::RowsContext context(number);
    context.watermarks[static_cast<size_t>(exec::Clock::kEvent)] = pipeline_.tracker_.watermark();
    context.watermarks[static_cast<size_t>(exec::Clock::kArrival)] = pipeline_.arrival_watermark_;
    if (pipeline_.live_rules_) context.time_max = pipeline_.tracker_.time_limit(pipeline_.received_at_);
    pipeline_.hand_over(writer, rows, context);
  }

  decode::FlowWriter writer;
  const uint32_t number;
  Micros shift_us = 0;  ///< live rules: added to the times of the rows that come, all of one datagram

 private:
  Pipeline& pipeline_;
};

Pipeline::Pipeline(const Options& options, ingest::DatagramSource& source, exec::Engine& engine,
                   std::vector<std::string> sites)
    : options_(options),
      sites_(all_sites(std::move(sites), options.settings)),
      live_rules_(options.live || options.live_rules),
      source_(source),
      engine_(engine),
      decoder_(decode_settings(options.settings), sites_),
      enrichers_(std::max(options.threads, 1u),
                 enrich::Enricher(wanted_columns(engine),
                                  {options.as_table,
                                   options.inventory == nullptr ? nullptr : options.inventory->interfaces().get()})),
      tracker_(watermark_rules(options)),
      side_(engine, static_cast<size_t>(options.settings.exec.batch_rows), options.threads > 1 ? 1 : options.edges,
            [this] {
              if (threads_ != nullptr) threads_->wait();
            }),
      random_state_(options.deal.seed) {
  engine_.set_delay(kFlows, options.settings.watermark.delay_us);
  const uint32_t writers = options.threads > 1 ? 1 : options.edges;
  const auto elements = wanted_elements(engine, options.settings);
  for (uint32_t number = 0; number < writers; ++number)
    edges_.push_back(std::make_unique<Edge>(*this, number, enrichers_[0].columns_to_decode(), elements));
  if (options.threads <= 1) return;
  threads_ = std::make_unique<AggregationThreads>(
      options.threads, [this] { return edges_[0]->writer.make_buffer(); },
      [this](uint32_t number, batch::ColumnBatch& rows, exec::RowsContext& context) {
        enrichers_[number].enrich(rows);
        context.edge = number;
        engine_.process(kFlows, rows, context);
      });
}

Pipeline::~Pipeline() = default;

/// To the engine on this thread, or to the next aggregation thread, each of which is an edge half of its own.
void Pipeline::hand_over(decode::FlowWriter& writer, batch::ColumnBatch& rows, const exec::RowsContext& context) {
  if (threads_ == nullptr) {
    enrichers_[0].enrich(rows);
    engine_.process(kFlows, rows, context);
    return;
  }
  batch::BatchBuffer buffer = threads_->take_buffer();
  // The context is taken along: by the time that the rows are worked on the watermark may have moved.
  writer.exchange_buffer(buffer);
  threads_->submit(std::move(buffer), context);
}

size_t Pipeline::AddressHash::operator()(const base::Inet& address) const noexcept {
  uint64_t hash = (address.hi ^ (address.lo << 1 | address.lo >> 63) ^ address.family) * 0x9E3779B97F4A7C15;
  return hash ^ hash >> 32;
}

Pipeline::KnownSource& Pipeline::known(const base::Inet& address) {
  if (last_source_ != nullptr && address == last_address_) return *last_source_;
  last_address_ = address;
  const auto found = sources_.find(address);
  if (found != sources_.end()) return *(last_source_ = &found->second);
  // Exporters are numbered as they appear, so this one's number is most likely known before the decoder gives it.
  KnownSource fresh;
  fresh.exporter = static_cast<decode::ExporterIndex>(decoder_.exporter_count());
  fresh.edge = static_cast<uint32_t>(sources_.size() % edges_.size());
  if (const std::string_view site = options_.settings.site_of(address); !site.empty())
    fresh.site = static_cast<uint32_t>(std::find(sites_.begin(), sites_.end(), site) - sites_.begin());
  fresh.first_seen = received_at_;
  const bool full = sources_.size() >= static_cast<size_t>(options_.settings.decode.exporter_limit);
  last_source_ = full ? &(overflow_source_ = fresh) : &sources_.emplace(address, fresh).first->second;
  return *last_source_;
}

Pipeline::Edge& Pipeline::edge_of(uint32_t site, const KnownSource& source) {
  if (edges_.size() == 1) return *edges_[0];
  switch (options_.deal.kind) {
    case Deal::Kind::kSite: return *edges_[site % edges_.size()];
    case Deal::Kind::kExporter: return *edges_[source.edge];
    case Deal::Kind::kRandom: break;
  }
  // SplitMix64: the same deal for a seed on every machine.
  uint64_t z = random_state_ += 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return *edges_[(z ^ z >> 31) % edges_.size()];
}

void Pipeline::flush() {
  for (auto& edge : edges_) edge->writer.flush();
  side_.flush();
  if (threads_ != nullptr) threads_->wait();
}

void Pipeline::advance() {
  flush();
  engine_.advance(kFlows, tracker_.watermark());
  cut_ = engine_.next_cut(kFlows);
  if (behind_) {
    if (holds_.size() <= *behind_) holds_.resize(*behind_ + 1);
    ++holds_[*behind_];
  }
  behind_ = tracker_.furthest_behind();
}

void Pipeline::take(const base::Datagram& received) {
  received_at_ = received.received_at;
  if (received_at_ >= inventory_due_) publish_inventory();
  KnownSource& source = known(received.source);
  source.last_seen = received_at_;
  base::Datagram datagram = received;
  if (datagram.site == 0) datagram.site = source.site;
  Edge& edge = edge_of(datagram.site, source);
  Micros shift_us = 0;
  if (live_rules_) {
    if (const auto exported_at = export_time(datagram))
      shift_us = tracker_.clock_shift(source.exporter, *exported_at, datagram.received_at);
  }
  // Rows of a shifted datagram make batches of their own.
  if (shift_us != 0) edge.writer.flush();
  edge.shift_us = shift_us;
  const decode::DecodeOutcome outcome = decoder_.decode(datagram, edge.writer, side_.writers(edge.number));
  if (shift_us != 0) edge.writer.flush();
  edge.shift_us = 0;
  source.exporter = outcome.exporter;
  if (!source.introduced) {
    source.introduced = true;
    if (const Micros delay = options_.settings.delay_of(datagram.source); delay != options_.settings.watermark.delay_us)
      tracker_.set_delay(outcome.exporter, delay);
  }
  tracker_.observe(outcome.exporter, outcome.any_rows ? outcome.time_max + shift_us : base::kMinTime,
                   datagram.received_at);
  if (tracker_.reached(cut_)) advance();
  advance_arrival(datagram.received_at);
}

/// Windows over received_at wait for no router's clock, only for datagrams that overtook each other.
void Pipeline::advance_arrival(Micros now) {
  arrival_watermark_ = std::max(arrival_watermark_, now - kArrivalDelay);
  side_.advance(arrival_watermark_, decoder_);
  if (arrival_watermark_ < arrival_cut_) return;
  flush();
  engine_.advance(kFlows, arrival_watermark_, exec::Clock::kArrival);
  arrival_cut_ = engine_.next_cut(kFlows, exec::Clock::kArrival);
}

/// Between datagrams, with no row under way: every edge and thread sees the change at the same place.
void Pipeline::refresh_tables() {
  flush();
  for (enrich::Enricher& enricher : enrichers_) enricher.refresh_tables();
  engine_.refresh_lookups();
}

/// Once a second of arrival, so that a replay sees at each datagram what it would have seen live.
void Pipeline::publish_inventory() {
  if (options_.inventory == nullptr) {
    inventory_due_ = base::kMaxTime;
    return;
  }
  inventory_due_ = base::floor_to(received_at_, base::kMicrosPerSecond) + base::kMicrosPerSecond;
  if (options_.exporters_read) options_.inventory->observe(exporter_facts(), received_at_);
  if (options_.inventory->publish()) refresh_tables();
}

std::vector<inventory::ExporterFact> Pipeline::exporter_facts() const {
  std::vector<inventory::ExporterFact> facts;
  facts.reserve(sources_.size());
  for (const auto& [address, source] : sources_) {
    if (!source.introduced) continue;
    inventory::ExporterFact& fact = facts.emplace_back();
    fact.exporter = address;
    fact.site = sites_[source.site];
    fact.protocols = decoder_.exporter_protocols(source.exporter);
    fact.first_seen = source.first_seen;
    fact.last_seen = source.last_seen;
    const decode::IngestLedger& ledger = decoder_.ledger(source.exporter);
    fact.datagrams = ledger.datagrams;
    fact.records = ledger.records;
    fact.sampling_unknown_rows = ledger.sampling_unknown_rows;
    fact.missing = ledger.missing;
    fact.undecodable = ledger.undecodable;
    if (source.exporter >= tracker_.exporter_count()) continue;
    const auto clock = tracker_.state(source.exporter);
    fact.delay_p999_us = clock.delay_p999_us;
    fact.clock_shift_us = clock.shift_us;
    fact.idle = clock.idle;
    fact.held = clock.held;
  }
  return facts;
}

uint64_t Pipeline::as_filled_count() const {
  uint64_t count = 0;
  for (const enrich::Enricher& enricher : enrichers_) count += enricher.as_filled_count();
  return count;
}
uint64_t Pipeline::as_unknown_count() const {
  uint64_t count = 0;
  for (const enrich::Enricher& enricher : enrichers_) count += enricher.as_unknown_count();
  return count;
}

void Pipeline::run(const std::function<bool()>& go_on) {
  Micros ticked_at = 0;
  while (go_on()) {
    const auto datagrams = source_.next_block();
    if (options_.forwarder != nullptr && !datagrams.empty()) options_.forwarder->take(datagrams);
    for (const base::Datagram& datagram : datagrams) take(datagram);
    if (options_.live) {
      const Micros now = wall_clock();
      if (now - ticked_at >= base::kMicrosPerSecond || now < ticked_at) {
        ticked_at = now;
        received_at_ = now;
        tracker_.tick(now);
        if (tracker_.reached(cut_)) advance();
        advance_arrival(now);
        if (options_.tables_changed && options_.tables_changed()) refresh_tables();
      }
      if (datagrams.empty()) flush();
    }
    if (source_.at_end()) {
      reached_end_ = true;
      break;
    }
  }
  decoder_.finish();
  side_.finish(decoder_);
  flush();
  engine_.finish();
}

}  // namespace backstream::app
