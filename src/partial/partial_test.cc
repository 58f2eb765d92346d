#include <gtest/gtest.h>

#include <random>

#include "partial/codec.h"
#include "partial/inbox.h"

namespace backstream::partial {
namespace {

using base::Inet;
using batch::Column;
using batch::Type;

const agg::AggregateFunction* aggregate(std::string_view name, const std::vector<Type>& types, bool distinct = false) {
  return *agg::resolve(name, types, distinct, types.empty(), {});
}
GroupForm form(std::vector<Type> keys, std::vector<const agg::AggregateFunction*> aggregates) {
  GroupForm f{std::move(keys), std::move(aggregates), {}, 0};
  for (const auto* function : f.aggregates) {
    f.state_offsets.push_back(f.state_octets);
    f.state_octets += function->state_octets;
  }
  return f;
}
template <typename Value>
Column column(Type type, std::vector<Value>& values, std::vector<uint8_t>* validity = nullptr) {
  Column c;
  c.type = type;
  c.values = values.data();
  c.has_nulls = validity != nullptr;
  c.validity = validity == nullptr ? nullptr : validity->data();
  return c;
}

/// Two groups: (1, 'a') and (null, 2001:db8::1), with count(*), sum, count(DISTINCT).
struct Sample {
  GroupForm f = form({Type::kInt8, Type::kInet}, {aggregate("count", {}), aggregate("sum", {Type::kInt8}),
                                                  aggregate("count", {Type::kInt8}, true)});
  std::vector<int64_t> numbers{64512, 0};
  std::vector<uint8_t> present{1, 0};
  std::vector<Inet> addresses{Inet::v4(0x0a000001), Inet::v6(0x20010db800000000, 1)};
  std::vector<Column> keys{column(Type::kInt8, numbers, &present), column(Type::kInet, addresses)};
  std::vector<uint64_t> states = std::vector<uint64_t>(2 * f.state_octets / 8);
  agg::StateContext context;

  Sample() {
    std::vector<int64_t> values{1500, -3, 70000};
    Column arg = column(Type::kInt8, values);
    std::vector<uint8_t*> rows{state(0), state(0), state(1)};
    for (size_t a = 0; a < f.aggregates.size(); ++a) {
      f.aggregates[a]->update(rows.data(), f.state_offsets[a], &arg, nullptr, 3, context);
    }
  }
  uint8_t* state(size_t group) { return reinterpret_cast<uint8_t*>(states.data()) + group * f.state_octets; }
  ChunkId id() const { return {ChunkId::Kind::kPane, {3, 1, 77}, -60'000'000, 0, 0, 0, false}; }
  std::vector<std::vector<uint8_t>> write(const std::vector<size_t>& order = {0, 1}, size_t chunk_max = 1 << 20) {
    PartialWriter writer(f, chunk_max);
    for (const size_t group : order) writer.add(keys.data(), group, state(group));
    std::vector<std::vector<uint8_t>> chunks;
    writer.finish(id(), {}, [&](std::vector<uint8_t>&& chunk) { chunks.push_back(std::move(chunk)); });
    return chunks;
  }
};

std::string hex(const std::vector<uint8_t>& bytes) {
  std::string text;
  for (const uint8_t octet : bytes) {
    text += "0123456789abcdef"[octet >> 4];
    text += "0123456789abcdef"[octet & 15];
  }
  return text;
}

std::vector<uint8_t> octets_of(std::string_view hex) {
  std::vector<uint8_t> octets;
  for (size_t at = 0; at < hex.size(); at += 2)
    octets.push_back(static_cast<uint8_t>(std::stoul(std::string(hex.substr(at, 2)), nullptr, 16)));
  return octets;
}

// What an edge of one version sends a worker of another reads: octets that change need another version (and what is
// read of the one before, a test with these).
TEST(PartialCodec, GoldenBytesOfVersion2) {
  Sample sample;
  const auto chunks = sample.write();
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(hex(chunks[0]),
            "425350020103014dff9b9c390000000100020001068020010db80000000000000000000000010101e0c50801f0a2040180f00701"
            "04200a0000010201b21702dc0ba1f4ffffffffffffff01dbd31524ab5918a3");
  Frontier frontier{{3, 1, 77}, 1'000'000, 10, 5, 4, 1, 0, 0, 2, 0};
  EXPECT_EQ(hex(write_frontier(frontier)), "425350020203014d80897a0a050401000002006837cc403b3ce291");
  ChunkId id = sample.id();
  id.kind = ChunkId::Kind::kRows;
  id.supplement = 5;
  id.last = true;
  const PaneLedger ledger{-60'000'000, {10, 4, 3, 1, 1, 1, 900, 1 << 20}};
  const std::string_view data =
      "425350020403014dff9b9c390500000101ff9b9c390a04030101018407ffffbfffffffffffff01020102004fc24aa2d0bbc098";
  const std::string_view presence = "425350020503020080897a090e73e10daa1d996699";
  const std::string_view members = "4253500206000000120203009003019d0eab9687fcf8a7";
  const std::string_view claim = "425350020700000080897a076d657267652d313ed3508c1afe2e3a";
  EXPECT_EQ(hex(write_data(id, {&ledger, 1}, 2, std::vector<uint8_t>{1, 2, 0})), data);
  EXPECT_EQ(hex(write_presence({{3, 2, 0}, 1'000'000, -5, 7})), presence);
  EXPECT_EQ(hex(write_members({9, {{3, false}, {400, true}}})), members);
  EXPECT_EQ(hex(write_claim({1'000'000, "merge-1"})), claim);
  const std::string_view loss = "425350020803024dac028a702c836c6812f0";
  EXPECT_EQ(hex(write_loss({{3, 2, 77}, 300})), loss);

  Message message;
  PartialFault fault{};
  const auto rows = octets_of(data);
  ASSERT_TRUE(read_message(rows, message, fault));
  EXPECT_EQ(message.chunk.kind, ChunkId::Kind::kRows);
  EXPECT_EQ(message.chunk.origin, (Origin{3, 1, 77}));
  EXPECT_EQ(message.chunk.supplement, 5u);
  ASSERT_EQ(message.ledgers.size(), 1u);
  EXPECT_EQ(message.ledgers[0].counts, ledger.counts);
  EXPECT_EQ(hex({message.groups.begin(), message.groups.end()}), "010200");
  const auto present = octets_of(presence);
  ASSERT_TRUE(read_message(present, message, fault));
  EXPECT_EQ(message.presence, (Presence{{3, 2, 0}, 1'000'000, -5, 7}));
  const auto waited_for = octets_of(members);
  ASSERT_TRUE(read_message(waited_for, message, fault));
  EXPECT_EQ(message.members, (Members{9, {{3, false}, {400, true}}}));
  const auto claimed = octets_of(claim);
  ASSERT_TRUE(read_message(claimed, message, fault));
  EXPECT_EQ(message.claim.worker, "merge-1");
  const auto lost = octets_of(loss);
  ASSERT_TRUE(read_message(lost, message, fault));
  EXPECT_EQ(message.loss.origin, (Origin{3, 2, 77}));
  EXPECT_EQ(message.loss.rows, 300u);
}

TEST(PartialCodec, OtherVersionsAreToldApart) {
  auto bytes = write_presence({{3, 2, 0}, 1'000'000, -5, 7});
  Message message;
  PartialFault fault{};
  for (const auto& [version, expected] : {std::pair<int, PartialFault>{kVersion + 1, PartialFault::kVersionUnknown},
                                          {255, PartialFault::kVersionUnknown},
                                          {kVersionOldest - 1, PartialFault::kVersionTooOld},
                                          {kVersionOldest, PartialFault::kChecksumWrong}}) {
    bytes[3] = static_cast<uint8_t>(version);
    if (version == kVersionOldest) bytes[5] ^= 1;
    ASSERT_FALSE(read_message(bytes, message, fault)) << version;
    EXPECT_EQ(fault, expected) << version;
  }
}

TEST(PartialCodec, ACutCarriesLedgersAndGroups) {
  Sample sample;
  PartialWriter writer(sample.f, 1);  // one group a chunk
  for (const size_t group : {0, 1}) writer.add(sample.keys.data(), group, sample.state(group));
  ChunkId id = sample.id();
  id.kind = ChunkId::Kind::kCut;
  const std::vector<PaneLedger> ledgers = {{-60'000'000, {10, 4, 3, 1, 1, 1, 900, 1 << 20}},
                                           {0, {300, 300, 0, 0, 0, 0}}};
  std::vector<std::vector<uint8_t>> chunks;
  writer.finish(id, ledgers, [&](std::vector<uint8_t>&& chunk) { chunks.push_back(std::move(chunk)); });
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(hex(chunks[1]).substr(0, 10), "4253500203");
  for (size_t c = 0; c < 2; ++c) {
    Message message;
    PartialFault fault{};
    ASSERT_TRUE(read_message(chunks[c], message, fault));
    EXPECT_EQ(message.chunk.kind, ChunkId::Kind::kCut);
    EXPECT_EQ(message.group_count, 1u);
    ASSERT_EQ(message.ledgers.size(), c == 0 ? 2u : 0u) << "ledgers come once";
    if (c > 0) continue;
    EXPECT_EQ(message.ledgers[0].pane_start, -60'000'000);
    EXPECT_EQ(message.ledgers[0].counts, ledgers[0].counts);
    EXPECT_EQ(message.ledgers[1].counts, ledgers[1].counts);
  }
}

TEST(PartialCodec, IncarnationsAreTheSameEverywhere) {
  EXPECT_EQ(incarnation_of(7, 7, 1), 5175499748188913270u);
  EXPECT_EQ(object_number("matrix", 7), 12807092034919901954u);
  EXPECT_NE(object_number("matrix", 7), object_number("sweep", 7)) << "made by one change";
  EXPECT_NE(object_number("matrix", 7), object_number("matrix", 8));
  EXPECT_NE(incarnation_of(7, 7, 1), incarnation_of(7, 7, 2));
  // What is completed together travels together.
  for (const uint64_t other :
       {incarnation_of(7, 7, 2), incarnation_of(7, 12, 1), incarnation_of_input(incarnation_of(7, 7, 1), 1)}) {
    EXPECT_NE(other, incarnation_of(7, 7, 1));
    EXPECT_EQ(partition_of(other, 1'000), partition_of(incarnation_of(7, 7, 1), 1'000));
  }
  EXPECT_NE(partition_of(incarnation_of(8, 8, 1), 1'000), partition_of(incarnation_of(7, 7, 1), 1'000));
}

TEST(PartialCodec, PresenceAndMembersReadAsTheyWereWritten) {
  const Presence presence{{3, 2, 0}, 1'000'000, -5, 7};
  Members members;
  members.decided_at = 9;
  members.edges = {{3, false}, {4, true}};
  Message message;
  PartialFault fault{};
  ASSERT_TRUE(read_message(write_presence(presence), message, fault));
  EXPECT_EQ(message.kind, Message::Kind::kPresence);
  EXPECT_EQ(message.presence, presence);
  ASSERT_TRUE(read_message(write_members(members), message, fault));
  EXPECT_EQ(message.kind, Message::Kind::kMembers);
  EXPECT_EQ(message.members, members);
  members.edges = {{4, false}, {4, true}};
  EXPECT_FALSE(read_message(write_members(members), message, fault)) << "an edge is in it twice";
}

TEST(PartialCodec, AClaimReadsAsItWasWritten) {
  Message message;
  PartialFault fault{};
  const auto bytes = write_claim({1'000'000, "merge-1"});
  EXPECT_EQ(hex(bytes).substr(0, 32), "425350020700000080897a076d657267");
  ASSERT_TRUE(read_message(bytes, message, fault));
  EXPECT_EQ(message.kind, Message::Kind::kClaim);
  EXPECT_EQ(message.claim.claimed_at, 1'000'000);
  EXPECT_EQ(message.claim.worker, "merge-1");
  const auto longer = write_claim({0, std::string(1'000, 'x')});
  ASSERT_TRUE(read_message(longer, message, fault));
  EXPECT_EQ(message.claim.worker.size(), kWorkerOctetsMax);
}

TEST(PartialCodec, OrderOfGroupsDoesNotShow) {
  Sample sample;
  EXPECT_EQ(sample.write({0, 1}), sample.write({1, 0}));
}

TEST(PartialCodec, ReadsWhatItWrote) {
  Sample sample;
  const auto chunks = sample.write({0, 1}, 1);  // one group a chunk
  ASSERT_EQ(chunks.size(), 2u);
  PartialReader reader(sample.f);
  std::vector<std::pair<bool, int64_t>> sums;
  for (size_t c = 0; c < chunks.size(); ++c) {
    Message message;
    PartialFault fault{};
    ASSERT_TRUE(read_message(chunks[c], message, fault));
    EXPECT_EQ(message.chunk.chunk, c);
    EXPECT_EQ(message.chunk.last, c == 1);
    EXPECT_EQ(message.chunk.pane_start, -60'000'000);
    EXPECT_EQ(message.chunk.origin, (Origin{3, 1, 77}));
    ASSERT_TRUE(reader.read(message));
    ASSERT_EQ(reader.group_count(), 1u);
    int64_t sum = 0;
    uint8_t present = 0;
    Column out;
    out.type = Type::kInt8;
    out.has_nulls = true;
    out.values = &sum;
    out.validity = &present;
    const uint8_t* states = reader.states(0);
    sample.f.aggregates[1]->finish(&states, sample.f.state_offsets[1], 1, out, 0, sample.context);
    sums.emplace_back(reader.keys()[0].is_null(0), sum);
  }
  // The null key sorts first.
  EXPECT_EQ(sums, (std::vector<std::pair<bool, int64_t>>{{true, 70000}, {false, 1497}}));
}

TEST(PartialCodec, AnEmptyPaneIsOneChunk) {
  Sample sample;
  const auto chunks = sample.write({});
  ASSERT_EQ(chunks.size(), 1u);
  Message message;
  PartialFault fault{};
  ASSERT_TRUE(read_message(chunks[0], message, fault));
  EXPECT_TRUE(message.chunk.last);
  PartialReader reader(sample.f);
  EXPECT_TRUE(reader.read(message));
  EXPECT_EQ(reader.group_count(), 0u);
}

TEST(PartialCodec, EveryChangedOctetIsFound) {
  Sample sample;
  const auto whole = sample.write()[0];
  for (size_t at = 0; at < whole.size(); ++at) {
    auto changed = whole;
    changed[at] ^= 0x10;
    Message message;
    PartialFault fault{};
    EXPECT_FALSE(read_message(changed, message, fault)) << "octet " << at;
  }
  for (size_t octets = 0; octets < whole.size(); ++octets) {
    const std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<long>(octets));
    Message message;
    PartialFault fault{};
    EXPECT_FALSE(read_message(cut, message, fault)) << octets << " octets";
  }
  auto newer = whole;
  newer[3] = 3;
  Message message;
  PartialFault fault{};
  EXPECT_FALSE(read_message(newer, message, fault));
  EXPECT_EQ(fault, PartialFault::kVersionUnknown);
}

TEST(PartialCodec, GroupsOfAnotherFormAreRefused) {
  Sample sample;
  const auto whole = sample.write()[0];
  Message message;
  PartialFault fault{};
  ASSERT_TRUE(read_message(whole, message, fault));
  EXPECT_FALSE(PartialReader(form({Type::kInt8}, sample.f.aggregates)).read(message));
  EXPECT_FALSE(PartialReader(form({Type::kInt8, Type::kInet, Type::kText}, sample.f.aggregates)).read(message));
  EXPECT_FALSE(PartialReader(form({Type::kInt8, Type::kInet}, {aggregate("count", {})})).read(message));
}

// --- Inbox --------------------------------------------------------------------------------------------------------

struct Delivered {
  std::vector<std::string> chunks;
  Inbox::Deliver deliver = [this](const ChunkId& id, std::span<const uint8_t>) {
    chunks.push_back(std::to_string(id.origin.edge) + '/' + std::to_string(id.pane_start) + '/' +
                     std::to_string(id.supplement) + '/' + std::to_string(id.attempt) + '/' + std::to_string(id.chunk));
  };
};
Message data(uint32_t edge, Micros pane, uint32_t supplement, uint32_t attempt, uint32_t chunk, bool last) {
  Message message;
  message.chunk = {ChunkId::Kind::kPane, {edge, 1, 9}, pane, supplement, attempt, chunk, last};
  return message;
}
Message frontier(uint32_t edge, Micros time) {
  Message message;
  message.kind = Message::Kind::kFrontier;
  message.frontier.origin = {edge, 1, 9};
  message.frontier.frontier = time;
  return message;
}
Message rows(uint32_t edge, uint64_t epoch, uint32_t number) {
  Message message = data(edge, 0, number, 0, 0, true);
  message.chunk.kind = ChunkId::Kind::kRows;
  message.chunk.origin.epoch = epoch;
  return message;
}
const std::vector<uint8_t> kBytes(10, 1);

TEST(Inbox, DeliversEachPaneOnce) {
  Inbox inbox({1, 2});
  Delivered out;
  for (int repeat = 0; repeat < 3; ++repeat) inbox.accept(data(1, 60, 0, 0, 0, true), kBytes, out.deliver);
  inbox.accept(data(2, 60, 0, 0, 0, true), kBytes, out.deliver);
  inbox.accept(data(1, 60, 1, 0, 0, true), kBytes, out.deliver);
  EXPECT_EQ(out.chunks, (std::vector<std::string>{"1/60/0/0/0", "2/60/0/0/0", "1/60/1/0/0"}));
  EXPECT_EQ(inbox.drops(InboxDrop::kDuplicate), 2u);
}

TEST(Inbox, APaneAndACutAreTwoThings) {
  Inbox inbox({1});
  Delivered out;
  inbox.accept(data(1, 60, 0, 0, 0, true), kBytes, out.deliver);
  Message cut = data(1, 60, 0, 0, 0, true);
  cut.chunk.kind = ChunkId::Kind::kCut;
  for (int repeat = 0; repeat < 2; ++repeat) inbox.accept(cut, kBytes, out.deliver);
  EXPECT_EQ(out.chunks.size(), 2u);
  EXPECT_EQ(inbox.drops(InboxDrop::kDuplicate), 1u);
}

TEST(Inbox, TheFirstCompleteAttemptWins) {
  Inbox inbox({1});
  Delivered out;
  inbox.accept(data(1, 60, 0, 0, 0, false), kBytes, out.deliver);
  inbox.accept(data(1, 60, 0, 1, 1, true), kBytes, out.deliver);
  inbox.accept(data(1, 60, 0, 1, 0, false), kBytes, out.deliver);
  EXPECT_EQ(out.chunks, (std::vector<std::string>{"1/60/0/1/0", "1/60/0/1/1"}));
  inbox.accept(data(1, 60, 0, 0, 1, true), kBytes, out.deliver);
  EXPECT_EQ(out.chunks.size(), 2u);
  EXPECT_EQ(inbox.drops(InboxDrop::kDuplicate), 2u);
  EXPECT_EQ(inbox.pending_octets(), 0u);
}

TEST(Inbox, TheFrontierIsTheSlowestEdges) {
  Inbox inbox({1, 2});
  Delivered out;
  inbox.accept(frontier(1, 100), kBytes, out.deliver);
  EXPECT_EQ(inbox.frontier(), base::kMinTime);
  inbox.accept(frontier(2, 70), kBytes, out.deliver);
  EXPECT_EQ(inbox.frontier(), 70);
  inbox.accept(frontier(2, 60), kBytes, out.deliver);
  EXPECT_EQ(inbox.frontier(), 70) << "a repeat does not move it back";
}

TEST(Inbox, WhatIsFinalIsForgottenAndStaysClosed) {
  Inbox inbox({1});
  Delivered out;
  inbox.accept(data(1, 60, 0, 0, 0, false), kBytes, out.deliver);
  inbox.forget_before(120);
  EXPECT_EQ(inbox.drops(InboxDrop::kIncomplete), 1u);
  EXPECT_EQ(inbox.pending_octets(), 0u);
  inbox.accept(data(1, 60, 0, 0, 1, true), kBytes, out.deliver);
  EXPECT_EQ(inbox.drops(InboxDrop::kStale), 1u);
  EXPECT_TRUE(out.chunks.empty());
}

TEST(Inbox, RowsAreToldApartByTheirNumbers) {
  Inbox inbox({1});
  Delivered out;
  inbox.forget_before(1'000);  // Rows are of no pane, so of none that is final.
  for (const uint32_t number : {2, 0, 0, 1, 2, 1, 3}) inbox.accept(rows(1, 1, number), kBytes, out.deliver);
  EXPECT_EQ(out.chunks, (std::vector<std::string>{"1/0/2/0/0", "1/0/0/0/0", "1/0/1/0/0", "1/0/3/0/0"}));
  EXPECT_EQ(inbox.drops(InboxDrop::kDuplicate), 3u);
  inbox.accept(rows(1, 2, 0), kBytes, out.deliver);
  EXPECT_EQ(out.chunks.size(), 5u) << "another process of the edge begins anew";
}

TEST(Inbox, LossesAreTotalsOfEachEdgeAndOutliveARestart) {
  const auto read = [](const std::vector<uint8_t>& bytes) {
    Message message;
    PartialFault fault{};
    EXPECT_TRUE(read_message(bytes, message, fault));
    EXPECT_EQ(message.kind, Message::Kind::kLoss);
    return message;
  };
  Inbox inbox({1, 2});
  Delivered out;
  std::vector<uint8_t> none, some;
  inbox.save(none);
  for (const auto& [edge, epoch, rows] : {std::tuple(1u, 2u, 50u), {2u, 7u, 1'000u}, {1u, 3u, 80u}, {1u, 2u, 50u}}) {
    const Message message = read(write_loss({{edge, epoch, 77}, rows}));
    EXPECT_EQ(message.origin().incarnation, 77u);
    inbox.accept(message, kBytes, out.deliver);
  }
  EXPECT_EQ(inbox.lost(), 1'080u);
  inbox.save(some);
  Inbox loaded({1, 2});
  EXPECT_TRUE(loaded.load(some));
  EXPECT_EQ(loaded.lost(), 1'080u);
  EXPECT_TRUE(loaded.load(none)) << "a state of before, which knows of no losses";
  EXPECT_EQ(loaded.lost(), 0u);
  some.pop_back();
  EXPECT_FALSE(loaded.load(some));
}

TEST(Inbox, AnAbsentEdgeIsNotWaitedFor) {
  Inbox inbox({});
  EXPECT_EQ(inbox.frontier(), base::kMinTime) << "nobody is waited for, so nothing is known";
  const std::vector<Members::Member> both = {{1, false}, {2, false}}, without = {{1, false}, {2, true}};
  Delivered out;
  inbox.accept(frontier(1, 100), kBytes, out.deliver);
  inbox.set_members(both);
  EXPECT_EQ(inbox.frontier(), base::kMinTime);
  inbox.set_members(without);
  EXPECT_EQ(inbox.frontier(), 100) << "what it had reported is remembered";
  EXPECT_EQ(inbox.whole_frontier(), base::kMinTime);
  EXPECT_EQ(inbox.edges_behind(50), std::vector<uint32_t>{2});
  inbox.accept(frontier(2, 60), kBytes, out.deliver);
  EXPECT_EQ(inbox.whole_frontier(), 60);
  EXPECT_TRUE(inbox.edges_behind(60).empty());
  inbox.mark_gap(1, 20, 40);
  EXPECT_EQ(inbox.gaps_until(), 40);
  EXPECT_EQ(inbox.edges_missing(0, 20), std::vector<uint32_t>());
  EXPECT_EQ(inbox.edges_missing(20, 60), std::vector<uint32_t>{1});
  EXPECT_EQ(inbox.edges_missing(40, 60), std::vector<uint32_t>());
  EXPECT_EQ(inbox.edges_missing(30, 70), (std::vector<uint32_t>{1, 2}));
  std::vector<uint8_t> saved;
  inbox.save(saved);
  Inbox loaded({1, 2});
  EXPECT_TRUE(loaded.load(saved));
  EXPECT_EQ(loaded.edges_missing(30, 70), (std::vector<uint32_t>{1, 2}));
  inbox.forget_before(40);
  EXPECT_EQ(inbox.edges_missing(30, 60), std::vector<uint32_t>()) << "those windows are final";
}

TEST(Inbox, ReportsAreTotalsOfEachEpoch) {
  Inbox inbox({1});
  Delivered out;
  const auto report = [&](uint64_t epoch, Micros time, uint64_t counted) {
    Message message = frontier(1, time);
    message.frontier.origin.epoch = epoch;
    message.frontier.counted = counted;
    inbox.accept(message, kBytes, out.deliver);
  };
  report(1, 100, 10);
  report(1, 90, 8);  // A repeat.
  report(1, 200, 15);
  report(1, 200, 12);  // Another one.
  report(2, 150, 1);
  EXPECT_EQ(inbox.totals().counted, 16u);
  for (uint64_t epoch = 3; epoch < 40; ++epoch) report(epoch, 200, 1);
  EXPECT_EQ(inbox.totals().counted, 53u);
  report(1, 200, 15);
  EXPECT_EQ(inbox.totals().counted, 53u) << "what is summed up is not counted again";
}

TEST(Inbox, GoesOnFromASavedState) {
  Inbox inbox({1});
  Delivered out;
  inbox.accept(data(1, 60, 0, 0, 0, true), kBytes, out.deliver);
  inbox.accept(rows(1, 1, 0), kBytes, out.deliver);
  inbox.accept(rows(1, 1, 5), kBytes, out.deliver);
  inbox.accept(frontier(1, 70), kBytes, out.deliver);
  std::vector<uint8_t> saved;
  inbox.save(saved);
  Inbox next({1});
  ASSERT_TRUE(next.load(saved));
  EXPECT_EQ(next.frontier(), 70);
  for (const uint32_t number : {0, 1, 5}) next.accept(rows(1, 1, number), kBytes, out.deliver);
  next.accept(data(1, 60, 0, 0, 0, true), kBytes, out.deliver);
  EXPECT_EQ(out.chunks.size(), 4u) << "only the rows with the number 1 are new";
  for (size_t octets = 0; octets < saved.size(); ++octets)
    EXPECT_FALSE(next.load(std::span(saved).first(octets))) << octets << " octets";
  EXPECT_EQ(next.frontier(), 70) << "what cannot be read changes nothing";
}

TEST(Inbox, WaitingChunksAreBounded) {
  Inbox inbox({1}, 25);
  Delivered out;
  for (uint32_t chunk = 0; chunk < 4; ++chunk) inbox.accept(data(1, 60, 0, 0, chunk, false), kBytes, out.deliver);
  EXPECT_EQ(inbox.pending_octets(), 20u);
  EXPECT_EQ(inbox.drops(InboxDrop::kPendingLimit), 2u);
}

}  // namespace
}  // namespace backstream::partial
