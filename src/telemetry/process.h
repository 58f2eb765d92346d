#pragma once
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace backstream::telemetry {

/// What the kernel says of this process. What it does not say is absent: no figure is made up.
struct ProcessFacts {
  std::optional<double> cpu_seconds;  ///< user and system, all threads
  std::optional<uint64_t> resident_octets, virtual_octets;
  std::optional<uint64_t> open_descriptors, descriptors_max;  ///< max: the soft limit; absent: there is none
  std::optional<uint64_t> threads;
  std::optional<base::Micros> started_at;
};
/// Reads /proc/self only, which a hardened unit leaves (ProcSubset=pid). Some ten system calls; any thread.
ProcessFacts process_facts();

}  // namespace backstream::telemetry
