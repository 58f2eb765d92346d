#include "app/status_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/client_command.h"
#include "app/service_client.h"

namespace backstream::app {
namespace {

using nlohmann::json;

std::optional<double> number_of(const json& object, const char* member) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(member);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::string joined(const json& list, std::string_view between) {
  std::string text;
  for (const json& one : list) {
    if (one.is_string()) text.append(text.empty() ? "" : between).append(printable(one.get<std::string>()));
  }
  return text;
}

/// By the server's clock, which need not be ours.
std::string since(const json& status, const std::string& time) {
  const auto now = base::parse_timestamp(text_of(status, "now")), then = base::parse_timestamp(time);
  return now && then ? human_duration(*now - *then) : "";
}

std::string listeners(const json& status) {
  std::string text;
  for (const json& listener : list_of(status, "listeners")) {
    text.append(text.empty() ? "" : ", ").append(printable(text_of(listener, "address")));
    if (const auto octets = number_of(listener, "receive_buffer_octets"))
      text += fmt::format(" (buffer {:.1f} MiB)", *octets / (1 << 20));
  }
  return text;
}

std::string received(const json& ingest) {
  std::string text;
  for (const char* member : {"datagrams", "records", "flows"}) {
    if (number_of(ingest, member))
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", text_of(ingest, member), member);
  }
  return text;
}

/// Every counter of ingest that is a loss and not zero.
std::string losses(const json& ingest) {
  constexpr std::pair<const char*, const char*> kLosses[] = {
      {"kernel_drops", "dropped by the kernel (receive buffer)"},
      {"missing", "missing by the exporters' own numbers"},
      {"rejected", "datagrams that could not be read"},
      {"not_allowed", "datagrams of exporters that are not allowed"},
      {"awaiting_template", "sets that waited for their template"}};
  std::string text;
  for (const auto& [member, about] : kLosses) {
    if (count_of(ingest, member) != 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", text_of(ingest, member), about);
  }
  return text;
}

std::string watermark(const json& mark) {
  const std::string event = text_of(mark, "event");
  if (event.empty()) return "no flow had a time yet";
  std::string text = short_time(event) + " UTC";
  if (const auto lag = number_of(mark, "lag_seconds")) {
    // Exporters whose clocks are ahead, or a generator: no lag, and worth knowing.
    text += fmt::format(", {:.1f} s {} the clock", std::abs(*lag), *lag < 0 ? "ahead of" : "behind");
  }
  if (const std::string held = text_of(mark, "held_by"); !held.empty()) text += ", held by " + printable(held);
  return text;
}

/// "2 of 3 heard; absent: pop-rio, last heard 42 s ago".
std::string edges(const json& status) {
  const json& all = list_of(status, "edges");
  std::string absent;
  size_t heard = 0;
  for (const json& edge : all) {
    if (const auto is_absent = edge.is_object() ? edge.find("absent") : edge.end();
        !edge.is_object() || is_absent == edge.end() || *is_absent != true) {
      ++heard;
      continue;
    }
    const std::string ago = since(status, text_of(edge, "heard_at"));
    absent += fmt::format("{} {}", absent.empty() ? "; windows close without" : ",", printable(text_of(edge, "site")));
    if (!ago.empty()) absent += fmt::format(" (heard {} ago)", ago);
  }
  return all.empty() ? "" : fmt::format("{} of {} are heard{}", heard, all.size(), absent);
}

std::string queries(const json& counts) {
  std::string text = fmt::format("{} running", count_of(counts, "running"));
  if (count_of(counts, "plain") != 0) text += fmt::format(", {} views", count_of(counts, "plain"));
  if (count_of(counts, "paused") != 0) text += fmt::format(", {} paused", count_of(counts, "paused"));
  if (count_of(counts, "failed") != 0)
    text += fmt::format(", {} FAILED: backstream query list", count_of(counts, "failed"));
  return text;
}

}  // namespace

std::string status_text(const json& status) {
  std::string text;
  const auto line = [&](const char* label, const std::string& value) {
    if (!value.empty()) text += fmt::format("{:<11} {}\n", label, value);
  };
  const auto ready = status.is_object() ? status.find("ready") : status.end();
  const bool is_ready = status.is_object() && ready != status.end() && *ready == true;
  const std::string reasons = joined(list_of(status, "not_ready"), "; ");
  line("ready", is_ready ? "yes" : "NO" + (reasons.empty() ? "" : ": " + reasons));
  std::string node = printable(text_of(status, "node"));
  if (const std::string site = text_of(status, "site"); !site.empty()) node += ", site " + printable(site);
  if (const std::string roles = joined(list_of(status, "roles"), ", "); !roles.empty()) node += ", roles " + roles;
  line("node", fmt::format("{}, version {}", node, printable(text_of(status, "version"))));
  const std::string started = text_of(status, "started_at");
  if (!started.empty()) line("up", fmt::format("{} (since {} UTC)", since(status, started), short_time(started)));
  line("listening", listeners(status));
  line("edges", edges(status));
  const json& roles_of_node = list_of(status, "roles");
  const bool hears_flows =
      roles_of_node.empty() || std::find(roles_of_node.begin(), roles_of_node.end(), "edge") != roles_of_node.end();
  if (const json& rates = list_of(status, "rates"); hears_flows && rates.is_object()) {
    line("traffic", fmt::format("{} datagrams/s, {} flows/s, {} octets/s (last 10 s)",
                                human_count(number_of(rates, "datagrams").value_or(0)),
                                human_count(number_of(rates, "flows").value_or(0)),
                                human_count(number_of(rates, "octets").value_or(0))));
  }
  if (hears_flows) line("received", received(list_of(status, "ingest")));
  line("LOST", losses(list_of(status, "ingest")));
  if (const json& mark = list_of(status, "watermark"); hears_flows && mark.is_object())
    line("event time", watermark(mark));
  if (const json& exporters = list_of(status, "exporters"); hears_flows && exporters.is_object()) {
    const uint64_t known = count_of(exporters, "known"), sending = count_of(exporters, "sending");
    line("exporters",
         fmt::format("{} sending, of {} known{}", sending, known, sending < known ? ": backstream exporter list" : ""));
  }
  if (const json& counts = list_of(status, "queries"); counts.is_object()) line("queries", queries(counts));
  const json& checkpoint = list_of(status, "checkpoint");
  if (const std::string at = text_of(checkpoint, "at"); !at.empty()) {
    const std::string age = since(status, at);
    line("checkpoint", fmt::format("{}, {} octets", age.empty() ? short_time(at) + " UTC" : age + " ago",
                                   human_count(number_of(checkpoint, "octets").value_or(0))));
  }
  if (const json& history = list_of(status, "history"); history.is_object()) {
    const std::string oldest = text_of(history, "oldest"), trouble = text_of(history, "trouble");
    const std::string from = oldest.empty() ? "" : ", from " + short_time(oldest) + " UTC on";
    line(trouble.empty() ? "history" : "HISTORY", human_count(number_of(history, "octets").value_or(0)) + " octets" +
                                                      from + (trouble.empty() ? "" : "; NOT WRITTEN: " + trouble));
  }
  for (const json& outage : list_of(status, "outages")) {
    const auto clean = outage.is_object() ? outage.find("clean") : outage.end();
    const bool was_clean = outage.is_object() && clean != outage.end() && *clean == true;
    line("outage",
         fmt::format("{} to {} UTC, {}: windows of that time are not complete", short_time(text_of(outage, "from")),
                     short_time(text_of(outage, "until")), was_clean ? "a stop" : "a crash"));
  }
  if (const json& clients = list_of(status, "clients"); clients.is_object())
    line("clients", fmt::format("{} event streams", count_of(clients, "streams")));
  return text;
}

}  // namespace backstream::app
