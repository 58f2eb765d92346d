#include "telemetry/notify.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace backstream::telemetry {
namespace {

using std::chrono::microseconds;

/// The service manager's end.
class Manager {
 public:
  explicit Manager(const std::string& address) : address_(address) {
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un place{};
    place.sun_family = AF_UNIX;
    std::memcpy(place.sun_path, address.data(), address.size());
    size_t octets = offsetof(sockaddr_un, sun_path) + address.size();
    if (address[0] == '@') place.sun_path[0] = '\0';
    else ::unlink(address.c_str()), ++octets;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&place), static_cast<socklen_t>(octets)), 0);
  }
  ~Manager() {
    ::close(socket_);
    if (address_[0] != '@') ::unlink(address_.c_str());
  }
  /// The next datagram; "": there is none.
  std::string heard() {
    char text[4096];
    const ssize_t octets = ::recv(socket_, text, sizeof text, 0);
    return octets <= 0 ? "" : std::string(text, static_cast<size_t>(octets));
  }

 private:
  const std::string address_;
  int socket_;
};

std::string path() { return fmt::format("{}notify_{}", ::testing::TempDir(), ::getpid()); }

TEST(Notifier, TellsTheManager) {
  for (const std::string& address : {path(), fmt::format("@backstream/notify_{}", ::getpid())}) {
    Manager manager(address);
    Notifier notifier(address);
    ASSERT_TRUE(notifier.is_asked());
    EXPECT_TRUE(notifier.ready("12 queries"));
    EXPECT_EQ(manager.heard(), "READY=1\nSTATUS=12 queries");
    EXPECT_TRUE(notifier.ready());
    EXPECT_EQ(manager.heard(), "READY=1");
    EXPECT_TRUE(notifier.status("15.0k flows/s"));
    EXPECT_EQ(manager.heard(), "STATUS=15.0k flows/s");
    EXPECT_TRUE(notifier.alive());
    EXPECT_EQ(manager.heard(), "WATCHDOG=1");
    EXPECT_TRUE(notifier.reloading());
    const std::string reload = manager.heard();
    EXPECT_EQ(reload.find("RELOADING=1\nMONOTONIC_USEC="), 0U) << reload;
    EXPECT_GT(std::stoll(reload.substr(reload.rfind('=') + 1)), 0);
    EXPECT_TRUE(notifier.extend(std::chrono::seconds(30)));
    EXPECT_EQ(manager.heard(), "EXTEND_TIMEOUT_USEC=30000000");
    EXPECT_TRUE(notifier.stopping("state of 3 windows is written"));
    EXPECT_EQ(manager.heard(), "STOPPING=1\nSTATUS=state of 3 windows is written");
    EXPECT_EQ(manager.heard(), "");
  }
}

TEST(Notifier, AStatusIsOneLine) {
  Manager manager(path());
  Notifier notifier(path());
  EXPECT_TRUE(notifier.status("a\nREADY=1\xff\tb"));
  EXPECT_EQ(manager.heard(), "STATUS=a READY=1? b");
  EXPECT_TRUE(notifier.status(std::string(100'000, 'x')));
  EXPECT_EQ(manager.heard().size(), std::string_view("STATUS=").size() + 1'024);
  EXPECT_FALSE(notifier.status("")) << "nothing to say";
  EXPECT_EQ(manager.heard(), "");
}

TEST(Notifier, DoesNothingWhereNobodyAsked) {
  for (const std::string& address : {std::string(), std::string("@"), std::string("relative"), std::string(500, '/')}) {
    Notifier notifier(address, microseconds(1));
    EXPECT_FALSE(notifier.is_asked());
    EXPECT_FALSE(notifier.ready());
    EXPECT_FALSE(notifier.watchdog_period());
  }
}

TEST(Notifier, AManagerThatIsGoneOrFullHoldsNobodyUp) {
  Notifier notifier(path() + "_gone");
  EXPECT_TRUE(notifier.is_asked());
  EXPECT_FALSE(notifier.ready());
  Manager manager(path());  // Reads nothing until the end.
  Notifier full(path());
  int sent = 0;
  while (full.alive()) {
    ASSERT_LT(++sent, 1'000'000);
  }
  EXPECT_GT(sent, 0);
  EXPECT_EQ(manager.heard(), "WATCHDOG=1");
  EXPECT_TRUE(full.alive()) << "there is room again";
}

TEST(Notifier, ReadsTheEnvironment) {
  const auto with = [](const char* socket, const char* period, const char* process) {
    const auto set = [](const char* name, const char* value) {
      if (value == nullptr) ::unsetenv(name);
      else ::setenv(name, value, 1);
    };
    set("NOTIFY_SOCKET", socket);
    set("WATCHDOG_USEC", period);
    set("WATCHDOG_PID", process);
    return Notifier::of_environment();
  };
  const std::string ours = fmt::format("{}", ::getpid());
  EXPECT_FALSE(with(nullptr, "10", nullptr).is_asked());
  EXPECT_EQ(with("@x", "30000000", nullptr).watchdog_period(), microseconds(30'000'000));
  EXPECT_EQ(with("@x", "30000000", ours.c_str()).watchdog_period(), microseconds(30'000'000));
  EXPECT_FALSE(with("@x", "30000000", "1").watchdog_period()) << "another process is meant";
  EXPECT_FALSE(with("@x", "soon", nullptr).watchdog_period());
  EXPECT_FALSE(with("@x", "0", nullptr).watchdog_period());
  EXPECT_FALSE(with("@x", nullptr, nullptr).watchdog_period());
  with(nullptr, nullptr, nullptr);
}

}  // namespace
}  // namespace backstream::telemetry
