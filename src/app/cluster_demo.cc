#include "app/cluster_demo.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <system_error>
#include <thread>

#include "app/child_process.h"
#include "app/commands.h"
#include "app/demo/pops.h"
#include "app/demo/routers.h"
#include "app/demo/temporary_folder.h"
#include "app/demo/texts.h"
#include "app/kafka_options.h"
#include "app/result_rows.h"
#include "app/service_client.h"
#include "app/stop_signal.h"
#include "transport/kafka_bus.h"

namespace backstream::app {
namespace {

namespace fs = std::filesystem;
using base::fail;
using base::Micros;
using base::Result;
using base::wall_clock;
using demo::clock_text;
using demo::kDelay;
using demo::kPops;
using demo::kSecond;
using demo::Matrix;
using demo::scaled;

constexpr Micros kWindow = 5 * kSecond;
/// Six processes and a broker may share two cores.
constexpr uint64_t kRecordsPerSecond = 6'000;
/// When the windows of a query begin after it was registered (docs/design/0028-merge-workers.md).
constexpr Micros kQueryBegins = 10 * kSecond;
constexpr Micros kStartPatience = 120 * kSecond, kEndPatience = 60 * kSecond, kStopPatience = 10 * kSecond;
/// Longer than a take-over and what is given again with it, the time since the last snapshot.
constexpr Micros kKept = 180 * kSecond;
constexpr int kPartitions = 4;
constexpr const char* kMatrixName = "demo_matrix";
constexpr const char* kSweepName = "demo_sweep";
constexpr std::pair<const char*, const char*> kQueries[] = {
    {kMatrixName, R"(SELECT window_start, src_as, dst_as, sum(octets) AS octets
FROM tumble(flows, time, interval '5 s') GROUP BY window_start, src_as, dst_as)"},
    {kSweepName, R"(SELECT window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports
FROM tumble(flows, time, interval '5 s') WHERE packets_raw = 1
GROUP BY window_start, src_ip, dst_ip HAVING count(DISTINCT dst_port) > 100)"}};

/// False when it did not come true in time, or a clean end was asked for.
bool wait_for(Micros patience, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(patience);
  while (!condition()) {
    if (stop_requested() || std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

std::string text_of_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return std::move(text).str();
}

/// The end of what a process has said, for an error.
std::string last_lines(const std::string& path) {
  const std::string text = text_of_file(path);
  size_t at = text.size();
  for (int line = 0; line < 10 && at > 0; ++line) {
    const size_t newline = at < 2 ? std::string::npos : text.rfind('\n', at - 2);
    at = newline == std::string::npos ? 0 : newline + 1;
  }
  return text.substr(at);
}

void say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

/// A TCP port of loopback that stays bound here, without listening: with SO_REUSEADDR, which Java sets, a broker can
/// bind it too, and the kernel gives it to nobody else.
class KeptPort {
 public:
  KeptPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t octets = sizeof address;
    if (socket_ < 0 || ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::bind(socket_, reinterpret_cast<sockaddr*>(&address), octets) != 0 ||
        ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &octets) != 0)
      throw std::system_error(errno, std::generic_category(), "a port for Kafka");
    number_ = ntohs(address.sin_port);
  }
  ~KeptPort() { ::close(socket_); }
  KeptPort(const KeptPort&) = delete;
  KeptPort& operator=(const KeptPort&) = delete;
  std::string address() const { return fmt::format("127.0.0.1:{}", number_); }

 private:
  const int socket_;
  uint16_t number_ = 0;
};

constexpr const char* kWhereKafkaIs =
    "./do demo --cluster in a checkout does all the set-up; or --brokers HOST:PORT of a Kafka that stands; or\n"
    "--kafka-jars DIR, the folder libs of Apache Kafka 3.9 or 4, and Java 17 in PATH";

bool is_in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access((folder + '/' + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

/// One broker, which is its own controller, on ports of loopback.
class Broker {
 public:
  Broker(const std::string& jars, const std::string& folder) : jars_(jars), folder_(folder) {}

  /// Error 58030: there are no jars, or no java; or it ended.
  Result<void> start() {
    std::error_code ignored;
    bool found = false;
    for (const auto& entry : fs::directory_iterator(jars_, ignored))
      found |= entry.path().filename().string().starts_with("kafka_");
    if (!found)
      return fail("58030",
                  jars_.empty() ? "there is no Kafka to start" : fmt::format("no jars of Kafka are in '{}'", jars_), {},
                  kWhereKafkaIs);
    if (!is_in_path("java")) return fail("58030", "Kafka needs Java, and there is no java in PATH", {}, kWhereKafkaIs);
    const std::string properties = folder_ + "/server.properties";
    std::ofstream(properties) << fmt::format(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@{1}\n"
        "controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://{0},CONTROLLER://{1}\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={2}/kafka\n"
        "auto.create.topics.enable=false\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n"
        "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
        "group.initial.rebalance.delay.ms=0\n"
        // What fits the heap: the cleaner alone would take 128 MiB.
        "log.cleaner.dedupe.buffer.size=4194304\n",
        address(), controller_.address(), folder_);
    // Kafka writes into formatted folders only.
    ChildProcess format("java",
                        arguments("kafka.tools.StorageTool",
                                  {"format", "--cluster-id", "ZGVtby1vZi1iYWNrc3RyZQ", "--config", properties}),
                        log_path());
    if (!wait_for(kStartPatience, [&] { return !format.running(); }) || format.how_ended() != "exit code 0")
      return ended();
    process_ = std::make_unique<ChildProcess>("java", arguments("kafka.Kafka", {properties}), log_path());
    return {};
  }
  bool running() const { return process_ && process_->running(); }
  base::Diagnostic told() const { return ended().value(); }
  std::string address() const { return port_.address(); }
  std::string log_path() const { return folder_ + "/kafka.log"; }
  pid_t id() const { return process_->id(); }

 private:
  tl::unexpected<base::Diagnostic> ended() const {
    return fail("58030", "Kafka could not be started; the end of its log:\n" + last_lines(log_path()), {},
                kWhereKafkaIs);
  }
  std::vector<std::string> arguments(const std::string& main_class, const std::vector<std::string>& more) const {
    // The first compiler only, one collector thread: it starts sooner, and leaves the cores to the nodes.
    std::vector<std::string> all = {"-Xmx512m",         "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                                    "-XX:-UsePerfData", "-cp",     jars_ + "/*",       main_class};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  const std::string jars_, folder_;
  const KeptPort port_, controller_;
  std::unique_ptr<ChildProcess> process_;
};

/// One `backstream serve`.
struct Node {
  std::string name, role, log_path, api;
  uint16_t flow_port = 0;  ///< of an edge
  std::unique_ptr<ChildProcess> process;
  std::optional<ServiceClient> client;
  bool end_told = false;
};

/// A window as the receiver has it: the newest revision that has come.
struct Window {
  Matrix rows;
  size_t row_count = 0;
  int64_t revision = 0;
  std::optional<Matrix> before;  ///< the same revision as it came before
  bool whole = false;            ///< all parts of it are here
  bool final = false, equals_truth = false, revised = false;
  bool forgotten = false;  ///< final, equal and old: its rows are kept no more
};

class ClusterDemo {
 public:
  explicit ClusterDemo(const ClusterDemoOptions& options) : options_(options) {}

  Result<void> open() {
    for (auto step : {&ClusterDemo::open_kafka, &ClusterDemo::open_nodes, &ClusterDemo::register_queries}) {
      if (auto done = (this->*step)(); !done) return done;
    }
    return {};
  }
  int run();
  /// Edges first, so that what they have open is completed.
  ~ClusterDemo() {
    for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) node->process->send(SIGTERM);
    for (Node& node : nodes_) node.process->wait(kStopPatience);
    if (failed_) {
      folder_.keep();
      say(fmt::format("logs are kept in {}", folder_.path()));
    }
  }

 private:
  Result<void> open_kafka();
  Result<void> open_nodes();
  Result<void> register_queries();
  Result<void> start(const std::string& name, const std::string& role);
  Result<void> wait_until_up(Node& node);
  Node& node(const std::string& name) {
    return *std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& one) { return one.name == name; });
  }

  void look_at_nodes();
  void look_at_results();
  void take(const ResultPart& part);
  void forget_old();
  bool all_final() const;
  void tell(Micros start, const ResultPart& part, Window& window);
  Node* completes_matrix();
  int summary(bool interrupted);

  const ClusterDemoOptions options_;
  bool failed_ = false;
  demo::TemporaryFolder folder_;
  const std::string prefix_ = fs::path(folder_.path()).filename().string();
  std::unique_ptr<Broker> broker_;
  std::string brokers_;
  std::vector<Node> nodes_;
  Micros first_window_ = 0;

  demo::Truth truth_{kWindow};
  std::map<Micros, Window> windows_;
  uint64_t matrix_seq_ = 0, sweep_seq_ = 0;
  std::set<std::string> sweeps_;  ///< window, source and destination
  std::optional<std::chrono::steady_clock::time_point> killed_at_;
  std::optional<double> takeover_s_;
};

Result<void> ClusterDemo::open_kafka() {
  brokers_ = options_.brokers;
  if (brokers_.empty()) {
    const char* jars = std::getenv("BACKSTREAM_KAFKA_JARS");
    broker_ = std::make_unique<Broker>(!options_.kafka_jars.empty() || jars == nullptr ? options_.kafka_jars : jars,
                                       folder_.path());
    if (auto started = broker_->start(); !started) return started;
    brokers_ = broker_->address();
    say(fmt::format("{:9} {:9} {:24} process {:<7} log {}", "kafka", "broker", brokers_, broker_->id(),
                    broker_->log_path()));
  } else {
    say(fmt::format("kafka     {}, topics {}.*, which stay there", brokers_, prefix_));
  }
  config::Settings settings;
  for (size_t at = 0; at < brokers_.size();) {
    const size_t comma = std::min(brokers_.find(',', at), brokers_.size());
    settings.kafka.brokers.push_back(brokers_.substr(at, comma - at));
    at = comma + 1;
  }
  settings.kafka.prefix = prefix_;
  settings.kafka.partitions = kPartitions;
  // That it does not answer yet is no news.
  const transport::KafkaOptions client = kafka_options(settings, [](const transport::KafkaNotice&) {});
  transport::KafkaBus bus({prefix_, client, client, kafka_topic_options(settings)});
  std::optional<base::Diagnostic> why;
  const bool answers = wait_for(kStartPatience, [&] {
    const auto log = bus.open_log("results");
    if (log) return true;
    why = log.error();
    return !broker_ || !broker_->running();
  });
  if (broker_ && !broker_->running()) return tl::unexpected(broker_->told());
  if (!answers || (why && !broker_)) {
    if (why) return tl::unexpected(std::move(*why));
    return fail("57014", "stopped");
  }
  // Settings that all nodes share; each has its name, site and roles besides.
  std::ofstream(folder_.path() + "/backstream.toml") << fmt::format(
      "[catalog]\nstore = \"kafka\"\n[kafka]\nbrokers = \"{}\"\nprefix = \"{}\"\npartitions = {}\ntimeout = \"10 s\"\n"
      "[watermark]\ndelay = \"{} s\"\nidle_timeout = \"3 s\"\n[merge]\nabsent_after = \"10 s\"\n"
      "[listen]\nflow = \"udp://127.0.0.1:0\"\n[http]\nlisten = \"http://127.0.0.1:0\"\n"
      "[ingest]\nreceive_buffer = \"4 MiB\"\n[exec]\nready_memory = 0\n",
      brokers_, prefix_, kPartitions, kDelay / kSecond);
  return {};
}

Result<void> ClusterDemo::open_nodes() {
  // The first one makes the topics; the others need not.
  if (auto started = start("receiver", "receiver"); !started) return started;
  if (auto up = wait_until_up(nodes_.front()); !up) return up;
  for (const char* name : {"merge-1", "merge-2"}) {
    if (auto started = start(name, "merge"); !started) return started;
  }
  for (const demo::Pop& pop : kPops) {
    if (auto started = start(pop.name, "edge"); !started) return started;
  }
  for (size_t i = 1; i < nodes_.size(); ++i) {
    if (auto up = wait_until_up(nodes_[i]); !up) return up;
  }
  for (const Node& node : nodes_)
    say(fmt::format("{:9} {:9} {:24} process {:<7} log {}", node.name, node.role, node.api, node.process->id(),
                    node.log_path));
  return {};
}

Result<void> ClusterDemo::start(const std::string& name, const std::string& role) {
  Node& node = nodes_.emplace_back();
  node.name = name;
  node.role = role;
  node.log_path = fmt::format("{}/{}.log", folder_.path(), name);
  std::vector<std::string> arguments = {"serve", "--config", folder_.path() + "/backstream.toml", "--role", role};
  const auto set = [&](const std::string& assignment) { arguments.insert(arguments.end(), {"--set", assignment}); };
  set("node.name=" + name);
  set(fmt::format("state.folder={}/{}", folder_.path(), name));
  if (role == "edge") set("node.site=" + name);
  node.process = std::make_unique<ChildProcess>("/proc/self/exe", arguments, node.log_path);
  return {};
}

Result<void> ClusterDemo::wait_until_up(Node& node) {
  const bool up = wait_for(kStartPatience, [&] {
    if (!node.process->running()) return true;
    // "flows udp://127.0.0.1:4242; API http://127.0.0.1:8844; 0 queries running"
    const std::string log = text_of_file(node.log_path);
    const size_t api = log.find("; API ");
    if (api == std::string::npos) return false;
    const size_t begin = api + 6, end = log.find(';', begin);
    if (end == std::string::npos) return false;
    node.api = log.substr(begin, end - begin);
    if (node.role == "edge") {
      const size_t colon = log.rfind(':', api);
      node.flow_port = static_cast<uint16_t>(std::strtoul(log.c_str() + colon + 1, nullptr, 10));
    }
    http::ClientOptions client;
    client.server = node.api;
    node.client.emplace(client);
    return node.client->get_text("/-/ready", "*/*").has_value();
  });
  if (up && node.process->running()) return {};
  if (stop_requested()) return fail("57014", "stopped");
  return fail("58030",
              fmt::format("node {} did not come up; the end of its log:\n{}", node.name, last_lines(node.log_path)));
}

Result<void> ClusterDemo::register_queries() {
  ServiceClient& receiver = *node("receiver").client;
  for (const auto& [name, text] : kQueries) {
    const auto added = receiver.post("/api/v1/queries", {{"name", name}, {"text", text}});
    if (!added) return tl::unexpected(static_cast<const base::Diagnostic&>(added.error()));
  }
  const Micros begins = wall_clock() + kQueryBegins;
  first_window_ = base::floor_to(begins + kWindow - 1, kWindow);
  const bool all_have_them = wait_for(kStartPatience, [&] {
    return std::all_of(nodes_.begin(), nodes_.end(), [](Node& node) {
      const auto query = node.client->get(query_path(kSweepName));
      return query && text_of(*query, "state") == "running";
    });
  });
  if (!all_have_them) return fail("57014", stop_requested() ? "stopped" : "the queries did not come to all nodes");
  if (wall_clock() > first_window_)
    return fail("57014", "this machine is too busy: nodes take longer than 10 s for a query");
  return {};
}

/// Of those that run; null: none says so.
Node* ClusterDemo::completes_matrix() {
  for (Node& node : nodes_) {
    if (node.role != "merge" || !node.process->running()) continue;
    // A worker has the counters of what it completes itself.
    const auto query = node.client->get(query_path(kMatrixName));
    if (query && query->contains("ledger") && query->at("ledger").is_object()) return &node;
  }
  return nullptr;
}

void ClusterDemo::look_at_nodes() {
  for (Node& node : nodes_) {
    if (node.end_told || node.process->running()) continue;
    node.end_told = true;
    say(fmt::format("{} ended ({})", node.name, node.process->how_ended()));
    if (node.role == "merge") {
      killed_at_ = std::chrono::steady_clock::now();
      takeover_s_.reset();
    }
  }
  if (!killed_at_ || takeover_s_) return;
  if (const Node* owner = completes_matrix()) {
    takeover_s_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - *killed_at_).count();
    say(fmt::format("{} completes {}: {:.1f} s later", owner->name, kMatrixName, *takeover_s_));
  }
}

void ClusterDemo::look_at_results() {
  ServiceClient& receiver = *node("receiver").client;
  const auto page = [&](const char* query, uint64_t after) -> std::vector<ResultPart> {
    const auto text = receiver.get_text(query_path(query, fmt::format("/results?limit=10000000&after={}", after)),
                                        "application/json");
    auto parsed = text ? parse_result_page(*text) : fail("08006", "no answer");
    return parsed ? std::move(parsed->parts) : std::vector<ResultPart>();
  };
  for (const ResultPart& part : page(kMatrixName, matrix_seq_)) {
    matrix_seq_ = std::max(matrix_seq_, part.seq);
    take(part);
  }
  for (const ResultPart& part : page(kSweepName, sweep_seq_)) {
    sweep_seq_ = std::max(sweep_seq_, part.seq);
    for (const auto& row : part.rows) {
      if (!sweeps_.insert(part.window_start + ' ' + row[1].text + ' ' + row[2].text).second) continue;  // Given again.
      say(fmt::format("ALERT port sweep: {} tried {} ports of {} in the window from {}", row[1].text, row[3].text,
                      row[2].text, part.window_start.substr(11, 8)));
    }
  }
}

void ClusterDemo::take(const ResultPart& part) {
  const auto start = base::parse_timestamp(part.window_start);
  if (!start || part.removed) return;
  Window& window = windows_[*start];
  if (part.revision < window.revision || window.forgotten) return;
  if (part.revision > window.revision) {
    const bool revised = window.revision > 0;
    window = {};
    window.revised = revised;
  }
  if (window.whole) {
    // Who takes over gives again what was given since the last snapshot.
    window.before = std::move(window.rows);
    window.rows.clear();
    window.row_count = 0;
    window.whole = false;
  }
  window.revision = part.revision;
  const auto number = [](const ResultCell& cell) { return std::strtoull(cell.text.c_str(), nullptr, 10); };
  for (const auto& row : part.rows)
    window.rows[{static_cast<uint32_t>(number(row[1])), static_cast<uint32_t>(number(row[2]))}] += number(row[3]);
  window.row_count += part.rows.size();
  window.final = part.final;
  if (!part.last) return;
  window.whole = !part.truncated;
  // A key that came twice would show as fewer groups than rows.
  window.equals_truth = window.whole && window.rows.size() == window.row_count && truth_.equals(*start, window.rows);
  tell(*start, part, window);
}

void ClusterDemo::tell(Micros start, const ResultPart& part, Window& window) {
  const std::string name = fmt::format("window {} to {}", clock_text(start), clock_text(start + kWindow));
  const std::string_view verdict = window.equals_truth ? "= truth" : "DIFFERS FROM THE TRUTH";
  if (window.before) {
    say(fmt::format("{}: given again, {}, {}", name, window.rows == *window.before ? "the same" : "NOT THE SAME",
                    verdict));
    window.before.reset();
    return;
  }
  uint64_t octets = 0;
  std::pair<uint64_t, std::pair<uint32_t, uint32_t>> top{};
  for (const auto& [pair, sum] : window.rows) {
    octets += sum;
    top = std::max(top, std::pair(sum, pair));
  }
  const auto rate = [](uint64_t sum) {
    return scaled(static_cast<double>(sum) * 8 / static_cast<double>(kWindow / kSecond));
  };
  say(fmt::format("{}: {}/{} PoPs{}, {} rows, {}bit/s, {}; given {:.1f} s after its end; top AS{} -> AS{} {}bit/s",
                  name, kPops.size() - std::min(kPops.size(), part.sites_missing.size()), kPops.size(),
                  window.revised ? fmt::format(", revision {}", window.revision) : "", window.row_count, rate(octets),
                  verdict, static_cast<double>(wall_clock() - start - kWindow) / kSecond, top.second.first,
                  top.second.second, rate(top.first)));
}

/// Rows of windows that cannot come again.
void ClusterDemo::forget_old() {
  for (auto& [start, window] : windows_) {
    if (window.forgotten) continue;
    if (!window.final || !window.equals_truth || start > wall_clock() - kKept) return;
    window.forgotten = true;
    window.rows.clear();
    truth_.forget_until(start + kWindow);
  }
}

bool ClusterDemo::all_final() const {
  const auto sent = truth_.windows();
  return std::all_of(sent.begin(), sent.end(), [this](Micros start) {
    const auto window = windows_.find(start);
    return window != windows_.end() && window->second.whole && window->second.final;
  });
}

int ClusterDemo::run() {
  std::array<uint16_t, kPops.size()> ports{};
  for (size_t pop = 0; pop < kPops.size(); ++pop) ports[pop] = node(kPops[pop].name).flow_port;
  say(fmt::format("{} flows/s for {} s, windows of {} s, delay {} s; the first window of {} begins at {}",
                  kRecordsPerSecond, options_.duration / kSecond, kWindow / kSecond, kDelay / kSecond, kMatrixName,
                  clock_text(first_window_)));
  if (!options_.kills_a_worker) {
    say(fmt::format("while it runs: kill -9 {} (a merge worker), backstream tail {} --server {}; Ctrl-C ends it",
                    node("merge-1").process->id(), kMatrixName, node("receiver").api));
  }
  // The first flows that are exported ended a little before.
  const Micros begin = first_window_ + kDelay;
  demo::Routers routers(begin, options_.duration, ports, truth_, kRecordsPerSecond);
  bool to_kill = options_.kills_a_worker;
  const Micros kill_at = begin + options_.duration * 2 / 5;
  std::optional<Micros> sent_at;
  // Until all windows in which something was sent are final, or none of them comes any more.
  while (!stop_requested()) {
    look_at_nodes();
    look_at_results();
    forget_old();
    if (to_kill && wall_clock() >= kill_at) {
      to_kill = false;
      if (Node* worker = completes_matrix()) {
        say(fmt::format("kill -9 {}: {}, which completes {}", worker->process->id(), worker->name, kMatrixName));
        worker->process->send(SIGKILL);
        worker->process->wait(kStopPatience);
      }
    }
    if (routers.done()) {
      if (!sent_at) sent_at = wall_clock();
      if (all_final() || wall_clock() > *sent_at + kEndPatience) break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const bool interrupted = stop_requested();
  routers.stop();
  return summary(interrupted);
}

int ClusterDemo::summary(bool interrupted) {
  size_t right = 0, wrong = 0, revised = 0;
  for (const auto& [start, window] : windows_) {
    (window.equals_truth ? right : wrong) += 1;
    revised += window.revised;
  }
  size_t missing = 0;
  for (const Micros start : truth_.windows()) missing += !windows_.contains(start);
  say(fmt::format("windows: {} equal the truth row by row, {} differ, {} did not come; {} were revised", right, wrong,
                  interrupted ? 0 : missing, revised));
  if (takeover_s_) say(fmt::format("take-over of {}: {:.1f} s after the kill", kMatrixName, *takeover_s_));
  say(fmt::format("port sweep: {}", !sweeps_.empty() ? "found" : "not found"));
  if (interrupted) {
    say("ended before all could be checked");
    failed_ = wrong > 0;
  } else {
    failed_ = wrong > 0 || missing > 0 || right == 0 || (options_.kills_a_worker && !takeover_s_);
    say(failed_ ? "FAIL" : "PASS");
  }
  return failed_ ? kExitFailure : kExitOk;
}

}  // namespace

int cluster_demo(const ClusterDemoOptions& options) {
  say("three edges, two merge workers, one receiver, each a process of its own, and Apache Kafka between them");
  ClusterDemo demo(options);
  if (auto opened = demo.open(); !opened)
    return stop_requested() ? kExitInterrupted : complain(opened.error(), kExitFailure);
  return demo.run();
}

}  // namespace backstream::app
