#pragma once
// "Is it well, and if not, what do I type?" Checks over facts, so that every verdict is tested by a table. Texts are
// for a person at night: what, since when, how to mend it.
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "config/settings.h"
#include "service/metrics.h"
#include "telemetry/clock_watch.h"
#include "telemetry/process.h"

namespace backstream::service {

enum class CheckState : uint8_t { kOk, kWarning, kError };
std::string_view name(CheckState state);  ///< "ok", "warning", "error"

struct Check {
  std::string id;  ///< "D09": what it is about, for ever (docs/doctor.md lists them)
  CheckState state = CheckState::kOk;
  std::string text;  ///< one line
  std::string fix;   ///< what to type or write; lines; empty where nothing is to be mended
};

/// What the checks look at. What is absent was not seen, and is not judged: its check is left out.
struct DoctorInput {
  base::Micros now = 0;
  std::optional<base::Micros> started_at;  ///< of the daemon; absent: it does not run
  /// Counters named `recent` are of this long until now: a few minutes.
  base::Micros recent_us = 0;

  struct Config {
    std::vector<std::string> files;
    std::vector<std::string> warnings;  ///< a line each
    std::vector<std::string> errors;    ///< a line each, "file:line:column: error: ..."
    bool reload_failed = false;         ///< the last one: the settings before it are in force
    std::optional<base::Micros> loaded_at;
  };
  std::optional<Config> config;

  struct Listener {
    std::string address;  ///< "udp://0.0.0.0:2055"
    std::string error;    ///< why it is not open; empty: it is, or (offline) can be
    std::string hint;
    uint64_t buffer_octets = 0, buffer_asked_octets = 0;  ///< of one socket
    uint64_t drops = 0, recent_drops = 0;
  };
  std::optional<std::vector<Listener>> listeners;
  std::optional<uint64_t> rmem_max;

  struct Exporter {
    std::string address, protocols;
    std::optional<base::Micros> last_seen;
    uint64_t recent_datagrams = 0, recent_flows = 0;
    uint64_t recent_missing = 0;               ///< in the units of its protocol
    uint64_t recent_unknown_sampling = 0;      ///< rows
    uint64_t recent_unreadable = 0;            ///< faults but those of templates
    std::string fault;                         ///< the most frequent of them
    uint64_t recent_awaiting = 0;              ///< data sets whose template has not come
    std::optional<base::Micros> clock_offset;  ///< what its clock is behind ours
    base::Micros delay = 0, delay_p999 = 0;    ///< as set; as it would be needed; 0: not known
    bool held = false;
  };
  std::optional<std::vector<Exporter>> exporters;

  struct Admission {
    bool open = false;    ///< listening beyond loopback, with no ingest.allow or one that holds all addresses
    bool listed = false;  ///< there is an ingest.allow
    uint64_t recent_rejected = 0;
    std::vector<std::pair<std::string, uint64_t>> rejected;  ///< addresses and datagrams, since the start
  };
  std::optional<Admission> admission;

  struct Watermark {
    std::optional<base::Micros> event;  ///< absent: no row had a time yet
    base::Micros delay = 0;
    std::string held_by;  ///< an exporter; may be empty
  };
  std::optional<Watermark> watermark;

  struct OurClock {
    bool synchronized = false;
    base::Micros error_max = 0;  ///< what the kernel thinks it is off by at most
  };
  std::optional<OurClock> our_clock;
  std::optional<telemetry::ClockWatch::Step> clock_step;  ///< the last time that our clock was set

  struct Query {
    std::string name, state, reason;
    std::optional<base::Micros> changed_at;
    uint64_t recent_rows = 0, recent_late = 0, recent_shed = 0;
    base::Micros late_by_max = 0;  ///< a delay longer by this would have kept every late row since the start
    std::vector<std::string> unknown_sites = {};  ///< that it names, and no input, setting or node has
  };
  std::optional<std::vector<Query>> queries;

  struct Catalog {
    std::string error;  ///< empty: it can be read
    std::string hint;
    uint64_t revision = 0;
  };
  std::optional<Catalog> catalog;

  struct Checkpoint {
    std::optional<base::Micros> at;  ///< absent: none yet
    std::string error;               ///< of the last attempt
    base::Micros every = 10 * base::kMicrosPerSecond;
  };
  std::optional<Checkpoint> checkpoint;

  struct Outage {
    base::Micros from = 0, until = 0;
    bool clean = true;  ///< it was stopped, not killed
  };
  std::optional<std::vector<Outage>> outages;

  struct Disk {
    std::string folder;  ///< state.folder, or the nearest above that is there
    std::string error;   ///< why nothing can be written there
    uint64_t free_octets = 0, total_octets = 0;
    uint64_t free_files = 0, total_files = 0;  ///< inodes; total 0: the file system does not count them
  };
  std::optional<Disk> disk;

  struct Alerts {
    size_t rules = 0, firing = 0;
    std::string store_error;  ///< why states are not kept
    struct Endpoint {
      std::string name, error;
      base::Micros failing_since = 0;
      uint64_t waiting = 0;
    };
    std::vector<Endpoint> failing;
    std::vector<std::string> unknown;  ///< endpoints that rules name and settings do not, "chat of ddos"
    bool no_endpoint = false;
  };
  std::optional<Alerts> alerts;
  struct History {
    std::string trouble;  ///< why nothing is being written; empty: it is
    base::Micros trouble_since = 0;
    bool is_full = false;
    std::optional<base::Micros> full_at;                 ///< when the disk was full the last time
    uint64_t recent_refused = 0, recent_unreadable = 0;  ///< rows; parts
    uint64_t recent_removed = 0;                         ///< files that went for want of room
    uint64_t set_aside = 0;                              ///< files
    uint64_t octets = 0, octets_max = 0;
    std::optional<base::Micros> oldest;  ///< window
    std::string folder;
  };
  std::optional<History> history;

  struct Sink {
    std::string name, error;        ///< the last one
    std::string waits_for;          ///< why nothing is sent; empty: it is, or another node is to
    bool failing = false;           ///< the target cannot be reached now
    base::Micros behind_since = 0;  ///< 0: the target has all
    uint64_t recent_refused = 0, recent_missed = 0, recent_left_out = 0;  ///< rows
  };
  std::optional<std::vector<Sink>> sinks;

  std::optional<telemetry::ProcessFacts> process;  ///< of the daemon
  struct Memory {
    uint64_t total_octets = 0;                 ///< what the process may have: of the machine, or its control group
    std::optional<uint64_t> available_octets;  ///< of the machine
    bool of_group = false;
  };
  std::optional<Memory> memory;

  struct Exposure {
    std::string listen;  ///< "http://127.0.0.1:8844"
    bool loopback = true, tls = false, access_control = false, allow_insecure = false;
  };
  std::optional<Exposure> exposure;

  /// Something that has room for so much.
  struct Limit {
    std::string what;  ///< "exporters"
    uint64_t used = 0, limit = 0;
    std::string fix;
  };
  std::optional<std::vector<Limit>> limits;
  /// What was lost or refused at limits lately: "live events that slow readers missed", 12.
  std::vector<std::pair<std::string, uint64_t>> recent_refusals;
};

/// One check an id, by id.
std::vector<Check> run_checks(const DoctorInput& input);

/// What can be told without asking the daemon: the machine's clock, disk, memory, limits of the kernel, and what
/// settings say. Takes no longer than a disk does to answer. Any thread.
/// @param try_ports  opens and closes the sockets of listen.flow and http.listen; not in the process that has them open
DoctorInput local_facts(const config::Settings& settings, bool try_ports);

/// Adds what the daemon counts. Both are copies as /metrics has them; the server keeps one of some minutes ago, so that
/// what went wrong yesterday and was mended does not alarm for ever. Left to the caller: config, catalog errors,
/// outages, access_control and tls of exposure, Watermark::held_by, reasons of failed queries (see add_query_reason()),
/// their unknown sites.
/// @param earlier  null: since the start
void add_counts(DoctorInput& input, const config::Settings& settings, const MetricsInput& now,
                const MetricsInput* earlier);
/// The counts of some minutes ago: of two that are kept, each `every` apart, the older one, so that what is compared
/// with it is between one and two of that long, and less only after the start. Any thread.
class EarlierCounts {
 public:
  explicit EarlierCounts(base::Micros every = 5 * 60 * base::kMicrosPerSecond) : every_(every) {}
  /// Whether keep() wants another: asked once a second, from the start on.
  bool due(base::Micros now) const;
  void keep(MetricsInput counts);
  /// Null: nothing was kept yet.
  std::shared_ptr<const MetricsInput> get() const;

 private:
  const base::Micros every_;
  mutable std::mutex mutex_;
  std::shared_ptr<const MetricsInput> newer_, older_;  // Under mutex_.
};
/// Why a query is paused or failed, and since when.
void add_query_reason(DoctorInput& input, std::string_view query, std::string reason, base::Micros changed_at);

/// Sites that a query names, and nothing else does.
void add_unknown_sites(DoctorInput& input, std::string_view query, std::vector<std::string> sites);

/// {"checks":[{"id","state","text","fix"}],"warnings":N,"errors":N}
std::string checks_json(const std::vector<Check>& checks);
/// Lines for people, and a last one that counts.
std::string checks_text(const std::vector<Check>& checks);
/// 0 fine, 1 warnings, 2 errors: what monitoring plugins end with.
int checks_exit_code(const std::vector<Check>& checks);

}  // namespace backstream::service
