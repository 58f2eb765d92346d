#include "decode/exporter.h"

namespace backstream::decode {

uint64_t SamplerTable::find(uint32_t domain, uint64_t sampler) const {
  if (const auto exact = rates_.find({domain, sampler}); exact != rates_.end()) return exact->second;
  if (sampler != kNoSampler) {
    for (const auto& [key, rate] : rates_) {
      if (key.second == sampler) return rate;
    }
    if (const auto own = rates_.find({domain, kNoSampler}); own != rates_.end()) return own->second;
  }
  uint64_t only = 0;
  for (const auto& [key, rate] : rates_) {
    // A record without sampler in a domain with samplers: their rate when it is one rate.
    if (only != 0 && only != rate) return 0;
    only = rate;
  }
  return only;
}

void follow_sequence(Exporter& exporter, uint32_t kind, uint64_t stream, uint32_t received, uint32_t units) {
  constexpr size_t kStreamsMax = 65'536;
  constexpr int32_t kRestart = 1'000'000;  // a jump this far is a restart, not a loss
  const auto key = std::pair(kind, stream);
  const auto found = exporter.sequences.find(key);
  if (found == exporter.sequences.end()) {
    if (exporter.sequences.size() < kStreamsMax) exporter.sequences.emplace(key, received + units);
    return;
  }
  const auto gap = static_cast<int32_t>(received - found->second);
  if (gap > 0 && gap < kRestart) exporter.ledger.missing += static_cast<uint32_t>(gap);
  // A datagram that was overtaken fills a gap that was counted.
  if (gap < 0 && gap > -kRestart) {
    exporter.ledger.missing -= std::min<uint64_t>(exporter.ledger.missing, units);
    return;
  }
  found->second = received + units;
}

}  // namespace backstream::decode
