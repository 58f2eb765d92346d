#include "app/stop_signal.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "app/commands.h"

namespace backstream::app {
namespace {

std::atomic<bool> stop{false}, reload{false}, drain{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_stop(int) {
  if (stop.exchange(true)) ::_exit(kExitInterrupted);
}

void on_reload(int) { reload.store(true); }
void on_drain(int) { drain.store(true); }

}  // namespace

void install_stop_signals() {
  struct sigaction action = {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = on_stop;  // Without SA_RESTART: a poll or read that waits comes back.
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, nullptr);
}

void install_daemon_signals() {
  struct sigaction action = {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = on_reload;
  ::sigaction(SIGHUP, &action, nullptr);
  action.sa_handler = on_drain;
  ::sigaction(SIGUSR1, &action, nullptr);
  action.sa_handler = SIG_IGN;  // A file that may not grow is a write that fails, not an end.
  ::sigaction(SIGXFSZ, &action, nullptr);
}

bool take_reload_request() { return reload.load(std::memory_order_relaxed) && reload.exchange(false); }

bool drain_requested() { return drain.load(std::memory_order_relaxed); }

bool stop_requested() { return stop.load(std::memory_order_relaxed); }

}  // namespace backstream::app
