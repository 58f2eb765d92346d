// The public schema of flows, docs/flows.proto, as octets become rows.
#include <bit>

#include "base/utf8.h"
#include "decode/flow_fields.h"
#include "decode/flow_message.h"

namespace backstream::decode {
namespace {

bool is_text(std::string_view octets) { return base::find_bad_text(octets) == std::string_view::npos; }

/// Of a repeated occurrence the last one counts, as protobuf demands, and so of one that cannot be read, too.
bool read_field(WireReader& in, uint32_t number, FlowValues& to, IngestLedger& ledger) {
  const FlowField& field = kFlowFields[number];
  uint64_t value = 0;
  std::string_view octets;
  bool readable = true;
  switch (field.form) {
    case FlowForm::kNumber:
    case FlowForm::kCounter:
      if (!in.varint(value)) return false;
      readable = value <= field.greatest;
      if (readable) to.set(field.column, static_cast<int64_t>(value));
      else if (field.form == FlowForm::kCounter) ++ledger.counter_overflow;
      break;
    case FlowForm::kTime: {
      if (!in.fixed64(value)) return false;
      const auto time = static_cast<int64_t>(value);
      readable = time >= -kFlowTimeMost && time <= kFlowTimeMost;
      if (readable) to.set(field.column, time);
      break;
    }
    case FlowForm::kAddress: {
      if (!in.delimited(octets)) return false;
      const base::Inet address = message_address(octets);
      readable = address.family != 0;
      if (readable) to.set(field.column, address);
      break;
    }
    case FlowForm::kMac:
      if (!in.delimited(octets)) return false;
      readable = octets.size() == 6;
      if (readable)
        to.set(field.column, static_cast<int64_t>(base::load_be48(reinterpret_cast<const uint8_t*>(octets.data()))));
      break;
    case FlowForm::kText:
      if (!in.delimited(octets)) return false;
      readable = is_text(octets);
      if (readable) to.set(field.column, octets);
      break;
  }
  if (readable) return true;
  to.refuse(field.column);
  ledger.element_unreadable += field.form != FlowForm::kCounter;
  return true;
}

/// False: the octets are no Flow.
bool read_flow(std::string_view octets, uint64_t needed, FlowValues& to, IngestLedger& ledger) {
  const auto* at = reinterpret_cast<const uint8_t*>(octets.data());
  WireReader in(at, at + octets.size());
  while (!in.at_end()) {
    uint32_t number = 0;
    WireType type{};
    if (!in.tag(number, type)) return false;
    const bool wanted = number <= kFlowFieldLast && (needed >> number & 1) != 0 && type == kFlowFields[number].wire;
    if (!(wanted ? read_field(in, number, to, ledger) : in.skip(number, type))) return false;
  }
  return true;
}

/// What stands around the flows. It is read before them: fields may come in any order.
struct BatchHead {
  uint64_t version = 0;
  base::Inet exporter;
  std::string_view site;
  const uint8_t* end = nullptr;  ///< of what can be read
  bool whole = false;            ///< that is all
  bool has_common = false, common_readable = true;
};

BatchHead read_head(DecodeContext& context, FlowRows& rows) {
  const uint8_t* const begin = context.datagram.payload;
  WireReader in(begin, begin + context.datagram.payload_octets);
  BatchHead head;
  head.end = begin;
  while (!in.at_end()) {
    uint32_t number = 0;
    WireType type{};
    std::string_view octets;
    if (!in.tag(number, type)) return head;
    const auto field = static_cast<BatchField>(number);
    if (field == BatchField::kVersion && type == WireType::kVarint) {
      if (!in.varint(head.version)) return head;
    } else if (type == WireType::kDelimited) {
      if (!in.delimited(octets)) return head;
      if (field == BatchField::kExporter) head.exporter = message_address(octets);
      if (field == BatchField::kSite && is_text(octets)) head.site = octets;
      if (field == BatchField::kCommon) {
        head.has_common |= !octets.empty();
        head.common_readable &= read_flow(octets, rows.needed(), rows.common(), context.exporter.ledger);
      }
    } else if (!in.skip(number, type)) {
      return head;
    }
    head.end = in.at();
  }
  head.whole = true;
  return head;
}

}  // namespace

void decode_flow_batch(DecodeContext& context) {
  IngestLedger& ledger = context.exporter.ledger;
  FlowRows rows(context);
  const BatchHead head = read_head(context, rows);
  const auto refuse = [&](DecodeFault fault, uint64_t IngestLedger::*as) {
    ledger.add(fault);
    ++(ledger.*as);
  };
  if (!head.whole || !head.common_readable) ledger.add(DecodeFault::kMessageMalformed);
  // Flows without what holds for all of them would say something else.
  if (!head.common_readable || (!head.whole && (head.version == 0 || head.exporter.family == 0))) {
    ++ledger.undecodable;
    return;
  }
  if (head.version != kBatchVersion) return refuse(DecodeFault::kMessageVersion, &IngestLedger::rejected);
  if (head.exporter.family == 0) return refuse(DecodeFault::kExporterMissing, &IngestLedger::rejected);
  ++ledger.decoded;
  rows.set_site(head.site);
  // Everything up to head.end has been looked at.
  WireReader in(context.datagram.payload, head.end);
  while (!in.at_end()) {
    uint32_t number = 0;
    WireType type{};
    std::string_view octets;
    if (!in.tag(number, type)) break;
    if (static_cast<BatchField>(number) != BatchField::kFlows || type != WireType::kDelimited) {
      if (!in.skip(number, type)) break;
      continue;
    }
    if (!in.delimited(octets)) break;
    // A flow that says nothing is none.
    const bool says_something = !octets.empty() || head.has_common;
    if (says_something && read_flow(octets, rows.needed(), rows.next(), ledger)) {
      rows.add();
    } else {
      ++ledger.records;
      ++ledger.malformed;
      ledger.add(DecodeFault::kRecordMalformed);
    }
  }
  rows.finish();
}

base::Inet exporter_of_message(base::PayloadForm form, std::span<const uint8_t> octets) noexcept {
  if (form == base::PayloadForm::kGoflow2) return exporter_of_goflow2(octets);
  WireReader in(octets.data(), octets.data() + octets.size());
  while (!in.at_end()) {
    uint32_t number = 0;
    WireType type{};
    std::string_view value;
    if (!in.tag(number, type)) break;
    if (static_cast<BatchField>(number) != BatchField::kExporter || type != WireType::kDelimited) {
      if (!in.skip(number, type)) break;
      continue;
    }
    return in.delimited(value) ? message_address(value) : base::Inet{};
  }
  return {};
}

}  // namespace backstream::decode
