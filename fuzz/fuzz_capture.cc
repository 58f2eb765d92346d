// Any octets as a capture: pcap, pcapng, gzip, zstd.
#include <cassert>

#include "ingest/captures.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto source = backstream::ingest::open_capture_octets({data, size});
  if (!source) return 0;
  uint64_t octets = 0;
  while (!(*source)->at_end()) {
    for (const auto& datagram : (*source)->next_block()) {
      for (uint32_t i = 0; i < datagram.payload_octets; ++i) octets += datagram.payload[i];
    }
  }
  const auto& stats = (*source)->stats();
  uint64_t skipped = 0;
  for (const uint64_t count : stats.skipped) skipped += count;
  assert(stats.frames == stats.datagrams + skipped);
  (void)octets;
  return 0;
}
