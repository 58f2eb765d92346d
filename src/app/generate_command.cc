// backstream generate: a synthetic backbone, to a capture or over UDP, with the exact answers of the standard queries.
#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <thread>

#include "app/commands.h"
#include "app/stop_signal.h"
#include "generate/backbone.h"
#include "generate/record_log.h"
#include "generate/truth.h"
#include "ingest/capture_writer.h"
#include "ingest/udp_sender.h"
#include "ingest/udp_source.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

using base::Micros;
using base::wall_clock;

/// Flags that are texts with a meaning of their own.
struct Texts {
  std::string protocol = "v5", to, start = "2026-01-31 12:00:00+00", span = "900s", active = "60s", inactive = "15s",
              jitter = "1s", disorder = "0s", preset;
  std::vector<std::string> attacks, truth_queries;
};

/// A flag that cannot be read.
struct Misused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Micros duration(const std::string& flag, const std::string& text) {
  const auto value = text == "0" ? std::optional<Micros>(0) : base::parse_duration(text);
  if (!value || *value < 0) throw Misused(fmt::format("{} '{}': give a time such as 15s or 500ms", flag, text));
  return *value;
}
generate::Protocol protocol_of(const std::string& text) {
  if (text == "v5") return generate::Protocol::kNetflow5;
  if (text == "v9") return generate::Protocol::kNetflow9;
  if (text == "ipfix") return generate::Protocol::kIpfix;
  if (text == "sflow") return generate::Protocol::kSflow;
  throw Misused(fmt::format("--protocol '{}': it is v5, v9, ipfix or sflow", text));
}
generate::Attack attack_of(const std::string& text) {
  if (text == "port-sweep") return generate::Attack::kPortSweep;
  if (text == "host-scan") return generate::Attack::kHostScan;
  if (text == "syn-flood") return generate::Attack::kSynFlood;
  if (text == "amplification") return generate::Attack::kAmplification;
  throw Misused(fmt::format("--attack '{}': it is port-sweep, host-scan, syn-flood or amplification", text));
}

/// Several observers as one.
class Observers final : public generate::RecordObserver {
 public:
  void add(generate::RecordObserver& observer) { observers_.push_back(&observer); }
  bool empty() const { return observers_.empty(); }
  void observe(const generate::Record& record) override {
    for (generate::RecordObserver* observer : observers_) observer->observe(record);
  }

 private:
  std::vector<generate::RecordObserver*> observers_;
};

struct Sent {
  uint64_t datagrams = 0, records = 0, refused = 0;
};

Sent write_capture(generate::Backbone& backbone, const std::string& path) {
  constexpr uint16_t kPort = 2055;
  ingest::CaptureWriter writer(path);
  const base::Inet collector = base::Inet::v4(0x7f000001);
  Sent sent;
  for (generate::GeneratedDatagram datagram; !stop_requested() && backbone.next(datagram);) {
    writer.write(datagram.time, datagram.address, kPort, collector, kPort, datagram.payload);
    ++sent.datagrams;
    sent.records += datagram.record_count;
  }
  writer.close();
  return sent;
}

/// @param pace   seconds of ours for a second of theirs; 0: as fast as the system takes them
Sent send(generate::Backbone& backbone, const std::string& host, uint16_t port,
          const generate::BackboneOptions& options, double pace) {
  const auto address = base::parse_inet(host);
  if (!address || !address->is_host()) throw Misused(fmt::format("--to '{}': the host must be an address", host));
  // On loopback each exporter has its own address; elsewhere the machine has but one.
  const bool loopback = address->family == 4 && address->v4_address() >> 24 == 127;
  std::vector<std::unique_ptr<ingest::UdpSender>> senders;
  for (uint32_t e = 0; e < options.exporters; ++e) {
    const base::Inet own = base::Inet::v4(0x7f000100 + options.first_exporter + e);
    senders.push_back(std::make_unique<ingest::UdpSender>(*address, port, loopback ? &own : nullptr));
  }
  Sent sent;
  const auto begin = std::chrono::steady_clock::now();
  for (generate::GeneratedDatagram datagram; !stop_requested() && backbone.next(datagram);) {
    if (pace != 0) {
      const auto due = begin + std::chrono::microseconds(
                                   static_cast<Micros>(static_cast<double>(datagram.time - options.start) * pace));
      if (std::chrono::steady_clock::now() < due) {
        for (auto& sender : senders) sender->flush();
        std::this_thread::sleep_until(due);
      }
    }
    senders[datagram.exporter]->send(datagram.payload);
    sent.records += datagram.record_count;
  }
  for (auto& sender : senders) {
    sender->flush();
    sent.datagrams += sender->sent();
    sent.refused += sender->refused();
  }
  return sent;
}

}  // namespace

int generate_command(const std::vector<std::string>& arguments) {
  telemetry::TerminalLog& log = telemetry::terminal_log();
  generate::BackboneOptions options;
  options.seed = 1;
  Texts texts;
  std::string pcap, truth_folder, records_path;
  uint64_t rate = 0;
  CLI::App app(
      "A synthetic backbone: NetFlow v5, v9, IPFIX or sFlow to a capture or over UDP, the same for the same flags.",
      "backstream generate");
  app.add_option("--protocol", texts.protocol, "v5 (default), v9, ipfix or sflow");
  app.add_option("--pcap", pcap, "write a capture; its times begin at --start")->type_name("FILE");
  app.add_option("--to", texts.to, "send over UDP, times begin now; on loopback from 127.0.1.1 and on")
      ->type_name("udp://HOST:PORT");
  app.add_option("--rate", rate, "with --to: records a second (default: as fast as it goes)")->type_name("N");
  app.add_option("--records", options.records, "flow records in all (default 1000000)")->type_name("N");
  app.add_option("--exporters", options.exporters, "routers, 1 to 250 (default 1)")->type_name("N");
  app.add_option("--first-exporter", options.first_exporter, "routers are 127.0.1.N and on (default 1)")
      ->type_name("N");
  app.add_option("--as", options.traffic.as_count, "autonomous systems (default 500)")->type_name("N");
  app.add_option("--zipf", options.traffic.zipf, "exponent of their popularity (default 1.1; 0: all alike)")
      ->type_name("X");
  app.add_option("--as4-share", options.traffic.as4_share, "share of ASes with numbers of 4 octets (default 0)")
      ->type_name("X");
  app.add_option("--hosts", options.traffic.host_count, "hosts over all ASes (default 20000)")->type_name("N");
  app.add_option("--one-packet-share", options.traffic.one_packet_share, "share of flows of one packet (default 0.3)")
      ->type_name("X");
  app.add_option("--ipv6-share", options.traffic.ipv6_share, "share of IPv6 flows; none in v5 (default 0)")
      ->type_name("X");
  app.add_option("--sampling-rate", options.sampling_rate, "1 in N packets (default 1)")->type_name("N");
  app.add_option("--start", texts.start, "with --pcap: time of the first export (default 2026-01-31 12:00:00+00)")
      ->type_name("TIME");
  app.add_option("--span", texts.span,
                 "time from first to last export (default 900s; with --rate: as long as it takes)")
      ->type_name("DURATION");
  app.add_option("--pack", options.pack, "records a datagram (default: as the protocol's routers do)")->type_name("N");
  app.add_option("--active-timeout", texts.active, "of the routers' caches (default 60s)")->type_name("DURATION");
  app.add_option("--inactive-timeout", texts.inactive, "of the routers' caches (default 15s)")->type_name("DURATION");
  app.add_option("--jitter", texts.jitter, "between timeout and export, at most (default 1s)")->type_name("DURATION");
  app.add_option("--disorder", texts.disorder, "datagrams overtake each other by up to this (default 0s)")
      ->type_name("DURATION");
  app.add_flag(
      "--interfaces", options.interfaces,
      "also tell the interfaces' names (v9, IPFIX) or counters (sFlow, every 20 s, those of the samples so far)");
  app.add_option("--attack", texts.attacks, "port-sweep, host-scan, syn-flood or amplification; may be repeated")
      ->type_name("KIND");
  app.add_option("--seed", options.seed, "another seed, other traffic (default 1)")->type_name("N");
  app.add_option("--truth", truth_folder, "write NAME.sql and NAME.csv: exact answers of the standard queries")
      ->type_name("DIR");
  app.add_option("--truth-queries", texts.truth_queries, "only these")->delimiter(',')->type_name("NAME,...");
  app.add_option("--truth-records", records_path, "write every flow record as it was sent, as CSV")->type_name("FILE");
  app.add_option("--preset", texts.preset,
                 "bench: 10 M records, 4 exporters, 2000 ASes, 100000 hosts; other flags still count");
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? kExitOk : kExitUsage;
  }
  try {
    if (pcap.empty() == texts.to.empty()) throw Misused("give --pcap FILE or --to udp://HOST:PORT");
    if (!(truth_folder.empty() && records_path.empty()) && texts.protocol == "sflow" && pcap.empty()) {
      throw Misused("the truth of sFlow depends on arrival times: use --pcap");
    }
    if (!texts.preset.empty()) {
      if (texts.preset != "bench") throw Misused(fmt::format("--preset '{}': there is only bench", texts.preset));
      const auto unless_given = [&](const char* flag, auto& value, auto preset) {
        if (app.count(flag) == 0) value = preset;
      };
      unless_given("--records", options.records, 10'000'000);
      unless_given("--exporters", options.exporters, 4);
      unless_given("--as", options.traffic.as_count, 2'000);
      unless_given("--hosts", options.traffic.host_count, 100'000);
      if (texts.truth_queries.empty()) texts.truth_queries = {"traffic_matrix", "port_sweep"};
    }
    options.protocol = protocol_of(texts.protocol);
    options.span = duration("--span", texts.span);
    double pace = 0;
    if (rate != 0) {
      if (texts.to.empty()) throw Misused("--rate needs --to; with --pcap give --span");
      const double sending_us = 1e6 * static_cast<double>(options.records) / static_cast<double>(rate);
      // A router's clock is right: unless a span is asked for, flow times pass as fast as the datagrams leave.
      if (app.count("--span") == 0) options.span = std::max(base::kMicrosPerMilli, static_cast<Micros>(sending_us));
      pace = sending_us / static_cast<double>(std::max<Micros>(1, options.span));
    }
    options.active_timeout = duration("--active-timeout", texts.active);
    options.inactive_timeout = duration("--inactive-timeout", texts.inactive);
    options.jitter = duration("--jitter", texts.jitter);
    options.disorder = duration("--disorder", texts.disorder);
    for (const std::string& attack : texts.attacks) options.attacks.push_back(attack_of(attack));
    const auto start = base::parse_timestamp(texts.start);
    if (!start) throw Misused(fmt::format("--start '{}': write it as 2026-01-31 12:00:00+00", texts.start));
    options.start = pcap.empty() ? wall_clock() : *start;
    std::optional<ingest::UdpListen> destination;
    if (!texts.to.empty()) {
      auto parsed = ingest::parse_listen(texts.to);
      if (!parsed) throw Misused(parsed.error().message + ": --to takes udp://HOST:PORT");
      destination = *parsed;
    }
    Observers observers;
    std::optional<generate::Truth> truth;
    generate::Backbone backbone(options);
    if (!truth_folder.empty()) {
      if (::mkdir(truth_folder.c_str(), 0777) != 0 && errno != EEXIST)
        throw std::system_error(errno, std::generic_category(), truth_folder);
      truth.emplace(texts.truth_queries);
      observers.add(*truth);
    }
    std::optional<generate::RecordLog> record_log;
    if (!records_path.empty()) observers.add(record_log.emplace(records_path));
    if (!observers.empty()) backbone.set_observer(&observers);
    const auto begin = std::chrono::steady_clock::now();
    const Sent sent = destination ? send(backbone, destination->host, destination->port, options, pace)
                                  : write_capture(backbone, pcap);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (truth) truth->write(truth_folder);
    if (record_log) record_log->close();
    log.line(fmt::format("{} records in {} datagrams{}, {:.1f} s ({:.2f} M records/s){}", sent.records, sent.datagrams,
                         destination ? " sent" : " written", seconds, static_cast<double>(sent.records) / seconds / 1e6,
                         sent.refused == 0 ? "" : fmt::format("; {} datagrams refused by the system", sent.refused)));
    return stop_requested() ? kExitInterrupted : kExitOk;
  } catch (const Misused& misused) {
    log.error(misused.what());
    return kExitUsage;
  } catch (const std::invalid_argument& refused) {
    log.error(refused.what());
    return kExitUsage;
  }
}

}  // namespace backstream::app
