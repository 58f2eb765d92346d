// Arbitrary octets as a state file of exporters: as they are, or with the right head and checksum so that the fuzzer
// gets past them. What is taken must be what a decoder may use, and must be the same again when it is kept.
#include <cassert>
#include <cstdint>
#include <vector>

#include "decode/template_store.h"

using backstream::decode::TemplateStore;
using backstream::decode::TemplateStoreLimits;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::vector<uint8_t> octets(data + 1, data + size);
  if (data[0] % 4 != 0) octets = TemplateStore::sealed(octets);
  TemplateStoreLimits limits;
  limits.template_count_max = 16;
  limits.template_count_total_max = 64;
  limits.fact_count_max = 16;
  limits.name_count_max = 16;
  TemplateStore store(limits);
  if (!store.decode(octets)) {
    assert(store.template_count() + store.fact_count() + store.name_count() == 0);
    return 0;
  }
  assert(store.template_count() <= limits.template_count_total_max);
  const auto kept = store.encode();
  TemplateStore again(limits);
  const bool taken = again.decode(kept).has_value();
  assert(taken && again.encode() == kept);
  (void)taken;
  return 0;
}
