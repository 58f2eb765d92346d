#pragma once
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace backstream::telemetry {

/// What the process tells people on standard error: whole lines, and on a terminal one status line below them that is
/// redrawn in place. Never used on the data path. Any thread.
class TerminalLog {
 public:
  /// @param descriptor  where to write; status lines are shown only when it is a terminal
  explicit TerminalLog(int descriptor);
  TerminalLog(const TerminalLog&) = delete;
  TerminalLog& operator=(const TerminalLog&) = delete;
  ~TerminalLog();

  bool on_terminal() const { return on_terminal_; }
  /// "backstream: warning: text"; the text is one line or, for located diagnostics, several.
  void warning(std::string_view text) { write("backstream: warning: ", text); }
  void error(std::string_view text) { write("backstream: error: ", text); }
  /// As it is; a newline is added when the text has none at its end.
  void line(std::string_view text) { write("", text); }
  /// Replaces the status line (one line, no control characters); empty clears it. Nothing when not on a terminal.
  void status(std::string_view text);
  /// Lines go to somebody else, who has the terminal for a while: as they would be written, without the newline at the
  /// end. Null: they are written again. `to` is called by who has something to tell, one at a time; it must not tell
  /// anything itself.
  void divert(std::function<void(std::string_view line)> to);

 private:
  void write(std::string_view prefix, std::string_view text);

  const int descriptor_;
  const bool on_terminal_;
  std::mutex mutex_;
  // Guarded by mutex_.
  bool status_shown_ = false;
  std::function<void(std::string_view)> diverted_;
};

/// The log on standard error.
TerminalLog& terminal_log();

}  // namespace backstream::telemetry
