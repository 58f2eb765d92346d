#include "decode/exporter.h"

#include "decode/biflow.h"

namespace backstream::decode {

Template::Template(TemplatePointer made, DecodeSettings::Biflow biflow)
    : definition(std::move(made)), plan(definition->fields) {
  if (definition->options || biflow != DecodeSettings::Biflow::kSplit) return;
  if (const auto reversed = reverse_fields(definition->fields); !reversed.empty())
    reverse = std::make_unique<RecordPlan>(reversed);
}

uint64_t SamplerTable::find(uint32_t domain, uint64_t sampler) const {
  const auto in_use = [](uint64_t rate) { return rate == 0 ? 1 : rate; };  // what no sampler picks is not sampled
  if (const auto exact = rates_.find({domain, sampler}); exact != rates_.end()) return in_use(exact->second);
  bool named = false;
  if (sampler != kNoSampler) {
    for (const auto& [key, rate] : rates_) {
      if (key.second == sampler) return in_use(rate);
      named |= key.second != kNoSampler;
    }
    if (const auto own = rates_.find({domain, kNoSampler}); own != rates_.end()) return own->second;
    // Where samplers have names, sampler 0 is none (Cisco): the same router exports flows that it did not sample.
    if (sampler == 0 && named) return 1;
  }
  uint64_t only = 0;
  for (const auto& [key, rate] : rates_) {
    // A record without sampler in a domain with samplers: their rate when it is one rate.
    if (rate == 0) continue;
    if (only != 0 && only != rate) return 0;
    only = rate;
  }
  return only;
}

}  // namespace backstream::decode
