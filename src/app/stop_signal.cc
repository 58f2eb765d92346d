#include "app/stop_signal.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "app/commands.h"

namespace backstream::app {
namespace {

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_stop(int) {
  if (stop.exchange(true)) ::_exit(kExitInterrupted);
}

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

bool stop_requested() { return stop.load(std::memory_order_relaxed); }

}  // namespace backstream::app
