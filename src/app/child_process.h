#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/time.h"

namespace backstream::app {

/// Another program, which does not outlive this one, however it ends. It has a process group of its own, so that Ctrl-C
/// of a terminal is not for it; reads nothing; and has our environment but for BACKSTREAM_…, which are our settings.
/// Start it on the main thread: the kernel kills it when the thread ends that started it. One thread.
class ChildProcess {
 public:
  /// @param program   a path, or a name that PATH has
  /// @param log_path  all that it says is added there; also why it could not be started (then it ends with 127)
  /// Errors: std::system_error.
  ChildProcess(const std::string& program, const std::vector<std::string>& arguments, const std::string& log_path);
  /// Kills it.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t id() const { return id_; }
  bool running();
  /// How it ended: "exit code 1", "signal 9"; empty while it runs.
  std::string how_ended();
  void send(int signal);
  /// Until it has ended; false: not in this time.
  bool wait(base::Micros patience);

 private:
  pid_t id_ = 0;
  bool ended_ = false;
  int status_ = 0;
};

}  // namespace backstream::app
