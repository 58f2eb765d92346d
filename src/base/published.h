#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace backstream::base {

/// An immutable value that one thread replaces while others read it. std::atomic<std::shared_ptr> of libstdc++ 12 spins
/// on a bit that ThreadSanitizer does not see; this has a mutex, which a Reader takes only after a change.
///
///   Published<Table>::Reader reader{published};      // one a thread, lives as long as its pipeline
///   const auto& table = reader.current();            // once per batch: one atomic load while nothing changed
///
/// What a Reader holds stays alive until its next current() after a change, so an idle thread keeps one old value.
template <typename T>
class Published {
 public:
  using Pointer = std::shared_ptr<const T>;

  explicit Published(Pointer first = nullptr) : value_(std::move(first)) {}
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;

  /// The newest value; null before the first. Any thread. Takes the mutex: for occasional reads.
  Pointer snapshot() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  /// Replaces the value. Any thread. The old one is released outside the mutex: freeing it may take long.
  void publish(Pointer next) {
    {
      const std::lock_guard lock(mutex_);
      value_.swap(next);
      version_.fetch_add(1, std::memory_order_release);
    }
  }
  /// Grows with every publish().
  uint64_t version() const { return version_.load(std::memory_order_acquire); }

  /// One thread's view. The Published must outlive it.
  class Reader {
   public:
    explicit Reader(const Published& published) : published_(&published) { refresh(); }

    /// The newest value that is visible to this thread; valid until the next call. Never goes back in time.
    const Pointer& current() {
      if (published_->version_.load(std::memory_order_acquire) != version_) refresh();
      return value_;
    }

   private:
    void refresh() {
      Pointer old;  // Released after the lock.
      const std::lock_guard lock(published_->mutex_);
      old = std::exchange(value_, published_->value_);
      version_ = published_->version_.load(std::memory_order_relaxed);
    }
    const Published* published_;
    Pointer value_;
    uint64_t version_ = 0;
  };

 private:
  mutable std::mutex mutex_;
  Pointer value_;                     // Under mutex_.
  std::atomic<uint64_t> version_{0};  // Written under mutex_, read by any thread.
};

}  // namespace backstream::base
