// backstream demo: the service with three PoPs on loopback, synthetic traffic with a port sweep in it, and the answers
// checked while they come: every window of the traffic matrix against what the generator itself says was sent.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "app/commands.h"
#include "app/daemon.h"
#include "app/query_texts.h"
#include "app/starter_queries.h"
#include "app/stop_signal.h"
#include "generate/backbone.h"
#include "ingest/udp_sender.h"
#include "ingest/udp_source.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

using base::Micros;
using base::wall_clock;
constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kWindow = 10 * kSecond;
constexpr Micros kDelay = 2 * kSecond;
constexpr uint64_t kRecordsPerSecond = 20'000;
constexpr uint32_t kSamplingRate = 100;
constexpr const char* kPops[] = {"ams", "fra", "lon"};
constexpr size_t kPopCount = std::size(kPops);
constexpr Micros kDurationBatch = 55 * kSecond, kDurationTerminal = 600 * kSecond;
constexpr size_t kWindowsAtLeast = 4;

/// The demo's own queries, whose answers are checked; beside them run those that a new installation begins with.
struct DemoQuery {
  const char *name, *text;
};
constexpr DemoQuery kMatrix = {"demo_matrix", R"(SELECT window_start, src_as, dst_as, sum(octets) AS octets
FROM tumble(flows, time, interval '10 s') GROUP BY window_start, src_as, dst_as)"};
constexpr DemoQuery kSweep = {"demo_sweep", R"(SELECT window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports
FROM tumble(flows, time, interval '10 s') WHERE packets_raw = 1
GROUP BY window_start, src_ip, dst_ip HAVING count(DISTINCT dst_port) > 100)"};
constexpr DemoQuery kPopTraffic = {"demo_pops", R"(SELECT window_start, site, sum(octets) AS octets, count(*) AS flows
FROM tumble(flows, received_at, interval '1 s') GROUP BY window_start, site)"};

using Matrix = std::map<std::pair<uint32_t, uint32_t>, uint64_t>;  ///< (src_as, dst_as) -> octets, scaled

/// What was sent, told by the generator. Any thread.
class Truth final : public generate::RecordObserver {
 public:
  void observe(const generate::Record& record) override {
    const std::lock_guard lock(mutex_);
    windows_[base::floor_to(record.end, kWindow)][{record.source_as, record.destination_as}] +=
        record.octets * record.sampling_rate;
  }
  Matrix take(Micros window_start) {
    const std::lock_guard lock(mutex_);
    auto node = windows_.extract(window_start);
    return node.empty() ? Matrix{} : std::move(node.mapped());
  }

 private:
  std::mutex mutex_;
  std::map<Micros, Matrix> windows_;
};

base::Inet source_of(size_t pop) { return base::Inet::v4(0x7f000101 + static_cast<uint32_t>(pop)); }

/// The routers: sends each datagram when it is due, from the address of its exporter to the port of its PoP.
class Routers {
 public:
  Routers(const generate::BackboneOptions& options, const std::vector<uint16_t>& ports, Truth& truth)
      : backbone_(options) {
    backbone_.set_observer(&truth);
    for (size_t pop = 0; pop < kPopCount; ++pop) {
      const base::Inet source = source_of(pop);
      senders_.push_back(std::make_unique<ingest::UdpSender>(base::Inet::v4(0x7f000001), ports[pop], &source));
    }
    thread_ = std::thread([this] { run(); });
  }
  ~Routers() {
    stop_ = true;
    thread_.join();
  }
  bool done() const { return done_; }
  uint64_t sent() const { return sent_; }
  uint64_t refused() const { return refused_; }
  void stop() { stop_ = true; }

 private:
  void run() {
    generate::GeneratedDatagram datagram;
    while (!stop_ && backbone_.next(datagram)) {
      for (Micros now = wall_clock(); now < datagram.time && !stop_; now = wall_clock()) {
        for (auto& sender : senders_) sender->flush();
        count();
        std::this_thread::sleep_for(std::chrono::microseconds(std::min<Micros>(datagram.time - now, 20'000)));
      }
      senders_[datagram.exporter % kPopCount]->send(datagram.payload);
    }
    for (auto& sender : senders_) sender->flush();
    count();
    done_ = true;
  }
  void count() {
    uint64_t sent = 0, refused = 0;
    for (const auto& sender : senders_) {
      sent += sender->sent();
      refused += sender->refused();
    }
    sent_ = sent;
    refused_ = refused;
  }

  generate::Backbone backbone_;
  std::vector<std::unique_ptr<ingest::UdpSender>> senders_;
  std::atomic<bool> stop_{false}, done_{false};
  std::atomic<uint64_t> sent_{0}, refused_{0};
  std::thread thread_;  // Last: it uses all of the above.
};

/// 1234567890 -> "1.23 G".
std::string scaled(double value) {
  static constexpr const char* kUnits[] = {"", " k", " M", " G", " T", " P"};
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", value, unit == 0 ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0, kUnits[unit]);
}
std::string sparkline(const std::deque<double>& values) {
  static constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const double top = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  std::string line;
  for (const double value : values)
    line += kBars[top <= 0 ? 0 : std::min<size_t>(7, static_cast<size_t>(value / top * 7.999))];
  return line;
}
std::string clock_text(Micros time) { return base::format_timestamp(time).substr(11, 8); }

/// Collects the rows that the service shows, and checks each closed window.
class Answers {
 public:
  explicit Answers(Truth& truth) : truth_(truth) {}

  struct Window {
    Micros start = 0;
    size_t rows = 0;
    double bits_per_second = 0;
    bool equals_truth = false, had_drops = false;
    std::vector<std::pair<std::pair<uint32_t, uint32_t>, uint64_t>> top;  ///< largest first
  };
  struct Sweep {
    Micros window = 0;
    std::string source, destination;
    int64_t ports = 0;
  };

  /// What has come since the last call.
  void read(const service::ResultBoard& board) {
    for (const auto& [query, take] : {std::pair(kMatrix.name, &Answers::take_matrix),
                                      {kSweep.name, &Answers::take_sweep},
                                      {kPopTraffic.name, &Answers::take_pops}}) {
      service::ResultBoard::Range range;
      uint64_t& after = after_[query];
      range.after_seq = after;
      const auto read = board.read(query, range);
      if (!read) continue;
      for (const auto& part : read->parts) {
        (this->*take)(*part);
        after = part->seq;
      }
    }
  }

  uint64_t kernel_drops = 0;  ///< as counted so far; set by the owner
  std::vector<Window> windows;
  std::vector<Sweep> sweeps;
  std::map<std::string, std::deque<double>> pop_bits;  ///< per second
  std::map<std::string, int64_t> pop_flows;            ///< of the last second

 private:
  void take_matrix(const service::ShownPart& result) {
    const auto column = [&](size_t c) { return result.rows.columns[c].as<int64_t>(); };
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      matrix_[{static_cast<uint32_t>(column(1)[row]), static_cast<uint32_t>(column(2)[row])}] +=
          static_cast<uint64_t>(column(3)[row]);
      ++rows_;
    }
    if (!result.last) return;
    Window window;
    window.start = result.window_start;
    window.rows = rows_;
    // A key that came twice would show as fewer groups than rows.
    window.equals_truth = matrix_.size() == rows_ && matrix_ == truth_.take(result.window_start);
    // Drops are counted when they are noticed: a window is clean when none were since two windows before it closed.
    window.had_drops = kernel_drops != drops_before_;
    drops_before_ = drops_last_;
    drops_last_ = kernel_drops;
    uint64_t octets = 0;
    window.top.assign(matrix_.begin(), matrix_.end());
    for (const auto& [pair, sum] : window.top) octets += sum;
    const size_t shown = std::min<size_t>(5, window.top.size());
    std::partial_sort(
        window.top.begin(), window.top.begin() + static_cast<long>(shown), window.top.end(),
        [](const auto& a, const auto& b) { return a.second != b.second ? a.second > b.second : a.first < b.first; });
    window.top.resize(shown);
    window.bits_per_second = static_cast<double>(octets) * 8 / (static_cast<double>(kWindow) / kSecond);
    windows.push_back(std::move(window));
    matrix_.clear();
    rows_ = 0;
  }
  void take_sweep(const service::ShownPart& result) {
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      sweeps.push_back({result.window_start, base::to_string(result.rows.columns[1].as<base::Inet>()[row]),
                        base::to_string(result.rows.columns[2].as<base::Inet>()[row]),
                        result.rows.columns[3].as<int64_t>()[row]});
    }
  }
  void take_pops(const service::ShownPart& result) {
    constexpr size_t kHistory = 40;
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      if (result.rows.columns[1].is_null(row)) continue;
      const std::string pop(result.rows.columns[1].as<std::string_view>()[row]);
      auto& bits = pop_bits[pop];
      bits.push_back(static_cast<double>(result.rows.columns[2].as<int64_t>()[row]) * 8);
      if (bits.size() > kHistory) bits.pop_front();
      pop_flows[pop] = result.rows.columns[3].as<int64_t>()[row];
    }
  }

  Truth& truth_;
  std::map<std::string, uint64_t> after_;  ///< by query: the newest result that was taken
  Matrix matrix_;
  size_t rows_ = 0;
  uint64_t drops_last_ = 0, drops_before_ = 0;
};

std::string top_text(const Answers::Window& window, size_t count) {
  std::string text;
  for (size_t i = 0; i < std::min(count, window.top.size()); ++i) {
    const auto& [pair, octets] = window.top[i];
    text += fmt::format("{}AS{} -> AS{} {}bit/s", i == 0 ? "" : ", ", pair.first, pair.second,
                        scaled(static_cast<double>(octets) * 8 / (static_cast<double>(kWindow) / kSecond)) +
                            (octets * 8 < 10'000 ? " " : ""));
  }
  return text;
}
std::string verdict(const Answers::Window& window) {
  return window.equals_truth ? "= truth"
         : window.had_drops  ? "differs: datagrams were dropped"
                             : "DIFFERS FROM THE TRUTH";
}

/// What is shown while it runs: on a terminal one screen that is redrawn, else a line for each thing that happened.
class Display {
 public:
  /// @param api  where the service answers
  Display(bool terminal, Micros end, std::string api, size_t query_count)
      : terminal_(terminal), end_(end), api_(std::move(api)), query_count_(query_count) {
    if (api_ != "http://127.0.0.1:8844") server_flag_ = " --server " + api_;
  }

  void update(const Answers& answers, const Routers& routers, const ingest::IngestStats& stats,
              const decode::IngestLedger& decoded, const exec::WindowLedger& matrix, Micros now) {
    if (terminal_) return draw(answers, routers, stats, decoded, matrix, now);
    for (; windows_told_ < answers.windows.size(); ++windows_told_) {
      const Answers::Window& window = answers.windows[windows_told_];
      fmt::print("window {} to {}: {} rows, {}bit/s, {}; top {}\n", clock_text(window.start),
                 clock_text(window.start + kWindow), window.rows, scaled(window.bits_per_second), verdict(window),
                 top_text(window, 1));
    }
    for (; sweeps_told_ < answers.sweeps.size(); ++sweeps_told_) {
      const Answers::Sweep& sweep = answers.sweeps[sweeps_told_];
      fmt::print("ALERT port sweep: {} tried {} ports of {} in the window from {}\n", sweep.source, sweep.ports,
                 sweep.destination, clock_text(sweep.window));
    }
    std::fflush(stdout);
  }
  void finish() const {
    if (terminal_) fmt::print("\x1b[?25h\n");
  }

 private:
  void draw(const Answers& answers, const Routers& routers, const ingest::IngestStats& stats,
            const decode::IngestLedger& decoded, const exec::WindowLedger& matrix, Micros now) {
    std::string screen = "\x1b[?25l\x1b[H";
    const auto line = [&](const std::string& text) { screen += text + "\x1b[K\n"; };
    int64_t flows = 0;
    for (const auto& [pop, count] : answers.pop_flows) flows += count;
    line(fmt::format("BackStreamDB demo   {}   {} of {} PoPs reporting   {} flows/s   next window in {} s",
                     clock_text(now), answers.pop_flows.size(), kPopCount, flows,
                     (kWindow - (now - kDelay) % kWindow + kSecond - 1) / kSecond));
    line(fmt::format("synthetic traffic, 10 s windows, delay {} s; ends in {} s or with Ctrl-C", kDelay / kSecond,
                     std::max<Micros>(0, end_ - now) / kSecond));
    line("");
    for (const char* pop : kPops) {
      const auto bits = answers.pop_bits.find(pop);
      line(fmt::format("  {}  {:>8}bit/s  {}", pop, bits == answers.pop_bits.end() ? "-" : scaled(bits->second.back()),
                       bits == answers.pop_bits.end() ? "" : sparkline(bits->second)));
    }
    line("");
    if (answers.windows.empty()) {
      line("  the first window closes soon ...");
      for (int i = 0; i < 5; ++i) line("");
    } else {
      const Answers::Window& window = answers.windows.back();
      line(fmt::format("  top AS -> AS from {} to {}: {} pairs, {}bit/s, {}", clock_text(window.start),
                       clock_text(window.start + kWindow), window.rows, scaled(window.bits_per_second),
                       verdict(window)));
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
    if (answers.sweeps.empty()) {
      line("  no alert");
    } else {
      const Answers::Sweep& sweep = answers.sweeps.back();
      line(fmt::format("  ALERT port sweep: {} tried {} ports of {} (window from {})", sweep.source, sweep.ports,
                       sweep.destination, clock_text(sweep.window)));
    }
    const auto right = static_cast<size_t>(
        std::count_if(answers.windows.begin(), answers.windows.end(), [](const auto& w) { return w.equals_truth; }));
    line(fmt::format(
        "  ledger: {} sent, {} received, {} dropped by the kernel, {} late, {} undecodable; {} of {} windows = truth",
        routers.sent(), stats.datagrams, stats.kernel_drops, matrix.late, decoded.undecodable + decoded.rejected, right,
        answers.windows.size()));
    line("");
    line(fmt::format("  running: {} queries, API {}; in another terminal:", query_count_, api_));
    line(fmt::format("    backstream sql{}", server_flag_));
    line(fmt::format("    backstream tail protocol_mix{}", server_flag_));
    line(fmt::format("    backstream status{}", server_flag_));
    line(fmt::format("    curl -N {}/api/v1/queries/demo_pops/events", api_));
    line("");
    // A small terminal has room for one statement only.
    winsize window{};
    const bool tall = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_row == 0 || window.ws_row >= 37;
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
  const Micros end_;
  const std::string api_;
  const size_t query_count_;
  std::string server_flag_;
  size_t windows_told_ = 0, sweeps_told_ = 0;
};

/// Removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "backstream-demo-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error(
          fmt::format("cannot make a folder in '{}'", std::filesystem::temp_directory_path().string()));
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The demo's own queries, and those that a new installation begins with.
base::Result<std::vector<service::QueryRegister::Edit>> demo_queries() {
  std::vector<service::QueryRegister::Edit> edits;
  const auto add = [&](std::string_view name, std::string_view text) {
    service::QueryRegister::Edit& edit = edits.emplace_back();
    edit.action = service::QueryRegister::Edit::Action::kPut;  // A second attempt finds those of the first.
    edit.name = name;
    edit.text = text;
  };
  for (const DemoQuery& query : {kMatrix, kSweep, kPopTraffic}) add(query.name, query.text);
  for (const StarterQuery& file : starter_queries()) {
    const auto texts = split_queries(file.text, std::string(file.name) + ".sql", std::string(file.name));
    if (!texts) return tl::unexpected(texts.error());
    for (const QueryText& text : *texts) add(text.name, file.text.substr(text.offset_octets, text.length_octets));
  }
  return edits;
}

/// The service as `backstream serve` has it, on ports that are free; on the usual one of the API where it can be had.
base::Result<std::unique_ptr<Daemon>> open_service(const std::string& folder) {
  Daemon::Options options;
  config::Settings& settings = options.settings;
  settings.node.name = "demo";
  settings.state.folder = folder;
  settings.watermark.delay_us = kDelay;
  settings.listen.flow.assign(kPopCount, {"udp", "127.0.0.1", 0});
  for (size_t pop = 0; pop < kPopCount; ++pop) {
    config::ExporterSettings& exporter = settings.exporters.emplace_back();
    exporter.prefix = source_of(pop);
    exporter.site = kPops[pop];
  }
  options.state_kept = false;
  auto queries = demo_queries();
  if (!queries) return tl::unexpected(std::move(queries.error()));
  options.queries = std::move(*queries);
  auto opened = Daemon::open(options);
  if (opened || opened.error().code != "55006") return opened;
  settings.http.listen = "http://127.0.0.1:0";
  return Daemon::open(options);
}

}  // namespace

int demo_command(const std::vector<std::string>& arguments) {
  CLI::App app("Three PoPs on loopback with synthetic traffic, 10 s windows, each checked against the truth.",
               "backstream demo");
  std::string duration_text;
  app.add_option("--duration", duration_text, "how long traffic flows (default: 55 s, on a terminal 10 min)")
      ->type_name("DURATION");
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

  const TemporaryFolder folder;
  auto opened = open_service(folder.path());
  if (!opened) return complain(opened.error(), kExitFailure);
  Daemon& daemon = **opened;
  const size_t query_count = daemon.queries().list().size();
  const size_t matrix_number = *daemon.queries().find(kMatrix.name)->number;
  Truth truth;
  Answers answers(truth);

  generate::BackboneOptions traffic;
  traffic.protocol = generate::Protocol::kIpfix;
  traffic.exporters = kPopCount;
  traffic.records = kRecordsPerSecond * static_cast<uint64_t>(duration / kSecond);
  traffic.start = wall_clock() + kSecond / 2;
  traffic.span = duration;
  traffic.sampling_rate = kSamplingRate;
  // A cache that empties quickly, so that a flow is exported well within the delay.
  traffic.active_timeout = kSecond;
  traffic.inactive_timeout = kSecond / 5;
  traffic.jitter = kSecond / 10;
  traffic.attacks = {generate::Attack::kPortSweep};
  traffic.traffic.as_count = 200;
  traffic.seed = static_cast<uint64_t>(traffic.start);

  if (!terminal) {
    fmt::print("three PoPs ({}, {}, {}) on loopback, IPFIX, {} flows/s for {} s; 10 s windows, delay {} s\n", kPops[0],
               kPops[1], kPops[2], kRecordsPerSecond, duration / kSecond, kDelay / kSecond);
    fmt::print("{} queries run; API {}\n", query_count, daemon.http_address());
    std::fflush(stdout);
  } else {
    fmt::print("\x1b[2J");
  }
  Display display(terminal, traffic.start + duration, daemon.http_address(), query_count);
  std::optional<Routers> routers;
  routers.emplace(traffic, daemon.flow_ports(), truth);
  Micros drawn_at = 0, drained_since = 0;
  ingest::IngestStats stats;
  decode::IngestLedger decoded;
  exec::WindowLedger matrix;
  const auto look = [&] {
    stats = daemon.pipeline().ingested();
    decoded = daemon.pipeline().decoded();
    if (daemon.engine().has_query(matrix_number)) matrix = daemon.engine().ledger(matrix_number);
    answers.kernel_drops = stats.kernel_drops;
  };
  const auto done = daemon.run([&]() -> std::optional<Daemon::End> {
    const Micros now = wall_clock();
    daemon.pipeline().at_rest(look);
    answers.read(daemon.board());
    if (now - drawn_at > (terminal ? kSecond / 4 : kSecond / 2)) {
      drawn_at = now;
      display.update(answers, *routers, stats, decoded, matrix, now);
    }
    if (stop_requested()) routers->stop();
    if (!routers->done()) return std::nullopt;
    // All is sent: done when all has come, or nothing more comes for a second.
    if (stats.datagrams + stats.kernel_drops >= routers->sent()) return Daemon::End::kClose;
    if (drained_since == 0) drained_since = now;
    return now - drained_since < kSecond ? std::nullopt : std::optional(Daemon::End::kClose);
  });
  if (!done) return complain(done.error(), kExitFailure);
  const bool interrupted = stop_requested();
  look();
  answers.read(daemon.board());
  display.update(answers, *routers, stats, decoded, matrix, wall_clock());
  display.finish();

  const uint64_t sent = routers->sent();
  size_t right = 0, wrong = 0, dropped = 0;
  for (const Answers::Window& window : answers.windows) {
    if (window.equals_truth) ++right;
    else if (window.had_drops) ++dropped;
    else ++wrong;
  }
  fmt::print("datagrams: {} sent = {} received + {} dropped by the kernel{}\n", sent, stats.datagrams,
             stats.kernel_drops, sent == stats.datagrams + stats.kernel_drops ? "" : "  DOES NOT ADD UP");
  fmt::print("flows: {} decoded, {} late, {} datagrams undecodable\n", decoded.flows, matrix.late,
             decoded.undecodable + decoded.rejected);
  fmt::print("windows: {} equal the truth row by row, {} differ, {} with drops\n", right, wrong, dropped);
  fmt::print("port sweep: {}\n", answers.sweeps.empty()
                                     ? "not found"
                                     : fmt::format("found, {} ports of {}", answers.sweeps.front().ports,
                                                   answers.sweeps.front().destination));
  const bool pass =
      sent == stats.datagrams + stats.kernel_drops && wrong == 0 && right >= kWindowsAtLeast && !answers.sweeps.empty();
  if (interrupted && !pass) {
    fmt::print("ended before all could be checked\n");
    return wrong == 0 ? kExitOk : kExitFailure;
  }
  fmt::print("{}\n", pass ? "PASS" : "FAIL");
  return pass ? kExitOk : kExitFailure;
}

}  // namespace backstream::app
