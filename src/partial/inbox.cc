#include "partial/inbox.h"

#include <algorithm>
#include <optional>

#include "partial/value_bytes.h"

namespace backstream::partial {

namespace {

void add(Frontier& sum, const Frontier& counts) {
  sum.assigned += counts.assigned;
  sum.counted += counts.counted;
  sum.filtered += counts.filtered;
  sum.late += counts.late;
  sum.errored += counts.errored;
  sum.shed += counts.shed;
  sum.time_null += counts.time_null;
  sum.time_future += counts.time_future;
}

/// Of reports with one frontier, as an edge that stops sends several, the one that has counted less is the older one.
bool is_older(const Frontier& report, const Frontier& other) {
  const auto rows = [](const Frontier& f) {
    return f.assigned + f.counted + f.filtered + f.late + f.errored + f.shed + f.time_null + f.time_future;
  };
  return report.frontier != other.frontier ? report.frontier < other.frontier : rows(report) < rows(other);
}

}  // namespace

std::string_view name(InboxDrop drop) {
  switch (drop) {
#define BACKSTREAM_X(enumerator, text, about) \
  case InboxDrop::enumerator: return text;
    BACKSTREAM_INBOX_DROPS(BACKSTREAM_X)
#undef BACKSTREAM_X
  }
  return "";
}

Inbox::Inbox(const std::vector<uint32_t>& edges, size_t pending_octets_max) : pending_octets_max_(pending_octets_max) {
  for (const uint32_t edge : edges) edges_[edge].member = true;
}

void Inbox::set_members(std::span<const Members::Member> edges) {
  for (auto& [number, edge] : edges_) edge.member = edge.absent = false;
  for (const Members::Member& member : edges) {
    Edge& edge = edges_[member.edge];
    edge.member = true;
    edge.absent = member.absent;
  }
}

/// Reports are totals since an epoch began. One that comes again, or late, says nothing new.
void Inbox::count(Edge& edge, const Frontier& report) {
  // A frontier never moves back: an older one is a repeat, or of an epoch that had come further.
  edge.frontier = std::max(edge.frontier, report.frontier);
  if (report.origin.epoch < edge.epochs_before) return;
  Frontier& last = edge.epochs.try_emplace(report.origin.epoch, report).first->second;
  if (!is_older(report, last)) last = report;
  if (edge.epochs.size() <= kEpochsMax) return;
  const auto oldest = edge.epochs.begin();
  add(edge.before, oldest->second);
  edge.epochs_before = oldest->first + 1;
  edge.epochs.erase(oldest);
}

void Inbox::drop_attempts(std::map<Pane, std::map<uint32_t, Attempt>>::iterator at, InboxDrop why,
                          uint32_t but_attempt) {
  for (const auto& [number, attempt] : at->second) {
    for (const auto& [chunk, bytes] : attempt.chunks) {
      pending_octets_ -= bytes.size();
      if (number != but_attempt) ++drops_[static_cast<size_t>(why)];
    }
  }
  pending_.erase(at);
}

void Inbox::Numbers::add(uint32_t number) {
  come.insert(number);
  if (come.size() > kGapsMax) below = *come.begin();  // What lies before will not come any more.
  while (!come.empty() && *come.begin() <= below) {
    below = std::max<uint64_t>(below, uint64_t{*come.begin()} + 1);
    come.erase(come.begin());
  }
}

bool Inbox::is_done(const Pane& pane) const {
  if (pane.kind == ChunkId::Kind::kPane) return done_.contains(pane);
  const auto numbers = numbers_.find({pane.origin, pane.kind});
  return numbers != numbers_.end() && numbers->second.contains(pane.supplement);
}

void Inbox::set_done(const Pane& pane) {
  if (pane.kind == ChunkId::Kind::kPane) {
    done_.insert(pane);
    return;
  }
  const auto [at, fresh] = numbers_.try_emplace({pane.origin, pane.kind});
  at->second.add(pane.supplement);
  if (!fresh) return;
  const auto of_edge = [&](const auto& entry) {
    return entry.first.origin.edge == pane.origin.edge && entry.first.kind == pane.kind;
  };
  if (std::count_if(numbers_.begin(), numbers_.end(), of_edge) <= static_cast<long>(kEpochsMax)) return;
  numbers_.erase(std::find_if(numbers_.begin(), numbers_.end(), of_edge));
}

/// Null: there are too many.
Inbox::Edge* Inbox::edge_of(uint32_t number) {
  return edges_.size() < kEdgesMax || edges_.contains(number) ? &edges_[number] : nullptr;
}

void Inbox::accept(const Message& message, std::span<const uint8_t> bytes, const Deliver& deliver) {
  const auto drop = [&](InboxDrop why) { ++drops_[static_cast<size_t>(why)]; };
  if (message.kind == Message::Kind::kFrontier) {
    if (Edge* const edge = edge_of(message.frontier.origin.edge)) count(*edge, message.frontier);
    return;
  }
  if (message.kind == Message::Kind::kLoss) {
    if (Edge* const edge = edge_of(message.loss.origin.edge)) edge->lost = std::max(edge->lost, message.loss.rows);
    return;
  }
  if (message.kind != Message::Kind::kData) return;
  const ChunkId& id = message.chunk;
  const Pane pane{id.pane_start, id.origin, id.supplement, id.kind};
  if (id.kind == ChunkId::Kind::kPane && id.pane_start < final_before_) return drop(InboxDrop::kStale);
  if (is_done(pane)) return drop(InboxDrop::kDuplicate);
  if (id.chunk == 0 && id.last) {  // the usual case: nothing to put together
    deliver(id, bytes);
    set_done(pane);
    const auto at = pending_.find(pane);
    if (at != pending_.end()) drop_attempts(at, InboxDrop::kDuplicate, UINT32_MAX);
    return;
  }
  if (pending_octets_ + bytes.size() > pending_octets_max_) return drop(InboxDrop::kPendingLimit);
  const auto at = pending_.try_emplace(pane).first;
  Attempt& attempt = at->second[id.attempt];
  if (!attempt.chunks.try_emplace(id.chunk, bytes.begin(), bytes.end()).second) return drop(InboxDrop::kDuplicate);
  pending_octets_ += bytes.size();
  if (id.last) attempt.chunk_count = id.chunk + 1;
  if (attempt.chunk_count == 0 || attempt.chunks.size() != attempt.chunk_count) return;
  for (const auto& [number, chunk] : attempt.chunks) {
    ChunkId whole = id;
    whole.chunk = number;
    whole.last = number + 1 == attempt.chunk_count;
    deliver(whole, chunk);
  }
  set_done(pane);
  drop_attempts(at, InboxDrop::kDuplicate, id.attempt);
}

Micros Inbox::frontier() const {
  std::optional<Micros> least;
  for (const auto& [number, edge] : edges_) {
    if (edge.member && !edge.absent) least = std::min(least.value_or(base::kMaxTime), edge.frontier);
  }
  return least.value_or(base::kMinTime);
}

Micros Inbox::whole_frontier() const {
  std::optional<Micros> least;
  for (const auto& [number, edge] : edges_) {
    if (edge.member) least = std::min(least.value_or(base::kMaxTime), edge.frontier);
  }
  return least.value_or(base::kMinTime);
}

std::vector<uint32_t> Inbox::edges_behind(Micros time) const {
  std::vector<uint32_t> behind;
  for (const auto& [number, edge] : edges_) {
    if (edge.member && edge.frontier < time) behind.push_back(number);
  }
  return behind;
}

void Inbox::mark_gap(uint32_t edge, Micros from, Micros until) {
  const Gap gap{edge, from, until};
  if (from >= until || std::find(edge_gaps_.begin(), edge_gaps_.end(), gap) != edge_gaps_.end()) return;
  edge_gaps_.push_back(gap);
  if (edge_gaps_.size() > kEdgeGapsMax) edge_gaps_.pop_front();
}

Micros Inbox::gaps_until() const {
  Micros until = base::kMinTime;
  for (const Gap& gap : edge_gaps_) until = std::max(until, gap.until);
  return until;
}

std::vector<uint32_t> Inbox::edges_missing(Micros start, Micros end) const {
  std::vector<uint32_t> missing = edges_behind(end);
  for (const Gap& gap : edge_gaps_) {
    if (gap.from < end && start < gap.until) missing.push_back(gap.edge);
  }
  std::sort(missing.begin(), missing.end());
  missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
  return missing;
}

Frontier Inbox::totals() const {
  Frontier sum;
  for (const auto& [number, edge] : edges_) {
    add(sum, edge.before);
    for (const auto& [epoch, last] : edge.epochs) add(sum, last);
  }
  return sum;
}

uint64_t Inbox::lost() const {
  uint64_t sum = 0;
  for (const auto& [number, edge] : edges_) sum += edge.lost;
  return sum;
}

void Inbox::forget_before(Micros pane_start) {
  final_before_ = std::max(final_before_, pane_start);
  done_.erase(done_.begin(), done_.lower_bound(Pane{pane_start, {}, 0, {}}));
  std::erase_if(edge_gaps_, [&](const Gap& gap) { return gap.until <= pane_start; });
  for (auto at = pending_.begin(); at != pending_.end() && at->first.start < pane_start;) {
    const auto here = at++;
    if (here->first.kind == ChunkId::Kind::kPane) drop_attempts(here, InboxDrop::kIncomplete, UINT32_MAX);
  }
}

namespace {

void put_counts(std::vector<uint8_t>& out, const Frontier& f) {
  base::put_varint_signed(out, f.frontier);
  for (const uint64_t count :
       {f.assigned, f.counted, f.filtered, f.late, f.errored, f.shed, f.time_null, f.time_future})
    base::put_varint(out, count);
}
bool get_counts(Cursor& in, Frontier& f) {
  if (!in.i64(f.frontier)) return false;
  for (uint64_t* count :
       {&f.assigned, &f.counted, &f.filtered, &f.late, &f.errored, &f.shed, &f.time_null, &f.time_future}) {
    if (!in.u64(*count)) return false;
  }
  return true;
}

}  // namespace

void Inbox::save(std::vector<uint8_t>& out) const {
  base::put_varint_signed(out, final_before_);
  for (const uint64_t drops : drops_) base::put_varint(out, drops);
  base::put_varint(out, edges_.size());
  for (const auto& [number, edge] : edges_) {
    base::put_varint(out, number);
    base::put_varint_signed(out, edge.frontier);
    base::put_varint(out, edge.epochs_before);
    put_counts(out, edge.before);
    base::put_varint(out, edge.epochs.size());
    for (const auto& [epoch, last] : edge.epochs) {
      base::put_varint(out, epoch);
      put_counts(out, last);
    }
  }
  base::put_varint(out, done_.size());
  for (const Pane& pane : done_) {
    base::put_varint_signed(out, pane.start);
    base::put_varint(out, pane.origin.edge);
    base::put_varint(out, pane.origin.epoch);
    base::put_varint(out, pane.origin.incarnation);
    base::put_varint(out, pane.supplement);
    out.push_back(static_cast<uint8_t>(pane.kind));
  }
  base::put_varint(out, numbers_.size());
  for (const auto& [stream, numbers] : numbers_) {
    base::put_varint(out, stream.origin.edge);
    base::put_varint(out, stream.origin.epoch);
    base::put_varint(out, stream.origin.incarnation);
    out.push_back(static_cast<uint8_t>(stream.kind));
    base::put_varint(out, numbers.below);
    base::put_varint(out, numbers.come.size());
    for (const uint32_t number : numbers.come) base::put_varint(out, number);
  }
  // Nothing where there is none, as states of before have it.
  const auto lost_any = [](const auto& entry) { return entry.second.lost != 0; };
  const auto losers = std::count_if(edges_.begin(), edges_.end(), lost_any);
  if (losers == 0 && edge_gaps_.empty()) return;
  base::put_varint(out, static_cast<uint64_t>(losers));
  for (const auto& [number, edge] : edges_) {
    if (edge.lost == 0) continue;
    base::put_varint(out, number);
    base::put_varint(out, edge.lost);
  }
  base::put_varint(out, edge_gaps_.size());
  for (const Gap& gap : edge_gaps_) {
    base::put_varint(out, gap.edge);
    base::put_varint_signed(out, gap.from);
    base::put_varint_signed(out, gap.until);
  }
}

bool Inbox::load(std::span<const uint8_t> saved) {
  Cursor in(saved);
  Inbox loaded({}, pending_octets_max_);
  if (!in.i64(loaded.final_before_)) return false;
  for (uint64_t& drops : loaded.drops_) {
    if (!in.u64(drops)) return false;
  }
  uint64_t count = 0;
  if (!in.u64(count) || count > kEdgesMax) return false;
  for (; count > 0; --count) {
    uint32_t number = 0;
    if (!in.u32(number) || loaded.edges_.contains(number)) return false;
    Edge& edge = loaded.edges_[number];
    uint64_t epochs = 0;
    if (!in.i64(edge.frontier) || !in.u64(edge.epochs_before) || !get_counts(in, edge.before) || !in.u64(epochs) ||
        epochs > kEpochsMax)
      return false;
    for (; epochs > 0; --epochs) {
      uint64_t epoch = 0;
      if (!in.u64(epoch) || !get_counts(in, edge.epochs[epoch])) return false;
    }
  }
  if (!in.u64(count)) return false;
  for (; count > 0; --count) {
    Pane pane;
    uint8_t kind = 0;
    if (!in.i64(pane.start) || !in.u32(pane.origin.edge) || !in.u64(pane.origin.epoch) ||
        !in.u64(pane.origin.incarnation) || !in.u32(pane.supplement) || !in.octet(kind))
      return false;
    pane.kind = static_cast<ChunkId::Kind>(kind);
    loaded.done_.insert(loaded.done_.end(), pane);
  }
  if (!in.u64(count)) return false;
  for (; count > 0; --count) {
    Stream stream{};
    Numbers numbers;
    uint8_t kind = 0;
    uint64_t come = 0;
    if (!in.u32(stream.origin.edge) || !in.u64(stream.origin.epoch) || !in.u64(stream.origin.incarnation) ||
        !in.octet(kind) || !in.u64(numbers.below) || !in.u64(come) || come > kGapsMax)
      return false;
    stream.kind = static_cast<ChunkId::Kind>(kind);
    for (; come > 0; --come) {
      uint32_t number = 0;
      if (!in.u32(number)) return false;
      numbers.come.insert(number);
    }
    loaded.numbers_.emplace(stream, std::move(numbers));
  }
  if (!in.rest().empty()) {
    if (!in.u64(count) || count > kEdgesMax) return false;
    for (; count > 0; --count) {
      uint32_t number = 0;
      if (!in.u32(number) || !in.u64(loaded.edges_[number].lost)) return false;
    }
    if (!in.u64(count) || count > kEdgeGapsMax) return false;
    for (; count > 0; --count) {
      Gap& gap = loaded.edge_gaps_.emplace_back();
      if (!in.u32(gap.edge) || !in.i64(gap.from) || !in.i64(gap.until)) return false;
    }
  }
  if (!in.rest().empty()) return false;
  for (const auto& [number, edge] : edges_) {
    if (!edge.member) continue;
    loaded.edges_[number].member = true;
    loaded.edges_[number].absent = edge.absent;
  }
  *this = std::move(loaded);
  return true;
}

}  // namespace backstream::partial
