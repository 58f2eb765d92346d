// The catalog of many nodes with real brokers (BACKSTREAM_KAFKA=HOST:PORT,...), which compact its topic while it is
// written.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "catalog/kafka_catalog.h"
#include "transport/kafka_bus.h"
#include "transport/kafka_keyed_log.h"

namespace backstream::catalog {
namespace {

using Action = Change::Action;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

const Author kAnn{"ann", "cli"};
constexpr std::chrono::minutes kLong{3};

Change change(Action action, std::string of, std::string body = "{}") {
  Change made;
  made.action = action;
  made.name = std::move(of);
  made.verb = action == Action::kDrop ? "drop" : "add";
  if (action != Action::kDrop) made.body = std::move(body);
  return made;
}

bool until(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + kLong;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return true;
}

class ClusterCatalog : public testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("BACKSTREAM_KAFKA") == nullptr) GTEST_SKIP() << "wants BACKSTREAM_KAFKA=HOST:PORT,...";
    std::string name = (std::filesystem::temp_directory_path() / "backstream-catalog-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    const std::string brokers = std::getenv("BACKSTREAM_KAFKA");
    for (size_t at = 0; at < brokers.size();) {
      const size_t end = std::min(brokers.find(',', at), brokers.size());
      kafka_.brokers.push_back(brokers.substr(at, end - at));
      at = end + 1;
    }
    kafka_.request_timeout = kafka_.append_timeout = std::chrono::minutes(1);  // Of machines that have more to do.
    prefix_ = fmt::format("test{}-{}", ::getpid(), std::random_device{}());
    topic_.name = transport::kafka_topic_name(prefix_, "catalog");
    topic_.check_timeout = std::chrono::minutes(1);
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  /// As somebody else would do it; `config` empty: deletes it.
  void change_topic(const std::vector<std::pair<std::string, std::string>>& config) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", kafka_.brokers[0].c_str(), nullptr, 0);
    rd_kafka_t* client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, nullptr, 0);
    rd_kafka_queue_t* queue = rd_kafka_queue_new(client);
    rd_kafka_NewTopic_t* made = rd_kafka_NewTopic_new(topic_.name.c_str(), 1, -1, nullptr, 0);
    rd_kafka_DeleteTopic_t* deleted = rd_kafka_DeleteTopic_new(topic_.name.c_str());
    for (const auto& [name, value] : config) rd_kafka_NewTopic_set_config(made, name.c_str(), value.c_str());
    if (config.empty()) rd_kafka_DeleteTopics(client, &deleted, 1, nullptr, queue);
    else rd_kafka_CreateTopics(client, &made, 1, nullptr, queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 60'000);
    ASSERT_NE(event, nullptr);
    EXPECT_EQ(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(made);
    rd_kafka_DeleteTopic_destroy(deleted);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
  }

  std::string path(const std::string& node) const { return (folder_ / (node + ".sqlite")).string(); }
  /// A node has a connection of its own.
  OpenKeyedLog opener() const {
    transport::KafkaBus::Options options;
    options.prefix = prefix_;
    options.client = options.keyed_client = kafka_;
    options.topic = topic_;
    return [bus = std::make_shared<transport::KafkaBus>(std::move(options))](bool create) {
      return bus->open_keyed_log("catalog", kChangeOctetsMax, create);
    };
  }
  Result<std::unique_ptr<KafkaCatalog>> try_open(const std::string& node) {
    KafkaCatalogOptions options;
    options.copy_path = path(node);
    options.patience = std::chrono::minutes(1);
    options.retry = milliseconds(200);
    options.spent_kept = spent_kept_;
    return open_log_catalog(opener(), topic_.name, std::move(options));
  }
  std::unique_ptr<KafkaCatalog> open(const std::string& node) {
    auto catalog = try_open(node);
    if (!catalog) throw std::runtime_error(catalog.error().render());
    return std::move(*catalog);
  }
  static std::string apply(Catalog& catalog, const std::vector<Change>& changes) {
    const auto applied = catalog.apply(changes, kAnn, base::wall_clock());
    return applied ? "" : applied.error().code;
  }
  static std::string all(Catalog& catalog) {
    std::string text;
    const auto listed = catalog.list(Kind::kQuery);
    for (const Object& object : *listed)
      text += fmt::format("{}@{}.{}.{} {}; ", object.name, object.incarnation.value, object.version,
                          object.revision.value, object.body);
    return text;
  }

  std::filesystem::path folder_;
  transport::KafkaOptions kafka_;
  std::string prefix_;
  transport::KafkaTopicOptions topic_;
  size_t spent_kept_ = 1'000;
};

TEST_F(ClusterCatalog, OfTwoAtOnceOneWins) {
  const auto a = open("a"), b = open("b");
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    const std::string of = fmt::format("q{}", round);
    std::array<std::string, 2> codes;
    std::atomic<int> ready{0};
    std::array<std::thread, 2> threads;
    for (size_t i = 0; i < 2; ++i) {
      threads[i] = std::thread([&, i] {
        ++ready;
        while (ready < 2) {
        }
        codes[i] = apply(i == 0 ? *a : *b, {change(Action::kCreate, of, fmt::format("{{\"by\":{}}}", i))});
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE((codes[0].empty() && codes[1] == "42710") || (codes[1].empty() && codes[0] == "42710"))
        << codes[0] << " " << codes[1];
  }
  ASSERT_TRUE(until([&] { return a->revision().value == kRounds && b->revision().value == kRounds; }));
  EXPECT_EQ(all(*a), all(*b));
  EXPECT_EQ(all(*open("c")), all(*a));
  std::printf("races: %lu\n", a->status().races + b->status().races);
}

/// Segments of a moment, tombstones that go at once: nodes write, end and begin anew while the brokers compact.
TEST_F(ClusterCatalog, CompactionNeverChangesWhatCounts) {
  change_topic({{"cleanup.policy", "compact"},
                {"retention.ms", "-1"},
                {"max.message.bytes", "10000000"},
                {"segment.ms", "500"},
                {"min.cleanable.dirty.ratio", "0.001"},
                {"delete.retention.ms", "0"}});
  topic_.tombstones_kept = milliseconds(0);
  spent_kept_ = 3;
  std::array<std::unique_ptr<KafkaCatalog>, 3> nodes = {open("0"), open("1"), open("2")};
  std::mt19937 random(7);
  uint64_t made = 0, fresh = 0;
  for (int i = 0; i < 250; ++i) {
    const size_t which = random() % nodes.size();
    if (random() % 40 == 0) {
      nodes[which].reset();
      if (random() % 2 == 0) std::filesystem::remove(path(std::to_string(which)));
      nodes[which] = open(std::to_string(which));
    }
    const std::string of = fmt::format("q{}", random() % 6);
    const std::string code =
        apply(*nodes[which],
              {random() % 4 == 0 ? change(Action::kDrop, of) : change(Action::kPut, of, fmt::format("{{\"n\":{}}}", i)),
               change(Action::kPut, "twin", fmt::format("{{\"of\":\"{}\"}}", of))});
    ASSERT_TRUE(code.empty() || code == "42704") << code;
    made += code.empty();
    if (i % 50 == 49) {
      const auto late = open(fmt::format("late{}", ++fresh));
      EXPECT_EQ(late->revision().value, made);
      ASSERT_TRUE(until([&] { return nodes[which]->revision().value == made; }));
      EXPECT_EQ(all(*late), all(*nodes[which]));
    }
    std::this_thread::sleep_for(milliseconds(20));
  }
  for (const auto& node : nodes) {
    ASSERT_TRUE(until([&] { return node->revision().value == made; })) << node->revision().value << " of " << made;
    EXPECT_EQ(all(*node), all(*nodes[0]));
    EXPECT_EQ(node->status().restored, 0u);
    EXPECT_EQ(node->status().trouble, "");
  }
  // What the brokers have kept is less than what was written: they did compact.
  auto log = transport::KafkaKeyedLog::open(*transport::KafkaConnection::open(kafka_), topic_);
  ASSERT_TRUE(log);
  ASSERT_TRUE(until([&] {
    std::vector<transport::KeyedRecord> records;
    const auto end = (*log)->end_offset();
    uint64_t next = 0;
    while (end && next < *end) {
      if ((*log)->read(next, 1 << 20, milliseconds(10), records, next) != transport::LogStatus::kOk) return false;
    }
    if (end && records.size() < *end / 2) return true;
    (void)apply(*nodes[0], {change(Action::kPut, "other", fmt::format("{{\"n\":{}}}", records.size()))});
    return false;
  }));
  EXPECT_EQ(all(*open("last")), all(*nodes[0]));
}

TEST_F(ClusterCatalog, ATopicThatWouldLoseThemIsRefused) {
  change_topic({{"cleanup.policy", "delete"}, {"max.message.bytes", "10000000"}});
  const auto refused = try_open("a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "55000") << refused.error().render();
  EXPECT_NE(refused.error().message.find("cleanup.policy is 'delete'"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().hint.find("--alter --add-config cleanup.policy=compact,retention.ms=-1"), std::string::npos)
      << refused.error().hint;
}

TEST_F(ClusterCatalog, ALostTopicIsRestoredFromACopy) {
  {
    const auto a = open("a");
    ASSERT_EQ(apply(*a, {change(Action::kCreate, "q", R"({"n":1})")}), "");
    ASSERT_EQ(apply(*a, {change(Action::kDefine, "q", R"({"n":2})")}), "");
  }
  change_topic({});
  // Brokers delete in their own time.
  std::unique_ptr<KafkaCatalog> a;
  ASSERT_TRUE(until([&] {
    a.reset();
    a = open("a");
    return a->status().trouble.find("is gone, and this node has a copy") != std::string::npos;
  })) << a->status().trouble;
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "55000");
  EXPECT_EQ((*a->find(Kind::kQuery, "q"))->body, R"({"n":2})");
  a.reset();
  Result<size_t> restored = 0;
  ASSERT_TRUE(until([&] {
    restored = restore_log_catalog(opener(), topic_.name, path("a"), kAnn, 1);
    return restored.has_value();
  })) << restored.error().render();
  EXPECT_EQ(*restored, 1u);
  a = open("a");
  EXPECT_EQ(all(*a), "q@1.2.3 {\"n\":2}; ");
  EXPECT_EQ(all(*open("b")), all(*a));
  EXPECT_EQ(apply(*a, {change(Action::kCreate, "r")}), "");
}

}  // namespace
}  // namespace backstream::catalog
