#include "service/sink_register.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "catalog/sqlite_catalog.h"
#include "sink/memory_source_test.h"
#include "sink/part_maker_test.h"

namespace backstream::service {
namespace {

using receiver::ResultForm;
using receiver::ResultPart;
using sink::test_form;
using sink::test_part;

/// Rows that arrived, by sink.
struct Arrived {
  std::mutex mutex;
  std::map<std::string, std::vector<std::string>> rows;
  std::map<std::string, uint64_t> place;
  std::multiset<std::string> writing;  ///< targets that are there
};

class MemoryTarget final : public sink::Target {
 public:
  MemoryTarget(std::string name, Arrived& arrived) : name_(std::move(name)), arrived_(arrived) {
    const std::lock_guard lock(arrived_.mutex);
    arrived_.writing.insert(name_);
  }
  ~MemoryTarget() override {
    const std::lock_guard lock(arrived_.mutex);
    arrived_.writing.erase(arrived_.writing.find(name_));
  }
  base::Result<uint64_t> open() override {
    const std::lock_guard lock(arrived_.mutex);
    return arrived_.place[name_];
  }
  base::Result<void> deliver(sink::Parts parts) override {
    const std::lock_guard lock(arrived_.mutex);
    for (const auto& part : parts) {
      for (size_t row = 0; row < part->rows.row_count; ++row) {
        std::string text;
        for (const batch::Column& column : part->rows.columns) {
          if (column.type == batch::Type::kText) text += std::string(column.as<std::string_view>()[row]);
          if (column.type == batch::Type::kInt8) text += std::to_string(column.as<int64_t>()[row]);
          text += ',';
        }
        arrived_.rows[name_].push_back(text);
      }
      arrived_.place[name_] = part->seq;
    }
    return {};
  }
  base::Result<void> pass_over(const ResultPart& part) override {
    const std::lock_guard lock(arrived_.mutex);
    arrived_.place[name_] = part.seq;
    return {};
  }
  base::Result<void> repeat(sink::Parts parts) override { return deliver(parts); }
  base::Result<std::string> test() override { return name_ + " is well"; }

 private:
  const std::string name_;
  Arrived& arrived_;
};

class SinkRegisterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("sink-register-" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    servers_["out"] = {SinkServer::Type::kFile, "out", folder_, "", "", {}, {}};
    servers_["pg"] = {SinkServer::Type::kPostgres, "pg", "", "host=x", "", {}, {}};
    servers_["bus"] = {SinkServer::Type::kKafka, "bus", "", "", "", {"x:1"}, {}};
    queries_["q"] = {7, test_form()};
    start();
  }
  void TearDown() override {
    register_.reset();
    std::filesystem::remove_all(folder_);
  }
  void start() {
    register_.reset();
    catalog_.reset();
    auto opened = catalog::open_sqlite_catalog(folder_ / "catalog.db");
    ASSERT_TRUE(opened) << opened.error().render();
    catalog_ = std::move(*opened);
    SinkRegister::Ground ground{source_, {}, {}, {}, {}, "here"};
    ground.find_server = [this](const std::string& name) -> std::optional<SinkServer> {
      const auto at = servers_.find(name);
      return at == servers_.end() ? std::nullopt : std::optional(at->second);
    };
    ground.servers = [this] {
      std::vector<std::string> names;
      for (const auto& [name, server] : servers_) names.push_back(name);
      return names;
    };
    ground.find_query = [this](const std::string& name) -> std::optional<SinkRegister::Ground::Query> {
      const auto at = queries_.find(name);
      return at == queries_.end() ? std::nullopt : std::optional(at->second);
    };
    ground.make_target = [this](const SinkDefinition& definition, const SinkServer&) {
      return std::make_unique<MemoryTarget>(definition.name, arrived_);
    };
    register_.emplace(*catalog_, std::move(ground));
    ASSERT_TRUE(register_->tend());
  }
  /// What was done, or the mistake: code, place, message, hint.
  std::string run(const std::string& text) {
    const auto done = register_->execute(text, "-e", {"tester", "test"}, 1);
    if (done) return done->verb + " " + done->name;
    const base::Diagnostic& e = done.error();
    return fmt::format("{} {}:{} {} | {}", e.code, e.line, e.column, e.message, e.hint);
  }
  void add(uint64_t seq) {
    source_.add(test_part(queries_["q"].form, seq, static_cast<int64_t>(seq), {{"a", 1}, {"b", 20}}));
  }
  bool has(const std::string& name, size_t rows) {
    for (int i = 0; i < 6'000; ++i) {
      {
        const std::lock_guard lock(arrived_.mutex);
        if (arrived_.rows[name].size() == rows) return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  size_t writing(const std::string& name) {
    const std::lock_guard lock(arrived_.mutex);
    return arrived_.writing.count(name);
  }

  std::filesystem::path folder_;
  Arrived arrived_;
  sink::MemorySource source_{{"q", 7}};
  std::map<std::string, SinkServer> servers_;
  std::map<std::string, SinkRegister::Ground::Query> queries_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::optional<SinkRegister> register_;
};

TEST_F(SinkRegisterTest, ForPrometheusThereIsSomethingToMeasureAndNothingToReplay) {
  servers_["prom"].type = SinkServer::Type::kPrometheus;
  EXPECT_EQ(
      run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'out', format = 'csv', series_max = '5')"),
      "22023 1:72 series_max is nothing to server 'out', whose type is file | it is for servers of type prometheus");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'out', format = 'prometheus', rotate = '5 min')"),
            "22023 1:79 rotate is nothing to format 'prometheus' | its one file is replaced with each window");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'prom', series_max = '0')"),
            "22023 1:57 invalid value \"0\" for series_max | a whole number, 1 to 1000000");
  for (const char* const options : {"server = 'prom'", "server = 'out', format = 'prometheus'"}) {
    EXPECT_EQ(
        run(fmt::format("CREATE PUBLICATION p FOR TABLE q (window_start, name) WITH ({})", options)),
        "22023 1:32 'q' gives Prometheus nothing to measure | of a query with GROUP BY: a column that is a number "
        "and not among the keys");
  }
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'prom', series_max = '5')"), "create p");
  EXPECT_EQ(run("CREATE PUBLICATION f FOR TABLE q WITH (server = 'out', format = 'prometheus', series_max = '5')"),
            "create f");
  for (const char* const name : {"p", "f"}) EXPECT_EQ(register_->replay(name, 0, 1).error().code, "0A000");
  EXPECT_EQ(register_->list().back().type, "prometheus");
  const auto dropped = register_->execute("DROP PUBLICATION p", "-e", {"tester", "test"}, 1);
  ASSERT_TRUE(dropped);
  EXPECT_EQ((std::vector{dropped->verb, dropped->query, dropped->server, dropped->type}),
            (std::vector<std::string>{"drop", "q", "prom", "prometheus"}));
}

TEST_F(SinkRegisterTest, CreatesRunsDropsAndGoesOnAfterARestart) {
  add(1);
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'out', format = 'jsonl', rotate = '5 min')"),
            "create p");
  ASSERT_TRUE(has("p", 2));
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'out')").substr(0, 5), "42710");
  start();
  EXPECT_EQ(writing("p"), 1U);
  add(2);
  ASSERT_TRUE(has("p", 4));
  EXPECT_EQ(run("DROP PUBLICATION p"), "drop p");
  EXPECT_EQ(writing("p"), 0U);
  EXPECT_EQ(run("DROP PUBLICATION p"), "42704 1:18 there is no publication \"p\" | backstream sink list names them");
  EXPECT_EQ(run("DROP PUBLICATION IF EXISTS p"), "unchanged p");
  EXPECT_TRUE(register_->list().empty());
}

TEST_F(SinkRegisterTest, ColumnsAndRowsAreChosen) {
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q (name, window_start) WHERE (octets > 10) WITH (server = 'out')"),
            "create p");
  add(1);
  add(2);
  ASSERT_TRUE(has("p", 2));
  const std::lock_guard lock(arrived_.mutex);
  EXPECT_EQ(arrived_.rows["p"], (std::vector<std::string>{"b,,", "b,,"}));
}

TEST_F(SinkRegisterTest, MistakesAreLocated) {
  EXPECT_EQ(
      run("CREATE PUBLICATION p FOR TABLE r WITH (server = 'out')"),
      "42704 1:32 there is no query 'r' | CREATE MATERIALIZED VIEW comes first; backstream query list names them");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'aut')"),
            "42704 1:40 there is no server 'aut' | did you mean 'out'?");
  EXPECT_EQ(
      run("CREATE PUBLICATION p FOR TABLE q"),
      "22023 1:1 a publication names the server that its rows go to | WITH (server = '…'); there are: bus, out, pg");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'out', formt = 'csv')"),
            "22023 1:56 unrecognized option \"formt\" | did you mean format?");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'out', format = 'xml')"),
            "22023 1:56 invalid value \"xml\" for format | it is 'csv', 'jsonl' or 'prometheus'");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'pg', format = 'csv')"),
            "22023 1:55 format is nothing to server 'pg', whose type is postgres | it is for servers of type file");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'out', rotate = '1 s')").substr(0, 10), "22023 1:56");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'bus', partitions = 0)"),
            "22023 1:56 invalid value \"0\" for partitions | a whole number, 1 to 10000");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'bus', topic = 'a b')").substr(0, 40),
            "22023 1:56 'a b' cannot name a topic | W");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE \"größe\" WITH (server = 'bus')").substr(0, 10), "22023 1:32");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'pg', topic = 'a')"),
            "22023 1:55 topic is nothing to server 'pg', whose type is postgres | it is for servers of type kafka");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'bus', retention = '1 s')").substr(0, 10),
            "22023 1:56");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q (name, octts) WITH (server = 'out')"),
            "42703 1:41 query 'q' has no column \"octts\" | did you mean \"octets\"?");
  EXPECT_EQ(
      run("CREATE PUBLICATION p FOR TABLE q (name) WITH (server = 'out')"),
      "42P10 1:32 rows of 'q' cannot be told apart by these columns alone | name all of its keys: window_start, name");
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WHERE (octets = (SELECT 1)) WITH (server = 'out')").substr(0, 10),
            "0A000 1:41");
  EXPECT_EQ(run("SELECT 1").substr(0, 5), "42601");
  EXPECT_TRUE(register_->list().empty());
}

TEST_F(SinkRegisterTest, TopicsHaveOptions) {
  const FindServer find = [&](const std::string& name) { return std::optional(servers_.at(name)); };
  const auto read = [&](const std::string& options) {
    return read_sink("CREATE PUBLICATION p FOR TABLE q WITH (server = 'bus'" + options + ")", "-e", find, {"bus"});
  };
  const auto plain = read("");
  ASSERT_TRUE(plain) << plain.error().render();
  EXPECT_EQ(plain->topic, "");
  EXPECT_EQ(plain->partitions, 8u);
  EXPECT_FALSE(plain->compact);
  const auto all =
      read(", topic = 'flows.matrix', partitions = 32, replication = 3, retention = '3 d', compact = true");
  ASSERT_TRUE(all) << all.error().render();
  EXPECT_EQ(all->topic, "flows.matrix");
  EXPECT_EQ(all->partitions, 32u);
  EXPECT_EQ(all->replication, 3);
  EXPECT_EQ(all->retention_us, 3 * 86'400 * base::kMicrosPerSecond);
  EXPECT_TRUE(all->compact);
}

TEST_F(SinkRegisterTest, WaitsForWhatIsNotThere) {
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'out')"), "create p");
  EXPECT_EQ(run("CREATE PUBLICATION elsewhere FOR TABLE q WITH (server = 'out', node = 'there')"), "create elsewhere");
  add(1);
  ASSERT_TRUE(has("p", 2));
  const auto waits = [&](size_t n) { return register_->list().at(n).waits_for; };
  EXPECT_EQ(waits(0), "node 'there' runs it");
  EXPECT_EQ(waits(1), "");
  const auto query = queries_.at("q");
  queries_.clear();
  ASSERT_TRUE(register_->tend());
  EXPECT_EQ(waits(1), "there is no query 'q'");
  EXPECT_EQ(writing("p"), 0U);
  EXPECT_EQ(register_->test("p").error().code, "55000");
  queries_["q"] = query;
  const auto server = servers_.at("out");
  servers_.erase("out");
  ASSERT_TRUE(register_->tend());
  EXPECT_EQ(waits(1), "there is no server 'out'");
  servers_["out"] = server;
  ASSERT_TRUE(register_->tend());
  EXPECT_EQ(waits(1), "");
  add(2);
  ASSERT_TRUE(has("p", 4));
  // Other settings of the server: another target takes over, and never are there two.
  servers_["out"].folder += "/x";
  ASSERT_TRUE(register_->tend());
  EXPECT_EQ(writing("p"), 1U);
  add(3);
  ASSERT_TRUE(has("p", 6));
}

TEST_F(SinkRegisterTest, TestsReplaysAndStops) {
  EXPECT_EQ(run("CREATE PUBLICATION p FOR TABLE q WITH (server = 'out')"), "create p");
  add(1);
  add(2);
  ASSERT_TRUE(has("p", 4));
  EXPECT_EQ(register_->test("p").value(), "p is well");
  EXPECT_EQ(register_->test("r").error().code, "42704");
  ASSERT_TRUE(register_->replay("p", 0, base::kMaxTime));
  ASSERT_TRUE(has("p", 8));
  EXPECT_EQ(register_->replay("r", 0, 1).error().code, "42704");
  add(3);
  register_->stop(std::chrono::seconds(10));
  EXPECT_TRUE(has("p", 10)) << "a stop gives what there is";
  EXPECT_EQ(writing("p"), 0U);
}

}  // namespace
}  // namespace backstream::service
