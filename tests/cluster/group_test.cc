// Members of a group as processes of their own, with real brokers (BACKSTREAM_KAFKA=HOST:PORT,...): killed, and
// stopped.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include "transport/kafka_connection.h"
#include "transport/kafka_group.h"
#include "transport/kafka_log.h"

extern char** environ;

namespace backstream::transport {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Numbers = std::vector<uint32_t>;

constexpr std::chrono::minutes kLong{3};
constexpr milliseconds kSession{3'000};
constexpr uint32_t kPartitions = 4;
constexpr const char* kMember = "BACKSTREAM_GROUP_MEMBER";  // Set for a process that is one: the unique part of names.

bool until(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + kLong;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

std::string places_of(const std::string& unique) { return kafka_topic_name(unique, "snapshots"); }

KafkaGroup::Options options_of(const std::string& unique) {
  KafkaGroup::Options options;
  const std::string brokers = std::getenv("BACKSTREAM_KAFKA");
  for (size_t at = 0; at < brokers.size();) {
    const size_t end = std::min(brokers.find(',', at), brokers.size());
    options.client.brokers.push_back(brokers.substr(at, end - at));
    at = end + 1;
  }
  options.client.request_timeout = options.client.append_timeout = std::chrono::minutes(1);
  options.group = unique + ".merge";
  options.topic = kafka_topic_name(unique, "partials");
  options.session_timeout = kSession;
  options.owner_timeout = std::chrono::minutes(5);  // Sessions are what ends here.
  return options;
}

/// A member, whose owner ticks.
class Member {
 public:
  /// @param changed  gets + or - or !, as it was assigned, revoked or lost, and the partitions
  Member(KafkaGroup::Options options, std::function<void(char, const Numbers&)> changed)
      : changed_(std::move(changed)) {
    options.assigned = [this](const Numbers& partitions) { set('+', partitions); };
    options.revoked = [this](bool lost) { set(lost ? '!' : '-', {}); };
    auto group = KafkaGroup::open(std::move(options));
    if (!group) throw std::runtime_error(group.error().render());
    group_ = std::move(*group);
    ticking_ = std::thread([this] {
      while (!end_) {
        group_->tick();
        std::this_thread::sleep_for(milliseconds(20));
      }
    });
  }
  ~Member() {
    end_ = true;
    ticking_.join();
    group_.reset();
  }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  KafkaGroup& group() { return *group_; }
  Numbers partitions() const {
    const std::lock_guard lock(mutex_);
    return partitions_;
  }

 private:
  void set(char what, const Numbers& partitions) {
    {
      const std::lock_guard lock(mutex_);
      partitions_ = partitions;
    }
    changed_(what, partitions);
  }

  const std::function<void(char, const Numbers&)> changed_;
  std::unique_ptr<KafkaGroup> group_;
  mutable std::mutex mutex_;
  Numbers partitions_;
  std::atomic<bool> end_{false};
  std::thread ticking_;
};

/// A process that is a member. It says on its output what it is told, and does what its input says: "stop P OFFSET"
/// stands still until somebody wakes it, and moves the place of P first of all. Until then assigned() does not return:
/// the process cannot be told that it has lost what it has.
TEST(ClusterGroupMember, Process) {
  if (std::getenv(kMember) == nullptr) GTEST_SKIP() << "is what ClusterGroup starts";
  const std::string unique = std::getenv(kMember);
  std::atomic<bool> moved{false};
  Member member(options_of(unique), [&](char what, const Numbers& partitions) {
    std::string line = fmt::format("@{}", what);
    for (const uint32_t partition : partitions) line += fmt::format(" {}", partition);
    line += '\n';
    (void)!::write(STDOUT_FILENO, line.data(), line.size());
    if (what == '+') until([&] { return moved.load(); });
  });
  std::string command;
  while (std::getline(std::cin, command)) {
    uint32_t partition = 0;
    unsigned long offset = 0;
    ASSERT_EQ(std::sscanf(command.c_str(), "stop %u %lu", &partition, &offset), 2);
    ::raise(SIGSTOP);
    const auto result = member.group().commit(places_of(unique), partition, offset);
    const std::string line =
        fmt::format("@c {} {}\n", result ? "moved" : result.error().code, result ? "" : result.error().message);
    (void)!::write(STDOUT_FILENO, line.data(), line.size());
    moved = true;
  }
}

class Process {
 public:
  explicit Process(const std::string& unique) {
    int in[2], out[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    const std::string path = std::filesystem::read_symlink("/proc/self/exe").string();
    std::string filter = "--gtest_filter=ClusterGroupMember.Process";
    std::string name = path;
    char* arguments[] = {name.data(), filter.data(), nullptr};
    ::setenv(kMember, unique.c_str(), 1);
    const int error = ::posix_spawn(&pid_, path.c_str(), &actions, nullptr, arguments, environ);
    ::unsetenv(kMember);
    posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    in_ = in[1];
    if (error != 0) throw std::runtime_error("no process");
    reading_ = std::thread([this, from = ::fdopen(out[0], "r")] { read(from); });
  }
  ~Process() {
    kill(SIGKILL);
    reading_.join();
    ::waitpid(pid_, nullptr, 0);
    ::close(in_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void kill(int signal) const { ::kill(pid_, signal); }
  void say(const std::string& line) const { ASSERT_EQ(::write(in_, line.data(), line.size()), ssize_t(line.size())); }
  /// What it said last of that kind, empty: nothing.
  std::string last(char kind) const {
    const std::lock_guard lock(mutex_);
    for (size_t i = said_.size(); i-- > 0;) {
      if (said_[i][1] == kind) return said_[i].substr(2);
    }
    return {};
  }
  bool was_told(char kind) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(said_.begin(), said_.end(), [&](const std::string& line) { return line[1] == kind; });
  }
  char last_kind() const {
    const std::lock_guard lock(mutex_);
    return said_.empty() ? ' ' : said_.back()[1];
  }
  bool stands_still() const {
    siginfo_t what{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &what, WSTOPPED | WNOHANG | WNOWAIT) == 0 && what.si_pid == pid_;
  }

 private:
  void read(std::FILE* from) {
    char line[512];
    while (std::fgets(line, sizeof line, from) != nullptr) {
      if (line[0] != '@') continue;
      line[std::strcspn(line, "\n")] = '\0';
      const std::lock_guard lock(mutex_);
      said_.emplace_back(line);
    }
    std::fclose(from);
  }

  pid_t pid_ = 0;
  int in_ = -1;
  mutable std::mutex mutex_;
  std::vector<std::string> said_;
  std::thread reading_;
};

class ClusterGroup : public testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("BACKSTREAM_KAFKA") == nullptr) GTEST_SKIP() << "wants BACKSTREAM_KAFKA=HOST:PORT,...";
    unique_ = fmt::format("test{}-{}", ::getpid(), std::random_device{}());
    const auto connection = KafkaConnection::open(options_of(unique_).client);
    ASSERT_TRUE(connection);
    for (const std::string& name : {options_of(unique_).topic, places_of(unique_)}) {
      KafkaTopicOptions topic;
      topic.name = name;
      topic.partition_count = kPartitions;
      topic.check_timeout = std::chrono::minutes(1);
      const auto log = KafkaLog::open(*connection, topic);
      ASSERT_TRUE(log) << log.error().render();
    }
  }

  /// Until that process has what this one has not.
  static bool share(const Process& process, const Member& member) {
    return until(
        [&] { return process.last_kind() == '+' && process.last('+').size() == 4 && member.partitions().size() == 2; });
  }

  std::string unique_;
};

TEST_F(ClusterGroup, WhatAKilledProcessHadIsTakenOver) {
  Member member(options_of(unique_), [](char, const Numbers&) {});
  ASSERT_TRUE(until([&] { return member.partitions().size() == kPartitions; }));
  Process process(unique_);
  ASSERT_TRUE(share(process, member));
  const uint32_t its = static_cast<uint32_t>(process.last('+')[1] - '0');
  ASSERT_FALSE(member.group().commit(places_of(unique_), its, 1));
  process.kill(SIGKILL);
  const auto killed = Clock::now();
  ASSERT_TRUE(until([&] { return member.partitions().size() == kPartitions; }));
  std::printf("taken over after %ld ms, sessions of %ld ms\n",
              long(std::chrono::duration_cast<milliseconds>(Clock::now() - killed).count()), long(kSession.count()));
  EXPECT_TRUE(member.group().commit(places_of(unique_), its, 2));
  EXPECT_EQ(*member.group().committed(places_of(unique_), its), 2u);
  EXPECT_EQ(member.group().status().lost, 0u);
}

/// One that stood still does not know yet that others have what it had, and brokers do.
TEST_F(ClusterGroup, AProcessThatStoodStillMovesNoPlace) {
  Member member(options_of(unique_), [](char, const Numbers&) {});
  ASSERT_TRUE(until([&] { return member.partitions().size() == kPartitions; }));
  Process process(unique_);
  ASSERT_TRUE(share(process, member));
  const uint32_t its = static_cast<uint32_t>(process.last('+')[1] - '0');
  process.say(fmt::format("stop {} 10\n", its));
  ASSERT_TRUE(until([&] { return process.stands_still(); }));
  ASSERT_TRUE(until([&] { return member.partitions().size() == kPartitions; }));
  ASSERT_TRUE(member.group().commit(places_of(unique_), its, 20));
  process.kill(SIGCONT);
  ASSERT_TRUE(until([&] { return !process.last('c').empty(); }));
  const std::string answer = process.last('c');
  EXPECT_TRUE(answer.starts_with(" 55000 ")) << answer;
  EXPECT_NE(answer.find("Broker: "), std::string::npos) << answer;
  EXPECT_EQ(*member.group().committed(places_of(unique_), its), 20u);
  // It is told of its loss, and comes back.
  ASSERT_TRUE(until([&] { return process.was_told('!'); }));
  ASSERT_TRUE(share(process, member));
  EXPECT_EQ(*member.group().committed(places_of(unique_), its), 20u);
}

}  // namespace
}  // namespace backstream::transport
