#pragma once
// What the service manager is told (sd_notify(3)), without its library: datagrams to the socket of $NOTIFY_SOCKET.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace backstream::telemetry {

/// Tells systemd how the daemon is. Where nobody asked to be told (no NOTIFY_SOCKET) all of it does nothing. Never
/// blocks: the manager is local, and what it cannot take at once is dropped. Any thread.
class Notifier {
 public:
  /// Of the environment: NOTIFY_SOCKET, and WATCHDOG_USEC where it is meant for this process (WATCHDOG_PID).
  static Notifier of_environment();
  /// @param address  a path, or "@NAME" of the abstract namespace; empty: nobody asked
  explicit Notifier(std::string address, std::optional<std::chrono::microseconds> watchdog = {});
  ~Notifier();
  Notifier(Notifier&& other) noexcept;
  Notifier& operator=(Notifier&&) = delete;

  bool is_asked() const { return socket_ >= 0; }
  /// Started: listeners are bound and queries run. Also after reloading().
  bool ready(std::string_view status = {}) { return tell("READY=1", status); }
  /// One line for `systemctl status`. What UTF-8 or a line cannot hold is replaced.
  bool status(std::string_view text) { return tell({}, text); }
  /// Settings are being read anew; ready() ends it. With the monotonic time, as Type=notify-reload wants it.
  bool reloading();
  bool stopping(std::string_view status = {}) { return tell("STOPPING=1", status); }
  /// Start or stop takes longer: at most so long from now on.
  bool extend(std::chrono::microseconds longer);
  /// I am alive: at least every watchdog_period() / 2. By who would stand still if the daemon did.
  bool alive() { return tell("WATCHDOG=1", {}); }
  /// Without a sign of life for so long the manager kills us; nullopt: it does not look.
  std::optional<std::chrono::microseconds> watchdog_period() const { return watchdog_; }

 private:
  /// False: nobody asked, or it could not be sent.
  bool tell(std::string_view assignments, std::string_view status);

  int socket_ = -1;
  std::string address_;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace backstream::telemetry
