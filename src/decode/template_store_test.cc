#include "decode/template_store.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

namespace backstream::decode {
namespace {

const SenderKey kSender{base::Inet::v4(0x0a000001), 0};
TemplateKey key(uint16_t id, uint32_t domain = 1) { return {domain, 10, id}; }
TemplatePointer of(std::vector<FieldSpec> fields, Micros refreshed_at = 0) {
  auto made = std::make_shared<TemplateDefinition>();
  made->fields = std::move(fields);
  made->refreshed_at = refreshed_at;
  return made;
}
const std::vector<FieldSpec> kFields = {{8, 4, 0}, {12, 4, 0}, {1, 8, 29305}};

TemplateStore::Verdict define(TemplateStore& store, const TemplateKey& at, TemplatePointer what, uint64_t& seen,
                              const SenderKey& sender = kSender) {
  return store.define(sender, at, what, seen);
}

TEST(TemplateStore, ADecoderTakesInWhatAnotherLearnt) {
  TemplateStore store;
  uint64_t a = 0, b = 0;
  EXPECT_EQ(store.version(), 0u);
  EXPECT_EQ(define(store, key(256), of(kFields), a), TemplateStore::Verdict::kTaken);
  EXPECT_EQ(a, store.version()) << "its own change need not be read back";
  EXPECT_EQ(store.set_fact(kSender, {1, FactKind::kSamplingRate, 3}, {100, ""}, a), TemplateStore::Verdict::kTaken);
  store.withdraw(kSender, key(256), a);
  store.withdraw(kSender, key(256), a);
  EXPECT_EQ(store.version(), 3u) << "what is not known cannot be withdrawn";
  std::vector<TemplateStore::Change> changes;
  ASSERT_TRUE(store.changes_since(b, changes));
  EXPECT_EQ(b, 3u);
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[0].definition->fields, kFields);
  EXPECT_EQ(changes[1].fact.number, 100u);
  EXPECT_EQ(changes[2].definition, nullptr);
  changes.clear();
  ASSERT_TRUE(store.changes_since(b, changes));
  EXPECT_TRUE(changes.empty());
}

TEST(TemplateStore, ChangesOfTwoAreReadBackInTheirOrder) {
  TemplateStore store;
  uint64_t a = 0, b = 0;
  define(store, key(256), of(kFields), a);
  define(store, key(256), of({{1, 4, 0}}), b);  // b had not seen a's
  EXPECT_EQ(b, 0u) << "so it must read both";
  std::vector<TemplateStore::Change> changes;
  ASSERT_TRUE(store.changes_since(b, changes));
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[1].definition->fields.size(), 1u);
}

TEST(TemplateStore, AKnownLayoutIsNoChange) {
  TemplateStore store;
  uint64_t a = 0, b = 0;
  TemplatePointer first = of(kFields, 5), second = of(kFields, 9);
  store.define(kSender, key(256), first, a);
  EXPECT_EQ(store.define(kSender, key(256), second, b), TemplateStore::Verdict::kKnown);
  EXPECT_EQ(first, second) << "all share one, so that a refresh counts for all";
  EXPECT_EQ(first->refreshed_at, 9);
  EXPECT_EQ(store.version(), 1u);
}

TEST(TemplateStore, ADecoderThatLagsFarBehindReadsAllAgain) {
  TemplateStore store;
  uint64_t a = 0, b = 0;
  for (uint64_t i = 0; i < 5'000; ++i) store.set_fact(kSender, {1, FactKind::kSamplingRate, i % 10}, {i + 1, ""}, a);
  std::vector<TemplateStore::Change> changes;
  EXPECT_FALSE(store.changes_since(b, changes));
  EXPECT_EQ(b, 5'000u);
  EXPECT_EQ(store.announcements_of(kSender).facts.size(), 10u);
  EXPECT_EQ(store.announcements_of(kSender).facts[9].second.number, 5'000u);
}

TEST(TemplateStore, EverythingIsBounded) {
  TemplateStoreLimits limits;
  limits.sender_count_max = 3;
  limits.template_count_max = 4;
  limits.template_count_total_max = 6;
  limits.field_count_total_max = 20;
  limits.fact_count_max = 2;
  limits.fact_count_total_max = 3;
  limits.name_count_max = 2;
  limits.name_count_total_max = 3;
  TemplateStore store(limits);
  uint64_t seen = 0;
  const auto sender = [](uint32_t n) { return SenderKey{base::Inet::v4(n), 0}; };
  const auto full = TemplateStore::Verdict::kFull, taken = TemplateStore::Verdict::kTaken;
  for (uint16_t id = 256; id < 260; ++id) EXPECT_EQ(define(store, key(id), of({{1, 4, 0}}), seen, sender(1)), taken);
  EXPECT_EQ(define(store, key(260), of({{1, 4, 0}}), seen, sender(1)), full) << "of one sender";
  EXPECT_EQ(define(store, key(256), of({{2, 4, 0}}), seen, sender(1)), taken) << "a redefinition takes no room";
  EXPECT_EQ(define(store, key(256), of(std::vector<FieldSpec>(15, {1, 4, 0})), seen, sender(2)), taken);
  EXPECT_EQ(define(store, key(257), of(kFields), seen, sender(2)), full) << "fields of all";
  EXPECT_EQ(define(store, key(257), of({{1, 4, 0}}), seen, sender(2)), taken);
  EXPECT_EQ(define(store, key(256), of({{1, 4, 0}}), seen, sender(3)), full) << "templates of all";
  EXPECT_EQ(define(store, key(256), of({{1, 4, 0}}), seen, sender(4)), full) << "senders";
  const auto rate = [](uint64_t sampler) { return FactKey{1, FactKind::kSamplingRate, sampler}; };
  EXPECT_EQ(store.set_fact(sender(1), rate(1), {10, ""}, seen), taken);
  EXPECT_EQ(store.set_fact(sender(1), rate(2), {10, ""}, seen), taken);
  EXPECT_EQ(store.set_fact(sender(1), rate(3), {10, ""}, seen), full) << "facts of one sender";
  EXPECT_EQ(store.set_fact(sender(1), rate(2), {20, ""}, seen), taken);
  EXPECT_EQ(store.set_fact(sender(2), rate(1), {10, ""}, seen), taken);
  EXPECT_EQ(store.set_fact(sender(2), rate(2), {10, ""}, seen), full) << "facts of all";
  const auto name = [](uint64_t id) { return FactKey{1, FactKind::kVrfName, id}; };
  EXPECT_EQ(store.set_name(sender(1), name(1), {0, "a"}, 0), taken) << "names take no room of other facts";
  EXPECT_EQ(store.set_name(sender(1), name(2), {0, "a"}, 0), taken);
  EXPECT_EQ(store.set_name(sender(1), name(3), {0, "a"}, 0), full) << "names of one sender";
  EXPECT_EQ(store.set_name(sender(1), name(2), {0, "b"}, 0), taken);
  EXPECT_EQ(store.set_name(sender(2), name(1), {0, "a"}, 0), taken);
  EXPECT_EQ(store.set_name(sender(2), name(2), {0, "a"}, 0), full) << "names of all";
  EXPECT_EQ(store.set_name(sender(4), name(2), {0, "a"}, 0), full) << "senders";
  EXPECT_EQ(store.name_count(), 3u);
  EXPECT_EQ(store.template_count(), 6u);
  EXPECT_EQ(store.fact_count(), 3u);
  store.withdraw(sender(2), key(256), seen);
  EXPECT_EQ(define(store, key(258), of(kFields), seen, sender(2)), taken) << "what is withdrawn makes room";
}

TEST(TemplateStore, TemplatesThatAreNotRefreshedExpire) {
  TemplateStore store;
  uint64_t seen = 0, other = 0;
  const Micros minute = 60 * base::kMicrosPerSecond;
  define(store, key(256), of(kFields, 0), seen);
  define(store, key(257), of(kFields, 30 * minute), seen);
  store.announcements_of(kSender).templates[0].second->refreshed_at = 10 * minute;
  EXPECT_TRUE(store.expire(20 * minute, 10 * minute).empty());
  EXPECT_TRUE(store.expire(20 * minute + 1, 11 * minute).empty()) << "once a minute is enough";
  const auto expired = store.expire(21 * minute, 11 * minute);
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].second, 1u);
  EXPECT_EQ(store.template_count(), 1u);
  std::vector<TemplateStore::Change> changes;
  ASSERT_TRUE(store.changes_since(other, changes));
  EXPECT_EQ(changes.back().key, key(256));
  EXPECT_EQ(changes.back().definition, nullptr);
  EXPECT_NE(seen, store.version()) << "the decoder that asked must take it in, too";
}

TEST(TemplateStore, NamesAreReplacedAndDecodersAreNotToldOfThem) {
  TemplateStore store;
  const FactKey interface {
    1, FactKind::kInterfaceName, 7
  };
  EXPECT_EQ(store.set_name(kSender, interface, {0, "xe-0/0/0"}, 5), TemplateStore::Verdict::kTaken);
  const uint64_t changes = store.change_count();
  EXPECT_EQ(store.set_name(kSender, interface, {0, "xe-0/0/0"}, 6), TemplateStore::Verdict::kKnown);
  EXPECT_EQ(store.change_count(), changes) << "no reason to write a file";
  EXPECT_EQ(store.set_name(kSender, interface, {10'000, ""}, 6), TemplateStore::Verdict::kTaken);
  EXPECT_EQ(store.set_name(kSender, interface, {0, "xe-1/0/0"}, 7), TemplateStore::Verdict::kTaken);
  EXPECT_GT(store.change_count(), changes);
  EXPECT_EQ(store.names_of(kSender), (std::vector{std::pair(interface, Fact{10'000, "xe-1/0/0"})}))
      << "what is not told stays";
  EXPECT_EQ(store.version(), 0u);
  EXPECT_TRUE(store.announcements_of(kSender).facts.empty());
}

TEST(TemplateStore, NamesGoWithTheirSender) {
  const Micros minute = 60 * base::kMicrosPerSecond;
  const SenderKey router{base::Inet::v4(1), 0}, counters_only{base::Inet::v4(2), 0};
  TemplateStore store;
  uint64_t seen = 0;
  define(store, key(256), of(kFields, 0), seen, router);
  for (const SenderKey& sender : {router, counters_only})
    store.set_name(sender, {1, FactKind::kInterfaceName, 1}, {0, "a"}, 30 * minute);
  store.expire(60 * minute, 0);
  EXPECT_EQ(store.name_count(), 2u);
  store.expire(90 * minute, 30 * minute);
  EXPECT_EQ(store.template_count(), 0u);
  EXPECT_EQ(store.name_count(), 2u) << "they were told since then";
  store.expire(91 * minute, 31 * minute);
  EXPECT_EQ(store.name_count(), 0u);
  EXPECT_TRUE(store.senders().empty()) << "there is room for others";
  // Of a state file nobody knows when they were told: from the first look on.
  TemplateStore kept, again;
  kept.set_name(counters_only, {0, FactKind::kInterfaceName, 1}, {0, "a"}, 0);
  ASSERT_TRUE(again.decode(kept.encode()));
  again.expire(100 * minute, 40 * minute);
  EXPECT_EQ(again.name_count(), 1u);
  again.expire(170 * minute, 110 * minute);
  EXPECT_EQ(again.name_count(), 0u);
}

TemplateStore& filled(TemplateStore& store) {
  uint64_t seen = 0;
  const SenderKey v6{base::Inet::v6(0x20010db800000000, 7), 4739};
  define(store, key(256), of(kFields, 1'769'860'860'000'000), seen);
  define(store, {7, 9, 300}, of({{82, kVariable, 0}, {210, 0, 0}}, -5), seen);
  auto options = std::make_shared<TemplateDefinition>();
  options->options = true;
  options->scope_count = 1;
  options->fields = {{1, 4, kScopeTypes}, {34, 4, 0}};
  define(store, key(512, UINT32_MAX), options, seen, v6);
  store.set_fact(kSender, {1, FactKind::kSamplingRate, kNoSampler}, {1'000, ""}, seen);
  store.set_name(v6, {0, FactKind::kInterfaceName, 17}, {100'000'000'000, "et-0/0/1"}, 0);
  store.set_name(v6, {0, FactKind::kInterfaceDescription, 17}, {0, "to fra"}, 0);
  store.set_name(v6, {9, FactKind::kVrfName, 3}, {0, "blue"}, 0);
  store.set_name(kSender, {1, FactKind::kApplicationName, 0x0d000001}, {0, "dns"}, 0);
  store.set_name(kSender, {1, FactKind::kApplicationDescription, 0x0d000001}, {0, "Domain Name System"}, 0);
  return store;
}

TEST(TemplateStore, AStateFileGivesTheSameAgain) {
  TemplateStore store, again;
  const auto octets = filled(store).encode();
  ASSERT_TRUE(again.decode(octets));
  for (const SenderKey& sender : {kSender, SenderKey{base::Inet::v6(0x20010db800000000, 7), 4739}}) {
    EXPECT_EQ(again.announcements_of(sender), store.announcements_of(sender));
    EXPECT_EQ(again.names_of(sender), store.names_of(sender));
  }
  EXPECT_EQ(again.name_count(), 5u);
  EXPECT_EQ(again.announcements_of(kSender).templates[0].second->refreshed_at, 1'769'860'860'000'000);
  EXPECT_EQ(again.encode(), octets);
  EXPECT_EQ(again.template_count(), 3u);
  uint64_t seen = 0;
  TemplateStore newer;
  define(newer, key(256), of({{2, 8, 0}}), seen);
  ASSERT_TRUE(newer.decode(octets));
  EXPECT_EQ(newer.announcements_of(kSender).templates[0].second->fields.size(), 1u) << "what came since is newer";
}

TEST(TemplateStore, AStateFileOfTheVersionBeforeIsRead) {
  const std::vector<uint8_t> of_version_1 = {
      'B',  'S',  'E',  'X',  'P',  'O',  'R',  'T', 1,        // a template of two fields and a rate of 10.0.0.1
      1,    4,    10,   0,    0,    1,    0,    0,   0, 0, 0,  // address, port
      1,    1,    10,   0x80, 0x02, 0,    0,    2,   8, 4, 0,
      12,   4,    0,    1,    1,    1,    3,    100, 0,  // domain 1, sampling rate of sampler 3
      0x40, 0xf7, 0x57, 0xea, 0x4b, 0x3d, 0x55, 0x55};
  TemplateStore store;
  const auto taken = store.decode(of_version_1);
  ASSERT_TRUE(taken) << taken.error().message;
  ASSERT_EQ(store.announcements_of(kSender).templates.size(), 1u);
  EXPECT_EQ(store.announcements_of(kSender).templates[0].second->fields.size(), 2u);
  EXPECT_EQ(store.announcements_of(kSender).facts[0].second.number, 100u);
  EXPECT_EQ(store.encode()[8], 2) << "and written as the newest one";
}

TEST(TemplateStore, TimesOfBootsAreNotKept) {
  TemplateStore store, again;
  uint64_t seen = 0;
  store.set_fact(kSender, {1, FactKind::kSystemInitTime, 0}, {1'769'860'860'000, ""}, seen);
  store.set_fact(kSender, {1, FactKind::kSamplingRate, 1}, {10, ""}, seen);
  ASSERT_TRUE(again.decode(store.encode()));
  ASSERT_EQ(again.fact_count(), 1u) << "the exporter may have been restarted meanwhile";
}

TEST(TemplateStore, DamagedOctetsAreRefusedWhole) {
  TemplateStore store;
  const auto octets = filled(store).encode();
  const auto refuse = [](std::vector<uint8_t> bad, const char* why) {
    TemplateStore target;
    const std::vector<uint8_t> exact(bad.begin(), bad.end());
    const auto taken = target.decode(exact);
    ASSERT_FALSE(taken) << why;
    EXPECT_EQ(taken.error().code, "state");
    EXPECT_NE(taken.error().message.find(why), std::string::npos) << taken.error().message;
    EXPECT_EQ(target.template_count() + target.fact_count() + target.name_count(), 0u);
  };
  refuse({}, "no state file");
  refuse({'P', 'K', 3, 4, 0, 0, 0, 0, 0, 0, 0}, "no state file");
  for (size_t cut = 9; cut < octets.size(); ++cut)
    refuse({octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(cut)}, cut < 17 ? "ends early" : "checksum");
  auto other = octets;
  for (const uint8_t version : {0, 3}) {
    other[8] = version;
    refuse(other, "another version");
  }
  std::mt19937 random(7);
  for (int round = 0; round < 1'000; ++round) {
    auto bad = octets;
    const size_t at = 9 + random() % (bad.size() - 9);
    bad[at] = static_cast<uint8_t>(bad[at] ^ (1u << random() % 8));
    refuse(bad, "checksum");
  }
}

TEST(TemplateStore, OctetsWithAChecksumThatFitsAreStillChecked) {
  TemplateStore store;
  const auto octets = filled(store).encode();
  std::mt19937 random(11);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<uint8_t> bad(octets.begin() + 9, octets.end() - 8);
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips)
      bad[random() % bad.size()] = static_cast<uint8_t>(random());
    if (random() % 4 == 0) bad.resize(random() % bad.size());
    TemplateStore target;
    const bool taken = target.decode(TemplateStore::sealed(bad)).has_value();
    EXPECT_TRUE(taken || target.template_count() + target.fact_count() + target.name_count() == 0);
    for (const auto& [at, definition] : target.announcements_of(kSender).templates)
      EXPECT_TRUE(can_be_template(at.id, *definition));
  }
}

TEST(TemplateStore, ManyThreadsEndWithTheSameState) {
  TemplateStore store;
  constexpr int kThreads = 4, kRounds = 3'000;
  std::vector<TemplateStore::Announcements> seen_by(kThreads);
  std::vector<std::thread> threads;
  std::atomic<int> writing{kThreads};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      std::map<uint16_t, TemplatePointer> templates;
      std::map<FactKey, Fact> facts;
      uint64_t seen = 0;
      std::vector<TemplateStore::Change> changes;
      const auto take_in = [&] {
        if (store.version() == seen) return;
        changes.clear();
        if (!store.changes_since(seen, changes)) {
          templates.clear();
          facts.clear();
          const auto all = store.announcements_of(kSender);
          for (const auto& [at, definition] : all.templates) templates[at.id] = definition;
          for (const auto& [at, fact] : all.facts) facts[at] = fact;
          return;
        }
        for (const auto& change : changes) {
          if (change.is_fact) facts[change.fact_key] = change.fact;
          else if (change.definition == nullptr) templates.erase(change.key.id);
          else templates[change.key.id] = change.definition;
        }
      };
      for (int round = 0; round < kRounds; ++round) {
        take_in();
        const auto id = static_cast<uint16_t>(256 + random() % 5);
        if (random() % 5 == 0) {
          templates.erase(id);
          store.withdraw(kSender, key(id), seen);
        } else if (random() % 2 == 0) {
          TemplatePointer made = of({{static_cast<uint16_t>(1 + random() % 50), 4, 0}});
          store.define(kSender, key(id), made, seen);
          templates[id] = made;
        } else {
          const FactKey at{static_cast<uint32_t>(random() % 3), FactKind::kSamplingRate, random() % 3};
          facts[at] = {random() % 100, ""};
          store.set_fact(kSender, at, facts[at], seen);
        }
      }
      for (--writing; writing != 0;) std::this_thread::yield();
      take_in();
      for (const auto& [id, definition] : templates)
        seen_by[static_cast<size_t>(t)].templates.emplace_back(key(id), definition);
      for (const auto& [at, fact] : facts) seen_by[static_cast<size_t>(t)].facts.emplace_back(at, fact);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& announcements : seen_by) EXPECT_EQ(announcements, store.announcements_of(kSender));
}

}  // namespace
}  // namespace backstream::decode
