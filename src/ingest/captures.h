#pragma once
#include <span>

#include "ingest/source.h"

namespace backstream::ingest {

/// A capture in memory, for tests and fuzzing. The octets must outlive the source.
base::Result<std::unique_ptr<DatagramSource>> open_capture_octets(std::span<const uint8_t> octets);

}  // namespace backstream::ingest
