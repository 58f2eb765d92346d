#pragma once
// What messages take on their way.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "partial/codec.h"

namespace backstream::partial {

inline constexpr size_t kBatchOctetsMax = 1'000'000;  ///< that a producer compresses together

/// Octets after zstd, at the level that a producer takes by default (3), as one frame.
class Compressor {
 public:
  Compressor();
  ~Compressor();
  /// How many octets would be left of these.
  uint64_t octets_of(std::span<const uint8_t> octets);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Octets, as they are and as a producer sends them that compresses what comes together: all up to end_batch(), a
/// megabyte at most. Heads of the log's own are not counted. One thread.
class TrafficCount {
 public:
  struct Counts {
    uint64_t messages = 0, octets = 0;
    uint64_t compressed_octets = 0;  ///< of batches that have ended
    uint64_t groups = 0;             ///< of panes
    uint64_t rows = 0;               ///< that travel as such
  };
  void add(std::span<const uint8_t> message);
  void end_batch();
  const Counts& counts() const { return counts_; }

 private:
  Counts counts_;
  std::vector<uint8_t> batch_;
  Compressor compressor_;
};

}  // namespace backstream::partial
