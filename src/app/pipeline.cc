#include "app/pipeline.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "app/backlog.h"

namespace backstream::app {
namespace {

using base::Micros;
using base::wall_clock;
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
  out.template_expiry_us = settings.decode.template_expiry_us;
  out.template_per_port = settings.decode.template_per_port;
  out.sampling_default = static_cast<uint64_t>(settings.decode.sampling_default);
  const auto identity = [](config::ExporterIdentity from) {
    return static_cast<decode::ExporterIdentity>(from);  // The same names in the same order.
  };
  out.exporter_identity = identity(settings.decode.exporter_identity);
  for (const config::ExporterSettings& from : settings.exporters) {
    decode::ExporterRule& rule = out.exporters.emplace_back();
    rule.prefix = from.prefix;
    rule.sampling_rate = from.sampling_rate;
    rule.sampling_default = from.sampling_default;
    if (from.identity) rule.identity = identity(*from.identity);
  }
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

batch::FlowColumnSet wanted_columns(const exec::Engine& engine, const FlowOutput* output) {
  batch::FlowColumnSet wanted = wanted_columns(engine);
  if (output != nullptr) FlowOutput::columns().for_each([&](FlowColumn column) { wanted.add(column); });
  return wanted;
}

/// The labels of inputs, and of settings those that are not among them.
std::vector<std::string> all_sites(std::vector<std::string> sites, const config::Settings& settings) {
  if (sites.empty()) sites.emplace_back();
  const auto add = [&](const std::string& site) {
    if (std::find(sites.begin(), sites.end(), site) == sites.end()) sites.push_back(site);
  };
  for (const config::ExporterSettings& exporter : settings.exporters) add(exporter.site);
  add(settings.node.site);
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

/// The export time in a message header, at second precision, before anything of it is decoded: NetFlow v1 to v9
/// (RFC 3954 §5.1) have it at octet 8, IPFIX (RFC 7011 §3.1) at octet 4. sFlow has none.
std::optional<Micros> export_time(const base::Datagram& datagram) {
  if (datagram.payload_octets < 16 || datagram.payload_form != base::PayloadForm::kExport) return std::nullopt;
  const auto at = [&](size_t offset) { return uint32_t{datagram.payload[offset]}; };
  const auto seconds = [&](size_t o) {
    return Micros{at(o) << 24 | at(o + 1) << 16 | at(o + 2) << 8 | at(o + 3)} * base::kMicrosPerSecond;
  };
  switch (at(0) << 8 | at(1)) {
    case 1:
    case 5:
    case 7:
    case 9: return seconds(8);
    case 10: return seconds(4);
    default: return std::nullopt;
  }
}

}  // namespace

/// One edge half's share of the rows of one lane.
class Pipeline::Edge : public decode::FlowWriter::Consumer {
 public:
  Edge(Pipeline& pipeline, Lane& lane, uint32_t number_of_edge, const batch::FlowColumnSet& columns,
       std::shared_ptr<const decode::WantedElements> elements)
      : writer(columns, *this, static_cast<size_t>(pipeline.options_.settings.exec.batch_rows), std::move(elements)),
        number(number_of_edge),
        pipeline_(pipeline),
        lane_(lane) {}

  void on_flows(batch::ColumnBatch& rows) override;

  decode::FlowWriter writer;
  const uint32_t number;
  Micros shift_us = 0;  ///< live rules: added to the times of the rows that come, all of one datagram

 private:
  Pipeline& pipeline_;
  Lane& lane_;
};

/// What takes datagrams from one source to partial aggregates.
struct Pipeline::Lane {
  Lane(ingest::DatagramSource& from, uint32_t lane_number, decode::DecodeSettings settings,
       std::vector<std::string> sites, std::shared_ptr<decode::TemplateStore> announcements, uint64_t backlog_octets)
      : source(from),
        number(lane_number),
        decoder(std::move(settings), std::move(sites), std::move(announcements)),
        backlog(backlog_octets) {}

  ingest::DatagramSource& source;
  const uint32_t number;
  decode::Decoder decoder;
  std::vector<std::unique_ptr<Edge>> edges;
  std::vector<Exported> exported;   ///< by number of the edge; may be shorter
  std::vector<uint32_t> exporters;  ///< number in the tracker, by index of the decoder; under state_mutex_
  Micros received_at = 0;           ///< of the datagram at hand

  std::mutex mutex;           ///< live: held while a block is read, and by who wants the lane at rest
  ingest::IngestStats stats;  ///< live: a copy, under `mutex`; the source's own change while the lane is at rest, too
  Micros stats_at = 0;        ///< when it was made
  Backlog backlog;            ///< live: the lane's thread only
  std::atomic<Micros> waiting_since{base::kMaxTime};  ///< arrival of the oldest in `backlog`; kMaxTime: none
  std::vector<Prepared> prepared;                     ///< of the block at hand
  std::vector<decode::DecodeOutcome> outcomes;        ///< of the block at hand
  std::thread thread;
};

void Pipeline::Edge::on_flows(batch::ColumnBatch& rows) {
  if (shift_us != 0) {
    for (const FlowColumn column :
         {FlowColumn::kTime, FlowColumn::kFlowStart, FlowColumn::kFlowEnd, FlowColumn::kExportedAt}) {
      Micros* times = rows.columns[static_cast<size_t>(column)].as<Micros>();
      for (size_t row = 0; times != nullptr && row < rows.row_count; ++row) times[row] += shift_us;
    }
  }
  exec::RowsContext context(number);
  const bool live = pipeline_.options_.live;
  context.watermarks[static_cast<size_t>(exec::Clock::kEvent)] =
      live ? pipeline_.seen_watermark_.load(std::memory_order_relaxed) : pipeline_.tracker_.watermark();
  context.watermarks[static_cast<size_t>(exec::Clock::kArrival)] =
      live ? pipeline_.seen_arrival_.load(std::memory_order_relaxed) : pipeline_.arrival_watermark_;
  if (pipeline_.live_rules_) context.time_max = pipeline_.tracker_.time_limit(lane_.received_at);
  pipeline_.hand_over(lane_, writer, rows, context);
}

Pipeline::Pipeline(const Options& options, std::vector<ingest::DatagramSource*> sources, exec::Engine& engine,
                   std::vector<std::string> sites)
    : options_(options),
      sites_(all_sites(std::move(sites), options.settings)),
      live_rules_(options.live || options.live_rules),
      engine_(engine),
      enrichers_(std::max(options.threads, 1u),
                 enrich::Enricher(app::wanted_columns(engine, options.flow_output),
                                  {options.as_table,
                                   options.inventory == nullptr ? nullptr : options.inventory->interfaces().get()})),
      tracker_(watermark_rules(options)),
      side_(engine, static_cast<size_t>(options.settings.exec.batch_rows),
            options.threads > 1 && !options.live ? 1 : options.edges,
            [this] {
              if (threads_ != nullptr) threads_->wait();
            }),
      random_state_(options.deal.seed) {
  if (options.live && options.settings.ingest.steering == config::Steering::kSpread && sources.size() > 1)
    order_ = std::make_unique<decode::SequenceOrder>(static_cast<uint32_t>(sources.size()));
  engine_.set_delay(kFlows, options.settings.watermark.delay_us);
  const auto elements = wanted_elements(engine, options.settings);
  // What one lane learns of an exporter all know.
  const auto announcements = options.announcements ? options.announcements : std::make_shared<decode::TemplateStore>();
  const auto backlog_octets = static_cast<uint64_t>(options.settings.ingest.backlog_octets);
  for (uint32_t number = 0; number < sources.size(); ++number) {
    lanes_.push_back(std::make_unique<Lane>(*sources[number], number, decode_settings(options.settings), sites_,
                                            announcements, backlog_octets));
    decoders_.push_back(&lanes_.back()->decoder);
    Lane& lane = *lanes_.back();
    if (order_ != nullptr) lane.decoder.share_sequences(*order_, number);
    if (options.inventory != nullptr) {
      lane.decoder.on_name([this](const decode::NameNews& news) {
        const std::lock_guard lock(news_mutex_);
        const auto of = static_cast<inventory::NameFact::Of>(news.of);  // The same names in the same order.
        options_.inventory->observe({of, news.exporter, news.id, news.name, news.description, news.bits_per_second});
      });
      if (number == 0) lane.decoder.tell_known_names();
    }
    const auto add_edge = [&](uint32_t edge) {
      lane.edges.push_back(std::make_unique<Edge>(*this, lane, edge, enrichers_[0].columns_to_decode(), elements));
    };
    if (sources.size() > 1) add_edge(number);
    else if (options.threads > 1) add_edge(0);
    else
      for (uint32_t edge = 0; edge < options.edges; ++edge) add_edge(edge);
  }
  if (options.threads <= 1 || options.live) return;
  threads_ = std::make_unique<AggregationThreads>(
      options.threads, [this] { return lanes_[0]->edges[0]->writer.make_buffer(); },
      [this](uint32_t number, batch::ColumnBatch& rows, exec::RowsContext& context) {
        enrichers_[number].enrich(rows);
        if (options_.flow_output != nullptr) options_.flow_output->take(number, rows);
        context.edge = number;
        engine_.process(kFlows, rows, context);
      });
}

Pipeline::~Pipeline() = default;

void Pipeline::change_queries(const std::function<void()>& change) {
  assert(threads_ == nullptr);
  flush();  // Rows that wait have the columns of before.
  change();
  side_.queries_changed();
  const auto elements = wanted_elements(engine_, options_.settings);
  for (enrich::Enricher& enricher : enrichers_) enricher.set_wanted(app::wanted_columns(engine_, options_.flow_output));
  for (auto& lane : lanes_) {
    for (auto& edge : lane->edges)
      edge = std::make_unique<Edge>(*this, *lane, edge->number, enrichers_[0].columns_to_decode(), elements);
  }
  cut_ = engine_.next_cut(kFlows);
  arrival_cut_.store(engine_.next_cut(kFlows, exec::Clock::kArrival), std::memory_order_relaxed);
}

void Pipeline::change_settings(const config::Settings& settings) {
  options_.settings.watermark = settings.watermark;
  options_.settings.exporters = settings.exporters;
  tracker_.change_rules(watermark_rules(options_),
                        [&](uint32_t exporter) { return settings.delay_of(addresses_[exporter]); });
  engine_.set_delay(kFlows, settings.watermark.delay_us);
}

void Pipeline::resume_at(Micros watermark) {
  tracker_.resume_at(watermark);
  cut_ = engine_.next_cut(kFlows);
}

void Pipeline::resume_sequences(decode::SequenceMarks marks) {
  marks_before_ = std::make_shared<const decode::SequenceMarks>(std::move(marks));
  if (order_ != nullptr) return order_->resume(marks_before_);
  for (auto& lane : lanes_) lane->decoder.resume_sequences(marks_before_);
}

decode::SequenceMarks Pipeline::sequence_marks() const {
  decode::SequenceMarks marks;
  if (marks_before_ != nullptr) marks = *marks_before_;
  if (order_ != nullptr) order_->add_marks(marks);
  else
    for (const auto& lane : lanes_) lane->decoder.add_marks(marks);
  return marks;
}

uint64_t Pipeline::missing_away() const {
  uint64_t records = 0;
  for (const auto& lane : lanes_) records += lane->decoder.missing_away();
  return records;
}

void Pipeline::nudge() {
  const std::lock_guard lock(state_mutex_);
  wake();
}

std::optional<base::Inet> Pipeline::held_by() const {
  const auto behind = tracker_.furthest_behind();
  return behind && *behind < addresses_.size() ? std::optional(addresses_[*behind]) : std::nullopt;
}

Micros Pipeline::newest() const {
  const Micros newest = tracker_.newest();
  return received_at_ == 0 ? newest : std::max(newest, received_at_);
}

/// To the engine on this thread, or to the next aggregation thread, each of which is an edge half of its own.
void Pipeline::hand_over(Lane& lane, decode::FlowWriter& writer, batch::ColumnBatch& rows,
                         const exec::RowsContext& context) {
  if (threads_ == nullptr) {
    enrichers_[lane.number].enrich(rows);
    if (options_.flow_output != nullptr) options_.flow_output->take(lane.number, rows);
    engine_.process(kFlows, rows, context);
    return;
  }
  batch::BatchBuffer buffer = threads_->take_buffer();
  // The context is taken along: by the time that the rows are worked on the watermark may have moved.
  writer.exchange_buffer(buffer);
  threads_->submit(std::move(buffer), context);
}

uint32_t Pipeline::number_of(const base::Inet& exporter) {
  const auto [at, fresh] = numbers_.emplace(exporter, static_cast<uint32_t>(addresses_.size()));
  if (fresh) addresses_.push_back(exporter);
  return at->second;
}

Pipeline::KnownSource& Pipeline::known(const base::Inet& address) {
  if (last_source_ != nullptr && address == last_address_) return *last_source_;
  last_address_ = address;
  const auto found = sources_.find(address);
  if (found != sources_.end()) return *(last_source_ = &found->second);
  KnownSource fresh;
  fresh.edge = static_cast<uint32_t>(sources_.size());
  std::string_view site = options_.settings.site_of(address);
  fresh.site_assumed = site.empty();
  if (site.empty() && options_.live) site = options_.settings.node.site;
  if (!site.empty()) fresh.site = static_cast<uint32_t>(std::find(sites_.begin(), sites_.end(), site) - sites_.begin());
  fresh.first_seen = received_at_;
  if (sources_.size() >= static_cast<size_t>(options_.settings.decode.exporter_limit)) {
    overflow_source_ = fresh;
    return *(last_source_ = &overflow_source_);
  }
  fresh.exporter = number_of(address);
  return *(last_source_ = &sources_.emplace(address, fresh).first->second);
}

Pipeline::Edge& Pipeline::edge_of(Lane& lane, uint32_t site, const KnownSource& source) {
  const auto& edges = lane.edges;
  if (edges.size() == 1) return *edges[0];
  switch (options_.deal.kind) {
    case Deal::Kind::kSite: return *edges[site % edges.size()];
    case Deal::Kind::kExporter: return *edges[source.edge % edges.size()];
    case Deal::Kind::kRandom: break;
  }
  // SplitMix64: the same deal for a seed on every machine.
  uint64_t z = random_state_ += 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return *edges[(z ^ z >> 31) % edges.size()];
}

void Pipeline::flush() {
  for (auto& lane : lanes_) {
    for (auto& edge : lane->edges) edge->writer.flush();
  }
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

Pipeline::Prepared Pipeline::prepare(Lane& lane, const base::Datagram& datagram) {
  received_at_ = datagram.received_at;
  KnownSource& source = known(lane.decoder.identity_of(datagram));
  source.last_seen = datagram.received_at;
  Prepared prepared;
  prepared.source = &source;
  prepared.site = datagram.site == 0 ? source.site : datagram.site;
  prepared.site_assumed = datagram.site == 0 && source.site_assumed;
  prepared.edge = &edge_of(lane, prepared.site, source);
  if (live_rules_ && &source != &overflow_source_) {
    if (const auto exported_at = export_time(datagram))
      prepared.shift_us = tracker_.clock_shift(source.exporter, *exported_at, datagram.received_at);
  }
  return prepared;
}

decode::DecodeOutcome Pipeline::decode(Lane& lane, const base::Datagram& received, const Prepared& prepared) {
  lane.received_at = received.received_at;
  base::Datagram datagram = received;
  datagram.site = prepared.site;
  datagram.site_assumed = prepared.site_assumed;
  Edge& edge = *prepared.edge;
  if (datagram.payload_form == base::PayloadForm::kExport) {
    if (lane.exported.size() <= edge.number) lane.exported.resize(edge.number + 1);
    ++lane.exported[edge.number].datagrams;
    lane.exported[edge.number].octets += datagram.payload_octets;
  }
  // Rows of a shifted datagram make batches of their own.
  if (prepared.shift_us != 0) edge.writer.flush();
  edge.shift_us = prepared.shift_us;
  const decode::DecodeOutcome outcome = lane.decoder.decode(datagram, edge.writer, side_.writers(edge.number));
  if (prepared.shift_us != 0) edge.writer.flush();
  edge.shift_us = 0;
  return outcome;
}

/// Tells the watermark of a datagram that has been read. Returns whether the engine's next cut is reached.
bool Pipeline::conclude(Lane& lane, const base::Datagram& datagram, const Prepared& prepared,
                        const decode::DecodeOutcome& outcome) {
  while (lane.exporters.size() < lane.decoder.exporter_count()) {
    const auto index = static_cast<decode::ExporterIndex>(lane.exporters.size());
    lane.exporters.push_back(number_of(lane.decoder.exporter_address(index)));
  }
  KnownSource& source = *prepared.source;
  if (&source == &overflow_source_ && !outcome.any_rows) {
    tracker_.tick(datagram.received_at);
    return tracker_.reached(cut_);
  }
  source.exporter = lane.exporters[outcome.exporter];
  if (!source.introduced) {
    source.introduced = true;
    const Micros delay = options_.settings.delay_of(addresses_[source.exporter]);
    if (delay != options_.settings.watermark.delay_us) tracker_.set_delay(source.exporter, delay);
  }
  tracker_.observe(source.exporter, outcome.any_rows ? outcome.time_max + prepared.shift_us : base::kMinTime,
                   datagram.received_at);
  return tracker_.reached(cut_);
}

void Pipeline::take(const base::Datagram& datagram) {
  Lane& lane = *lanes_[0];
  if (datagram.received_at >= inventory_due_) {
    received_at_ = datagram.received_at;
    publish_inventory();
  }
  const Prepared prepared = prepare(lane, datagram);
  const decode::DecodeOutcome outcome = decode(lane, datagram, prepared);
  if (conclude(lane, datagram, prepared, outcome)) advance();
  advance_arrival(datagram.received_at);
}

/// Windows over received_at wait for no router's clock, only for datagrams that overtook each other.
void Pipeline::advance_arrival(Micros now) {
  arrival_watermark_ = std::max(arrival_watermark_, now - kArrivalDelay);
  side_.advance(arrival_watermark_, decoders_);
  if (arrival_watermark_ < arrival_cut_.load(std::memory_order_relaxed)) return;
  flush();
  engine_.advance(kFlows, arrival_watermark_, exec::Clock::kArrival);
  arrival_cut_.store(engine_.next_cut(kFlows, exec::Clock::kArrival), std::memory_order_relaxed);
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
  // Before an exporter was known by its name its datagrams counted for their source: two places for one exporter.
  std::unordered_map<base::Inet, KnownSource, base::InetHash> known_by;
  for (const auto& [address, source] : sources_) {
    if (!source.introduced) continue;
    const auto [at, fresh] = known_by.emplace(addresses_[source.exporter], source);
    if (fresh) continue;
    if (address == at->first) at->second.site = source.site;
    at->second.first_seen = std::min(at->second.first_seen, source.first_seen);
    at->second.last_seen = std::max(at->second.last_seen, source.last_seen);
  }
  const std::vector<Exporter> all = exporters();
  const std::vector<uint32_t> places_of = places();
  std::vector<decode::Decoder::ExporterSummary> summaries(all.size());
  for (const auto& lane : lanes_) {
    const auto of_lane = lane->decoder.summaries();
    for (size_t i = 0; i < lane->exporters.size(); ++i) {
      auto& summary = summaries[places_of[lane->exporters[i]]];
      // All lanes know all templates of those that they hear.
      summary.template_count = std::max(summary.template_count, of_lane[i].template_count);
      const auto& heard = of_lane[i];
      if (heard.sampling_rate_min == 0) continue;
      const bool first = summary.sampling_rate_min == 0;
      summary.sampling_rate_min =
          first ? heard.sampling_rate_min : std::min(summary.sampling_rate_min, heard.sampling_rate_min);
      summary.sampling_rate_max = std::max(summary.sampling_rate_max, heard.sampling_rate_max);
    }
  }
  std::vector<inventory::ExporterFact> facts;
  for (size_t place = 0; place < all.size(); ++place) {
    const Exporter& exporter = all[place];
    const auto known = known_by.find(exporter.address);
    if (known == known_by.end()) continue;
    inventory::ExporterFact& fact = facts.emplace_back();
    fact.template_count = summaries[place].template_count;
    fact.sampling_rate_min = summaries[place].sampling_rate_min;
    fact.sampling_rate_max = summaries[place].sampling_rate_max;
    fact.exporter = exporter.address;
    fact.site = sites_[known->second.site];
    fact.protocols = exporter.protocols;
    fact.first_seen = known->second.first_seen;
    fact.last_seen = known->second.last_seen;
    fact.datagrams = exporter.ledger.datagrams;
    fact.records = exporter.ledger.records;
    fact.sampling_unknown_rows = exporter.ledger.sampling_unknown_rows;
    fact.missing = exporter.ledger.missing;
    fact.undecodable = exporter.ledger.undecodable;
    fact.delay_p999_us = exporter.clock.delay_p999_us;
    fact.clock_shift_us = exporter.clock.shift_us;
    fact.idle = exporter.clock.idle;
    fact.held = exporter.clock.held;
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

/// By the tracker's number: the place in exporters(). A source that is only a way to exporters has none.
std::vector<uint32_t> Pipeline::places() const {
  std::vector<uint32_t> places(addresses_.size(), UINT32_MAX);
  for (const auto& lane : lanes_) {
    for (const uint32_t number : lane->exporters) places[number] = 0;
  }
  uint32_t count = 0;
  for (uint32_t& place : places) {
    if (place == 0) place = count++;
  }
  return places;
}

std::vector<Pipeline::Exporter> Pipeline::exporters() const {
  const std::vector<uint32_t> places_of = places();
  std::vector<Exporter> all;
  for (uint32_t number = 0; number < places_of.size(); ++number) {
    if (places_of[number] == UINT32_MAX) continue;
    Exporter& exporter = all.emplace_back();
    exporter.address = addresses_[number];
    if (number < tracker_.exporter_count()) exporter.clock = tracker_.state(number);
  }
  std::vector<uint32_t> protocols(all.size());
  for (const auto& lane : lanes_) {
    for (size_t i = 0; i < lane->exporters.size(); ++i) {
      const auto index = static_cast<decode::ExporterIndex>(i);
      Exporter& exporter = all[places_of[lane->exporters[i]]];
      exporter.ledger += lane->decoder.ledger(index);
      protocols[places_of[lane->exporters[i]]] |= lane->decoder.protocols(index);
    }
  }
  for (size_t i = 0; i < all.size(); ++i) all[i].protocols = decode::Decoder::protocol_names(protocols[i]);
  return all;
}

Pipeline::ExporterCounts Pipeline::exporter_counts() const {
  const std::vector<uint32_t> places_of = places();
  const auto absent = std::count(places_of.begin(), places_of.end(), UINT32_MAX);
  return {places_of.size() - static_cast<size_t>(absent), tracker_.sending_count()};
}

decode::IngestLedger Pipeline::decoded() const {
  decode::IngestLedger total;
  for (const auto& lane : lanes_) total += lane->decoder.total();
  return total;
}

std::vector<Pipeline::Exported> Pipeline::exported() const {
  std::vector<Exported> all;
  for (const auto& lane : lanes_) {
    if (all.size() < lane->exported.size()) all.resize(lane->exported.size());
    for (size_t e = 0; e < lane->exported.size(); ++e) {
      all[e].datagrams += lane->exported[e].datagrams;
      all[e].octets += lane->exported[e].octets;
    }
  }
  return all;
}

std::vector<decode::MinuteLedger> Pipeline::minutes() const {
  const std::vector<uint32_t> places_of = places();
  std::map<std::pair<Micros, uint32_t>, decode::IngestLedger> merged;
  for (const auto& lane : lanes_) {
    for (const decode::MinuteLedger& minute : lane->decoder.minutes())
      merged[{minute.minute, places_of[lane->exporters[minute.exporter]]}] += minute.ledger;
  }
  while (merged.size() > decode::Decoder::kMinuteLedgersMax) merged.erase(merged.begin());
  std::vector<decode::MinuteLedger> list;
  for (const auto& [key, ledger] : merged) list.push_back({key.first, key.second, ledger});
  return list;
}

ingest::IngestStats Pipeline::ingested() const {
  ingest::IngestStats sum;
  for (const auto& lane : lanes_) sum += options_.live ? lane->stats : lane->source.stats();
  return sum;
}

void Pipeline::run(const std::function<bool()>& go_on) {
  // Names of a state file are there for the first row.
  if (options_.inventory != nullptr && options_.inventory->publish()) refresh_tables();
  if (options_.live) run_live(go_on);
  else run_replay(go_on);
  if (order_ != nullptr) {
    for (auto& lane : lanes_) read_released(*lane, received_at_);
    order_->finish();
    count_sequences();
  }
  for (auto& lane : lanes_) lane->decoder.finish();
  side_.finish(decoders_);
  flush();
  if (!leave_open_) engine_.finish();
}

void Pipeline::run_replay(const std::function<bool()>& go_on) {
  ingest::DatagramSource& source = lanes_[0]->source;
  while (go_on()) {
    for (const base::Datagram& datagram : source.next_block()) take(datagram);
    if (source.at_end()) {
      reached_end_ = true;
      return;
    }
  }
}

void Pipeline::at_rest(const std::function<void()>& work) {
  // A mutex alone would be taken again by a busy lane before we wake up.
  resting_.store(true);
  std::vector<std::unique_lock<std::mutex>> locks;
  for (auto& lane : lanes_) locks.emplace_back(lane->mutex);
  {
    const std::lock_guard lock(state_mutex_);
    count_sequences();
    work();
  }
  locks.clear();
  resting_.store(false);
  resting_.notify_all();
}

void Pipeline::wake() {
  due_ = true;
  due_changed_.notify_one();
}

/// Up to when all that has arrived has been read, at rest.
Micros Pipeline::arrival_low(Micros now) const {
  for (const auto& lane : lanes_) now = std::min(now, lane->waiting_since.load());
  return now;
}

/// For rows that are late, to tell how late: a value that is a little old will do.
void Pipeline::publish_watermarks(Micros now) {
  constexpr Micros kInterval = 10 * base::kMicrosPerMilli;
  if (now - published_at_ < kInterval && now >= published_at_) return;
  published_at_ = now;
  seen_watermark_.store(tracker_.watermark(), std::memory_order_relaxed);
  seen_arrival_.store(std::max(arrival_watermark_, now - kArrivalDelay), std::memory_order_relaxed);
}

void Pipeline::take_block(Lane& lane, std::span<const base::Datagram> block) {
  lane.prepared.clear();
  lane.outcomes.clear();
  {
    const std::lock_guard lock(state_mutex_);
    for (const base::Datagram& datagram : block) lane.prepared.push_back(prepare(lane, datagram));
  }
  for (size_t i = 0; i < block.size(); ++i) lane.outcomes.push_back(decode(lane, block[i], lane.prepared[i]));
  const std::lock_guard lock(state_mutex_);
  bool reached = false;
  for (size_t i = 0; i < block.size(); ++i) reached |= conclude(lane, block[i], lane.prepared[i], lane.outcomes[i]);
  const Micros now = block.back().received_at;
  publish_watermarks(now);
  lane.source.processed(block.size());
  if (reached || now - kArrivalDelay >= arrival_cut_.load(std::memory_order_relaxed)) wake();
}

/// What had to wait, a block's worth at a time: the thread that advances the engine need not wait for all of it.
/// @param next  what comes after it
void Pipeline::work_off(Lane& lane, std::span<const base::Datagram> next) {
  constexpr size_t kBlock = 1024;
  std::span<const base::Datagram> left = lane.backlog.datagrams();
  // Of each block: the first time stamp of all that is read after it. Other lanes need not hold their notes meanwhile.
  std::vector<int64_t> complete_until_ns;
  if (order_ != nullptr) {
    int64_t least = lane.source.complete_until_ns();
    const auto lower = [&](std::span<const base::Datagram> datagrams) {
      for (const base::Datagram& datagram : datagrams) least = std::min(least, datagram.arrived_ns);
    };
    lower(next);
    for (size_t begin = (left.size() + kBlock - 1) / kBlock * kBlock; begin > 0; begin -= kBlock) {
      if (begin < left.size()) lower(left.subspan(begin, std::min(kBlock, left.size() - begin)));
      complete_until_ns.push_back(least);
    }
  }
  while (!left.empty()) {
    const size_t count = std::min(left.size(), kBlock);
    take_block(lane, left.first(count));
    left = left.subspan(count);
    if (order_ == nullptr) continue;
    lane.decoder.hand_over_sequences(complete_until_ns.back());
    complete_until_ns.pop_back();
  }
  lane.backlog.clear();
  lane.waiting_since.store(base::kMaxTime);
}

/// What another lane has learnt since, this one's next datagram of the exporter may be long in coming.
void Pipeline::read_released(Lane& lane, Micros now) {
  Edge& edge = *lane.edges[0];
  lane.decoder.read_released(now, edge.writer, side_.writers(edge.number), [&](const base::Inet& exporter) {
    edge.writer.flush();
    const std::lock_guard lock(state_mutex_);
    const auto known = numbers_.find(exporter);
    const bool tracked = known != numbers_.end() && known->second < tracker_.exporter_count();
    edge.shift_us = tracked ? tracker_.state(known->second).shift_us : 0;
  });
  if (edge.shift_us == 0) return;
  edge.writer.flush();
  edge.shift_us = 0;
}

/// At rest: what the order of numbers told counts in the ledgers.
void Pipeline::count_sequences() {
  if (order_ == nullptr) return;
  for (const decode::SequenceOrder::Change& change : order_->take_changes()) lanes_[change.lane]->decoder.count(change);
}

void Pipeline::receive(Lane& lane) {
  while (!stopping_.load(std::memory_order_relaxed)) {
    const auto block = lane.source.next_block();
    const bool exports = !block.empty() && block.front().payload_form == base::PayloadForm::kExport;
    if (options_.forwarder != nullptr && exports) options_.forwarder->take(block);
    std::unique_lock lock(lane.mutex, std::defer_lock);
    for (;;) {
      if (!resting_.load() && lock.try_lock()) break;
      if (lane.backlog.add(block)) {
        if (!lane.backlog.empty()) lane.waiting_since.store(lane.backlog.oldest());
        break;
      }
      resting_.wait(true);  // Now the socket's buffer fills, and then the kernel drops and counts.
    }
    if (!lock.owns_lock()) continue;
    work_off(lane, block);
    if (!block.empty()) take_block(lane, block);
    else
      for (auto& edge : lane.edges) edge->writer.flush();
    if (order_ != nullptr) {
      lane.decoder.hand_over_sequences(lane.source.complete_until_ns());
      read_released(lane, block.empty() ? wall_clock() : block.back().received_at);
    }
    constexpr Micros kStatsInterval = 100 * base::kMicrosPerMilli;
    const Micros now = block.empty() ? wall_clock() : block.back().received_at;
    if (now - lane.stats_at < kStatsInterval && now >= lane.stats_at) continue;
    lane.stats = lane.source.stats();
    lane.stats_at = now;
  }
}

void Pipeline::run_live(const std::function<bool()>& go_on) {
  constexpr auto kAskInterval = std::chrono::milliseconds(100);
  constexpr Micros kStoodStill = 3 * base::kMicrosPerSecond;
  for (auto& lane : lanes_) {
    lane->thread = std::thread([this, at = lane.get()] {
      try {
        receive(*at);
      } catch (...) {
        const std::lock_guard lock(state_mutex_);
        if (!thrown_) thrown_ = std::current_exception();
        wake();
      }
    });
  }
  Micros ticked_at = 0;
  while (go_on()) {
    bool due = false;
    {
      std::unique_lock lock(state_mutex_);
      due_changed_.wait_for(lock, kAskInterval, [&] { return due_; });
      due = std::exchange(due_, false);
      if (thrown_) break;
    }
    const Micros now = wall_clock();
    const bool second_passed = now - ticked_at >= base::kMicrosPerSecond || now < ticked_at;
    // Windows over arrival close by the clock, also while nothing arrives.
    const bool arrival_due = arrival_low(now) - kArrivalDelay >= arrival_cut_.load(std::memory_order_relaxed);
    if (!due && !second_passed && !arrival_due) continue;
    // The process, or its machine, stood still. What came meanwhile lies in the sockets: a second to read it, before
    // exporters are taken for silent.
    const bool stood_still = ticked_at != 0 && now - ticked_at > kStoodStill;
    if (second_passed) ticked_at = now;
    const bool tables_changed = second_passed && options_.tables_changed && options_.tables_changed();
    at_rest([&] {
      if (second_passed && !stood_still) tracker_.tick(now);
      if (tracker_.reached(cut_)) advance();
      advance_arrival(arrival_low(now));
      if (second_passed) {
        flush();  // Rows of streams that send few.
        received_at_ = now;
        if (now >= inventory_due_) publish_inventory();
      }
      if (tables_changed) refresh_tables();
      if (options_.advanced) options_.advanced();
    });
  }
  stopping_.store(true);
  for (auto& lane : lanes_) lane->thread.join();
  if (thrown_) std::rethrow_exception(thrown_);
  for (auto& lane : lanes_) {
    work_off(*lane);
    lane->stats = lane->source.stats();
  }
}

}  // namespace backstream::app
