// Which changes count, whatever compaction has left: by hand, and in a simulation of many nodes from a seed.
#include "catalog/change_order.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "catalog/topic_reading.h"
#include "transport/memory_keyed_log.h"

namespace backstream::catalog {
namespace {

using Action = Change::Action;
using std::chrono::milliseconds;
using transport::KeyedRecord;
using transport::LogStatus;
using transport::MemoryKeyedLog;
using transport::MemoryTopic;
using Verdict = ChangeOrder::Verdict;

constexpr uint64_t kDeployment = 0xb5;

ChangeKey key_of(uint64_t revision, uint8_t id, uint64_t deployment = kDeployment) {
  ChangeKey key{deployment, {revision}, {}};
  key.id.octets[0] = id;
  return key;
}

SettledChange change_of(uint64_t revision, const std::vector<std::pair<Action, std::string>>& items) {
  SettledChange change{{revision}, 0, "ann", "test", {}};
  for (const auto& [action, of] : items) {
    SettledChange::Item item{action, Kind::kQuery, of, {revision}, 1, "{}", "", ""};
    if (action == Action::kDrop || action == Action::kNote) item.body.clear();
    change.items.push_back(std::move(item));
  }
  return change;
}

std::string ids(const std::vector<ChangeKey>& keys) {
  std::string text;
  for (const ChangeKey& key : keys) text += fmt::format("{} ", key.id.octets[0]);
  return text;
}

TEST(ChangeRecord, AKeyIsItselfOrNone) {
  const ChangeKey key{0x0123456789abcdef, {42}, ChangeId::random()};
  const std::string text = key_text(key);
  ASSERT_LE(text.size(), transport::KeyedLog::kKeyOctetsMax);
  EXPECT_TRUE(text.starts_with("change/42/0123456789abcdef/")) << text;
  EXPECT_EQ(parse_change_key(text), key);
  for (size_t at = 0; at < text.size(); ++at) {
    for (const char other : {'0', '1', 'f', '/', 'F', ' '}) {
      std::string changed = text;
      if (changed[at] == other) continue;
      changed[at] = other;
      EXPECT_FALSE(parse_change_key(changed)) << changed;
    }
    EXPECT_FALSE(parse_change_key(text.substr(0, at)));
  }
  EXPECT_FALSE(parse_change_key(text + "0"));
  EXPECT_FALSE(parse_change_key(key_text({1, {0}, key.id})));
  EXPECT_FALSE(parse_change_key(key_text({1, {UINT64_MAX}, key.id})));
  EXPECT_FALSE(parse_change_key(key_text({0, {1}, key.id})));
  EXPECT_NE(ChangeId::random(), ChangeId::random());
}

// Records stay for ever: what was written once is read for ever.
TEST(ChangeRecord, GoldenRecordOfFormat1) {
  const std::string_view key = "change/42/00000000000000b5/07000000000000000000000000000000/190b4ce0";
  EXPECT_EQ(key_text(key_of(42, 7)), key);
  EXPECT_EQ(parse_change_key(key), key_of(42, 7));
  SettledChange read;
  ASSERT_EQ(decode_change(
                R"({"format":1,"revision":5,"at":-7,"author":"ann","via":"test","items":[{"action":"define","kind":)"
                R"("table","name":"t","incarnation":3,"version":2,"body":"{}","verb":"alter","comment":"why"},)"
                R"({"action":"note","kind":"service","name":"export","incarnation":0,"version":0,"body":"",)"
                R"("verb":"export","comment":""}]})",
                read),
            ChangeFault::kNone);
  SettledChange expected{{5}, -7, "ann", "test", {}};
  expected.items.push_back({Action::kDefine, Kind::kTable, "t", {3}, 2, "{}", "alter", "why"});
  expected.items.push_back({Action::kNote, Kind::kService, "export", {}, 0, "", "export", ""});
  EXPECT_EQ(read, expected);
}

TEST(ChangeRecord, AValueIsReadAsItWasWritten) {
  SettledChange change{{7}, -5, "änn", "api 192.0.2.1", {}};
  change.items.push_back(
      {Action::kDefine, Kind::kQuery, "q", {3}, 2, "{ \"a\": 1e3,\n \"é\": \"\\u0000\" }", "alter", "why"});
  change.items.push_back({Action::kDrop, Kind::kTable, "t", {1}, 9, "", "drop", ""});
  change.items.push_back({Action::kNote, Kind::kService, "export", {}, 0, "", "export", ""});
  SettledChange read;
  ASSERT_EQ(decode_change(encode_change(change), read), ChangeFault::kNone);
  EXPECT_EQ(read, change) << "octet by octet, bodies too";
  // What this version writes is what it reads for ever.
  EXPECT_EQ(encode_change(change_of(5, {{Action::kCreate, "q"}})),
            R"({"format":1,"revision":5,"at":0,"author":"ann","via":"test","items":[{"action":"create","kind":"query",)"
            R"("name":"q","incarnation":5,"version":1,"body":"{}","verb":"","comment":""}]})");
}

TEST(ChangeRecord, WhatIsNoChangeIsNamed) {
  SettledChange read;
  const std::string good = encode_change(change_of(5, {{Action::kCreate, "q"}}));
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  EXPECT_EQ(decode_change(with("\"format\":1", "\"format\":2"), read), ChangeFault::kLaterFormat);
  for (const std::string& text : {std::string(),
                                  std::string("[]"),
                                  std::string("{}"),
                                  good.substr(0, good.size() - 1),
                                  with("\"format\":1", "\"format\":0"),
                                  with("\"format\":1", "\"format\":\"1\""),
                                  with("\"revision\":5", "\"revision\":-5"),
                                  with("\"revision\":5", "\"revision\":0"),
                                  with("\"revision\":5", "\"revision\":1e99"),
                                  with("\"revision\":5", "\"revision\":18446744073709551615"),
                                  with("\"at\":0", "\"at\":\"now\""),
                                  with("\"author\":\"ann\",", ""),
                                  with("\"create\"", "\"put\""),
                                  with("\"create\"", "\"destroy\""),
                                  with("\"kind\":\"query\"", "\"kind\":\"quarry\""),
                                  with("\"name\":\"q\"", "\"name\":\"\""),
                                  with("\"name\":\"q\"", "\"name\":7"),
                                  with("\"version\":1", "\"version\":0"),
                                  with("\"version\":1", "\"version\":2"),
                                  with("\"version\":1", "\"version\":4294967296"),
                                  with("\"body\":\"{}\"", "\"body\":\"[]\""),
                                  with("\"body\":\"{}\"", "\"body\":{}"),
                                  with("\"incarnation\":5", "\"incarnation\":4"),
                                  with("[{", "[7,{")}) {
    EXPECT_EQ(decode_change(text, read), ChangeFault::kMalformed) << text;
  }
}

TEST(ChangeOrder, TheFirstOfARevisionCounts) {
  ChangeOrder order;
  const auto change = change_of(1, {{Action::kCreate, "q"}});
  EXPECT_EQ(order.take(key_of(1, 1), 10, &change), Verdict::kCounts);
  EXPECT_EQ(order.take(key_of(1, 2), 10, &change), Verdict::kRefused);
  EXPECT_EQ(order.take(key_of(2, 3, 0xee), 10, &change), Verdict::kOtherDeployment);
  EXPECT_EQ(order.take(key_of(2, 4), 10, nullptr), Verdict::kCounts) << "whether its value can be read or not";
  EXPECT_EQ(order.take(key_of(1, 5), 10, &change), Verdict::kRefused);
  EXPECT_EQ(order.revision().value, 2u);
  EXPECT_EQ(order.deployment(), kDeployment);
  EXPECT_EQ(order.counts(key_of(1, 1).id), true);
  EXPECT_EQ(order.counts(key_of(1, 2).id), false);
  EXPECT_EQ(order.counts(key_of(1, 9).id), std::nullopt);
  EXPECT_EQ(order.counting_as({1}), key_of(1, 1).id);
  EXPECT_EQ(order.counting_as({3}), std::nullopt);
}

TEST(ChangeOrder, WhatIsSpentGoesBehindWhatWasRefused) {
  ChangeOrder order;
  const auto take = [&](uint64_t revision, uint8_t id, const std::vector<std::pair<Action, std::string>>& items) {
    const auto change = change_of(revision, items);
    return order.take(key_of(revision, id), 10, &change);
  };
  take(1, 1, {{Action::kCreate, "a"}, {Action::kCreate, "b"}});
  take(2, 2, {{Action::kDefine, "a"}});
  EXPECT_EQ(ids(order.garbage(0, 0).spent), "") << "b is in the first one only, a in the newest";
  take(3, 3, {{Action::kDrop, "b"}});
  take(3, 4, {{Action::kDefine, "a"}});
  take(4, 5, {{Action::kNote, "n"}});
  ChangeOrder::Garbage garbage = order.garbage(0, 0);
  EXPECT_EQ(ids(garbage.refused), "4 ");
  EXPECT_EQ(ids(garbage.spent), "1 ") << "that b was dropped must be told while there is a record that has it";
  EXPECT_EQ(ids(order.garbage(1, 100).spent), "") << "the newest spent ones may stay";
  EXPECT_EQ(ids(order.garbage(1, 5).spent), "1 ") << "within their octets";
  order.take_removed(key_of(3, 4));
  order.take_removed(key_of(1, 1));
  garbage = order.garbage(0, 0);
  EXPECT_EQ(ids(garbage.refused), "");
  EXPECT_EQ(ids(garbage.spent), "3 ");
  order.take_removed(key_of(3, 3));
  EXPECT_EQ(order.record_count(), 2u);
  EXPECT_TRUE(order.lost().empty());
  take(5, 6, {{Action::kNote, "n"}});
  EXPECT_EQ(ids(order.garbage(0, 0).spent), "5 ") << "a note says nothing to who reads objects, but the newest stays";
}

TEST(ChangeOrder, WhatShouldNotHaveGoneIsLost) {
  ChangeOrder order;
  const auto first = change_of(1, {{Action::kCreate, "a"}, {Action::kCreate, "b"}});
  const auto second = change_of(2, {{Action::kDefine, "a"}});
  order.take(key_of(1, 1), 10, &first);
  order.take(key_of(2, 2), 10, &second);
  order.take_removed(key_of(1, 1, 0xee));
  order.take_removed(key_of(2, 1));
  EXPECT_TRUE(order.lost().empty()) << "another record's keys";
  order.take_removed(key_of(1, 1));
  const auto lost = order.lost();
  ASSERT_EQ(lost.objects.size(), 1u);
  EXPECT_EQ(lost.objects[0].second, "b");
  EXPECT_FALSE(lost.newest);
  EXPECT_EQ(order.take(key_of(2, 2), 10, &second), Verdict::kRefused) << "a mirror repeats it";
  EXPECT_TRUE(order.lost().newest) << "compaction keeps the one that does not count";
  EXPECT_EQ(ids(order.garbage(0, 0).refused), "2 ");
  const auto third = change_of(3, {{Action::kUpdate, "a"}, {Action::kUpdate, "b"}});
  order.take(key_of(3, 3), 10, &third);
  EXPECT_TRUE(order.lost().empty());
}

/// The cleaner has taken what was first, and not yet what was refused because of it: only its tombstone tells.
TEST(ChangeOrder, TombstonesCountBeforeAnythingIsDecided) {
  MemoryTopic topic;
  const std::vector<std::pair<ChangeKey, SettledChange>> written = {
      {key_of(1, 1), change_of(1, {{Action::kCreate, "first"}})},
      {key_of(1, 2), change_of(1, {{Action::kCreate, "second"}})},
      {key_of(2, 3), change_of(2, {{Action::kDrop, "first"}})}};
  for (const auto& [key, change] : written) topic.append(key_text(key), encode_change(change));
  topic.append(key_text(key_of(1, 2)), std::nullopt);
  topic.append(key_text(key_of(1, 1)), std::nullopt);
  topic.append(key_text(key_of(3, 4)), encode_change(change_of(3, {{Action::kNote, "n"}})));
  topic.compact(5, 1, false);
  ASSERT_EQ(topic.records().front().key, key_text(key_of(1, 2)));
  MemoryKeyedLog log(topic);
  uint64_t next = 0;
  const auto found = read_topic(
      log, [](CatalogFault, uint64_t) {}, next, [] { return false; });
  ASSERT_TRUE(found);
  EXPECT_EQ(next, 6u);
  ASSERT_EQ(found->content.changes.size(), 2u);
  EXPECT_EQ(found->content.changes[0].revision.value, 2u);
  EXPECT_EQ(found->order.revision().value, 3u);
}

/// Objects by name, with their revisions: what a reader makes of a log.
using Objects = std::map<std::string, uint64_t>;

void apply_to(Objects& objects, const SettledChange& change) {
  for (const SettledChange::Item& item : change.items) {
    if (item.action == Action::kDrop) objects.erase(item.name);
    else if (item.action != Action::kNote) objects[item.name] = change.revision.value;
  }
}

struct Found {
  uint64_t revision = 0;
  Objects objects;
  bool operator==(const Found&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Found& found) {
  out << "revision " << found.revision << ":";
  for (const auto& [of, revision] : found.objects) out << ' ' << of << '@' << revision;
  return out;
}

/// Many nodes at one topic, on no clock: each step something happens to somebody. A node follows record by record, or
/// reads from the begin in pieces between which others write and the cleaner works; it changes something, decided on
/// what it has read, whose record may come late, or twice; it removes what is spent, which may be cut short anywhere.
class Simulation {
 public:
  explicit Simulation(uint64_t seed) : random_(seed) {
    for (int i = 0; i < 3; ++i) nodes_.emplace_back();
  }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) step();
    for (const auto& [key, value] : late_) append(key, value);
    late_.clear();
    for (Node& node : nodes_) {
      while (!node.following || node.at != topic_.end()) read_some(node);
      expect_right(node);
    }
    EXPECT_EQ(fresh(), truth_);
    EXPECT_GT(truth_.revision, 10u) << "something happened at all";
  }

  uint64_t compacted = 0, removed = 0, raced = 0, followed_gaps = 0;

 private:
  struct Node {
    ChangeOrder order;
    Found found;
    bool following = false;
    uint64_t at = 0;
    std::optional<TopicReading> reading;
    std::deque<std::pair<uint64_t, ChangeKey>> removing;  ///< what it still has to remove; the first: before the others
    size_t removing_refused = 0;
  };

  size_t pick(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random_); }
  bool one_in(size_t count) { return pick(count) == 0; }

  void append(const ChangeKey& key, const std::optional<std::string>& value) {
    topic_.append(key_text(key), value ? std::optional<std::string_view>(*value) : std::nullopt);
    if (!value) return;
    // All of the log, as it is written: what it comes to for who misses nothing.
    SettledChange change;
    ASSERT_EQ(decode_change(*value, change), ChangeFault::kNone);
    if (key.revision.value <= truth_.revision || (deployment_ != 0 && key.deployment != deployment_)) {
      ++raced;
      return;
    }
    EXPECT_EQ(key.revision.value, truth_.revision + 1) << "revisions have no gaps";
    deployment_ = key.deployment;
    truth_.revision = key.revision.value;
    apply_to(truth_.objects, change);
  }

  void step() {
    Node& node = nodes_[pick(nodes_.size())];
    switch (pick(12)) {
      case 0:
      case 1:
      case 2: change(node); break;
      case 3:
      case 4:
      case 5: read_some(node); break;
      case 6: start_removing(node); break;
      case 7: go_on_removing(node); break;
      case 8: compact(); break;
      case 9:
        if (!late_.empty()) {
          const size_t which = pick(late_.size());
          append(late_[which].first, late_[which].second);
          late_.erase(late_.begin() + static_cast<long>(which));
        }
        break;
      case 10:
        if (one_in(6)) node = Node();  // It ends, in the middle of whatever it did, and another one starts.
        break;
      case 11: EXPECT_EQ(fresh(), truth_); break;
    }
  }

  /// On what the node knows, which may be old: then it must be refused.
  void change(Node& node) {
    if (!node.following) return;
    SettledChange change{{node.order.revision().value + 1}, 0, "", "", {}};
    for (size_t i = 0, count = 1 + (one_in(3) ? pick(4) : 0); i < count; ++i) {
      const std::string of = fmt::format("q{}", pick(6));
      Action action = one_in(8) ? Action::kNote : one_in(3) ? Action::kDrop : Action::kDefine;
      SettledChange::Item item{action, Kind::kQuery, of, {1}, 1, action == Action::kDefine ? "{}" : "", "", ""};
      change.items.push_back(std::move(item));
    }
    const ChangeKey key{node.order.deployment() != 0 ? node.order.deployment() : 1 + pick(3), change.revision,
                        next_id()};
    if (one_in(4)) late_.emplace_back(key, encode_change(change));
    else append(key, encode_change(change));
  }

  ChangeId next_id() {
    ChangeId id;
    ++ids_;
    std::memcpy(id.octets.data(), &ids_, sizeof ids_);
    return id;
  }

  void read_some(Node& node) {
    MemoryKeyedLog log(topic_);
    std::vector<KeyedRecord> records;
    uint64_t next = node.at;
    const size_t octets = one_in(2) ? 1 : 2'000;
    const OnFault no_fault = [](CatalogFault fault, uint64_t) { EXPECT_EQ(fault, CatalogFault::kOtherDeployment); };
    if (!node.following) {
      if (!node.reading) {
        node = Node();
        node.reading.emplace();
        next = 0;
      }
      if (node.at == topic_.end()) {
        auto found = std::move(*node.reading).decide(no_fault);
        node.reading.reset();
        node.order = std::move(found.order);
        node.found = {found.content.revision.value, {}};
        for (const SettledChange& change : found.content.changes) apply_to(node.found.objects, change);
        node.following = true;
        expect_right(node);
        return;
      }
      ASSERT_EQ(log.read(node.at, octets, milliseconds(0), records, next), LogStatus::kOk);
      for (KeyedRecord& record : records) node.reading->take(std::move(record), no_fault);
      node.at = next;
      return;
    }
    ASSERT_EQ(log.read(node.at, octets, milliseconds(0), records, next), LogStatus::kOk);
    for (const KeyedRecord& record : records) {
      if (record.offset != node.at) {
        ++followed_gaps;
        node = Node();
        return;
      }
      ++node.at;
      const auto key = parse_change_key(record.key);
      ASSERT_TRUE(key);
      if (record.is == KeyedRecord::Is::kTombstone) {
        node.order.take_removed(*key);
        continue;
      }
      SettledChange change;
      ASSERT_EQ(decode_change(record.value, change), ChangeFault::kNone);
      if (node.order.take(*key, record.value.size(), &change) != Verdict::kCounts) continue;
      node.found.revision = key->revision.value;
      apply_to(node.found.objects, change);
    }
    if (node.at != next) node = Node();
    expect_right(node);
  }

  /// Who has read all knows what is true, and nothing of it was lost.
  void expect_right(const Node& node) {
    EXPECT_TRUE(node.order.lost().empty());
    if (node.following && node.at == topic_.end()) {
      EXPECT_EQ(node.found, truth_);
    }
  }

  void start_removing(Node& node) {
    if (!node.following || !node.removing.empty()) return;
    const auto garbage = node.order.garbage(one_in(2) ? 0 : pick(4), 100'000);
    if (garbage.spent.empty() && !one_in(3)) return;
    for (const ChangeKey& key : garbage.refused) node.removing.emplace_back(0, key);
    node.removing_refused = garbage.refused.size();
    std::vector<ChangeKey> spent = garbage.spent;
    std::shuffle(spent.begin(), spent.end(), random_);  // Their order among themselves does not matter.
    for (const ChangeKey& key : spent) node.removing.emplace_back(1, key);
  }
  void go_on_removing(Node& node) {
    for (size_t i = 0, count = 1 + pick(8); i < count && !node.removing.empty(); ++i) {
      append(node.removing.front().second, std::nullopt);
      ++removed;
      node.removing.pop_front();
    }
  }

  void compact() {
    const uint64_t end = topic_.end();
    if (end == 0) return;
    const size_t before = topic_.records().size();
    const uint64_t dirty_end = one_in(2) ? end : pick(end) + 1;
    // Tombstones stay long enough for every reading that has begun: no reading is under way when they go.
    const bool expired = std::none_of(nodes_.begin(), nodes_.end(), [](const Node& node) { return !!node.reading; });
    topic_.compact(dirty_end, one_in(2) ? dirty_end : pick(dirty_end) + 1, expired && one_in(2));
    compacted += before - topic_.records().size();
  }

  /// What somebody finds who reads all that there is, now.
  Found fresh() {
    MemoryKeyedLog log(topic_);
    uint64_t next = 0;
    auto read = read_topic(
        log, [](CatalogFault, uint64_t) {}, next, [] { return false; });
    if (!read) return {};
    Found found{read->content.revision.value, {}};
    for (const SettledChange& change : read->content.changes) apply_to(found.objects, change);
    return found;
  }

  std::mt19937_64 random_;
  MemoryTopic topic_;
  std::deque<Node> nodes_;
  std::vector<std::pair<ChangeKey, std::optional<std::string>>> late_;  ///< sent, and not there yet
  uint64_t ids_ = 0;
  Found truth_;
  uint64_t deployment_ = 0;
};

TEST(ChangeOrderSimulation, CompactionNeverChangesWhatCounts) {
  const char* asked = std::getenv("BACKSTREAM_SEEDS");
  const uint64_t seeds = asked == nullptr ? 300 : std::stoull(asked);
  uint64_t compacted = 0, removed = 0, raced = 0, gaps = 0;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Simulation simulation(seed);
    simulation.run(600);
    if (HasFailure()) return;
    compacted += simulation.compacted;
    removed += simulation.removed;
    raced += simulation.raced;
    gaps += simulation.followed_gaps;
  }
  EXPECT_GT(compacted, seeds * 10) << "of the records";
  EXPECT_GT(removed, seeds * 10);
  EXPECT_GT(raced, seeds * 5);
  EXPECT_GT(gaps, 0u);
}

}  // namespace
}  // namespace backstream::catalog
