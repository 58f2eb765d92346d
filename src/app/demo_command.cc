// backstream demo: three PoPs and the node that has their results, on loopback and in one process, synthetic traffic
// with a port sweep in it, and the answers checked while they come: every window of the traffic matrix against what the
// generator itself says was sent, and that the sweep is one alert, which ends with it. One PoP is cut off for a while:
// what it kept revises the windows that closed without it.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>

#include "app/cluster_demo.h"
#include "app/commands.h"
#include "app/demo/answers.h"
#include "app/demo/nodes.h"
#include "app/demo/notices.h"
#include "app/demo/routers.h"
#include "app/demo/temporary_folder.h"
#include "app/demo/texts.h"
#include "app/stop_signal.h"
#include "console/assets.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

using namespace demo;
using base::wall_clock;
constexpr Micros kDurationBatch = 55 * kSecond, kDurationTerminal = 600 * kSecond, kDurationCluster = 40 * kSecond;
constexpr size_t kWindowsAtLeast = 4;

/// When kPopCut is cut off, after the traffic began; it comes back when a window has been shown without it for a while.
constexpr Micros kCutAt = 35 * kSecond, kCutMax = 60 * kSecond;
constexpr Micros kShownWithoutBatch = 3 * kSecond, kShownWithoutTerminal = 12 * kSecond;
constexpr Micros kDurationOfCut = 55 * kSecond;  ///< traffic of less is too short for it
/// For windows that lack a PoP to be revised and the alert to end, after the traffic.
constexpr Micros kRevisedWithin = 15 * kSecond;

std::string sparkline(const std::vector<std::optional<double>>& values) {
  static constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  double top = 0;
  for (const auto& value : values) top = std::max(top, value.value_or(0));
  std::string line;
  for (const auto& value : values)
    line += !value ? " " : kBars[top <= 0 ? 0 : std::min<size_t>(7, static_cast<size_t>(*value / top * 7.999))];
  return line;
}
/// What people find at the service's address: pages for browsers, where they are part of this build.
std::string_view front_name() { return console::built_assets().empty() ? "api" : "console"; }

/// 75 s -> "1:15".
std::string elapsed_text(Micros time) { return fmt::format("{}:{:02}", time / kSecond / 60, time / kSecond % 60); }
/// 1234567 -> "1,234,567".
std::string grouped(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

/// "3/3 PoPs", "2/3 PoPs, missing pop-rio".
std::string coverage(const std::vector<std::string>& missing) {
  std::string text = fmt::format("{}/{} PoPs", kPops.size() - std::min(missing.size(), kPops.size()), kPops.size());
  for (const std::string& pop : missing) text.append(&pop == &missing.front() ? ", missing " : " ").append(pop);
  return text;
}

std::string top_text(const Answers::Window& window, size_t count) {
  std::string text;
  for (size_t i = 0; i < std::min(count, window.top.size()); ++i) {
    const auto& [pair, octets] = window.top[i];
    text += fmt::format("{}AS{} -> AS{} {}bit/s", i == 0 ? "" : ", ", pair.first, pair.second,
                        scaled(static_cast<double>(octets) * 8 / (static_cast<double>(kWindow) / kSecond)));
  }
  return text;
}
/// What is known of a window beside its rows.
std::string verdict(const Answers::Window& window) {
  std::string text = coverage(window.missing);
  if (!window.missing.empty()) return text;
  text += !window.complete      ? ", INCOMPLETE"
          : window.equals_truth ? ", = truth"
          : window.had_drops    ? ", differs: datagrams were dropped"
                                : ", DIFFERS FROM THE TRUTH";
  return text;
}
std::string summary(const Answers::Window& window) {
  return fmt::format("{}{} rows, {}bit/s, {}",
                     window.revision > 1 ? fmt::format("revision {}, ", window.revision) : std::string(),
                     grouped(window.rows), scaled(window.bits_per_second), verdict(window));
}

/// What the webhook has heard, against what it should: one alert from the attack, and its end.
class AlertCheck {
 public:
  /// @param attack_from  event time
  explicit AlertCheck(Micros attack_from) : attack_from_(attack_from) {}

  void read(const Notices& notices) { notices_ = notices.all(); }
  const std::vector<Notices::Notice>& notices() const { return notices_; }
  size_t raised() const { return count(true); }
  size_t resolved() const { return count(false); }
  /// From the attack's begin to the end of the window that raised the alert.
  Micros raised_after() const { return notices_.empty() ? 0 : notices_.front().window_end - attack_from_; }
  bool is_right() const { return raised() == 1 && resolved() == 1 && raised_after() <= 2 * kWindow; }

 private:
  size_t count(bool firing) const {
    return static_cast<size_t>(std::count_if(notices_.begin(), notices_.end(),
                                             [&](const Notices::Notice& notice) { return notice.firing == firing; }));
  }
  const Micros attack_from_;
  std::vector<Notices::Notice> notices_;
};

/// The PoP that is cut off, and comes back.
class Outage {
 public:
  /// @param start          of the traffic
  /// @param shown_without  how long a window is shown that lacks it
  Outage(Nodes& nodes, Micros start, Micros shown_without)
      : nodes_(nodes), start_(start), shown_without_(shown_without) {}

  /// A line for people, when something has happened.
  std::optional<std::string> tend(const Answers& answers, bool traffic_ended, Micros now) {
    if (state_ == State::kBefore && !traffic_ended && now >= start_ + kCutAt) {
      state_ = State::kCut;
      cut_at_ = now;
      nodes_.set_cut(kPopCut, true);
      return fmt::format("{} {} is cut off (its edge goes on, and keeps what it makes)", elapsed_text(now - start_),
                         kPops[kPopCut].name);
    }
    if (state_ != State::kCut) return std::nullopt;
    if (shown_at_ == 0 && answers.missing_windows() > 0) shown_at_ = now;
    const bool shown = shown_at_ != 0 && now - shown_at_ >= shown_without_;
    if (!shown && !traffic_ended && now - cut_at_ < kCutMax) return std::nullopt;
    state_ = State::kBack;
    nodes_.set_cut(kPopCut, false);
    return fmt::format("{} {} is back", elapsed_text(now - start_), kPops[kPopCut].name);
  }

 private:
  enum class State : uint8_t { kBefore, kCut, kBack };
  Nodes& nodes_;
  const Micros start_, shown_without_;
  State state_ = State::kBefore;
  Micros cut_at_ = 0, shown_at_ = 0;
};

/// What is shown while it runs: on a terminal one screen that is redrawn, else a line for each thing that happened.
class Display {
 public:
  struct Seen {
    const Answers& answers;
    const AlertCheck& alerts;
    const Routers& routers;
    const Nodes::Counts& counts;
    Micros now;
  };

  /// @param begun  when the demo was started
  /// @param end    of the traffic
  /// @param api    where the service answers
  Display(bool terminal, Micros begun, Micros end, std::string api, size_t query_count)
      : terminal_(terminal), begun_(begun), end_(end), api_(std::move(api)), query_count_(query_count) {
    if (api_ != "http://127.0.0.1:8844") server_flag_ = " --server " + api_;
  }

  /// Something that happened.
  void tell(const std::string& line) {
    event_ = line;
    if (terminal_) return;
    fmt::print("{}\n", line);
    std::fflush(stdout);
  }
  /// What nodes say, where there is a screen. Any thread.
  void note(std::string_view line) {
    const std::lock_guard lock(mutex_);
    last_line_ = line.substr(0, line.find('\n'));
  }
  void update(const Seen& seen) {
    if (terminal_) return draw(seen);
    const auto& told = seen.answers.told();
    for (; windows_told_ < told.size(); ++windows_told_) {
      const Answers::Window& window = told[windows_told_];
      if (windows_told_ == 0)
        fmt::print("ok results  first window closed after {:.1f} s, {}\n",
                   static_cast<double>(seen.now - begun_) / kSecond, coverage(window.missing));
      const std::string top = window.revision == 1 ? "; top " + top_text(window, 1) : "";
      fmt::print("window {} to {}: {}{}\n", clock_text(window.start), clock_text(window.start + kWindow),
                 summary(window), top);
    }
    const auto& notices = seen.alerts.notices();
    for (; notices_told_ < notices.size(); ++notices_told_) {
      const Notices::Notice& notice = notices[notices_told_];
      fmt::print("ALERT {}: {} ({}, {}; window until {}, webhook called at {})\n",
                 notice.firing ? "firing" : "resolved", notice.text, notice.rule, notice.severity,
                 clock_text(notice.window_end), clock_text(notice.came_at));
    }
    std::fflush(stdout);
  }
  void finish() const {
    if (terminal_) fmt::print("\x1b[?25h\x1b[?7h\n");
  }

 private:
  void draw(const Seen& seen) {
    const auto& [answers, alerts, routers, counts, now] = seen;
    // What does not fit is cut: a line that goes on in the next row, or one too many, would shift all of them.
    std::string screen = "\x1b[?25l\x1b[?7l\x1b[H";
    winsize size{};
    const bool is_known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0;
    size_t rows_left = is_known ? size.ws_row - 1 : SIZE_MAX;
    const auto line = [&](const std::string& text) {
      if (rows_left == 0) return;
      --rows_left;
      screen += text + "\x1b[K\n";
    };
    const auto& seconds = answers.seconds();
    int64_t flows = 0;
    std::vector<std::string> missing;
    if (!seconds.empty()) {
      missing = seconds.rbegin()->second.missing;
      for (const auto& [pop, rate] : seconds.rbegin()->second.pops) flows += rate.flows;
    }
    // No line of what is watched is longer than 80 columns.
    line(fmt::format("BackStreamDB demo   {}   {}   {} flows/s", clock_text(now),
                     seconds.empty() ? "starting" : coverage(missing), grouped(static_cast<uint64_t>(flows))));
    line(fmt::format("synthetic; 10 s windows, delay {} s, next in {} s; ends in {} s or with Ctrl-C", kDelay / kSecond,
                     (kWindow - (now - kDelay) % kWindow + kSecond - 1) / kSecond,
                     std::max<Micros>(0, end_ - now) / kSecond));
    line("");
    for (const Pop& pop : kPops) {
      std::vector<std::optional<double>> bits;
      for (const auto& [second, shown] : seconds) {
        const auto rate = shown.pops.find(pop.name);
        bits.push_back(rate == shown.pops.end() ? std::nullopt : std::optional(rate->second.bits));
      }
      const bool has_rate = !bits.empty() && bits.back();
      line(fmt::format("  {}  {:>8}bit/s  {}", pop.name, has_rate ? scaled(*bits.back()) : "- ", sparkline(bits)));
    }
    line("");
    if (answers.windows().empty()) {
      line("  the first window closes soon ...");
      for (int i = 0; i < 5; ++i) line("");
    } else {
      const Answers::Window& window = answers.windows().rbegin()->second;
      line(
          fmt::format("  {} to {}: {}", clock_text(window.start), clock_text(window.start + kWindow), summary(window)));
      for (size_t i = 0; i < 5; ++i) {
        if (i >= window.top.size()) {
          line("");
          continue;
        }
        const auto& [pair, octets] = window.top[i];
        const auto bar =
            static_cast<size_t>(static_cast<double>(octets) / static_cast<double>(window.top[0].second) * 24);
        line(fmt::format("    AS{:<10} -> AS{:<10} {:>8}bit/s  {}", pair.first, pair.second,
                         scaled(static_cast<double>(octets) * 8 / (static_cast<double>(kWindow) / kSecond)),
                         std::string(bar, '=')));
      }
    }
    line("");
    if (alerts.notices().empty()) {
      line("  no alert");
    } else {
      const Notices::Notice& notice = alerts.notices().back();
      line(fmt::format("  {} {}: {}", notice.firing ? "ALERT" : "alert over at", clock_text(notice.came_at),
                       notice.text));
    }
    line(event_.empty() ? "" : "  " + event_);
    {
      const std::lock_guard lock(mutex_);
      line(last_line_.empty() ? "" : "  log: " + last_line_);
    }
    size_t right = 0, revised = 0;
    for (const auto& [start, window] : answers.windows()) {
      right += window.missing.empty() && window.complete && window.equals_truth;
      revised += window.revision > 1;
    }
    line(fmt::format("  ledger: {} sent, {} received, {} dropped, {} undecodable, {} rows late", routers.sent(),
                     counts.ingest.datagrams, counts.ingest.kernel_drops,
                     counts.decoded.undecodable + counts.decoded.rejected, counts.late));
    line(fmt::format(
        "  {} of {} windows = truth{}{}", right, answers.windows().size(),
        revised == 0 ? "" : fmt::format(", {} of them after a revision", revised),
        answers.missing_windows() == 0 ? "" : fmt::format(", {} to be revised", answers.missing_windows())));
    line("");
    line(fmt::format("  running: {} queries, {} {}; in another terminal:", query_count_, front_name(), api_));
    line(fmt::format("    backstream sql{}     SELECT ...; live; \\d what there is; \\q ends it", server_flag_));
    line(fmt::format("    backstream tail protocol_mix{}", server_flag_));
    line(fmt::format("    backstream alert list{}", server_flag_));
    line(fmt::format("    backstream status{}", server_flag_));
    line(fmt::format("    curl -N {}/api/v1/queries/demo_pops/events", api_));
    line("");
    // A small terminal has room for one statement only.
    const bool tall = rows_left >= 12;
    for (const DemoQuery* query : {&kMatrix, &kSweep, &kPopTraffic}) {
      if (query != &kMatrix && !tall) break;
      const std::string_view sql = query->text;
      line(fmt::format("    {}:", query->name));
      for (size_t at = 0; at < sql.size();) {
        const size_t newline = std::min(sql.find('\n', at), sql.size());
        line(fmt::format("      {}", sql.substr(at, newline - at)));
        at = newline + 1;
      }
    }
    screen += "\x1b[J";
    std::fwrite(screen.data(), 1, screen.size(), stdout);
    std::fflush(stdout);
  }

  const bool terminal_;
  const Micros begun_, end_;
  const std::string api_;
  const size_t query_count_;
  std::string server_flag_, event_;
  size_t windows_told_ = 0, notices_told_ = 0;
  std::mutex mutex_;
  std::string last_line_;  ///< under mutex_
};

/// What would be written across the screen is shown on it.
class LinesOnScreen {
 public:
  explicit LinesOnScreen(Display& display) {
    telemetry::terminal_log().divert([&display](std::string_view line) { display.note(line); });
  }
  ~LinesOnScreen() { telemetry::terminal_log().divert(nullptr); }
  LinesOnScreen(const LinesOnScreen&) = delete;
  LinesOnScreen& operator=(const LinesOnScreen&) = delete;
};

/// What became of all that was sent. True: all that could be checked holds.
/// @param alert_ends  there was time enough for it
bool report(const Answers& answers, const AlertCheck& alerts, const Nodes::Counts& counts, uint64_t sent,
            bool alert_ends, bool interrupted) {
  size_t right = 0, wrong = 0, dropped = 0, revised = 0;
  const size_t missing = answers.missing_windows();
  for (const auto& [start, window] : answers.windows()) {
    if (!window.missing.empty()) continue;
    if (window.complete && window.equals_truth) ++right;
    else if (window.had_drops) ++dropped;
    else ++wrong;
    if (window.revision > 1) ++revised;
  }
  const uint64_t received = counts.ingest.datagrams, drops = counts.ingest.kernel_drops;
  fmt::print("datagrams: {} sent = {} received + {} dropped by the kernel{}\n", sent, received, drops,
             sent == received + drops ? "" : "  DOES NOT ADD UP");
  fmt::print("flows: {} decoded, {} late, {} datagrams undecodable\n", counts.decoded.flows, counts.late,
             counts.decoded.undecodable + counts.decoded.rejected);
  fmt::print("windows: {} equal the truth row by row{}, {} differ, {} with drops{}\n", right,
             revised == 0 ? "" : fmt::format(" ({} after a revision)", revised), wrong, dropped,
             missing == 0 ? "" : fmt::format(", {} LACK A POP", missing));
  const auto& notices = alerts.notices();
  fmt::print("alerts: {} raised, {} resolved{}\n", alerts.raised(), alerts.resolved(),
             notices.empty() ? ""
                             : fmt::format("; {}: told by the window that ended {:.1f} s after that began",
                                           notices.front().text, static_cast<double>(alerts.raised_after()) / kSecond));
  const bool alerted = alert_ends ? alerts.is_right() : alerts.raised() == 1;
  const bool pass = sent == received + drops && wrong == 0 && missing == 0 && right >= kWindowsAtLeast && alerted;
  if (interrupted && !pass) {
    fmt::print("ended before all could be checked\n");
    return wrong == 0;
  }
  fmt::print("{}\n", pass ? "PASS" : "FAIL");
  return pass;
}

}  // namespace

int demo_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Three PoPs on loopback with synthetic traffic, 10 s windows, each checked against the truth. The edges of the "
      "PoPs and\n"
      "the node that has the results are one process: where a deployment has Kafka between them, here is its memory.\n"
      "After 11 s an address tries the ports of another: one alert, which a webhook of the demo hears of.\n"
      "After 35 s one PoP is cut off for a while: windows say that it is missing, and are revised when it is back.",
      "backstream demo");
  std::string duration_text;
  app.add_option("--duration", duration_text,
                 "how long traffic flows (default: 55 s, with --cluster 40 s, on a terminal 10 min); below 55 s no PoP "
                 "is cut off")
      ->type_name("DURATION");
  ClusterDemoOptions cluster;
  bool in_cluster = false;
  auto* flag = app.add_flag("--cluster", in_cluster,
                            "a process for each edge, two merge workers and a receiver, and Apache Kafka between them");
  app.add_option("--kafka-jars", cluster.kafka_jars,
                 "with --cluster: Kafka's folder libs (default: BACKSTREAM_KAFKA_JARS)")
      ->type_name("DIR")
      ->needs(flag);
  app.add_option("--brokers", cluster.brokers, "with --cluster: a Kafka that stands already")
      ->type_name("HOST:PORT")
      ->needs(flag);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error, std::cout, std::cerr);
    return status == 0 ? kExitOk : kExitUsage;
  }
  telemetry::TerminalLog& log = telemetry::terminal_log();
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  Micros duration = terminal ? kDurationTerminal : kDurationBatch;
  if (!duration_text.empty()) {
    const auto given = base::parse_duration(duration_text);
    if (!given || *given < kSecond || *given > 86'400 * kSecond) {
      log.error(fmt::format("--duration '{}': give a time from 1s to 1d, such as 60s", duration_text));
      return kExitUsage;
    }
    duration = *given;
  }
  if (in_cluster) {
    cluster.duration = !duration_text.empty() || terminal ? std::max(duration, 20 * kSecond) : kDurationCluster;
    cluster.kills_a_worker = !terminal;
    return cluster_demo(cluster);
  }

  const Micros begun = wall_clock();
  const TemporaryFolder folder;
  const auto notices = Notices::open();
  if (!notices) return complain(notices.error(), kExitFailure);
  auto opened = Nodes::open(folder.path(), (*notices)->url());
  if (!opened) return complain(opened.error(), kExitFailure);
  Nodes& nodes = **opened;
  const std::string api = nodes.center().http_address();
  const size_t query_count = nodes.center().queries().list().size();
  if (!terminal) {
    fmt::print("ok bus      in-process (a real deployment uses Kafka; same code path above it)\n");
    std::string pops, protocols;
    for (size_t pop = 0; pop < kPops.size(); ++pop) {
      pops.append(pop == 0 ? "" : " ").append(kPops[pop].name);
      protocols +=
          fmt::format("{}{} on udp port {}", pop == 0 ? "" : ", ", kPops[pop].protocol_text, nodes.flow_ports()[pop]);
    }
    fmt::print("ok edges    {}   {}\n", pops, protocols);
    fmt::print("ok traffic  synthetic, {} flows/s for {} s; 10 s windows, delay {} s\n",
               grouped(Routers::kRecordsPerSecond), duration / kSecond, kDelay / kSecond);
    fmt::print("ok history  results are kept while this runs\n");
    fmt::print("ok alerts   a webhook of this demo hears of them: {}\n", (*notices)->url());
    fmt::print("ok {:<8} {}, {} queries run\n", front_name(), api, query_count);
    std::fflush(stdout);
  } else {
    fmt::print("\x1b[2J");
  }

  const Micros start = wall_clock() + kSecond / 2;
  Truth truth;
  Answers answers(truth);
  AlertCheck alerts(start + Routers::attack_of(duration).from);
  const bool alert_ends = duration >= kDurationOfCut;
  Display display(terminal, begun, start + duration, api, query_count);
  std::optional<Outage> outage;
  if (duration >= kDurationOfCut) outage.emplace(nodes, start, terminal ? kShownWithoutTerminal : kShownWithoutBatch);
  std::optional<LinesOnScreen> lines_on_screen;
  if (terminal && log.on_terminal()) lines_on_screen.emplace(display);
  nodes.start();
  Routers routers(start, duration, nodes.flow_ports(), truth);
  Nodes::Counts counts;
  const auto look = [&](Micros now) {
    answers.read(nodes.center().board(), counts.ingest.kernel_drops, now);
    alerts.read(**notices);
    return Display::Seen{answers, alerts, routers, counts, now};
  };
  Micros drawn_at = 0, sent_at = 0;
  for (;; std::this_thread::sleep_for(std::chrono::milliseconds(100))) {
    const Micros now = wall_clock();
    counts = nodes.counts();
    const auto seen = look(now);
    if (outage) {
      if (const auto line = outage->tend(answers, routers.done(), now)) display.tell(*line);
    }
    if (now - drawn_at > (terminal ? kSecond / 4 : kSecond / 2)) {
      drawn_at = now;
      display.update(seen);
    }
    if (stop_requested()) routers.stop();
    if (!routers.done()) continue;
    // All is sent: done when all has come, or nothing more comes for a while, and what is known to be missing is there.
    if (sent_at == 0) sent_at = now;
    const bool all_came = counts.ingest.datagrams + counts.ingest.kernel_drops >= routers.sent();
    const bool settled = answers.missing_windows() == 0 && (!alert_ends || alerts.resolved() > 0);
    if ((all_came || now - sent_at >= 2 * kSecond) && (settled || stop_requested() || now - sent_at >= kRevisedWithin))
      break;
  }
  const auto done = nodes.stop();
  lines_on_screen.reset();
  if (!done) return complain(done.error(), kExitFailure);
  counts = nodes.counts();
  display.update(look(wall_clock()));
  display.finish();
  return report(answers, alerts, counts, routers.sent(), alert_ends, stop_requested()) ? kExitOk : kExitFailure;
}

}  // namespace backstream::app
