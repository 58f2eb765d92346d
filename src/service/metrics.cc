#include "service/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace backstream::service {
namespace {

using telemetry::Exposition;
using telemetry::MetricKind;
using Exporter = MetricsInput::Exporter;
using Query = MetricsInput::Query;

constexpr std::string_view kOther = "other";

double seconds(base::Micros time) { return static_cast<double>(time) / static_cast<double>(base::kMicrosPerSecond); }

/// A family of one series without labels.
void counter(Exposition& page, std::string_view name, std::string_view help, uint64_t value) {
  page.family(name, MetricKind::kCounter, help);
  page.add({}, value);
}

template <typename Value>
void gauge(Exposition& page, std::string_view name, std::string_view help, const std::optional<Value>& value) {
  page.family(name, MetricKind::kGauge, help);
  if (!value) return;
  if constexpr (std::is_integral_v<Value>) page.add({}, static_cast<uint64_t>(*value));
  else page.add({}, *value);
}

std::optional<double> seconds(const std::optional<base::Micros>& time) {
  if (!time) return std::nullopt;
  return seconds(*time);
}

// --- this node ------------------------------------------------------------------------------------------------------

void add_node(Exposition& page, const MetricsInput& input) {
  page.family("backstream_build_info", MetricKind::kGauge, "Always 1; the labels tell what runs.");
  page.add({{"version", input.version}}, uint64_t{1});
  std::string roles;
  for (const std::string& role : input.roles) roles += (roles.empty() ? "" : ",") + role;
  page.family("backstream_node_info", MetricKind::kGauge, "Always 1; the labels tell which node this is.");
  page.add({{"node", input.node}, {"site", input.site}, {"roles", roles}}, uint64_t{1});
  gauge(page, "backstream_ready", "1 when /-/ready answers 200.", std::optional<uint64_t>(input.ready ? 1 : 0));

  page.family("backstream_config_reloads_total", MetricKind::kCounter, "Reloads of the settings by how they ended.");
  page.add({{"result", "success"}}, input.reload.good);
  page.add({{"result", "failure"}}, input.reload.bad);
  gauge(page, "backstream_config_last_reload_successful", "1 when the last reload (or the start) took the settings.",
        std::optional<uint64_t>(input.reload.last_good ? 1 : 0));
  gauge(page, "backstream_config_last_reload_success_timestamp_seconds", "When settings were taken last.",
        std::optional<double>(seconds(input.reload.last_good_at)));

  gauge(page, "backstream_catalog_revision", "Revision of the catalog: one more with every change.",
        std::optional<uint64_t>(input.catalog_revision));
  const auto shared = [&](auto member) {
    return input.shared_catalog ? std::optional<uint64_t>((*input.shared_catalog).*member) : std::nullopt;
  };
  using Shared = MetricsInput::SharedCatalog;
  gauge(page, "backstream_catalog_following", "1 when changes of other nodes are heard of, and can be made here.",
        shared(&Shared::following));
  gauge(page, "backstream_catalog_records", "Records of the topic that the catalog is in.", shared(&Shared::records));
  page.family("backstream_catalog_ignored_records_total", MetricKind::kCounter,
              "Records of that topic that say nothing to this node, by reason.");
  if (input.shared_catalog) {
    for (const auto& [reason, count] : input.shared_catalog->faults) page.add({{"reason", reason}}, count);
  }
  const std::tuple<const char*, const char*, uint64_t Shared::*> counters[] = {
      {"backstream_catalog_races_total",
       "Changes of this node that another one's was before, and that were decided anew.", &Shared::races},
      {"backstream_catalog_rereads_total", "Readings of the topic from its begin.", &Shared::rereads},
      {"backstream_catalog_restored_total", "Changes by which this node brought back what was gone from the topic.",
       &Shared::restored}};
  for (const auto& [name, help, member] : counters) {
    page.family(name, MetricKind::kCounter, help);
    if (const auto value = shared(member)) page.add({}, *value);
  }
  gauge(page, "backstream_checkpoint_timestamp_seconds", "When the state of open windows was written last.",
        seconds(input.checkpoint_at));
  gauge(page, "backstream_checkpoint_size_bytes", "Size of that state.",
        input.checkpoint_at ? std::optional(input.checkpoint_octets) : std::nullopt);
  page.family("backstream_checkpoints_total", MetricKind::kCounter, "States of open windows, by what became of them.");
  page.add({{"result", "written"}}, input.checkpoints_written);
  page.add({{"result", "failed"}}, input.checkpoints_failed);
  page.add({{"result", "skipped"}}, input.checkpoints_skipped);
  gauge(page, "backstream_state_free_bytes", "Room left on the file system of state.folder.", input.state_free_octets);
  gauge(page, "backstream_state_size_bytes", "Size of that file system.", input.state_total_octets);
  gauge(page, "backstream_outages", "Times in which this node did not run, as far as its state tells.",
        std::optional<uint64_t>(input.outages));
  page.family("backstream_clock_steps_total", MetricKind::kCounter,
              "Times that the machine's clock was set by 0.5 s or more.");
  page.add({}, input.clock_steps);
}

void add_process(Exposition& page, const telemetry::ProcessFacts& process) {
  page.family("process_cpu_seconds_total", MetricKind::kCounter, "Processor time, user and system.");
  if (process.cpu_seconds) page.add({}, *process.cpu_seconds);
  gauge(page, "process_resident_memory_bytes", "Memory that is resident.", process.resident_octets);
  gauge(page, "process_virtual_memory_bytes", "Address space.", process.virtual_octets);
  gauge(page, "process_open_fds", "Open file descriptors.", process.open_descriptors);
  gauge(page, "process_max_fds", "File descriptors that may be open.", process.descriptors_max);
  gauge(page, "process_threads", "Threads.", process.threads);
  gauge(page, "process_start_time_seconds", "When the process began.", seconds(process.started_at));
}

// --- edge: sockets and decoding -------------------------------------------------------------------------------------

/// Sockets of one address (SO_REUSEPORT) are one listener.
std::map<std::string, ingest::SocketStats> listeners(const ingest::IngestStats& ingest) {
  std::map<std::string, ingest::SocketStats> sums;
  for (const ingest::SocketStats& socket : ingest.sockets) {
    const bool v6 = socket.address.find(':') != std::string::npos;
    ingest::SocketStats& sum =
        sums[fmt::format("udp://{}{}{}:{}", v6 ? "[" : "", socket.address, v6 ? "]" : "", socket.port)];
    sum.datagrams += socket.datagrams;
    sum.octets += socket.octets;
    sum.kernel_drops += socket.kernel_drops;
    sum.buffer_octets += socket.buffer_octets;
  }
  return sums;
}

void add_sockets(Exposition& page, const ingest::IngestStats& ingest) {
  const auto sockets = listeners(ingest);
  const auto family = [&](std::string_view name, MetricKind kind, std::string_view help,
                          uint64_t ingest::SocketStats::*member) {
    page.family(name, kind, help);
    for (const auto& [listener, socket] : sockets) page.add({{"listener", listener}}, socket.*member);
  };
  family("backstream_edge_udp_packets_total", MetricKind::kCounter, "Datagrams that sockets received.",
         &ingest::SocketStats::datagrams);
  family("backstream_edge_udp_bytes_total", MetricKind::kCounter, "Their payload.", &ingest::SocketStats::octets);
  family("backstream_edge_udp_dropped_packets_total", MetricKind::kCounter,
         "Datagrams that the kernel dropped because a socket's buffer was full; coalesced ones count once.",
         &ingest::SocketStats::kernel_drops);
  family("backstream_edge_udp_receive_buffer_bytes", MetricKind::kGauge, "Receive buffer that the kernel granted.",
         &ingest::SocketStats::buffer_octets);
  page.family("backstream_edge_rejected_packets_total", MetricKind::kCounter,
              "Frames and datagrams that were not handed on, by reason.");
  for (size_t i = 0; i < ingest::kIngestSkipCount; ++i)
    page.add({{"reason", ingest::name(static_cast<ingest::IngestSkip>(i))}}, ingest.skipped[i]);
}

void add_topics(Exposition& page, const MetricsInput& input) {
  const auto family = [&](std::string_view name, MetricKind kind, std::string_view help,
                          uint64_t ingest::TopicStats::*member) {
    page.family(name, kind, help);
    for (const ingest::TopicStats& topic : input.ingest.topics) page.add({{"topic", topic.name}}, topic.*member);
  };
  family("backstream_topic_records_total", MetricKind::kCounter, "Records that were read of a topic of flows.",
         &ingest::TopicStats::records);
  family("backstream_topic_bytes_total", MetricKind::kCounter, "Their values.", &ingest::TopicStats::octets);
  family("backstream_topic_lost_records_total", MetricKind::kCounter,
         "Offsets that were passed over: removed before they were read, or damaged.", &ingest::TopicStats::lost);
  family("backstream_topic_failures_total", MetricKind::kCounter, "What brokers answered instead of records.",
         &ingest::TopicStats::failures);
  family("backstream_topic_behind_records", MetricKind::kGauge, "Records that wait in the topic.",
         &ingest::TopicStats::behind);
  page.family("backstream_flows_sent_total", MetricKind::kCounter,
              "Flows for flows.topic by what became of them: acknowledged, not taken by the brokers, no room in the "
              "queue.");
  if (input.flows_sent) {
    page.add({{"topic", input.flows_sent->topic}, {"result", "delivered"}}, input.flows_sent->delivered);
    page.add({{"topic", input.flows_sent->topic}, {"result", "failed"}}, input.flows_sent->failed);
    page.add({{"topic", input.flows_sent->topic}, {"result", "dropped"}}, input.flows_sent->dropped);
  }
  page.family("backstream_flows_sent_records_total", MetricKind::kCounter, "Records that were made of them.");
  if (input.flows_sent) page.add({{"topic", input.flows_sent->topic}}, input.flows_sent->records);
  page.family("backstream_flows_sent_bytes_total", MetricKind::kCounter, "Their values, before compression.");
  if (input.flows_sent) page.add({{"topic", input.flows_sent->topic}}, input.flows_sent->octets);
  page.family("backstream_flows_waiting", MetricKind::kGauge, "Flows on their way to flows.topic.");
  if (input.flows_sent) page.add({{"topic", input.flows_sent->topic}}, input.flows_sent->waiting);
}

/// A set that waited and was read is no longer among the faults. A counter may not go back, so here it still is.
uint64_t faults_ever(const decode::IngestLedger& ledger, size_t fault) {
  const bool unknown = static_cast<decode::DecodeFault>(fault) == decode::DecodeFault::kTemplateUnknown;
  return ledger.faults[fault] + (unknown ? ledger.sets_released : 0);
}

void add_decoding(Exposition& page, const decode::IngestLedger& ledger) {
  page.family("backstream_edge_datagrams_total", MetricKind::kCounter, "Datagrams by what became of them.");
  page.add({{"result", "decoded"}}, ledger.decoded);
  page.add({{"result", "rejected"}}, ledger.rejected);
  page.add({{"result", "undecodable"}}, ledger.undecodable);
  page.family("backstream_edge_records_total", MetricKind::kCounter, "Records that were read, by kind.");
  page.add({{"kind", "flow"}}, ledger.flows);
  page.add({{"kind", "event"}}, ledger.events);
  page.add({{"kind", "option"}}, ledger.option_rows);
  page.add({{"kind", "malformed"}}, ledger.malformed);
  page.add({{"kind", "counter_sample"}}, ledger.counter_samples);
  page.add({{"kind", "discard_sample"}}, ledger.discard_samples);
  page.family("backstream_edge_decode_errors_total", MetricKind::kCounter, "Why something could not be read.");
  for (size_t i = 0; i < decode::kDecodeFaultCount; ++i)
    page.add({{"reason", decode::name(static_cast<decode::DecodeFault>(i))}}, faults_ever(ledger, i));
  counter(page, "backstream_edge_sets_held_total", "Data sets that were kept until their template comes.",
          ledger.sets_held);
  counter(page, "backstream_edge_sets_released_total", "Those of them whose template came in time: they were read.",
          ledger.sets_released);
  counter(page, "backstream_edge_templates_expired_total", "Templates forgotten by decode.template_expiry.",
          ledger.templates_expired);
  counter(page, "backstream_edge_value_overflow_total", "Counters of records that do not fit bigint and are null.",
          ledger.counter_overflow);
  counter(page, "backstream_edge_element_unreadable_total", "Values of elements that their type cannot hold.",
          ledger.element_unreadable);
}

// --- exporters ------------------------------------------------------------------------------------------------------

/// Those that have series of their own, then "other". Equal addresses are added up.
std::vector<Exporter> exporter_series(const MetricsInput& input) {
  std::vector<Exporter> series;
  std::map<std::string, size_t, std::less<>> index;
  Exporter other;
  other.address = kOther;
  bool any_other = false;
  for (const Exporter& exporter : input.exporters) {
    const auto known = index.find(exporter.address);
    const bool folded = known == index.end() && series.size() >= input.exporter_series_max;
    any_other |= folded;
    if (known == index.end() && !folded) {
      index.emplace(exporter.address, series.size());
      series.push_back(exporter);
      continue;
    }
    Exporter& sum = folded ? other : series[known->second];
    sum.ledger += exporter.ledger;
    sum.templates += exporter.templates;
    if (exporter.last_seen) sum.last_seen = std::max(sum.last_seen.value_or(*exporter.last_seen), *exporter.last_seen);
    if (folded) continue;  // Rates and clocks of many have no sum.
    if (exporter.clock.timed && (!sum.clock.timed || exporter.clock.high_time > sum.clock.high_time))
      sum.clock = exporter.clock;
    sum.sampling_rate_max = std::max(sum.sampling_rate_max, exporter.sampling_rate_max);
    if (exporter.sampling_rate_min != 0)
      sum.sampling_rate_min = sum.sampling_rate_min == 0 ? exporter.sampling_rate_min
                                                         : std::min(sum.sampling_rate_min, exporter.sampling_rate_min);
  }
  if (any_other) series.push_back(std::move(other));
  return series;
}

struct ExporterCounter {
  std::string_view name, help;
  uint64_t (*value)(const Exporter&);
};
constexpr ExporterCounter kExporterCounters[] = {
    {"backstream_edge_exporter_datagrams_total", "Datagrams of an exporter.",
     [](const Exporter& e) { return e.ledger.datagrams; }},
    {"backstream_edge_flows_total", "Flows of an exporter.", [](const Exporter& e) { return e.ledger.flows; }},
    {"backstream_edge_exporter_errors_total", "What could not be read of an exporter, all reasons.",
     [](const Exporter& e) {
       uint64_t sum = 0;
       for (size_t i = 0; i < decode::kDecodeFaultCount; ++i) sum += faults_ever(e.ledger, i);
       return sum;
     }},
    {"backstream_edge_records_without_template_total",
     "Data sets whose template was not there, those that it came for in time included.",
     [](const Exporter& e) { return e.ledger.awaiting_template + e.ledger.sets_released; }},
    {"backstream_edge_duplicates_total", "Datagrams (sFlow: samples) that had come before.",
     [](const Exporter& e) { return e.ledger.duplicates; }},
    {"backstream_edge_exporter_restarts_total", "How often an exporter's sequence numbers began anew.",
     [](const Exporter& e) { return e.ledger.exporter_restarts; }},
    {"backstream_edge_agent_drops_total", "Samples that an sFlow agent took and had no room to send.",
     [](const Exporter& e) { return e.ledger.agent_drops; }},
    {"backstream_edge_sampling_unknown_rows_total", "Rows counted as exported because nobody told the sampling rate.",
     [](const Exporter& e) { return e.ledger.sampling_unknown_rows; }},
    {"backstream_edge_future_datagrams_total", "Datagrams with times beyond watermark.max_future.",
     [](const Exporter& e) { return e.clock.future_refused; }},
};

struct ExporterGauge {
  std::string_view name, help;
  std::optional<double> (*value)(const Exporter&);
};
std::optional<double> unless_zero(uint64_t value) {
  if (value == 0) return std::nullopt;
  return static_cast<double>(value);
}
constexpr ExporterGauge kExporterGauges[] = {
    {"backstream_edge_missing_units",
     "By sequence numbers: records (v5, v7, IPFIX), datagrams (v9), samples (sFlow). What comes late is taken back.",
     [](const Exporter& e) -> std::optional<double> { return static_cast<double>(e.ledger.missing); }},
    {"backstream_edge_templates", "Templates of an exporter.",
     [](const Exporter& e) -> std::optional<double> { return static_cast<double>(e.templates); }},
    {"backstream_edge_sampling_rate", "Greatest sampling rate (1 in N packets); without a series: unknown.",
     [](const Exporter& e) { return unless_zero(e.sampling_rate_max); }},
    {"backstream_edge_sampling_rate_min", "Least sampling rate.",
     [](const Exporter& e) { return unless_zero(e.sampling_rate_min); }},
    {"backstream_exporter_last_seen_timestamp_seconds", "When its last datagram came.",
     [](const Exporter& e) { return seconds(e.last_seen); }},
    {"backstream_exporter_clock_skew_seconds", "What its clock is behind ours (below 0: ahead), as its datagrams tell.",
     [](const Exporter& e) { return seconds(e.clock.clock_offset_us); }},
    {"backstream_exporter_clock_shift_seconds", "What is added to its times because the skew is above max_skew.",
     [](const Exporter& e) -> std::optional<double> {
       if (!e.clock.timed) return std::nullopt;
       return seconds(e.clock.shift_us);
     }},
    {"backstream_exporter_delay_p999_seconds", "99.9 % of its datagrams came no later after their newest flow.",
     [](const Exporter& e) -> std::optional<double> {
       if (!e.clock.timed) return std::nullopt;
       return seconds(e.clock.delay_p999_us);
     }},
    {"backstream_exporter_delay_setting_seconds", "The delay that its rows are judged by.",
     [](const Exporter& e) -> std::optional<double> {
       if (!e.clock.timed) return std::nullopt;
       return seconds(e.clock.delay_us);
     }},
    {"backstream_exporter_idle", "1: silent for longer than watermark.idle_timeout.",
     [](const Exporter& e) -> std::optional<double> {
       if (!e.clock.timed) return std::nullopt;
       return e.clock.idle ? 1 : 0;
     }},
    {"backstream_exporter_held", "1: so far behind the others that the watermark does not wait for it.",
     [](const Exporter& e) -> std::optional<double> {
       if (!e.clock.timed) return std::nullopt;
       return e.clock.held ? 1 : 0;
     }},
};

void add_exporters(Exposition& page, const MetricsInput& input) {
  const std::vector<Exporter> series = exporter_series(input);
  std::set<std::string_view> addresses;
  for (const Exporter& exporter : input.exporters) addresses.insert(exporter.address);
  gauge(page, "backstream_exporters", "Exporters that are known.", std::optional<uint64_t>(addresses.size()));
  page.family("backstream_exporter_info", MetricKind::kGauge, "Always 1; the labels tell what an exporter is.");
  for (const Exporter& exporter : series) {
    if (exporter.address == kOther) continue;
    page.add({{"exporter", exporter.address}, {"site", exporter.site}, {"protocols", exporter.protocols}}, uint64_t{1});
  }
  for (const ExporterCounter& counter : kExporterCounters) {
    page.family(counter.name, MetricKind::kCounter, counter.help);
    for (const Exporter& exporter : series) page.add({{"exporter", exporter.address}}, counter.value(exporter));
  }
  for (const ExporterGauge& gauge : kExporterGauges) {
    page.family(gauge.name, MetricKind::kGauge, gauge.help);
    for (const Exporter& exporter : series) {
      if (const auto value = gauge.value(exporter)) page.add({{"exporter", exporter.address}}, *value);
    }
  }
}

void add_forwards(Exposition& page, const std::vector<ingest::ForwardStats>& forwards) {
  const auto family = [&](std::string_view name, std::string_view help, uint64_t ingest::ForwardStats::*member) {
    page.family(name, MetricKind::kCounter, help);
    for (const ingest::ForwardStats& target : forwards) page.add({{"target", target.name}}, target.*member);
  };
  family("backstream_forward_packets_total", "Datagrams that were sent on.", &ingest::ForwardStats::sent);
  family("backstream_forward_bytes_total", "Their payload.", &ingest::ForwardStats::octets);
  family("backstream_forward_refusals_total", "Answers that nobody listens there.", &ingest::ForwardStats::refusals);
  page.family("backstream_forward_dropped_packets_total", MetricKind::kCounter, "Datagrams that were not, by reason.");
  for (const ingest::ForwardStats& target : forwards) {
    for (size_t i = 0; i < ingest::kForwardDropCount; ++i)
      page.add({{"target", target.name}, {"reason", ingest::name(static_cast<ingest::ForwardDrop>(i))}},
               target.dropped[i]);
  }
}

// --- alerts ---------------------------------------------------------------------------------------------------------

void add_alerts(Exposition& page, const std::optional<alert::Alerts::Status>& alerts) {
  const auto family = [&](std::string_view name, MetricKind kind, std::string_view about, uint64_t value) {
    page.family(name, kind, about);
    if (alerts) page.add({}, value);
  };
  const alert::Alerts::Status status = alerts.value_or(alert::Alerts::Status{});
  family("backstream_alert_rules", MetricKind::kGauge, "Rules.", status.rules);
  page.family("backstream_alerts", MetricKind::kGauge, "Keys of rules, by state.");
  if (alerts) {
    page.add({{"state", "pending"}}, status.pending);
    page.add({{"state", "firing"}}, status.firing);
    page.add({{"state", "recovering"}}, status.recovering);
  }
  family("backstream_alert_keys_left_out", MetricKind::kGauge, "Keys that fire beyond the bound of their rule.",
         status.keys_left_out);
  family("backstream_alert_silences", MetricKind::kGauge, "Silences.", status.silences);
  family("backstream_alert_results_dropped_total", MetricKind::kCounter, "Parts of results that found no room.",
         status.parts_dropped);
  page.family("backstream_notifications_waiting", MetricKind::kGauge, "Notices that an endpoint has not taken yet.");
  for (const auto& endpoint : status.endpoints) page.add({{"endpoint", endpoint.name}}, endpoint.waiting);
  page.family("backstream_notifications_total", MetricKind::kCounter, "Notices, and attempts that failed, by result.");
  for (const auto& endpoint : status.endpoints) {
    page.add({{"endpoint", endpoint.name}, {"result", "delivered"}}, endpoint.delivered);
    page.add({{"endpoint", endpoint.name}, {"result", "failed"}}, endpoint.failed);
    page.add({{"endpoint", endpoint.name}, {"result", "refused"}}, endpoint.refused);
    page.add({{"endpoint", endpoint.name}, {"result", "dropped"}}, endpoint.dropped);
    page.add({{"endpoint", endpoint.name}, {"result", "expired"}}, endpoint.expired);
  }
}

// --- sinks ----------------------------------------------------------------------------------------------------------

void add_sinks(Exposition& page, const std::vector<SinkRegister::Info>& sinks) {
  const auto family = [&](std::string_view name, MetricKind kind, std::string_view about, auto&& value) {
    page.family(name, kind, about);
    for (const SinkRegister::Info& sink : sinks) page.add({{"sink", sink.name}}, value(sink.status));
  };
  using Status = sink::RunnerStatus;
  family("backstream_sink_rows_total", MetricKind::kCounter, "Rows that a sink's target has taken.",
         [](const Status& s) { return s.rows; });
  family("backstream_sink_refused_rows_total", MetricKind::kCounter, "Rows that it refused for what they say.",
         [](const Status& s) { return s.rows_refused; });
  family("backstream_sink_missed_rows_total", MetricKind::kCounter,
         "Rows that history no longer had when the sink came to them.", [](const Status& s) { return s.rows_missed; });
  family("backstream_sink_left_out_rows_total", MetricKind::kCounter,
         "Rows for Prometheus that were beyond series_max of their sink.",
         [](const Status& s) { return s.rows_left_out; });
  family("backstream_sink_errors_total", MetricKind::kCounter, "Deliveries that failed, and were or are tried again.",
         [](const Status& s) { return s.errors; });
  family("backstream_sink_failing", MetricKind::kGauge, "Whether the target cannot be reached now.",
         [](const Status& s) { return static_cast<uint64_t>(s.state == Status::State::kFailing); });
  family("backstream_sink_behind_since_timestamp_seconds", MetricKind::kGauge,
         "Since when the target lacks something; 0: it has all.",
         [](const Status& s) { return static_cast<uint64_t>(s.behind_since / base::kMicrosPerSecond); });
}

// --- queries --------------------------------------------------------------------------------------------------------

void fold(Query& sum, const Query& query) {
  if (query.ledger && sum.ledger) *sum.ledger += *query.ledger;
  else if (query.ledger) sum.ledger = query.ledger;
  if (query.watermark_lag_seconds)
    sum.watermark_lag_seconds =
        std::max(sum.watermark_lag_seconds.value_or(*query.watermark_lag_seconds), *query.watermark_lag_seconds);
  if (query.result_latency_seconds) {
    if (!sum.result_latency_seconds) sum.result_latency_seconds.emplace();
    *sum.result_latency_seconds += *query.result_latency_seconds;
  }
}

/// By label, in the order of incarnations; sums last.
std::vector<Query> query_series(const MetricsInput& input) {
  std::vector<const Query*> sorted;
  for (const Query& query : input.queries) sorted.push_back(&query);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Query* a, const Query* b) {
    return a->incarnation != b->incarnation ? a->incarnation < b->incarnation : a->name < b->name;
  });
  std::vector<Query> series;
  std::map<std::string, size_t, std::less<>> index;
  std::map<std::string, Query, std::less<>> sums;
  for (const Query* const query : sorted) {
    const auto known = index.find(query->name);
    if (known != index.end()) {
      fold(series[known->second], *query);
      series[known->second].version = std::max(series[known->second].version, query->version);
    } else if (query->name.starts_with('~')) {
      fold(sums["~"], *query);
    } else if (query->name == kOther || series.size() >= input.query_series_max) {
      fold(sums[std::string(kOther)], *query);
    } else {
      index.emplace(query->name, series.size());
      series.push_back(*query);
    }
  }
  for (auto& [label, sum] : sums) {
    sum.name = label;
    sum.version = 0;
    series.push_back(std::move(sum));
  }
  return series;
}

struct QueryCounter {
  std::string_view name, help;
  uint64_t exec::WindowLedger::*member;
};
constexpr QueryCounter kQueryCounters[] = {
    {"backstream_query_rows_in_total", "Rows that were assigned to a window of the query.",
     &exec::WindowLedger::assigned},
    {"backstream_query_rows_out_total", "Result rows.", &exec::WindowLedger::result_rows},
    {"backstream_query_windows_closed_total", "Windows that closed.", &exec::WindowLedger::windows_closed},
    {"backstream_query_late_rows_total", "Rows whose window had closed.", &exec::WindowLedger::late},
    {"backstream_query_late_unkept_rows_total", "Late rows that VIEW_late has no room for.",
     &exec::WindowLedger::late_unkept},
    {"backstream_query_filtered_rows_total", "Rows that WHERE turned away.", &exec::WindowLedger::filtered},
    {"backstream_query_errored_rows_total", "Rows that could not be computed.", &exec::WindowLedger::errored},
    {"backstream_query_shed_rows_total", "Rows that were dropped because the query held all that it may.",
     &exec::WindowLedger::shed},
    {"backstream_query_refused_rows_total", "Rows that a stage above the first had no room for.",
     &exec::WindowLedger::refused},
    {"backstream_query_box_tuples_refused_total", "Tuples that boxes in arrival order had no room or no place for.",
     &exec::WindowLedger::box_tuples_refused},
    {"backstream_query_box_windows_skipped_total", "Windows that boxes did not make of gaps that are too long.",
     &exec::WindowLedger::box_windows_skipped},
    {"backstream_query_time_null_rows_total", "Rows without a time.", &exec::WindowLedger::time_null},
    {"backstream_query_time_future_rows_total", "Rows with a time beyond watermark.max_future.",
     &exec::WindowLedger::time_future},
    {"backstream_query_lost_rows_total",
     "Rows that came to nothing because a process was killed, or none was there, as far as exporters number records.",
     &exec::WindowLedger::lost},
};

void add_queries(Exposition& page, const MetricsInput& input) {
  page.family("backstream_queries", MetricKind::kGauge, "Queries of the catalog, by state.");
  for (const std::string_view state : {"running", "paused", "failed", "plain"}) {
    const auto count = std::count_if(input.queries.begin(), input.queries.end(),
                                     [&](const Query& query) { return query.state == state; });
    page.add({{"state", state}}, static_cast<uint64_t>(count));
  }
  const std::vector<Query> series = query_series(input);
  page.family("backstream_query_info", MetricKind::kGauge, "Always 1; the labels tell the version and the state.");
  for (const Query& query : series) {
    if (query.version == 0) continue;
    page.add({{"query", query.name}, {"version", fmt::format("{}", query.version)}, {"state", query.state}},
             uint64_t{1});
  }
  for (const QueryCounter& counter : kQueryCounters) {
    page.family(counter.name, MetricKind::kCounter, counter.help);
    for (const Query& query : series) {
      if (query.ledger) page.add({{"query", query.name}}, (*query.ledger).*counter.member);
    }
  }
  page.family("backstream_query_value_errors_total", MetricKind::kCounter,
              "Values that could not be computed and are null, all kinds.");
  for (const Query& query : series) {
    if (!query.ledger) continue;
    const exec::WindowLedger& ledger = *query.ledger;
    page.add({{"query", query.name}},
             ledger.value_errors.total() + ledger.sum_overflow + ledger.capped_groups + ledger.negative_weights);
  }
  page.family("backstream_query_watermark_lag_seconds", MetricKind::kGauge,
              "How far the query's watermark is behind our clock.");
  for (const Query& query : series) {
    if (query.watermark_lag_seconds) page.add({{"query", query.name}}, *query.watermark_lag_seconds);
  }
  page.family("backstream_query_result_latency_seconds", MetricKind::kHistogram,
              "From the end of a window to its rows being readable.");
  for (const Query& query : series) {
    if (query.result_latency_seconds) page.add({{"query", query.name}}, *query.result_latency_seconds);
  }
}

void add_watermark(Exposition& page, const MetricsInput& input) {
  page.family("backstream_watermark_timestamp_seconds", MetricKind::kGauge, "Watermark of flows, by clock.");
  if (input.watermark_event) page.add({{"clock", "event"}}, seconds(*input.watermark_event));
  if (input.watermark_arrival) page.add({{"clock", "arrival"}}, seconds(*input.watermark_arrival));
  page.family("backstream_watermark_lag_seconds", MetricKind::kGauge, "How far it is behind our clock.");
  if (input.watermark_event) page.add({{"clock", "event"}}, seconds(input.now - *input.watermark_event));
  if (input.watermark_arrival) page.add({{"clock", "arrival"}}, seconds(input.now - *input.watermark_arrival));
}

// --- console and API ------------------------------------------------------------------------------------------------

// --- halves apart ---------------------------------------------------------------------------------------------------

void add_kafka_logs(Exposition& page, const std::vector<MetricsInput::KafkaLog>& logs) {
  page.family("backstream_kafka_log_faults_total", MetricKind::kCounter,
              "What went wrong with the logs between nodes, by topic and reason.");
  for (const MetricsInput::KafkaLog& log : logs) {
    for (const auto& [reason, value] : log.faults) page.add({{"topic", log.topic}, {"reason", reason}}, value);
  }
}

void add_spool(Exposition& page, const std::optional<MetricsInput::Spool>& spool) {
  const auto count = [&](std::string_view name, std::string_view help, uint64_t MetricsInput::Spool::*value) {
    page.family(name, MetricKind::kCounter, help);
    if (spool) page.add({}, (*spool).*value);
  };
  page.family("backstream_spool_messages_total", MetricKind::kCounter,
              "Messages of partial aggregates, by what became of them.");
  if (spool) {
    page.add({{"result", "appended"}}, spool->appended);
    page.add({{"result", "sent"}}, spool->sent);
    page.add({{"result", "dropped"}}, spool->dropped);
  }
  count("backstream_spool_dropped_rows_total", "Rows that dropped messages had counted.",
        &MetricsInput::Spool::rows_dropped);
  count("backstream_spool_sent_bytes_total", "Octets of messages that Kafka has taken.",
        &MetricsInput::Spool::octets_sent);
  gauge(page, "backstream_spool_size_bytes", "Size of the spool's files.",
        spool ? std::optional(spool->octets_held) : std::nullopt);
  gauge(page, "backstream_spool_lag_seconds", "Since when messages wait for Kafka.",
        spool ? std::optional(spool->lag_seconds) : std::nullopt);
}

void add_partials(Exposition& page, const std::optional<MetricsInput::Partials>& partials) {
  const auto count = [&](std::string_view name, std::string_view help, uint64_t MetricsInput::Partials::*value) {
    page.family(name, MetricKind::kCounter, help);
    if (partials) page.add({}, (*partials).*value);
  };
  const auto by_edge = [&](std::string_view name, std::string_view help, auto&& value) {
    page.family(name, MetricKind::kGauge, help);
    if (!partials) return;
    for (const EdgeStatus& edge : partials->edges) {
      if (const auto of_edge = value(edge)) page.add({{"node", edge.node}, {"site", edge.site}}, *of_edge);
    }
  };
  count("backstream_partials_received_bytes_total", "Octets of messages of edges.", &MetricsInput::Partials::octets);
  count("backstream_partials_taken_total", "Messages of edges that went into queries, or were repeats.",
        &MetricsInput::Partials::taken);
  page.family("backstream_partials_dropped_total", MetricKind::kCounter, "Messages of edges that did not, by reason.");
  if (partials) {
    for (const auto& [reason, value] : partials->dropped) page.add({{"reason", reason}}, value);
  }
  count("backstream_partials_lost_places_total",
        "Runs of records of the log that could not be read, or were gone before they were.",
        &MetricsInput::Partials::places_lost);
  gauge(page, "backstream_partials_waiting_bytes", "Messages of queries that this node has not heard of yet.",
        partials ? std::optional(partials->waiting) : std::nullopt);
  by_edge("backstream_edge_absent", "1: windows do not wait for this edge.",
          [](const EdgeStatus& edge) { return std::optional<uint64_t>(edge.absent); });
  by_edge("backstream_edge_heard_timestamp_seconds", "When an edge was heard last.",
          [](const EdgeStatus& edge) { return edge.heard_at ? std::optional(seconds(*edge.heard_at)) : std::nullopt; });
}

void add_worker(Exposition& page, const std::optional<MetricsInput::Worker>& worker) {
  const auto add = [&](std::string_view name, MetricKind kind, std::string_view help,
                       uint64_t MetricsInput::Worker::*value) {
    page.family(name, kind, help);
    if (worker) page.add({}, (*worker).*value);
  };
  using Worker = MetricsInput::Worker;
  add("backstream_merge_partitions", MetricKind::kGauge, "Partitions whose windows are completed here.",
      &Worker::partitions);
  add("backstream_merge_takeovers_total", MetricKind::kCounter, "Partitions that were claimed.", &Worker::claims);
  add("backstream_merge_superseded_total", MetricKind::kCounter,
      "Partitions that another worker claimed while they were ours.", &Worker::superseded);
  page.family("backstream_snapshots_total", MetricKind::kCounter, "States of partitions for who takes them over.");
  if (worker) {
    page.add({{"result", "written"}}, worker->snapshots_written);
    page.add({{"result", "failed"}}, worker->snapshots_failed);
  }
  add("backstream_snapshots_written_bytes_total", MetricKind::kCounter, "Octets of those.", &Worker::snapshot_octets);
  add("backstream_results_sent_total", MetricKind::kCounter, "Messages of results for receivers that Kafka has taken.",
      &Worker::results_sent);
  add("backstream_results_sent_bytes_total", MetricKind::kCounter, "Octets of their records.", &Worker::result_octets);
  add("backstream_results_waiting_bytes", MetricKind::kGauge, "Results that wait for Kafka.", &Worker::results_waiting);
}

void add_results_in(Exposition& page, const std::optional<MetricsInput::ResultsIn>& results) {
  page.family("backstream_results_received_total", MetricKind::kCounter, "Messages of merge workers that were used.");
  if (results) page.add({}, results->messages);
  page.family("backstream_results_dropped_total", MetricKind::kCounter,
              "Records or messages that were not, by reason.");
  if (!results) return;
  for (const auto& [reason, value] : results->dropped) page.add({{"reason", reason}}, value);
}

void add_history(Exposition& page, const std::optional<history::Store::Status>& history) {
  const auto by_tier = [&](std::string_view name, std::string_view about, auto&& value) {
    page.family(name, MetricKind::kGauge, about);
    for (size_t tier = 0; history && tier < history::kTierCount; ++tier) {
      if (const auto known = value(history->totals, tier))
        page.add({{"tier", history::name(static_cast<history::Tier>(tier))}}, *known);
    }
  };
  using Totals = history::Folder::Totals;
  by_tier("backstream_history_bytes", "Disk that files of history take.",
          [](const Totals& totals, size_t tier) { return std::optional(totals.octets[tier]); });
  by_tier("backstream_history_files", "How many there are.",
          [](const Totals& totals, size_t tier) { return std::optional(totals.files[tier]); });
  by_tier("backstream_history_rows", "Rows that are kept.",
          [](const Totals& totals, size_t tier) { return std::optional(totals.rows[tier]); });
  by_tier("backstream_history_oldest_timestamp_seconds", "Begin of the oldest window that is kept.",
          [](const Totals& totals, size_t tier) {
            return totals.oldest[tier] == base::kMaxTime
                       ? std::nullopt
                       : std::optional(static_cast<double>(totals.oldest[tier]) / base::kMicrosPerSecond);
          });
  const auto counter_of = [&](std::string_view name, std::string_view about, uint64_t history::Store::Status::*value) {
    page.family(name, MetricKind::kCounter, about);
    if (history) page.add({}, (*history).*value);
  };
  using Status = history::Store::Status;
  counter_of("backstream_history_written_rows_total", "Rows that were written.", &Status::rows);
  counter_of("backstream_history_repeated_parts_total", "Parts of windows that were given again, and were there.",
             &Status::repeats);
  counter_of("backstream_history_refused_rows_total", "Rows that found no room in memory while the disk was behind.",
             &Status::refused_rows);
  counter_of("backstream_history_unreadable_parts_total", "Parts that were damaged when they were read.",
             &Status::unreadable);
  counter_of("backstream_history_errors_total", "Times that the disk refused something.", &Status::errors);
  counter_of("backstream_history_removed_files_total", "Files that went for want of room, before their time.",
             &Status::files_for_room);
  const auto gauge_of = [&](std::string_view name, std::string_view about, auto&& value) {
    page.family(name, MetricKind::kGauge, about);
    if (history) page.add({}, static_cast<uint64_t>(value(*history)));
  };
  gauge_of("backstream_history_waiting_bytes", "Memory of results that are not on the disk yet.",
           [](const Status& status) { return status.queue_octets; });
  gauge_of("backstream_history_failing", "1: nothing can be written now.",
           [](const Status& status) { return !status.trouble.empty(); });
  gauge_of("backstream_history_set_aside_files", "Files that could not be read and were renamed.",
           [](const Status& status) { return status.totals.set_aside; });
}

void add_http(Exposition& page, const MetricsInput& input) {
  const http::ServerStatus& http = input.http;
  counter(page, "backstream_http_connections_total", "Connections that were taken.", http.connections);
  counter(page, "backstream_http_requests_total", "Requests that were complete.", http.requests);
  page.family("backstream_http_responses_total", MetricKind::kCounter, "Answers by class of status.");
  for (size_t i = 1; i < http.answers.size(); ++i) page.add({{"class", fmt::format("{}xx", i)}}, http.answers[i]);
  page.family("backstream_http_refusals_total", MetricKind::kCounter, "What was refused or cut off, by reason.");
  for (size_t i = 0; i < http::kRefusalCount; ++i)
    page.add({{"reason", http::name(static_cast<http::Refusal>(i))}}, http.refused[i]);
  counter(page, "backstream_http_received_bytes_total", "Received, without TLS.", http.octets_in);
  counter(page, "backstream_http_sent_bytes_total", "Sent, without TLS.", http.octets_out);
  gauge(page, "backstream_http_connections", "Connections now.", std::optional<uint64_t>(http.connections_now));
  gauge(page, "backstream_http_handlers_running", "Requests being answered.",
        std::optional<uint64_t>(http.handlers_now));
  gauge(page, "backstream_http_handlers_waiting", "Requests waiting for that.",
        std::optional<uint64_t>(http.handlers_waiting));
  gauge(page, "backstream_http_body_bytes", "Memory of requests and answers under way.",
        std::optional<uint64_t>(http.bodies_octets_now));
  page.family("backstream_http_network_cpu_seconds_total", MetricKind::kCounter,
              "Processor time of the network thread.");
  page.add({}, static_cast<double>(http.network_thread_ns) / 1e9);
  page.family("backstream_http_request_duration_seconds", MetricKind::kHistogram, "How long answers took.");
  if (input.request_duration_seconds) page.add({}, *input.request_duration_seconds);

  gauge(page, "backstream_live_subscribers", "Event streams now.", std::optional<uint64_t>(http.streams_now));
  counter(page, "backstream_live_frames_total", "Events sent to clients, summed over the clients.", http.frames_out);
  counter(page, "backstream_live_events_total", "Events that were published.", input.hub.published);
  page.family("backstream_live_refused_events_total", MetricKind::kCounter, "Events that were not, by reason.");
  page.add({{"reason", "overflow"}}, input.hub.overflowed);
  page.add({{"reason", "out_of_order"}}, input.hub.out_of_order);
  counter(page, "backstream_live_lost_frames_total", "Events that slow clients missed, summed over the clients.",
          input.hub.lost_frames);
  counter(page, "backstream_live_gaps_total", "Streams that could not be resumed without a gap.", input.hub.gaps);
  gauge(page, "backstream_live_buffer_bytes", "Memory of events that are kept for who resumes or is slow.",
        std::optional<uint64_t>(input.hub.ring_octets));

  counter(page, "backstream_results_rows_total", "Rows of results that became visible.", input.results.rows);
  page.family("backstream_results_lost_rows_total", MetricKind::kCounter, "Rows of results that did not, by reason.");
  page.add({{"reason", "rate"}}, input.results.rows_unshown);
  page.add({{"reason", "behind"}}, input.results.rows_refused);
  gauge(page, "backstream_results_bytes", "Memory of results that are kept.",
        std::optional<uint64_t>(input.results.octets));

  page.family("backstream_access_admitted_total", MetricKind::kCounter, "Requests that were let in, by how.");
  for (size_t i = 0; i < kSignInCount; ++i) page.add({{"by", name(static_cast<SignIn>(i))}}, input.access.admitted[i]);
  page.family("backstream_access_refused_total", MetricKind::kCounter, "Requests that were not, by reason.");
  for (size_t i = 0; i < kAccessRefusalCount; ++i)
    page.add({{"reason", name(static_cast<AccessRefusal>(i))}}, input.access.refused[i]);
  gauge(page, "backstream_access_tokens", "Tokens of the catalog.", std::optional<uint64_t>(input.access.tokens));
  gauge(page, "backstream_access_unreadable_tokens", "Tokens of the catalog that cannot be read.",
        std::optional<uint64_t>(input.access.tokens_unreadable));
}

}  // namespace

HubCounts::HubCounts(const http::HubCounters& counters)
    : published(counters.published),
      overflowed(counters.overflowed),
      out_of_order(counters.out_of_order),
      lost_frames(counters.lost_frames),
      gaps(counters.gaps),
      ring_octets(counters.ring_octets) {}

std::string metrics_page(const MetricsInput& input) {
  Exposition page;
  add_node(page, input);
  add_sockets(page, input.ingest);
  add_topics(page, input);
  add_decoding(page, input.decoded);
  add_exporters(page, input);
  add_forwards(page, input.forwards);
  add_watermark(page, input);
  add_queries(page, input);
  add_alerts(page, input.alerts);
  add_spool(page, input.spool);
  add_kafka_logs(page, input.kafka_logs);
  add_partials(page, input.partials);
  add_worker(page, input.worker);
  add_results_in(page, input.results_in);
  add_history(page, input.history);
  add_sinks(page, input.sinks);
  add_http(page, input);
  add_process(page, input.process);
  return page.text();
}

}  // namespace backstream::service
