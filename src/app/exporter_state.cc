#include "app/exporter_state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

/// Closed at the end.
class File {
 public:
  File(const std::string& path, int flags) : file_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (file_ >= 0) ::close(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return file_; }
  /// False: errno says why.
  bool close() {
    const int file = file_;
    file_ = -1;
    return ::close(file) == 0;
  }

 private:
  int file_;
};

tl::unexpected<base::Diagnostic> machine_failed(const char* what, const std::string& path) {
  return base::fail("file", fmt::format("cannot {} '{}': {}", what, path, std::strerror(errno)));
}

bool write_all(int file, std::span<const uint8_t> octets) {
  while (!octets.empty()) {
    const ssize_t written = ::write(file, octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    octets = octets.subspan(static_cast<size_t>(written));
  }
  return true;
}

/// Error "state": not a file of ours; "file": the machine.
base::Result<std::vector<uint8_t>> read_all(const std::string& path) {
  std::vector<uint8_t> octets;
  File file(path, O_RDONLY);
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return machine_failed("read", path);
  if (!S_ISREG(status.st_mode)) return base::fail("file", fmt::format("'{}' is no regular file", path));
  if (static_cast<uint64_t>(status.st_size) > ExporterState::kOctetsMax)
    return base::fail("state", "it is too long to be a state file of exporters");
  octets.resize(static_cast<size_t>(status.st_size));
  size_t read = 0;
  while (read < octets.size()) {
    const ssize_t got = ::read(file.get(), octets.data() + read, octets.size() - read);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return machine_failed("read", path);
    if (got == 0) break;
    read += static_cast<size_t>(got);
  }
  octets.resize(read);
  return octets;
}

}  // namespace

base::Result<void> write_atomically(const std::string& path, std::span<const uint8_t> octets) {
  const std::string next = path + ".new";
  File file(next, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.get() < 0) return machine_failed("write", next);
  // Without the first fsync the name could survive a power cut and the octets not; the second one keeps the name.
  if (!write_all(file.get(), octets) || ::fsync(file.get()) != 0 || !file.close()) {
    auto failed = machine_failed("write", next);
    ::unlink(next.c_str());
    return failed;
  }
  if (::rename(next.c_str(), path.c_str()) != 0) return machine_failed("write", path);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const File directory(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  if (directory.get() >= 0) ::fsync(directory.get());
  return {};
}

base::Result<void> ExporterState::load(decode::TemplateStore& store) {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0 && errno == ENOENT) return {};
  const auto octets = read_all(path_);
  auto taken = octets ? store.decode(*octets) : tl::unexpected(octets.error());
  if (taken) {
    saved_ = store.change_count();
    return {};
  }
  if (taken.error().code == "file") return taken;
  const std::string aside = path_ + ".damaged";
  if (::rename(path_.c_str(), aside.c_str()) != 0) return machine_failed("rename", path_);
  telemetry::terminal_log().warning(
      fmt::format("'{}' is not used: {}; it was renamed to '{}', and exporters are learnt anew", path_,
                  taken.error().message, aside));
  return {};
}

void ExporterState::start(std::shared_ptr<const decode::TemplateStore> store) {
  store_ = std::move(store);
  thread_ = std::thread([this] { run(); });
}

void ExporterState::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  thread_.join();
  save();
}

void ExporterState::run() {
  // At first exporters are learnt one after another; later little changes but the times of refreshes.
  constexpr std::chrono::seconds kAtFirst{5}, kLater{60};
  const auto begin = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (true) {
    const bool young = std::chrono::steady_clock::now() - begin < kLater;
    if (stopping_.wait_for(lock, young ? kAtFirst : kLater, [&] { return stop_; })) return;
    lock.unlock();
    save();
    lock.lock();
  }
}

void ExporterState::save() {
  const uint64_t now = store_->change_count();
  if (now == saved_) return;
  if (const auto written = write_atomically(path_, store_->encode()); written) {
    saved_ = now;
    failed_ = false;
  } else if (!failed_) {
    failed_ = true;
    telemetry::terminal_log().warning(written.error().message + "; it is tried again every minute");
  }
}

}  // namespace backstream::app
