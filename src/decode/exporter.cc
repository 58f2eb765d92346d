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

namespace {

/// Between two characters.
std::string_view cut(std::string_view text) {
  if (text.size() <= kFactTextMax) return text;
  size_t end = kFactTextMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace

void tell_name(DecodeContext& context, uint32_t domain, NameNews news) {
  news.name = cut(news.name);
  news.description = cut(news.description);
  bool kept = true;
  const auto keep = [&](FactKind kind, uint64_t number, std::string_view text) {
    if (number == 0 && text.empty()) return;
    const Fact fact{number, std::string(text)};
    kept &= context.store.set_name(context.sender.key, {domain, kind, news.id}, fact, context.datagram.received_at) !=
            TemplateStore::Verdict::kFull;
  };
  switch (news.of) {
    case NameNews::Of::kInterface:
      keep(FactKind::kInterfaceName, news.bits_per_second, news.name);
      keep(FactKind::kInterfaceDescription, 0, news.description);
      break;
    case NameNews::Of::kVrf: keep(FactKind::kVrfName, 0, news.name); break;
    case NameNews::Of::kApplication:
      keep(FactKind::kApplicationName, 0, news.name);
      keep(FactKind::kApplicationDescription, 0, news.description);
      break;
  }
  if (kept) context.on_name(news);
  else context.exporter.ledger.add(DecodeFault::kOptionsLimit);
}

void note_sequence(DecodeContext& context, const base::Inet& owner, uint32_t kind, uint64_t stream, KnownStream& known,
                   const SequencePlace& place) {
  if (known.number == 0) known.number = context.outbox->order->number_of({owner, kind, stream});
  SequenceNote& note = context.outbox->notes.emplace_back();
  note.arrived_ns = context.datagram.arrived_ns;
  note.received_at = context.datagram.received_at;
  note.stream = known.number;
  note.exporter = context.exporter.index;
  note.place = place;
}

}  // namespace backstream::decode
