#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "app/result_rows.h"
#include "app/service_client.h"
#include "base/time.h"

namespace backstream::app {

/// Follows the results of a query: those that are kept, then those that come, each once and in order, over as many
/// connections as it takes. What comes is counted by its seq; whatever is missing between two events is asked for, so a
/// stream that was cut, a slow reader and a window too large for events all end the same way.
class ResultTail {
 public:
  struct Options {
    std::string query;
    bool history = true;          ///< false: only what comes from now on
    std::string from;             ///< RFC 3339: only windows that begin there or later; empty: all
    bool exit_at_end = false;     ///< only what is kept
    bool revisions = false;       ///< also what is not final, and rows that a revision took away
    uint64_t page_rows = 10'000;  ///< asked for at a time
    std::chrono::milliseconds pause_min{250}, pause_max{10'000};  ///< between two attempts to come back
  };
  struct Callbacks {
    std::function<bool(const std::vector<ResultColumn>&)> on_columns;  ///< once, before rows; false: enough
    std::function<bool(const ResultPart&)> on_part;                    ///< false: enough
    std::function<void(const std::string&)> say;                       ///< one line for people
    std::function<bool()> keep_on;                                     ///< asked ten times a second; false: enough
  };
  ResultTail(ServiceClient& client, Options options, Callbacks callbacks);

  enum class End : uint8_t {
    kEnough,   ///< a callback said so
    kAtEnd,    ///< all that was kept is told
    kDropped,  ///< the query was dropped while we looked
  };
  /// Errors: the server is not there at first, or refuses.
  ServiceResult<End> run();

  uint64_t parts_lost() const { return parts_lost_; }

 private:
  /// Tells what is kept after seq_. False: enough.
  ServiceResult<bool> catch_up(bool is_first);
  bool on_event(const http::Event& event);
  bool tell(const ResultPart& part);
  bool pause();
  /// Whether trying again may help.
  static bool passes(const ServiceError& error);
  ServiceResult<bool> is_gone();

  ServiceClient& client_;
  const Options options_;
  const Callbacks callbacks_;
  const std::optional<base::Micros> from_;
  std::optional<uint64_t> seq_;  // All up to this one is told.
  bool columns_told_ = false;
  bool enough_ = false, ended_ = false, behind_ = false;
  std::optional<ServiceError> failed_;  // In on_event().
  std::chrono::milliseconds pause_;
  uint64_t parts_lost_ = 0;
};

}  // namespace backstream::app
