#include "service/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace backstream::service {
namespace {

using base::Micros;
using enum CheckState;
using Exporter = DoctorInput::Exporter;

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kMinute = 60 * kSecond;

// Beyond these something is told.
constexpr Micros kSilent = 5 * kMinute;           // an exporter that sends sends every minute
constexpr Micros kForgotten = 24 * 60 * kMinute;  // silent for so long: it was taken away
constexpr double kLateShareMax = 0.001;           // of rows; what the exporters' delay_p999 is about
constexpr double kMissingShareMax = 0.001;
constexpr double kUnreadableShareMax = 0.001;
constexpr Micros kClockOffsetMax = 2 * kSecond;
constexpr Micros kLagMax = 5 * kMinute;  // beyond the delay
constexpr double kDiskFreeWarning = 0.10, kDiskFreeError = 0.05;
constexpr double kLimitWarning = 0.80, kLimitError = 0.95;
constexpr double kMemoryWarning = 0.80, kMemoryError = 0.92;
constexpr Micros kHistoryFullRecent = 60 * 60 * kSecond;
constexpr Micros kSinkLagWarning = kMinute;
constexpr Micros kOutageRecent = 24 * 60 * kMinute;
constexpr Micros kClockStepRecent = 60 * kMinute;
constexpr size_t kNamesMax = 3;

// --- words ----------------------------------------------------------------------------------------------------------

std::string rough(Micros duration) {
  const auto seconds = static_cast<int64_t>(std::llround(static_cast<double>(duration) / kSecond));
  if (std::abs(duration) < 10 * kSecond) return fmt::format("{:.1f} s", static_cast<double>(duration) / kSecond);
  if (std::abs(seconds) < 120) return fmt::format("{} s", seconds);
  if (std::abs(seconds) < 2 * 3'600) return fmt::format("{} min", seconds / 60);
  if (std::abs(seconds) < 2 * 86'400) return fmt::format("{} h", seconds / 3'600);
  return fmt::format("{} d", seconds / 86'400);
}

/// "since 2026-01-31T12:00:00Z (5 min)". Fractions of seconds help nobody here.
std::string since(const DoctorInput& input, Micros at) {
  return fmt::format("since {} ({})", base::format_rfc3339(base::floor_to(at, kSecond)), rough(input.now - at));
}

std::string octets(uint64_t count) {
  constexpr std::pair<uint64_t, std::string_view> kUnits[] = {
      {uint64_t{1} << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}};
  for (const auto& [size, unit] : kUnits) {
    if (count < size) continue;
    const double value = static_cast<double>(count) / static_cast<double>(size);
    return value < 10 ? fmt::format("{:.1f} {}", value, unit) : fmt::format("{:.0f} {}", value, unit);
  }
  return fmt::format("{} B", count);
}

/// With thousands apart.
std::string grouped(uint64_t count) {
  std::string text;
  for (; count >= 1000; count /= 1000) text = fmt::format(",{:03}{}", count % 1000, text);
  return fmt::format("{}{}", count, text);
}

std::string plural(size_t count, std::string_view what, std::string_view many = "") {
  const bool one = count == 1;
  return fmt::format("{} {}{}", grouped(count), one || many.empty() ? what : many, one || !many.empty() ? "" : "s");
}

std::string recent(const DoctorInput& input) {
  return input.recent_us > 0 ? fmt::format("in the last {}", rough(input.recent_us)) : "lately";
}

double share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string percent(double value) { return fmt::format("{:.{}f} %", value * 100, value < 0.1 ? 2 : 0); }

/// The first few texts, and how many there are besides.
class Names {
 public:
  void add(std::string_view name) {
    ++count_;
    if (count_ > kNamesMax) return;
    if (!text_.empty()) text_ += ", ";
    text_ += name;
  }
  size_t count() const { return count_; }
  std::string text() const {
    return count_ <= kNamesMax ? text_ : text_ + fmt::format(" and {} more", count_ - kNamesMax);
  }

 private:
  std::string text_;
  size_t count_ = 0;
};

/// The setting of an exporter, as it stands in the file of settings.
std::string exporter_setting(std::string_view address, std::string_view line) {
  return fmt::format("[exporter.\"{}\"]\n{}", address, line);
}

/// Rounded up to whole seconds, a tenth more than was needed.
std::string delay_for(Micros needed) { return fmt::format("{} s", (needed / 10 * 11 + kSecond - 1) / kSecond); }

// --- checks, in the order of their ids ------------------------------------------------------------------------------

using Checks = std::vector<Check>;

void check_config(const DoctorInput& input, Checks& out) {
  if (!input.config) return;
  const DoctorInput::Config& config = *input.config;
  std::string files;
  for (const std::string& file : config.files) files += (files.empty() ? "" : ", ") + file;
  const std::string tell =
      "backstream config check" + (config.files.empty() ? std::string() : " --config " + config.files.front());
  if (!config.errors.empty()) {
    out.push_back({"D01", kError,
                   fmt::format("settings have {}: {}", plural(config.errors.size(), "mistake"), config.errors.front()),
                   tell});
  } else if (config.reload_failed) {
    out.push_back({"D01", kError,
                   fmt::format("the last reload was refused: settings are those {}",
                               config.loaded_at ? since(input, *config.loaded_at) : std::string("of the start")),
                   tell + "\nthen: systemctl reload backstream"});
  } else if (!config.warnings.empty()) {
    out.push_back({"D01", kWarning, fmt::format("settings: {}", config.warnings.front()), tell});
  } else {
    out.push_back(
        {"D01", kOk,
         files.empty() ? "settings are valid (no file: the defaults)" : fmt::format("settings are valid ({})", files),
         ""});
  }
}

void check_listeners(const DoctorInput& input, Checks& out) {
  if (!input.listeners) return;
  Names open, closed;
  std::string fix;
  for (const DoctorInput::Listener& listener : *input.listeners) {
    if (listener.error.empty()) {
      open.add(listener.address);
      continue;
    }
    closed.add(fmt::format("{} ({})", listener.address, listener.error));
    const std::string port = listener.address.substr(listener.address.rfind(':') + 1);
    if (!fix.empty()) fix += '\n';
    fix += fmt::format("who has it: ss -lnp 'sport = :{}'", port);
    if (!listener.hint.empty()) fix += "; " + listener.hint;
  }
  const bool live = input.started_at.has_value();
  if (closed.count() != 0) {
    out.push_back({"D02", kError, fmt::format("cannot listen on {}", closed.text()), fix});
  } else if (open.count() == 0) {
    out.push_back({"D02", kError, "nothing listens for flows", "set listen.flow, such as [\"udp://[::]:2055\"]"});
  } else {
    out.push_back({"D02", kOk, fmt::format("{} {}", live ? "listening on" : "free to listen on:", open.text()), ""});
  }
}

void check_exporters(const DoctorInput& input, Checks& out) {
  if (!input.exporters) return;
  size_t sending = 0, known = 0;
  std::vector<const Exporter*> silent;
  for (const Exporter& exporter : *input.exporters) {
    const Micros quiet = exporter.last_seen ? input.now - *exporter.last_seen : base::kMaxTime;
    if (quiet > kForgotten) continue;
    ++known;
    if (quiet <= kSilent) ++sending;
    else silent.push_back(&exporter);
  }
  const std::string look = "is the router up, is its export on, does a firewall drop UDP? On this machine: ";
  if (known == 0) {
    std::string ports;
    if (input.listeners) {
      for (const DoctorInput::Listener& listener : *input.listeners)
        if (listener.address.starts_with("udp"))
          ports += fmt::format("{}port {}", ports.empty() ? "" : " or ",
                               listener.address.substr(listener.address.rfind(':') + 1));
    }
    out.push_back({"D03", kWarning,
                   fmt::format("no exporter has sent anything{}",
                               input.started_at ? fmt::format(" {}", since(input, *input.started_at)) : ""),
                   fmt::format("lines for a router: backstream exporter snippet junos --collector ADDRESS\n{}"
                               "tcpdump -ni any udp and '({})'",
                               look, ports.empty() ? "port 2055" : ports)});
    return;
  }
  if (silent.empty()) {
    out.push_back({"D03", kOk, fmt::format("exporters: {} known, all sending", known), ""});
    return;
  }
  std::sort(silent.begin(), silent.end(),
            [](const Exporter* a, const Exporter* b) { return *a->last_seen > *b->last_seen; });
  Names names;
  for (const Exporter* const exporter : silent)
    names.add(fmt::format("{} {}", exporter->address, since(input, *exporter->last_seen)));
  out.push_back({"D03", sending == 0 ? kError : kWarning,
                 fmt::format("exporters: {} known, {} sending; silent: {}", known, sending, names.text()),
                 fmt::format("{}tcpdump -ni any udp and host {}", look, silent.front()->address)});
}

void check_admission(const DoctorInput& input, Checks& out) {
  if (!input.admission) return;
  const DoctorInput::Admission& admission = *input.admission;
  if (admission.open) {
    std::string list;
    size_t count = 0;
    if (input.exporters) {
      for (const Exporter& exporter : *input.exporters) {
        if (++count > 8) break;
        list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", exporter.address);
      }
    }
    out.push_back({"D04", kWarning,
                   "flows are taken from any address: whoever can send here can forge flows (listen.flow is not "
                   "loopback, and ingest.allow names nobody, or everybody)",
                   fmt::format("[ingest]\nallow = [{}]", list.empty() ? "\"192.0.2.0/24\"" : list)});
  } else if (admission.recent_rejected != 0) {
    Names names;
    for (const auto& [address, datagrams] : admission.rejected) names.add(address);
    out.push_back({"D04", kWarning,
                   fmt::format("{} {} came from addresses that ingest.allow does not hold: {}",
                               plural(admission.recent_rejected, "datagram"), recent(input),
                               names.count() == 0 ? "no longer known" : names.text()),
                   admission.rejected.empty()
                       ? "backstream status"
                       : fmt::format("if it is yours, add \"{}\" to ingest.allow and: systemctl reload backstream",
                                     admission.rejected.front().first)});
  } else {
    out.push_back({"D04", kOk,
                   admission.listed ? "only exporters of ingest.allow are heard, none was turned away"
                                    : "flows are taken from this machine only",
                   ""});
  }
}

void check_sampling(const DoctorInput& input, Checks& out) {
  if (!input.exporters) return;
  Names names;
  std::string first;
  for (const Exporter& exporter : *input.exporters) {
    if (exporter.recent_unknown_sampling == 0) continue;
    if (first.empty()) first = exporter.address;
    names.add(exporter.address);
  }
  if (names.count() == 0) {
    out.push_back({"D05", kOk, "the sampling rate of all flows is known", ""});
    return;
  }
  out.push_back({"D05", kWarning,
                 fmt::format("sampling rate unknown, octets and packets are counted unscaled: {}", names.text()),
                 exporter_setting(first, "sampling_rate = 1000  # 1 in N packets, as the router is set; 1: unsampled") +
                     "\nor have the router tell it: backstream exporter snippet"});
}

void check_templates(const DoctorInput& input, Checks& out) {
  if (!input.exporters) return;
  Names names;
  uint64_t sets = 0;
  for (const Exporter& exporter : *input.exporters) {
    if (exporter.recent_awaiting == 0) continue;
    sets += exporter.recent_awaiting;
    names.add(exporter.address);
  }
  if (names.count() == 0) {
    out.push_back({"D06", kOk, "templates are there for all data", ""});
    return;
  }
  out.push_back(
      {"D06", kWarning,
       fmt::format("{} {} whose template has not come, from {}", plural(sets, "data set"), recent(input), names.text()),
       "set the router's template refresh to 60 s or less; until the next one its flows are lost\n"
       "to keep templates over a restart set decode.state_file"});
}

void check_decoding(const DoctorInput& input, Checks& out) {
  if (!input.exporters) return;
  Names names;
  uint64_t faults = 0;
  for (const Exporter& exporter : *input.exporters) {
    if (share(exporter.recent_unreadable, exporter.recent_datagrams) <= kUnreadableShareMax) continue;
    faults += exporter.recent_unreadable;
    names.add(fmt::format("{} ({})", exporter.address, exporter.fault));
  }
  if (names.count() == 0) {
    out.push_back({"D07", kOk, "what exporters send can be read", ""});
    return;
  }
  out.push_back({"D07", kWarning,
                 fmt::format("{} {} could not be read, from {}", plural(faults, "thing"), recent(input), names.text()),
                 "what each reason means: docs/operations.md, decode.faults; a capture helps us to help:\n"
                 "tcpdump -ni any -s0 -c 1000 -w /tmp/flows.pcap udp and host ADDRESS"});
}

void check_missing(const DoctorInput& input, Checks& out) {
  if (!input.exporters) return;
  Names names;
  for (const Exporter& exporter : *input.exporters) {
    // Its numbers count datagrams in NetFlow v9, records or samples in the others.
    const bool datagrams = exporter.protocols.find("v9") != std::string::npos;
    const uint64_t got = datagrams ? exporter.recent_datagrams : exporter.recent_flows;
    const double missing = share(exporter.recent_missing, got + exporter.recent_missing);
    if (missing > kMissingShareMax) names.add(fmt::format("{} ({})", exporter.address, percent(missing)));
  }
  if (names.count() == 0) {
    out.push_back({"D08", kOk, "by sequence numbers nothing is missing", ""});
    return;
  }
  out.push_back({"D08", kWarning,
                 fmt::format("by sequence numbers flows are missing {}: {}", recent(input), names.text()),
                 "mend D09 first if it warns; else they are lost on the way: ip -s link; ask the router for drops of "
                 "its export (junos: show services accounting errors)"});
}

void check_buffers(const DoctorInput& input, Checks& out) {
  if (!input.listeners) return;
  Names small, dropping;
  uint64_t drops = 0, asked = 0, granted = 0;
  for (const DoctorInput::Listener& listener : *input.listeners) {
    if (listener.recent_drops != 0) {
      drops += listener.recent_drops;
      dropping.add(listener.address);
    }
    if (listener.error.empty() && listener.buffer_octets < listener.buffer_asked_octets) {
      granted = listener.buffer_octets;
      asked = std::max(asked, listener.buffer_asked_octets);
      small.add(listener.address);
    }
  }
  std::string text, fix;
  if (small.count() != 0) {
    text = fmt::format("receive buffer is {} of {} asked ({})", octets(granted), octets(asked), small.text());
    fix = fmt::format(
        "sysctl -w net.core.rmem_max={0}; to keep it: echo net.core.rmem_max={0} > "
        "/etc/sysctl.d/60-backstream.conf\nthen: systemctl restart backstream",
        asked);
  }
  if (drops != 0) {
    text += fmt::format("{}the kernel dropped {} {} ({})", text.empty() ? "" : "; ", plural(drops, "datagram"),
                        recent(input), dropping.text());
    if (fix.empty())
      fix = "set ingest.sockets and --threads higher, or ingest.receive_buffer; is the processor busy? top -H";
  }
  if (text.empty()) {
    out.push_back({"D09", kOk, "receive buffers are as asked, the kernel dropped nothing", ""});
    return;
  }
  out.push_back({"D09", drops != 0 ? kError : kWarning, text, fix});
}

void check_delays(const DoctorInput& input, Checks& out) {
  if (!input.exporters && !input.queries) return;
  Names slow, late;
  std::string fix;
  Micros needed = 0;
  if (input.exporters) {
    for (const Exporter& exporter : *input.exporters) {
      if (exporter.delay == 0 || exporter.delay_p999 <= exporter.delay || exporter.recent_datagrams == 0) continue;
      if (slow.count() == 0)
        fix = exporter_setting(exporter.address, fmt::format("delay = \"{}\"", delay_for(exporter.delay_p999)));
      slow.add(fmt::format("{} needs {}, has {}", exporter.address, rough(exporter.delay_p999), rough(exporter.delay)));
    }
  }
  if (input.queries) {
    for (const DoctorInput::Query& query : *input.queries) {
      const double part = share(query.recent_late, query.recent_rows);
      if (part <= kLateShareMax) continue;
      needed = std::max(needed, query.late_by_max);
      late.add(fmt::format("{} ({})", query.name, percent(part)));
    }
  }
  if (slow.count() == 0 && late.count() == 0) {
    out.push_back({"D10", kOk, "rows come in time", ""});
    return;
  }
  std::string text;
  if (late.count() != 0) text = fmt::format("rows come too late for {}", late.text());
  if (slow.count() != 0) text += fmt::format("{}delay too small: {}", text.empty() ? "" : "; ", slow.text());
  const Micros delay = input.watermark ? input.watermark->delay : 0;
  if (fix.empty() && needed != 0)
    fix = fmt::format("[watermark]\ndelay = \"{}\"  # would have kept all", delay_for(delay + needed));
  out.push_back({"D10", kWarning, text,
                 fix +
                     "\nor have the routers export sooner: active timeout 60 s, inactive 15 s\nthen: systemctl reload "
                     "backstream"});
}

void check_exporter_clocks(const DoctorInput& input, Checks& out) {
  if (!input.exporters) return;
  Names names;
  std::vector<Micros> offsets;
  for (const Exporter& exporter : *input.exporters) {
    if (!exporter.clock_offset) continue;
    offsets.push_back(*exporter.clock_offset);
    if (std::abs(*exporter.clock_offset) <= kClockOffsetMax) continue;
    names.add(fmt::format("{} is {} {}", exporter.address, rough(std::abs(*exporter.clock_offset)),
                          *exporter.clock_offset > 0 ? "behind" : "ahead"));
  }
  if (names.count() == 0) {
    out.push_back({"D11", kOk, "the exporters' clocks agree with ours", ""});
    return;
  }
  std::sort(offsets.begin(), offsets.end());
  const Micros median = offsets[offsets.size() / 2];
  // Many clocks that are off by the same are right, and ours is wrong.
  const bool ours = offsets.size() >= 3 && std::abs(median) > kClockOffsetMax &&
                    offsets[offsets.size() * 3 / 4] - offsets[offsets.size() / 4] < kClockOffsetMax;
  if (ours) {
    out.push_back({"D11", kError,
                   fmt::format("our clock is off: {} of {} exporters say {} {}", names.count(), offsets.size(),
                               rough(std::abs(median)), median > 0 ? "earlier" : "later"),
                   "timedatectl; timedatectl set-ntp true"});
    return;
  }
  out.push_back({"D11", kWarning, fmt::format("clocks of exporters differ from ours: {}", names.text()),
                 "set NTP on the router (junos: set system ntp server ADDRESS); beyond watermark.max_skew its times "
                 "are shifted meanwhile"});
}

void check_watermark(const DoctorInput& input, Checks& out) {
  if (!input.watermark) return;
  const DoctorInput::Watermark& watermark = *input.watermark;
  const std::string held = watermark.held_by.empty() ? "" : fmt::format(", held by {}", watermark.held_by);
  if (!watermark.event || *watermark.event == base::kMinTime) {
    out.push_back({"D12", kWarning, "the watermark has not begun: no row had a time yet, so no window can close",
                   "see D03 and D06; backstream exporter wait"});
    return;
  }
  const Micros lag = input.now - *watermark.event;
  Names left_out;
  if (input.exporters) {
    for (const Exporter& exporter : *input.exporters)
      if (exporter.held) left_out.add(exporter.address);
  }
  const std::string behind = fmt::format("the watermark is {} behind our clock{}", rough(lag), held);
  if (lag > watermark.delay + kLagMax) {
    out.push_back(
        {"D12", kError,
         fmt::format("{}: no window after {} has closed", behind,
                     base::format_rfc3339(base::floor_to(*watermark.event, kSecond))),
         watermark.held_by.empty()
             ? std::string("see D03: does anybody send?")
             : fmt::format("look at its clock and its timeouts: backstream exporter show {}", watermark.held_by)});
  } else if (left_out.count() != 0) {
    out.push_back({"D12", kWarning,
                   fmt::format("windows no longer wait for {}: too far behind the others, what it sends is late",
                               left_out.text()),
                   "look at its clock (D11) and its timeouts; see watermark.max_hold"});
  } else {
    out.push_back({"D12", kOk, behind, ""});
  }
}

void check_our_clock(const DoctorInput& input, Checks& out) {
  if (const auto& step = input.clock_step; step && input.now - step->at < kClockStepRecent) {
    const bool back = step->by < 0;
    out.push_back(
        {"D13", kWarning,
         fmt::format("our clock was set {} by {} at {}: {}", back ? "back" : "forward", rough(std::abs(step->by)),
                     base::format_rfc3339(base::floor_to(step->at, kSecond)),
                     back ? "what comes is late until it is where it was"
                          : "windows that were open then closed early, rows of them that came after are late"),
         back ? "windows begin anew with: systemctl kill -s USR1 backstream (drains); systemctl start backstream\n"
                "why it was set: journalctl -u chrony -u systemd-timesyncd -e"
              : "why it was set: journalctl -u chrony -u systemd-timesyncd -e"});
    return;
  }
  if (!input.our_clock) return;
  if (!input.our_clock->synchronized) {
    out.push_back({"D13", kWarning, "our clock is not synchronised: times of exporters cannot be judged",
                   "timedatectl set-ntp true   (or: apt install chrony); then: timedatectl"});
    return;
  }
  out.push_back(
      {"D13", kOk, fmt::format("our clock is synchronised, off by {} at most", rough(input.our_clock->error_max)), ""});
}

void check_queries(const DoctorInput& input, Checks& out) {
  if (!input.queries) return;
  Names failed, paused, shedding, unknown;
  std::string first, lost;
  size_t running = 0;
  for (const DoctorInput::Query& query : *input.queries) {
    const std::string when = query.changed_at ? fmt::format(" {}", since(input, *query.changed_at)) : "";
    if (query.state == "failed") {
      if (first.empty()) first = query.name;
      failed.add(fmt::format("{}{}{}", query.name, when, query.reason.empty() ? "" : ": " + query.reason));
    } else if (query.state == "paused") {
      paused.add(query.name + when);
    } else {
      ++running;
    }
    for (const std::string& site : query.unknown_sites) {
      if (lost.empty()) lost = query.name;
      unknown.add(fmt::format("{} ({})", site, query.name));
    }
    if (query.recent_shed != 0) shedding.add(fmt::format("{} ({} rows)", query.name, grouped(query.recent_shed)));
  }
  if (failed.count() != 0) {
    out.push_back({"D14", kError, fmt::format("stopped: {}", failed.text()),
                   fmt::format("backstream query show {0}; mend it (backstream query alter {0} FILE), or: backstream "
                               "query resume {0}",
                               first)});
  } else if (shedding.count() != 0) {
    out.push_back({"D14", kWarning, fmt::format("drop rows because they hold all that they may: {}", shedding.text()),
                   "group more coarsely, or set state_limit of the query higher"});
  } else if (unknown.count() != 0) {
    out.push_back({"D14", kWarning, fmt::format("name sites that no exporter, setting or node has: {}", unknown.text()),
                   fmt::format("backstream query move {} --sites …; what gives an exporter its site: "
                               "exporter.PREFIX.site, node.site",
                               lost)});
  } else if (paused.count() != 0) {
    out.push_back({"D14", kWarning,
                   fmt::format("{}, paused: {}", plural(running, "query runs", "queries run"), paused.text()),
                   "backstream query resume NAME"});
  } else {
    out.push_back({"D14", kOk, fmt::format("{}, none failed or paused", plural(running, "query", "queries")), ""});
  }
}

void check_catalog(const DoctorInput& input, Checks& out) {
  if (!input.catalog) return;
  if (!input.catalog->error.empty()) {
    out.push_back({"D15", kError, fmt::format("the catalog cannot be used: {}", input.catalog->error),
                   input.catalog->hint.empty() ? "what runs goes on; changes are refused. See D18; then: systemctl "
                                                 "restart backstream"
                                               : input.catalog->hint});
    return;
  }
  out.push_back({"D15", kOk, fmt::format("the catalog can be read, revision {}", input.catalog->revision), ""});
}

void check_checkpoint(const DoctorInput& input, Checks& out) {
  if (!input.checkpoint || !input.started_at) return;
  const DoctorInput::Checkpoint& checkpoint = *input.checkpoint;
  const Micros from = checkpoint.at.value_or(*input.started_at);
  const Micros age = input.now - from;
  if (checkpoint.error.empty() && age <= 6 * checkpoint.every) {
    out.push_back({"D16", kOk,
                   checkpoint.at ? fmt::format("last checkpoint {} ago", rough(age))
                                 : std::string("no checkpoint yet, it just began"),
                   ""});
    return;
  }
  out.push_back({"D16", age > 30 * checkpoint.every ? kError : kWarning,
                 fmt::format("no checkpoint {}{}: a crash now would lose that much of open windows", since(input, from),
                             checkpoint.error.empty() ? "" : ": " + checkpoint.error),
                 "is the disk full or slow? See D18; journalctl -u backstream -e"});
}

void check_outages(const DoctorInput& input, Checks& out) {
  if (!input.outages) return;
  Names names;
  bool killed = false;
  for (auto at = input.outages->rbegin(); at != input.outages->rend(); ++at) {
    if (input.now - at->until > kOutageRecent) continue;
    killed |= !at->clean;
    names.add(fmt::format("{} for {}{}", base::format_rfc3339(base::floor_to(at->from, kSecond)),
                          rough(at->until - at->from), at->clean ? "" : " (not stopped cleanly)"));
  }
  if (names.count() == 0) {
    out.push_back({"D17", kOk, "no outage in the last 24 h", ""});
    return;
  }
  out.push_back({"D17", killed ? kWarning : kOk,
                 fmt::format("did not run: {}; windows there are marked as incomplete", names.text()),
                 killed ? "why: journalctl -u backstream | grep -iE 'killed|oom|signal'; coredumpctl list" : ""});
}

void check_disk(const DoctorInput& input, Checks& out) {
  if (!input.disk) return;
  const DoctorInput::Disk& disk = *input.disk;
  if (!disk.error.empty()) {
    out.push_back(
        {"D18", kError, fmt::format("nothing can be written to {}: {}", disk.folder, disk.error),
         fmt::format("ls -ld {0}; findmnt -T {0}; who runs it: systemctl show -p User backstream", disk.folder)});
    return;
  }
  const double free = disk.total_octets == 0 ? 1 : share(disk.free_octets, disk.total_octets);
  const double files = disk.total_files == 0 ? 1 : share(disk.free_files, disk.total_files);
  const double least = std::min(free, files);
  const std::string text =
      files < free
          ? fmt::format("{} of the file system's inodes are left ({})", percent(files), disk.folder)
          : fmt::format("{} of {} left ({})", octets(disk.free_octets), octets(disk.total_octets), disk.folder);
  const CheckState state = least < kDiskFreeError ? kError : least < kDiskFreeWarning ? kWarning : kOk;
  out.push_back({"D18", state, state == kOk ? text : "disk nearly full: " + text,
                 state == kOk ? "" : fmt::format("df -h {0}; du -xh --max-depth=2 {0} | sort -h | tail", disk.folder)});
}

void check_descriptors(const DoctorInput& input, Checks& out) {
  if (!input.process || !input.process->open_descriptors || !input.process->descriptors_max) return;
  const double used = share(*input.process->open_descriptors, *input.process->descriptors_max);
  const CheckState state = used > kLimitError ? kError : used > kLimitWarning ? kWarning : kOk;
  out.push_back({"D19", state,
                 fmt::format("{} of {} file descriptors are open", grouped(*input.process->open_descriptors),
                             grouped(*input.process->descriptors_max)),
                 state == kOk ? ""
                              : "systemctl edit backstream: [Service] LimitNOFILE=65536; then: systemctl restart "
                                "backstream"});
}

void check_memory(const DoctorInput& input, Checks& out) {
  if (!input.memory) return;
  const DoctorInput::Memory& memory = *input.memory;
  const std::string of =
      fmt::format("{}{}", octets(memory.total_octets), memory.of_group ? " that the unit may have (MemoryMax)" : "");
  const uint64_t resident = input.process && input.process->resident_octets ? *input.process->resident_octets : 0;
  const double used = share(resident, memory.total_octets);
  const double available =
      memory.available_octets && !memory.of_group ? share(*memory.available_octets, memory.total_octets) : 1;
  CheckState state = used > kMemoryError ? kError : used > kMemoryWarning ? kWarning : kOk;
  if (available < 0.05) state = kError;
  std::string text = resident != 0 ? fmt::format("{} of {} are used", octets(resident), of) : of;
  if (memory.available_octets) text += fmt::format(", {} are available", octets(*memory.available_octets));
  out.push_back({"D20", state, fmt::format("memory: {}", text),
                 state == kOk ? ""
                              : "set state_limit of the largest query lower (backstream query list), or give it "
                                "more; who else? ps aux --sort -rss | head"});
}

void check_exposure(const DoctorInput& input, Checks& out) {
  if (!input.exposure) return;
  const DoctorInput::Exposure& exposure = *input.exposure;
  if (exposure.loopback) {
    out.push_back({"D21", kOk,
                   fmt::format("console and API are for this machine only ({}){}", exposure.listen,
                               exposure.access_control ? "" : ", for everybody on it"),
                   ""});
    return;
  }
  const std::string bare = !exposure.tls && !exposure.access_control ? "without encryption and login"
                           : !exposure.tls                           ? "without encryption"
                           : !exposure.access_control                ? "without login"
                                                                     : "";
  if (bare.empty()) {
    out.push_back(
        {"D21", kOk, fmt::format("console and API are open at {}, with encryption and login", exposure.listen), ""});
    return;
  }
  out.push_back({"D21", kError,
                 fmt::format("console and API are open to others {} ({}{}): whoever reaches them can change queries",
                             bare, exposure.listen, exposure.allow_insecure ? ", http.allow_insecure" : ""),
                 "[http]\nlisten = \"http://127.0.0.1:8844\"  # behind a proxy with TLS and login, or see "
                 "docs/operations.md, \"Access\""});
}

void check_limits(const DoctorInput& input, Checks& out) {
  if (!input.limits) return;
  Names near, refused;
  CheckState state = kOk;
  std::string fix;
  for (const DoctorInput::Limit& limit : *input.limits) {
    const double used = share(limit.used, limit.limit);
    if (used <= kLimitWarning) continue;
    state = std::max(state, used > kLimitError ? kError : kWarning);
    near.add(fmt::format("{}: {} of {}", limit.what, grouped(limit.used), grouped(limit.limit)));
    if (!limit.fix.empty()) fix += (fix.empty() ? "" : "\n") + limit.fix;
  }
  for (const auto& [what, count] : input.recent_refusals) {
    refused.add(fmt::format("{} {}", grouped(count), what));
    state = std::max(state, kWarning);
  }
  if (state == kOk) {
    out.push_back({"D22", kOk, "nothing is near its limit", ""});
    return;
  }
  std::string text = near.count() == 0 ? "" : "near the limit: " + near.text();
  if (refused.count() != 0) text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", recent(input), refused.text());
  if (fix.empty()) fix = "which client is it? ss -tnp 'sport = :8844'; what each counts: docs/metrics.md";
  out.push_back({"D22", state, text, fix});
}

void check_alerts(const DoctorInput& input, Checks& out) {
  if (!input.alerts) return;
  const DoctorInput::Alerts& alerts = *input.alerts;
  if (!alerts.store_error.empty()) {
    out.push_back({"D23", kError, fmt::format("states of alerts are not kept: {}", alerts.store_error),
                   "a restart would tell some twice, or not at all; see D18"});
    return;
  }
  if (!alerts.failing.empty()) {
    Names names;
    for (const auto& endpoint : alerts.failing)
      names.add(fmt::format("{} {}, {} waiting: {}", endpoint.name, since(input, endpoint.failing_since),
                            grouped(endpoint.waiting), endpoint.error));
    out.push_back({"D23", kError, fmt::format("notices do not get through: {}", names.text()),
                   fmt::format("backstream alert test {}", alerts.failing.front().name)});
    return;
  }
  if (!alerts.unknown.empty()) {
    Names names;
    for (const std::string& name : alerts.unknown) names.add(name);
    out.push_back({"D23", kWarning, fmt::format("no settings [notify.NAME] of: {}", names.text()),
                   "write them, or alter \"alert.notify\"; docs/alerts.md"});
    return;
  }
  if (alerts.rules != 0 && alerts.no_endpoint) {
    out.push_back({"D23", kWarning, fmt::format("{}, and nobody is told", plural(alerts.rules, "alert rule")),
                   "settings [notify.NAME] say where notices go; docs/alerts.md"});
    return;
  }
  out.push_back(
      {"D23", kOk, fmt::format("{}, {} firing", plural(alerts.rules, "alert rule"), grouped(alerts.firing)), ""});
}

void check_history(const DoctorInput& input, Checks& out) {
  if (!input.history) return;
  const DoctorInput::History& history = *input.history;
  if (!history.trouble.empty()) {
    out.push_back(
        {"D24", kError,
         fmt::format("results are not kept {}: {}", since(input, history.trouble_since), history.trouble),
         history.is_full
             ? fmt::format("make room: df -h {0}; or let history take less: history.max_octets", history.folder)
             : fmt::format("ls -ld {0}; findmnt -T {0}; journalctl -u backstream -e", history.folder)});
    return;
  }
  Names wrong;
  std::string fix;
  if (history.full_at && input.now - *history.full_at < kHistoryFullRecent) {
    wrong.add(fmt::format("the disk was full {} ago, and {} went before their time",
                          rough(input.now - *history.full_at), plural(history.recent_removed, "file", "files")));
    fix = fmt::format("history.max_octets below what the disk has: df -h {}", history.folder);
  }
  if (history.recent_refused != 0) {
    wrong.add(fmt::format("{} rows were not kept, the disk was behind", grouped(history.recent_refused)));
    if (fix.empty()) fix = fmt::format("is the disk slow? iostat -x 5 3; findmnt -T {}", history.folder);
  }
  if (history.recent_unreadable != 0 || history.set_aside != 0) {
    wrong.add(fmt::format("{} set aside, {} unreadable", plural(history.set_aside, "file is", "files are"),
                          plural(history.recent_unreadable, "part", "parts")));
    if (fix.empty()) fix = fmt::format("ls {}; what to do with each: docs/operations.md, \"History\"", history.folder);
  }
  if (wrong.count() != 0) {
    out.push_back({"D24", kWarning, fmt::format("history: {}", wrong.text()), fix});
    return;
  }
  out.push_back({"D24", kOk,
                 fmt::format("history takes {} of {}{}", octets(history.octets), octets(history.octets_max),
                             history.oldest ? fmt::format(", from {} on", base::format_rfc3339(
                                                                              base::floor_to(*history.oldest, kSecond)))
                                            : std::string()),
                 ""});
}

void check_sinks(const DoctorInput& input, Checks& out) {
  if (!input.sinks) return;
  using Sink = DoctorInput::Sink;
  const std::vector<Sink>& sinks = *input.sinks;
  const auto because = [](const Sink& sink, std::string_view what) {
    return fmt::format("{}{}{}{}", sink.name, what.empty() ? "" : " ", what,
                       sink.error.empty() ? "" : ": " + sink.error);
  };
  Names failing, wrong;
  std::string fix;
  const auto warn = [&](std::string what, const std::string& mend) {
    wrong.add(what);
    if (fix.empty()) fix = mend;
  };
  for (const Sink& sink : sinks) {
    if (!sink.failing) continue;
    failing.add(because(sink, sink.behind_since == 0 ? "" : since(input, sink.behind_since)));
    if (failing.count() == 1)
      fix = fmt::format("backstream sink test {}; what waits is kept as long as history keeps it (history.keep)",
                        sink.name);
  }
  if (failing.count() != 0) {
    out.push_back({"D25", kError, fmt::format("sinks do not get through: {}", failing.text()), fix});
    return;
  }
  for (const Sink& sink : sinks) {
    if (!sink.waits_for.empty())
      warn(fmt::format("{} waits: {}", sink.name, sink.waits_for),
           fmt::format("backstream sink list; or, if it is not wanted any more: DROP PUBLICATION {}", sink.name));
    if (sink.behind_since != 0 && input.now - sink.behind_since > kSinkLagWarning)
      warn(fmt::format("{} lags {}", sink.name, since(input, sink.behind_since)),
           "is the target slow? what it has not taken when history drops it is missed: history.keep");
    if (sink.recent_missed != 0)
      warn(fmt::format("{} missed {} rows that history had no more", sink.name, grouped(sink.recent_missed)),
           "keep them longer: history.keep, history.max_octets, or retention of the view");
    if (sink.recent_refused != 0)
      warn(because(sink, fmt::format("refused {} rows", grouped(sink.recent_refused))),
           "backstream sink list says why; once that is mended: backstream sink replay " + sink.name);
    if (sink.recent_left_out != 0)
      warn(fmt::format("{} left out {} rows beyond series_max", sink.name, grouped(sink.recent_left_out)),
           "a higher series_max, fewer rows (WHERE, LIMIT), or the rest as one row (rest_row); docs/operations.md, "
           "\"Prometheus\"");
  }
  if (wrong.count() != 0) {
    out.push_back({"D25", kWarning, fmt::format("sinks: {}", wrong.text()), fix});
    return;
  }
  out.push_back({"D25", kOk,
                 sinks.empty() ? "no sinks" : fmt::format("{}: none fails or lags", plural(sinks.size(), "sink")), ""});
}

constexpr void (*kChecks[])(const DoctorInput&, Checks&) = {
    check_config,          check_listeners, check_exporters, check_admission,   check_sampling,
    check_templates,       check_decoding,  check_missing,   check_buffers,     check_delays,
    check_exporter_clocks, check_watermark, check_our_clock, check_queries,     check_catalog,
    check_checkpoint,      check_outages,   check_disk,      check_descriptors, check_memory,
    check_exposure,        check_limits,    check_alerts,    check_history,     check_sinks,
};

size_t count_of(const Checks& checks, CheckState state) {
  return static_cast<size_t>(
      std::count_if(checks.begin(), checks.end(), [&](const Check& check) { return check.state == state; }));
}

/// What others have named may hold line ends and control characters; a terminal is to see neither.
std::string printable(std::string_view text, bool lines) {
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '\n' && lines) out += c;
    else out += octet < 0x20 || octet == 0x7f ? '?' : c;
  }
  return out;
}

}  // namespace

std::string_view name(CheckState state) {
  constexpr std::string_view kNames[] = {"ok", "warning", "error"};
  return kNames[static_cast<size_t>(state)];
}

std::vector<Check> run_checks(const DoctorInput& input) {
  Checks checks;
  for (const auto check : kChecks) check(input, checks);
  for (Check& check : checks) {
    check.text = printable(check.text, false);
    check.fix = printable(check.fix, true);
  }
  return checks;
}

std::string checks_json(const std::vector<Check>& checks) {
  nlohmann::json list = nlohmann::json::array();
  for (const Check& check : checks)
    list.push_back({{"id", check.id}, {"state", name(check.state)}, {"text", check.text}, {"fix", check.fix}});
  const nlohmann::json document = {
      {"checks", list}, {"warnings", count_of(checks, kWarning)}, {"errors", count_of(checks, kError)}};
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string checks_text(const std::vector<Check>& checks) {
  constexpr std::string_view kShort[] = {"ok", "warn", "ERROR"};
  std::string text;
  for (const Check& check : checks) {
    text += fmt::format("  {:<5} {}  {}\n", kShort[static_cast<size_t>(check.state)], check.id, check.text);
    std::string_view fix = check.fix;
    for (std::string_view lead = "fix: "; !fix.empty(); lead = "     ") {
      const size_t end = fix.find('\n');
      text += fmt::format("             {}{}\n", lead, fix.substr(0, end));
      fix.remove_prefix(end == std::string_view::npos ? fix.size() : end + 1);
    }
  }
  const size_t warnings = count_of(checks, kWarning), errors = count_of(checks, kError);
  return text + fmt::format("  {}: {} ok, {}, {}\n", plural(checks.size(), "check"), checks.size() - warnings - errors,
                            plural(warnings, "warning"), plural(errors, "error"));
}

int checks_exit_code(const std::vector<Check>& checks) {
  return count_of(checks, kError) != 0 ? 2 : count_of(checks, kWarning) != 0 ? 1 : 0;
}

}  // namespace backstream::service
