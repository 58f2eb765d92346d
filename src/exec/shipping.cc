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

PaneShipping::PaneShipping(const plan::Stage& stage, uint64_t incarnation, uint32_t edge_count, size_t batch_rows,
                           std::unique_ptr<transport::Log> log)
    : form_(form_of(stage)),
      incarnation_(incarnation),
      group_rows_(stage, batch_rows),
      writer_(form_),
      reader_(form_),
      inbox_(numbers(edge_count)),
      log_(std::move(log)) {}

void PaneShipping::append(std::vector<uint8_t>&& message) {
  const auto appended = log_->append(0, message);
  if (appended.status != transport::LogStatus::kOk) {
    throw std::runtime_error("partials cannot be appended: " + std::string(transport::name(appended.status)));
  }
}

void PaneShipping::ship(uint32_t edge, Micros start, PaneTable& pane) {
  group_rows_.for_each_key_batch(pane, [&](const batch::Column* keys, size_t first, size_t n) {
    for (size_t i = 0; i < n; ++i) {
      writer_.add(keys, i, pane.row(first + i) + pane.states_at(pane.is_wide(first + i)));
    }
  });
  partial::ChunkId id;
  id.origin = {edge, 1, incarnation_};
  id.pane_start = start;
  id.supplement = shipped_[{start, edge}]++;
  writer_.finish(id, [&](std::vector<uint8_t>&& chunk) { append(std::move(chunk)); });
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

Micros PaneShipping::receive(MergeHalf& merge) {
  const auto deliver = [&](const partial::ChunkId& id, std::span<const uint8_t> bytes) {
    partial::Message message;
    partial::PartialFault fault{};
    if (!partial::read_message(bytes, message, fault) || !reader_.read(message)) {
      throw std::runtime_error("a partial of our own cannot be read");
    }
    if (reader_.group_count() == 0) return;
    merge.pane(id.pane_start).combine_groups(reader_.keys().data(), reader_.group_count(), reader_.states(0));
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
}

}  // namespace backstream::exec
