#pragma once
// The loops that copy fields of n records, `stride` octets apart, into columns. Private to the room.
#include <cstddef>
#include <cstdint>

#include "base/cpu.h"
#include "base/inet.h"
#include "base/time.h"

namespace backstream::decode {

using base::Micros;

/// value[i] = the field of record i, 1 to 8 octets wide; wider ones by their last 8.
void load_integers(const uint8_t* at, size_t stride, unsigned width, size_t n, int64_t* __restrict out);

/// Two fields, each an integer of 1 to 8 octets, that lie within 16 octets of a record.
struct FieldPair {
  /// @param window             offset of those 16 octets, all of them within the record
  /// @param first, second      offsets of the fields within the record
  FieldPair(size_t window, size_t first, unsigned first_width, size_t second, unsigned second_width);

  size_t window;
  uint8_t offsets[2];  ///< within the window
  uint8_t widths[2];
  uint8_t picks[16];  ///< the two words, little end first: of each octet its place in the window, or 0x80 for zero
};

/// Kernels that have faster twins. All of a table give the same values as all of another.
struct ColumnKernels {
  /// first[i], second[i] = the fields of record i. `records` points to the first record.
  void (*load_pair)(const uint8_t* records, size_t stride, const FieldPair& pair, size_t n, int64_t* first,
                    int64_t* second);
  /// out[i] = the IPv4 address in the 4 octets of record i.
  void (*load_v4)(const uint8_t* at, size_t stride, size_t n, base::Inet* out);
  /// Turns an exporter's uptimes in ms (the lower 32 bits of each value) into times, knowing that it showed `uptime_ms`
  /// at `exported_at`: their difference is small and signed. Returns the greatest. n > 0.
  Micros (*times_of_uptimes)(Micros* times, size_t n, uint32_t uptime_ms, Micros exported_at);
};
/// The fastest of each for CPUs of that level. The object lives for ever.
const ColumnKernels& column_kernels(base::CpuLevel level);

}  // namespace backstream::decode
