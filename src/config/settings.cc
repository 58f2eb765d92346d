#include "config/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <optional>
#include <vector>

#include "base/utf8.h"
#include "batch/flow_schema.h"
#include "config/access_lists.h"
#include "config/assign.h"

namespace backstream::config {
namespace {

using base::fail;

constexpr int64_t kDay = 86'400 * base::kMicrosPerSecond;

#define BACKSTREAM_FIELD(field)                                                                             \
  [](Settings& settings, int64_t value) { settings.field = static_cast<decltype(settings.field)>(value); }, \
      [](const Settings& settings) { return static_cast<int64_t>(settings.field); }

constexpr SettingDef kTable[] = {
    {"decode.sflow_octets", SettingKind::kChoice, 0, 1, "ip|frame",
     "what octets of an sFlow sample count: the IP length (comparable with NetFlow) or the frame length",
     BACKSTREAM_FIELD(decode.sflow_octets)},
    {"decode.tunnels", SettingKind::kChoice, 0, 1, "outer|inner",
     "of a sampled packet in a tunnel: whose addresses and ports are shown; its octets are those of the outer one",
     BACKSTREAM_FIELD(decode.tunnels)},
    {"decode.biflow", SettingKind::kChoice, 0, 1, "split|forward",
     "of a record that counts both directions (RFC 5103): a flow for each, or the forward one only",
     BACKSTREAM_FIELD(decode.biflow)},
    {"decode.template_wait", SettingKind::kDuration, 0, kDay, "",
     "how long data is held for a template that has not come yet; 0: not at all",
     BACKSTREAM_FIELD(decode.template_wait_us)},
    {"decode.template_wait_octets", SettingKind::kOctets, 0, int64_t{1} << 32, "",
     "memory for data that waits for its template, all exporters together",
     BACKSTREAM_FIELD(decode.template_wait_octets)},
    {"decode.template_expiry", SettingKind::kDuration, 0, 3'650 * kDay, "",
     "a template that is neither announced again nor used for so long is forgotten; 0: never",
     BACKSTREAM_FIELD(decode.template_expiry_us)},
    {"decode.template_per_port", SettingKind::kSwitch, 0, 1, "",
     "each source port of an address has templates and sampling rates of its own",
     BACKSTREAM_FIELD(decode.template_per_port)},
    {"decode.sampling_default", SettingKind::kCount, 0, UINT32_MAX, "",
     "sampling rate (1 in N packets) of exporters that tell none; 0: it is unknown",
     BACKSTREAM_FIELD(decode.sampling_default)},
    {"decode.exporter_identity", SettingKind::kChoice, 0, 2, "source|element|agent",
     "who a flow's exporter is: the address datagrams come from, the one its records name, or the sFlow agent",
     BACKSTREAM_FIELD(decode.exporter_identity)},
    {"decode.exporter_limit", SettingKind::kCount, 1, 16'777'216, "",
     "exporters that are known at most; datagrams of more are counted and dropped",
     BACKSTREAM_FIELD(decode.exporter_limit)},
    {"decode.template_limit", SettingKind::kCount, 1, 1'048'576, "", "templates of one exporter at most",
     BACKSTREAM_FIELD(decode.template_limit)},
    {"watermark.delay", SettingKind::kDuration, 0, 30 * kDay, "",
     "how far event time may run behind before a row is late; more than the routers' inactive timeout",
     BACKSTREAM_FIELD(watermark.delay_us), Reload::kLive},
    {"watermark.idle_timeout", SettingKind::kDuration, base::kMicrosPerMilli, 30 * kDay, "",
     "an exporter that is silent this long no longer holds the watermark", BACKSTREAM_FIELD(watermark.idle_timeout_us),
     Reload::kLive},
    {"watermark.max_skew", SettingKind::kDuration, 0, 30 * kDay, "",
     "live: an exporter whose clock differs by more has its times shifted by the measured offset",
     BACKSTREAM_FIELD(watermark.max_skew_us), Reload::kLive},
    {"watermark.max_hold", SettingKind::kDuration, 0, 30 * kDay, "",
     "live: an exporter this far behind the median no longer holds the watermark",
     BACKSTREAM_FIELD(watermark.max_hold_us), Reload::kLive},
    {"watermark.max_future", SettingKind::kDuration, 0, 30 * kDay, "",
     "live: a row whose event time is this far ahead is rejected and counted",
     BACKSTREAM_FIELD(watermark.max_future_us), Reload::kLive},
    {"ingest.receive_buffer", SettingKind::kOctets, 4096, int64_t{1} << 30, "", "receive buffer of each UDP socket",
     BACKSTREAM_FIELD(ingest.receive_buffer_octets)},
    {"ingest.sockets", SettingKind::kCount, 1, 256, "",
     "UDP sockets of each address (SO_REUSEPORT); each has a receive buffer and a drop counter of its own",
     BACKSTREAM_FIELD(ingest.sockets)},
    {"ingest.steering", SettingKind::kChoice, 0, 1, "exporter|spread",
     "which receiving thread (--threads) reads a datagram: one for each exporter, or any (spread), for exporters that "
     "are "
     "too heavy for one",
     BACKSTREAM_FIELD(ingest.steering)},
    {"ingest.coalesce", SettingKind::kSwitch, 0, 1, "",
     "take datagrams that the kernel coalesced (UDP_GRO) in one piece; results never depend on it",
     BACKSTREAM_FIELD(ingest.coalesce)},
    {"ingest.backlog", SettingKind::kOctets, 0, int64_t{1} << 36, "",
     "memory of each receiving thread for datagrams that come while windows close",
     BACKSTREAM_FIELD(ingest.backlog_octets)},
    {"exec.batch_rows", SettingKind::kCount, 1, 65'536, "", "rows of a full batch; results never depend on it",
     BACKSTREAM_FIELD(exec.batch_rows)},
    {"exec.ready_memory", SettingKind::kOctets, 0, int64_t{1} << 36, "",
     "live: memory for groups that each receiving thread takes before the first datagram; more is made ready as tables "
     "grow; 0: none is taken before it is needed",
     BACKSTREAM_FIELD(exec.ready_memory_octets)},
    {"listen.kafka_start", SettingKind::kChoice, 0, 1, "end|begin",
     "where reading of a topic begins that was not read before: with what comes from now on, or with what is kept",
     BACKSTREAM_FIELD(listen.kafka_from_begin)},
    {"flows.queue", SettingKind::kOctets, 1 << 20, int64_t{1} << 31, "",
     "memory for flows that are on their way to flows.topic; what finds no room is dropped and counted",
     BACKSTREAM_FIELD(flows.queue_octets)},
    {"http.allow_insecure", SettingKind::kSwitch, 0, 1, "",
     "serve: http.listen may be an address that others reach, though tokens and results can be read on the way",
     BACKSTREAM_FIELD(http.allow_insecure)},
    {"access.required", SettingKind::kSwitch, 0, 1, "",
     "serve: who asks from this machine needs a token, too; else he may do all. Always so where http.listen is reached "
     "from outside, or a proxy is in front",
     BACKSTREAM_FIELD(access.required), Reload::kLive},
    {"plan.rewrites", SettingKind::kSwitch, 0, 1, "", "rewrite plans before they run; results never depend on it",
     BACKSTREAM_FIELD(plan.rewrites)},
    {"plan.share", SettingKind::kSwitch, 0, 1, "",
     "queries with the same groups make them once; results never depend on it", BACKSTREAM_FIELD(plan.share)},
    {"catalog.store", SettingKind::kChoice, 0, 1, "sqlite|kafka",
     "serve: where the catalog is: sqlite, in a file of this node alone; kafka, in a topic that all nodes share, and a "
     "copy at each",
     BACKSTREAM_FIELD(catalog.store)},
    {"history.enabled", SettingKind::kSwitch, 0, 1, "",
     "serve: results are kept on the disk, and can be asked about later, also after a restart",
     BACKSTREAM_FIELD(history.enabled)},
    {"history.keep", SettingKind::kDuration, 60 * base::kMicrosPerSecond, 3'650 * kDay, "",
     "how long results are kept at least, where their view does not say (retention); they go by files of a day",
     BACKSTREAM_FIELD(history.keep_us)},
    {"history.keep_1m", SettingKind::kDuration, 0, 3'650 * kDay, "",
     "how long averages and maxima over minutes are kept at least; 0: they are not made",
     BACKSTREAM_FIELD(history.keep_1m_us)},
    {"history.keep_5m", SettingKind::kDuration, 0, 3'650 * kDay, "",
     "how long averages and maxima over five minutes are kept at least; 0: they are not made",
     BACKSTREAM_FIELD(history.keep_5m_us)},
    {"history.keep_1h", SettingKind::kDuration, 0, 3'650 * kDay, "",
     "how long averages and maxima over hours are kept at least; 0: they are not made",
     BACKSTREAM_FIELD(history.keep_1h_us)},
    {"history.max_octets", SettingKind::kOctets, 64 << 20, int64_t{1} << 44, "",
     "what all files of history may take; beyond it the oldest go", BACKSTREAM_FIELD(history.octets_max)},
    {"kafka.partitions", SettingKind::kCount, 1, 10'000, "",
     "partitions of the topics, the same on every node and for good: other ones need another kafka.prefix",
     BACKSTREAM_FIELD(kafka.partitions)},
    {"kafka.replication", SettingKind::kCount, 0, 100, "", "replicas of topics that are made; 0: the brokers' default",
     BACKSTREAM_FIELD(kafka.replication)},
    {"kafka.min_insync_replicas", SettingKind::kCount, 0, 100, "",
     "replicas that must have a record before it counts as kept; topics with fewer are refused; 0: 2 for topics that "
     "are "
     "made with three replicas or more, else the brokers' default",
     BACKSTREAM_FIELD(kafka.min_insync_replicas)},
    {"kafka.create_topics", SettingKind::kSwitch, 0, 1, "", "topics that are missing are made",
     BACKSTREAM_FIELD(kafka.create_topics)},
    {"kafka.retention", SettingKind::kDuration, 60 * base::kMicrosPerSecond, 3'650 * kDay, "",
     "how long brokers keep partial aggregates at least: the longest window and the longest outage of a merge node",
     BACKSTREAM_FIELD(kafka.retention_us)},
    {"kafka.timeout", SettingKind::kDuration, base::kMicrosPerSecond, 3'600 * base::kMicrosPerSecond, "",
     "how long a record may wait for the brokers before it goes back to the spool", BACKSTREAM_FIELD(kafka.timeout_us)},
    {"kafka.queue", SettingKind::kOctets, 1 << 20, int64_t{1} << 31, "",
     "memory for records that are on their way to the brokers", BACKSTREAM_FIELD(kafka.queue_octets)},
    {"kafka.read_memory", SettingKind::kOctets, 1 << 20, int64_t{1} << 36, "",
     "memory for records that were fetched before they are asked for, all partitions of a topic together, at least "
     "1 MiB each",
     BACKSTREAM_FIELD(kafka.read_memory_octets)},
    {"edge.spool", SettingKind::kOctets, 16 << 20, int64_t{1} << 42, "",
     "serve as an edge: disk in state.folder for partial aggregates that Kafka does not take yet; when it is full the "
     "oldest go, and are counted",
     BACKSTREAM_FIELD(edge.spool_octets)},
    {"merge.absent_after", SettingKind::kDuration, 10 * base::kMicrosPerSecond, 30 * kDay, "",
     "serve as a merge node: an edge of which nothing came for so long is not waited for; its windows say so",
     BACKSTREAM_FIELD(merge.absent_after_us)},
};
#undef BACKSTREAM_FIELD

constexpr ExporterSettingDef kExporterTable[] = {
    {"delay", SettingKind::kDuration, 0, 30 * kDay, "", "as watermark.delay, for the exporters of a prefix",
     [](ExporterSettings& exporter, int64_t value) { exporter.delay_us = value; },
     [](const ExporterSettings& exporter) -> std::optional<int64_t> { return exporter.delay_us; }, Reload::kLive},
    {"sampling_rate", SettingKind::kCount, 1, UINT32_MAX, "",
     "sampling rate of the exporters of a prefix, whatever they say",
     [](ExporterSettings& exporter, int64_t value) { exporter.sampling_rate = value; },
     [](const ExporterSettings& exporter) { return exporter.sampling_rate; }},
    {"sampling_default", SettingKind::kCount, 1, UINT32_MAX, "",
     "as decode.sampling_default, for the exporters of a prefix",
     [](ExporterSettings& exporter, int64_t value) { exporter.sampling_default = value; },
     [](const ExporterSettings& exporter) { return exporter.sampling_default; }},
    {"identity", SettingKind::kChoice, 0, 2, "source|element|agent",
     "as decode.exporter_identity, for the source addresses of a prefix",
     [](ExporterSettings& exporter, int64_t value) { exporter.identity = static_cast<ExporterIdentity>(value); },
     [](const ExporterSettings& exporter) -> std::optional<int64_t> {
       if (!exporter.identity) return std::nullopt;
       return static_cast<int64_t>(*exporter.identity);
     }},
};

constexpr ExporterTextSettingDef kExporterTextTable[] = {
    {"site", "the site of the exporters of a prefix, where their input has no label",
     [](ExporterSettings& exporter) -> std::string& { return exporter.site; }},
};

bool is_node_name(std::string_view text) {
  return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
}

/// Topics are PREFIX.NAME, whose names have at most 249 characters.
bool is_topic_prefix(std::string_view text) {
  return !text.empty() && text.size() <= 100 && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
         });
}

bool is_topic(std::string_view text) {
  return !text.empty() && text.size() <= 249 && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
         });
}

constexpr TextSettingDef kTextTable[] = {
    {"flows.topic", "topic of Kafka that all decoded flows are sent to, in the schema of docs/flows.proto; empty: none",
     [](Settings& settings) -> std::string& { return settings.flows.topic; },
     [](std::string_view text) { return text.empty() || is_topic(text); },
     "the whole name of a topic: 1 to 249 letters, digits, '.', '_' and '-'"},
    {"alert.link", "what links in notices of alerts begin with; empty: the address of http.listen",
     [](Settings& settings) -> std::string& { return settings.alert.link; },
     [](std::string_view text) { return text.empty() || text.starts_with("http://") || text.starts_with("https://"); },
     "http://HOST or https://HOST, as those who read notices reach this server"},
    {"kafka.prefix", "what the names of our topics begin with; one for each deployment",
     [](Settings& settings) -> std::string& { return settings.kafka.prefix; }, is_topic_prefix,
     "1 to 100 letters, digits, '.', '_' and '-'"},
    {"decode.state_file", "file that keeps what exporters announced (templates, sampling) over a restart",
     [](Settings& settings) -> std::string& { return settings.decode.state_file; }},
    {"enrich.as_table", "file of networks and their AS (MMDB, MRT, CSV): fills src_as and dst_as where routers send 0",
     [](Settings& settings) -> std::string& { return settings.enrich.as_table; }},
    {"inventory.sites", "file (CSV, JSON) of the table sites",
     [](Settings& settings) -> std::string& { return settings.inventory.sites; }},
    {"inventory.exporters", "file (CSV, JSON) of names and sites in the table exporters",
     [](Settings& settings) -> std::string& { return settings.inventory.exporters; }},
    {"inventory.interfaces", "file (CSV, JSON) of roles, speeds and peers in the table interfaces",
     [](Settings& settings) -> std::string& { return settings.inventory.interfaces; }},
    {"node.name", "serve: what this node is called, unlike all others (default: the host's name)",
     [](Settings& settings) -> std::string& { return settings.node.name; }, is_node_name,
     "1 to 253 letters, digits, '.', '_' and '-'"},
    {"node.site", "serve: the site of exporters that nothing else gives one",
     [](Settings& settings) -> std::string& { return settings.node.site; }},
    {"http.listen", "serve: where the console and the API listen (default http://127.0.0.1:8844)",
     [](Settings& settings) -> std::string& { return settings.http.listen; },
     [](std::string_view text) { return parse_http_endpoint(text).has_value(); },
     "http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:8844"},
    {"http.certificate", "serve: file (PEM) of the certificate of https, and of those between it and the authority",
     [](Settings& settings) -> std::string& { return settings.http.certificate; }},
    {"http.key", "serve: file (PEM) of its private key",
     [](Settings& settings) -> std::string& { return settings.http.key; }},
    {"access.proxy_header", "serve: the header in which a proxy of access.proxy_addresses names the user",
     [](Settings& settings) -> std::string& { return settings.access.proxy_header; }, is_header_name,
     "the name of a header, such as X-Forwarded-User", Reload::kLive},
    {"access.proxy_groups_header", "serve: the header in which it names his groups, with commas between; empty: none",
     [](Settings& settings) -> std::string& { return settings.access.proxy_groups_header; },
     [](std::string_view text) { return text.empty() || is_header_name(text); },
     "the name of a header, such as X-Forwarded-Groups", Reload::kLive},
    {"state.folder",
     "serve: what is kept over restarts (default: $STATE_DIRECTORY, /var/lib/backstream as root, else "
     "$XDG_STATE_HOME/backstream)",
     [](Settings& settings) -> std::string& { return settings.state.folder; },
     [](std::string_view text) { return text.starts_with('/'); }, "the whole name of a folder, from / on"},
    {"history.folder", "serve: where results are kept (default: history in state.folder)",
     [](Settings& settings) -> std::string& { return settings.history.folder; },
     [](std::string_view text) { return text.empty() || text.starts_with('/'); },
     "the whole name of a folder, from / on"},
    {"tables.folder",
     "serve: where the files of CREATE TABLE … WITH (file = …) lie; none outside it is read (default: tables in "
     "state.folder)",
     [](Settings& settings) -> std::string& { return settings.tables.folder; },
     [](std::string_view text) { return text.empty() || text.starts_with('/'); },
     "the whole name of a folder, from / on"},
};

using Elements = std::span<const std::string_view>;

std::optional<ListFault> store_allow(Settings& settings, Elements elements) {
  std::vector<base::Inet> prefixes;
  for (size_t i = 0; i < elements.size(); ++i) {
    const auto prefix = base::parse_inet(elements[i]);
    if (!prefix) return ListFault{i, {}, {}};
    prefixes.push_back(prefix->network());
  }
  settings.ingest.allow = std::move(prefixes);
  return std::nullopt;
}

std::vector<std::string> load_allow(const Settings& settings) {
  std::vector<std::string> elements;
  for (const base::Inet& prefix : settings.ingest.allow) elements.push_back(base::to_cidr_string(prefix));
  return elements;
}

std::optional<ListFault> store_flow(Settings& settings, Elements elements) {
  std::vector<Endpoint> endpoints;
  for (size_t i = 0; i < elements.size(); ++i) {
    auto endpoint = parse_endpoint(elements[i], "udp");
    if (!endpoint) return ListFault{i, {}, {}};
    if (std::find(endpoints.begin(), endpoints.end(), *endpoint) != endpoints.end())
      return ListFault{i, fmt::format("'{}' is there twice", endpoint->text()), {}};
    endpoints.push_back(std::move(*endpoint));
  }
  settings.listen.flow = std::move(endpoints);
  return std::nullopt;
}

std::vector<std::string> load_flow(const Settings& settings) {
  std::vector<std::string> elements;
  for (const Endpoint& endpoint : settings.listen.flow) elements.push_back(endpoint.text());
  return elements;
}

std::optional<ListFault> store_kafka(Settings& settings, Elements elements) {
  std::vector<FlowTopic> topics;
  for (size_t i = 0; i < elements.size(); ++i) {
    auto topic = parse_flow_topic(elements[i]);
    if (!topic) return ListFault{i, {}, {}};
    // One reader a topic: what a partition is read as does not depend on the order of settings.
    if (std::any_of(topics.begin(), topics.end(), [&](const FlowTopic& other) { return other.name == topic->name; }))
      return ListFault{i, fmt::format("topic '{}' is there twice", topic->name), {}};
    topics.push_back(std::move(*topic));
  }
  settings.listen.kafka = std::move(topics);
  return std::nullopt;
}

std::vector<std::string> load_kafka(const Settings& settings) {
  std::vector<std::string> elements;
  for (const FlowTopic& topic : settings.listen.kafka) elements.push_back(topic.text());
  return elements;
}

constexpr std::string_view kRoleNames[] = {"edge", "merge", "receiver"};  // In the order of NodeRole.

std::optional<ListFault> store_roles(Settings& settings, Elements elements) {
  std::vector<NodeRole> roles;
  for (size_t i = 0; i < elements.size(); ++i) {
    const auto at = std::find(std::begin(kRoleNames), std::end(kRoleNames), elements[i]);
    if (at == std::end(kRoleNames)) {
      const std::string_view near = base::nearest_name(elements[i], {std::begin(kRoleNames), std::end(kRoleNames)});
      return ListFault{i, {}, near.empty() ? "" : fmt::format("did you mean '{}'?", near)};
    }
    const auto role = static_cast<NodeRole>(at - std::begin(kRoleNames));
    if (std::find(roles.begin(), roles.end(), role) != roles.end())
      return ListFault{i, fmt::format("'{}' is there twice", elements[i]), {}};
    roles.push_back(role);
  }
  if (roles.empty()) return ListFault{ListFault::npos, "a node without a role does nothing", {}};
  std::sort(roles.begin(), roles.end());
  settings.node.roles = std::move(roles);
  return std::nullopt;
}

std::vector<std::string> load_roles(const Settings& settings) {
  std::vector<std::string> elements;
  for (const NodeRole role : settings.node.roles) elements.emplace_back(kRoleNames[static_cast<size_t>(role)]);
  return elements;
}

std::optional<ListFault> read_brokers(Elements elements, std::vector<std::string>& to) {
  std::vector<std::string> brokers;
  for (size_t i = 0; i < elements.size(); ++i) {
    const auto endpoint = parse_endpoint(fmt::format("kafka://{}", elements[i]), "kafka");
    if (!endpoint || endpoint->is_any() || endpoint->port == 0) return ListFault{i, {}, {}};
    if (std::find(brokers.begin(), brokers.end(), elements[i]) != brokers.end())
      return ListFault{i, fmt::format("'{}' is there twice", elements[i]), {}};
    brokers.emplace_back(elements[i]);
  }
  to = std::move(brokers);
  return std::nullopt;
}

std::optional<ListFault> store_brokers(Settings& settings, Elements elements) {
  return read_brokers(elements, settings.kafka.brokers);
}

std::vector<std::string> load_brokers(const Settings& settings) { return settings.kafka.brokers; }

constexpr ListSettingDef kListTable[] = {
    {"kafka.brokers", "some brokers of Apache Kafka, which name the others; none: no Kafka", store_brokers,
     load_brokers, "HOST:PORT, such as 'kafka-1.example:9092, [2001:db8::1]:9092'; in TOML a list of texts"},
    {"ingest.allow", "exporters that are heard, by address or prefix; others are counted and dropped (default: all)",
     store_allow, load_allow, "addresses and prefixes, such as '192.0.2.0/24, 2001:db8::/32'; in TOML a list of texts",
     Reload::kLive},
    {"http.hosts", "serve: names under which clients know this server, besides its addresses", store_hosts, load_hosts,
     "names without ports, such as 'flows.noc.example'; in TOML a list of texts"},
    {"http.origins", "serve: origins of pages that are not ours and may ask nevertheless", store_origins, load_origins,
     "origins without a path, such as 'https://noc.example'; in TOML a list of texts"},
    {"access.proxy_addresses", "serve: proxies that sign users in: only they are believed who asks", store_proxies,
     load_proxies, "addresses and prefixes, such as '127.0.0.1, 2001:db8::7'; in TOML a list of texts", Reload::kLive},
    {"access.grants", "serve: roles of users and groups that a proxy names: viewer, operator, admin", store_grants,
     load_grants, "USER=ROLE, group:GROUP=ROLE and *=ROLE, such as 'alice=admin, group:noc=operator'; in TOML a list",
     Reload::kLive},
    {"access.filters", "serve: which rows viewers among them see: a condition in SQL over the columns of results",
     store_filters, load_filters,
     "USER=CONDITION, group:GROUP=CONDITION and *=CONDITION, such as \"bob=site = 'ams'\"; in TOML a list of texts, "
     "where a condition may have commas",
     Reload::kLive},
    {"node.roles", "serve: what this node does: edge, merge, receiver (default: all)", store_roles, load_roles,
     "edge, merge and receiver"},
    {"listen.flow", "serve: where routers send to (default: udp://127.0.0.1 with the ports 2055, 4739 and 6343)",
     store_flow, load_flow, "udp://HOST:PORT, such as 'udp://[::]:2055'; in TOML a list of texts"},
    {"listen.kafka", "serve: topics of Kafka that flows are read from, in the schema of docs/flows.proto or goflow2's",
     store_kafka, load_kafka,
     "[FORMAT:]TOPIC[/FIRST-LAST], FORMAT backstream or goflow2, such as 'flows, goflow2:flow-messages/0-15'; in TOML "
     "a list of texts"},
};

constexpr std::pair<std::string_view, int64_t> kOctetUnits[] = {
    {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}};

/// The whole number at the begin of `text`, which loses it.
std::optional<int64_t> take_number(std::string_view& text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::optional<int64_t> read_value(const SettingDef& setting, std::string_view text) {
  switch (setting.kind) {
    case SettingKind::kDuration: return text == "0" ? std::optional<int64_t>(0) : base::parse_duration(text);
    case SettingKind::kOctets: {
      const std::optional<int64_t> number = take_number(text);
      text = trim(text);
      for (const auto& [unit, octets] : kOctetUnits) {
        if (text == unit && number && *number <= INT64_MAX / octets && *number >= 0) return *number * octets;
      }
      return std::nullopt;
    }
    case SettingKind::kCount: {
      const std::optional<int64_t> number = take_number(text);
      return text.empty() ? number : std::nullopt;
    }
    case SettingKind::kSwitch:
      if (text == "true" || text == "on") return 1;
      if (text == "false" || text == "off") return 0;
      return std::nullopt;
    case SettingKind::kChoice: {
      const auto choices = split(setting.choices, '|');
      const auto at = std::find(choices.begin(), choices.end(), text);
      return at == choices.end() ? std::nullopt : std::optional<int64_t>(at - choices.begin());
    }
  }
  return std::nullopt;
}

std::string value_as_text(const SettingDef& setting, int64_t value) {
  switch (setting.kind) {
    case SettingKind::kDuration: return value == 0 ? "0" : base::format_duration(value);
    case SettingKind::kOctets:
      for (const auto& [unit, octets] : {kOctetUnits[2], kOctetUnits[1], kOctetUnits[0]}) {
        if (value != 0 && value % octets == 0) return fmt::format("{} {}", value / octets, unit);
      }
      return std::to_string(value);
    case SettingKind::kCount: return std::to_string(value);
    case SettingKind::kSwitch: return value != 0 ? "true" : "false";
    case SettingKind::kChoice: return std::string(split(setting.choices, '|')[static_cast<size_t>(value)]);
  }
  return {};
}

std::string expectation(const SettingDef& setting) {
  const auto range =
      fmt::format("{} to {}", value_as_text(setting, setting.minimum), value_as_text(setting, setting.maximum));
  switch (setting.kind) {
    case SettingKind::kDuration: return fmt::format("a duration with its unit, such as '75 s' or '500 ms', {}", range);
    case SettingKind::kOctets: return fmt::format("octets, such as 65536 or '32 MiB', {}", range);
    case SettingKind::kCount: return fmt::format("a whole number, {}", range);
    case SettingKind::kSwitch: return "true or false";
    case SettingKind::kChoice: return fmt::format("one of {}", setting.choices);
  }
  return {};
}

const SettingDef* find_setting(std::string_view key) {
  for (const SettingDef& setting : kTable) {
    if (setting.key == key) return &setting;
  }
  return nullptr;
}

/// The value within its bounds.
Result<int64_t> checked_value(const SettingDef& setting, std::string_view key, std::string_view value,
                              SourceSpan value_span) {
  const std::optional<int64_t> number = read_value(setting, value);
  if (number && *number >= setting.minimum && *number <= setting.maximum) return *number;
  return fail("config", fmt::format("setting '{}' cannot be '{}'", key, value), value_span,
              fmt::format("it takes {}", expectation(setting)));
}

/// Texts are shown, and written to TOML and JSON.
bool is_plain_text(std::string_view text) {
  return base::find_bad_text(text) == std::string_view::npos && std::none_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
         });
}

tl::unexpected<base::Diagnostic> bad_text(std::string_view key, SourceSpan value_span) {
  return fail("config", fmt::format("setting '{}' has control characters, or octets that are not UTF-8", key),
              value_span);
}

/// "exporter.192.0.2.0/24.delay": the name stands behind the last dot.
Result<std::string> assign_exporter(Settings& settings, std::string_view key, std::string_view value,
                                    SourceSpan key_span, SourceSpan value_span) {
  const std::string_view path = key.substr(kExporterSection.size());
  const size_t dot = path.rfind('.');
  const std::string_view name = dot == std::string_view::npos ? path : path.substr(dot + 1);
  std::string_view prefix_text = path.substr(0, dot == std::string_view::npos ? 0 : dot);
  if (prefix_text.size() >= 2 && prefix_text.front() == '"' && prefix_text.back() == '"')
    prefix_text = prefix_text.substr(1, prefix_text.size() - 2);
  const ExporterSettingDef* known = nullptr;
  std::vector<std::string_view> names;
  std::string list;
  for (const ExporterSettingDef& setting : kExporterTable) {
    names.push_back(setting.name);
    list.append(list.empty() ? "" : ", ").append(setting.name);
    if (setting.name == name) known = &setting;
  }
  const ExporterTextSettingDef* known_text = nullptr;
  for (const ExporterTextSettingDef& setting : kExporterTextTable) {
    names.push_back(setting.name);
    list.append(", ").append(setting.name);
    if (setting.name == name) known_text = &setting;
  }
  if (known == nullptr && known_text == nullptr) {
    const std::string_view near = base::nearest_name(name, names);
    return fail("config", fmt::format("unknown setting '{}' of an exporter", name), key_span,
                near.empty() ? "exporters have: " + list : fmt::format("did you mean '{}'?", near));
  }
  const auto prefix = base::parse_inet(prefix_text);
  if (!prefix) {
    return fail("config", fmt::format("'{}' is neither an address nor a prefix", prefix_text), key_span,
                fmt::format("exporter.192.0.2.0/24.{0}; in TOML: [exporter.\"192.0.2.0/24\"] {0} = ...", name));
  }
  int64_t number = 0;
  if (known != nullptr) {
    const SettingDef as_setting{known->name,    known->kind, known->minimum, known->maximum,
                                known->choices, "",          nullptr,        nullptr};
    const auto checked = checked_value(as_setting, key, value, value_span);
    if (!checked) return tl::unexpected(checked.error());
    number = *checked;
  }
  if (known_text != nullptr && !is_plain_text(value)) return bad_text(key, value_span);
  const base::Inet network = prefix->network();
  auto at = std::find_if(settings.exporters.begin(), settings.exporters.end(),
                         [&](const ExporterSettings& exporter) { return exporter.prefix == network; });
  if (at == settings.exporters.end()) at = settings.exporters.insert(at, ExporterSettings{network, {}, {}, {}, {}, {}});
  if (known != nullptr) known->store(*at, number);
  else known_text->text(*at) = value;
  return fmt::format("{}{}.{}", kExporterSection, base::to_string(network), name);
}

bool store_ports(ForwardSettings& forward, std::string_view text) {
  std::vector<uint16_t> ports;
  if (!trim(text).empty()) {
    for (std::string_view element : split(text, ',')) {
      element = trim(element);
      const auto number = take_number(element);
      if (!number || !element.empty() || *number < 1 || *number > UINT16_MAX) return false;
      ports.push_back(static_cast<uint16_t>(*number));
    }
  }
  forward.ports = std::move(ports);
  return true;
}

std::string ports_literal(const ForwardSettings& forward) {
  std::string text;
  for (const uint16_t port : forward.ports) text.append(text.empty() ? "" : ", ").append(std::to_string(port));
  return "[" + text + "]";
}

constexpr SettingDef kSpoof{"", SettingKind::kSwitch, 0, 1, "", "", nullptr, nullptr};
constexpr SettingDef kQueue{"", SettingKind::kOctets, 0, int64_t{1} << 32, "", "", nullptr, nullptr};

constexpr ForwardSettingDef kForwardTable[] = {
    {"to", "as forward.NAME", "udp://HOST:PORT",
     [](ForwardSettings& forward, std::string_view text) {
       forward.to = text;
       return !text.empty();
     },
     [](const ForwardSettings& forward) -> std::string { return toml_string(forward.to); }},
    {"spoof", "keep the exporters' addresses and ports, which needs CAP_NET_RAW (default true)", "true or false",
     [](ForwardSettings& forward, std::string_view text) {
       const auto value = read_value(kSpoof, text);
       if (value) forward.spoof = *value != 0;
       return value.has_value();
     },
     [](const ForwardSettings& forward) { return std::string(forward.spoof ? "true" : "false"); }},
    {"ports", "only what came to these ports of ours (default: all)", "ports, such as '2055, 4739'; in TOML a list",
     store_ports, ports_literal},
    {"queue", "memory for what waits to be sent (default 16 MiB)", "octets, such as '64 MiB', at most 4 GiB",
     [](ForwardSettings& forward, std::string_view text) {
       const auto value = read_value(kQueue, text);
       const bool taken = value && *value <= kQueue.maximum;
       if (taken) forward.queue_octets = *value;
       return taken;
     },
     [](const ForwardSettings& forward) -> std::string {
       return toml_string(value_as_text(kQueue, forward.queue_octets));
     }},
};

/// Sections whose parts have names that people choose: SECTION.NAME.field.
template <typename Item, typename Def>
struct NamedSection {
  std::string_view section;  ///< with its dot
  std::string_view what;     ///< "a target of forwarding"
  std::span<const Def> table;
  std::vector<Item> Settings::*items;
  size_t items_max;
  std::string_view only_field;  ///< what SECTION.NAME alone is; empty: nothing
};

bool is_item_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
  });
}
tl::unexpected<base::Diagnostic> bad_item_name(std::string_view name, std::string_view what, SourceSpan span) {
  return fail("config", fmt::format("'{}' cannot name {}", name, what), span,
              "names are of letters, digits, '_' and '-', at most 63");
}

template <typename Item, typename Def>
Result<std::string> assign_named(const NamedSection<Item, Def>& of, const AssignContext& context, std::string_view key,
                                 std::string_view value, SourceSpan key_span, SourceSpan value_span) {
  const std::string_view path = key.substr(of.section.size());
  const size_t dot = path.find('.');
  const std::string_view name = path.substr(0, dot);
  const std::string_view field = dot == std::string_view::npos ? of.only_field : path.substr(dot + 1);
  if (!is_item_name(name)) return bad_item_name(name, of.what, key_span);
  const Def* known = nullptr;
  std::vector<std::string_view> names;
  std::string list;
  for (const Def& setting : of.table) {
    names.push_back(setting.name);
    list.append(list.empty() ? "" : ", ").append(setting.name);
    if (setting.name == field) known = &setting;
    if (setting.secret != nullptr && field.size() + kSecretFileSuffix.size() == setting.name.size() &&
        setting.name.starts_with(field)) {
      return fail(kUnquotable, fmt::format("'{}' is a secret: it never stands in settings", key), key_span,
                  fmt::format("{}{} names a file that holds it", key, kSecretFileSuffix));
    }
  }
  if (known == nullptr) {
    const std::string_view near = base::nearest_name(field, names);
    return fail("config", fmt::format("unknown setting '{}' of {}", field, of.what), key_span,
                near.empty() ? "there are: " + list : fmt::format("did you mean '{}'?", near));
  }
  std::vector<Item>& all = context.settings.*of.items;
  auto at = std::find_if(all.begin(), all.end(), [&](const Item& item) { return item.name == name; });
  Item changed;
  if (at != all.end()) changed = *at;
  changed.name = name;
  if (!is_plain_text(value)) return bad_text(key, value_span);
  std::string text(value);
  if (known->secret != nullptr && !value.empty() && !value.starts_with('/') && !context.folder.empty())
    text = (std::filesystem::path(context.folder) / value).lexically_normal().string();
  if (!known->store(changed, text)) {
    return fail("config", fmt::format("setting '{}' cannot be '{}'", key, value), value_span,
                fmt::format("it takes {}", known->expectation));
  }
  if (at == all.end()) {
    if (all.size() >= of.items_max)
      return fail("config", fmt::format("more than {} of {}", of.items_max, of.section), key_span);
    at = all.insert(at, Item{});
  }
  *at = std::move(changed);
  return fmt::format("{}{}.{}", of.section, name, field);
}

bool store_headers(NotifySettings& notify, std::string_view text) {
  std::vector<std::string> headers;
  if (!trim(text).empty()) {
    for (std::string_view element : split(text, ',')) {
      element = trim(element);
      const size_t colon = element.find(':');
      const bool named = colon != std::string_view::npos && colon != 0 &&
                         std::all_of(element.begin(), element.begin() + static_cast<std::ptrdiff_t>(colon), [](char c) {
                           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
                         });
      if (!named) return false;
      headers.emplace_back(element);
    }
  }
  notify.headers = std::move(headers);
  return true;
}

std::string headers_literal(const NotifySettings& notify) {
  std::string text;
  for (const std::string& header : notify.headers) text.append(text.empty() ? "" : ", ").append(toml_string(header));
  return "[" + text + "]";
}

constexpr SettingDef kNotifyTimeout{"", SettingKind::kDuration, 100'000, 300'000'000, "", "", nullptr, nullptr};
constexpr SettingDef kPerMinute{"", SettingKind::kCount, 1, 60'000, "", "", nullptr, nullptr};
constexpr SettingDef kVerify{"", SettingKind::kSwitch, 0, 1, "", "", nullptr, nullptr};
constexpr std::string_view kNotifyTypes[] = {"webhook", "alertmanager", "syslog", "script"};
constexpr std::string_view kNotifyAuths[] = {"bearer", "hmac"};

template <typename Enum, size_t kCount>
bool store_word(const std::string_view (&words)[kCount], std::string_view text, Enum& to) {
  for (size_t i = 0; i < kCount; ++i) {
    if (words[i] != text) continue;
    to = static_cast<Enum>(i);
    return true;
  }
  return false;
}

constexpr NotifySettingDef kNotifyTable[] = {
    {"type", "what takes the notices", "one of webhook, alertmanager, syslog, script",
     [](NotifySettings& notify, std::string_view text) {
       notify.has_type = store_word(kNotifyTypes, text, notify.type);
       return notify.has_type;
     },
     [](const NotifySettings& notify) { return toml_string(kNotifyTypes[static_cast<size_t>(notify.type)]); }},
    {"to",
     "where it is: http(s)://HOST/PATH of a webhook, http(s)://HOST:9093 of an Alertmanager, udp://, tcp://HOST:514 or "
     "unix:///dev/log of a syslog, the path of a script",
     "a URL; of a script an absolute path",
     [](NotifySettings& notify, std::string_view text) {
       notify.to = text;
       return !text.empty();
     },
     [](const NotifySettings& notify) { return toml_string(notify.to); }},
    {"body", "of a webhook: JSON in which ${title} and others are places, or 'chat' (default: the whole notice)",
     "a JSON object, or 'chat'",
     [](NotifySettings& notify, std::string_view text) {
       notify.body = text;
       return true;
     },
     [](const NotifySettings& notify) { return notify.body.empty() ? std::string() : toml_string(notify.body); }},
    {"headers", "of a webhook or Alertmanager: further headers", "'Name: value'; in TOML a list", store_headers,
     headers_literal},
    {"auth", "what the secret is: a bearer token, or the key of an HMAC-SHA256 over the body (default bearer)",
     "bearer or hmac",
     [](NotifySettings& notify, std::string_view text) { return store_word(kNotifyAuths, text, notify.auth); },
     [](const NotifySettings& notify) { return toml_string(kNotifyAuths[static_cast<size_t>(notify.auth)]); }},
    {"secret_file", "the file that holds the secret", "a file",
     [](NotifySettings& notify, std::string_view text) {
       notify.secret.file = text;
       return true;
     },
     [](const NotifySettings& notify) {
       return notify.secret.file.empty() ? std::string() : toml_string(notify.secret.file);
     },
     [](NotifySettings& notify) { return &notify.secret; }},
    {"timeout", "of one attempt (default 10 s)", "a duration with its unit, such as '10 s', 100 ms to 5 min",
     [](NotifySettings& notify, std::string_view text) {
       const auto value = read_value(kNotifyTimeout, text);
       const bool taken = value && *value >= kNotifyTimeout.minimum && *value <= kNotifyTimeout.maximum;
       if (taken) notify.timeout_us = *value;
       return taken;
     },
     [](const NotifySettings& notify) { return toml_string(value_as_text(kNotifyTimeout, notify.timeout_us)); }},
    {"per_minute", "requests, messages or runs a minute; what is more waits (default 60)", "a whole number, 1 to 60000",
     [](NotifySettings& notify, std::string_view text) {
       const auto value = read_value(kPerMinute, text);
       const bool taken = value && *value >= kPerMinute.minimum && *value <= kPerMinute.maximum;
       if (taken) notify.per_minute = *value;
       return taken;
     },
     [](const NotifySettings& notify) { return std::to_string(notify.per_minute); }},
    {"verify", "look at the certificate of https (default true)", "true or false",
     [](NotifySettings& notify, std::string_view text) {
       const auto value = read_value(kVerify, text);
       if (value) notify.trust_any = *value == 0;
       return value.has_value();
     },
     [](const NotifySettings& notify) { return std::string(notify.trust_any ? "false" : "true"); }},
};

constexpr std::string_view kServerTypes[] = {"file", "postgres", "kafka", "prometheus"};
constexpr std::string_view kServerOfSinks = "a server of sinks";

/// A row of the table below: the file of a secret.
template <Secret ServerSettings::*kSecret>
bool store_secret_file(ServerSettings& server, std::string_view text) {
  (server.*kSecret).file = text;
  return true;
}
template <Secret ServerSettings::*kSecret>
std::string secret_file_literal(const ServerSettings& server) {
  const std::string& file = (server.*kSecret).file;
  return file.empty() ? std::string() : toml_string(file);
}
template <Secret ServerSettings::*kSecret>
Secret* secret_of(ServerSettings& server) {
  return &(server.*kSecret);
}

bool store_server_brokers(ServerSettings& server, std::string_view text) {
  std::vector<std::string_view> elements;
  if (!trim(text).empty()) elements = split(text, ',');
  for (std::string_view& element : elements) element = trim(element);
  return !read_brokers(elements, server.brokers);
}
std::string server_brokers_literal(const ServerSettings& server) {
  if (server.brokers.empty()) return {};
  std::string text;
  for (const std::string& broker : server.brokers) text.append(text.empty() ? "" : ", ").append(toml_string(broker));
  return "[" + text + "]";
}

constexpr ServerSettingDef kServerTable[] = {
    {"type", "what takes the rows", "file, postgres, kafka or prometheus",
     [](ServerSettings& server, std::string_view text) {
       const auto* const at = std::find(std::begin(kServerTypes), std::end(kServerTypes), text);
       if (at == std::end(kServerTypes)) return false;
       server.type = static_cast<ServerSettings::Type>(at - std::begin(kServerTypes));
       return true;
     },
     [](const ServerSettings& server) {
       return server.type ? toml_string(kServerTypes[static_cast<size_t>(*server.type)]) : std::string();
     }},
    {"folder", "of files: where they are written", "the whole name of a folder, from / on",
     [](ServerSettings& server, std::string_view text) {
       server.folder = text;
       return text.starts_with('/');
     },
     [](const ServerSettings& server) { return server.folder.empty() ? std::string() : toml_string(server.folder); }},
    {"connection",
     "of PostgreSQL: as libpq takes it, such as 'host=db dbname=flows user=backstream', without a password",
     "libpq's words, without a password",
     [](ServerSettings& server, std::string_view text) {
       server.connection = text;
       return !text.empty() && text.find("password") == std::string_view::npos;
     },
     [](const ServerSettings& server) {
       return server.connection.empty() ? std::string() : toml_string(server.connection);
     }},
    {"password_file", "of PostgreSQL: the file that holds the password", "a file",
     store_secret_file<&ServerSettings::password>, secret_file_literal<&ServerSettings::password>,
     secret_of<&ServerSettings::password>},
    {"brokers", "of Kafka: some brokers of a cluster of its own (default: kafka.brokers, with all that kafka.* say)",
     "HOST:PORT, such as 'kafka-1.example:9092, [2001:db8::1]:9092'; in TOML a list of texts", store_server_brokers,
     server_brokers_literal},
    {"sasl_password_file", "of Kafka: the file that holds the password of server.NAME.property.sasl.username", "a file",
     store_secret_file<&ServerSettings::sasl_password>, secret_file_literal<&ServerSettings::sasl_password>,
     secret_of<&ServerSettings::sasl_password>},
    {"ssl_key_password_file", "of Kafka: the file that holds the password of the private key", "a file",
     store_secret_file<&ServerSettings::ssl_key_password>, secret_file_literal<&ServerSettings::ssl_key_password>,
     secret_of<&ServerSettings::ssl_key_password>},
};

/// "column.NAME": "9/12232 string", an enterprise's element and its type; of IANA's elements the number alone.
Result<std::string> assign_column(Settings& settings, std::string_view key, std::string_view value, SourceSpan key_span,
                                  SourceSpan value_span) {
  const std::string_view name = key.substr(kColumnSection.size());
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  const bool plain =
      !name.empty() && name.size() <= 63 && is_letter(name[0]) &&
      std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
  if (!plain) {
    return fail("config", fmt::format("'{}' cannot name a column", name), key_span,
                "names are of lower-case letters, digits and '_', at most 63, and begin with no digit");
  }
  if (batch::flow_schema().find(name) >= 0 || name == "window_start" || name == "window_end")
    return fail("config", fmt::format("flows has a column '{}' already", name), key_span, "choose another name");

  batch::ElementColumn from;
  std::string_view text = value;
  const auto bad_value = [&] {
    return fail("config", fmt::format("setting '{}' cannot be '{}'", key, value), value_span,
                "it takes enterprise/element and a type, such as '9/12232 string', or of IANA's elements the number "
                "alone, such as '12 ipv4Address'");
  };
  auto number = take_number(text);
  if (number && !text.empty() && text.front() == '/') {
    if (*number < 0 || *number > UINT32_MAX) return bad_value();
    from.enterprise = static_cast<uint32_t>(*number);
    text.remove_prefix(1);
    number = take_number(text);
  }
  if (!number || *number < 0 || *number > UINT16_MAX) return bad_value();
  from.element = static_cast<uint16_t>(*number);
  const std::string_view type_name = trim(text);
  if (type_name.empty() || type_name.size() == text.size()) return bad_value();
  const auto type = batch::parse_element_type(type_name);
  if (!type) {
    const std::string_view near = base::nearest_name(type_name, batch::element_type_names());
    return fail("config", fmt::format("'{}' is no abstract data type of IPFIX", type_name), value_span,
                near.empty() ? "such as unsigned64, string, ipv4Address, dateTimeMilliseconds, octetArray"
                             : fmt::format("did you mean '{}'?", near));
  }
  from.type = *type;
  for (batch::UserColumn& known : settings.columns) {
    if (known.name != name) continue;
    known.from = from;
    return std::string(key);
  }
  if (settings.columns.size() >= Settings::kColumnsMax)
    return fail("config", fmt::format("more than {} columns are added to flows", Settings::kColumnsMax), key_span);
  settings.columns.push_back({std::string(name), from});
  return std::string(key);
}

constexpr std::pair<std::string_view, std::string_view> kKafkaSecrets[] = {
    {"sasl.password", "sasl_password_file names a file that holds it"},
    {"ssl.key.password", "ssl_key_password_file names a file that holds it"},
    {"ssl.key.pem", "ssl.key.location names a file that holds it"},
    {"ssl.keystore.password",
     "ssl.key.location and ssl.certificate.location take PEM, ssl_key_password_file names a file with the password"},
    {"sasl.oauthbearer.client.secret", "this build has no OpenID Connect"},
};

/// "kafka.property.NAME", where NAME is librdkafka's and has dots. Nothing here knows which there are: LoadRequest.
/// @param section  what the key begins with, with its dot
Result<std::string> assign_kafka_property(std::vector<std::pair<std::string, std::string>>& properties,
                                          std::string_view section, std::string_view key, std::string_view value,
                                          SourceSpan key_span, SourceSpan value_span) {
  std::string_view name = key.substr(section.size());
  if (name.size() >= 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
  for (const auto& [secret, hint] : kKafkaSecrets) {
    if (name == secret)
      return fail(kUnquotable, fmt::format("'{}' is a secret: it never stands in settings", name), key_span,
                  std::string(hint));
  }
  const bool plain = !name.empty() && name.size() <= 100 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
  });
  if (!plain)
    return fail("config", fmt::format("'{}' cannot name a property of librdkafka", name), key_span,
                fmt::format("such as {}security.protocol; in TOML: [{}] \"security.protocol\" = ...", section,
                            section.substr(0, section.size() - 1)));
  if (!is_plain_text(value)) return bad_text(key, value_span);
  const auto at =
      std::find_if(properties.begin(), properties.end(), [&](const auto& known) { return known.first == name; });
  if (at != properties.end()) {
    at->second = value;
  } else {
    if (properties.size() >= Settings::kKafkaPropertiesMax)
      return fail("config", fmt::format("more than {} properties of librdkafka", Settings::kKafkaPropertiesMax),
                  key_span);
    properties.emplace_back(name, value);
  }
  return fmt::format("{}{}", section, name);
}

/// "server.NAME.property.NAME", as kafka.property.NAME; nothing: the key is another one.
std::optional<Result<std::string>> assign_server_property(Settings& settings, std::string_view key,
                                                          std::string_view value, SourceSpan key_span,
                                                          SourceSpan value_span) {
  const std::string_view path = key.substr(kServerSection.size());
  const std::string_view name = path.substr(0, path.find('.'));
  const std::string section = fmt::format("{}{}.property.", kServerSection, name);
  if (!key.starts_with(section)) return std::nullopt;
  if (!is_item_name(name)) return bad_item_name(name, kServerOfSinks, key_span);
  auto at = std::find_if(settings.servers.begin(), settings.servers.end(),
                         [&](const ServerSettings& server) { return server.name == name; });
  ServerSettings changed;
  if (at != settings.servers.end()) changed = *at;
  changed.name = name;
  auto assigned = assign_kafka_property(changed.properties, section, key, value, key_span, value_span);
  if (!assigned) return assigned;
  if (at == settings.servers.end()) {
    if (settings.servers.size() >= Settings::kServersMax)
      return fail("config", fmt::format("more than {} of {}", Settings::kServersMax, kServerSection), key_span);
    at = settings.servers.insert(at, ServerSettings{});
  }
  *at = std::move(changed);
  return assigned;
}

Result<std::string> assign_list(Settings& settings, const ListSettingDef& list, const ValueText& value) {
  std::vector<std::string_view> elements;
  if (value.is_array) {
    for (const auto& [element, span] : value.elements) elements.push_back(trim(element));
  } else if (!trim(value.text).empty()) {
    elements = split(value.text, ',');
    for (std::string_view& element : elements) element = trim(element);
  }
  const auto fault = list.store(settings, elements);
  if (!fault) return std::string(list.key);
  SourceSpan span = value.span;
  std::string message = fmt::format("setting '{}': {}", list.key, fault->message);
  if (fault->index < elements.size()) {
    const std::string_view element = elements[fault->index];
    if (value.is_array) {
      span = value.elements[fault->index].second;
    } else if (value.verbatim && !element.empty()) {
      span.offset_octets += static_cast<uint32_t>(element.data() - value.text.data());
      span.length_octets = static_cast<uint32_t>(element.size());
    }
    if (fault->message.empty()) message = fmt::format("setting '{}' cannot have '{}'", list.key, element);
  }
  return fail("config", std::move(message), span,
              fault->hint.empty() ? fmt::format("it takes {}", list.expectation) : fault->hint);
}

/// Nothing when the key is neither a secret's nor "KEY_file" of one.
std::optional<Result<std::string>> assign_secret(const AssignContext& context, std::string_view key,
                                                 SourceSpan key_span, const ValueText& value) {
  for (const SecretDef& secret : context.secrets) {
    if (key == secret.key) {
      return fail(kUnquotable, fmt::format("'{}' is a secret: it never stands in settings", key), key_span,
                  fmt::format("{}{} names a file that holds it", key, kSecretFileSuffix));
    }
    if (!key.ends_with(kSecretFileSuffix) || key.substr(0, key.size() - kSecretFileSuffix.size()) != secret.key)
      continue;
    if (!is_plain_text(value.text)) return bad_text(key, value.span);
    if (value.text.empty()) {
      context.settings.secrets.erase(std::string(secret.key));
      return std::string(key);
    }
    Secret named;
    named.file = value.text;
    if (!value.text.starts_with('/') && !context.folder.empty())
      named.file = (std::filesystem::path(context.folder) / value.text).lexically_normal().string();
    context.settings.secrets.insert_or_assign(std::string(secret.key), std::move(named));
    return std::string(key);
  }
  return std::nullopt;
}

tl::unexpected<base::Diagnostic> unknown_setting(std::string_view key, SourceSpan key_span,
                                                 std::span<const SecretDef> secrets) {
  const std::vector<std::string> keys = plain_keys(secrets);
  std::vector<std::string_view> candidates(keys.begin(), keys.end());
  for (const SecretDef& secret : secrets) candidates.push_back(secret.key);
  std::string_view near = base::nearest_name(key, candidates);
  if (near.empty()) {  // The right name in the wrong section, or in none.
    const std::string_view name = key.substr(key.rfind('.') + 1);
    for (const std::string_view candidate : candidates) {
      if (candidate.substr(candidate.rfind('.') + 1) == name) near = candidate;
    }
  }
  // Whoever misspells a secret's key may have written the secret behind it.
  const bool is_secret =
      std::any_of(secrets.begin(), secrets.end(), [&](const SecretDef& known) { return known.key == near; });
  return fail(is_secret ? kUnquotable : "config", fmt::format("unknown setting '{}'", key), key_span,
              near.empty() ? "docs/operations.md lists the settings"
                           : fmt::format("did you mean '{}{}'?", near, is_secret ? kSecretFileSuffix : ""));
}

}  // namespace

Result<std::string> assign(const AssignContext& context, std::string_view key, SourceSpan key_span,
                           const ValueText& value) {
  Settings& settings = context.settings;
  if (key.starts_with(kExporterSection)) return assign_exporter(settings, key, value.text, key_span, value.span);
  if (key.starts_with(kForwardSection)) {
    const NamedSection<ForwardSettings, ForwardSettingDef> of{
        kForwardSection, "a target of forwarding", kForwardTable, &Settings::forwards, Settings::kForwardsMax, "to"};
    return assign_named(of, context, key, value.text, key_span, value.span);
  }
  if (key.starts_with(kNotifySection)) {
    const NamedSection<NotifySettings, NotifySettingDef> of{kNotifySection,    "an endpoint of notices", kNotifyTable,
                                                            &Settings::notify, Settings::kNotifyMax,     ""};
    return assign_named(of, context, key, value.text, key_span, value.span);
  }
  if (key.starts_with(kServerSection)) {
    if (auto property = assign_server_property(settings, key, value.text, key_span, value.span)) return *property;
    const NamedSection<ServerSettings, ServerSettingDef> of{kServerSection,     kServerOfSinks,        kServerTable,
                                                            &Settings::servers, Settings::kServersMax, ""};
    return assign_named(of, context, key, value.text, key_span, value.span);
  }
  if (key.starts_with(kColumnSection)) return assign_column(settings, key, value.text, key_span, value.span);
  if (key.starts_with(kKafkaPropertySection))
    return assign_kafka_property(settings.kafka.properties, kKafkaPropertySection, key, value.text, key_span,
                                 value.span);
  for (const TextSettingDef& known : kTextTable) {
    if (known.key != key) continue;
    if (!is_plain_text(value.text)) return bad_text(key, value.span);
    if (known.valid != nullptr && !known.valid(value.text)) {
      return fail("config", fmt::format("setting '{}' cannot be '{}'", key, value.text), value.span,
                  fmt::format("it takes {}", known.expectation));
    }
    known.text(settings) = value.text;
    return std::string(key);
  }
  for (const ListSettingDef& known : kListTable) {
    if (known.key == key) return assign_list(settings, known, value);
  }
  if (auto secret = assign_secret(context, key, key_span, value)) return std::move(*secret);
  const SettingDef* setting = find_setting(key);
  if (setting == nullptr) return unknown_setting(key, key_span, context.secrets);
  const auto number = checked_value(*setting, key, value.text, value.span);
  if (!number) return tl::unexpected(number.error());
  setting->store(settings, *number);
  return std::string(key);
}

std::vector<std::string> plain_keys(std::span<const SecretDef> secrets) {
  std::vector<std::string> keys;
  for (const SettingDef& known : kTable) keys.emplace_back(known.key);
  for (const TextSettingDef& known : kTextTable) keys.emplace_back(known.key);
  for (const ListSettingDef& known : kListTable) keys.emplace_back(known.key);
  for (const SecretDef& known : secrets) keys.push_back(fmt::format("{}{}", known.key, kSecretFileSuffix));
  return keys;
}

std::vector<std::string> sections(std::span<const SecretDef> secrets) {
  std::vector<std::string> names;
  for (const std::string& key : plain_keys(secrets)) {
    std::string section = key.substr(0, key.find('.'));
    if (std::find(names.begin(), names.end(), section) == names.end()) names.push_back(std::move(section));
  }
  for (const std::string_view section :
       {kExporterSection, kForwardSection, kNotifySection, kServerSection, kColumnSection})
    names.emplace_back(section.substr(0, section.size() - 1));
  return names;
}

bool is_list(std::string_view key) {
  if (key.starts_with(kForwardSection) && key.ends_with(".ports")) return true;
  if (key.starts_with(kNotifySection) && key.ends_with(".headers")) return true;
  if (key.starts_with(kServerSection) && key.ends_with(".brokers")) return true;
  return std::any_of(std::begin(kListTable), std::end(kListTable), [&](const auto& known) { return known.key == key; });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

std::string toml_string(std::string_view text) {
  std::string literal = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') literal += '\\';
    literal += c;
  }
  return literal += '"';
}

std::span<const SettingDef> setting_table() { return kTable; }
std::span<const ExporterSettingDef> exporter_setting_table() { return kExporterTable; }
std::span<const ExporterTextSettingDef> exporter_text_setting_table() { return kExporterTextTable; }
std::span<const TextSettingDef> text_setting_table() { return kTextTable; }
std::span<const ListSettingDef> list_setting_table() { return kListTable; }
std::span<const ForwardSettingDef> forward_setting_table() { return kForwardTable; }
std::span<const NotifySettingDef> notify_setting_table() { return kNotifyTable; }
std::span<const ServerSettingDef> server_setting_table() { return kServerTable; }
constexpr SecretDef kSecretTable[] = {
    {"access.admin_token", "serve: a token that may do all, also while the catalog cannot be read", Reload::kLive},
    {"kafka.sasl_password", "the password for Kafka, with kafka.property.sasl.username"},
    {"kafka.ssl_key_password", "the password of the private key that kafka.property.ssl.key.location names"},
};
std::span<const SecretDef> secret_table() { return kSecretTable; }

namespace {

/// The settings of the longest prefix that holds the address, among those of which has(settings) is true.
template <typename Has>
const ExporterSettings* longest(const std::vector<ExporterSettings>& exporters, const base::Inet& address, Has has) {
  const ExporterSettings* best = nullptr;
  for (const ExporterSettings& candidate : exporters) {
    const bool longer = best == nullptr || candidate.prefix.prefix_bits > best->prefix.prefix_bits;
    if (longer && has(candidate) && candidate.prefix.contains_or_equals(address)) best = &candidate;
  }
  return best;
}

}  // namespace

Micros Settings::delay_of(const base::Inet& exporter) const {
  const auto* best = longest(exporters, exporter, [](const ExporterSettings& of) { return of.delay_us.has_value(); });
  return best == nullptr ? watermark.delay_us : *best->delay_us;
}

std::string_view Settings::site_of(const base::Inet& exporter) const {
  const auto* best = longest(exporters, exporter, [](const ExporterSettings& of) { return !of.site.empty(); });
  return best == nullptr ? std::string_view() : best->site;
}

std::string FlowTopic::text() const {
  std::string text = format == Format::kGoflow2 ? "goflow2:" : "";
  text += name;
  if (first_partition != 0 || last_partition != UINT32_MAX)
    text += fmt::format("/{}-{}", first_partition, last_partition);
  return text;
}

std::optional<FlowTopic> parse_flow_topic(std::string_view text) {
  FlowTopic topic;
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    const std::string_view format = text.substr(0, colon);
    if (format == "goflow2") topic.format = FlowTopic::Format::kGoflow2;
    else if (format != "backstream") return std::nullopt;
    text.remove_prefix(colon + 1);
  }
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    const std::string_view range = text.substr(slash + 1);
    text = text.substr(0, slash);
    const char* const end = range.data() + range.size();
    const auto first = std::from_chars(range.data(), end, topic.first_partition);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') return std::nullopt;
    const auto last = std::from_chars(first.ptr + 1, end, topic.last_partition);
    if (last.ec != std::errc() || last.ptr != end || topic.last_partition < topic.first_partition) return std::nullopt;
  }
  if (!is_topic(text)) return std::nullopt;
  topic.name = text;
  return topic;
}

std::string setting_text(const SettingDef& setting, const Settings& settings) {
  return value_as_text(setting, setting.load(settings));
}

std::string setting_text(const ExporterSettingDef& setting, int64_t value) {
  return value_as_text({setting.name, setting.kind, 0, 0, setting.choices, {}, nullptr, nullptr}, value);
}

}  // namespace backstream::config
