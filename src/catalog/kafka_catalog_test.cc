// Catalogs of many nodes over a topic in memory. What real brokers do to them: tests/cluster.
#include "catalog/kafka_catalog.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "catalog/change_record.h"
#include "transport/memory_keyed_log.h"

namespace backstream::catalog {
namespace {

using Action = Change::Action;
using base::fail;
using std::chrono::milliseconds;
using transport::KeyedLog;
using transport::MemoryKeyedLog;
using transport::MemoryTopic;
using Clock = std::chrono::steady_clock;

constexpr Micros kNow = 1'769'860'800'000'000;  // 2026-01-31 12:00 UTC
constexpr std::chrono::seconds kLong{60};       // On a machine that has more to do.
const Author kAnn{"ann", "cli"}, kBob{"bob", "cli"};

Change change(Action action, std::string of, std::string body = R"({"text":"SELECT 1"})", Kind kind = Kind::kQuery) {
  Change made;
  made.action = action;
  made.kind = kind;
  made.name = std::move(of);
  made.verb = action == Action::kDrop ? "drop" : "add";
  if (action != Action::kDrop && action != Action::kNote) made.body = std::move(body);
  return made;
}

bool until(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + kLong;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

class KafkaCatalogTest : public testing::Test {
 protected:
  KafkaCatalogTest() {
    std::string name = (std::filesystem::temp_directory_path() / "backstream-catalog-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
  }
  ~KafkaCatalogTest() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& node) const { return (folder_ / (node + ".sqlite")).string(); }
  OpenKeyedLog opener() {
    return [this](bool create) -> Result<std::unique_ptr<KeyedLog>> {
      if (away_) return fail("08001", "Kafka at nowhere does not answer");
      if (gone_ && !create) return fail("42704", "there is no topic");
      gone_ = false;
      return std::unique_ptr<KeyedLog>(std::make_unique<MemoryKeyedLog>(topic_, record_octets_max_));
    };
  }
  Result<std::unique_ptr<KafkaCatalog>> try_open(const std::string& node) {
    options_.copy_path = path(node);
    options_.warn = options_.note = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      told_ += line + "\n";
    };
    return open_log_catalog(opener(), "t.catalog", options_);
  }
  std::unique_ptr<KafkaCatalog> open(const std::string& node) {
    auto catalog = try_open(node);
    if (!catalog) throw std::runtime_error(catalog.error().render());
    return std::move(*catalog);
  }
  /// The SQLSTATE of a refusal; empty: it was done.
  std::string apply(Catalog& catalog, const std::vector<Change>& changes, const Author& author = kAnn) {
    const auto applied = catalog.apply(changes, author, kNow);
    if (applied) return "";
    error_ = applied.error();
    return error_.code;
  }
  static bool reaches(Catalog& catalog, uint64_t revision) {
    return until([&] { return catalog.wait_beyond({revision - 1}, milliseconds(100)).value >= revision; });
  }
  /// "kind name@revision body" of all.
  static std::string all(Catalog& catalog) {
    std::string text;
    for (size_t k = 0; k < kKindCount; ++k) {
      const auto listed = catalog.list(static_cast<Kind>(k));
      EXPECT_TRUE(listed);
      for (const Object& object : *listed)
        text += fmt::format("{} {}@{}.{}.{} {}; ", name(object.kind), object.name, object.incarnation.value,
                            object.version, object.revision.value, object.body);
    }
    return text;
  }
  std::string told() const {
    const std::lock_guard lock(mutex_);
    return told_;
  }
  uint64_t faults(const KafkaCatalog& catalog, CatalogFault fault) {
    return catalog.status().faults[static_cast<size_t>(fault)];
  }
  ChangeKey key(const KafkaCatalog& catalog, uint64_t revision) {
    return {catalog.status().deployment, {revision}, ChangeId::random()};
  }

  std::filesystem::path folder_;
  MemoryTopic topic_;
  std::atomic<bool> away_{false}, gone_{false};
  size_t record_octets_max_ = 8 << 20;
  KafkaCatalogOptions options_{.copy_path = "",
                               .patience = std::chrono::seconds(30),
                               .poll = milliseconds(5),
                               .retry = milliseconds(10),
                               .warn = {},
                               .note = {}};
  base::Diagnostic error_;

 private:
  mutable std::mutex mutex_;
  std::string told_;
};

TEST_F(KafkaCatalogTest, ANodeReadsWhatAnotherWrites) {
  const auto a = open("a"), b = open("b");
  std::thread reader([&] { EXPECT_GE(b->wait_beyond({0}, kLong).value, 1u) << "it wakes up"; });
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "q", R"({"n":1})"), change(Action::kCreate, "t", "{}", Kind::kTable)}),
            "");
  reader.join();
  EXPECT_EQ(apply(*a, {change(Action::kDefine, "q", R"({"n":2})")}), "");
  Change paused = change(Action::kUpdate, "q", R"({"n":2,"state":"paused"})");
  paused.verb = "pause";
  paused.comment = "too dear";
  ASSERT_TRUE(reaches(*b, 2));
  EXPECT_EQ(apply(*b, {paused}, kBob), "");
  ASSERT_TRUE(reaches(*a, 3));
  for (const auto* node : {&a, &b}) {
    Catalog& catalog = **node;
    EXPECT_EQ(all(catalog), R"(query q@1.2.3 {"n":2,"state":"paused"}; table t@1.1.1 {}; )");
    const auto history = catalog.history(Kind::kQuery, "q", 10);
    ASSERT_EQ(history->size(), 2u);
    EXPECT_EQ(history->at(0).revision.value, 2u);
    EXPECT_EQ(history->at(0).author, "ann");
    const auto audit = catalog.audit({.count_max = 1});
    const AuditEntry expected{{3}, kNow, "bob", "cli", "pause", Kind::kQuery, "q", 2, "too dear"};
    EXPECT_EQ(audit->front(), expected);
    EXPECT_EQ((*catalog.changed_since({1}))->size(), 1u);
    EXPECT_EQ((*catalog.changed_since({0}))->size(), 2u);
  }
  EXPECT_EQ(apply(*a, {change(Action::kDrop, "q")}), "");
  ASSERT_TRUE(reaches(*b, 4));
  EXPECT_EQ(all(*b), "table t@1.1.1 {}; ");
  EXPECT_EQ(a->status().deployment, b->status().deployment);
  EXPECT_TRUE(a->status().following && b->status().following);
}

TEST_F(KafkaCatalogTest, WhatCannotBeIsRefusedAsInOneProcess) {
  const auto a = open("a");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "q")}), "");
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "q")}), "42710");
  EXPECT_EQ(apply(*a, {change(Action::kDrop, "p")}), "42704");
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "")}), "22023");
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "x"), change(Action::kCreate, "bad", "[]")}), "22023");
  Change stale = change(Action::kDefine, "q");
  stale.expected = Revision{7};
  EXPECT_EQ(apply(*a, {stale}), "40001");
  EXPECT_EQ(all(*a), R"(query q@1.1.1 {"text":"SELECT 1"}; )");
  EXPECT_EQ(topic_.records().size(), 1u) << "nothing was written of what was refused";
  EXPECT_EQ(apply(*a, {}), "");
  record_octets_max_ = 1'000;
  const auto b = open("b");
  EXPECT_EQ(apply(*b, {change(Action::kCreate, "big", "{\"x\":\"" + std::string(2'000, 'x') + "\"}")}), "53400");
  EXPECT_EQ(apply(*b, {change(Action::kCreate, "small")}), "");
}

/// Two nodes, one name, at once: one has it. The same of two that change what both have seen.
TEST_F(KafkaCatalogTest, OfTwoAtOnceOneWins) {
  const auto a = open("a"), b = open("b");
  constexpr int kRounds = 40;
  size_t refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string of = fmt::format("q{}", round);
    std::array<std::string, 2> codes;
    std::atomic<int> ready{0};
    std::array<std::thread, 2> threads;
    for (size_t i = 0; i < 2; ++i) {
      threads[i] = std::thread([&, i] {
        Catalog& node = i == 0 ? *a : *b;
        ++ready;
        while (ready < 2) {
        }
        const auto made =
            node.apply(std::vector{change(Action::kCreate, of, fmt::format("{{\"by\":{}}}", i))}, kAnn, kNow);
        codes[i] = made ? "" : made.error().code;
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE((codes[0].empty() && codes[1] == "42710") || (codes[1].empty() && codes[0] == "42710"))
        << codes[0] << " " << codes[1];
    ASSERT_TRUE(until([&] { return a->revision() == b->revision(); }));
    EXPECT_EQ((*a->find(Kind::kQuery, of))->body, fmt::format("{{\"by\":{}}}", codes[0].empty() ? 0 : 1));
    refused = a->status().races + b->status().races;
  }
  EXPECT_EQ(a->revision().value, static_cast<uint64_t>(kRounds)) << "without gaps";
  EXPECT_EQ(all(*a), all(*b));
  EXPECT_EQ(all(*open("c")), all(*a)) << "and for who comes later";
  RecordProperty("races", static_cast<int>(refused));

  Change seen = change(Action::kDefine, "q0");
  seen.expected = (*a->find(Kind::kQuery, "q0"))->revision;
  EXPECT_EQ(apply(*b, {seen}), "");
  EXPECT_EQ(apply(*a, {seen}), "40001");
}

/// Everybody changes everything: what is there in the end is what the accepted changes made, in their order.
TEST_F(KafkaCatalogTest, ManyWritersMakeOneHistory) {
  options_.spent_kept = 40;
  constexpr size_t kNodes = 4, kEach = 25;
  std::vector<std::unique_ptr<KafkaCatalog>> nodes;
  for (size_t i = 0; i < kNodes; ++i) nodes.push_back(open(fmt::format("n{}", i)));
  std::atomic<uint64_t> made{0};
  std::atomic<bool> stop{false};
  std::thread cleaner([&] {
    std::mt19937 random(1);
    while (!stop) {
      const uint64_t end = topic_.end() + 1;
      topic_.compact(random() % end, random() % end, false);
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  std::vector<std::thread> writers;
  for (size_t i = 0; i < kNodes; ++i) {
    writers.emplace_back([&, i] {
      std::mt19937 random(static_cast<unsigned>(i));
      for (size_t n = 0; n < kEach; ++n) {
        const std::string of = fmt::format("q{}", random() % 5);
        const std::vector<Change> changes = {
            random() % 4 == 0 ? change(Action::kDrop, of) : change(Action::kPut, of, fmt::format("{{\"by\":{}}}", i)),
            change(Action::kPut, "twin", fmt::format("{{\"of\":\"{}\"}}", of), Kind::kTable)};
        const auto applied = nodes[i]->apply(changes, kAnn, kNow);
        if (applied) ++made;
        else EXPECT_EQ(applied.error().code, "42704") << applied.error().render();
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  stop = true;
  cleaner.join();
  EXPECT_GT(made.load(), kNodes * kEach / 2);
  for (const auto& node : nodes) {
    ASSERT_TRUE(reaches(*node, made)) << node->revision().value;
    EXPECT_EQ(node->revision().value, made.load()) << "one revision a change";
    EXPECT_EQ(all(*node), all(*nodes[0]));
    EXPECT_EQ(node->status().restored, 0u) << told();
  }
  const auto last = nodes[0]->audit({.count_max = 2});
  EXPECT_EQ((*nodes[0]->find(Kind::kTable, "twin"))->body, fmt::format("{{\"of\":\"{}\"}}", last->at(1).name))
      << "both of one change";
  const std::string expected = all(*nodes[0]);
  nodes.clear();
  topic_.compact(UINT64_MAX, UINT64_MAX, false);
  topic_.compact(UINT64_MAX, UINT64_MAX, true);
  const auto late = open("late");
  EXPECT_EQ(all(*late), expected);
  EXPECT_EQ(late->revision().value, made.load());
  EXPECT_LT(topic_.records().size(), 60u) << "what says nothing any more has gone";
}

TEST_F(KafkaCatalogTest, WhoWasAwayFindsWhatIsThereAndNothingElse) {
  options_.spent_kept = 0;
  auto a = open("a");
  auto b = open("b");
  for (const char* of : {"kept", "dropped", "remade"}) ASSERT_EQ(apply(*a, {change(Action::kCreate, of)}), "");
  ASSERT_TRUE(reaches(*b, 3));
  b.reset();
  ASSERT_EQ(apply(*a, {change(Action::kDrop, "dropped")}), "");
  ASSERT_EQ(apply(*a, {change(Action::kDrop, "remade")}), "");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "remade", R"({"n":2})")}), "");
  for (int i = 0; i < 4; ++i) ASSERT_EQ(apply(*a, {change(Action::kPut, "other", fmt::format("{{\"n\":{}}}", i))}), "");
  ASSERT_TRUE(until([&] { return a->status().removed >= 7; })) << a->status().removed;
  // Everything that may go has gone, the tombstones as well.
  ASSERT_EQ(apply(*a, {change(Action::kPut, "other", "{}")}), "");
  topic_.compact(UINT64_MAX, UINT64_MAX, false);
  topic_.compact(UINT64_MAX, UINT64_MAX, true);
  for (const auto& record : topic_.records()) EXPECT_TRUE(record.value || record.offset + 3 > topic_.end());

  b = open("b");
  EXPECT_EQ(all(*b), all(*a));
  EXPECT_FALSE((*b->find(Kind::kQuery, "dropped")).has_value());
  EXPECT_EQ((*b->find(Kind::kQuery, "remade"))->incarnation.value, 6u);
  EXPECT_EQ(b->changed_since({3})->has_value(), false) << "it cannot tell what it has not seen: list everything";
  EXPECT_TRUE(b->changed_since({b->revision().value - 1})->has_value());
  EXPECT_EQ(b->history(Kind::kQuery, "dropped", 10)->size(), 1u) << "what it knew it still knows";
  ASSERT_EQ(apply(*b, {change(Action::kPut, "more")}), "");
  EXPECT_EQ(b->changed_since({b->revision().value - 2})->value().size(), 2u);
}

/// A process that stands still while the others go on, and the cleaner with them.
TEST_F(KafkaCatalogTest, WhoFallsBehindReadsAnew) {
  options_.spent_kept = 0;
  const auto a = open("a");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "q")}), "");
  options_.poll = milliseconds(1);
  struct Gate {
    std::mutex mutex;
  } gate;
  // Reads of `b` wait at the gate.
  class Slow : public KeyedLog {
   public:
    Slow(MemoryTopic& topic, Gate& gate) : log_(topic), gate_(gate) {}
    transport::LogStatus append_all(std::span<const Addition> additions,
                                    std::vector<transport::Log::Appended>& results) override {
      return log_.append_all(additions, results);
    }
    transport::LogStatus read(uint64_t offset, size_t octets_max, milliseconds patience,
                              std::vector<transport::KeyedRecord>& out, uint64_t& next) override {
      const std::lock_guard lock(gate_.mutex);
      return log_.read(offset, octets_max, patience, out, next);
    }
    std::optional<uint64_t> begin_offset() override { return log_.begin_offset(); }
    std::optional<uint64_t> end_offset() override { return log_.end_offset(); }
    size_t record_octets_max() const override { return log_.record_octets_max(); }
    std::string last_error() const override { return ""; }

   private:
    MemoryKeyedLog log_;
    Gate& gate_;
  };
  options_.copy_path = path("b");
  auto opened = open_log_catalog(
      [&](bool) -> Result<std::unique_ptr<KeyedLog>> { return std::unique_ptr<KeyedLog>(new Slow(topic_, gate)); },
      "t.catalog", options_);
  ASSERT_TRUE(opened) << opened.error().render();
  const auto& b = *opened;
  {
    const std::lock_guard closed(gate.mutex);
    ASSERT_EQ(apply(*a, {change(Action::kDrop, "q")}), "");
    for (int i = 0; i < 5; ++i) ASSERT_EQ(apply(*a, {change(Action::kPut, "r", fmt::format("{{\"n\":{}}}", i))}), "");
    ASSERT_TRUE(until([&] { return a->status().removed >= 6; }));
    topic_.compact(UINT64_MAX, UINT64_MAX, false);
    topic_.compact(UINT64_MAX, UINT64_MAX, true);
    EXPECT_EQ(b->revision().value, 1u) << "it stands still";
  }
  ASSERT_TRUE(reaches(*b, a->revision().value));
  EXPECT_EQ(all(*b), all(*a));
  EXPECT_TRUE(until([&] { return b->status().rereads == 2; })) << b->status().rereads;
  EXPECT_FALSE(b->changed_since({1})->has_value());
}

TEST_F(KafkaCatalogTest, BadRecordsAreCountedAndPassedOver) {
  auto a = open("a");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "q")}), "");
  topic_.append_foreign("garbage");
  topic_.append("garbage", "more of it");
  topic_.append("garbage", std::nullopt);
  topic_.append(key_text({0xee, {2}, ChangeId::random()}), "of somebody else");
  // Whose values make no sense, or are of another revision: they count, and say nothing.
  topic_.append(key_text(key(*a, 2)), "no change");
  SettledChange other{{9}, kNow, "x", "y", {}};
  other.items.push_back({Action::kCreate, Kind::kQuery, "evil", {9}, 1, "{}", "", ""});
  topic_.append(key_text(key(*a, 3)), encode_change(other));
  const uint64_t damaged = topic_.append(key_text(key(*a, 4)), "was written");
  topic_.damage(damaged);
  ASSERT_TRUE(reaches(*a, 4));
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "") << "the others go on";
  EXPECT_EQ(a->revision().value, 5u);
  for (int open_again = 0; open_again < 2; ++open_again) {
    EXPECT_EQ(faults(*a, CatalogFault::kForeign), 3u);
    EXPECT_EQ(faults(*a, CatalogFault::kOtherDeployment), 1u);
    EXPECT_EQ(faults(*a, CatalogFault::kMalformed), 2u);
    EXPECT_EQ(faults(*a, CatalogFault::kDamaged), 1u);
    EXPECT_EQ(all(*a), R"(query q@1.1.1 {"text":"SELECT 1"}; query r@5.1.5 {"text":"SELECT 1"}; )");
    EXPECT_NE(told().find("record 1 of topic 't.catalog' is passed over (foreign; 1 so far)"), std::string::npos)
        << told();
    EXPECT_FALSE(a->changed_since({1})->has_value()) << "it does not know what those changed";
    a.reset();
    a = open(open_again == 0 ? "a" : "b");
  }
  EXPECT_EQ(a->status().trouble, "");
}

TEST_F(KafkaCatalogTest, WhatRotsIsKeptByWhoHasIt) {
  auto a = open("a");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "q")}), "");
  ASSERT_EQ(apply(*a, {change(Action::kDefine, "q", R"({"n":2})")}), "");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "r")}), "");
  const std::string whole = all(*a);
  a.reset();
  topic_.damage(1);
  a = open("a");
  EXPECT_EQ(all(*a), whole) << "not what the record before it said";
  ASSERT_EQ(apply(*a, {change(Action::kDrop, "q")}), "");
  a.reset();
  a = open("a");
  EXPECT_FALSE((*a->find(Kind::kQuery, "q")).has_value());
}

TEST_F(KafkaCatalogTest, ALaterVersionIsNotWrittenOver) {
  const auto a = open("a");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "q")}), "");
  topic_.append(key_text(key(*a, 2)), R"({"format":2,"what":"is not known"})");
  ASSERT_TRUE(reaches(*a, 2));
  ASSERT_TRUE(until([&] { return !a->status().following; }));
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "0A000") << error_.render();
  EXPECT_EQ(faults(*a, CatalogFault::kLaterFormat), 1u);
  SettledChange known{{3}, kNow, "x", "y", {}};
  known.items.push_back({Action::kCreate, Kind::kQuery, "r", {3}, 1, "{}", "", ""});
  topic_.append(key_text(key(*a, 3)), encode_change(known));
  ASSERT_TRUE(reaches(*a, 3));
  EXPECT_TRUE((*a->find(Kind::kQuery, "r")).has_value()) << "what it understands it follows";
  const auto b = open("b");
  EXPECT_EQ(apply(*b, {change(Action::kCreate, "s")}), "0A000");
  EXPECT_EQ(b->status().faults, a->status().faults);
}

TEST_F(KafkaCatalogTest, WhatSomebodyRemovedIsBroughtBack) {
  const auto a = open("a"), b = open("b");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "q"), change(Action::kCreate, "r")}), "");
  ASSERT_EQ(apply(*a, {change(Action::kDefine, "r", R"({"n":2})")}), "");
  for (const auto& record : topic_.records()) topic_.append(record.key, std::nullopt);
  ASSERT_TRUE(until([&] { return a->status().restored + b->status().restored > 0 && b->revision().value > 2; }));
  ASSERT_TRUE(until([&] {
    topic_.compact(UINT64_MAX, UINT64_MAX, false);
    return all(*open("late")) == all(*a);
  })) << told();
  EXPECT_NE(told().find("were gone that should be there"), std::string::npos);
  EXPECT_EQ((*a->find(Kind::kQuery, "r"))->body, R"({"n":2})");
  EXPECT_EQ((*a->find(Kind::kQuery, "r"))->version, 2u);
}

TEST_F(KafkaCatalogTest, WithoutBrokersItIsReadAndNotChanged) {
  auto a = open("a");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "q")}), "");
  options_.patience = milliseconds(50);
  a.reset();
  a = open("a");
  topic_.set_away(true);
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "58030");
  EXPECT_TRUE(error_.message.starts_with("nothing was changed: ")) << error_.render();
  EXPECT_NE(error_.hint.find("try again"), std::string::npos);
  ASSERT_TRUE(until([&] { return !a->status().following; }));
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "58030");
  EXPECT_TRUE((*a->find(Kind::kQuery, "q")).has_value());
  // It also starts so, from what it knows; who knows nothing does not.
  a.reset();
  away_ = true;
  a = open("a");
  EXPECT_EQ(a->revision().value, 1u);
  EXPECT_TRUE((*a->find(Kind::kQuery, "q")).has_value());
  EXPECT_NE(told().find("does not answer; changes are refused, reads come from the copy at revision 1"),
            std::string::npos)
      << told();
  const auto fresh = try_open("fresh");
  ASSERT_FALSE(fresh);
  EXPECT_EQ(fresh.error().code, "08001");
  topic_.set_away(false);
  away_ = false;
  ASSERT_TRUE(until([&] { return a->status().following; }));
  options_.patience = kLong;
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "");
  EXPECT_NE(told().find("is followed again"), std::string::npos) << told();
}

/// The answer was lost, the record was not: it is read back, and the change is made once.
TEST_F(KafkaCatalogTest, AnAnswerThatIsLostLeavesNothingUnknown) {
  const auto a = open("a");
  topic_.lose_answers(1);
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "q")}), "");
  EXPECT_EQ(a->revision().value, 1u);
  // It comes late, behind another attempt of the same change.
  topic_.hold_back(1);
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "");
  topic_.release();
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "s")}), "");
  EXPECT_EQ(a->revision().value, 3u);
  EXPECT_EQ(a->audit({})->size(), 3u) << "each once";
  EXPECT_EQ(all(*open("b")), all(*a));
}

TEST_F(KafkaCatalogTest, WhatIsNotKnownIsSaidAndFoundOut) {
  options_.patience = milliseconds(100);
  const auto a = open("a");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "q")}), "");
  topic_.hold_back(2);
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "58030");
  EXPECT_TRUE(error_.message.starts_with("whether it was changed is not known: ")) << error_.render();
  EXPECT_FALSE(error_.hint.empty());
  topic_.release();
  ASSERT_TRUE(reaches(*a, 2));
  ASSERT_TRUE(until([&] {
    return told().find("catalog: 'add query 'r'', of which it was not known, was done as revision 2") !=
           std::string::npos;
  })) << told();
  topic_.hold_back(2);
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "s")}), "58030");
  ASSERT_EQ(apply(*open("b"), {change(Action::kCreate, "t")}), "");
  ASSERT_TRUE(until([&] {
    return told().find("catalog: 'add query 's'' was not done: another change was before it") != std::string::npos;
  })) << told();
  topic_.release();
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "u")}), "");
  EXPECT_FALSE((*a->find(Kind::kQuery, "s")).has_value());
}

TEST_F(KafkaCatalogTest, ATopicThatIsGoneIsNotMadeAnew) {
  auto a = open("a");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "q"), change(Action::kCreate, "token", "{}", Kind::kToken)}), "");
  ASSERT_EQ(apply(*a, {change(Action::kDefine, "q", R"({"n":2})")}), "");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "n", "{}", Kind::kNode)}), "");
  const uint64_t deployment = a->status().deployment;
  a.reset();
  gone_ = true;
  topic_.clear();
  a = open("a");
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "55000");
  EXPECT_NE(error_.message.find("is gone, and this node has a copy of it at revision 3"), std::string::npos)
      << error_.render();
  EXPECT_NE(error_.hint.find("backstream catalog restore"), std::string::npos);
  EXPECT_TRUE((*a->find(Kind::kQuery, "q")).has_value()) << "it runs on";
  EXPECT_TRUE(gone_);

  // Somebody else makes it anew, empty.
  gone_ = false;
  ASSERT_TRUE(until([&] { return a->status().trouble.find("is at revision 0") != std::string::npos; })) << told();
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "55000");
  const auto in_use = restore_log_catalog(opener(), "t.catalog", path("a"), kAnn, kNow);
  ASSERT_FALSE(in_use);
  EXPECT_EQ(in_use.error().code, "55006") << "while a node runs on the copy";
  a.reset();
  const auto restored = restore_log_catalog(opener(), "t.catalog", path("a"), kAnn, kNow);
  ASSERT_TRUE(restored) << restored.error().render();
  EXPECT_EQ(*restored, 3u);
  a = open("a");
  EXPECT_EQ(all(*a), R"(query q@1.2.4 {"n":2}; node n@3.1.4 {}; token token@1.1.4 {}; )");
  EXPECT_EQ(a->status().deployment, deployment);
  EXPECT_EQ(all(*open("b")), all(*a));
  EXPECT_EQ(open("b")->history(Kind::kQuery, "q", 10)->size(), 1u);
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "");
  a.reset();
  const auto again = restore_log_catalog(opener(), "t.catalog", path("a"), kAnn, kNow);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, "55000") << "nothing is lost: " << again.error().render();
}

TEST_F(KafkaCatalogTest, ATopicThatIsMadeAnewMeanwhileIsNoticed) {
  const auto a = open("a");
  for (const char* of : {"q", "r"}) ASSERT_EQ(apply(*a, {change(Action::kCreate, of)}), "");
  topic_.clear();
  ASSERT_TRUE(until([&] { return !a->status().following; }));
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "s")}), "55000");
  EXPECT_EQ(a->list(Kind::kQuery)->size(), 2u);
  EXPECT_EQ(topic_.end(), 0u);
}

TEST_F(KafkaCatalogTest, AnotherDeploymentIsNotJoinedUnseen) {
  ASSERT_EQ(apply(*open("a"), {change(Action::kCreate, "q")}), "");
  topic_.clear();
  ASSERT_EQ(apply(*open("b"), {change(Action::kCreate, "other")}), "");
  ASSERT_EQ(apply(*open("b"), {change(Action::kCreate, "more")}), "");
  const auto opened = try_open("a");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "55000");
  EXPECT_NE(opened.error().message.find("is of deployment"), std::string::npos) << opened.error().render();
  const auto restored = restore_log_catalog(opener(), "t.catalog", path("a"), kAnn, kNow);
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, "55000");
}

TEST_F(KafkaCatalogTest, ACopyIsNoCatalogAndADamagedOneIsRefused) {
  {
    const auto a = open("a");
    for (int i = 0; i < 20; ++i)
      ASSERT_EQ(
          apply(*a, {change(Action::kCreate, fmt::format("q{}", i), "{\"x\":\"" + std::string(400, 'x') + "\"}")}), "");
  }
  std::string whole;
  {
    std::ifstream file(path("a"), std::ios::binary);
    whole.assign((std::istreambuf_iterator<char>(file)), {});
  }
  const size_t at = whole.find(std::string(100, 'x'));
  ASSERT_NE(at, std::string::npos);
  whole[at + 50] = 'y';
  std::ofstream(path("a"), std::ios::binary | std::ios::trunc) << whole;
  const auto damaged = try_open("a");
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, "XX001");
  EXPECT_NE(damaged.error().hint.find("the topic has all of it"), std::string::npos) << damaged.error().render();
  // Its origin, too.
  { const auto b = open("b"); }
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path("b").c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, "UPDATE origin SET deployment = deployment + 1", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const auto changed = try_open("b");
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, "XX001");
}

TEST_F(KafkaCatalogTest, AnExportIsImported) {
  const auto a = open("a");
  ASSERT_EQ(apply(*a, {change(Action::kCreate, "q"), change(Action::kCreate, "t", "{}", Kind::kTable)}), "");
  const auto document = export_document(*a);
  ASSERT_TRUE(document);
  MemoryTopic other;
  options_.copy_path = path("other");
  const auto b = open_log_catalog(
      [&](bool) -> Result<std::unique_ptr<KeyedLog>> { return std::unique_ptr<KeyedLog>(new MemoryKeyedLog(other)); },
      "o.catalog", options_);
  ASSERT_TRUE(b);
  EXPECT_EQ(*import_document(**b, *document, kAnn, kNow), 2u);
  EXPECT_EQ(all(**b), all(*a));
}

}  // namespace
}  // namespace backstream::catalog
