// Where the facts of doctor.h come from.
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

#include "base/inet.h"
#include "ingest/udp_listen.h"
#include "service/doctor.h"

namespace backstream::service {
namespace {

std::optional<uint64_t> number_in(const std::string& path, std::string_view after = "") {
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with(after)) continue;
    const size_t digits = line.find_first_of("0123456789", after.size());
    if (digits == std::string::npos) return std::nullopt;
    uint64_t number = 0;
    std::from_chars(line.data() + digits, line.data() + line.size(), number);
    return number;
  }
  return std::nullopt;
}

// --- the machine ----------------------------------------------------------------------------------------------------

std::optional<DoctorInput::OurClock> our_clock() {
  timex state{};
  // Asks only. A unit with ProtectClock= forbids even that: then the kernel's view is not known here.
  const int verdict = ::adjtimex(&state);
  if (verdict < 0) return std::nullopt;
  return DoctorInput::OurClock{verdict != TIME_ERROR && (state.status & STA_UNSYNC) == 0, state.maxerror};
}

DoctorInput::Disk disk_of(const std::string& folder) {
  DoctorInput::Disk disk;
  std::filesystem::path place = folder;
  std::error_code error;
  while (!place.empty() && place != place.root_path() && !std::filesystem::exists(place, error))
    place = place.parent_path();
  disk.folder = place.string();
  struct statvfs facts {};
  if (::statvfs(place.c_str(), &facts) != 0) {
    disk.error = std::strerror(errno);
    return disk;
  }
  disk.free_octets = uint64_t{facts.f_bavail} * facts.f_frsize;
  disk.total_octets = uint64_t{facts.f_blocks} * facts.f_frsize;
  disk.free_files = facts.f_favail;
  disk.total_files = facts.f_files;
  if ((facts.f_flag & ST_RDONLY) != 0) disk.error = "the file system is mounted read-only";
  else if (::access(place.c_str(), W_OK | X_OK) != 0) disk.error = std::strerror(errno);
  return disk;
}

/// The least memory.max from the process' control group up.
std::optional<uint64_t> group_limit() {
  std::ifstream in("/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with("0::/")) continue;
    std::optional<uint64_t> least;
    std::filesystem::path group = line.substr(4);
    for (;; group = group.parent_path()) {
      const auto limit = number_in("/sys/fs/cgroup/" + group.string() + "/memory.max");
      if (limit && (!least || *limit < *least)) least = limit;
      if (group.empty()) return least;
    }
  }
  return std::nullopt;
}

std::optional<DoctorInput::Memory> memory_facts() {
  struct sysinfo facts {};
  if (::sysinfo(&facts) != 0) return std::nullopt;
  DoctorInput::Memory memory;
  memory.total_octets = uint64_t{facts.totalram} * facts.mem_unit;
  if (const auto kib = number_in("/proc/meminfo", "MemAvailable:")) memory.available_octets = *kib * 1024;
  if (const auto limit = group_limit(); limit && *limit < memory.total_octets) {
    memory.total_octets = *limit;
    memory.of_group = true;
  }
  return memory;
}

// --- ports ----------------------------------------------------------------------------------------------------------

DoctorInput::Listener try_flow(const config::Endpoint& endpoint, const config::Settings& settings) {
  DoctorInput::Listener listener;
  listener.address = endpoint.text();
  listener.buffer_asked_octets = static_cast<uint64_t>(settings.ingest.receive_buffer_octets);
  ingest::UdpOptions options;
  options.receive_buffer_octets = static_cast<int>(settings.ingest.receive_buffer_octets);
  auto opened = ingest::open_sockets({endpoint.host, endpoint.port, ""}, 1, options);
  if (!opened) {
    listener.error = opened.error().message;
    listener.hint = opened.error().hint;
    return listener;
  }
  listener.buffer_octets = opened->buffer_octets[0];
  for (const int file : opened->files) ::close(file);
  return listener;
}

/// Whether somebody has the port of http.listen already. Only addresses are tried; names are the server's to look up.
std::optional<DoctorInput::Listener> try_http(const config::Endpoint& endpoint) {
  const auto address = base::parse_inet(endpoint.host == "*" ? "0.0.0.0" : endpoint.host);
  if (!address || endpoint.port == 0) return std::nullopt;
  DoctorInput::Listener listener;
  listener.address = endpoint.text();
  sockaddr_storage place{};
  socklen_t octets = 0;
  if (address->family == 4) {
    auto& in = reinterpret_cast<sockaddr_in&>(place);
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    in.sin_addr.s_addr = htonl(address->v4_address());
    octets = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(place);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(endpoint.port);
    for (size_t i = 0; i < 16; ++i)
      in.sin6_addr.s6_addr[i] = static_cast<uint8_t>((i < 8 ? address->hi : address->lo) >> (56 - 8 * (i % 8)));
    octets = sizeof in;
  }
  const int file = ::socket(place.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (file < 0) return std::nullopt;
  const int on = 1;
  ::setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(file, reinterpret_cast<const sockaddr*>(&place), octets) != 0) listener.error = std::strerror(errno);
  ::close(file);
  return listener;
}

/// Whether flows are taken from whoever can send to us.
bool open_to_all(const config::Settings& settings) {
  const bool reached = std::any_of(settings.listen.flow.begin(), settings.listen.flow.end(),
                                   [](const config::Endpoint& endpoint) { return !endpoint.is_loopback(); });
  const bool all = std::any_of(settings.ingest.allow.begin(), settings.ingest.allow.end(),
                               [](const base::Inet& prefix) { return prefix.prefix_bits == 0; });
  return reached && (all || settings.ingest.allow.empty());
}

// --- counts ---------------------------------------------------------------------------------------------------------

uint64_t grown(uint64_t now, uint64_t earlier) { return now > earlier ? now - earlier : 0; }

void add_listeners(DoctorInput& input, const config::Settings& settings, const MetricsInput& now,
                   const MetricsInput* earlier) {
  std::map<std::string, DoctorInput::Listener> listeners;
  const auto place = [](const ingest::SocketStats& socket) {
    return config::Endpoint{"udp", socket.address, socket.port}.text();
  };
  for (const ingest::SocketStats& socket : now.ingest.sockets) {
    DoctorInput::Listener& listener = listeners[place(socket)];
    // The least of a group tells: datagrams of an exporter come to one socket.
    listener.buffer_octets =
        listener.address.empty() ? socket.buffer_octets : std::min(listener.buffer_octets, socket.buffer_octets);
    listener.address = place(socket);
    listener.buffer_asked_octets = static_cast<uint64_t>(settings.ingest.receive_buffer_octets);
    listener.drops += socket.kernel_drops;
    listener.recent_drops += socket.kernel_drops;
  }
  if (earlier != nullptr) {
    std::map<std::string, uint64_t> before;
    for (const ingest::SocketStats& socket : earlier->ingest.sockets) before[place(socket)] += socket.kernel_drops;
    for (auto& [address, listener] : listeners) listener.recent_drops = grown(listener.drops, before[address]);
  }
  input.listeners.emplace();
  for (auto& [address, listener] : listeners) input.listeners->push_back(std::move(listener));
}

void add_admission(DoctorInput& input, const config::Settings& settings, const MetricsInput& now,
                   const MetricsInput* earlier) {
  constexpr auto kNotAllowed = static_cast<size_t>(ingest::IngestSkip::kNotAllowed);
  DoctorInput::Admission& admission = input.admission.emplace(DoctorInput::Admission{});
  admission.listed = !settings.ingest.allow.empty();
  admission.open = open_to_all(settings);
  admission.recent_rejected =
      grown(now.ingest.skipped[kNotAllowed], earlier == nullptr ? 0 : earlier->ingest.skipped[kNotAllowed]);
  for (const auto& [address, count] : now.ingest.rejected)
    admission.rejected.emplace_back(base::to_string(address), count);
}

DoctorInput::Exporter exporter_facts(const MetricsInput::Exporter& now, const MetricsInput::Exporter* earlier) {
  const decode::IngestLedger none;
  const decode::IngestLedger& after = now.ledger;
  const decode::IngestLedger& before = earlier == nullptr ? none : earlier->ledger;
  DoctorInput::Exporter facts;
  facts.address = now.address;
  facts.protocols = now.protocols;
  facts.last_seen = now.last_seen;
  facts.recent_datagrams = grown(after.datagrams, before.datagrams);
  facts.recent_flows = grown(after.flows, before.flows);
  facts.recent_missing = grown(after.missing, before.missing);
  facts.recent_unknown_sampling = grown(after.sampling_unknown_rows, before.sampling_unknown_rows);
  facts.recent_awaiting = grown(after.awaiting_template, before.awaiting_template);
  uint64_t most = 0;
  for (size_t i = 0; i < decode::kDecodeFaultCount; ++i) {
    const auto fault = static_cast<decode::DecodeFault>(i);
    if (fault == decode::DecodeFault::kTemplateUnknown) continue;
    const uint64_t count = grown(after.faults[i], before.faults[i]);
    facts.recent_unreadable += count;
    if (count > most) facts.fault = decode::name(fault);
    most = std::max(most, count);
  }
  facts.clock_offset = now.clock.clock_offset_us;
  if (now.clock.timed) {
    facts.delay = now.clock.delay_us;
    facts.delay_p999 = now.clock.delay_p999_us;
    facts.held = now.clock.held;
  }
  return facts;
}

void add_exporters(DoctorInput& input, const MetricsInput& now, const MetricsInput* earlier) {
  std::map<std::string_view, const MetricsInput::Exporter*> before;
  if (earlier != nullptr) {
    for (const MetricsInput::Exporter& exporter : earlier->exporters) before[exporter.address] = &exporter;
  }
  input.exporters.emplace();
  for (const MetricsInput::Exporter& exporter : now.exporters) {
    const auto at = before.find(exporter.address);
    input.exporters->push_back(exporter_facts(exporter, at == before.end() ? nullptr : at->second));
  }
}

void add_queries(DoctorInput& input, const MetricsInput& now, const MetricsInput* earlier) {
  std::map<std::string_view, const MetricsInput::Query*> before;
  if (earlier != nullptr) {
    for (const MetricsInput::Query& query : earlier->queries) before[query.name] = &query;
  }
  input.queries.emplace();
  for (const MetricsInput::Query& query : now.queries) {
    DoctorInput::Query& facts = input.queries->emplace_back();
    facts.name = query.name;
    facts.state = query.state;
    if (!query.ledger) continue;
    const auto at = before.find(query.name);
    const exec::WindowLedger none;
    // A version that has taken over since counts from nothing.
    const bool same = at != before.end() && at->second->ledger && at->second->version == query.version &&
                      at->second->incarnation == query.incarnation;
    const exec::WindowLedger& past = same ? *at->second->ledger : none;
    facts.recent_rows = grown(query.ledger->assigned, past.assigned);
    facts.recent_late = grown(query.ledger->late, past.late);
    facts.recent_shed = grown(query.ledger->shed, past.shed);
    facts.late_by_max = query.ledger->late_by_max_us;
  }
}

void add_limits(DoctorInput& input, const config::Settings& settings, const MetricsInput& now,
                const MetricsInput* earlier) {
  uint64_t templates_most = 0;
  for (const MetricsInput::Exporter& exporter : now.exporters)
    templates_most = std::max(templates_most, exporter.templates);
  input.limits.emplace();
  input.limits->push_back({"exporters", now.exporters.size(), static_cast<uint64_t>(settings.decode.exporter_limit),
                           "set decode.exporter_limit higher, or ingest.allow so that strangers are not heard"});
  input.limits->push_back({"templates of one exporter", templates_most,
                           static_cast<uint64_t>(settings.decode.template_limit),
                           "set decode.template_limit higher; a router that makes templates without end has a fault"});
  const http::ServerLimits limits;
  input.limits->push_back(
      {"HTTP connections", now.http.connections_now, limits.connections_max, "who is it? ss -tnp 'sport = :8844'"});
  input.limits->push_back({"HTTP requests waiting", now.http.handlers_waiting, limits.handler_queue_max,
                           "who is it? ss -tnp 'sport = :8844'"});
  const auto refusal = [&](std::string what, uint64_t after, uint64_t before) {
    if (after > before) input.recent_refusals.emplace_back(std::move(what), after - before);
  };
  const MetricsInput none;
  const MetricsInput& past = earlier == nullptr ? none : *earlier;
  for (const http::Refusal reason :
       {http::Refusal::kConnections, http::Refusal::kPeerConnections, http::Refusal::kRequestRate,
        http::Refusal::kHandlerQueue, http::Refusal::kAccept, http::Refusal::kBodies, http::Refusal::kException})
    refusal(fmt::format("HTTP refusals ({})", http::name(reason)), now.http.of(reason), past.http.of(reason));
  refusal("live events refused", now.hub.overflowed, past.hub.overflowed);
  refusal("live events that slow readers missed", now.hub.lost_frames, past.hub.lost_frames);
  for (const ingest::ForwardStats& target : now.forwards) {
    uint64_t after = 0, before = 0;
    for (const uint64_t count : target.dropped) after += count;
    for (const ingest::ForwardStats& old : past.forwards) {
      if (old.name == target.name) {
        for (const uint64_t count : old.dropped) before += count;
      }
    }
    refusal(fmt::format("datagrams not sent on to {}", target.name), after, before);
  }
}

}  // namespace

DoctorInput local_facts(const config::Settings& settings, bool try_ports) {
  DoctorInput input;
  input.now = base::wall_clock();
  input.rmem_max = number_in("/proc/sys/net/core/rmem_max");
  input.our_clock = our_clock();
  if (!settings.state.folder.empty()) input.disk = disk_of(settings.state.folder);
  input.memory = memory_facts();
  input.admission.emplace(DoctorInput::Admission{});
  input.admission->listed = !settings.ingest.allow.empty();
  input.admission->open = open_to_all(settings);
  DoctorInput::Exposure& exposure = input.exposure.emplace(DoctorInput::Exposure{});
  exposure.listen = settings.http.listen;
  exposure.allow_insecure = settings.http.allow_insecure;
  const auto endpoint = config::parse_endpoint(settings.http.listen, "http");
  exposure.loopback = !endpoint || endpoint->is_loopback();
  if (try_ports) {
    input.listeners.emplace();
    for (const config::Endpoint& flow : settings.listen.flow) input.listeners->push_back(try_flow(flow, settings));
    if (endpoint) {
      if (auto listener = try_http(*endpoint)) input.listeners->push_back(std::move(*listener));
    }
  }
  return input;
}

namespace {

void add_alerts(DoctorInput& input, const alert::Alerts::Status& status) {
  DoctorInput::Alerts& alerts = input.alerts.emplace(DoctorInput::Alerts{});
  alerts.rules = status.rules;
  alerts.firing = status.firing + status.recovering;
  alerts.store_error = status.store_error;
  alerts.no_endpoint = status.endpoints.empty();
  for (const auto& endpoint : status.endpoints) {
    if (endpoint.failing_since)
      alerts.failing.push_back({endpoint.name, endpoint.error, *endpoint.failing_since, endpoint.waiting});
  }
  for (const auto& [rule, endpoint] : status.unknown_endpoints)
    alerts.unknown.push_back(fmt::format("{} of {}", endpoint, rule));
}

void add_history(DoctorInput& input, const config::Settings& settings, const MetricsInput& now,
                 const MetricsInput* earlier) {
  if (!now.history) return;
  const history::Store::Status none;
  const history::Store::Status& before = earlier != nullptr && earlier->history ? *earlier->history : none;
  const history::Store::Status& status = *now.history;
  DoctorInput::History& history = input.history.emplace(DoctorInput::History{});
  history.trouble = status.trouble;
  history.trouble_since = status.trouble_since;
  history.is_full = status.is_full;
  history.full_at = status.full_at;
  history.recent_refused = status.refused_rows - before.refused_rows;
  history.recent_unreadable = status.unreadable - before.unreadable;
  history.recent_removed = status.files_for_room - before.files_for_room;
  history.set_aside = status.totals.set_aside;
  for (const uint64_t octets : status.totals.octets) history.octets += octets;
  history.octets_max = static_cast<uint64_t>(settings.history.octets_max);
  const base::Micros oldest = *std::min_element(status.totals.oldest.begin(), status.totals.oldest.end());
  if (oldest != base::kMaxTime && status.totals.files[0] != 0) history.oldest = oldest;
  history.folder = settings.history.folder.empty() ? settings.state.folder + "/history" : settings.history.folder;
}

void add_sinks(DoctorInput& input, const MetricsInput& now, const MetricsInput* earlier) {
  if (!now.history) return;  // Sinks read it.
  auto& sinks = input.sinks.emplace();
  for (const SinkRegister::Info& info : now.sinks) {
    sink::RunnerStatus before;
    if (earlier != nullptr) {
      const auto at = std::find_if(earlier->sinks.begin(), earlier->sinks.end(),
                                   [&](const SinkRegister::Info& other) { return other.name == info.name; });
      if (at != earlier->sinks.end()) before = at->status;
    }
    DoctorInput::Sink& sink = sinks.emplace_back();
    sink.name = info.name;
    sink.error = info.status.error;
    if (!info.elsewhere) sink.waits_for = info.waits_for;
    sink.failing = info.status.state == sink::RunnerStatus::State::kFailing;
    sink.behind_since = info.status.behind_since;
    // Counters begin anew with what runs the sink.
    sink.recent_refused = grown(info.status.rows_refused, before.rows_refused);
    sink.recent_missed = grown(info.status.rows_missed, before.rows_missed);
    sink.recent_left_out = grown(info.status.rows_left_out, before.rows_left_out);
  }
}

}  // namespace

void add_counts(DoctorInput& input, const config::Settings& settings, const MetricsInput& now,
                const MetricsInput* earlier) {
  input.now = now.now;
  input.started_at = now.process.started_at;
  input.process = now.process;
  input.recent_us = now.now - (earlier != nullptr ? earlier->now : now.process.started_at.value_or(now.now));
  add_listeners(input, settings, now, earlier);
  add_admission(input, settings, now, earlier);
  add_exporters(input, now, earlier);
  add_queries(input, now, earlier);
  add_limits(input, settings, now, earlier);
  if (now.alerts) add_alerts(input, *now.alerts);
  if (!input.watermark) input.watermark.emplace(DoctorInput::Watermark{});
  input.watermark->event = now.watermark_event;
  input.watermark->delay = settings.watermark.delay_us;
  if (!input.catalog) input.catalog.emplace(DoctorInput::Catalog{});
  input.catalog->revision = now.catalog_revision;
  add_history(input, settings, now, earlier);
  add_sinks(input, now, earlier);
  if (!input.checkpoint) input.checkpoint.emplace(DoctorInput::Checkpoint{});
  input.checkpoint->at = now.checkpoint_at;
  if (!input.config) input.config.emplace(DoctorInput::Config{});
  input.config->reload_failed = !now.reload.last_good;
  if (now.reload.last_good_at != 0) input.config->loaded_at = now.reload.last_good_at;
}

bool EarlierCounts::due(base::Micros now) const {
  const std::lock_guard lock(mutex_);
  // A clock that was set back begins anew.
  return newer_ == nullptr || now - newer_->now >= every_ || now < newer_->now;
}

void EarlierCounts::keep(MetricsInput counts) {
  auto kept = std::make_shared<const MetricsInput>(std::move(counts));
  const std::lock_guard lock(mutex_);
  older_ = std::exchange(newer_, std::move(kept));
}

std::shared_ptr<const MetricsInput> EarlierCounts::get() const {
  const std::lock_guard lock(mutex_);
  return older_ != nullptr ? older_ : newer_;
}

void add_unknown_sites(DoctorInput& input, std::string_view query, std::vector<std::string> sites) {
  if (!input.queries) return;
  for (DoctorInput::Query& facts : *input.queries) {
    if (facts.name == query) facts.unknown_sites = std::move(sites);
  }
}

void add_query_reason(DoctorInput& input, std::string_view query, std::string reason, base::Micros changed_at) {
  if (!input.queries) return;
  for (DoctorInput::Query& facts : *input.queries) {
    if (facts.name != query) continue;
    facts.reason = std::move(reason);
    facts.changed_at = changed_at;
    return;
  }
}

}  // namespace backstream::service
