// Arbitrary octets as a capture, plain or compressed: every frame is accounted for, and every payload lies in memory
// that may be read.
#include <cassert>
#include <cstddef>
#include <cstdint>

#include "ingest/captures.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto source = backstream::ingest::open_capture_octets({data, size});
  if (!source) {
    assert(!source.error().message.empty());
    return 0;
  }
  uint64_t datagrams = 0;
  volatile uint8_t seen = 0;
  while (!(*source)->at_end()) {
    for (const auto& datagram : (*source)->next_block()) {
      ++datagrams;
      assert(datagram.source.family == 4 || datagram.source.family == 6);
      assert(datagram.received_at >= 0);
      for (uint32_t i = 0; i < datagram.payload_octets; ++i) seen = seen ^ datagram.payload[i];
    }
    // Decompression may make much of little; what matters has happened by then.
    if ((*source)->stats().frames > 200'000) return 0;
  }
  const auto& stats = (*source)->stats();
  uint64_t skipped = 0;
  for (const uint64_t count : stats.skipped) skipped += count;
  assert(stats.datagrams == datagrams);
  assert(stats.frames == datagrams + skipped);
  assert(!stats.truncated || !stats.warnings.empty());
  return 0;
}
