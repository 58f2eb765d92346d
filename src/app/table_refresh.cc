#include "app/table_refresh.h"

#include <chrono>

#include "telemetry/terminal_log.h"

namespace backstream::app {

void TableRefresh::add(const plan::LookupTables::Item& item) {
  if (item.file) add(*item.file);
}

void TableRefresh::add(lookup::FileTable& file) {
  if (file.options().refresh_us <= 0) return;
  const std::lock_guard lock(files_mutex_);
  files_.push_back(&file);
}

void TableRefresh::remove(lookup::FileTable& file) {
  const std::lock_guard lock(files_mutex_);
  std::erase(files_, &file);
}

void TableRefresh::start(bool may_come) {
  if (may_come || !files_.empty()) thread_ = std::thread([this] { run(); });
}

void TableRefresh::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  thread_.join();
}

void TableRefresh::run() {
  const auto begin = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, std::chrono::seconds(1), [&] { return stop_; })) {
    lock.unlock();
    read_files(begin);
    lock.lock();
  }
}

void TableRefresh::read_files(std::chrono::steady_clock::time_point begin) {
  // Zero was the first look, when the statement or setting was read.
  const base::Micros now =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin).count();
  const std::lock_guard reading(files_mutex_);
  for (lookup::FileTable* file : files_) {
    switch (file->poll(now)) {
      case lookup::FileTable::Poll::kLoaded: changed_ = true; break;
      case lookup::FileTable::Poll::kFailed:
        telemetry::terminal_log().warning(file->status().error->render() + "  the table stays as it is");
        break;
      case lookup::FileTable::Poll::kNotDue:
      case lookup::FileTable::Poll::kUnchanged: break;
    }
  }
}

}  // namespace backstream::app
