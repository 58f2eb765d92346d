// Against a real PostgreSQL 15: tests/oracle/postgres.py run -- build/sink_test --gtest_filter=Postgres*
#include "sink/postgres_target.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

namespace backstream::sink {
namespace {

using batch::Type;
using std::chrono::milliseconds;
constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kNoon = 1'769'860'800 * kSecond;  // 2026-01-31 12:00:00+00

const char* real_server() { return std::getenv("BACKSTREAM_POSTGRES"); }

/// Rows of a statement, values with '|' between and "∅" for null. Throws what the server says.
std::vector<std::string> ask(const std::string& statement, const std::string& connection = real_server()) {
  const std::unique_ptr<PGconn, void (*)(PGconn*)> made(PQconnectdb(connection.c_str()), PQfinish);
  PQclear(PQexec(made.get(), "SET client_min_messages = error; SET statement_timeout = '60s'"));
  const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQexec(made.get(), statement.c_str()), PQclear);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) throw std::runtime_error(PQerrorMessage(made.get()));
  std::vector<std::string> rows;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    std::string& line = rows.emplace_back();
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      line += column == 0 ? "" : "|";
      line += PQgetisnull(result.get(), row, column) != 0 ? "∅" : PQgetvalue(result.get(), row, column);
    }
  }
  return rows;
}

std::shared_ptr<const ResultForm> form_of(std::vector<batch::ColumnDef> columns, std::vector<int> keys) {
  auto form = std::make_shared<ResultForm>();
  form->schema.columns = std::move(columns);
  form->keys = std::move(keys);
  return form;
}
/// The form of most tests; rows are told apart by site and port.
const std::shared_ptr<const ResultForm> kTraffic =
    form_of({{"site", Type::kText}, {"port", Type::kInt4}, {"octets", Type::kInt8}}, {0, 1});
struct Row {
  std::optional<std::string> site;
  std::optional<int64_t> port;
  std::optional<int64_t> octets;
};

using Part = std::shared_ptr<ResultPart>;
Part empty_part(uint64_t seq, Micros start, int revision) {
  auto part = std::make_shared<ResultPart>();
  part->seq = seq;
  part->revision = revision;
  part->window_start = start;
  part->window_end = start == 0 ? 0 : start + kSecond;
  return part;
}
/// @param start  0: without a window
Part part_of(uint64_t seq, Micros start, int revision, const std::vector<Row>& rows, bool removed = false) {
  Part part = empty_part(seq, start, revision);
  part->removed = removed;
  part->form = kTraffic;
  batch::BatchBuffer buffer({Type::kText, Type::kInt4, Type::kInt8}, {true, true, true}, rows.size() + 1);
  auto& columns = buffer.batch.columns;
  for (size_t row = 0; row < rows.size(); ++row) {
    const auto set = [&](size_t column, bool present) {
      columns[column].has_nulls = true;
      columns[column].validity[row] = present ? 1 : 0;
    };
    set(0, rows[row].site.has_value());
    set(1, rows[row].port.has_value());
    set(2, rows[row].octets.has_value());
    columns[0].as<std::string_view>()[row] = rows[row].site ? *rows[row].site : std::string_view();
    columns[1].as<int64_t>()[row] = rows[row].port.value_or(0);
    columns[2].as<int64_t>()[row] = rows[row].octets.value_or(0);
  }
  buffer.batch.row_count = rows.size();
  receiver::copy_rows(buffer.batch, 0, rows.size(), 3, *part);
  return part;
}
Part removed_part(uint64_t seq, Micros start, int revision, const std::vector<Row>& rows) {
  return part_of(seq, start, revision, rows, true);
}
std::vector<std::shared_ptr<const ResultPart>> list(std::initializer_list<Part> parts) {
  return {parts.begin(), parts.end()};
}

/// Between a target and the server; it may do to them what networks do.
class Proxy {
 public:
  explicit Proxy(std::string server_folder) : server_(std::move(server_folder) + "/.s.PGSQL.5432") {
    char folder[] = "/tmp/backstream-proxy-XXXXXX";
    folder_ = ::mkdtemp(folder);
    listening_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_un address = address_of(folder_ + "/.s.PGSQL.5432");
    if (::bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listening_, 8) != 0)
      throw std::runtime_error("no proxy");
    accepting_ = std::thread([this] { accept(); });
  }
  ~Proxy() {
    ends_ = true;
    ::shutdown(listening_, SHUT_RDWR);
    accepting_.join();
    for (std::thread& thread : joined_) thread.join();
    ::close(listening_);
    std::filesystem::remove_all(folder_);
  }
  std::string connection() const { return fmt::format("host={} user=oracle dbname=postgres", folder_); }

  enum class Then : uint8_t { kCutBefore, kCutAfter, kCutAfterAnswer, kAct, kSilence };
  /// Once the client has sent these octets. kCutBefore: the server does not get them; kCutAfter: it does, and works on;
  /// kCutAfterAnswer: it has answered, which the client does not get; kAct: `action` is done before they are passed on;
  /// kSilence: nothing passes any more.
  void arm(std::string text, Then then, std::function<void()> action = {}) {
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
    octets_left_.reset();
    then_ = then;
    action_ = std::move(action);
  }
  /// The same after so many octets of the client's.
  void arm_after(uint64_t octets, Then then, std::function<void()> action = {}) {
    const std::lock_guard lock(mutex_);
    text_.clear();
    octets_left_ = octets;
    then_ = then;
    action_ = std::move(action);
  }
  /// In what the server says; of one length.
  void rewrite(std::string from, std::string to) {
    const std::lock_guard lock(mutex_);
    from_ = std::move(from);
    to_ = std::move(to);
  }

 private:
  static sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
  }
  void accept() {
    for (;;) {
      const int client = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      joined_.emplace_back([this, client] { join(client); });
    }
  }
  /// What is to be done with what the client sent; nothing is armed after it.
  std::optional<Then> triggered(std::string_view sent) {
    std::function<void()> action;
    Then then{};
    {
      const std::lock_guard lock(mutex_);
      if (octets_left_) {
        if (*octets_left_ > sent.size()) {
          *octets_left_ -= sent.size();
          return std::nullopt;
        }
        octets_left_.reset();
      } else if (text_.empty() || sent.find(text_) == std::string_view::npos) {
        return std::nullopt;
      }
      text_.clear();
      then = then_;
      action = std::exchange(action_, {});
    }
    if (action) action();
    return then;
  }
  static void pass(int to, std::string_view octets) {
    while (!octets.empty()) {
      const ssize_t sent = ::send(to, octets.data(), octets.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      octets.remove_prefix(static_cast<size_t>(sent));
    }
  }
  void join(int client) {
    const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_un address = address_of(server_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) carry(client, server);
    ::close(client);
    ::close(server);
  }
  void carry(int client, int server) {
    bool silent = false, cut_at_answer = false;
    std::vector<char> room(1 << 16);
    while (!ends_) {
      pollfd ends[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
      if (::poll(ends, 2, 20) <= 0) continue;
      if ((ends[0].revents != 0)) {
        const ssize_t got = ::recv(client, room.data(), room.size(), 0);
        if (got <= 0) return;
        const std::string_view sent(room.data(), static_cast<size_t>(got));
        const auto then = triggered(sent);
        if (then == Then::kCutBefore) return;
        silent |= then == Then::kSilence;
        cut_at_answer |= then == Then::kCutAfterAnswer;
        if (!silent) pass(server, sent);
        if (then == Then::kCutAfter) return;
      }
      if ((ends[1].revents != 0)) {
        const ssize_t got = ::recv(server, room.data(), room.size(), 0);
        if (got <= 0 || cut_at_answer) return;
        std::string said(room.data(), static_cast<size_t>(got));
        {
          const std::lock_guard lock(mutex_);
          const size_t at = from_.empty() ? std::string::npos : said.find(from_);
          if (at != std::string::npos) said.replace(at, from_.size(), to_);
        }
        if (!silent) pass(client, said);
      }
    }
  }

  const std::string server_;
  std::string folder_;
  int listening_ = -1;
  std::atomic<bool> ends_{false};
  std::thread accepting_;
  std::vector<std::thread> joined_;  // accepting_'s, then the destructor's.
  std::mutex mutex_;
  std::string text_, from_, to_;
  std::optional<uint64_t> octets_left_;
  Then then_ = Then::kCutBefore;
  std::function<void()> action_;
};

class PostgresTargetTest : public testing::Test {
 protected:
  void SetUp() override {
    if (real_server() == nullptr) GTEST_SKIP() << "wants BACKSTREAM_POSTGRES (tests/oracle/postgres.py run -- …)";
    schema_ = fmt::format("t{}", ::getpid() * 1'000 + ++made_);
    ask("CREATE SCHEMA " + schema_);
    options_.address.connection = real_server();
    options_.schema = schema_;
    options_.query = "traffic";
    options_.sink = "db";
  }
  void TearDown() override {
    if (real_server() != nullptr) ask("DROP SCHEMA " + schema_ + " CASCADE");
  }
  static std::string server_folder() { return std::getenv("BACKSTREAM_POSTGRES_FOLDER"); }
  /// As pg_ctl stop -m immediate does; who started it starts it again.
  static void kill_server() {
    std::ifstream file(server_folder() + "/data/postmaster.pid");
    pid_t pid = 0;
    if (file >> pid && pid > 0) ::kill(pid, SIGQUIT);
  }
  /// In order of their text.
  std::vector<std::string> table(const std::string& columns = "_window_start, site, port, octets, _rev",
                                 const std::string& name = "traffic") const {
    auto rows = ask(fmt::format("SELECT {} FROM {}.{}", columns, schema_, quoted_name(name)));
    std::sort(rows.begin(), rows.end());
    return rows;
  }
  /// A role that may log in, named after the schema.
  std::string role(const std::string& grants) const {
    ask(fmt::format("DROP ROLE IF EXISTS {0}; CREATE ROLE {0} LOGIN; {1}", schema_, grants));
    return fmt::format("host={} user={} dbname=postgres", server_folder(), schema_);
  }
  void drop_role() const { ask(fmt::format("DROP OWNED BY {0}; DROP ROLE {0}", schema_)); }
  /// Until it is reached.
  static uint64_t opened(PostgresTarget& target) {
    for (;;) {
      const auto place = target.open();
      if (place) return *place;
      if (!place.error().code.starts_with("08")) throw std::runtime_error(place.error().render());
      std::this_thread::sleep_for(milliseconds(20));
    }
  }

  PostgresOptions options_;
  std::string schema_;
  static inline int made_ = 0;
};

#define EXPECT_OK(expression)                                          \
  do {                                                                 \
    const auto& result_ = (expression);                                \
    EXPECT_TRUE(result_) << (result_ ? "" : result_.error().render()); \
  } while (false)

using Lines = std::vector<std::string>;

TEST_F(PostgresTargetTest, MakesTheTableAndKeepsThePlace) {
  PostgresTarget target(options_);
  ASSERT_EQ(opened(target), 0u);
  const Part incomplete = part_of(8, kNoon + kSecond, 1, {{"b", 443, 7}});
  incomplete->complete = incomplete->final = false;
  incomplete->sites_missing = {"ams, 1", "fra\"2"};
  EXPECT_OK(
      target.deliver(list({part_of(7, kNoon, 1, {{"a", 80, 5}, {"a", std::nullopt, std::nullopt}}), incomplete})));
  EXPECT_EQ(table("*"),
            (Lines{"2026-01-31 12:00:00+00|2026-01-31 12:00:01+00|a|80|5|1|t|t|{}",
                   "2026-01-31 12:00:00+00|2026-01-31 12:00:01+00|a|∅|∅|1|t|t|{}",
                   "2026-01-31 12:00:01+00|2026-01-31 12:00:02+00|b|443|7|1|f|f|{\"ams, 1\",\"fra\\\"2\"}"}));
  EXPECT_EQ(ask("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'traffic' AND "
                "table_schema = '" +
                schema_ + "' ORDER BY ordinal_position"),
            (Lines{"_window_start|timestamp with time zone", "_window_end|timestamp with time zone", "site|text",
                   "port|integer", "octets|bigint", "_rev|integer", "_final|boolean", "_complete|boolean",
                   "_sites_missing|ARRAY"}));
  EXPECT_EQ(ask("SELECT sink, query, seq FROM " + schema_ + ".backstream_sink_places"), Lines{"db|traffic|8"});
  EXPECT_EQ(opened(target), 8u);
  EXPECT_EQ(target.rows_copied(), 3u);
  // What is there already is left out.
  EXPECT_OK(target.deliver(list({part_of(8, 0, 1, {{"x", 1, 1}}), part_of(9, 0, 1, {{"w", 1, 1}})})));
  EXPECT_EQ(table("site"), (Lines{"a", "a", "b", "w"}));
  PostgresTarget other(options_);
  EXPECT_EQ(opened(other), 9u);
}

TEST_F(PostgresTargetTest, ARowKeepsItsNewestRevision) {
  PostgresTarget target(options_);
  const Part first = part_of(1, kNoon, 1, {{"a", 80, 1}, {"b", 80, 2}, {"c", 80, 3}});
  const Part second = part_of(2, kNoon, 2, {{"a", 80, 10}, {"d", 80, 4}, {"c", 80, 3}});
  const Part gone = removed_part(3, kNoon, 2, {{"b", 80, std::nullopt}});
  EXPECT_OK(target.deliver(list({first})));
  EXPECT_OK(target.deliver(list({second, gone})));
  const Lines newest{"2026-01-31 12:00:00+00|a|80|10|2", "2026-01-31 12:00:00+00|c|80|3|2",
                     "2026-01-31 12:00:00+00|d|80|4|2"};
  EXPECT_EQ(table(), newest);
  // Another receiver's sink comes with the same, later.
  options_.sink = "db2";
  PostgresTarget late(options_);
  EXPECT_OK(late.deliver(list({first})));
  EXPECT_EQ(table(), newest);
  EXPECT_OK(late.deliver(list({second, gone})));
  EXPECT_EQ(table(), newest);
  // A revision without rows.
  EXPECT_OK(target.deliver(list({removed_part(4, kNoon, 3, {{"a", 80, {}}, {"c", 80, {}}, {"d", 80, {}}})})));
  EXPECT_EQ(table(), Lines{});
  options_.sink = "db3";
  PostgresTarget later(options_);
  EXPECT_OK(later.deliver(list({first, second, gone})));
  EXPECT_EQ(table(), Lines{});
  // Another window of the same length is another one.
  EXPECT_OK(later.deliver(list({part_of(5, kNoon + kSecond, 1, {{"a", 80, 1}})})));
  EXPECT_EQ(table("site, _rev"), Lines{"a|1"});
}

TEST_F(PostgresTargetTest, OfRevisionsInOneCallTheNewestCounts) {
  PostgresTarget target(options_);
  EXPECT_OK(target.deliver(
      list({part_of(1, kNoon, 1, {{"a", 80, 1}, {"b", 80, 1}, {"e", 80, 1}}),
            part_of(2, kNoon, 2, {{"a", 80, 2}, {"e", 80, 2}}), removed_part(3, kNoon, 2, {{"b", 80, {}}}),
            part_of(4, kNoon, 3, {{"a", 80, 3}, {"b", 80, 3}, {"c", 80, 3}}),
            removed_part(5, kNoon, 3, {{"e", 80, {}}}), part_of(6, kNoon + kSecond, 1, {{"z", 80, 1}})})));
  EXPECT_EQ(table("site, octets, _rev"), (Lines{"a|3|3", "b|3|3", "c|3|3", "z|1|1"}));
  EXPECT_EQ(target.rows_copied(), 1u);  // z
}

TEST_F(PostgresTargetTest, NullsInKeysAreAlike) {
  PostgresTarget target(options_);
  EXPECT_OK(
      target.deliver(list({part_of(1, kNoon, 1, {{{}, {}, 1}, {"a", {}, 2}, {{}, 80, 3}, {"a", 80, 4}, {"", 0, 5}})})));
  EXPECT_OK(target.deliver(list({part_of(2, kNoon, 2, {{{}, {}, 10}, {"a", {}, 20}, {"a", 80, 40}}),
                                 removed_part(3, kNoon, 2, {{{}, 80, {}}, {"", 0, {}}})})));
  EXPECT_EQ(table("site, port, octets"), (Lines{"a|80|40", "a|∅|20", "∅|∅|10"}));
  EXPECT_OK(target.deliver(
      list({part_of(4, kNoon, 3, {{"a", 80, 41}}), removed_part(5, kNoon, 3, {{{}, {}, {}}, {"a", {}, {}}})})));
  EXPECT_EQ(table("site, port, octets"), Lines{"a|80|41"});
}

TEST_F(PostgresTargetTest, WhatOnlyOlderRevisionsHaveIsGoneWhenTheNewestIsWhole) {
  PostgresTarget target(options_);
  const auto part = [](uint64_t seq, int revision, uint32_t number, bool last, const std::vector<Row>& rows) {
    Part made = part_of(seq, kNoon, revision, rows);
    made->part = number;
    made->last = last;
    return made;
  };
  EXPECT_OK(target.deliver(list({part(1, 1, 0, true, {{"a", 80, 1}, {"b", 80, 1}, {{}, {}, 1}}),
                                 part_of(2, kNoon + kSecond, 1, {{"z", 80, 1}})})));
  EXPECT_OK(target.deliver(list({part(3, 2, 0, false, {{"a", 80, 2}})})));
  EXPECT_EQ(table("site, _rev"), (Lines{"a|2", "b|1", "z|1", "∅|1"}));
  EXPECT_OK(target.deliver(list({part(4, 2, 1, true, {{"c", 80, 2}})})));
  EXPECT_EQ(table("site, _rev"), (Lines{"a|2", "c|2", "z|1"}));
  // What comes late is no revision that is whole, and the end of one alone is enough.
  options_.sink = "db2";
  PostgresTarget late(options_);
  EXPECT_OK(late.deliver(list({part(1, 1, 0, true, {{"a", 80, 1}, {"b", 80, 1}})})));
  EXPECT_EQ(table("site, _rev"), (Lines{"a|2", "c|2", "z|1"}));
  EXPECT_OK(target.deliver(list({part(5, 3, 0, true, {}), part(6, 4, 0, false, {{"d", 80, 4}})})));
  EXPECT_EQ(table("site, _rev"), (Lines{"a|2", "c|2", "d|4", "z|1"}));
  EXPECT_OK(target.deliver(list({part(7, 4, 1, true, {})})));
  EXPECT_EQ(table("site, _rev"), (Lines{"d|4", "z|1"}));
}

TEST_F(PostgresTargetTest, PartsOfOneWindowComeApart) {
  PostgresTarget target(options_);
  for (uint32_t seq = 1; seq <= 5; ++seq) {
    const Part part = part_of(seq, kNoon, 1, {{fmt::format("s{}", seq), 1, 1}, {fmt::format("s{}", seq), 2, 1}});
    part->part = seq - 1;
    part->last = seq == 5;
    EXPECT_OK(target.deliver(list({part})));
  }
  EXPECT_EQ(table("site, port").size(), 10u);
  EXPECT_EQ(target.rows_copied(), 10u);  // None had to go by a temporary table.
  // Somebody else has given the rest of a window meanwhile.
  const auto at = [&](uint64_t seq, uint32_t number, const char* site) {
    Part part = part_of(seq, kNoon + kSecond, 1, {{site, 1, 1}});
    part->part = number;
    part->last = number == 1;
    return part;
  };
  options_.sink = "db2";
  PostgresTarget other(options_);
  EXPECT_OK(target.deliver(list({at(6, 0, "first")})));
  EXPECT_OK(other.deliver(list({at(6, 0, "first"), at(7, 1, "second")})));
  EXPECT_OK(target.deliver(list({at(7, 1, "second")})));
  EXPECT_EQ(ask("SELECT count(*), count(DISTINCT (site, port)) FROM " + schema_ + ".traffic"), Lines{"12|12"});
}

TEST_F(PostgresTargetTest, EveryTypeArrives) {
  const auto form = form_of({{"b", Type::kBool},
                             {"i2", Type::kInt2},
                             {"i4", Type::kInt4},
                             {"i8", Type::kInt8},
                             {"f", Type::kFloat8},
                             {"t", Type::kText},
                             {"y", Type::kBytea},
                             {"a", Type::kInet},
                             {"c", Type::kCidr},
                             {"m", Type::kMacaddr},
                             {"z", Type::kTimestamptz},
                             {"v", Type::kInterval},
                             {"l", Type::kTimestamp}},
                            {3});
  const std::vector<Type> types = form->schema.types();
  const auto part_with = [&](uint64_t seq, Micros start,
                             const std::function<void(std::vector<batch::Column>&, size_t)>& set) {
    batch::BatchBuffer buffer(types, std::vector<bool>(types.size(), true), 3);
    for (batch::Column& column : buffer.batch.columns) {
      column.has_nulls = true;
      column.validity[0] = column.validity[1] = 1;
      column.validity[2] = 0;
    }
    for (size_t row = 0; row < 2; ++row) set(buffer.batch.columns, row);
    buffer.batch.row_count = 3;
    Part part = empty_part(seq, start, 1);
    part->form = form;
    receiver::copy_rows(buffer.batch, 0, 3, types.size(), *part);
    return part;
  };
  const auto typical = [](std::vector<batch::Column>& c, size_t row) {
    const bool first = row == 0;
    c[0].as<uint8_t>()[row] = first;
    c[1].as<int64_t>()[row] = first ? 32'767 : -32'768;
    c[2].as<int64_t>()[row] = first ? INT32_MAX : INT32_MIN;
    c[3].as<int64_t>()[row] = first ? INT64_MAX : INT64_MIN;
    c[4].as<double>()[row] = first ? 0.1 : std::numeric_limits<double>::quiet_NaN();
    c[5].as<std::string_view>()[row] = first ? "straße" : "";
    c[6].as<std::string_view>()[row] = first ? std::string_view("\0\xff\\", 3) : "";
    c[7].as<base::Inet>()[row] = first ? *base::parse_inet("192.0.2.1/24") : *base::parse_inet("2001:db8::1");
    c[8].as<base::Inet>()[row] = first ? *base::parse_cidr("10.0.0.0/8") : *base::parse_cidr("2001:db8::/32");
    c[9].as<int64_t>()[row] = first ? 0x0800'2b01'02ff : 0;
    c[10].as<int64_t>()[row] = first ? kNoon + 1 : base::kMaxTime;
    c[11].as<base::Interval>()[row] = first ? base::Interval{-1, 2, 14} : base::Interval{};
    c[12].as<int64_t>()[row] = first ? -1 : base::kMinTime;
  };
  PostgresTarget target(options_);
  EXPECT_OK(target.deliver(list({part_with(1, kNoon, typical)})));
  const std::string all = "i8, b, i2, i4, f, t, y, a, c, m, z, v, l";
  const Lines lines{
      "-9223372036854775808|f|-32768|-2147483648|NaN|||\\x|2001:db8::1|2001:db8::/"
      "32|00:00:00:00:00:00|infinity|00:00:00|-infinity",
      "9223372036854775807|t|32767|2147483647|0.1|straße|\\x00ff5c|192.0.2.1/24|10.0.0.0/8|08:00:2b:01:02:ff|"
      "2026-01-31 12:00:00.000001+00|1 year 2 mons 2 days -00:00:00.000001|1969-12-31 23:59:59.999999",
      "∅|∅|∅|∅|∅|∅|∅|∅|∅|∅|∅|∅|∅"};
  Lines expected = lines;
  expected[0].replace(expected[0].find("|||"), 3, "||");
  EXPECT_EQ(table(all), expected);
  // By the temporary table, too.
  auto again = part_with(2, kNoon, typical);
  again->revision = 2;
  EXPECT_OK(target.deliver(list({again})));
  EXPECT_EQ(table(all), expected);
  EXPECT_EQ(ask("SELECT DISTINCT _rev FROM " + schema_ + ".traffic"), Lines{"2"});
  // Values that PostgreSQL's types do not hold.
  const auto refused = [&](const std::function<void(std::vector<batch::Column>&)>& spoil) {
    const auto done =
        target.deliver(list({part_with(3, kNoon + kSecond, [&](std::vector<batch::Column>& c, size_t row) {
          typical(c, row);
          if (row == 1) spoil(c);
        })}));
    return done ? "taken" : done.error().code + " " + done.error().message;
  };
  EXPECT_EQ(refused([](auto& c) { c[1].template as<int64_t>()[1] = 40'000; }),
            "22003 smallint out of range (part 3, row 2)");
  EXPECT_EQ(refused([](auto& c) { c[2].template as<int64_t>()[1] = int64_t{1} << 40; }),
            "22003 integer out of range (part 3, row 2)");
  EXPECT_EQ(refused([](auto& c) { c[10].template as<int64_t>()[1] = base::kMinTime + 1; }),
            "22008 timestamp out of range (part 3, row 2)");
  EXPECT_EQ(refused([](auto& c) { c[8].template as<base::Inet>()[1] = *base::parse_inet("10.1.2.3/8"); }),
            "22P03 invalid external \"cidr\" value: Value has bits set to right of mask. (part 3, row 2)");
  EXPECT_EQ(table(all), expected);
  EXPECT_EQ(opened(target), 2u);
}

TEST_F(PostgresTargetTest, HostileTextsGoThroughOrAreRefused) {
  PostgresTarget target(options_);
  const Lines texts{"\\.",
                    "\\.\n",
                    "\n\\.\n1\t2\t3",
                    "'; DROP TABLE traffic; --",
                    "\"",
                    "\\N",
                    "\\",
                    "\t\r\n\x01\x7f",
                    "😀",
                    "a|b",
                    "PGCOPY\n",
                    "{\"x\"}",
                    "$$",
                    "NULL",
                    std::string(100'000, 'x')};
  std::vector<Row> rows;
  for (size_t i = 0; i < texts.size(); ++i) rows.push_back({texts[i].size() > 1'000 ? "long" : texts[i], 1, 1});
  EXPECT_OK(target.deliver(list({part_of(1, kNoon, 1, rows)})));
  EXPECT_OK(target.deliver(list({part_of(2, kNoon, 2, rows)})));
  EXPECT_OK(target.deliver(list({part_of(3, 0, 1, {{texts.back(), 1, 1}})})));  // No index holds this one.
  for (const Row& row : rows) {
    std::string hex;
    for (const char c : *row.site) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    EXPECT_EQ(ask(fmt::format("SELECT _rev FROM {}.traffic WHERE site = convert_from('\\x{}', 'UTF8')", schema_, hex)),
              Lines{"2"});
  }
  EXPECT_EQ(ask("SELECT count(*), max(length(site)) FROM " + schema_ + ".traffic"),
            Lines{fmt::format("{}|100000", texts.size() + 1)});
  const auto refused = [&](const std::string& text, Micros start) {
    const auto done = target.deliver(
        list({part_of(4, start, 3, {{"good", 1, 1}}), part_of(5, start, 3, {{"fine", 1, 1}, {text, 1, 1}})}));
    return done ? std::string("taken") : done.error().code + " " + done.error().message;
  };
  for (const Micros start : {kNoon + kSecond, kNoon}) {  // Straight, and by the temporary table.
    EXPECT_EQ(refused(std::string("a\0b", 3), start),
              "22021 invalid byte sequence for encoding \"UTF8\": 0x00 (part 5, row 2)");
    EXPECT_EQ(refused("\xff", start), "22021 invalid byte sequence for encoding \"UTF8\": 0xff (part 5, row 2)");
  }
  std::string key;  // That does not get shorter by compression.
  std::mt19937 random(1);
  while (key.size() < 9'000) key += static_cast<char>('!' + random() % 90);
  EXPECT_TRUE(refused(key, kNoon + kSecond).starts_with("22000 index row ")) << refused(key, kNoon + kSecond);
  // The place has not moved, and goes on.
  EXPECT_OK(target.pass_over(*part_of(5, kNoon, 1, {})));
  EXPECT_OK(target.deliver(list({part_of(5, 0, 1, {{"left out", 1, 1}}), part_of(6, 0, 1, {{"next", 1, 1}})})));
  EXPECT_EQ(ask("SELECT site FROM " + schema_ + ".traffic WHERE site IN ('good', 'fine', 'left out', 'next')"),
            Lines{"next"});
  EXPECT_EQ(opened(target), 6u);
}

TEST_F(PostgresTargetTest, HostileNamesAreQuoted) {
  const std::string nasty = "a\"b'; DROP TABLE x; --\\ $1 é%s{}";
  ask("CREATE SCHEMA " + quoted_name(schema_ + nasty));
  options_.schema = schema_ + nasty;
  options_.query = nasty;
  options_.sink = "'\\'; --";
  PostgresTarget target(options_);
  const auto form = form_of({{nasty, Type::kText}, {"select", Type::kInt4}, {"Ab", Type::kInt8}}, {0, 1});
  for (uint64_t seq = 1; seq <= 2; ++seq) {
    const Part part = part_of(seq, kNoon, static_cast<int>(seq), {{"x", 1, 2}});
    part->form = form;
    EXPECT_OK(target.deliver(list({part})));
  }
  const Part gone = removed_part(3, kNoon, 3, {{"x", 1, {}}});
  gone->form = form;
  EXPECT_EQ(ask(fmt::format("SELECT {}, \"select\", \"Ab\" FROM {}.{}", quoted_name(nasty),
                            quoted_name(options_.schema), quoted_name(nasty))),
            Lines{"x|1|2"});
  EXPECT_OK(target.deliver(list({gone})));
  EXPECT_EQ(ask(fmt::format("SELECT 1 FROM {}.{}", quoted_name(options_.schema), quoted_name(nasty))), Lines{});
  EXPECT_EQ(opened(target), 3u);
  EXPECT_OK(target.test());
  ask("DROP SCHEMA " + quoted_name(options_.schema) + " CASCADE");
}

TEST_F(PostgresTargetTest, NamesThatItCannotHaveAreRefused) {
  PostgresTarget target(options_);
  const auto refused = [&](const std::string& name) {
    const Part part = part_of(1, kNoon, 1, {{"x", 1, 2}});
    part->form = form_of({{name, Type::kText}, {"port", Type::kInt4}, {"octets", Type::kInt8}}, {0, 1});
    const auto done = target.deliver(list({part}));
    return done ? "taken" : done.error().code;
  };
  EXPECT_EQ(refused("_rev"), "42701");
  EXPECT_EQ(refused("_op"), "42701");
  EXPECT_EQ(refused("octets"), "42701");
  EXPECT_EQ(refused("ctid"), "42701");
  EXPECT_EQ(refused(std::string(64, 'x')), "42622");
  EXPECT_EQ(refused("\xff"), "42602");
  EXPECT_EQ(refused(std::string(63, 'x')), "taken");
  options_.table = std::string(64, 'x');
  EXPECT_EQ(PostgresTarget(options_).open().error().code, "42622");
  options_.table = "";
  options_.sink = std::string("a\0b", 3);
  EXPECT_EQ(PostgresTarget(options_).open().error().code, "42602");
}

TEST_F(PostgresTargetTest, RowsThatAreAlikeInAllKeysAreOne) {
  const auto form = form_of({{"site", Type::kText}, {"port", Type::kInt4}, {"octets", Type::kInt8}}, {0, 1, 2});
  PostgresTarget target(options_);
  const auto part = [&](uint64_t seq, int revision) {
    Part made =
        part_of(seq, kNoon + static_cast<Micros>(seq) * kSecond, revision, {{"a", {}, 1}, {"b", 1, 1}, {"a", {}, 1}});
    made->form = form;
    return made;
  };
  EXPECT_OK(target.deliver(list({part(1, 1)})));
  EXPECT_OK(target.deliver(list({part(2, 1)})));
  const Part again = part(3, 2);
  again->window_start = kNoon + kSecond;
  again->window_end = kNoon + 2 * kSecond;
  EXPECT_OK(target.deliver(list({again})));
  EXPECT_EQ(table("site, _window_start, _rev"), (Lines{"a|2026-01-31 12:00:01+00|2", "a|2026-01-31 12:00:02+00|1",
                                                       "b|2026-01-31 12:00:01+00|2", "b|2026-01-31 12:00:02+00|1"}));
}

TEST_F(PostgresTargetTest, ALaterVersionHasItsColumnsAndKeys) {
  PostgresTarget target(options_);
  EXPECT_OK(target.deliver(list({part_of(1, kNoon, 1, {{"a", 80, 1}, {"a", 81, 1}})})));
  const auto by_site = form_of({{"site", Type::kText}, {"flows", Type::kInt4}, {"octets", Type::kInt8}}, {0});
  const Part wider = part_of(2, kNoon + kSecond, 1, {{"a", 7, 1}, {"b", 8, 1}});
  wider->form = by_site;
  // Rows that are there would be one by the new key.
  auto done = target.deliver(list({wider}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "42000") << done.error().render();
  ask("DELETE FROM " + schema_ + ".traffic WHERE port = 81");
  EXPECT_OK(target.deliver(list({wider})));
  const Part both = part_of(3, kNoon + kSecond, 2, {{"a", 9, 2}, {"b", 8, 1}});
  both->form = by_site;
  EXPECT_OK(target.deliver(list({both})));
  EXPECT_EQ(table("site, port, flows, octets, _rev"), (Lines{"a|80|∅|1|1", "a|∅|9|2|2", "b|∅|8|1|2"}));
  EXPECT_EQ(ask("SELECT count(*) FROM pg_indexes WHERE schemaname = '" + schema_ + "' AND tablename = 'traffic'"),
            Lines{"1"});
  // Both versions in one call, each with its own index.
  const Part old = part_of(4, kNoon, 2, {{"a", 80, 4}}),
             newer = part_of(5, kNoon + kSecond, 3, {{"a", 10, 5}, {"b", 8, 1}});
  newer->form = by_site;
  EXPECT_OK(target.deliver(list({old, newer})));
  EXPECT_EQ(table("site, port, flows, octets, _rev"), (Lines{"a|80|∅|4|2", "a|∅|10|5|3", "b|∅|8|1|3"}));
  // What is repeated of the version before does not take the index from this one.
  done = target.repeat(list({old}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "22000") << done.error().render();
  EXPECT_OK(target.repeat(list({newer})));
  EXPECT_OK(target.deliver(list({newer})));
  // Another query of other keys does not take the table.
  options_.query = "other";
  options_.table = "traffic";
  PostgresTarget other(options_);
  done = other.deliver(list({part_of(1, kNoon + 9 * kSecond, 1, {{"a", 1, 1}})}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "42000");
  EXPECT_NE(done.error().message.find("has rows of query \"traffic\""), std::string::npos) << done.error().render();
}

TEST_F(PostgresTargetTest, TablesOfOthersAreTakenIfTheyFit) {
  const auto refused = [&](const std::string& before) {
    ask(fmt::format("DROP TABLE IF EXISTS {0}.traffic; SET search_path = {0}; {1}", schema_, before));
    PostgresTarget target(options_);
    const auto done = target.deliver(list({part_of(1, kNoon, 1, {{"a", 80, 1}})}));
    const auto tested = [&] {
      options_.form = kTraffic;
      return PostgresTarget(options_).test();
    }();
    EXPECT_EQ(done.has_value(), tested.has_value());
    return done ? "taken" : done.error().code + " " + done.error().message;
  };
  EXPECT_EQ(
      refused("CREATE TABLE traffic (site varchar(10))"),
      fmt::format("42804 column \"site\" of table \"{}\".\"traffic\" is character varying(10), and the query's is text",
                  schema_));
  EXPECT_EQ(refused("CREATE TABLE traffic (octets numeric)"),
            fmt::format("42804 column \"octets\" of table \"{}\".\"traffic\" is numeric, and the query's is bigint",
                        schema_));
  EXPECT_EQ(
      refused("CREATE TABLE traffic (id integer NOT NULL)"),
      fmt::format("42000 column \"id\" of table \"{}\".\"traffic\" must not be null and has no default", schema_));
  EXPECT_EQ(refused("CREATE VIEW traffic AS SELECT 1"),
            fmt::format("42809 \"{}\".\"traffic\" is not a table", schema_));
  ask("DROP VIEW " + schema_ + ".traffic");
  EXPECT_EQ(refused("CREATE TABLE traffic (id bigserial PRIMARY KEY, octets bigint, note text DEFAULT 'n', site text)"),
            "taken");
  EXPECT_EQ(table("id, note, site, octets, _rev"), Lines{"1|n|a|1|1"});
  // Partitions, and an index that is the DBA's.
  ask("DELETE FROM " + schema_ + ".backstream_sink_places");
  EXPECT_EQ(
      refused(
          "CREATE TABLE traffic (_window_start timestamptz, _window_end timestamptz, site text, port integer, octets "
          "bigint, "
          "_rev integer, _final boolean, _complete boolean, _sites_missing text[]) PARTITION BY RANGE (_window_start); "
          "CREATE TABLE traffic_1 PARTITION OF traffic DEFAULT; "
          "CREATE UNIQUE INDEX mine ON traffic (site, port, _window_start, _window_end) NULLS NOT DISTINCT"),
      "taken");
  EXPECT_EQ(ask("SELECT indexname FROM pg_indexes WHERE schemaname = '" + schema_ + "' AND tablename = 'traffic'"),
            Lines{"mine"});
  PostgresTarget target(options_);
  EXPECT_OK(target.deliver(list({part_of(2, kNoon, 2, {{"a", 80, 2}})})));
  EXPECT_EQ(table("site, octets, _rev"), Lines{"a|2|2"});
}

TEST_F(PostgresTargetTest, RightsThatAreMissingAreNamed) {
  const std::string connection = role("");
  const PostgresOptions owner = options_;
  options_.address.connection = connection;
  const auto opened_by_role = [&] {
    const auto done = PostgresTarget(options_).open();
    return done ? std::string() : done.error().code + " " + done.error().hint;
  };
  EXPECT_EQ(
      opened_by_role(),
      fmt::format("42501 GRANT USAGE, CREATE ON SCHEMA \"{0}\" TO \"{0}\", or make the tables yourself", schema_));
  // The DBA makes all of it, and gives the least.
  {
    PostgresTarget target(owner);
    EXPECT_OK(target.deliver(list({part_of(1, kNoon, 1, {{"a", 80, 1}})})));
    ask(fmt::format("GRANT USAGE ON SCHEMA {0} TO {0}", schema_));
  }
  EXPECT_TRUE(opened_by_role().starts_with("42501 GRANT SELECT, INSERT, UPDATE, DELETE ON ")) << opened_by_role();
  EXPECT_EQ(PostgresTarget(options_).test().error().code, "42501");
  ask(fmt::format(
      "GRANT SELECT, INSERT, UPDATE, DELETE ON {0}.backstream_sink_places, {0}.backstream_sink_windows TO {0}",
      schema_));
  EXPECT_EQ(opened_by_role(), "");
  ask(fmt::format("GRANT SELECT, INSERT ON {0}.traffic TO {0}", schema_));
  const auto missing = PostgresTarget(options_).test();
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            fmt::format("rights are missing: UPDATE on \"{0}\".\"traffic\", DELETE on \"{0}\".\"traffic\"", schema_));
  ask(fmt::format("GRANT UPDATE, DELETE ON {0}.traffic TO {0}", schema_));
  options_.form = kTraffic;
  EXPECT_OK(PostgresTarget(options_).test());
  PostgresTarget target(options_);
  EXPECT_EQ(opened(target), 1u);
  EXPECT_OK(target.deliver(list({part_of(2, kNoon, 2, {{"b", 80, 2}}), removed_part(3, kNoon, 2, {{"a", 80, {}}})})));
  EXPECT_EQ(table("site, octets, _rev"), Lines{"b|2|2"});
  // A later version has a column that only the owner can add.
  const Part wider = part_of(4, kNoon + kSecond, 1, {{"a", 7, 1}});
  wider->form = form_of({{"site", Type::kText}, {"flows", Type::kInt4}, {"octets", Type::kInt8}}, {0});
  const auto done = target.deliver(list({wider}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "42501");
  EXPECT_EQ(done.error().hint,
            fmt::format("or run yourself: ALTER TABLE \"{}\".\"traffic\" ADD COLUMN \"flows\" integer", schema_));
  drop_role();
}

TEST_F(PostgresTargetTest, WhoIsNotLetInIsTold) {
  std::ofstream(server_folder() + "/data/pg_hba.conf") << "local postgres " << schema_ << " scram-sha-256\n"
                                                       << "local template1 all reject\nlocal all all trust\n";
  const std::string connection =
      role(fmt::format("ALTER ROLE {0} PASSWORD 'right'; GRANT ALL ON SCHEMA {0} TO {0}", schema_));
  ask("SELECT pg_reload_conf()");
  options_.address.connection = connection;
  const auto refused = [&](const std::string& password) {
    options_.address.password = password;
    const auto done = PostgresTarget(options_).open();
    const std::string told = done ? "" : done.error().render();
    EXPECT_EQ(told.find("wrong"), std::string::npos) << told;
    return done ? std::string("let in") : done.error().code;
  };
  while (refused("wrong-1") == "let in") std::this_thread::sleep_for(milliseconds(5));  // Until it has read the file.
  EXPECT_EQ(refused("wrong-1"), "28P01");
  EXPECT_EQ(refused(""), "28P01");
  EXPECT_EQ(refused("right"), "let in");
  ask(fmt::format("ALTER ROLE {} CONNECTION LIMIT 0", schema_));
  EXPECT_EQ(refused("right"), "53300");
  drop_role();
  options_.address.connection = fmt::format("host={} user=oracle dbname=no_such", server_folder());
  EXPECT_EQ(refused(""), "42000");
  options_.address.connection = fmt::format("host={} user=no_such dbname=postgres", server_folder());
  EXPECT_EQ(refused(""), "28000");
  options_.address.connection = fmt::format("host={} user=oracle dbname=template1", server_folder());
  EXPECT_EQ(refused(""), "28000");
  options_.address.connection = real_server();
  options_.schema = "no_such";
  EXPECT_EQ(refused(""), "42000");
  std::ofstream(server_folder() + "/data/pg_hba.conf") << "local all all trust\n";
  ask("SELECT pg_reload_conf()");
}

/// Without a server.
TEST(PostgresConnection, WhatIsNoConnectionIsRefused) {
  PostgresOptions options;
  options.query = "q";
  options.sink = "s";
  const auto refused = [&](const std::string& connection) {
    options.address.connection = connection;
    options.address.password = "geheim";
    const auto done = PostgresTarget(options).open();
    EXPECT_FALSE(done);
    const std::string text = done ? "" : done.error().render();
    EXPECT_EQ(text.find("geheim"), std::string::npos) << text;
    return done ? "" : done.error().code;
  };
  EXPECT_EQ(refused("host=/nowhere/at-all user=x dbname=y"), "08001");
  EXPECT_EQ(refused("host=/nowhere user=x password=geheim"), "42601");
  EXPECT_EQ(refused("postgresql://x:geheim@nowhere/y"), "42601");
  EXPECT_EQ(refused("postgresql://x:geheim@nowhere:port:geheim/y?geheim"), "42601");
  EXPECT_EQ(refused("host=/nowhere user=x passwort=geheim"), "42601");
  EXPECT_EQ(refused("host=/nowhere user=x password geheim"), "42601");
  EXPECT_EQ(refused("user"), "42601");
}

TEST_F(PostgresTargetTest, AnOldServerIsRefused) {
  Proxy proxy(server_folder());
  options_.address.connection = proxy.connection();
  EXPECT_TRUE(PostgresTarget(options_).open());
  proxy.rewrite(std::string("server_version\0"
                            "15",
                            17),
                std::string("server_version\0"
                            "14",
                            17));
  const auto done = PostgresTarget(options_).open();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "42000");
  EXPECT_TRUE(done.error().message.starts_with("the server is PostgreSQL 14.")) << done.error().message;
  EXPECT_FALSE(done.error().hint.empty());
}

TEST_F(PostgresTargetTest, ACommitWithoutAnswerIsNotRepeated) {
  Proxy proxy(server_folder());
  options_.address.connection = proxy.connection();
  PostgresTarget target(options_);
  EXPECT_EQ(opened(target), 0u);
  EXPECT_OK(target.deliver(list({part_of(1, 0, 1, {{"a", 1, 1}})})));
  proxy.arm("; COMMIT", Proxy::Then::kCutAfterAnswer);
  auto done = target.deliver(list({part_of(2, 0, 1, {{"b", 1, 1}})}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "08006") << done.error().render();
  EXPECT_EQ(opened(target), 2u);
  proxy.arm("; COMMIT", Proxy::Then::kCutBefore);
  EXPECT_FALSE(target.deliver(list({part_of(3, 0, 1, {{"c", 1, 1}})})));
  EXPECT_EQ(opened(target), 2u);
  EXPECT_OK(target.deliver(list({part_of(3, 0, 1, {{"c", 1, 1}})})));
  // Without open() it finds out by itself.
  proxy.arm("; COMMIT", Proxy::Then::kCutAfterAnswer);
  EXPECT_FALSE(target.deliver(list({part_of(4, 0, 1, {{"d", 1, 1}})})));
  EXPECT_OK(target.deliver(list({part_of(4, 0, 1, {{"d", 1, 1}}), part_of(5, 0, 1, {{"e", 1, 1}})})));
  EXPECT_EQ(table("site"), (Lines{"a", "b", "c", "d", "e"}));
}

TEST_F(PostgresTargetTest, ATransactionThatIsStillCommittingIsWaitedFor) {
  Proxy proxy(server_folder());
  options_.address.connection = proxy.connection();
  PostgresTarget target(options_);
  EXPECT_OK(target.deliver(list({part_of(1, 0, 1, {{"a", 1, 1}})})));
  // The connection is cut, but the server still works: a trigger holds the COMMIT up until we let it go.
  ask(fmt::format(
      "SET search_path = {0}; CREATE TABLE gate (x int); CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
      "'BEGIN LOCK TABLE {0}.gate; RETURN NULL; END'; CREATE CONSTRAINT TRIGGER late AFTER INSERT ON traffic "
      "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()",
      schema_));
  const std::unique_ptr<PGconn, void (*)(PGconn*)> gate(PQconnectdb(real_server()), PQfinish);
  const auto run = [&](const std::string& text) { PQclear(PQexec(gate.get(), text.c_str())); };
  run("BEGIN; LOCK TABLE " + schema_ + ".gate");
  const auto waiting = [&] {
    return ask("SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE NOT granted AND relname = 'gate' "
               "AND "
               "relnamespace::regnamespace::text = '" +
               schema_ + "'")
        .size();
  };
  proxy.arm("; COMMIT", Proxy::Then::kCutAfter);
  EXPECT_FALSE(target.deliver(list({part_of(2, 0, 1, {{"b", 1, 1}})})));
  while (waiting() == 0) std::this_thread::sleep_for(milliseconds(5));
  // It must not answer 1 now, when 2 is there a moment later.
  std::atomic<bool> answered{false};
  std::thread opening([&] {
    EXPECT_EQ(opened(target), 2u);
    answered = true;
  });
  const std::string blocked = fmt::format(
      "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%\"{}\".backstream_sink_places%'",
      schema_);
  while (ask(blocked).size() < 2 && !answered) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_FALSE(answered);
  run("ROLLBACK");
  opening.join();
  EXPECT_EQ(table("site"), (Lines{"a", "b"}));
}

/// Rows without a window show what came twice, and revisions what was undone: both in calls of some parts.
struct Stream {
  std::vector<std::shared_ptr<const ResultPart>> parts;
  Lines expected;  ///< _window_start, site, port, octets, _rev
};
Stream stream_of(uint64_t seed, uint64_t part_count, size_t rows_a_part) {
  std::mt19937_64 random(seed);
  Stream stream;
  std::map<std::tuple<Micros, std::string, int64_t>, std::string> newest;
  std::map<Micros, int> revisions;
  std::map<Micros, std::set<int64_t>> ports;
  for (uint64_t seq = 1; seq <= part_count; ++seq) {
    std::vector<Row> rows;
    if (random() % 3 == 0) {
      for (size_t row = 0; row < rows_a_part; ++row) {
        rows.push_back({fmt::format("p{}", seq), static_cast<int64_t>(row), static_cast<int64_t>(random() % 1'000)});
        stream.expected.push_back(fmt::format("∅|p{}|{}|{}|1", seq, row, *rows.back().octets));
      }
      stream.parts.push_back(part_of(seq, 0, 1, rows));
      continue;
    }
    const Micros start = kNoon + static_cast<Micros>(random() % (part_count / 4 + 1)) * kSecond;
    const int revision = ++revisions[start];
    std::set<int64_t> now;
    for (size_t row = 0; row < rows_a_part; ++row) {
      if (random() % 4 == 0) continue;
      const auto port = static_cast<int64_t>(row);
      now.insert(port);
      rows.push_back({"w", port == 0 ? std::nullopt : std::optional(port), static_cast<int64_t>(random() % 1'000)});
      newest[{start, "w", port}] = fmt::format("{}|w|{}|{}|{}", base::format_timestamp(start),
                                               port == 0 ? "∅" : std::to_string(port), *rows.back().octets, revision);
    }
    std::vector<Row> gone;
    for (const int64_t port : ports[start]) {
      if (now.contains(port)) continue;
      gone.push_back({"w", port == 0 ? std::nullopt : std::optional(port), std::nullopt});
      newest.erase({start, "w", port});
    }
    ports[start] = now;
    stream.parts.push_back(part_of(seq, start, revision, rows));
    if (!gone.empty()) {
      stream.parts.push_back(removed_part(++seq, start, revision, gone));
    }
  }
  for (const auto& [key, line] : newest) stream.expected.push_back(line);
  std::sort(stream.expected.begin(), stream.expected.end());
  return stream;
}
/// What comes after the place, in calls of `some` parts.
Parts next_of(const Stream& stream, uint64_t place, size_t some) {
  const auto first =
      std::find_if(stream.parts.begin(), stream.parts.end(), [&](const auto& part) { return part->seq > place; });
  return {first, first + std::min<ptrdiff_t>(static_cast<ptrdiff_t>(some), stream.parts.end() - first)};
}

TEST_F(PostgresTargetTest, AnyStreamInAnyCallsGivesTheSameTable) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const Stream stream = stream_of(seed, 40, 12);
    options_.query = fmt::format("q{}", seed);
    PostgresTarget target(options_);
    std::mt19937_64 random(seed);
    for (uint64_t place = opened(target); place < stream.parts.back()->seq;) {
      const Parts some = next_of(stream, place, 1 + random() % 15);
      EXPECT_OK(target.deliver(some));
      place = some.back()->seq;
      if (random() % 4 == 0) {
        EXPECT_EQ(opened(target), place);
      }
    }
    EXPECT_EQ(table("_window_start, site, port, octets, _rev", options_.query), stream.expected) << "seed " << seed;
  }
}

TEST_F(PostgresTargetTest, ServerAndConnectionMayEndAtAnyOctet) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Stream stream = stream_of(seed, 60, 400);
    Proxy proxy(server_folder());
    options_.address.connection = proxy.connection();
    options_.query = fmt::format("q{}", seed);
    PostgresTarget target(options_);
    std::mt19937_64 random(seed);
    int ends = 0;
    uint64_t place = opened(target);
    while (place < stream.parts.back()->seq) {
      // Half of the first calls, about; the rest goes through.
      if (ends < 6) {
        const uint64_t octets = 1 + random() % 400'000;
        switch (random() % 4) {
          case 0: proxy.arm_after(octets, Proxy::Then::kAct, kill_server); break;
          case 1: proxy.arm_after(octets, Proxy::Then::kCutBefore); break;
          case 2: proxy.arm_after(octets, Proxy::Then::kCutAfter); break;
          default:
            proxy.arm("; COMMIT", Proxy::Then::kAct, [] {
              ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
                  "application_name = 'backstream'");
            });
        }
      }
      const Parts some = next_of(stream, place, 1 + random() % 10);
      const auto done = target.deliver(some);
      if (done) {
        place = some.back()->seq;
        continue;
      }
      ++ends;
      EXPECT_EQ(done.error().code.substr(0, 2), "08") << done.error().render();
      const uint64_t there = opened(target);
      EXPECT_TRUE(there == place || there == some.back()->seq) << there;
      place = there;
    }
    EXPECT_GE(ends, 1) << "seed " << seed;
    proxy.arm("", Proxy::Then::kAct);
    EXPECT_EQ(opened(target), place);
    EXPECT_EQ(table("_window_start, site, port, octets, _rev", options_.query), stream.expected) << "seed " << seed;
  }
}

TEST_F(PostgresTargetTest, TargetsOfOneTableRace) {
  const Stream stream = stream_of(99, 80, 50);
  {
    PostgresTarget first(options_);
    EXPECT_OK(first.deliver(list({part_of(0, kNoon, 1, {})})));  // seq 0 moves nothing; the table is there.
  }
  // One place: what one has given the other leaves out.
  const auto run = [&](const std::string& sink, uint64_t seed) {
    PostgresOptions options = options_;
    options.sink = sink;
    PostgresTarget target(options);
    std::mt19937_64 random(seed);
    for (uint64_t place = opened(target); place < stream.parts.back()->seq;) {
      const Parts some = next_of(stream, place, 1 + random() % 9);
      EXPECT_OK(target.deliver(some));
      place = some.back()->seq;
    }
  };
  {
    std::thread one(run, "db", 1), two(run, "db", 2);
    one.join();
    two.join();
  }
  EXPECT_EQ(table(), stream.expected);
  // Places of their own: rows without a window come twice, as they cannot be told apart; none else does, none is
  // undone.
  ask("TRUNCATE " + schema_ + ".traffic, " + schema_ + ".backstream_sink_windows");
  {
    std::thread one(run, "db2", 3), two(run, "db3", 4);
    one.join();
    two.join();
  }
  Lines expected;
  for (const std::string& line : stream.expected) expected.insert(expected.end(), line.starts_with("∅") ? 2 : 1, line);
  EXPECT_EQ(table(), expected);
}

TEST_F(PostgresTargetTest, TheServerGoesAndComes) {
  PostgresTarget target(options_);
  EXPECT_OK(target.deliver(list({part_of(1, 0, 1, {{"a", 1, 1}})})));
  const std::string down = server_folder() + "/down";
  std::ofstream(down).close();
  kill_server();
  const auto code = [&] {
    const auto done = target.deliver(list({part_of(2, 0, 1, {{"b", 1, 1}})}));
    return done ? "taken" : done.error().code;
  };
  while (target.open().has_value()) std::this_thread::sleep_for(milliseconds(5));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(code().substr(0, 2), "08");
  EXPECT_EQ(target.test().error().code.substr(0, 2), "08");
  EXPECT_EQ(target.pass_over(*part_of(2, 0, 1, {})).error().code.substr(0, 2), "08");
  std::filesystem::remove(down);
  EXPECT_EQ(opened(target), 1u);
  EXPECT_EQ(code(), "taken");
  EXPECT_EQ(table("site"), (Lines{"a", "b"}));
}

TEST_F(PostgresTargetTest, ASilentServerIsGivenUp) {
  Proxy proxy(server_folder());
  options_.address.connection = proxy.connection();
  options_.address.statement_timeout = milliseconds(500);
  options_.address.connect_timeout = milliseconds(500);
  PostgresTarget target(options_);
  EXPECT_OK(target.deliver(list({part_of(1, 0, 1, {{"a", 1, 1}})})));
  proxy.arm("; COMMIT", Proxy::Then::kSilence);
  auto done = target.deliver(list({part_of(2, 0, 1, {{"b", 1, 1}})}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "08006") << done.error().render();
  proxy.arm_after(1, Proxy::Then::kSilence);  // Already in the greeting.
  EXPECT_EQ(target.open().error().code, "08001");
  // Somebody holds the table.
  const std::unique_ptr<PGconn, void (*)(PGconn*)> other(PQconnectdb(real_server()), PQfinish);
  PQclear(PQexec(other.get(), ("BEGIN; LOCK TABLE " + schema_ + ".traffic").c_str()));
  EXPECT_EQ(opened(target), 1u);
  done = target.deliver(list({part_of(2, 0, 1, {{"b", 1, 1}})}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "08006") << done.error().render();
  // Or its lock: another sink writes to it.
  PQclear(PQexec(
      other.get(),
      fmt::format("ROLLBACK; SELECT pg_advisory_lock(hashtextextended('\"{}\".\"traffic\"', 0))", schema_).c_str()));
  done = target.deliver(list({part_of(2, 0, 1, {{"b", 1, 1}})}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "08006") << done.error().render();
  PQclear(PQexec(other.get(), "SELECT pg_advisory_unlock_all()"));
  EXPECT_OK(target.deliver(list({part_of(2, 0, 1, {{"b", 1, 1}})})));
  EXPECT_EQ(table("site"), (Lines{"a", "b"}));
}

TEST_F(PostgresTargetTest, WhereRevisionsComeTheTableHasRoomForThem) {
  const Part part = part_of(1, kNoon, 1, {{"a", 80, 1}});
  part->final = false;
  PostgresTarget target(options_);
  EXPECT_OK(target.deliver(list({part})));
  options_.query = "final";
  PostgresTarget other(options_);
  EXPECT_OK(other.deliver(list({part_of(1, kNoon, 1, {{"a", 80, 1}})})));
  EXPECT_EQ(ask("SELECT relname, reloptions FROM pg_class WHERE relname IN ('traffic', 'final') AND "
                "relnamespace::regnamespace::text = '" +
                schema_ + "' ORDER BY 1"),
            (Lines{"final|∅", "traffic|{fillfactor=50}"}));
}

TEST_F(PostgresTargetTest, WhatWasRepeatedIsThereOnce) {
  PostgresTarget target(options_);
  const Part first = part_of(1, kNoon, 1, {{"a", 80, 1}, {"b", 80, 1}});
  const Part second = part_of(2, kNoon + kSecond, 1, {{"c", 80, 1}});
  EXPECT_OK(target.deliver(list({first, second})));
  const Lines before = table();
  ask("DELETE FROM " + schema_ + ".traffic WHERE site = 'b'");  // Why somebody wants a repetition.
  EXPECT_OK(target.repeat(list({first, second})));
  EXPECT_EQ(table(), before);
  EXPECT_EQ(opened(target), 2u);
  EXPECT_OK(target.repeat(list({part_of(9, kNoon, 1, {{"a", 80, 1}})})));
  EXPECT_EQ(opened(target), 2u);
}

TEST_F(PostgresTargetTest, ATestLeavesNothing) {
  options_.form = kTraffic;
  PostgresTarget target(options_);
  const auto found = target.test();
  ASSERT_TRUE(found) << found.error().render();
  EXPECT_NE(found->find(fmt::format("database postgres on {}", server_folder())), std::string::npos) << *found;
  EXPECT_NE(found->find("can be made; place 0"), std::string::npos) << *found;
  EXPECT_EQ(ask("SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text = '" + schema_ + "'"), Lines{});
  EXPECT_OK(target.deliver(list({part_of(4, kNoon, 1, {{"a", 80, 1}})})));
  const auto later = target.test();
  ASSERT_TRUE(later) << later.error().render();
  EXPECT_NE(later->find("is there, of oracle"), std::string::npos) << *later;
  EXPECT_NE(later->find("place 4"), std::string::npos) << *later;
  EXPECT_EQ(table("site"), Lines{"a"});
  EXPECT_OK(target.deliver(list({part_of(5, kNoon, 2, {{"a", 80, 2}})})));
  EXPECT_EQ(table("site, _rev"), Lines{"a|2"});
}

TEST_F(PostgresTargetTest, ARowThatTheServersOwnRulesRefuseIsTold) {
  PostgresTarget target(options_);
  EXPECT_OK(target.deliver(list({part_of(1, kNoon, 1, {{"a", 80, 1}})})));
  ask("ALTER TABLE " + schema_ + ".traffic ADD CHECK (octets < 1000)");
  for (const Micros start : {kNoon, kNoon + kSecond}) {
    const auto done = target.deliver(list({part_of(2, start, 1, {{"b", 80, 1}, {"c", 80, 1'000}})}));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, "22000");
    EXPECT_NE(done.error().message.find("traffic_octets_check"), std::string::npos) << done.error().message;
  }
  EXPECT_OK(target.pass_over(*part_of(2, kNoon, 1, {})));
  EXPECT_OK(target.deliver(list({part_of(3, kNoon, 1, {{"d", 80, 1}})})));
  EXPECT_EQ(table("site"), (Lines{"a", "d"}));
  // A table that was dropped is made anew once opened again.
  ask("DROP TABLE " + schema_ + ".traffic");
  EXPECT_EQ(target.deliver(list({part_of(4, kNoon, 1, {{"e", 80, 1}})})).error().code, "42P01");
  EXPECT_EQ(opened(target), 3u);
  EXPECT_OK(target.deliver(list({part_of(4, kNoon, 1, {{"e", 80, 1}})})));
  EXPECT_EQ(table("site"), Lines{"e"});
}

}  // namespace
}  // namespace backstream::sink
