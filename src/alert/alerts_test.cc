#include "alert/alerts.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <filesystem>

#include "plan/definitions.h"
#include "sql/parse.h"

namespace backstream::alert {
namespace {

constexpr Micros kMinute = 60 * base::kMicrosPerSecond;

std::shared_ptr<const plan::Query> view(const std::string& options) {
  const std::string text = fmt::format(
      "CREATE MATERIALIZED VIEW r WITH ({}) AS SELECT window_start, site, count(*) AS n, count(DISTINCT src_ip) AS "
      "sources FROM tumble(flows, time, interval '1 min') GROUP BY 1, 2",
      options);
  plan::Definitions definitions(true);
  auto statements = sql::parse(text, "-e");
  if (!statements) throw std::runtime_error(statements.error().render());
  auto added = definitions.add_query(std::move(statements->front()), text, "r");
  if (!added) throw std::runtime_error(added.error().message);
  return (*added)->query;
}

/// A syslog server.
class Receiver {
 public:
  Receiver() {
    fd_ = ::socket(AF_INET, SOCK_DGRAM, 0);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address_), size) != 0 ||
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size) != 0)
      throw std::runtime_error("no socket");
    wait(10);
  }
  ~Receiver() { ::close(fd_); }
  std::string url() const { return fmt::format("udp://127.0.0.1:{}", ntohs(address_.sin_port)); }
  /// "+" firing, "-" resolved, "t" test, and the key of each, until nothing more comes for a while.
  std::string take(size_t count) {
    std::string all;
    for (size_t n = 0;; ++n) {
      wait(n < count ? 10'000 : 100);
      char octets[65536];
      const ssize_t size = ::recv(fd_, octets, sizeof octets, 0);
      if (size < 0) return all;
      const std::string_view line(octets, static_cast<size_t>(size));
      const size_t title = line.find("] r");
      const size_t end = line.find(" n = ") == std::string_view::npos ? line.find(" 9") : line.find(" n = ");
      all += all.empty() ? "" : " ";
      all += line.find(" - firing [") != std::string_view::npos     ? '+'
             : line.find(" - resolved [") != std::string_view::npos ? '-'
                                                                    : 't';
      if (title != std::string_view::npos && end != std::string_view::npos && line.find("site=", title) < end)
        all += line.substr(line.find("site=", title) + 5, end - line.find("site=", title) - 5);
      else if (line.find("more keys") != std::string_view::npos) all += '*';
    }
  }

 private:
  void wait(int ms) {
    const timeval timeout{ms / 1'000, ms % 1'000 * 1'000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  }
  int fd_ = -1;
  sockaddr_in address_{};
};

struct Row {
  std::string site;
  int64_t n, sources = 0;
};

class AlertsTest : public testing::Test {
 protected:
  void SetUp() override {
    file_ = (std::filesystem::path(testing::TempDir()) /
             (std::string("alerts_") + testing::UnitTest::GetInstance()->current_test_info()->name() + ".db"))
                .string();
    remove();
    start();
  }
  void TearDown() override {
    alerts_.reset();
    remove();
  }
  void remove() const {
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(file_ + end);
  }
  void start() {
    alerts_.reset();
    Alerts::Options options;
    options.file = file_;
    config::NotifySettings log;
    log.name = "log";
    log.type = config::NotifySettings::Type::kSyslog;
    log.to = receiver_.url();
    log.per_minute = 60'000;
    options.endpoints = {log};
    options.keys_max = 3;
    auto opened = Alerts::open(std::move(options));
    if (!opened) throw std::runtime_error(opened.error().message);
    alerts_ = std::move(*opened);
  }
  void open(const std::string& options, uint64_t incarnation = 1, uint32_t version = 1) {
    query_ = view(options);
    incarnation_ = incarnation;
    version_ = version;
    alerts_->open_query("r", incarnation, version, *query_);
    alerts_->settle();
  }
  /// In parts of two rows.
  void give(int minute, const std::vector<Row>& rows, bool final = true, bool complete = true) {
    for (size_t begin = 0; begin == 0 || begin < rows.size(); begin += 2) {
      const size_t end = std::min(rows.size(), begin + 2);
      std::vector<int64_t> starts(end - begin, minute * kMinute), ns, sources;
      std::vector<std::string_view> sites;
      for (size_t i = begin; i < end; ++i) {
        sites.emplace_back(rows[i].site);
        ns.push_back(rows[i].n);
        sources.push_back(rows[i].sources);
      }
      batch::ColumnBatch batch;
      batch.row_count = end - begin;
      batch.columns = {{batch::Type::kTimestamptz, false, starts.data(), nullptr},
                       {batch::Type::kText, false, sites.data(), nullptr},
                       {batch::Type::kInt8, false, ns.data(), nullptr},
                       {batch::Type::kInt8, false, sources.data(), nullptr}};
      auto part = std::make_shared<receiver::ResultPart>();
      part->incarnation = incarnation_;
      part->version = version_;
      part->window_start = minute * kMinute;
      part->window_end = (minute + 1) * kMinute;
      part->final = final;
      part->complete = complete;
      part->last = end == rows.size();
      auto form = std::make_shared<receiver::ResultForm>();
      form->schema = query_->output();
      part->form = form;
      receiver::copy_rows(batch, 0, batch.row_count, 4, *part);
      part->octets = 1'000;
      alerts_->take("r", part);
    }
    alerts_->settle();
  }
  Receiver receiver_;
  std::string file_;
  std::shared_ptr<const plan::Query> query_;
  uint64_t incarnation_ = 1;
  uint32_t version_ = 1;
  std::unique_ptr<Alerts> alerts_;
};

TEST_F(AlertsTest, RowsOfAViewFireAndEndByItsConditions) {
  open("\"alert.when\" = 'n > 10 AND site <> ''x''', \"alert.clear\" = 'n < 5'");
  give(0, {{"a", 20}, {"b", 3}, {"x", 99}, {"c", 11}});
  EXPECT_EQ(receiver_.take(2), "+a +c");
  give(1, {{"a", 7}, {"b", 7}, {"c", 4}});
  EXPECT_EQ(receiver_.take(1), "-c");
  const Json all = alerts_->list();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["key_text"], "site=a");
  EXPECT_EQ(all[0]["value"], 7);
  EXPECT_EQ(all[0]["columns"]["window_start"], "1970-01-01T00:01:00Z");
  EXPECT_EQ((*alerts_->show(all[0]["id"]))->at("state"), "firing");
}

TEST_F(AlertsTest, ARestartForgetsNothingAndTellsNothingTwice) {
  const std::string options = "\"alert.when\" = 'n > 10'";
  open(options);
  give(0, {{"a", 20}});
  EXPECT_EQ(receiver_.take(1), "+a");
  const std::string id = alerts_->list()[0]["id"];
  ASSERT_TRUE(alerts_->acknowledge(id, "alice", "mine", 1));
  start();
  EXPECT_EQ(alerts_->list()[0]["id"], id) << "before its query is there, too";
  open(options);
  give(0, {{"a", 20}});
  give(1, {{"a", 20}});
  EXPECT_EQ(receiver_.take(0), "");
  EXPECT_EQ(alerts_->list()[0]["acknowledged"]["by"], "alice");
  give(2, {});
  EXPECT_EQ(receiver_.take(1), "-a");
}

TEST_F(AlertsTest, MoreKeysThanThereIsRoomForAreOneNotice) {
  open("\"alert.when\" = 'n > 10'");
  std::vector<Row> rows;
  for (int i = 0; i < 1'001; ++i) rows.push_back({fmt::format("s{}", i), 20});
  give(0, rows);
  EXPECT_EQ(receiver_.take(4), "+s0 +s1 +s2 +*");
  EXPECT_EQ(alerts_->status().keys_left_out, 998u);
  give(1, {});
  EXPECT_EQ(receiver_.take(4), "-s0 -s1 -s2 -*");
}

TEST_F(AlertsTest, WhatWasSilencedIsToldWhenTheSilenceEnds) {
  open("\"alert.when\" = 'n > 10'");
  Silence silence;
  silence.rule = "r";
  silence.key = "site=a";
  silence.made_at = base::wall_clock();
  silence.until = silence.made_at + kMinute;
  const auto made = alerts_->add_silence(silence);
  ASSERT_TRUE(made);
  give(0, {{"a", 20}, {"b", 20}});
  EXPECT_EQ(receiver_.take(1), "+b");
  ASSERT_TRUE(alerts_->remove_silence((*made)["id"]));
  EXPECT_EQ(receiver_.take(1), "+a");
  give(1, {});
  EXPECT_EQ(receiver_.take(2), "-a -b");
  silence.key.clear();
  ASSERT_TRUE(alerts_->add_silence(silence));
  give(2, {{"a", 20}});
  give(3, {});
  EXPECT_EQ(receiver_.take(0), "") << "nobody was told that it fires";
}

TEST_F(AlertsTest, ARuleThatIsDroppedOrNoRuleAnyMoreEndsItsKeys) {
  open("\"alert.when\" = 'n > 10'");
  give(0, {{"a", 20}});
  EXPECT_EQ(receiver_.take(1), "+a");
  alerts_->keep_queries({{"r", 1}});
  EXPECT_EQ(receiver_.take(0), "");
  alerts_->keep_queries({});
  EXPECT_EQ(receiver_.take(1), "-a");
  open("\"alert.when\" = 'n > 10'", 2);
  give(1, {{"a", 20}});
  EXPECT_EQ(receiver_.take(1), "+a");
  incarnation_ = 1;
  give(2, {});
  EXPECT_EQ(receiver_.take(0), "") << "of the rule that was dropped";
  open("late = 'drop'", 2, 2);
  EXPECT_EQ(receiver_.take(1), "-a");
  EXPECT_TRUE(alerts_->rules().empty());
}

TEST_F(AlertsTest, AnAlteredRuleGoesOnWithItsKeys) {
  open("\"alert.when\" = 'n > 10'");
  const auto before = query_;
  give(0, {{"a", 20}, {"b", 20}});
  EXPECT_EQ(receiver_.take(2), "+a +b");
  open("\"alert.when\" = 'n > 50'", 1, 2);
  version_ = 1;
  give(1, {{"a", 20}, {"b", 20}});
  EXPECT_EQ(receiver_.take(0), "") << "a window of the version before";
  version_ = 2;
  give(2, {{"a", 20}, {"b", 60}});
  EXPECT_EQ(receiver_.take(1), "-a");
}

TEST_F(AlertsTest, WhatHasEndedIsToldToWhoAsksLater) {
  open("\"alert.when\" = 'n > 10', \"alert.for\" = '2 min', \"alert.keep_firing_for\" = '2 min'");
  give(0, {{"a", 20}, {"b", 20}});
  give(1, {{"a", 30}});
  EXPECT_EQ(receiver_.take(1), "+a") << "b was only pending";
  const std::string id = alerts_->list()[0]["id"];
  EXPECT_EQ(alerts_->list()[0]["fired_at"], "1970-01-01T00:02:00Z");
  EXPECT_EQ(alerts_->list()[0]["notices"][0]["endpoints"], Json({"log"}));
  ASSERT_TRUE(alerts_->acknowledge(id, "alice", "mine", 1));
  give(2, {});
  EXPECT_EQ(alerts_->list()[0]["recovering_since"], "1970-01-01T00:02:00Z");
  give(3, {});
  EXPECT_EQ(receiver_.take(1), "-a");
  start();
  const auto ended = alerts_->ended(base::kMinTime, base::kMaxTime, 10);
  ASSERT_TRUE(ended) << ended.error().message;
  ASSERT_EQ(ended->size(), 1u);
  const Json& alert = ended->front();
  EXPECT_EQ(alert["id"], id);
  EXPECT_EQ(alert["state"], "ended");
  EXPECT_EQ(alert["starts_at"], "1970-01-01T00:00:00Z");
  EXPECT_EQ(alert["fired_at"], "1970-01-01T00:02:00Z");
  EXPECT_EQ(alert["recovering_since"], "1970-01-01T00:02:00Z");
  EXPECT_EQ(alert["ends_at"], "1970-01-01T00:04:00Z");
  EXPECT_EQ(alert["value"], 30);
  EXPECT_EQ(alert["acknowledged"]["by"], "alice");
  ASSERT_EQ(alert["notices"].size(), 2u);
  EXPECT_EQ(alert["notices"][1]["state"], "resolved");
  EXPECT_EQ(alerts_->show(id)->value(), alert);
  EXPECT_FALSE(alerts_->show("0123456789abcdef")->has_value());
  EXPECT_TRUE(alerts_->ended(4 * kMinute, base::kMaxTime, 10)->empty()) << "it was over by then";
  EXPECT_TRUE(alerts_->ended(base::kMinTime, 0, 10)->empty()) << "it had not begun";
  EXPECT_EQ(alerts_->ended(3 * kMinute, 4 * kMinute, 10)->size(), 1u);
}

TEST_F(AlertsTest, WhatARuleAsksForCanBeRead) {
  open("\"alert.when\" = 'n > 10', \"alert.clear\" = 'n < 5', \"alert.for\" = '2 min', \"alert.severity\" = 'page'");
  give(0, {{"a", 20}});
  const Json rules = alerts_->rule_states();
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_EQ(rules[0]["name"], "r");
  EXPECT_EQ(rules[0]["severity"], "page");
  EXPECT_EQ(rules[0]["threshold"], "n > 10");
  EXPECT_EQ(rules[0]["clear"], "n < 5");
  EXPECT_EQ(rules[0]["for_seconds"], 120);
  EXPECT_EQ(rules[0]["endpoints"], Json({"log"}));
  EXPECT_EQ(rules[0]["pending"], 1);
  EXPECT_EQ(rules[0]["firing"], 0);
}

TEST_F(AlertsTest, ATestTakesTheWayOfAllNotices) {
  const auto results = alerts_->test("log", "", "alice", std::chrono::seconds(10));
  ASSERT_TRUE(results) << results.error().message;
  EXPECT_EQ((*results)[0]["result"], "delivered");
  EXPECT_EQ(receiver_.take(1), "t");
  EXPECT_EQ(alerts_->test("pager", "", "alice", std::chrono::seconds(1)).error().code, "42704");
  EXPECT_EQ(alerts_->test("", "nothing", "alice", std::chrono::seconds(1)).error().code, "42704");
}

TEST_F(AlertsTest, TimeThatPassesWithoutRowsEndsKeysWhereItIsKnown) {
  open("\"alert.when\" = 'n > 10'");
  give(0, {{"a", 20}});
  EXPECT_EQ(receiver_.take(1), "+a");
  alerts_->advance("r", 3 * kMinute, 3 * kMinute);
  alerts_->settle();
  EXPECT_EQ(receiver_.take(0), "") << "an edge may have had rows in those";
  alerts_->advance("r", 4 * kMinute, 3 * kMinute);
  EXPECT_EQ(receiver_.take(1), "-a");
}

TEST_F(AlertsTest, AnIncompleteOrOpenWindowEndsNothing) {
  open("\"alert.when\" = 'n > 10', \"alert.early\" = 'true', emit = 'on_change'");
  give(0, {{"a", 20}}, false);
  EXPECT_EQ(receiver_.take(1), "+a");
  give(0, {}, true, false);
  give(1, {}, false);
  EXPECT_EQ(receiver_.take(0), "");
  give(1, {});
  EXPECT_EQ(receiver_.take(1), "-a");
}

}  // namespace
}  // namespace backstream::alert
