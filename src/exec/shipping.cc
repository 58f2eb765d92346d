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

PaneShipping::Form::Form(const plan::Stage& stage, size_t batch_rows)
    : group_rows(stage, batch_rows), writer(form_of(stage)), reader(form_of(stage)) {}

void PaneShipping::Form::add_groups(PaneTable& table) {
  group_rows.for_each_key_batch(table, [&](const batch::Column* keys, size_t first, size_t n) {
    for (size_t i = 0; i < n; ++i) {
      writer.add(keys, i, table.row(first + i) + table.states_at(table.is_wide(first + i)));
    }
  });
}

void PaneShipping::Form::read_into(const partial::Message& message, PaneTable& table) {
  if (!reader.read(message)) throw std::runtime_error("a partial of our own cannot be read");
  if (reader.group_count() > 0) table.combine_groups(reader.keys().data(), reader.group_count(), reader.states(0));
}

PaneShipping::PaneShipping(const plan::Stage& stage, uint64_t incarnation, uint32_t edge_count, size_t batch_rows,
                           std::unique_ptr<transport::Log> log)
    : incarnation_(incarnation),
      batch_rows_(batch_rows),
      groups_(stage, batch_rows),
      inbox_(numbers(edge_count)),
      log_(std::move(log)) {}

void PaneShipping::carry_late(const plan::LateStage& late) {
  late_groups_ = std::make_unique<Form>(late.stage, batch_rows_);
}

void PaneShipping::append(std::vector<uint8_t>&& message) {
  octets_ += message.size();
  ++messages_;
  const auto appended = log_->append(0, message);
  if (appended.status != transport::LogStatus::kOk) {
    throw std::runtime_error("partials cannot be appended: " + std::string(transport::name(appended.status)));
  }
}

void PaneShipping::write(uint32_t edge, Form& form, partial::ChunkId id,
                         const std::vector<partial::PaneLedger>& ledgers) {
  id.origin = {edge, 1, incarnation_};
  form.writer.finish(id, ledgers, [&](std::vector<uint8_t>&& chunk) { append(std::move(chunk)); });
}

void PaneShipping::ship(uint32_t edge, Micros start, PaneTable& pane) {
  groups_.add_groups(pane);
  partial::ChunkId id;
  id.pane_start = start;
  id.supplement = shipped_[{start, edge}]++;
  write(edge, groups_, id, {});
}

void PaneShipping::ship_cut(uint32_t edge, Micros cut, const window::CountsByPane& counts, PaneTable* late) {
  if (counts.empty() && late == nullptr) return;
  std::vector<partial::PaneLedger> ledgers;
  for (const auto& [start, pane] : counts) ledgers.push_back({start, pane});
  partial::ChunkId id;
  id.kind = partial::ChunkId::Kind::kCut;
  id.pane_start = cut;
  id.supplement = cuts_[{cut, edge}]++;
  if (late != nullptr) late_groups_->add_groups(*late);
  write(edge, late != nullptr ? *late_groups_ : groups_, id, ledgers);
}

void PaneShipping::report(uint32_t edge, Micros frontier, const WindowLedger& ledger) {
  partial::Frontier message;
  message.origin = {edge, 1, incarnation_};
  message.frontier = frontier;
  message.assigned = ledger.assigned;
  message.counted = ledger.counted;
  message.filtered = ledger.filtered;
  message.late = ledger.late;
  message.errored = ledger.errored;
  message.shed = ledger.shed;
  message.time_null = ledger.time_null;
  message.time_future = ledger.time_future;
  append(partial::write_frontier(message));
}

Micros PaneShipping::receive(PaneReceiver& merge, LateOutput* late) {
  const auto deliver = [&](const partial::ChunkId& id, std::span<const uint8_t> bytes) {
    partial::Message message;
    partial::PartialFault fault{};
    if (!partial::read_message(bytes, message, fault)) throw std::runtime_error("a partial of our own cannot be read");
    if (id.kind == partial::ChunkId::Kind::kPane && message.group_count > 0)
      return groups_.read_into(message, merge.pane(id.pane_start));
    window::CountsByPane counts;
    for (const partial::PaneLedger& ledger : message.ledgers) counts[ledger.pane_start] += ledger.counts;
    merge.add_counts(counts);
    if (late != nullptr && message.group_count > 0) late_groups_->read_into(message, late->pending());
  };
  for (std::vector<transport::LogRecord> records;; records.clear()) {
    if (log_->read(0, next_offset_, kReadOctets, records) != transport::LogStatus::kOk) {
      throw std::runtime_error("partials cannot be read back");
    }
    if (records.empty()) break;
    for (const transport::LogRecord& record : records) {
      partial::Message message;
      partial::PartialFault fault{};
      if (!partial::read_message(record.bytes, message, fault))
        throw std::runtime_error("a partial of our own cannot be read");
      inbox_.accept(message, record.bytes, deliver);
    }
    next_offset_ = records.back().offset + 1;
  }
  log_->trim(0, next_offset_);
  return inbox_.frontier();
}

void PaneShipping::forget_before(Micros pane_start) {
  inbox_.forget_before(pane_start);
  shipped_.erase(shipped_.begin(), shipped_.lower_bound({pane_start, 0}));
  cuts_.erase(cuts_.begin(), cuts_.lower_bound({pane_start, 0}));
}

}  // namespace backstream::exec
