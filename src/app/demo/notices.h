#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "app/demo/pops.h"
#include "http/server.h"

namespace backstream::app::demo {

/// Where the demo's alerts go: a webhook on loopback, as chat systems and pagers have them.
class Notices {
 public:
  struct Notice {
    bool firing = false;  ///< false: it is over
    std::string rule, severity, text;
    Micros window_end = 0;  ///< of the rows that it speaks of
    Micros came_at = 0;
  };

  /// Errors: Server::open().
  static base::Result<std::unique_ptr<Notices>> open();
  std::string url() const;
  /// All that came, in their order. Any thread.
  std::vector<Notice> all() const;

 private:
  Notices() = default;
  http::Response take(const http::Request& request);
  static constexpr size_t kNoticesMax = 1'000;

  mutable std::mutex mutex_;
  std::vector<Notice> notices_;  ///< under mutex_
  http::Router router_;
  http::EventHub hub_;
  std::unique_ptr<http::Server> server_;  // Last: it uses all of the above.
};

}  // namespace backstream::app::demo
