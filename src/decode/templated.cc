// NetFlow v9 (RFC 3954) and IPFIX (RFC 7011): templates, options and data in sets.
#include <cmath>
#include <cstring>

#include "base/byte_order.h"
#include "decode/biflow.h"
#include "decode/exporter.h"
#include "decode/side_rows.h"

namespace backstream::decode {
namespace {

using base::load_be16;
using base::load_be32;

constexpr uint16_t kV9 = 9, kIpfix = 10;
constexpr size_t kFieldsMax = 1'024;
constexpr size_t kRecordOctetsMax = 65'535;
constexpr size_t kPendingSetsMax = 1'024;  ///< of an exporter

/// A message whose header has been read, and its sets.
class Message {
 public:
  Message(DecodeContext& context, uint16_t version, MessageFacts facts)
      : context_(context),
        exporter_(context.exporter),
        ledger_(context.exporter.ledger),
        version_(version),
        facts_(std::move(facts)) {}

  void read_sets(const uint8_t* at, size_t octets);
  uint32_t data_records() const { return data_records_; }
  bool counts_known() const { return counts_known_; }

 private:
  void read_templates(const uint8_t* at, size_t octets);
  void read_options_templates(const uint8_t* at, size_t octets);
  size_t read_fields(const uint8_t* at, size_t octets, size_t count, std::vector<FieldSpec>& fields) const;
  void define(uint16_t id, Template made);
  void withdraw(uint16_t set_id, uint16_t id);
  void read_data(uint16_t id, const uint8_t* at, size_t octets, const MessageFacts& facts);
  void read_flows(Template& known, const uint8_t* at, size_t octets, const MessageFacts& facts);
  void read_options(const Template& known, uint16_t id, const uint8_t* at, size_t octets);
  void take_options_record(const Template& known, uint16_t id, const uint8_t* record, const uint32_t* offsets,
                           const uint16_t* widths);
  void hold(const TemplateKey& key, const uint8_t* at, size_t octets);
  void release(const TemplateKey& key);
  TemplateKey key_of(uint16_t id) const { return {facts_.domain, version_, id}; }

  DecodeContext& context_;
  Exporter& exporter_;
  IngestLedger& ledger_;
  const uint16_t version_;
  MessageFacts facts_;
  uint32_t data_records_ = 0;
  bool counts_known_ = true;
  std::vector<uint32_t> offsets_;
  std::vector<uint16_t> widths_;
};

void Message::read_sets(const uint8_t* at, size_t octets) {
  const uint16_t template_set = version_ == kV9 ? 0 : 2, options_set = version_ == kV9 ? 1 : 3;
  while (octets >= 4) {
    const uint16_t id = load_be16(at);
    const size_t length = load_be16(at + 2);
    // Palo Alto fills the rest of a v9 datagram with zero octets.
    if (version_ == kV9 && id == 0 && length == 0) return;
    if (length < 4) {
      ledger_.add(DecodeFault::kSetLengthInvalid);
      counts_known_ = false;
      return;
    }
    size_t here = length;
    if (length > octets) {
      ledger_.add(DecodeFault::kSetTruncated);
      counts_known_ = false;
      here = octets;  // the whole records of a set that was cut are as good as any
    }
    if (id == template_set) read_templates(at + 4, here - 4);
    else if (id == options_set) read_options_templates(at + 4, here - 4);
    else if (id >= 256) read_data(id, at + 4, here - 4, facts_);
    at += here;
    octets -= here;
  }
}

/// Reads `count` field specifiers. Returns the octets used, 0 when they end early.
size_t Message::read_fields(const uint8_t* at, size_t octets, size_t count, std::vector<FieldSpec>& fields) const {
  size_t used = 0;
  for (size_t f = 0; f < count; ++f) {
    if (octets - used < 4) return 0;
    FieldSpec field;
    field.element = load_be16(at + used);
    field.width = load_be16(at + used + 2);
    used += 4;
    if (version_ == kIpfix && (field.element & 0x8000) != 0) {
      if (octets - used < 4) return 0;
      field.element &= 0x7fff;
      field.enterprise = load_be32(at + used);
      used += 4;
    }
    fields.push_back(field);
  }
  return used;
}

void Message::withdraw(uint16_t set_id, uint16_t id) {
  // RFC 7011 §8.1: the id of the set itself means all of its kind.
  if (id == set_id) {
    exporter_.templates.erase_if([&](const TemplateKey& key, const Template& known) {
      return key.domain == facts_.domain && key.version == version_ && known.options == (set_id == 3);
    });
  } else {
    exporter_.templates.erase(key_of(id));
  }
}

void Message::define(uint16_t id, Template made) {
  const TemplateKey key = key_of(id);
  size_t octets = 0;
  for (const FieldSpec& field : made.fields) octets += field.width == kVariable ? 1 : field.width;
  // A record of no octets would be read for ever; one longer than a datagram cannot come.
  if (id < 256 || made.fields.empty() || octets == 0 || octets > kRecordOctetsMax) {
    ledger_.add(DecodeFault::kTemplateInvalid);
    exporter_.templates.erase(key);  // what it replaces is not valid any more either
    return;
  }
  const Template* known = exporter_.templates.find(key);
  if (known != nullptr && known->fields == made.fields && known->options == made.options &&
      known->scope_count == made.scope_count) {
    return;  // the usual refresh
  }
  if (known == nullptr && exporter_.templates.size() >= context_.settings.template_count_max) {
    ledger_.add(DecodeFault::kTemplateLimit);
    return;
  }
  made.plan = RecordPlan(made.fields);
  if (!made.options && context_.settings.biflow == DecodeSettings::Biflow::kSplit) {
    if (const auto reversed = reverse_fields(made.fields); !reversed.empty())
      made.reverse = std::make_unique<RecordPlan>(reversed);
  }
  exporter_.templates.set(key, std::move(made));
  release(key);
}

void Message::read_templates(const uint8_t* at, size_t octets) {
  while (octets >= 4) {
    const uint16_t id = load_be16(at);
    const size_t count = load_be16(at + 2);
    if (id == 0 && count == 0) return;  // padding
    if (count == 0) {
      withdraw(2, id);
      at += 4;
      octets -= 4;
      continue;
    }
    Template made;
    const size_t used = count > kFieldsMax ? 0 : read_fields(at + 4, octets - 4, count, made.fields);
    if (used == 0) {
      ledger_.add(DecodeFault::kTemplateInvalid);
      return;
    }
    define(id, std::move(made));
    at += 4 + used;
    octets -= 4 + used;
  }
}

void Message::read_options_templates(const uint8_t* at, size_t octets) {
  const size_t header = 6;
  while (octets >= 4) {
    const uint16_t id = load_be16(at);
    if (version_ == kIpfix && load_be16(at + 2) == 0 && id != 0) {  // withdrawal: no scope count follows
      withdraw(3, id);
      at += 4;
      octets -= 4;
      continue;
    }
    if (octets < header || id == 0) return;  // padding
    size_t fields = 0, scopes = 0;
    if (version_ == kV9) {  // RFC 3954 §6.1: lengths in octets, scope fields first
      scopes = load_be16(at + 2) / 4u;
      fields = scopes + load_be16(at + 4) / 4u;
    } else {
      fields = load_be16(at + 2);
      scopes = load_be16(at + 4);
    }
    Template made;
    made.options = true;
    made.scope_count = static_cast<uint16_t>(scopes);
    const size_t used =
        fields > kFieldsMax || scopes > fields ? 0 : read_fields(at + header, octets - header, fields, made.fields);
    if (used == 0) {
      ledger_.add(DecodeFault::kTemplateInvalid);
      return;
    }
    if (version_ == kV9) {
      for (size_t f = 0; f < scopes; ++f) made.fields[f].enterprise = kV9Scope;
    }
    define(id, std::move(made));
    at += header + used;
    octets -= header + used;
  }
}

void Message::hold(const TemplateKey& key, const uint8_t* at, size_t octets) {
  ++ledger_.records;
  ++ledger_.awaiting_template;
  ledger_.add(DecodeFault::kTemplateUnknown);
  counts_known_ = false;
  if (context_.settings.template_wait_us == 0) return;
  if (exporter_.pending.size() >= kPendingSetsMax ||
      context_.pending_octets + octets > context_.settings.template_wait_octets_max)
    return;
  PendingSet set{key, facts_.received_at, facts_.exported_at, facts_.uptime_ms, {at, at + octets}};
  context_.pending_octets += octets;
  exporter_.pending.push_back(std::move(set));
}

void Message::release(const TemplateKey& key) {
  if (exporter_.pending.empty()) return;
  std::vector<PendingSet> held;
  held.swap(exporter_.pending);
  for (PendingSet& set : held) {
    const bool old = facts_.received_at - set.received_at > context_.settings.template_wait_us;
    if (!old && !(set.key == key)) {
      exporter_.pending.push_back(std::move(set));
      continue;
    }
    context_.pending_octets -= set.octets.size();
    if (old) continue;
    --ledger_.records;
    --ledger_.awaiting_template;
    --ledger_.faults[static_cast<size_t>(DecodeFault::kTemplateUnknown)];
    MessageFacts facts = facts_;
    facts.received_at = set.received_at;
    facts.exported_at = set.exported_at;
    facts.uptime_ms = set.uptime_ms;
    const uint32_t records_before = data_records_;
    read_data(key.id, set.octets.data(), set.octets.size(), facts);
    data_records_ = records_before;  // the sequence numbers of this message do not count them
  }
}

void Message::read_data(uint16_t id, const uint8_t* at, size_t octets, const MessageFacts& facts) {
  Template* known = exporter_.templates.find(key_of(id));
  if (known == nullptr) return hold(key_of(id), at, octets);
  if (known->options) read_options(*known, id, at, octets);
  else read_flows(*known, at, octets, facts);
}

void Message::read_flows(Template& known, const uint8_t* at, size_t octets, const MessageFacts& message_facts) {
  RecordPlan& plan = known.plan;
  MessageFacts facts = message_facts;
  facts.sampling_rate = exporter_.samplers.find(facts.domain, SamplerTable::kNoSampler);
  RecordCounts counts;
  size_t flows = 0, events = 0, reversed = 0;
  const auto write = [&](RecordPlan& by, const uint8_t* first, size_t n, size_t stride, const uint32_t* offsets,
                         const uint16_t* widths) {
    for (size_t done = 0; done < n;) {
      const size_t some = context_.out.room(n - done);
      context_.saw_time(by.write(first + done * stride, some, stride, offsets, widths, facts, exporter_.samplers,
                                 context_.kernels, context_.out, context_.time_scratch, counts));
      done += some;
    }
  };
  const auto event = [&](const uint8_t* record, const uint32_t* offsets, const uint16_t* widths) {
    ++events;
    SideWriter* out = context_.side_writer(batch::SideStream::kEvents);
    if (out == nullptr) return;
    MessageFacts arrived = facts;
    arrived.received_at = context_.datagram.received_at;  // Held for its template or not: its stream has our clock.
    write_event_row(known.fields, record, offsets, widths, arrived, *out);
  };
  const auto take = [&](const uint8_t* first, size_t n, size_t stride, const uint32_t* offsets,
                        const uint16_t* widths) {
    const auto counts_nothing = [&](const RecordPlan& by, size_t record) {
      return by.counts_nothing(first + record * stride, offsets, widths);
    };
    if (!plan.is_event() && !plan.may_be_event()) {
      write(plan, first, n, stride, offsets, widths);
      flows += n;
    }
    // Where each record says what it is, those between two of the other kind are written together.
    for (size_t i = 0; plan.is_event() && i < n; ++i) event(first + i * stride, offsets, widths);
    for (size_t i = 0; plan.may_be_event() && i < n;) {
      size_t end = i;
      while (end < n && !counts_nothing(plan, end)) ++end;
      write(plan, first + i * stride, end - i, stride, offsets, widths);
      flows += end - i;
      for (i = end; i < n && counts_nothing(plan, i); ++i) event(first + i * stride, offsets, widths);
    }
    for (size_t i = 0; known.reverse != nullptr && i < n;) {
      size_t end = i;
      while (end < n && !counts_nothing(*known.reverse, end)) ++end;
      write(*known.reverse, first + i * stride, end - i, stride, offsets, widths);
      reversed += end - i;
      for (i = end; i < n && counts_nothing(*known.reverse, i);) ++i;
    }
  };
  size_t records = 0;
  if (plan.fixed()) {
    // RFC 7011 §3.3.1: padding is shorter than any record, so a short tail is no fault.
    records = octets / plan.record_octets();
    // Palo Alto pads v9 sets with whole records of zero octets.
    if (version_ == kV9) {
      const auto all_zero = [&](size_t record) {
        const uint8_t* first = at + record * plan.record_octets();
        return first[0] == 0 && std::memcmp(first, first + 1, plan.record_octets() - 1) == 0;
      };
      while (records > 0 && all_zero(records - 1)) --records;
    }
    take(at, records, plan.record_octets(), plan.offsets(), plan.widths());
  } else {
    while (octets >= plan.record_octets()) {
      const size_t used = plan.measure(at, octets, offsets_, widths_);
      if (used == 0) {
        // A short tail is padding when it is zero octets; else the record runs past its set.
        bool zero = octets < 4;
        for (size_t i = 0; zero && i < octets; ++i) zero = at[i] == 0;
        if (!zero) {
          ++ledger_.records;
          ++ledger_.malformed;
          ledger_.add(DecodeFault::kRecordMalformed);
          counts_known_ = false;
        }
        break;
      }
      take(at, 1, used, offsets_.data(), widths_.data());
      ++records;
      at += used;
      octets -= used;
    }
  }
  // A record of both directions is two flows, as RFC 5103 §3 has it; the sequence numbers count it once.
  ledger_.records += records + reversed;
  ledger_.flows += flows + reversed;
  ledger_.events += events;
  ledger_.sampling_unknown_rows += counts.sampling_unknown;
  ledger_.counter_overflow += counts.counter_overflow;
  ledger_.element_unreadable += counts.element_unreadable;
  data_records_ += static_cast<uint32_t>(records);
}

void Message::read_options(const Template& known, uint16_t id, const uint8_t* at, size_t octets) {
  while (octets >= known.plan.record_octets()) {
    const size_t used = known.plan.measure(at, octets, offsets_, widths_);
    if (used == 0) {
      if (octets >= 4) {
        ++ledger_.records;
        ++ledger_.malformed;
        ledger_.add(DecodeFault::kRecordMalformed);
        counts_known_ = false;
      }
      return;
    }
    take_options_record(known, id, at, offsets_.data(), widths_.data());
    ++ledger_.records;
    ++ledger_.option_rows;
    ++data_records_;
    at += used;
    octets -= used;
  }
}

/// Sampling, in all the forms that exporters announce it.
void Message::take_options_record(const Template& known, uint16_t id, const uint8_t* record, const uint32_t* offsets,
                                  const uint16_t* widths) {
  uint64_t sampler = SamplerTable::kNoSampler, interval = 0, packet_interval = 0, packet_space = 0, size = 0,
           population = 0;
  double probability = 0;
  bool space_known = false;
  for (size_t f = 0; f < known.fields.size(); ++f) {
    if (known.fields[f].enterprise != 0 || widths[f] == 0 || widths[f] > 8) continue;
    const uint64_t value = base::load_be(record + offsets[f], widths[f]);
    switch (known.fields[f].element) {
      case 48:
      case 302: sampler = value; break;  // samplerId, selectorId
      case 34:
      case 50: interval = value; break;          // samplingInterval, samplerRandomInterval
      case 305: packet_interval = value; break;  // samplingPacketInterval
      case 306:
        packet_space = value;
        space_known = true;
        break;
      case 309: size = value; break;        // samplingSize
      case 310: population = value; break;  // samplingPopulation
      case 311:                             // samplingProbability
        if (widths[f] == 8) std::memcpy(&probability, &value, 8);
        if (widths[f] == 4) {
          const auto bits = static_cast<uint32_t>(value);
          float single = 0;
          std::memcpy(&single, &bits, 4);
          probability = single;
        }
        break;
      default: break;
    }
  }
  uint64_t rate = 0;
  if (packet_interval != 0 && space_known) {
    // RFC 5477 §8.2: of interval + space packets, `interval` are taken.
    rate = (packet_interval + packet_space) / packet_interval;
  } else if (size != 0 && population >= size) {  // IOS XR announces these beside a packet interval of 1
    rate = population / size;
  } else if (packet_interval != 0) {
    rate = packet_interval;
  } else if (interval != 0) {
    rate = interval;
  } else if (probability > 0 && probability <= 1) {
    rate = static_cast<uint64_t>(std::llround(1 / probability));
  }
  if (rate > UINT32_MAX) rate = 0;
  if (SideWriter* out = context_.side_writer(batch::SideStream::kExporterOptions); out != nullptr) {
    MessageFacts arrived = facts_;
    arrived.received_at = context_.datagram.received_at;
    write_option_row(known, id, record, offsets, widths, arrived, rate, *out);
  }
  // A sampler with interval 0 is one that is not in use.
  if (rate == 0) return;
  exporter_.samplers.set(facts_.domain, sampler, rate);
}

void refuse_short_header(DecodeContext& context) {
  context.exporter.ledger.add(DecodeFault::kHeaderTruncated);
  ++context.exporter.ledger.undecodable;
}
MessageFacts facts_of(DecodeContext& context, std::string_view version) {
  MessageFacts facts;
  facts.received_at = context.datagram.received_at;
  facts.version = version;
  facts.exporter = context.exporter.address;
  facts.site = context.sites[context.datagram.site];
  facts.tunnels = context.settings.tunnels;
  return facts;
}

}  // namespace

void decode_netflow9(DecodeContext& context) {
  constexpr size_t kHeaderOctets = 20;
  const uint8_t* at = context.datagram.payload;
  const size_t octets = context.datagram.payload_octets;
  if (octets < kHeaderOctets) return refuse_short_header(context);
  MessageFacts facts = facts_of(context, "9");
  facts.has_uptime = true;
  facts.uptime_ms = load_be32(at + 4);
  facts.exported_at = Micros{load_be32(at + 8)} * base::kMicrosPerSecond;
  facts.domain = load_be32(at + 16);
  // v9 counts datagrams.
  follow_sequence(context.exporter, kV9, facts.domain, load_be32(at + 12), 1);
  Message message(context, kV9, std::move(facts));
  message.read_sets(at + kHeaderOctets, octets - kHeaderOctets);
  ++context.exporter.ledger.decoded;
}

void decode_ipfix(DecodeContext& context) {
  constexpr size_t kHeaderOctets = 16;
  const uint8_t* at = context.datagram.payload;
  size_t octets = context.datagram.payload_octets;
  if (octets < kHeaderOctets) return refuse_short_header(context);
  MessageFacts facts = facts_of(context, "10");
  facts.exported_at = Micros{load_be32(at + 4)} * base::kMicrosPerSecond;
  facts.domain = load_be32(at + 12);
  const uint32_t domain = facts.domain, sequence = load_be32(at + 8);
  const size_t length = load_be16(at + 2);
  if (length >= kHeaderOctets && length < octets) octets = length;  // what follows is no part of the message
  Message message(context, kIpfix, std::move(facts));
  message.read_sets(at + kHeaderOctets, octets - kHeaderOctets);
  // IPFIX counts data records, options data included; where some could not be counted the next message begins anew.
  follow_sequence(context.exporter, kIpfix, domain, sequence, message.data_records());
  if (!message.counts_known()) context.exporter.sequences.erase({kIpfix, domain});
  ++context.exporter.ledger.decoded;
}

}  // namespace backstream::decode
