#include "app/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string_view>
#include <system_error>
#include <thread>

namespace backstream::app {

ChildProcess::ChildProcess(const std::string& program, const std::vector<std::string>& arguments,
                           const std::string& log_path) {
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!std::string_view(*variable).starts_with("BACKSTREAM_")) environment.push_back(*variable);
  }
  environment.push_back(nullptr);
  const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) throw std::system_error(errno, std::generic_category(), log_path);
  const pid_t parent = ::getpid();
  id_ = ::fork();
  if (id_ < 0) {
    const int why = errno;
    ::close(log);
    throw std::system_error(why, std::generic_category(), "fork");
  }
  if (id_ == 0) {
    // Only what is safe after a fork of one thread among several.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);  // It ended before that.
    ::setpgid(0, 0);
    const int nothing = ::open("/dev/null", O_RDONLY);
    if (nothing >= 0) ::dup2(nothing, STDIN_FILENO);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execvpe(argv[0], argv.data(), environment.data());
    const char* why = ::strerrordesc_np(errno);
    if (::write(STDERR_FILENO, argv[0], std::strlen(argv[0])) < 0 || ::write(STDERR_FILENO, ": ", 2) < 0 ||
        ::write(STDERR_FILENO, why, std::strlen(why)) < 0)
      ::_exit(127);
    ::_exit(127);
  }
  ::close(log);
}

ChildProcess::~ChildProcess() {
  send(SIGKILL);
  while (!ended_ && (::waitpid(id_, &status_, 0) == id_ || errno != EINTR)) ended_ = true;
}

bool ChildProcess::running() {
  if (!ended_ && ::waitpid(id_, &status_, WNOHANG) == id_) ended_ = true;
  return !ended_;
}

std::string ChildProcess::how_ended() {
  if (running()) return {};
  return WIFSIGNALED(status_) ? fmt::format("signal {}", WTERMSIG(status_))
                              : fmt::format("exit code {}", WEXITSTATUS(status_));
}

void ChildProcess::send(int signal) {
  if (running()) ::kill(id_, signal);
}

bool ChildProcess::wait(base::Micros patience) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(patience);
  while (running()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace backstream::app
