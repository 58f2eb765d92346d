// NetFlow v5: fixed records of 48 octets behind a header of 24 (Cisco, "NetFlow Export Datagram Formats").
#include "base/byte_order.h"
#include "decode/exporter.h"

namespace backstream::decode {
namespace {

constexpr size_t kHeaderOctets = 24, kRecordOctets = 48;

}  // namespace

RecordPlan netflow5_plan() {
  static constexpr FieldSpec kFields[] = {{8, 4, 0},  {12, 4, 0},  {15, 4, 0}, {10, 2, 0}, {14, 2, 0},
                                          {2, 4, 0},  {1, 4, 0},   {22, 4, 0}, {21, 4, 0}, {7, 2, 0},
                                          {11, 2, 0}, {210, 1, 0}, {6, 1, 0},  {4, 1, 0},  {5, 1, 0},
                                          {16, 2, 0}, {17, 2, 0},  {9, 1, 0},  {13, 1, 0}, {210, 2, 0}};
  return RecordPlan(kFields);
}

void decode_netflow5(DecodeContext& context) {
  IngestLedger& ledger = context.exporter.ledger;
  const uint8_t* at = context.datagram.payload;
  const size_t octets = context.datagram.payload_octets;
  if (octets < kHeaderOctets) {
    ledger.add(DecodeFault::kHeaderTruncated);
    ++ledger.undecodable;
    return;
  }
  const size_t count = base::load_be16(at + 2);
  // Some agents pad; fewer octets than records is a datagram that was cut or is none.
  if (count == 0 || count > 1'000 || kHeaderOctets + count * kRecordOctets > octets) {
    ledger.add(DecodeFault::kCountMismatch);
    ++ledger.rejected;
    return;
  }
  MessageFacts facts;
  facts.received_at = context.datagram.received_at;
  facts.has_uptime = true;
  facts.uptime_ms = base::load_be32(at + 4);
  facts.exported_at = Micros{base::load_be32(at + 8)} * base::kMicrosPerSecond + base::load_be32(at + 12) / 1000;
  facts.domain = base::load_be16(at + 20);
  facts.version = "5";
  facts.exporter = context.exporter.address;
  facts.site = context.sites[context.datagram.site];
  // Two bits of mode, 14 of interval. No interval: every packet was counted.
  const uint16_t interval = base::load_be16(at + 22) & 0x3fff;
  facts.sampling_rate = interval == 0 ? 1 : interval;
  follow_sequence(context.exporter, 5, facts.domain, base::load_be32(at + 16), static_cast<uint32_t>(count));

  RecordCounts counts;
  for (size_t done = 0; done < count;) {
    const size_t n = context.out.room(count - done);
    RecordPlan& plan = context.netflow5_plan;
    context.saw_time(plan.write(at + kHeaderOctets + done * kRecordOctets, n, kRecordOctets, plan.offsets(),
                                plan.widths(), facts, context.exporter.samplers, context.kernels, context.out,
                                context.time_scratch, counts));
    done += n;
  }
  ++ledger.decoded;
  ledger.records += count;
  ledger.flows += count;
  ledger.sampling_unknown_rows += counts.sampling_unknown;
  ledger.counter_overflow += counts.counter_overflow;
  ledger.element_unreadable += counts.element_unreadable;
}

}  // namespace backstream::decode
