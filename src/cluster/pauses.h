#pragma once
#include <chrono>

namespace backstream::cluster {

/// How long threads that work with logs wait before they look again. Tests have less patience.
struct Pauses {
  std::chrono::microseconds idle{10'000};     ///< there was nothing new
  std::chrono::microseconds retry{500'000};   ///< the log could not be reached
  std::chrono::microseconds save{8'000'000};  ///< for states that are to be written before others go on with them
};

}  // namespace backstream::cluster
