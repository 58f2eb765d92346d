#include "telemetry/terminal_log.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace backstream::telemetry {
namespace {

constexpr std::string_view kClearLine = "\r\x1b[K";

// Standard error that cannot be written to is nobody's to be told of.
void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

TerminalLog::TerminalLog(int descriptor) : descriptor_(descriptor), on_terminal_(::isatty(descriptor) == 1) {}

TerminalLog::~TerminalLog() { status({}); }

void TerminalLog::status(std::string_view text) {
  if (!on_terminal_) return;
  const std::lock_guard lock(mutex_);
  if (text.empty() && !status_shown_) return;
  write_all(descriptor_, std::string(kClearLine).append(text));
  status_shown_ = !text.empty();
}

void TerminalLog::divert(std::function<void(std::string_view)> to) {
  const std::lock_guard lock(mutex_);
  diverted_ = std::move(to);
}

void TerminalLog::write(std::string_view prefix, std::string_view text) {
  const std::lock_guard lock(mutex_);
  std::string whole;
  if (diverted_) {
    whole.append(prefix).append(text.substr(0, text.find_last_not_of('\n') + 1));
    return diverted_(whole);
  }
  if (status_shown_) whole += kClearLine;
  status_shown_ = false;
  whole.append(prefix).append(text);
  if (text.empty() || text.back() != '\n') whole += '\n';
  write_all(descriptor_, whole);
}

TerminalLog& terminal_log() {
  static TerminalLog log(STDERR_FILENO);
  return log;
}

}  // namespace backstream::telemetry
