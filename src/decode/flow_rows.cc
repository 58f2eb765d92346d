#include <algorithm>

#include "base/utf8.h"
#include "decode/flow_fields.h"

namespace backstream::decode {

using batch::FlowColumn;

namespace {

constexpr uint64_t kRaw = field_bit(FlowColumn::kOctetsRaw) | field_bit(FlowColumn::kPacketsRaw);
constexpr uint64_t kScaled = field_bit(FlowColumn::kOctets) | field_bit(FlowColumn::kPackets);
/// In the order in which they are taken for the event time.
constexpr FlowColumn kTimes[] = {FlowColumn::kTime, FlowColumn::kFlowEnd, FlowColumn::kFlowStart,
                                 FlowColumn::kExportedAt, FlowColumn::kReceivedAt};

}  // namespace

base::Inet message_address(std::string_view octets) {
  const auto* at = reinterpret_cast<const uint8_t*>(octets.data());
  if (octets.size() == 4) return base::Inet::v4(base::load_be32(at));
  if (octets.size() == 16) return base::Inet::from_v6_octets(at);
  return {};
}

namespace {

FlowChunk& chunk_of(DecodeContext& context) {
  if (context.flow_chunk == nullptr) context.flow_chunk = std::make_unique<FlowChunk>();
  return *context.flow_chunk;
}

}  // namespace

FlowRows::FlowRows(DecodeContext& context) : context_(context), chunk_(chunk_of(context)), common_(chunk_.common) {
  chunk_.common.clear();
  needed_ = kRaw | kScaled | field_bit(FlowColumn::kSamplingRate);
  for (const FlowColumn column : kTimes) needed_ |= field_bit(column);
  context.out.wanted().for_each([&](FlowColumn column) { needed_ |= field_bit(column); });
  needed_ &= ~uint64_t{1};  // Columns without a field.
}

const int64_t* FlowRows::number(const FlowValues& flow, FlowColumn column) const {
  const uint64_t bit = field_bit(column);
  if ((flow.present & bit) != 0) return &flow.numbers[field_of(column)];
  return (common_.present & ~flow.unreadable & bit) != 0 ? &common_.numbers[field_of(column)] : nullptr;
}

Micros FlowRows::time_of(const FlowValues& flow) const {
  for (const FlowColumn column : kTimes) {
    if (const int64_t* time = number(flow, column)) return *time;
  }
  return context_.datagram.received_at;
}

/// What of a flow depends on others of its fields, and on the settings.
void FlowRows::settle(FlowValues& flow) {
  const uint64_t present = flow.present | common_.present;
  const int64_t* announced = number(flow, FlowColumn::kSamplingRate);
  uint64_t rate = 0;
  if ((present & kRaw) == 0 && (present & kScaled) != 0) {
    // Somebody has multiplied already.
    for (const auto& [scaled, raw] : {std::pair{FlowColumn::kOctets, FlowColumn::kOctetsRaw},
                                      std::pair{FlowColumn::kPackets, FlowColumn::kPacketsRaw}}) {
      if (const int64_t* value = number(flow, scaled)) flow.set(raw, *value);
    }
    rate = 1;
  } else {
    rate = context_.exporter.sampling_rate(announced == nullptr ? 0 : static_cast<uint64_t>(*announced));
  }
  context_.exporter.rates.add(rate);
  if (rate != 0) {
    flow.set(FlowColumn::kSamplingRate, static_cast<int64_t>(rate));
  } else {
    flow.refuse(FlowColumn::kSamplingRate);
    ++context_.exporter.ledger.sampling_unknown_rows;
  }
}

void FlowRows::write() {
  for (size_t i = 0; i < count_; ++i) settle(chunk_.flows[i]);
  for (size_t done = 0; done < count_;) {
    const size_t n = context_.out.room(count_ - done);
    write_chunk(chunk_.flows + done, n);
    done += n;
  }
  IngestLedger& ledger = context_.exporter.ledger;
  ledger.records += count_;
  ledger.flows += count_;
  count_ = 0;
}

void FlowRows::set_validity(FlowColumn column, const uint8_t* valid, bool all, size_t n) {
  if (all) return context_.out.mark_present(column, n);
  std::copy_n(valid, n, context_.out.validity(column));
}

void FlowRows::write_numbers(FlowColumn column, const FlowValues* flows, size_t n) {
  const uint32_t field = field_of(column);
  const bool in_common = (common_.present >> field & 1) != 0;
  const int64_t otherwise = in_common ? common_.numbers[field] : 0;
  int64_t* values = context_.out.values<int64_t>(column);
  uint8_t valid[kRows];
  uint8_t all = 1;
  for (size_t i = 0; i < n; ++i) {
    const FlowValues& flow = flows[i];
    const bool own = (flow.present >> field & 1) != 0, bad = (flow.unreadable >> field & 1) != 0;
    values[i] = own ? flow.numbers[field] : bad ? 0 : otherwise;
    valid[i] = static_cast<uint8_t>(own || (in_common && !bad));
    all &= valid[i];
  }
  set_validity(column, valid, all != 0, n);
}

void FlowRows::write_addresses(FlowColumn column, const FlowValues* flows, size_t n) {
  const uint32_t field = field_of(column);
  const size_t slot = kFlowFields[field].slot;
  const bool in_common = (common_.present >> field & 1) != 0;
  auto* values = context_.out.values<base::Inet>(column);
  uint8_t valid[kRows];
  uint8_t all = 1;
  for (size_t i = 0; i < n; ++i) {
    const FlowValues& flow = flows[i];
    const bool own = (flow.present >> field & 1) != 0, bad = (flow.unreadable >> field & 1) != 0;
    valid[i] = static_cast<uint8_t>(own || (in_common && !bad));
    values[i] = own ? flow.addresses[slot] : valid[i] != 0 ? common_.addresses[slot] : base::Inet{};
    all &= valid[i];
  }
  set_validity(column, valid, all != 0, n);
}

void FlowRows::write_texts(FlowColumn column, const FlowValues* flows, size_t n) {
  const uint32_t field = field_of(column);
  const size_t slot = kFlowFields[field].slot;
  const bool in_common = (common_.present >> field & 1) != 0;
  auto* values = context_.out.values<std::string_view>(column);
  std::string_view sent, kept;  // Flows that stand together have the same names.
  uint8_t valid[kRows];
  uint8_t all = 1;
  for (size_t i = 0; i < n; ++i) {
    const FlowValues& flow = flows[i];
    const bool own = (flow.present >> field & 1) != 0, bad = (flow.unreadable >> field & 1) != 0;
    valid[i] = static_cast<uint8_t>(own || (in_common && !bad));
    values[i] = {};
    all &= valid[i];
    if (valid[i] == 0) continue;
    const std::string_view text = own ? flow.texts[slot] : common_.texts[slot];
    if (text != sent) {
      sent = text;
      kept = context_.out.texts().copy(text);
    }
    values[i] = kept;
  }
  set_validity(column, valid, all != 0, n);
}

void FlowRows::write_chunk(const FlowValues* flows, size_t n) {
  FlowWriter& out = context_.out;
  Micros latest = base::kMinTime;
  Micros times[kRows];
  for (size_t i = 0; i < n; ++i) latest = std::max(latest, times[i] = time_of(flows[i]));
  out.wanted().for_each([&](FlowColumn column) {
    switch (column) {
      case FlowColumn::kTime: std::copy_n(times, n, out.values<int64_t>(column)); return out.mark_present(column, n);
      // Windows over arrival close by our clock: the time that the acquirer had would be late for all of them.
      case FlowColumn::kReceivedAt: return out.fill<int64_t>(column, context_.datagram.received_at, n);
      case FlowColumn::kExporter: return out.fill<base::Inet>(column, context_.exporter.address, n);
      case FlowColumn::kSite: {
        const bool told = !site_.empty() && (context_.datagram.site == 0 || context_.datagram.site_assumed);
        const std::string_view site =
            told ? out.texts().copy(site_) : std::string_view(context_.sites[context_.datagram.site]);
        if (site.empty()) return out.set_null(column, n);
        return out.fill<std::string_view>(column, site, n);
      }
      case FlowColumn::kOctets:  // computed from others when the batch is full
      case FlowColumn::kPackets:
      case FlowColumn::kSrcPrefix:
      case FlowColumn::kDstPrefix: return out.set_null(column, n);
      default: break;
    }
    switch (kFlowFields[field_of(column)].form) {
      case FlowForm::kAddress: return write_addresses(column, flows, n);
      case FlowForm::kText: return write_texts(column, flows, n);
      default: return write_numbers(column, flows, n);
    }
  });
  out.set_elements_null(n);
  out.commit(n);
  context_.saw_time(latest);
}

}  // namespace backstream::decode
