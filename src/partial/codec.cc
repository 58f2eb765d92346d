#include "partial/codec.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/varint.h"
#include "partial/value_bytes.h"

namespace backstream::partial {
namespace {

using base::put_varint;
using base::put_varint_signed;
using batch::Column;

constexpr uint8_t kMagic[3] = {'B', 'S', 'P'};
constexpr uint8_t kPane = static_cast<uint8_t>(ChunkId::Kind::kPane), kFrontier = 2,
                  kCut = static_cast<uint8_t>(ChunkId::Kind::kCut), kRows = static_cast<uint8_t>(ChunkId::Kind::kRows),
                  kPresence = 5, kMembers = 6, kClaim = 7, kLoss = 8;
constexpr size_t kChecksumOctets = 8;
constexpr size_t kHeadOctets = 5;

void put_head(std::vector<uint8_t>& out, uint8_t kind, const Origin& origin) {
  out.insert(out.end(), std::begin(kMagic), std::end(kMagic));
  out.push_back(kVersion);
  out.push_back(kind);
  put_varint(out, origin.edge);
  put_varint(out, origin.epoch);
  put_varint(out, origin.incarnation);
}
void put_data_head(std::vector<uint8_t>& out, const ChunkId& id, std::span<const PaneLedger> ledgers) {
  put_head(out, static_cast<uint8_t>(id.kind), id.origin);
  put_varint_signed(out, id.pane_start);
  put_varint(out, id.supplement);
  put_varint(out, id.attempt);
  put_varint(out, id.chunk);
  out.push_back(id.last);
  put_varint(out, ledgers.size());
  for (const PaneLedger& ledger : ledgers) {
    put_varint_signed(out, ledger.pane_start);
    const window::PaneCounts& c = ledger.counts;
    for (const uint64_t count :
         {c.assigned, c.counted, c.filtered, c.late, c.errored, c.shed, c.shed_octets, ~c.keep_below})
      put_varint(out, count);
  }
}
void put_checksum(std::vector<uint8_t>& out) { put_u64(out, XXH3_64bits(out.data(), out.size())); }

}  // namespace

std::string_view name(PartialFault fault) {
  switch (fault) {
#define BACKSTREAM_X(enumerator, text, about) \
  case PartialFault::enumerator: return text;
    BACKSTREAM_PARTIAL_FAULTS(BACKSTREAM_X)
#undef BACKSTREAM_X
  }
  return "";
}

namespace {

constexpr uint64_t kUpper = 0xffff'ffff'0000'0000;

uint64_t hash_of(uint64_t whole, uint64_t part) {
  std::vector<uint8_t> octets;
  put_u64(octets, whole);
  put_u64(octets, part);
  return XXH3_64bits(octets.data(), octets.size());
}

}  // namespace

uint64_t object_number(std::string_view name, uint64_t incarnation) {
  return XXH3_64bits_withSeed(name.data(), name.size(), incarnation);
}

uint64_t incarnation_of(uint64_t root, uint64_t object, uint64_t version) {
  return (hash_of(root, 0) & kUpper) | (hash_of(object, version) & ~kUpper);
}

uint64_t incarnation_of_input(uint64_t query, uint64_t input) {
  return (query & kUpper) | (hash_of(query, input) & ~kUpper);
}

uint32_t partition_of(uint64_t incarnation, uint32_t partition_count) {
  return static_cast<uint32_t>((incarnation >> 32) % partition_count);
}

// --- writing ------------------------------------------------------------------------------------------------------

PartialWriter::PartialWriter(GroupForm form, size_t chunk_octets_max)
    : form_(std::move(form)), chunk_octets_max_(chunk_octets_max) {}

void PartialWriter::add(const Column* keys, size_t row, const uint8_t* states) {
  const size_t at = bytes_.size();
  for (size_t k = 0; k < form_.keys.size(); ++k) put_value(bytes_, keys[k], row);
  const size_t key_octets = bytes_.size() - at;
  for (size_t a = 0; a < form_.aggregates.size(); ++a) {
    form_.aggregates[a]->encode(states + form_.state_offsets[a], bytes_);
  }
  uint64_t key_begin = 0;
  for (size_t i = 0; i < sizeof key_begin; ++i) key_begin = key_begin << 8 | (i < key_octets ? bytes_[at + i] : 0);
  groups_.push_back({key_begin, at, static_cast<uint32_t>(key_octets), static_cast<uint32_t>(bytes_.size() - at)});
}

void PartialWriter::sort() {
  std::sort(groups_.begin(), groups_.end(), [&](const Group& a, const Group& b) {
    if (a.key_begin != b.key_begin) return a.key_begin < b.key_begin;
    return std::string_view(reinterpret_cast<const char*>(&bytes_[a.at]), a.key_octets) <
           std::string_view(reinterpret_cast<const char*>(&bytes_[b.at]), b.key_octets);
  });
}

std::vector<uint8_t> PartialWriter::write_chunk(ChunkId& id, std::span<const PaneLedger> ledgers, size_t& next) {
  const size_t first = next;
  size_t octets = 0;
  while (next < groups_.size() && (next == first || octets + groups_[next].octets <= chunk_octets_max_)) {
    octets += groups_[next++].octets;
  }
  id.last = next == groups_.size();
  std::vector<uint8_t> out;
  out.reserve(octets + 80);
  put_data_head(out, id, ledgers);
  put_varint(out, next - first);
  for (size_t g = first; g < next; ++g) {
    const auto from = bytes_.begin() + static_cast<long>(groups_[g].at);
    out.insert(out.end(), from, from + groups_[g].octets);
  }
  put_checksum(out);
  return out;
}

void PartialWriter::clear() {
  bytes_.clear();
  groups_.clear();
}

std::vector<uint8_t> write_frontier(const Frontier& frontier) {
  std::vector<uint8_t> out;
  put_head(out, kFrontier, frontier.origin);
  put_varint_signed(out, frontier.frontier);
  for (const uint64_t count : {frontier.assigned, frontier.counted, frontier.filtered, frontier.late, frontier.errored,
                               frontier.shed, frontier.time_null, frontier.time_future}) {
    put_varint(out, count);
  }
  put_checksum(out);
  return out;
}

std::vector<uint8_t> write_presence(const Presence& presence) {
  std::vector<uint8_t> out;
  put_head(out, kPresence, presence.origin);
  for (const Micros time : {presence.sent_at, presence.gap_from, presence.gap_until}) put_varint_signed(out, time);
  put_checksum(out);
  return out;
}

std::vector<uint8_t> write_loss(const Loss& loss) {
  std::vector<uint8_t> out;
  put_head(out, kLoss, loss.origin);
  put_varint(out, loss.rows);
  put_checksum(out);
  return out;
}

std::vector<uint8_t> write_members(const Members& members) {
  std::vector<uint8_t> out;
  put_head(out, kMembers, {});
  put_varint_signed(out, members.decided_at);
  put_varint(out, members.edges.size());
  for (const Members::Member& member : members.edges) {
    put_varint(out, member.edge);
    out.push_back(member.absent);
  }
  put_checksum(out);
  return out;
}

std::vector<uint8_t> write_claim(const Claim& claim) {
  std::vector<uint8_t> out;
  put_head(out, kClaim, {});
  put_varint_signed(out, claim.claimed_at);
  const std::string_view worker = claim.worker.substr(0, kWorkerOctetsMax);
  put_varint(out, worker.size());
  out.insert(out.end(), worker.begin(), worker.end());
  put_checksum(out);
  return out;
}

std::vector<uint8_t> write_data(const ChunkId& id, std::span<const PaneLedger> ledgers, uint64_t count,
                                std::span<const uint8_t> content) {
  std::vector<uint8_t> out;
  out.reserve(content.size() + 80);
  put_data_head(out, id, ledgers);
  put_varint(out, count);
  out.insert(out.end(), content.begin(), content.end());
  put_checksum(out);
  return out;
}

// --- reading ------------------------------------------------------------------------------------------------------

namespace {

bool read_ledgers(Cursor& in, std::vector<PaneLedger>& ledgers) {
  uint64_t count = 0;
  constexpr size_t kOctetsMin = 9;
  if (!in.u64(count) || count > in.rest().size() / kOctetsMin) return false;
  ledgers.resize(count);
  for (PaneLedger& ledger : ledgers) {
    window::PaneCounts& c = ledger.counts;
    if (!in.i64(ledger.pane_start)) return false;
    for (uint64_t* value : {&c.assigned, &c.counted, &c.filtered, &c.late, &c.errored, &c.shed, &c.shed_octets}) {
      if (!in.u64(*value)) return false;
    }
    uint64_t dropped_from = 0;
    if (!in.u64(dropped_from)) return false;
    c.keep_below = ~dropped_from;
  }
  return true;
}

bool read_members(Cursor& in, Members& members) {
  uint64_t count = 0;
  if (!in.i64(members.decided_at) || !in.u64(count) || count > kEdgesMax || count > in.rest().size()) return false;
  members.edges.resize(count);
  for (size_t m = 0; m < count; ++m) {
    uint8_t absent = 0;
    if (!in.u32(members.edges[m].edge) || !in.octet(absent) || absent > 1) return false;
    if (m > 0 && members.edges[m].edge <= members.edges[m - 1].edge) return false;
    members.edges[m].absent = absent != 0;
  }
  return in.rest().empty();
}

}  // namespace

bool read_message(std::span<const uint8_t> bytes, Message& message, PartialFault& fault) {
  const auto refuse = [&](PartialFault why) {
    fault = why;
    return false;
  };
  if (bytes.size() < kHeadOctets + kChecksumOctets) return refuse(PartialFault::kTooShort);
  if (std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) return refuse(PartialFault::kNotPartial);
  if (bytes[3] > kVersion) return refuse(PartialFault::kVersionUnknown);
  if (bytes[3] < kVersionOldest) return refuse(PartialFault::kVersionTooOld);
  const auto content = bytes.first(bytes.size() - kChecksumOctets);
  if (XXH3_64bits(content.data(), content.size()) != get_u64(content.data() + content.size())) {
    return refuse(PartialFault::kChecksumWrong);
  }
  const uint8_t kind = bytes[4];
  Cursor in(content.subspan(kHeadOctets));
  Origin origin;
  if (!in.u32(origin.edge) || !in.u64(origin.epoch) || !in.u64(origin.incarnation))
    return refuse(PartialFault::kMalformed);
  message = Message{};
  if (kind == kPane || kind == kCut || kind == kRows) {
    ChunkId& id = message.chunk;
    id.kind = static_cast<ChunkId::Kind>(kind);
    id.origin = origin;
    uint8_t last = 0;
    if (!in.i64(id.pane_start) || !in.u32(id.supplement) || !in.u32(id.attempt) || !in.u32(id.chunk) ||
        !in.octet(last) || last > 1 || !read_ledgers(in, message.ledgers) || !in.u64(message.group_count)) {
      return refuse(PartialFault::kMalformed);
    }
    id.last = last != 0;
    message.groups = in.rest();
    // A group may have no key and states of no octets at all only when it is alone.
    if (message.group_count > message.groups.size() && message.group_count > 1) return refuse(PartialFault::kMalformed);
    return true;
  }
  if (kind == kPresence) {
    message.kind = Message::Kind::kPresence;
    Presence& p = message.presence;
    p.origin = origin;
    if (!in.i64(p.sent_at) || !in.i64(p.gap_from) || !in.i64(p.gap_until) || !in.rest().empty())
      return refuse(PartialFault::kMalformed);
    return true;
  }
  if (kind == kLoss) {
    message.kind = Message::Kind::kLoss;
    message.loss.origin = origin;
    if (!in.u64(message.loss.rows) || !in.rest().empty()) return refuse(PartialFault::kMalformed);
    return true;
  }
  if (kind == kMembers) {
    message.kind = Message::Kind::kMembers;
    if (!read_members(in, message.members)) return refuse(PartialFault::kMalformed);
    return true;
  }
  if (kind == kClaim) {
    message.kind = Message::Kind::kClaim;
    uint64_t octets = 0;
    if (!in.i64(message.claim.claimed_at) || !in.u64(octets) || octets > kWorkerOctetsMax || octets != in.rest().size())
      return refuse(PartialFault::kMalformed);
    message.claim.worker = {reinterpret_cast<const char*>(in.rest().data()), in.rest().size()};
    return true;
  }
  if (kind != kFrontier) return refuse(PartialFault::kMalformed);
  message.kind = Message::Kind::kFrontier;
  Frontier& f = message.frontier;
  f.origin = origin;
  if (!in.i64(f.frontier)) return refuse(PartialFault::kMalformed);
  for (uint64_t* count :
       {&f.assigned, &f.counted, &f.filtered, &f.late, &f.errored, &f.shed, &f.time_null, &f.time_future}) {
    if (!in.u64(*count)) return refuse(PartialFault::kMalformed);
  }
  if (!in.rest().empty()) return refuse(PartialFault::kMalformed);
  return true;
}

PartialReader::PartialReader(GroupForm form) : form_(std::move(form)) {}

bool PartialReader::read(const Message& message) {
  assert(message.kind == Message::Kind::kData);
  group_count_ = 0;
  context_.arena.reset();
  for (auto& blocks : context_.free_blocks) blocks.clear();
  const auto groups = static_cast<size_t>(message.group_count);
  if (keys_.capacity() < groups || keys_.batch.columns.size() != form_.keys.size()) {
    keys_ = batch::BatchBuffer(form_.keys, std::vector<bool>(form_.keys.size(), true), std::max<size_t>(groups, 1));
  }
  for (Column& column : keys_.batch.columns) column.has_nulls = true;
  states_.assign(groups * form_.state_octets / 8, 0);
  Cursor in(message.groups);
  for (size_t group = 0; group < groups; ++group) {
    for (Column& column : keys_.batch.columns) {
      if (!get_value(in, column, group, context_.arena)) return false;
    }
    uint8_t* states = reinterpret_cast<uint8_t*>(states_.data()) + group * form_.state_octets;
    for (size_t a = 0; a < form_.aggregates.size(); ++a) {
      const agg::AggregateFunction& function = *form_.aggregates[a];
      uint8_t* state = states + form_.state_offsets[a];
      if (function.init != nullptr) function.init(state);
      if (!in.advance(function.decode(state, in.rest().data(), in.rest().size(), context_))) return false;
    }
  }
  if (!in.rest().empty()) return false;
  keys_.batch.row_count = groups;
  group_count_ = groups;
  return true;
}

}  // namespace backstream::partial
