#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/diagnostic.h"

namespace backstream::ingest {

/// Octets of a file in order, decompressed. One thread.
class OctetSource {
 public:
  virtual ~OctetSource() = default;
  /// Reads up to `octets_max` (> 0) octets. 0: the end, or an error, see error().
  virtual size_t read(uint8_t* to, size_t octets_max) = 0;
  /// What stopped reading before the end of the data: "disk error", "damaged gzip data". Empty: nothing.
  virtual const std::string& error() const = 0;
  /// Octets of the file itself (compressed ones) read so far, and its size (0: unknown).
  virtual uint64_t octets_read() const = 0;
  virtual uint64_t octets_total() const = 0;
};

/// Opens a file ("-": standard input), plain, gzip, zstd or bzip2 by its first octets.
/// Errors ("capture"): missing, unreadable, a folder, empty.
base::Result<std::unique_ptr<OctetSource>> open_octets(const std::string& path);
/// Octets in memory, plain or compressed alike; they must outlive the source.
std::unique_ptr<OctetSource> octets_in_memory(std::span<const uint8_t> octets);

}  // namespace backstream::ingest
