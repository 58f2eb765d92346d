#pragma once
// Ways on which notices leave: one attempt each. Who waits, repeats and forgets is notifier.h.
#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "alert/notice.h"
#include "config/settings.h"

namespace backstream::alert {

struct Attempt {
  enum class Result : uint8_t {
    kDelivered,
    kRetry,    ///< it may go well later
    kRefused,  ///< it never will: the endpoint answered that it does not want it
  } result = Result::kDelivered;
  std::string error;  ///< for people; empty: delivered
};

/// One thread. An attempt takes no longer than the endpoint's timeout, about.
class Sender {
 public:
  virtual ~Sender() = default;
  /// How many notices one attempt takes.
  virtual size_t batch_max() const { return 1; }
  virtual Attempt send(std::span<const Json> notices) = 0;
  /// How often all that fires is sent again; 0: never.
  virtual Micros repeat_us() const { return 0; }
  /// From now on attempts end soon, with kRetry. Any thread.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

 protected:
  std::atomic<bool> cancelled_{false};
};

/// Errors: "config" what the settings of the endpoint say cannot be.
base::Result<std::unique_ptr<Sender>> make_sender(const config::NotifySettings& settings);

// The parts of make_sender(), a file each.
base::Result<std::unique_ptr<Sender>> make_webhook(const config::NotifySettings& settings);
std::unique_ptr<Sender> make_alertmanager(const config::NotifySettings& settings);
std::unique_ptr<Sender> make_syslog(const config::NotifySettings& settings);
std::unique_ptr<Sender> make_script(const config::NotifySettings& settings);

}  // namespace backstream::alert
