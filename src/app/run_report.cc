#include "app/run_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

namespace backstream::app {
namespace {

using nlohmann::ordered_json;

constexpr size_t kExportersShown = 10;

double seconds_of(base::Micros micros) { return static_cast<double>(micros) / base::kMicrosPerSecond; }

/// Counters that are not zero: "3 not_udp, 1 fragment".
std::string nonzero(const std::vector<std::pair<std::string_view, uint64_t>>& counters) {
  std::string text;
  for (const auto& [name, count] : counters) {
    if (count != 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
  }
  return text;
}

std::vector<std::pair<std::string_view, uint64_t>> skips(const ingest::IngestStats& stats) {
  std::vector<std::pair<std::string_view, uint64_t>> counters;
  for (size_t i = 0; i < ingest::kIngestSkipCount; ++i)
    counters.emplace_back(ingest::name(static_cast<ingest::IngestSkip>(i)), stats.skipped[i]);
  return counters;
}

std::vector<std::pair<std::string_view, uint64_t>> drops(const ingest::ForwardStats& stats) {
  std::vector<std::pair<std::string_view, uint64_t>> counters;
  for (size_t i = 0; i < ingest::kForwardDropCount; ++i)
    counters.emplace_back(ingest::name(static_cast<ingest::ForwardDrop>(i)), stats.dropped[i]);
  return counters;
}

std::vector<std::pair<std::string_view, uint64_t>> faults(const decode::IngestLedger& ledger) {
  std::vector<std::pair<std::string_view, uint64_t>> counters;
  for (size_t i = 0; i < decode::kDecodeFaultCount; ++i)
    counters.emplace_back(decode::name(static_cast<decode::DecodeFault>(i)), ledger.faults[i]);
  return counters;
}

std::vector<std::pair<std::string_view, uint64_t>> value_errors(const exec::WindowLedger& ledger) {
  std::vector<std::pair<std::string_view, uint64_t>> counters;
  for (size_t i = 0; i < static_cast<size_t>(expr::ValueError::kCount); ++i)
    counters.emplace_back(expr::sqlstate(static_cast<expr::ValueError>(i)), ledger.value_errors.by_kind[i]);
  return counters;
}

ordered_json counters_json(const std::vector<std::pair<std::string_view, uint64_t>>& counters) {
  ordered_json json = ordered_json::object();
  for (const auto& [name, count] : counters) json[std::string(name)] = count;
  return json;
}

void add_ledger(ordered_json& json, const decode::IngestLedger& ledger) {
  json["datagrams"] = ledger.datagrams;
  json["decoded"] = ledger.decoded;
  json["rejected"] = ledger.rejected;
  json["undecodable"] = ledger.undecodable;
  json["records"] = ledger.records;
  json["flows"] = ledger.flows;
  json["events"] = ledger.events;
  json["option_rows"] = ledger.option_rows;
  json["malformed"] = ledger.malformed;
  json["awaiting_template"] = ledger.awaiting_template;
  json["counter_samples"] = ledger.counter_samples;
  json["discard_samples"] = ledger.discard_samples;
  json["agent_drops"] = ledger.agent_drops;
  json["missing"] = ledger.missing;
  json["duplicates"] = ledger.duplicates;
  json["exporter_restarts"] = ledger.exporter_restarts;
  json["sets_held"] = ledger.sets_held;
  json["sets_released"] = ledger.sets_released;
  json["templates_expired"] = ledger.templates_expired;
  json["sampling_unknown_rows"] = ledger.sampling_unknown_rows;
  json["counter_overflow"] = ledger.counter_overflow;
  json["element_unreadable"] = ledger.element_unreadable;
  json["faults"] = counters_json(faults(ledger));
}

/// Counters of a minute or of a window, those that are not zero. A change may be downwards: data that a minute left
/// waiting for its template, or missing, may come in the next one.
ordered_json ledger_change(const decode::IngestLedger& change) {
  ordered_json all, json = ordered_json::object();
  add_ledger(all, change);
  all.erase("faults");
  for (auto& [key, value] : all.items()) {
    if (value != 0) json[key] = static_cast<int64_t>(value.get<uint64_t>());
  }
  ordered_json reasons = ordered_json::object();
  for (const auto& [name, count] : faults(change)) {
    if (count != 0) reasons[std::string(name)] = static_cast<int64_t>(count);
  }
  if (!reasons.empty()) json["faults"] = reasons;
  return json;
}

/// The ingest ledger of all exporters in the minutes that a span of time touches.
decode::IngestLedger ingested(const std::map<base::Micros, decode::IngestLedger>& minutes, base::Micros begin,
                              base::Micros end) {
  decode::IngestLedger sum;
  const auto last = minutes.lower_bound(end);
  for (auto at = minutes.lower_bound(base::floor_to(begin, 60 * base::kMicrosPerSecond)); at != last; ++at)
    sum += at->second;
  return sum;
}

/// "192.0.2.1 (4 rows), 192.0.2.2 (1 rows) and 3 more": exporters of which `count_of` is not 0, the greatest first.
template <typename CountOf>
std::string name_exporters(const RunReport& report, std::string_view unit, CountOf&& count_of) {
  constexpr size_t kNamed = 5;
  std::vector<std::pair<uint64_t, const RunReport::Exporter*>> list;
  for (const RunReport::Exporter& exporter : report.exporters) {
    if (const uint64_t count = count_of(exporter.ledger); count != 0) list.emplace_back(count, &exporter);
  }
  std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string named;
  for (size_t i = 0; i < std::min(list.size(), kNamed); ++i)
    named += fmt::format("{}{} ({}{})", i == 0 ? "" : ", ", list[i].second->address, list[i].first, unit);
  if (list.size() > kNamed) named += fmt::format(" and {} more", list.size() - kNamed);
  return named;
}

/// Which exporters told no sampling rate, those with most rows first, and what to set.
std::string sampling_unknown_text(const RunReport& report) {
  const std::string named =
      name_exporters(report, " rows", [](const decode::IngestLedger& ledger) { return ledger.sampling_unknown_rows; });
  const std::string first = named.substr(0, named.find(' '));
  return fmt::format(
      "  !! sampling rate unknown, octets and packets are as exported, not scaled: {}; set exporter.{}.sampling_rate, "
      "or "
      "decode.sampling_default for all (1: not sampled)\n",
      named, first.empty() ? "PREFIX" : first);
}

}  // namespace

double RunReport::records_per_second() const {
  return seconds > 0 ? static_cast<double>(decoded.records) / seconds : 0;
}

base::Micros delay_that_keeps_all(const RunReport::View& view) {
  const base::Micros delay = view.delay_us + view.ledger.late_by_max_us;
  const base::Micros step = delay >= base::kMicrosPerSecond ? base::kMicrosPerSecond : base::kMicrosPerMilli;
  return base::floor_to(delay + step - 1, step);
}

std::string summary_text(const RunReport& report) {
  const decode::IngestLedger& total = report.decoded;
  std::string text =
      fmt::format("{} records in {:.3f} s ({:.2f} M records/s), {} datagrams, {:.1f} MB, {} exporter{}\n",
                  total.records, report.seconds, report.records_per_second() / 1e6, total.datagrams,
                  static_cast<double>(report.ingest.octets) / 1e6, report.exporters.size(),
                  report.exporters.size() == 1 ? "" : "s");
  text += fmt::format("  datagrams {} = {} decoded + {} rejected + {} undecodable; {} dropped by the kernel\n",
                      total.datagrams, total.decoded, total.rejected, total.undecodable, report.ingest.kernel_drops);
  text += fmt::format(
      "  records   {} = {} flows + {} events + {} option rows + {} malformed + {} awaiting template; {} missing\n",
      total.records, total.flows, total.events, total.option_rows, total.malformed, total.awaiting_template,
      total.missing);
  if (total.agent_drops != 0)
    text += fmt::format("  !! agents took {} samples that they could not send\n", total.agent_drops);
  if (const std::string list = nonzero(skips(report.ingest)); !list.empty())
    text += fmt::format("  skipped   {} of {} frames: {}\n",
                        report.ingest.frames - std::min(report.ingest.frames, report.ingest.datagrams),
                        report.ingest.frames, list);
  if (!report.ingest.rejected.empty()) {
    std::string list;
    for (const auto& [address, count] : report.ingest.rejected)
      list += fmt::format("{}{} {}", list.empty() ? "" : ", ", base::to_string(address), count);
    const bool all = report.ingest.rejected.size() < ingest::IngestStats::kRejectedNamedMax;
    text += fmt::format("  !! not in ingest.allow: {}{}\n", list, all ? "" : ", and perhaps others");
  }
  if (report.ingest.sockets.size() > 1) {
    for (const ingest::SocketStats& socket : report.ingest.sockets)
      text += fmt::format("  socket    {} port {}: {} datagrams, {} dropped by the kernel\n", socket.address,
                          socket.port, socket.datagrams, socket.kernel_drops);
  }
  for (const ingest::TopicStats& topic : report.ingest.topics) {
    text += fmt::format("  topic     {}: {} records", topic.name, topic.records);
    if (topic.behind != 0) text += fmt::format(", {} not read yet", topic.behind);
    if (topic.lost != 0) text += fmt::format("; {} lost: removed before they were read, or damaged", topic.lost);
    text += '\n';
  }
  if (report.flows_sent) {
    text +=
        fmt::format("  sent      {} flows in {} records, {:.1f} octets a flow; {} found no room, {} were not taken\n",
                    report.flows_sent->delivered, report.flows_sent->records,
                    static_cast<double>(report.flows_sent->octets) /
                        static_cast<double>(std::max<uint64_t>(report.flows_sent->units, 1)),
                    report.flows_sent->dropped, report.flows_sent->failed + report.flows_sent->waiting);
  }
  for (const ingest::ForwardStats& forward : report.forwards) {
    text += fmt::format("  forward   {} {}: {} datagrams sent", forward.name, forward.to, forward.sent);
    if (forward.own_source != 0) text += fmt::format(", {} of them from our own address", forward.own_source);
    if (forward.refusals != 0) text += fmt::format("; {} answers that nobody listens there", forward.refusals);
    if (const std::string list = nonzero(drops(forward)); !list.empty()) text += fmt::format("; dropped: {}", list);
    text += '\n';
  }
  if (const std::string list = nonzero(faults(total)); !list.empty()) {
    const std::string named = name_exporters(report, "", [](const decode::IngestLedger& ledger) {
      return std::accumulate(ledger.faults.begin(), ledger.faults.end(), uint64_t{0});
    });
    text += fmt::format("  faults    {}{}{}\n", list, named.empty() ? "" : "; from ", named);
  }
  if (total.duplicates != 0 || total.exporter_restarts != 0)
    text += fmt::format("  sequence  {} datagrams came twice; exporters began anew {} times\n", total.duplicates,
                        total.exporter_restarts);
  if (report.sequence_early != 0)
    text += fmt::format("  !! {} sequence numbers were not put in order: losses may be counted that were none\n",
                        report.sequence_early);
  if (total.sampling_unknown_rows != 0) text += sampling_unknown_text(report);
  if (total.counter_overflow != 0)
    text += fmt::format("  !! {} counters do not fit bigint and are null\n", total.counter_overflow);
  if (total.element_unreadable != 0)
    text +=
        fmt::format("  !! {} values of elements cannot be read as their type and are null\n", total.element_unreadable);

  std::vector<const RunReport::Exporter*> exporters;
  for (const auto& exporter : report.exporters) exporters.push_back(&exporter);
  const size_t shown = std::min(exporters.size(), kExportersShown);
  std::partial_sort(exporters.begin(), exporters.begin() + static_cast<std::ptrdiff_t>(shown), exporters.end(),
                    [](auto* a, auto* b) { return a->ledger.records > b->ledger.records; });
  for (size_t i = 0; i < shown; ++i) {
    const RunReport::Exporter& exporter = *exporters[i];
    text += fmt::format("  exporter  {} {}: {} datagrams, {} flows, {} missing", exporter.address, exporter.protocols,
                        exporter.ledger.datagrams, exporter.ledger.flows, exporter.ledger.missing);
    if (exporter.clock.timed) text += fmt::format(", delay {:.1f} s", seconds_of(exporter.clock.delay_p999_us));
    if (exporter.clock.shift_us != 0)
      text += fmt::format(", clock shifted by {:.1f} s", seconds_of(exporter.clock.shift_us));
    if (exporter.clock.held) text += ", too far behind to hold the watermark";
    if (exporter.ledger.sampling_unknown_rows != 0) text += ", sampling unknown";
    text += '\n';
  }
  if (shown < exporters.size())
    text += fmt::format("  exporter  ... and {} more (--stats has all)\n", exporters.size() - shown);

  for (const RunReport::View& view : report.views) {
    const exec::WindowLedger& ledger = view.ledger;
    text += fmt::format(
        "  {}: {} windows, {} rows; {} assigned = {} counted + {} filtered + {} late + {} errored + {} shed\n",
        view.name, ledger.windows_closed, ledger.result_rows, ledger.assigned, ledger.counted, ledger.filtered,
        ledger.late, ledger.errored, ledger.shed);
    if (!view.failure.empty()) text += fmt::format("  !! {}: stopped: {}\n", view.name, view.failure);
    if (ledger.shed != 0)
      text += fmt::format(
          "  !! {}: {} rows ({} octets) were shed, because the query held all that it may: their windows are not "
          "complete\n",
          view.name, ledger.shed, ledger.shed_octets);
    if (ledger.late != 0)
      text += fmt::format("  !! {}: {} rows were late; --delay '{}' would have kept them all{}\n", view.name,
                          ledger.late, base::format_duration(delay_that_keeps_all(view)),
                          view.late_relation.empty() ? "" : fmt::format("; --view {} shows them", view.late_relation));
    if (ledger.time_null != 0) text += fmt::format("  !! {}: {} rows without a time\n", view.name, ledger.time_null);
    if (ledger.time_future != 0)
      text += fmt::format("  !! {}: {} rows from the future were refused\n", view.name, ledger.time_future);
    if (ledger.refused != 0)
      text += fmt::format("  !! {}: {} rows found no room in a stage above the first\n", view.name, ledger.refused);
    if (ledger.spread_without_span != 0)
      text += fmt::format("  !! {}: {} of {} spread rows have no start or end, or end before they start\n", view.name,
                          ledger.spread_without_span, ledger.spread_rows);
    if (ledger.spread_too_long != 0)
      text += fmt::format("  !! {}: {} of {} rows are too long to be spread\n", view.name, ledger.spread_too_long,
                          ledger.spread_rows);
    if (const std::string list = nonzero(value_errors(ledger)); !list.empty())
      text += fmt::format("  !! {}: values that could not be computed, by SQLSTATE: {}\n", view.name, list);
    if (ledger.sum_overflow != 0)
      text += fmt::format("  !! {}: {} sums do not fit their type and are null\n", view.name, ledger.sum_overflow);
    if (ledger.capped_groups != 0)
      text += fmt::format("  !! {}: {} results are null: their groups have more values than are kept\n", view.name,
                          ledger.capped_groups);
    if (ledger.negative_weights != 0)
      text += fmt::format("  !! {}: {} results are null: of a negative weight\n", view.name, ledger.negative_weights);
  }
  for (const RunReport::Table& table : report.tables) {
    std::string skipped;
    for (const auto& [reason, count] : table.skipped)
      if (count != 0) skipped += fmt::format("{}{} {}", skipped.empty() ? "" : ", ", reason, count);
    text += fmt::format("  table     {}: {} rows", table.name, table.rows);
    if (table.loaded > 1) text += fmt::format(", read {} times", table.loaded);
    if (!skipped.empty()) text += fmt::format("; entries left out: {}", skipped);
    text += '\n';
    if (table.failed != 0) text += fmt::format("  !! {} could not be used {} times\n", table.file, table.failed);
  }
  if (report.as_filled + report.as_unknown != 0)
    text += fmt::format("  AS        {} filled from the table, {} stay unknown\n", report.as_filled, report.as_unknown);
  if (report.interrupted) text += "  !! interrupted: windows hold what had been read until then\n";
  return text;
}

std::string stats_json(const RunReport& report) {
  ordered_json json;
  json["version"] = BACKSTREAM_VERSION;
  json["seconds"] = report.seconds;
  json["cpu_seconds"] = report.cpu_seconds;
  json["records"] = report.decoded.records;
  json["records_per_second"] = report.records_per_second();
  json["threads"] = report.threads;
  json["edges"] = report.edges;
  json["interrupted"] = report.interrupted;
  json["rows_written"] = report.rows_written;
  json["watermark"] =
      report.watermark_us == base::kMinTime ? ordered_json() : ordered_json(base::format_rfc3339(report.watermark_us));

  ordered_json& ingest = json["ingest"];
  ingest["frames"] = report.ingest.frames;
  ingest["datagrams"] = report.ingest.datagrams;
  ingest["octets"] = report.ingest.octets;
  ingest["kernel_drops"] = report.ingest.kernel_drops;
  ingest["truncated"] = report.ingest.truncated;
  ingest["skipped"] = counters_json(skips(report.ingest));
  ingest["warnings"] = report.ingest.warnings;
  ingest["rejected"] = ordered_json::array();
  for (const auto& [address, count] : report.ingest.rejected)
    ingest["rejected"].push_back({{"address", base::to_string(address)}, {"datagrams", count}});
  ingest["sockets"] = ordered_json::array();
  for (const ingest::SocketStats& socket : report.ingest.sockets) {
    ordered_json& out = ingest["sockets"].emplace_back();
    out["address"] = socket.address;
    out["port"] = socket.port;
    out["datagrams"] = socket.datagrams;
    out["octets"] = socket.octets;
    out["kernel_drops"] = socket.kernel_drops;
    out["buffer_octets"] = socket.buffer_octets;
  }

  ingest["topics"] = ordered_json::array();
  for (const ingest::TopicStats& topic : report.ingest.topics) {
    ingest["topics"].push_back({{"name", topic.name},
                                {"records", topic.records},
                                {"octets", topic.octets},
                                {"lost", topic.lost},
                                {"failures", topic.failures},
                                {"behind", topic.behind}});
  }
  if (report.flows_sent) {
    ordered_json& out = json["flows_sent"];
    out["records"] = report.flows_sent->records;
    out["octets"] = report.flows_sent->octets;
    out["delivered"] = report.flows_sent->delivered;
    out["failed"] = report.flows_sent->failed + report.flows_sent->waiting;
    out["dropped"] = report.flows_sent->dropped;
  }

  json["forward"] = ordered_json::array();
  for (const ingest::ForwardStats& forward : report.forwards) {
    ordered_json& out = json["forward"].emplace_back();
    out["name"] = forward.name;
    out["to"] = forward.to;
    out["source_kept"] = forward.source_kept;
    out["sent"] = forward.sent;
    out["octets"] = forward.octets;
    out["own_source"] = forward.own_source;
    out["refusals"] = forward.refusals;
    out["dropped"] = counters_json(drops(forward));
  }

  add_ledger(json["decode"], report.decoded);
  json["decode"]["sequence_early"] = report.sequence_early;
  json["exporters"] = ordered_json::array();
  for (const RunReport::Exporter& exporter : report.exporters) {
    ordered_json& out = json["exporters"].emplace_back();
    out["address"] = exporter.address;
    out["protocols"] = exporter.protocols;
    add_ledger(out, exporter.ledger);
    out["delay_p999_seconds"] = seconds_of(exporter.clock.delay_p999_us);
    out["clock_shift_seconds"] = seconds_of(exporter.clock.shift_us);
    out["datagrams_shifted"] = exporter.clock.datagrams_shifted;
    out["datagrams_from_future"] = exporter.clock.future_refused;
    out["idle"] = exporter.clock.idle;
    out["held"] = exporter.clock.held;
  }
  json["ingest_minutes"] = ordered_json::array();
  std::map<base::Micros, decode::IngestLedger> minutes;
  for (const decode::MinuteLedger& minute : report.minutes) {
    ordered_json& out = json["ingest_minutes"].emplace_back();
    out["minute"] = base::format_rfc3339(minute.minute);
    out["exporter"] = report.exporters[minute.exporter].address;
    out.update(ledger_change(minute.ledger));
    minutes[minute.minute] += minute.ledger;
  }
  json["tables"] = ordered_json::array();
  for (const RunReport::Table& table : report.tables) {
    ordered_json& out = json["tables"].emplace_back();
    out["name"] = table.name;
    out["file"] = table.file;
    out["rows"] = table.rows;
    out["loaded"] = table.loaded;
    out["failed"] = table.failed;
    out["skipped"] = ordered_json::object();
    for (const auto& [reason, count] : table.skipped) out["skipped"][reason] = count;
  }
  json["as_filled"] = report.as_filled;
  json["as_unknown"] = report.as_unknown;
  json["views"] = ordered_json::array();
  for (const RunReport::View& view : report.views) {
    const exec::WindowLedger& ledger = view.ledger;
    ordered_json& out = json["views"].emplace_back();
    out["name"] = view.name;
    out["failed"] = view.failure.empty() ? ordered_json() : ordered_json(view.failure);
    out["windows_closed"] = ledger.windows_closed;
    out["result_rows"] = ledger.result_rows;
    out["assigned"] = ledger.assigned;
    out["counted"] = ledger.counted;
    out["filtered"] = ledger.filtered;
    out["late"] = ledger.late;
    out["errored"] = ledger.errored;
    out["shed"] = ledger.shed;
    out["shed_octets"] = ledger.shed_octets;
    out["time_null"] = ledger.time_null;
    out["time_future"] = ledger.time_future;
    out["late_unkept"] = ledger.late_unkept;
    out["box_tuples_refused"] = ledger.box_tuples_refused;
    out["box_windows_skipped"] = ledger.box_windows_skipped;
    out["refused"] = ledger.refused;
    out["spread_rows"] = ledger.spread_rows;
    out["spread_without_span"] = ledger.spread_without_span;
    out["spread_too_long"] = ledger.spread_too_long;
    out["sum_overflow"] = ledger.sum_overflow;
    out["capped_groups"] = ledger.capped_groups;
    out["negative_weights"] = ledger.negative_weights;
    out["value_errors"] = counters_json(value_errors(ledger));
    out["delay_seconds"] = seconds_of(view.delay_us);
    out["delay_needed_seconds"] =
        ledger.late == 0 ? ordered_json() : ordered_json(seconds_of(delay_that_keeps_all(view)));
    out["windows"] = ordered_json::array();
    for (const exec::WindowRecord& window : view.windows) {
      ordered_json& record = out["windows"].emplace_back();
      record["window_start"] = base::format_rfc3339(window.start);
      record["window_end"] = base::format_rfc3339(window.end);
      record["revision"] = window.revision;
      record["assigned"] = window.counts.assigned;
      record["counted"] = window.counts.counted;
      record["filtered"] = window.counts.filtered;
      record["late"] = window.counts.late;
      record["errored"] = window.counts.errored;
      record["shed"] = window.counts.shed;
      record["shed_octets"] = window.counts.shed_octets;
      record["complete"] = window.counts.shed == 0;
      record["ingest"] = ledger_change(ingested(minutes, window.start, window.end));
    }
  }
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace backstream::app
