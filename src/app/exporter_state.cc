#include "app/exporter_state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>

#include "base/files.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

/// Error "state": not a file of ours; "file": the machine.
base::Result<std::vector<uint8_t>> read_all(const std::string& path) {
  std::vector<uint8_t> octets;
  const base::File file(path, O_RDONLY);
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return base::file_failed("read", path);
  if (!S_ISREG(status.st_mode)) return base::fail("file", fmt::format("'{}' is no regular file", path));
  if (static_cast<uint64_t>(status.st_size) > ExporterState::kOctetsMax)
    return base::fail("state", "it is too long to be a state file of exporters");
  octets.resize(static_cast<size_t>(status.st_size));
  size_t read = 0;
  while (read < octets.size()) {
    const ssize_t got = ::read(file.get(), octets.data() + read, octets.size() - read);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::file_failed("read", path);
    if (got == 0) break;
    read += static_cast<size_t>(got);
  }
  octets.resize(read);
  return octets;
}

}  // namespace

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
  if (::rename(path_.c_str(), aside.c_str()) != 0) return base::file_failed("rename", path_);
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
  if (const auto written = base::write_atomically(path_, store_->encode()); written) {
    saved_ = now;
    failed_ = false;
  } else if (!failed_) {
    failed_ = true;
    telemetry::terminal_log().warning(written.error().message + "; it is tried again every minute");
  }
}

}  // namespace backstream::app
