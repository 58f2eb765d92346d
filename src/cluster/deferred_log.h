#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>

#include "base/diagnostic.h"
#include "transport/log.h"

namespace backstream::cluster {

/// A log that could not be reached when the process began: it is opened as soon as somebody wants something of it and
/// it can be; until then all is kUnavailable. Any thread; who asks waits while it is being opened.
class DeferredLog final : public transport::Log {
 public:
  using Open = std::function<base::Result<std::shared_ptr<transport::Log>>()>;
  /// @param partition_count  that it will have
  /// @param tell             gets the reason why it cannot be opened, when it is another than before
  DeferredLog(uint32_t partition_count, Open open, std::function<void(const base::Diagnostic&)> tell)
      : partition_count_(partition_count), open_(std::move(open)), tell_(std::move(tell)) {}

  uint32_t partition_count() const override { return partition_count_; }
  Appended append(uint32_t partition, std::span<const uint8_t> bytes) override {
    Log* log = ready();
    return log == nullptr ? Appended{transport::LogStatus::kUnavailable, 0} : log->append(partition, bytes);
  }
  transport::LogStatus append_all(std::span<const Addition> additions, std::vector<Appended>& results) override {
    if (Log* log = ready()) return log->append_all(additions, results);
    results.assign(additions.size(), Appended{transport::LogStatus::kUnavailable, 0});
    return additions.empty() ? transport::LogStatus::kOk : transport::LogStatus::kUnavailable;
  }
  transport::LogStatus read(uint32_t partition, uint64_t offset, size_t octets_max,
                            std::vector<transport::LogRecord>& out) override {
    Log* log = ready();
    return log == nullptr ? transport::LogStatus::kUnavailable : log->read(partition, offset, octets_max, out);
  }
  uint64_t begin_offset(uint32_t partition) const override { return opened_ ? log_->begin_offset(partition) : 0; }
  uint64_t end_offset(uint32_t partition) const override { return opened_ ? log_->end_offset(partition) : 0; }
  uint64_t resume_offset(uint32_t partition, uint64_t offset) override {
    Log* log = ready();
    return log == nullptr ? offset : log->resume_offset(partition, offset);
  }
  void trim(uint32_t partition, uint64_t offset) override {
    if (opened_) log_->trim(partition, offset);
  }

 private:
  Log* ready() {
    if (opened_) return log_.get();
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (opened_ || now < next_try_) return opened_ ? log_.get() : nullptr;
    auto opened = open_();
    if (!opened) {
      next_try_ = std::chrono::steady_clock::now() + std::chrono::seconds(2);
      if (opened.error().message != told_) tell_(opened.error());
      told_ = opened.error().message;
      return nullptr;
    }
    log_ = std::move(*opened);
    opened_ = true;
    return log_.get();
  }

  const uint32_t partition_count_;
  const Open open_;
  const std::function<void(const base::Diagnostic&)> tell_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point next_try_;
  std::string told_;
  std::shared_ptr<Log> log_;
  std::atomic<bool> opened_{false};  ///< then log_ stays
};

}  // namespace backstream::cluster
