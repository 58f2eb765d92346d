// NetFlow v1, v5 and v7: records of one layout behind a header (Cisco, "NetFlow Export Datagram Formats"). v5 is the
// model; v1 has no sequence numbers, AS numbers and masks; v7 is v5 with the router that a switch bypassed.
#include "base/byte_order.h"
#include "decode/exporter.h"

namespace backstream::decode {
namespace {

constexpr size_t kRecordsMax = 1'000;

/// A header that has been read, and where its records are.
struct FixedMessage {
  uint32_t version = 0;
  const uint8_t* records = nullptr;
  size_t count = 0, stride = 0;
  MessageFacts facts;
};

/// What the headers have in common: version, count, uptime, time. False: the datagram is counted as not decoded.
bool read_header(DecodeContext& context, size_t header_octets, size_t record_octets, FixedMessage& message) {
  IngestLedger& ledger = context.exporter.ledger;
  const uint8_t* at = context.datagram.payload;
  const size_t octets = context.datagram.payload_octets;
  if (octets < header_octets) {
    ledger.add(DecodeFault::kHeaderTruncated);
    ++ledger.undecodable;
    return false;
  }
  message.version = base::load_be16(at);
  message.count = base::load_be16(at + 2);
  // Some agents pad; fewer octets than records is a datagram that was cut or is none.
  if (message.count == 0 || message.count > kRecordsMax || header_octets + message.count * record_octets > octets) {
    ledger.add(DecodeFault::kCountMismatch);
    ++ledger.rejected;
    return false;
  }
  message.records = at + header_octets;
  message.stride = record_octets;
  MessageFacts& facts = message.facts;
  facts.received_at = context.datagram.received_at;
  facts.has_uptime = true;
  facts.uptime_ms = base::load_be32(at + 4);
  facts.exported_at = Micros{base::load_be32(at + 8)} * base::kMicrosPerSecond + base::load_be32(at + 12) / 1000;
  facts.exporter = context.exporter.address;
  facts.site = context.sites[context.datagram.site];
  return true;
}

void follow(DecodeContext& context, const FixedMessage& message) {
  SequencePlace place;
  place.sequence = base::load_be32(context.datagram.payload + 16);
  place.units = static_cast<uint32_t>(message.count);
  place.exported_at = message.facts.exported_at;
  place.booted_at = message.facts.exported_at - Micros{message.facts.uptime_ms} * base::kMicrosPerMilli;
  Exporter& exporter = context.exporter;
  follow_sequence(context, exporter.sequences, exporter.address, message.version, message.facts.domain, place);
}

void write_records(DecodeContext& context, FixedMessage& message) {
  IngestLedger& ledger = context.exporter.ledger;
  message.facts.sampling_rate = context.exporter.sampling_rate(message.facts.sampling_rate);
  context.exporter.rates.add(message.facts.sampling_rate);
  RecordPlan& plan = *context.fixed_plan;
  RecordCounts counts;
  for (size_t done = 0; done < message.count;) {
    const size_t n = context.out.room(message.count - done);
    context.saw_time(plan.write(message.records + done * message.stride, n, message.stride, plan.offsets(),
                                plan.widths(), message.facts, context.sender.samplers, context.kernels, context.out,
                                context.time_scratch, counts));
    done += n;
  }
  ++ledger.decoded;
  ledger.records += message.count;
  ledger.flows += message.count;
  ledger.sampling_unknown_rows += counts.sampling_unknown;
  ledger.counter_overflow += counts.counter_overflow;
  ledger.element_unreadable += counts.element_unreadable;
}

}  // namespace

RecordPlan netflow1_plan() {
  static constexpr FieldSpec kFields[] = {{8, 4, 0}, {12, 4, 0}, {15, 4, 0}, {10, 2, 0}, {14, 2, 0}, {2, 4, 0},
                                          {1, 4, 0}, {22, 4, 0}, {21, 4, 0}, {7, 2, 0},  {11, 2, 0}, {210, 2, 0},
                                          {4, 1, 0}, {5, 1, 0},  {6, 1, 0},  {210, 7, 0}};
  static const RecordPlan made(kFields);  // Compiled once, copied for each decoder.
  return made;
}

RecordPlan netflow5_plan() {
  static constexpr FieldSpec kFields[] = {{8, 4, 0},  {12, 4, 0},  {15, 4, 0}, {10, 2, 0}, {14, 2, 0},
                                          {2, 4, 0},  {1, 4, 0},   {22, 4, 0}, {21, 4, 0}, {7, 2, 0},
                                          {11, 2, 0}, {210, 1, 0}, {6, 1, 0},  {4, 1, 0},  {5, 1, 0},
                                          {16, 2, 0}, {17, 2, 0},  {9, 1, 0},  {13, 1, 0}, {210, 2, 0}};
  static const RecordPlan made(kFields);  // Compiled once, copied for each decoder.
  return made;
}

RecordPlan netflow7_plan() {
  static constexpr FieldSpec kFields[] = {{8, 4, 0},  {12, 4, 0},  {15, 4, 0}, {10, 2, 0}, {14, 2, 0},
                                          {2, 4, 0},  {1, 4, 0},   {22, 4, 0}, {21, 4, 0}, {7, 2, 0},
                                          {11, 2, 0}, {210, 1, 0}, {6, 1, 0},  {4, 1, 0},  {5, 1, 0},
                                          {16, 2, 0}, {17, 2, 0},  {9, 1, 0},  {13, 1, 0}, {210, 6, 0}};
  static const RecordPlan made(kFields);  // Compiled once, copied for each decoder.
  return made;
}

void decode_netflow1(DecodeContext& context) {
  constexpr size_t kHeaderOctets = 16, kRecordOctets = 48, kPaddedRecordOctets = 52;
  FixedMessage message;
  if (!read_header(context, kHeaderOctets, kRecordOctets, message)) return;
  // Records come with 4 octets of padding and without.
  if (context.datagram.payload_octets >= kHeaderOctets + message.count * kPaddedRecordOctets)
    message.stride = kPaddedRecordOctets;
  message.facts.version = "1";
  message.facts.sampling_rate = 1;
  if (context.exporter.sampling_default != 0) message.facts.sampling_rate = context.exporter.sampling_default;
  write_records(context, message);
}

void decode_netflow5(DecodeContext& context) {
  FixedMessage message;
  if (!read_header(context, 24, 48, message)) return;
  const uint8_t* at = context.datagram.payload;
  message.facts.domain = base::load_be16(at + 20);
  message.facts.version = "5";
  // Two bits of mode, 14 of interval. No interval: every packet was counted, unless the settings know better (Huawei
  // leaves it 0).
  const uint16_t interval = base::load_be16(at + 22) & 0x3fff;
  const uint64_t otherwise = context.exporter.sampling_default;
  message.facts.sampling_rate = interval != 0 ? interval : otherwise != 0 ? otherwise : 1;
  follow(context, message);
  write_records(context, message);
}

void decode_netflow7(DecodeContext& context) {
  FixedMessage message;
  if (!read_header(context, 24, 52, message)) return;
  message.facts.version = "7";
  const uint64_t otherwise = context.exporter.sampling_default;
  message.facts.sampling_rate = otherwise != 0 ? otherwise : 1;
  follow(context, message);
  write_records(context, message);
}

}  // namespace backstream::decode
