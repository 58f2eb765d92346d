#include "app/shell/editor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace backstream::app::shell {
namespace {

constexpr size_t kFileOctetsMax = size_t{16} << 20;

tl::unexpected<base::Diagnostic> failed(const std::string& what) {
  return base::fail("file", fmt::format("{}: {}", what, std::strerror(errno)));
}

std::string editor_name() {
  for (const char* name : {"BACKSTREAM_EDITOR", "VISUAL", "EDITOR"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return "vi";
}

/// A file that goes with the object.
class TemporaryFile {
 public:
  TemporaryFile() {
    const char* const folder = std::getenv("TMPDIR");
    path_ = fmt::format("{}/backstream.XXXXXX.sql", folder != nullptr && *folder == '/' ? folder : "/tmp");
    descriptor_ = ::mkostemps(path_.data(), 4, O_CLOEXEC);  // 0600
  }
  ~TemporaryFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  int descriptor() const { return descriptor_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace

base::Result<void> open_editor(const std::string& path) {
  // As psql does: the variable may have arguments, so a shell reads it; the path is its own argument.
  const std::string command = editor_name() + " \"$1\"";
  const char* const arguments[] = {"sh", "-c", command.c_str(), "sh", path.c_str(), nullptr};
  // Ctrl-C is the editor's while it has the terminal.
  struct sigaction ignore = {}, before = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &ignore, &before);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t usual;
  sigemptyset(&usual);
  for (const int number : {SIGINT, SIGPIPE, SIGTERM}) sigaddset(&usual, number);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int error =
      ::posix_spawn(&child, "/bin/sh", nullptr, &attributes, const_cast<char* const*>(arguments), environ);
  posix_spawnattr_destroy(&attributes);
  int status = 0;
  if (error == 0) {
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  }
  ::sigaction(SIGINT, &before, nullptr);
  errno = error;
  if (error != 0) return failed("cannot start a shell for the editor");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return base::fail("file", fmt::format("the editor '{}' failed", editor_name()), {},
                      "EDITOR names one, such as EDITOR=nano");
  }
  return {};
}

base::Result<std::string> edit_text(const std::string& text) {
  const TemporaryFile file;
  if (file.descriptor() < 0) return failed("cannot make a file to edit");
  for (size_t at = 0; at < text.size();) {
    const ssize_t written = ::write(file.descriptor(), text.data() + at, text.size() - at);
    if (written <= 0) return failed(file.path());
    at += static_cast<size_t>(written);
  }
  if (auto edited = open_editor(file.path()); !edited) return tl::unexpected(std::move(edited.error()));
  return read_file(file.path());  // By name: editors make a new file.
}

base::Result<std::string> read_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return failed(fmt::format("cannot read '{}'", path));
  std::string text;
  char piece[65'536];
  ssize_t got = 0;
  while (text.size() <= kFileOctetsMax &&
         ((got = ::read(descriptor, piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR)))
    text.append(piece, static_cast<size_t>(std::max<ssize_t>(got, 0)));
  const int error = errno;
  ::close(descriptor);
  errno = error;
  if (got < 0) return failed(fmt::format("cannot read '{}'", path));
  if (text.size() > kFileOctetsMax) return base::fail("54000", fmt::format("'{}' is longer than 16 MiB", path));
  return text;
}

}  // namespace backstream::app::shell
