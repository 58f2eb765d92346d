#pragma once
#include <memory>
#include <string>
#include <vector>

#include "app/service_client.h"
#include "app/shell/result_view.h"
#include "http/client.h"

namespace backstream::app::shell {

/// How a live result came to its end.
struct LiveEnd {
  enum class Reason : uint8_t {
    kInterrupted,  ///< Ctrl-C, or SIGTERM
    kLeft,         ///< the person left it: q
    kEnough,       ///< the rows or windows that were asked for have come
    kTime,         ///< LiveLimits::duration
    kEnded,        ///< the query was dropped, or the server shut down
    kClosed,       ///< nobody reads the output any more
  };
  Reason reason = Reason::kEnded;
  uint64_t lost = 0;                 ///< events that we were too slow for
  uint64_t gaps = 0;                 ///< times that the connection was resumed too late to get all
  std::string why;                   ///< what the server said last of why there are no rows; printable
  std::vector<std::string> notices;  ///< what it said of the rows beside them
};

/// Reads the results of a query until one of the above. While no row has come the server is asked why, first after a
/// second. A connection that breaks is resumed where it was for as long as the server keeps the query. Blocks.
/// @param duration  0: no end by time
ServiceResult<LiveEnd> run_live(const http::ClientOptions& server, const std::string& query, ResultView& view,
                                const Output& output, base::Micros duration, bool from_begin);

/// The text of /why on one line, for a status line; printable.
/// @param due_is_shown  then what it says of when rows are due is left out: a clock that stands beside one that runs
std::string one_line(const std::string& text, bool due_is_shown = false);

}  // namespace backstream::app::shell
