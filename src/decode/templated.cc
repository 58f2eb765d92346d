// NetFlow v9 (RFC 3954) and IPFIX (RFC 7011): templates, options and data in sets.
#include "base/byte_order.h"
#include "decode/element_text.h"
#include "decode/exporter.h"
#include "decode/side_rows.h"

namespace backstream::decode {
namespace {

using base::load_be16;
using base::load_be32;

constexpr uint16_t kV9 = 9, kIpfix = 10;
constexpr size_t kPendingSetsMax = 1'024;  ///< of a sender
constexpr size_t kIdentitiesMax = 4'096;   ///< of a sender
constexpr uint16_t kExporterIPv4Address = 130, kExporterIPv6Address = 131, kSystemInitTime = 160;

/// A message whose header has been read, and its sets.
class Message {
 public:
  Message(DecodeContext& context, uint16_t version, const MessageFacts& facts)
      : context_(context),
        sender_(context.sender),
        ledger_(context.exporter.ledger),
        version_(version),
        facts_(facts) {}

  void read_sets(const uint8_t* at, size_t octets);
  /// Decodes what waited for templates that another decoder has learnt since.
  void release_ready();
  uint32_t data_records() const { return data_records_; }
  bool counts_known() const { return counts_known_; }

 private:
  void read_templates(const uint8_t* at, size_t octets);
  void read_options_templates(const uint8_t* at, size_t octets, bool as_v9);
  size_t read_fields(const uint8_t* at, size_t octets, size_t count, std::vector<FieldSpec>& fields) const;
  void define(uint16_t id, std::shared_ptr<TemplateDefinition> made);
  void withdraw(uint16_t set_id, uint16_t id);
  void keep(const Template& known);
  void forget(const TemplateKey& key);
  void read_data(const TemplateKey& key, const uint8_t* at, size_t octets, MessageFacts& facts, bool whole);
  void read_flows(Template& known, const uint8_t* at, size_t octets, MessageFacts& facts, bool whole);
  void read_options(const TemplateDefinition& known, const RecordPlan& plan, uint16_t id, const uint8_t* at,
                    size_t octets, const MessageFacts& facts, bool whole);
  void take_options_record(const TemplateDefinition& known, uint16_t id, const uint8_t* record, const uint32_t* offsets,
                           const uint16_t* widths, const MessageFacts& facts);
  void tell_names(const TemplateDefinition& known, const uint8_t* record, const uint32_t* offsets,
                  const uint16_t* widths, uint32_t domain);
  void learn(const FactKey& key, const Fact& fact);
  void learn_exporter(const base::Inet& address, uint32_t domain);
  void count_malformed(DecodeFault fault);
  void hold(const TemplateKey& key, const uint8_t* at, size_t octets);
  void release(const TemplateKey& key);
  void read_held(const PendingSet& set);
  TemplateKey key_of(uint16_t id) const { return {facts_.domain, version_, id}; }

  DecodeContext& context_;
  Sender& sender_;
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
    // Some exporters put sets of NetFlow v9 into IPFIX messages, where 0 and 1 are no sets of their own.
    if (id == template_set || id == 0) read_templates(at + 4, here - 4);
    else if (id == options_set || id == 1) read_options_templates(at + 4, here - 4, id == 1);
    else if (id >= 256) read_data(key_of(id), at + 4, here - 4, facts_, here == length);
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

void Message::forget(const TemplateKey& key) {
  sender_.templates.erase(key);
  context_.store.withdraw(sender_.key, key, context_.store_seen);
}

void Message::withdraw(uint16_t set_id, uint16_t id) {
  // RFC 7011 §8.1: the id of the set itself means all of its kind.
  if (id == set_id) {
    std::vector<TemplateKey> gone;
    sender_.templates.for_each([&](const TemplateKey& key, const Template& known) {
      if (key.domain == facts_.domain && key.version == version_ && known.definition->options == (set_id == 3))
        gone.push_back(key);
    });
    for (const TemplateKey& key : gone) forget(key);
  } else {
    forget(key_of(id));
  }
}

/// It is announced again or its data comes: some devices announce once, and for ever. Once a minute is often enough for
/// templates that live for hours.
void Message::keep(const Template& known) {
  std::atomic<Micros>& refreshed_at = known.definition->refreshed_at;
  const Micros age = facts_.received_at - refreshed_at.load(std::memory_order_relaxed);
  if (age < 60 * base::kMicrosPerSecond && age >= 0) return;
  refreshed_at.store(facts_.received_at, std::memory_order_relaxed);
  context_.store.note_refresh();
}

void Message::define(uint16_t id, std::shared_ptr<TemplateDefinition> made) {
  const TemplateKey key = key_of(id);
  if (!can_be_template(id, *made)) {
    ledger_.add(DecodeFault::kTemplateInvalid);
    forget(key);  // what it replaces is not valid any more either
    return;
  }
  const Template* known = sender_.templates.find(key);
  if (known != nullptr && known->definition->same_layout(*made)) {  // the usual refresh
    keep(*known);
    return;
  }
  made->refreshed_at = facts_.received_at;
  TemplatePointer definition = std::move(made);
  if (context_.store.define(sender_.key, key, definition, context_.store_seen) == TemplateStore::Verdict::kFull) {
    ledger_.add(DecodeFault::kTemplateLimit);
    if (known != nullptr) forget(key);
    return;
  }
  sender_.templates.set(key, Template(std::move(definition), context_.settings.biflow));
  release(key);
}

void Message::read_templates(const uint8_t* at, size_t octets) {
  while (octets >= 4) {
    const uint16_t id = load_be16(at);
    const size_t count = load_be16(at + 2);
    if (id == 0 && count == 0) return;  // padding
    if (count == 0 && version_ == kIpfix) {
      withdraw(2, id);
      at += 4;
      octets -= 4;
      continue;
    }
    auto made = std::make_shared<TemplateDefinition>();
    const size_t used = count > kTemplateFieldsMax ? 0 : read_fields(at + 4, octets - 4, count, made->fields);
    if (used == 0 && count != 0) {  // it was cut: what it replaces may still be right
      ledger_.add(DecodeFault::kTemplateInvalid);
      return;
    }
    define(id, std::move(made));
    at += 4 + used;
    octets -= 4 + used;
  }
}

/// @param as_v9  RFC 3954 §6.1: the counts are of octets, and scope fields come first
void Message::read_options_templates(const uint8_t* at, size_t octets, bool as_v9) {
  const size_t header = 6;
  while (octets >= 4) {
    const uint16_t id = load_be16(at);
    if (!as_v9 && load_be16(at + 2) == 0 && id != 0) {  // withdrawal: no scope count follows
      withdraw(3, id);
      at += 4;
      octets -= 4;
      continue;
    }
    if (octets < header || id == 0) return;  // padding
    size_t fields = 0, scopes = 0;
    if (as_v9) {
      scopes = load_be16(at + 2) / 4u;
      fields = scopes + load_be16(at + 4) / 4u;
    } else {
      fields = load_be16(at + 2);
      scopes = load_be16(at + 4);
    }
    auto made = std::make_shared<TemplateDefinition>();
    made->options = true;
    made->scope_count = static_cast<uint16_t>(scopes);
    const bool possible = fields <= kTemplateFieldsMax && scopes <= fields;
    const size_t used = possible ? read_fields(at + header, octets - header, fields, made->fields) : 0;
    if (used == 0 && fields != 0) {
      ledger_.add(DecodeFault::kTemplateInvalid);
      return;
    }
    // Scope types of v9 have numbers of their own: they are no elements.
    for (size_t f = 0; as_v9 && f < scopes; ++f) made->fields[f].enterprise = kScopeTypes;
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
  if (sender_.pending.size() >= kPendingSetsMax ||
      context_.pending_octets + octets > context_.settings.template_wait_octets_max)
    return;
  ++ledger_.sets_held;
  PendingSet set;
  set.key = key;
  set.received_at = facts_.received_at;
  set.exported_at = facts_.exported_at;
  set.has_uptime = facts_.has_uptime;
  set.uptime_ms = facts_.uptime_ms;
  set.exporter = &context_.exporter;
  set.octets.assign(at, at + octets);
  context_.pending_octets += octets;
  sender_.pending.push_back(std::move(set));
}

/// The template has come.
void Message::release(const TemplateKey& key) {
  if (sender_.pending.empty()) return;
  std::vector<PendingSet> held;
  held.swap(sender_.pending);
  for (PendingSet& set : held) {
    const bool old = facts_.received_at - set.received_at > context_.settings.template_wait_us && !set.ready;
    if (!old && !(set.key == key)) {
      sender_.pending.push_back(std::move(set));
      continue;
    }
    context_.pending_octets -= set.octets.size();
    if (!old) read_held(set);
  }
}

void Message::release_ready() {
  sender_.any_ready = false;
  std::vector<PendingSet> held;
  held.swap(sender_.pending);
  for (PendingSet& set : held) {
    if (!set.ready || set.key.version != version_) {
      sender_.any_ready |= set.ready;
      sender_.pending.push_back(std::move(set));
      continue;
    }
    context_.pending_octets -= set.octets.size();
    if (sender_.templates.find(set.key) != nullptr) read_held(set);  // or it was withdrawn meanwhile
  }
}

/// Its exporter's ledger no longer has it as waiting; what is read counts for the exporter of this message.
void Message::read_held(const PendingSet& set) {
  IngestLedger& counted = set.exporter->ledger;
  --counted.records;
  --counted.awaiting_template;
  --counted.faults[static_cast<size_t>(DecodeFault::kTemplateUnknown)];
  ++counted.sets_released;
  MessageFacts facts = facts_;
  facts.domain = set.key.domain;
  facts.received_at = set.received_at;
  facts.exported_at = set.exported_at;
  facts.has_uptime = set.has_uptime;
  facts.uptime_ms = set.uptime_ms;
  const uint32_t records_before = data_records_;
  const bool known_before = counts_known_;
  read_data(set.key, set.octets.data(), set.octets.size(), facts, true);
  data_records_ = records_before;  // the sequence numbers of this message do not count them
  counts_known_ = known_before;
}

void Message::count_malformed(DecodeFault fault) {
  ++ledger_.records;
  ++ledger_.malformed;
  ledger_.add(fault);
  counts_known_ = false;
}

/// @param whole  the set is as long as it says
void Message::read_data(const TemplateKey& key, const uint8_t* at, size_t octets, MessageFacts& facts, bool whole) {
  Template* known = sender_.templates.find(key);
  if (known == nullptr) return hold(key, at, octets);
  keep(*known);
  if (known->definition->options) read_options(*known->definition, known->plan, key.id, at, octets, facts, whole);
  else read_flows(*known, at, octets, facts, whole);
}

/// Whether the octets behind the last whole record can be padding. RFC 7011 §3.3.1 asks for zeros; up to 3 octets of
/// anything are what old exporters leave in them. More tell that the set was not made by this template.
bool is_padding(const uint8_t* at, size_t octets) { return octets < 4 || is_zero(at, octets); }

void Message::read_flows(Template& known, const uint8_t* at, size_t octets, MessageFacts& facts, bool whole) {
  RecordPlan& plan = known.plan;
  facts.sampling_rate = sender_.samplers.find(facts.domain);
  RecordCounts counts;
  size_t flows = 0, events = 0, reversed = 0;
  const auto write = [&](RecordPlan& by, const uint8_t* first, size_t n, size_t stride, const uint32_t* offsets,
                         const uint16_t* widths) {
    for (size_t done = 0; done < n;) {
      const size_t some = context_.out.room(n - done);
      context_.saw_time(by.write(first + done * stride, some, stride, offsets, widths, facts, sender_.samplers,
                                 context_.kernels, context_.out, context_.time_scratch, counts));
      if (facts.exporter_of_record && counts.exporter.family != 0) learn_exporter(counts.exporter, facts.domain);
      done += some;
    }
  };
  const auto event = [&](const uint8_t* record, const uint32_t* offsets, const uint16_t* widths) {
    ++events;
    SideWriter* out = context_.side_writer(batch::SideStream::kEvents);
    if (out == nullptr) return;
    MessageFacts arrived = facts;
    arrived.received_at = context_.datagram.received_at;  // Held for its template or not: its stream has our clock.
    write_event_row(known.definition->fields, record, offsets, widths, arrived, *out);
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
    records = octets / plan.record_octets();
    const size_t used = records * plan.record_octets();
    if (whole && !is_padding(at + used, octets - used)) count_malformed(DecodeFault::kSetLengthMismatch);
    // Palo Alto pads v9 sets with whole records of zero octets.
    if (version_ == kV9) {
      const auto all_zero = [&](size_t record) {
        return is_zero(at + record * plan.record_octets(), plan.record_octets());
      };
      while (records > 0 && all_zero(records - 1)) --records;
    }
    take(at, records, plan.record_octets(), plan.offsets(), plan.widths());
  } else {
    while (octets >= plan.record_octets()) {
      const size_t used = plan.measure(at, octets, offsets_, widths_);
      if (used == 0) break;
      take(at, 1, used, offsets_.data(), widths_.data());
      ++records;
      at += used;
      octets -= used;
    }
    // A short tail is padding when it is zero octets; else the record runs past its set.
    if (octets >= plan.record_octets() && !(octets < 4 && is_zero(at, octets)))
      count_malformed(DecodeFault::kRecordMalformed);
    else if (whole && !is_padding(at, octets)) count_malformed(DecodeFault::kSetLengthMismatch);
  }
  // A record of both directions is two flows, as RFC 5103 §3 has it; the sequence numbers count it once.
  ledger_.records += records + reversed;
  ledger_.flows += flows + reversed;
  ledger_.events += events;
  ledger_.sampling_unknown_rows += counts.sampling_unknown;
  ledger_.counter_overflow += counts.counter_overflow;
  ledger_.element_unreadable += counts.element_unreadable;
  context_.exporter.rates.add(counts.rates);
  data_records_ += static_cast<uint32_t>(records);
}

void Message::read_options(const TemplateDefinition& known, const RecordPlan& plan, uint16_t id, const uint8_t* at,
                           size_t octets, const MessageFacts& facts, bool whole) {
  const size_t least = plan.record_octets();
  // Facts from records of another template would stay for long: none is taken unless all fit.
  if (plan.fixed() && whole && !is_padding(at + octets / least * least, octets % least))
    return count_malformed(DecodeFault::kSetLengthMismatch);
  while (octets >= least) {
    const size_t used = plan.measure(at, octets, offsets_, widths_);
    if (used == 0) {
      if (octets >= 4) count_malformed(DecodeFault::kRecordMalformed);
      return;
    }
    take_options_record(known, id, at, offsets_.data(), widths_.data(), facts);
    ++ledger_.records;
    ++ledger_.option_rows;
    ++data_records_;
    at += used;
    octets -= used;
  }
}

void Message::learn(const FactKey& key, const Fact& fact) {
  if (const auto known = sender_.facts.find(key); known != sender_.facts.end() && known->second == fact) return;
  if (context_.store.set_fact(sender_.key, key, fact, context_.store_seen) == TemplateStore::Verdict::kFull) {
    ledger_.add(DecodeFault::kOptionsLimit);
    return;
  }
  sender_.take_fact(key, fact);
}

/// Records or options of this port and domain name their exporter; when they name several, it is one that collects for
/// others, and its own messages are counted for its own address.
void Message::learn_exporter(const base::Inet& address, uint32_t domain) {
  if (sender_.identities.size() >= kIdentitiesMax) sender_.identities.clear();
  const auto [at, fresh] = sender_.identities.try_emplace({context_.datagram.source_port, domain}, address);
  if (!fresh && !(at->second == address)) at->second = {};
}

/// What a record of options names: an interface (82, 83), a VRF (236), an application (94, 96).
void Message::tell_names(const TemplateDefinition& known, const uint8_t* record, const uint32_t* offsets,
                         const uint16_t* widths, uint32_t domain) {
  constexpr uint16_t kInterfaceScope = 2;  // RFC 3954 §6.1
  NameNews interface, vrf, application;
  bool has_vrf = false;
  for (size_t f = 0; f < known.fields.size(); ++f) {
    const FieldSpec& field = known.fields[f];
    const uint8_t* at = record + offsets[f];
    const unsigned width = widths[f];
    if (width == 0) continue;
    const uint64_t number = width <= 8 ? base::load_be(at, width) : UINT64_MAX;
    if (field.enterprise == kScopeTypes && field.element == kInterfaceScope && number <= UINT32_MAX)
      interface.id = number;
    if (field.enterprise != 0) continue;
    switch (field.element) {
      case 10:   // ingressInterface
      case 14:   // egressInterface
      case 252:  // ingressPhysicalInterface
      case 253:  // egressPhysicalInterface
        if (number <= UINT32_MAX) interface.id = number;
        break;
      case 82: interface.name = text_of(at, width); break;
      case 83: interface.description = text_of(at, width); break;
      case 94: application.description = text_of(at, width); break;
      case 95:  // applicationId: the engine's octet, of which 0 is invalid (RFC 6759 §4), then the selector
        if (width >= 2 && width <= 8 && at[0] != 0) application.id = number;
        break;
      case 96: application.name = text_of(at, width); break;
      case 234:  // ingressVRFID
      case 235:  // egressVRFID
        if (has_vrf || number > UINT32_MAX) break;
        vrf.id = number;
        has_vrf = true;
        break;
      case 236: vrf.name = text_of(at, width); break;
      default: break;
    }
  }
  const auto tell = [&](NameNews& news, NameNews::Of of) {
    if (news.name.empty() && news.description.empty()) return;
    news.of = of;
    news.exporter = context_.exporter.address;
    tell_name(context_, domain, news);
  };
  if (interface.id != 0) tell(interface, NameNews::Of::kInterface);
  if (has_vrf) tell(vrf, NameNews::Of::kVrf);  // 0 is one, too: the global table
  if (application.id != 0) tell(application, NameNews::Of::kApplication);
}

/// What a record of options says of its exporter: sampling, in all the forms that exporters announce it, when it was
/// started, its address.
void Message::take_options_record(const TemplateDefinition& known, uint16_t id, const uint8_t* record,
                                  const uint32_t* offsets, const uint16_t* widths, const MessageFacts& facts) {
  SamplingFields sampling;
  uint64_t init_time_ms = 0;
  base::Inet exporter;
  const std::vector<FieldSpec>& fields = known.fields;
  for (size_t f = 0; f < fields.size(); ++f) {
    if (fields[f].enterprise != 0 || widths[f] == 0) continue;
    const uint8_t* at = record + offsets[f];
    if (fields[f].element == kExporterIPv4Address && widths[f] == 4 && load_be32(at) != 0)
      exporter = base::Inet::v4(load_be32(at));
    if (fields[f].element == kExporterIPv6Address && widths[f] == 16 && !is_zero(at, 16))
      exporter = base::Inet::from_v6_octets(at);
    if (widths[f] > 8) continue;
    const uint64_t value = base::load_be(at, widths[f]);
    if (fields[f].element == kSystemInitTime) init_time_ms = value;
    sampling.take(fields[f].element, value, widths[f]);
  }
  if (init_time_ms != 0) learn({facts.domain, FactKind::kSystemInitTime, 0}, {init_time_ms, {}});
  if (exporter.family != 0 && facts.exporter_of_record) {
    learn_exporter(exporter, facts.domain);
    // For other ports and after a restart; empty when this domain's exporters are several.
    const Fact* before = sender_.fact(facts.domain, FactKind::kExporterAddress);
    std::string text = base::to_string(exporter);
    if (before != nullptr && before->text != text) text.clear();
    learn({facts.domain, FactKind::kExporterAddress, 0}, {0, std::move(text)});
  }
  if (context_.on_name) tell_names(known, record, offsets, widths, facts.domain);
  const uint64_t rate = sampling.rate();
  // A sampler with interval 0 is one that is not in use. Without a name that says nothing.
  if (rate != 0 || (sampling.any && sampling.sampler != kNoSampler))
    learn({facts.domain, FactKind::kSamplingRate, sampling.sampler}, {rate, {}});
  if (SideWriter* out = context_.side_writer(batch::SideStream::kExporterOptions); out != nullptr) {
    MessageFacts arrived = facts;
    arrived.received_at = context_.datagram.received_at;
    write_option_row(known, id, record, offsets, widths, arrived, rate, *out);
  }
}

void follow(DecodeContext& context, uint16_t version, uint32_t domain, const SequencePlace& place) {
  const bool by_port = context.sender.identity == ExporterIdentity::kElement;
  SequenceTable& table = by_port ? context.sender.sequences : context.exporter.sequences;
  const base::Inet& owner = by_port ? context.sender.key.address : context.exporter.address;
  const uint64_t port = by_port ? context.datagram.source_port : 0;
  follow_sequence(context, table, owner, by_port ? version | kSequenceByPort : version, port << 32 | domain, place);
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
  facts.exporter_of_record = context.sender.identity == ExporterIdentity::kElement;
  facts.site = context.sites[context.datagram.site];
  facts.tunnels = context.settings.tunnels;
  facts.sampling_override = context.exporter.sampling_override;
  facts.sampling_default = context.exporter.sampling_default;
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
  SequencePlace place;  // v9 counts datagrams
  place.sequence = load_be32(at + 12);
  place.units = 1;
  place.exported_at = facts.exported_at;
  place.booted_at = facts.exported_at - Micros{facts.uptime_ms} * base::kMicrosPerMilli;
  follow(context, kV9, facts.domain, place);
  Message message(context, kV9, facts);
  if (context.sender.any_ready) message.release_ready();
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
  // softflowd and others tell once in options when they were started, and send uptimes in their records.
  if (const Fact* init =
          !context.sender.any_init_time ? nullptr : context.sender.fact(facts.domain, FactKind::kSystemInitTime)) {
    facts.has_uptime = true;
    facts.uptime_ms =
        static_cast<uint32_t>(static_cast<uint64_t>(facts.exported_at / base::kMicrosPerMilli) - init->number);
  }
  const uint32_t domain = facts.domain;
  SequencePlace place;
  place.sequence = load_be32(at + 8);
  place.exported_at = facts.exported_at;
  const size_t length = load_be16(at + 2);
  if (length >= kHeaderOctets && length < octets) octets = length;  // what follows is no part of the message
  Message message(context, kIpfix, facts);
  if (context.sender.any_ready) message.release_ready();
  message.read_sets(at + kHeaderOctets, octets - kHeaderOctets);
  // IPFIX counts data records, options data included; where some could not be counted the next message tells.
  place.units = message.data_records();
  place.units_known = message.counts_known();
  follow(context, kIpfix, domain, place);
  ++context.exporter.ledger.decoded;
}

void read_released(DecodeContext& context) {
  Message(context, kV9, facts_of(context, "9")).release_ready();
  Message(context, kIpfix, facts_of(context, "10")).release_ready();
}

}  // namespace backstream::decode
