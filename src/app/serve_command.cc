// backstream serve: the service in one process, until a signal ends it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/daemon.h"
#include "app/kafka_options.h"
#include "app/stop_signal.h"
#include "telemetry/notify.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

using base::fail;

constexpr const char* kAbout =
    "The service: receives NetFlow, IPFIX and sFlow, runs the registered queries, shows their results over HTTP.\n\n"
    "  backstream serve                                      loopback only, state in $XDG_STATE_HOME/backstream\n"
    "  backstream serve --config edge.toml --set node.name=ams1\n"
    "  backstream serve --role edge                          one half of each query; the other, elsewhere:\n"
    "  backstream serve --role merge --role receiver         completes them, and has the results; or each alone,\n"
    "                                                        and several; all with kafka.brokers and\n"
    "                                                        catalog.store = \"kafka\"\n"
    "  backstream serve --drain                              the one that runs closes its windows as partial and "
    "ends\n\n"
    "Then, elsewhere: backstream query add …, backstream sql, backstream tail QUERY, backstream status.\n"
    "SIGHUP reads the settings again (those marked live in docs/operations.md), SIGTERM ends it and keeps open "
    "windows\n"
    "for the next start.";

struct Asked {
  std::optional<std::string> config;
  std::vector<std::string> assignments;
  std::vector<std::string> roles;
  uint32_t threads = 1;
  bool drain = false;
};

/// Which process has the state folder; held as long as this is there.
class FolderLock {
 public:
  ~FolderLock() {
    if (file_ < 0) return;
    ::unlink(path_.c_str());
    ::close(file_);
  }
  /// Error 55006: another has it; its message names the process.
  base::Result<void> take(const std::string& path) {
    path_ = path;
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return fail("58030", fmt::format("cannot open '{}': {}", path, std::strerror(errno)));
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      ::close(file);
      return fail("55006", fmt::format("another backstream serve has the state folder (process {})", holder(path)), {},
                  "end it, or give this one another state.folder");
    }
    file_ = file;
    const std::string text = std::to_string(::getpid()) + '\n';
    if (::ftruncate(file_, 0) != 0 || ::write(file_, text.data(), text.size()) < 0)
      return fail("58030", fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
    return {};
  }
  static bool is_held(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (file < 0) return false;
    const bool held = ::flock(file, LOCK_EX | LOCK_NB) != 0;
    ::close(file);
    return held;
  }
  static pid_t holder(const std::string& path) {
    pid_t process = 0;
    std::ifstream(path) >> process;
    return process;
  }

 private:
  std::string path_;
  int file_ = -1;
};

std::string lock_path(const config::Settings& settings) {
  return (std::filesystem::path(settings.state.folder) / "serve.pid").string();
}

/// Asks the process that has the state folder to close its windows and end, and waits for it.
int drain_other(const config::Settings& settings) {
  const std::string path = lock_path(settings);
  const pid_t process = FolderLock::is_held(path) ? FolderLock::holder(path) : 0;
  if (process <= 1 || ::kill(process, SIGUSR1) != 0) {
    telemetry::terminal_log().error(
        fmt::format("no backstream serve runs on '{}'\nhint: --config and --set must name the state folder that it has",
                    settings.state.folder));
    return kExitFailure;
  }
  telemetry::terminal_log().line(fmt::format("process {} closes its windows and ends", process));
  while (!stop_requested() && FolderLock::is_held(path)) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return stop_requested() ? kExitInterrupted : kExitOk;
}

std::string listening(const Daemon& daemon) {
  std::string text;
  const auto ports = daemon.flow_ports();
  const auto& listens = daemon.settings().listen.flow;
  for (size_t i = 0; i < ports.size() && i < listens.size(); ++i)
    text += fmt::format("{}{}", text.empty() ? "" : " ", config::Endpoint{"udp", listens[i].host, ports[i]}.text());
  for (const config::FlowTopic& topic : daemon.settings().listen.kafka)
    text += fmt::format("{}kafka://{}", text.empty() ? "" : " ", topic.text());
  return text.empty() ? "from edges" : text;
}

}  // namespace

int serve_command(const std::vector<std::string>& arguments) {
  Asked asked;
  CLI::App app(kAbout, "backstream serve");
  add_settings_flags(app, asked.config, asked.assignments);
  app.add_option("--role", asked.roles, "edge, merge, receiver; may be repeated (default: all)")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false)
      ->type_name("ROLE");
  app.add_option("--threads", asked.threads, "threads that receive and aggregate")
      ->check(CLI::Range(1, 64))
      ->type_name("N");
  app.add_flag("--drain", asked.drain, "the serve that runs closes its windows as partial and ends");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  telemetry::TerminalLog& log = telemetry::terminal_log();

  Daemon::Options options;
  options.load.file = asked.config;
  options.load.default_file = config::kDefaultFile;
  options.load.environment = environ;
  options.load.kafka_property = kafka_property_fault;
  if (!asked.roles.empty()) {
    std::string roles = "node.roles=";
    for (const std::string& role : asked.roles) roles.append(&role == &asked.roles.front() ? "" : ",").append(role);
    options.load.assignments.push_back(roles);
  }
  options.load.assignments.insert(options.load.assignments.end(), asked.assignments.begin(), asked.assignments.end());
  config::Loaded loaded = config::load(options.load);
  for (const std::string& warning : loaded.warnings) log.warning(warning);
  for (const base::Diagnostic& error : loaded.errors) log.line(error.render());
  if (!loaded.errors.empty()) return kExitInvalid;
  options.settings = std::move(loaded.settings);
  options.files = loaded.files;
  options.threads = asked.threads;
  if (asked.drain) return drain_other(options.settings);
  if (const auto half = Daemon::half_of(options); !half) return complain(half.error(), kExitInvalid);

  install_daemon_signals();
  auto notifier = telemetry::Notifier::of_environment();
  std::error_code ignored;
  std::filesystem::create_directories(options.settings.state.folder, ignored);
  FolderLock lock;
  if (auto taken = lock.take(lock_path(options.settings)); !taken) return complain(taken.error(), kExitFailure);
  const std::vector<std::string> files = loaded.files;
  auto opened = Daemon::open(std::move(options));
  if (!opened) return complain(opened.error(), kExitFailure);
  Daemon& daemon = **opened;
  std::string settings_from;
  for (const std::string& file : files) settings_from += (settings_from.empty() ? "" : " ") + file;
  size_t running = 0;
  for (const auto& status : daemon.queries().list()) running += status.number.has_value();
  log.line(fmt::format("backstream {}: node {}, settings {}, state {}", BACKSTREAM_VERSION, daemon.settings().node.name,
                       settings_from.empty() ? "of the program" : settings_from, daemon.settings().state.folder));
  log.line(fmt::format("flows {}; API {}; {} quer{} running", listening(daemon), daemon.http_address(), running,
                       running == 1 ? "y" : "ies"));

  notifier.ready(fmt::format("API {}", daemon.http_address()));
  auto alive_at = std::chrono::steady_clock::now();
  const auto done = daemon.run([&]() -> std::optional<Daemon::End> {
    // On the engine's thread: a daemon whose engine stands is not alive.
    if (const auto now = std::chrono::steady_clock::now(); now - alive_at >= std::chrono::seconds(1)) {
      alive_at = now;
      notifier.alive();
    }
    if (take_reload_request()) {
      notifier.reloading();
      const auto changes = daemon.reload();
      if (changes) log.line("settings read again: " + *changes);
      else log.error("settings stay as they were: what was read is wrong (above)");
      notifier.ready();
    }
    if (drain_requested()) return Daemon::End::kDrain;
    if (stop_requested()) return Daemon::End::kSave;
    return std::nullopt;
  });
  notifier.stopping();
  if (!done) return complain(done.error(), kExitFailure);
  return kExitOk;
}

}  // namespace backstream::app
