#pragma once
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/diagnostic.h"
#include "service/query_register.h"

namespace backstream::service {

/// SELECTs that run only while somebody reads them. A stream of one holds a lease; a query without a lease for
/// kGrace ends. Where halves are apart other nodes run it, too, and end it when nothing is heard of this one.
class Sessions {
 public:
  static constexpr size_t kSessionsMax = 100;
  static constexpr std::chrono::seconds kGrace{10};

  explicit Sessions(QueryRegister& queries);
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  /// The name of the query that runs from now on. Errors: QueryRegister::add_temporary(); 53300 there are kSessionsMax.
  base::Result<std::string> open(const std::string& text, const std::string& source_name, const catalog::Author& author,
                                 base::Micros now);
  /// False: there is none of this name.
  bool close(const std::string& name);
  /// Held by whoever reads it; null: no session.
  std::shared_ptr<const void> lease(const std::string& name);
  size_t count() const;

 private:
  struct Session {
    std::shared_ptr<const void> lease;
    std::chrono::steady_clock::time_point read_at;
  };
  void run();
  void end(const std::string& name);

  QueryRegister& queries_;
  mutable std::mutex mutex_;
  std::condition_variable stopping_;
  std::map<std::string, Session> sessions_;
  std::vector<std::string> ended_;  ///< that the catalog could not be told yet
  size_t opening_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace backstream::service
