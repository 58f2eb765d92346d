// A notify script: FastNetMon's arguments, the notice on standard input.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "alert/sender.h"

namespace backstream::alert {
namespace {

using Clock = std::chrono::steady_clock;

class Script final : public Sender {
 public:
  explicit Script(const config::NotifySettings& settings) : path_(settings.to), timeout_(settings.timeout_us) {}

  Attempt send(std::span<const Json> notices) override {
    const std::string input = notices[0].dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
    std::vector<std::string> arguments = script_arguments(notices[0]);
    arguments.insert(arguments.begin(), path_);
    // A script that does not read gives EPIPE, not a signal that ends us.
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return {Attempt::Result::kRetry, std::strerror(errno)};
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
    pid_t child = 0;
    const int spawned = spawn(arguments, ends[0], child);
    ::close(ends[0]);
    if (spawned != 0) {
      ::close(ends[1]);
      // A script that is not there, or may not be run, may be mended.
      return {Attempt::Result::kRetry, fmt::format("{}: {}", path_, std::strerror(spawned))};
    }
    return attend(child, ends[1], input);
  }

 private:
  static int spawn_with(const char* path, char* const* arguments, int input, pid_t& child) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    // A group of its own, so that what it started ends with it; signals as any program expects them.
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    char path_of_system[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char* const environment[] = {path_of_system, nullptr};  // Ours may hold names of files of secrets.
    const int error = ::posix_spawn(&child, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
  }
  int spawn(std::vector<std::string>& arguments, int input, pid_t& child) const {
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    return spawn_with(path_.c_str(), pointers.data(), input, child);
  }

  /// Feeds it, and waits for its end.
  Attempt attend(pid_t child, int fd, const std::string& input) const {
    const auto deadline = Clock::now() + timeout_;
    size_t sent = 0;
    for (;;) {
      if (fd >= 0) {
        const ssize_t n = ::write(fd, input.data() + sent, input.size() - sent);
        if (n > 0) sent += static_cast<size_t>(n);
        // It does not want it (EPIPE), or has all of it.
        if (sent == input.size() || (n < 0 && errno != EAGAIN && errno != EINTR)) {
          ::close(fd);
          fd = -1;
        }
      }
      int status = 0;
      const pid_t ended = ::waitpid(child, &status, WNOHANG);
      if (ended == child || (ended < 0 && errno != EINTR)) {
        if (fd >= 0) ::close(fd);
        return ended == child ? verdict(status) : Attempt{Attempt::Result::kRefused, std::strerror(errno)};
      }
      const bool cancelled = cancelled_.load(std::memory_order_relaxed);
      if (cancelled || Clock::now() >= deadline) {
        ::kill(-child, SIGKILL);
        ::waitpid(child, &status, 0);
        if (fd >= 0) ::close(fd);
        if (cancelled) return {Attempt::Result::kRetry, "the service ended meanwhile"};
        return {Attempt::Result::kRefused,
                fmt::format("it was killed: it had not ended after {} ms",
                            std::chrono::duration_cast<std::chrono::milliseconds>(timeout_).count())};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  /// A script that ran is not run again: what it does may be done, and may not bear to be done twice.
  static Attempt verdict(int status) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return {Attempt::Result::kRefused, WIFEXITED(status) ? fmt::format("it ended with status {}", WEXITSTATUS(status))
                                                         : fmt::format("it was ended by signal {}", WTERMSIG(status))};
  }

  const std::string path_;
  const std::chrono::microseconds timeout_;
};

}  // namespace

std::unique_ptr<Sender> make_script(const config::NotifySettings& settings) {
  return std::make_unique<Script>(settings);
}

}  // namespace backstream::alert
