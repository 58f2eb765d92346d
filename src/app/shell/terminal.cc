#include "app/shell/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include "app/commands.h"

namespace backstream::app::shell {
namespace {

constexpr int kInterruptsMax = 3;
std::atomic<int> interrupts{0};
std::atomic<bool> resized{false}, keys_are_live{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);
termios cooked;  // Written before keys_are_live is set.
struct sigaction interrupt_before, resize_before;

void on_interrupt(int) {
  if (interrupts.fetch_add(1) + 1 < kInterruptsMax) return;
  if (keys_are_live) ::tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
  ::_exit(kExitInterrupted);
}
void on_resize(int) { resized = true; }

}  // namespace

ScreenSize screen_size(int descriptor) {
  winsize size = {};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

bool can_redraw(int descriptor) {
  const char* const terminal = std::getenv("TERM");
  return ::isatty(descriptor) != 0 && terminal != nullptr && *terminal != '\0' && std::string_view(terminal) != "dumb";
}

InterruptGuard::InterruptGuard() {
  struct sigaction action = {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = on_interrupt;  // Without SA_RESTART, see stop_signal.cc.
  ::sigaction(SIGINT, &action, &interrupt_before);
  action.sa_handler = on_resize;
  ::sigaction(SIGWINCH, &action, &resize_before);
  clear_interrupt();
}
InterruptGuard::~InterruptGuard() {
  ::sigaction(SIGINT, &interrupt_before, nullptr);
  ::sigaction(SIGWINCH, &resize_before, nullptr);
}
bool interrupted() { return interrupts.load(std::memory_order_relaxed) > 0; }
void clear_interrupt() { interrupts = 0; }
bool take_resize() { return resized.exchange(false); }

LiveKeys::LiveKeys() {
  // In the background the terminal is somebody else's, and touching it would stop us.
  if (::isatty(STDIN_FILENO) == 0 || ::tcgetpgrp(STDIN_FILENO) != ::getpgrp()) return;
  if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
  termios live = before_;
  live.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  live.c_cc[VMIN] = 0;
  live.c_cc[VTIME] = 0;
  // Stopped here it would leave the person's shell without echo.
  live.c_cc[VSUSP] = _POSIX_VDISABLE;
  cooked = before_;
  active_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &live) == 0;
  keys_are_live = active_;
}
LiveKeys::~LiveKeys() {
  if (!active_) return;
  keys_are_live = false;
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}
std::optional<char> LiveKeys::next() {
  if (!active_) return std::nullopt;
  pollfd ready{STDIN_FILENO, POLLIN, 0};
  char key = 0;
  if (::poll(&ready, 1, 0) <= 0 || ::read(STDIN_FILENO, &key, 1) != 1) return std::nullopt;
  return key;
}

}  // namespace backstream::app::shell
