#pragma once
// The person's terminal: its size, its keys, Ctrl-C.
#include <termios.h>

#include <cstddef>
#include <optional>

namespace backstream::app::shell {

struct ScreenSize {
  size_t columns = 80, rows = 24;
};
/// Of the terminal behind a descriptor; 80 x 24 where it does not say.
ScreenSize screen_size(int descriptor);
/// Whether lines can be redrawn in place there: a terminal that is not "dumb".
bool can_redraw(int descriptor);

/// From its construction on Ctrl-C is told by interrupted() instead of ending the process; three of them that nobody
/// asked about do end it, with 130, since something hangs. SIGTERM stays with stop_signal.h. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};
/// Whether Ctrl-C came since the last clear_interrupt(). Any thread.
bool interrupted();
void clear_interrupt();
/// Whether the screen has changed its size since the last call.
bool take_resize();

/// While it lives keys of standard input come at once and are not shown; Ctrl-C still interrupts. Nothing changes where
/// standard input is no terminal.
class LiveKeys {
 public:
  LiveKeys();
  ~LiveKeys();
  LiveKeys(const LiveKeys&) = delete;
  LiveKeys& operator=(const LiveKeys&) = delete;
  /// A key that was pressed; nullopt: none. Does not wait.
  std::optional<char> next();

 private:
  bool active_ = false;
  termios before_ = {};
};

}  // namespace backstream::app::shell
