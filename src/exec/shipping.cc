#include "exec/shipping.h"

#include <algorithm>
#include <numeric>

namespace backstream::exec {
namespace {

constexpr size_t kReadOctets = 16 << 20;

partial::GroupForm form_of(const plan::Stage& stage) {
  partial::GroupForm form;
  for (const auto& key : stage.keys) form.keys.push_back(key->type);
  for (const plan::AggregateCall& call : stage.aggregates) {
    form.aggregates.push_back(call.function);
    form.state_offsets.push_back(form.state_octets);
    form.state_octets += (call.function->state_octets + 7) / 8 * 8;
  }
  return form;
}
std::vector<uint32_t> numbers(uint32_t count) {
  std::vector<uint32_t> all(count);
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

}  // namespace

// --- groups -------------------------------------------------------------------------------------------------------

ShippedGroups::ShippedGroups(const plan::Stage& stage, size_t batch_rows)
    : group_rows_(stage, batch_rows), writer_(form_of(stage)), reader_(form_of(stage)) {}

void ShippedGroups::add(PaneTable& table) {
  group_rows_.for_each_key_batch(table, [&](const batch::Column* keys, size_t first, size_t n) {
    for (size_t i = 0; i < n; ++i) {
      writer_.add(keys, i, table.row(first + i) + table.states_at(table.is_wide(first + i)));
    }
  });
}

void ShippedGroups::write(const partial::ChunkId& id, std::span<const partial::PaneLedger> ledgers, PartialsOut& out) {
  writer_.finish(id, ledgers, [&](std::vector<uint8_t>&& chunk) { out.append(std::move(chunk)); });
}

void ShippedGroups::add_to(PaneTable& table) {
  if (reader_.group_count() > 0) table.combine_groups(reader_.keys().data(), reader_.group_count(), reader_.states(0));
}

// --- edge ---------------------------------------------------------------------------------------------------------

PaneSender::PaneSender(const plan::Stage& stage, const partial::Origin& origin, size_t batch_rows, PartialsOut& out)
    : origin_(origin), batch_rows_(batch_rows), out_(out), groups_(stage, batch_rows) {}

void PaneSender::carry_late(const plan::LateStage& late) {
  late_groups_ = std::make_unique<ShippedGroups>(late.stage, batch_rows_);
}

void PaneSender::send(Micros start, PaneTable& pane, const window::PaneCounts& counts) {
  groups_.add(pane);
  partial::ChunkId id;
  id.origin = origin_;
  id.pane_start = start;
  id.supplement = sent_[start]++;
  const partial::PaneLedger ledger{start, counts};
  groups_.write(id, {&ledger, 1}, out_);
}

void PaneSender::send_cut(Micros cut, const window::CountsByPane& counts, PaneTable* late) {
  if (counts.empty() && late == nullptr) return;
  std::vector<partial::PaneLedger> ledgers;
  for (const auto& [start, pane] : counts) ledgers.push_back({start, pane});
  partial::ChunkId id;
  id.kind = partial::ChunkId::Kind::kCut;
  id.origin = origin_;
  id.pane_start = cut;
  id.supplement = cuts_++;
  if (late != nullptr) late_groups_->add(*late);
  (late != nullptr ? *late_groups_ : groups_).write(id, ledgers, out_);
}

void PaneSender::report(Micros frontier, const WindowLedger& ledger) {
  partial::Frontier message;
  message.origin = origin_;
  message.frontier = frontier;
  message.assigned = ledger.assigned;
  message.counted = ledger.counted;
  message.filtered = ledger.filtered;
  message.late = ledger.late;
  message.errored = ledger.errored;
  message.shed = ledger.shed;
  message.time_null = ledger.time_null;
  message.time_future = ledger.time_future;
  out_.append(partial::write_frontier(message));
}

void PaneSender::forget_before(Micros pane_start) { sent_.erase(sent_.begin(), sent_.lower_bound(pane_start)); }

// --- merge --------------------------------------------------------------------------------------------------------

window::CountsByPane counts_of(const std::vector<partial::PaneLedger>& ledgers) {
  window::CountsByPane counts;
  for (const partial::PaneLedger& ledger : ledgers) counts[ledger.pane_start] += ledger.counts;
  return counts;
}

window::CountsByPane late_counts_of(const std::vector<partial::PaneLedger>& ledgers, Micros late_by,
                                    WindowLedger& ledger) {
  window::CountsByPane counts = counts_of(ledgers);
  for (auto& [start, pane] : counts) {
    ledger.late += pane.counted;
    pane.late += std::exchange(pane.counted, 0);
  }
  ledger.late_by_max_us = std::max(ledger.late_by_max_us, late_by);
  return counts;
}

PaneReader::PaneReader(const plan::Stage& stage, size_t batch_rows)
    : batch_rows_(batch_rows), groups_(stage, batch_rows) {}

void PaneReader::carry_late(const plan::LateStage& late) {
  late_groups_ = std::make_unique<ShippedGroups>(late.stage, batch_rows_);
}

bool PaneReader::take(const partial::Message& message, PaneReceiver& merge, LateOutput* late) {
  if (message.group_count > 0) {
    const partial::ChunkId& id = message.chunk;
    if (id.kind == partial::ChunkId::Kind::kPane) {
      if (!groups_.read(message)) return false;
      groups_.add_to(merge.pane(id.pane_start));
    } else if (late != nullptr && late_groups_ != nullptr) {
      if (!late_groups_->read(message)) return false;
      late_groups_->add_to(late->pending());
    }
  }
  if (!message.ledgers.empty()) merge.add_counts(counts_of(message.ledgers));
  return true;
}

// --- both in one process --------------------------------------------------------------------------------------------

void PaneShipping::Appender::append(std::vector<uint8_t>&& message) {
  octets += message.size();
  ++messages;
  const auto appended = log->append(0, message);
  if (appended.status != transport::LogStatus::kOk) {
    throw std::runtime_error("partials cannot be appended: " + std::string(transport::name(appended.status)));
  }
}

PaneShipping::PaneShipping(const plan::Stage& stage, uint64_t incarnation, uint32_t edge_count, size_t batch_rows,
                           std::unique_ptr<transport::Log> log)
    : reader_(stage, batch_rows), inbox_(numbers(edge_count)) {
  appender_.log = std::move(log);
  for (uint32_t edge = 0; edge < edge_count; ++edge) {
    const partial::Origin origin{edge, 1, incarnation};
    senders_.push_back(std::make_unique<PaneSender>(stage, origin, batch_rows, appender_));
  }
}

void PaneShipping::carry_late(const plan::LateStage& late) {
  for (const auto& sender : senders_) sender->carry_late(late);
  reader_.carry_late(late);
}

Micros PaneShipping::receive(PaneReceiver& merge, LateOutput* late) {
  const auto read = [](std::span<const uint8_t> bytes) {
    partial::Message message;
    partial::PartialFault fault{};
    if (!partial::read_message(bytes, message, fault)) throw std::runtime_error("a partial of our own cannot be read");
    return message;
  };
  const auto deliver = [&](const partial::ChunkId&, std::span<const uint8_t> bytes) {
    if (!reader_.take(read(bytes), merge, late)) throw std::runtime_error("a partial of our own cannot be read");
  };
  for (std::vector<transport::LogRecord> records;; records.clear()) {
    if (appender_.log->read(0, next_offset_, kReadOctets, records) != transport::LogStatus::kOk) {
      throw std::runtime_error("partials cannot be read back");
    }
    if (records.empty()) break;
    for (const transport::LogRecord& record : records) inbox_.accept(read(record.bytes), record.bytes, deliver);
    next_offset_ = records.back().offset + 1;
  }
  appender_.log->trim(0, next_offset_);
  return inbox_.frontier();
}

void PaneShipping::forget_before(Micros pane_start) {
  inbox_.forget_before(pane_start);
  for (const auto& sender : senders_) sender->forget_before(pane_start);
}

}  // namespace backstream::exec
