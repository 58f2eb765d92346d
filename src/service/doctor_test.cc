#include "service/doctor.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

namespace backstream::service {
namespace {

using base::Micros;
using enum CheckState;

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kMinute = 60 * kSecond;
constexpr Micros kNow = 1'769'860'800 * kSecond;  // 2026-01-31 12:00:00 UTC

DoctorInput::Exporter exporter(std::string address) {
  DoctorInput::Exporter made;
  made.address = std::move(address);
  made.protocols = "IPFIX";
  made.last_seen = kNow - 2 * kSecond;
  made.recent_datagrams = 10'000;
  made.recent_flows = 100'000;
  made.clock_offset = kSecond / 5;
  made.delay = 75 * kSecond;
  made.delay_p999 = 40 * kSecond;
  return made;
}

/// A daemon that is well.
DoctorInput well() {
  DoctorInput input;
  input.now = kNow;
  input.started_at = kNow - 60 * kMinute;
  input.recent_us = 5 * kMinute;
  input.config.emplace(DoctorInput::Config{});
  input.config->files = {"/etc/backstream/backstream.toml"};
  input.listeners = {{"udp://[::]:2055", "", "", 32 << 20, 32 << 20, 0, 0}};
  input.exporters = {exporter("192.0.2.1"), exporter("192.0.2.2"), exporter("192.0.2.3")};
  input.admission.emplace(DoctorInput::Admission{});
  input.admission->listed = true;
  input.watermark = DoctorInput::Watermark{kNow - 76 * kSecond, 75 * kSecond, "192.0.2.2"};
  input.our_clock = DoctorInput::OurClock{true, 4'000};
  input.queries = {{"matrix", "running", "", std::nullopt, 100'000, 10, 0, 0}};
  input.catalog.emplace(DoctorInput::Catalog{});
  input.catalog->revision = 17;
  input.checkpoint.emplace(DoctorInput::Checkpoint{});
  input.checkpoint->at = kNow - 8 * kSecond;
  input.outages.emplace();
  input.disk = DoctorInput::Disk{"/var/lib/backstream", "", uint64_t{50} << 30, uint64_t{100} << 30, 900, 1000};
  input.process.emplace();
  input.process->open_descriptors = 100;
  input.process->descriptors_max = 1024;
  input.process->resident_octets = 1 << 30;
  input.memory = DoctorInput::Memory{uint64_t{16} << 30, uint64_t{8} << 30, false};
  input.exposure = DoctorInput::Exposure{"http://127.0.0.1:8844", true, false, false, false};
  input.alerts.emplace(DoctorInput::Alerts{}).rules = 2;
  input.limits = {{"exporters", 10, 65'536, "set decode.exporter_limit higher"}};
  input.history.emplace(DoctorInput::History{});
  input.history->folder = "/var/lib/backstream/history";
  input.history->octets = uint64_t{2} << 30;
  input.history->octets_max = uint64_t{16} << 30;
  input.history->oldest = kNow - 100 * 60 * kMinute;
  input.sinks.emplace(2);
  input.sinks->at(0).name = "matrix_db";
  input.sinks->at(1).name = "matrix_prom";
  return input;
}

const Check* find(const std::vector<Check>& checks, std::string_view id) {
  for (const Check& check : checks)
    if (check.id == id) return &check;
  return nullptr;
}

TEST(Doctor, FindsNothingWhereAllIsWell) {
  const std::vector<Check> checks = run_checks(well());
  std::set<std::string> ids;
  for (const Check& check : checks) {
    EXPECT_EQ(check.state, kOk) << check.id << " " << check.text;
    EXPECT_EQ(check.fix, "") << check.id;
    EXPECT_NE(check.text, "") << check.id;
    EXPECT_TRUE(ids.insert(check.id).second) << check.id;
  }
  EXPECT_EQ(ids.size(), 25U);
  EXPECT_EQ(*ids.begin(), "D01");
  EXPECT_EQ(checks_exit_code(checks), 0);
}

TEST(Doctor, SaysNothingOfWhatItDoesNotSee) { EXPECT_TRUE(run_checks(DoctorInput{}).empty()); }

struct Case {
  std::string_view what, id;
  CheckState state;
  std::function<void(DoctorInput&)> spoil;
  std::string_view text, fix;  ///< parts of them
};

const std::vector<Case>& cases() {
  using I = DoctorInput;
  static const std::vector<Case> kCases = {
      {"a mistake in the settings", "D01", kError,
       [](I& i) { i.config->errors = {"edge.toml:3:1: error: unknown key 'dely'"}; }, "1 mistake: edge.toml:3:1",
       "backstream config check --config /etc/backstream/backstream.toml"},
      {"a reload that was refused", "D01", kError,
       [](I& i) {
         i.config->reload_failed = true;
         i.config->loaded_at = kNow - 10 * kMinute;
       },
       "refused: settings are those since 2026-01-31T11:50:00Z (10 min)", "systemctl reload backstream"},
      {"an unknown variable", "D01", kWarning,
       [](I& i) { i.config->warnings = {"BACKSTREAM_EGDE__LISTEN: no such setting"}; }, "EGDE", "config check"},
      {"a port that others have", "D02", kError, [](I& i) { i.listeners->at(0).error = "Address already in use"; },
       "udp://[::]:2055 (Address already in use)", "ss -lnp 'sport = :2055'"},
      {"no listener", "D02", kError, [](I& i) { i.listeners->clear(); }, "nothing listens", "listen.flow"},
      {"no exporter", "D03", kWarning, [](I& i) { i.exporters->clear(); },
       "sent anything since 2026-01-31T11:00:00Z (60 min)", "tcpdump -ni any udp and '(port 2055)'"},
      {"one that is silent", "D03", kWarning, [](I& i) { i.exporters->at(1).last_seen = kNow - 7 * kMinute; },
       "3 known, 2 sending; silent: 192.0.2.2 since 2026-01-31T11:53:00Z (7 min)", "host 192.0.2.2"},
      {"all that are silent", "D03", kError,
       [](I& i) {
         for (I::Exporter& e : *i.exporters) e.last_seen = kNow - 7 * kMinute;
       },
       "3 known, 0 sending", "firewall"},
      {"anybody may send", "D04", kWarning,
       [](I& i) {
         i.admission->listed = false;
         i.admission->open = true;
       },
       "from any address", "allow = [\"192.0.2.1\", \"192.0.2.2\", \"192.0.2.3\"]"},
      {"a stranger", "D04", kWarning,
       [](I& i) {
         i.admission->recent_rejected = 1204;
         i.admission->rejected = {{"198.51.100.9", 1204}};
       },
       "1,204 datagrams in the last 5 min came from addresses that ingest.allow does not hold: 198.51.100.9",
       "add \"198.51.100.9\" to ingest.allow"},
      {"unknown sampling", "D05", kWarning, [](I& i) { i.exporters->at(1).recent_unknown_sampling = 5; },
       "unscaled: 192.0.2.2", "[exporter.\"192.0.2.2\"]\nsampling_rate = 1000"},
      {"no template", "D06", kWarning, [](I& i) { i.exporters->at(1).recent_awaiting = 3; },
       "3 data sets in the last 5 min whose template has not come, from 192.0.2.2", "template refresh"},
      {"what cannot be read", "D07", kWarning,
       [](I& i) {
         i.exporters->at(1).recent_unreadable = 20;
         i.exporters->at(1).fault = "set_length_mismatch";
       },
       "192.0.2.2 (set_length_mismatch)", "tcpdump"},
      {"loss on the way", "D08", kWarning, [](I& i) { i.exporters->at(1).recent_missing = 1'000; },
       "192.0.2.2 (0.99 %)", "D09"},
      {"a small buffer", "D09", kWarning, [](I& i) { i.listeners->at(0).buffer_octets = 212'992; },
       "208 KiB of 32 MiB asked", "sysctl -w net.core.rmem_max=33554432"},
      {"drops", "D09", kError, [](I& i) { i.listeners->at(0).recent_drops = 1204; },
       "the kernel dropped 1,204 datagrams in the last 5 min (udp://[::]:2055)", "ingest.sockets"},
      {"drops of a small buffer", "D09", kError,
       [](I& i) {
         i.listeners->at(0).buffer_octets = 212'992;
         i.listeners->at(0).recent_drops = 1;
       },
       "1 datagram in", "rmem_max"},
      {"an exporter with a delay too small", "D10", kWarning,
       [](I& i) { i.exporters->at(1).delay_p999 = 100 * kSecond; }, "192.0.2.2 needs 100 s, has 75 s",
       "[exporter.\"192.0.2.2\"]\ndelay = \"110 s\""},
      {"late rows", "D10", kWarning,
       [](I& i) {
         i.queries->at(0).recent_late = 2'000;
         i.queries->at(0).late_by_max = 15 * kSecond;
       },
       "too late for matrix (2.00 %)", "delay = \"99 s\""},
      {"the clock of an exporter", "D11", kWarning, [](I& i) { i.exporters->at(1).clock_offset = 5 * kSecond; },
       "192.0.2.2 is 5.0 s behind", "ntp"},
      {"our clock, by all exporters", "D11", kError,
       [](I& i) {
         for (I::Exporter& e : *i.exporters) e.clock_offset = -5 * kSecond;
       },
       "our clock is off: 3 of 3 exporters say 5.0 s later", "set-ntp"},
      {"no watermark", "D12", kWarning, [](I& i) { i.watermark->event.reset(); }, "has not begun", "exporter wait"},
      {"a watermark that is held", "D12", kError, [](I& i) { i.watermark->event = kNow - 20 * kMinute; },
       "20 min behind our clock, held by 192.0.2.2: no window after 2026-01-31T11:40:00Z", "exporter show 192.0.2.2"},
      {"one that is left out", "D12", kWarning, [](I& i) { i.exporters->at(2).held = true; }, "wait for 192.0.2.3",
       "max_hold"},
      {"our clock, by the kernel", "D13", kWarning, [](I& i) { i.our_clock->synchronized = false; }, "not synchronised",
       "timedatectl"},
      {"our clock, set back", "D13", kWarning,
       [](I& i) { i.clock_step = {.at = kNow - 10 * kMinute, .by = -90 * kSecond}; },
       "our clock was set back by 90 s at 2026-01-31T11:50:00Z: what comes is late until", "USR1"},
      {"our clock, set forward", "D13", kWarning,
       [](I& i) { i.clock_step = {.at = kNow - 10 * kMinute, .by = 90 * kSecond}; },
       "set forward by 90 s at 2026-01-31T11:50:00Z: windows that were open then closed early", "chrony"},
      {"our clock, set long ago", "D13", kOk,
       [](I& i) { i.clock_step = {.at = kNow - 90 * kMinute, .by = 90 * kSecond}; }, "is synchronised", ""},
      {"a failed query", "D14", kError,
       [](I& i) {
         i.queries->at(0).state = "failed";
         i.queries->at(0).reason = "22012: division by zero";
         i.queries->at(0).changed_at = kNow - 3 * kMinute;
       },
       "stopped: matrix since 2026-01-31T11:57:00Z (3 min): 22012: division by zero", "query resume matrix"},
      {"a query that sheds", "D14", kWarning, [](I& i) { i.queries->at(0).recent_shed = 1234; }, "matrix (1,234 rows)",
       "state_limit"},
      {"a site that nothing else names", "D14", kWarning,
       [](I& i) {
         add_unknown_sites(i, "matrix", {"frq"});
         add_unknown_sites(i, "none", {"ams"});
       },
       "node has: frq (matrix)", "query move matrix --sites"},
      {"a paused query", "D14", kWarning, [](I& i) { i.queries->at(0).state = "paused"; }, "paused: matrix",
       "query resume"},
      {"a damaged catalog", "D15", kError, [](I& i) { i.catalog->error = "XX001: it is damaged"; }, "damaged",
       "restart"},
      {"an old checkpoint", "D16", kWarning, [](I& i) { i.checkpoint->at = kNow - 2 * kMinute; },
       "since 2026-01-31T11:58:00Z (2 min)", "D18"},
      {"no checkpoint at all", "D16", kError, [](I& i) { i.checkpoint->at.reset(); }, "(60 min)", "disk"},
      {"a checkpoint that fails", "D16", kWarning, [](I& i) { i.checkpoint->error = "No space left on device"; },
       "No space left", "journalctl"},
      {"a kill", "D17", kWarning,
       [](I& i) {
         i.outages = {{kNow - 120 * kMinute, kNow - 118 * kMinute, false}};
       },
       "2026-01-31T10:00:00Z for 2 min (not stopped cleanly)", "journalctl"},
      {"a restart", "D17", kOk,
       [](I& i) {
         i.outages = {{kNow - 120 * kMinute, kNow - 118 * kMinute, true}};
       },
       "2026-01-31T10:00:00Z for 2 min;", ""},
      {"an old kill", "D17", kOk,
       [](I& i) {
         i.outages = {{kNow - 3000 * kMinute, kNow - 2900 * kMinute, false}};
       },
       "no outage", ""},
      {"a disk nearly full", "D18", kWarning, [](I& i) { i.disk->free_octets = uint64_t{8} << 30; },
       "8.0 GiB of 100 GiB left", "du -xh"},
      {"a full disk", "D18", kError, [](I& i) { i.disk->free_octets = uint64_t{4} << 30; }, "4.0 GiB", "df -h"},
      {"no inodes", "D18", kError, [](I& i) { i.disk->free_files = 10; }, "1.00 % of the file system's inodes", "df"},
      {"a folder of others", "D18", kError, [](I& i) { i.disk->error = "Permission denied"; }, "Permission denied",
       "ls -ld /var/lib/backstream"},
      {"descriptors", "D19", kWarning, [](I& i) { i.process->open_descriptors = 900; }, "900 of 1,024", "LimitNOFILE"},
      {"memory", "D20", kWarning, [](I& i) { i.process->resident_octets = uint64_t{14} << 30; },
       "14 GiB of 16 GiB are used", "state_limit"},
      {"memory of the unit", "D20", kError,
       [](I& i) {
         i.memory = I::Memory{(1 << 30) + (1 << 26), uint64_t{8} << 30, true};
       },
       "MemoryMax", "state_limit"},
      {"memory of others", "D20", kError, [](I& i) { i.memory->available_octets = 1 << 28; }, "256 MiB are available",
       "ps aux"},
      {"an open console", "D21", kError,
       [](I& i) {
         i.exposure = I::Exposure{"http://*:8844", false, false, false, true};
       },
       "without encryption and login (http://*:8844, http.allow_insecure)", "listen = \"http://127.0.0.1:8844\""},
      {"a console without login", "D21", kError,
       [](I& i) {
         i.exposure = I::Exposure{"https://*:8844", false, true, false, false};
       },
       "without login", "Access"},
      {"a console with both", "D21", kOk,
       [](I& i) {
         i.exposure = I::Exposure{"https://*:8844", false, true, true, false};
       },
       "with encryption and login", ""},
      {"a limit that is near", "D22", kWarning, [](I& i) { i.limits->at(0).used = 60'000; },
       "near the limit: exporters: 60,000 of 65,536", "decode.exporter_limit"},
      {"a limit that is reached", "D22", kError, [](I& i) { i.limits->at(0).used = 65'536; }, "65,536 of 65,536",
       "decode.exporter_limit"},
      {"sinks", "D25", kOk, [](I&) {}, "2 sinks: none fails or lags", ""},
      {"no sinks", "D25", kOk, [](I& i) { i.sinks->clear(); }, "no sinks", ""},
      {"a sink whose target is away", "D25", kError,
       [](I& i) {
         i.sinks->at(0).failing = true;
         i.sinks->at(0).error = "connection refused";
         i.sinks->at(0).behind_since = kNow - 2 * kMinute;
         i.sinks->at(1).recent_left_out = 7;
       },
       "do not get through: matrix_db since 2026-01-31T11:58:00Z (2 min): connection refused",
       "backstream sink test matrix_db"},
      {"a sink that waits", "D25", kWarning, [](I& i) { i.sinks->at(1).waits_for = "there is no query 'matrix'"; },
       "matrix_prom waits: there is no query 'matrix'", "DROP PUBLICATION matrix_prom"},
      {"a sink that lags", "D25", kWarning, [](I& i) { i.sinks->at(0).behind_since = kNow - 2 * kMinute; },
       "matrix_db lags since 2026-01-31T11:58:00Z", "history.keep"},
      {"a sink that does not lag yet", "D25", kOk, [](I& i) { i.sinks->at(0).behind_since = kNow - kMinute / 2; },
       "none fails or lags", ""},
      {"a sink that missed rows", "D25", kWarning, [](I& i) { i.sinks->at(0).recent_missed = 1'200; },
       "matrix_db missed 1,200 rows", "history.keep"},
      {"rows that a target refused", "D25", kWarning,
       [](I& i) {
         i.sinks->at(0).recent_refused = 3;
         i.sinks->at(0).error = "no UTF-8";
       },
       "matrix_db refused 3 rows: no UTF-8", "backstream sink replay matrix_db"},
      {"rows beyond series_max", "D25", kWarning, [](I& i) { i.sinks->at(1).recent_left_out = 7; },
       "matrix_prom left out 7 rows beyond series_max", "rest_row"},
      {"history", "D24", kOk, [](I&) {}, "history takes 2.0 GiB of 16 GiB, from 2026-01-27T08:00:00Z on", ""},
      {"history on a full disk", "D24", kError,
       [](I& i) {
         i.history->trouble = "the disk is full";
         i.history->trouble_since = kNow - 2 * kMinute;
         i.history->is_full = true;
       },
       "results are not kept since 2026-01-31T11:58:00Z (2 min): the disk is full", "history.max_octets"},
      {"history that cannot be written", "D24", kError,
       [](I& i) { i.history->trouble = "attempt to write a readonly database"; }, "readonly",
       "ls -ld /var/lib/backstream/history"},
      {"a disk that was full", "D24", kWarning,
       [](I& i) {
         i.history->full_at = kNow - 2 * kMinute;
         i.history->recent_removed = 3;
       },
       "the disk was full 2 min ago, and 3 files went", "history.max_octets"},
      {"a disk that was full long ago", "D24", kOk, [](I& i) { i.history->full_at = kNow - 100 * kMinute; },
       "history takes", ""},
      {"a disk that is behind", "D24", kWarning, [](I& i) { i.history->recent_refused = 1'000; }, "1,000 rows",
       "iostat"},
      {"damage in history", "D24", kWarning, [](I& i) { i.history->set_aside = 1; }, "1 file is set aside, 0 parts",
       "docs/operations.md"},
      {"slow readers", "D22", kWarning,
       [](I& i) {
         i.recent_refusals = {{"live events that slow readers missed", 12}};
       },
       "in the last 5 min: 12 live events that slow readers missed", "ss -tnp"},
      {"an endpoint that fails", "D23", kError,
       [](I& i) {
         i.alerts->failing = {{"chat", "it answered 500", kNow - 3 * kMinute, 7}};
       },
       "chat since 2", "backstream alert test chat"},
      {"an endpoint that nobody wrote", "D23", kWarning, [](I& i) { i.alerts->unknown = {"pager of ddos"}; },
       "pager of ddos", "alert.notify"},
      {"rules for nobody", "D23", kWarning, [](I& i) { i.alerts->no_endpoint = true; }, "nobody is told",
       "notify.NAME"},
      {"alerts that are not kept", "D23", kError, [](I& i) { i.alerts->store_error = "disk I/O error"; },
       "disk I/O error", "D18"},
  };
  return kCases;
}

TEST(Doctor, FindsWhatIsWrongAndSaysHowToMendIt) {
  for (const Case& one : cases()) {
    DoctorInput input = well();
    one.spoil(input);
    const std::vector<Check> checks = run_checks(input);
    const Check* const check = find(checks, one.id);
    ASSERT_NE(check, nullptr) << one.what;
    EXPECT_EQ(check->state, one.state) << one.what << ": " << check->text;
    EXPECT_NE(check->text.find(one.text), std::string::npos) << one.what << ": " << check->text;
    EXPECT_NE(check->fix.find(one.fix), std::string::npos) << one.what << ": " << check->fix;
    EXPECT_EQ(check->fix.empty(), one.state == kOk) << one.what;
    EXPECT_EQ(check->text.find('\n'), std::string::npos) << one.what;
    // Nothing else is wrong.
    for (const Check& other : checks) {
      if (other.id == one.id) continue;
      EXPECT_EQ(other.state, kOk) << one.what << ": " << other.id << " " << other.text;
    }
    EXPECT_EQ(checks_exit_code(checks), one.state == kError ? 2 : one.state == kWarning ? 1 : 0) << one.what;
  }
}

TEST(Doctor, EveryCheckCanFindSomething) {
  std::set<std::string_view> bad;
  for (const Case& one : cases())
    if (one.state != kOk) bad.insert(one.id);
  EXPECT_EQ(bad.size(), 25U);
}

TEST(Doctor, TheDocumentHasEveryCheck) {
  std::ifstream in(std::string(BACKSTREAM_SOURCE_DIR) + "/docs/doctor.md");
  std::stringstream text;
  text << in.rdbuf();
  for (const Check& check : run_checks(well()))
    EXPECT_NE(text.str().find("| " + check.id + " |"), std::string::npos) << check.id;
}

TEST(Doctor, NamesAFewAndCountsTheRest) {
  DoctorInput input = well();
  input.exporters->clear();
  for (int i = 0; i < 70; ++i) {
    input.exporters->push_back(exporter(fmt::format("10.0.0.{}", i)));
    input.exporters->back().recent_unknown_sampling = 1;
  }
  const std::vector<Check> checks = run_checks(input);
  EXPECT_NE(find(checks, "D05")->text.find("10.0.0.0, 10.0.0.1, 10.0.0.2 and 67 more"), std::string::npos)
      << find(checks, "D05")->text;
}

TEST(Doctor, ExportersThatWereTakenAwayAreForgotten) {
  DoctorInput input = well();
  input.exporters->at(1).last_seen = kNow - 25 * 60 * kMinute;
  const std::vector<Check> checks = run_checks(input);
  EXPECT_EQ(find(checks, "D03")->text, "exporters: 2 known, all sending");
}

TEST(Doctor, WritesForPeopleAndForPrograms) {
  DoctorInput input = well();
  input.listeners->at(0).recent_drops = 1204;
  input.queries->at(0).state = "paused";
  input.queries->at(0).name = "a\nb\x1b[31m";
  const std::vector<Check> checks = run_checks(input);
  const std::string text = checks_text(checks);
  EXPECT_NE(text.find("  ok    D01  settings are valid (/etc/backstream/backstream.toml)\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("  ERROR D09  the kernel dropped"), std::string::npos) << text;
  EXPECT_NE(text.find("\n             fix: set ingest.sockets"), std::string::npos) << text;
  EXPECT_NE(text.find("  warn  D14  0 queries run, paused: a?b?[31m\n"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("  25 checks: 23 ok, 1 warning, 1 error\n")) << text;
  const nlohmann::json read = nlohmann::json::parse(checks_json(checks));
  EXPECT_EQ(read["warnings"], 1);
  EXPECT_EQ(read["errors"], 1);
  EXPECT_EQ(read["checks"].size(), 25U);
  EXPECT_EQ(read["checks"][8]["id"], "D09");
  EXPECT_EQ(read["checks"][8]["state"], "error");
}

// --- where the facts come from --------------------------------------------------------------------------------------

MetricsInput counts(Micros now) {
  MetricsInput made;
  made.now = now;
  made.process.started_at = kNow - 60 * kMinute;
  made.ingest.sockets = {{"::", 2055, 0, 0, 100, 1 << 20}, {"::", 2055, 0, 0, 50, 1 << 19}};
  made.exporters.emplace_back();
  made.exporters[0].address = "192.0.2.1";
  made.exporters[0].last_seen = now;
  made.queries.emplace_back();
  made.queries[0].name = "matrix";
  made.queries[0].state = "running";
  made.queries[0].ledger.emplace();
  made.queries[0].ledger->assigned = 1000;
  made.queries[0].ledger->late = 500;
  made.checkpoint_at = now;
  return made;
}

TEST(DoctorFacts, AreWhatHasChangedSince) {
  const config::Settings settings;
  const MetricsInput earlier = counts(kNow - 5 * kMinute);
  MetricsInput now = counts(kNow);
  now.ingest.sockets[1].kernel_drops += 7;
  now.exporters[0].ledger.sampling_unknown_rows = 3;
  now.exporters[0].ledger.add(decode::DecodeFault::kSetTruncated, 2);
  now.exporters[0].ledger.add(decode::DecodeFault::kTemplateUnknown, 9);
  now.exporters[0].clock.clock_offset_us = 5 * kSecond;
  now.queries[0].ledger->assigned = 1500;
  now.queries[0].ledger->late = 501;
  now.hub.lost_frames = 12;
  DoctorInput input;
  add_counts(input, settings, now, &earlier);
  EXPECT_EQ(input.recent_us, 5 * kMinute);
  ASSERT_EQ(input.listeners->size(), 1U);
  EXPECT_EQ(input.listeners->at(0).address, "udp://[::]:2055");
  EXPECT_EQ(input.listeners->at(0).drops, 157U);
  EXPECT_EQ(input.listeners->at(0).recent_drops, 7U);
  EXPECT_EQ(input.listeners->at(0).buffer_octets, 1U << 19) << "the least";
  EXPECT_EQ(input.exporters->at(0).recent_unknown_sampling, 3U);
  EXPECT_EQ(input.exporters->at(0).recent_unreadable, 2U);
  EXPECT_EQ(input.exporters->at(0).fault, "set_truncated");
  EXPECT_EQ(input.exporters->at(0).clock_offset, 5 * kSecond);
  EXPECT_EQ(input.queries->at(0).recent_rows, 500U);
  EXPECT_EQ(input.queries->at(0).recent_late, 1U);
  ASSERT_EQ(input.recent_refusals.size(), 1U);
  EXPECT_EQ(input.recent_refusals[0].second, 12U);
  EXPECT_FALSE(input.admission->open) << "loopback";

  DoctorInput since_start;
  add_counts(since_start, settings, now, nullptr);
  EXPECT_EQ(since_start.recent_us, 60 * kMinute);
  EXPECT_EQ(since_start.listeners->at(0).recent_drops, 157U);

  MetricsInput altered = now;
  altered.queries[0].version = 2;
  altered.queries[0].ledger->late = 4;
  DoctorInput after_alter;
  add_counts(after_alter, settings, altered, &earlier);
  EXPECT_EQ(after_alter.queries->at(0).recent_late, 4U) << "another version counts from nothing";

  add_query_reason(input, "matrix", "by ann", kNow);
  add_query_reason(input, "nobody", "", kNow);
  EXPECT_EQ(input.queries->at(0).reason, "by ann");
}

TEST(DoctorFacts, AreComparedWithThoseOfSomeMinutesAgo) {
  EarlierCounts earlier(5 * kMinute);
  EXPECT_EQ(earlier.get(), nullptr);
  for (int second = 0; second < 3600; ++second) {
    const Micros now = kNow + second * kSecond;
    if (earlier.due(now)) earlier.keep(counts(now));
    ASSERT_NE(earlier.get(), nullptr);
    const Micros span = now - earlier.get()->now;
    EXPECT_LT(span, 10 * kMinute);
    EXPECT_GE(span, std::min<Micros>(second * kSecond, 5 * kMinute));
  }
  EXPECT_TRUE(earlier.due(kNow - 60 * kMinute)) << "the clock was set back";
}

TEST(DoctorFacts, AnAllowListIsAskedForBeyondLoopback) {
  config::Settings settings;
  settings.listen.flow = {{"udp", "*", 2055}};
  DoctorInput input;
  add_counts(input, settings, counts(kNow), nullptr);
  EXPECT_TRUE(input.admission->open);
  EXPECT_TRUE(local_facts(settings, false).admission->open);
  settings.ingest.allow = {*base::parse_inet("192.0.2.0/24"), *base::parse_inet("::/0")};
  EXPECT_TRUE(local_facts(settings, false).admission->open) << "everybody is on it";
  settings.ingest.allow.pop_back();
  EXPECT_FALSE(local_facts(settings, false).admission->open);
  settings.http.listen = "http://0.0.0.0:8844";
  EXPECT_FALSE(local_facts(settings, false).exposure->loopback);
}

TEST(DoctorFacts, OfThisMachineAreThere) {
  config::Settings settings;
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("doctor_{}", ::getpid()) / "not" / "there";
  settings.state.folder = folder.string();
  const DoctorInput input = local_facts(settings, false);
  ASSERT_TRUE(input.disk && input.memory && input.exposure);
  EXPECT_EQ(input.disk->folder, std::filesystem::temp_directory_path().lexically_normal().string());
  EXPECT_GT(input.disk->total_octets, 0U);
  EXPECT_GT(input.memory->total_octets, 1U << 20);
  EXPECT_FALSE(input.listeners.has_value());
  EXPECT_FALSE(input.started_at.has_value());
}

TEST(DoctorFacts, PortsAreTriedAndGivenBack) {
  const int file = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(file, reinterpret_cast<sockaddr*>(&place), sizeof place), 0);
  socklen_t octets = sizeof place;
  ::getsockname(file, reinterpret_cast<sockaddr*>(&place), &octets);
  config::Settings settings;
  settings.listen.flow = {{"udp", "127.0.0.1", ntohs(place.sin_port)}};
  settings.http.listen = "http://127.0.0.1:0";
  settings.ingest.receive_buffer_octets = 4096;
  DoctorInput input = local_facts(settings, true);
  ASSERT_EQ(input.listeners->size(), 1U);
  EXPECT_NE(input.listeners->at(0).error, "");
  EXPECT_EQ(find(run_checks(input), "D02")->state, kError);
  ::close(file);
  for (int i = 0; i < 2; ++i) {
    input = local_facts(settings, true);
    EXPECT_EQ(input.listeners->at(0).error, "");
    EXPECT_GE(input.listeners->at(0).buffer_octets, 2048U);
  }
  // The port of the console, too.
  const int tcp = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 console{};
  console.sin6_family = AF_INET6;
  console.sin6_addr = in6addr_loopback;
  if (::bind(tcp, reinterpret_cast<sockaddr*>(&console), sizeof console) == 0 && ::listen(tcp, 1) == 0) {
    octets = sizeof console;
    ::getsockname(tcp, reinterpret_cast<sockaddr*>(&console), &octets);
    settings.http.listen = fmt::format("http://[::1]:{}", ntohs(console.sin6_port));
    input = local_facts(settings, true);
    ASSERT_EQ(input.listeners->size(), 2U);
    EXPECT_NE(input.listeners->at(1).error, "");
  }
  ::close(tcp);
}

}  // namespace
}  // namespace backstream::service
