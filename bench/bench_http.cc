// Event streams over loopback: what publishing costs with no, a hundred and a thousand clients of which nine in ten
// stand still, what the network thread spends on a thousand clients, and how long an event takes from publisher to
// client.
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"

namespace {

using namespace backstream;
using Clock = std::chrono::steady_clock;

uint64_t now_ns() { return static_cast<uint64_t>(Clock::now().time_since_epoch().count()); }

/// A server on loopback, and clients of its one stream: some read, the others stand still.
class Fixture {
 public:
  Fixture(size_t readers, size_t standing) {
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
    router_.add({.method = http::Method::kGet, .pattern = "/events", .handler = [this](const http::Request&) {
                   http::Response response;
                   response.events = http::EventStream{{topic}, "", 0, ""};
                   return response;
                 }});
    http::ServerOptions options;
    options.listeners = {{.address = "127.0.0.1", .port = 0}};
    options.limits.per_peer = {.connections_max = 100'000, .requests_per_second = 1e9, .burst = 1e9};
    auto opened = http::Server::open(router_, hub_, options);
    if (!opened) std::abort();
    server = std::move(*opened);
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < readers + standing; ++i) connect(i < readers);
    while (server->status().streams_now < readers + standing) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    reader_ = std::thread([this] { read(); });
  }
  ~Fixture() {
    done_ = true;
    reader_.join();
    server.reset();
    for (const int socket : sockets_) ::close(socket);
    ::close(epoll_);
  }

  /// Events that readers got, summed over them.
  uint64_t received() const { return received_.load(std::memory_order_acquire); }
  /// Of each event that a reader got: from publish() to recv(), ns. After the last.
  std::vector<uint64_t> latencies_ns;

 private:
  void connect(bool reads) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server->ports()[0]);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!reads) {
      const int octets = 4'096;
      ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &octets, sizeof octets);
    }
    if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
    constexpr std::string_view kRequest = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    if (::send(socket, kRequest.data(), kRequest.size(), 0) < 0) std::abort();
    sockets_.push_back(socket);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = socket;
    if (reads) ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event);
  }
  void read() {
    std::vector<epoll_event> events(256);
    std::vector<char> buffer(1 << 16);
    while (!done_) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 50);
      for (int i = 0; i < count; ++i) {
        const ssize_t got = ::recv(events[static_cast<size_t>(i)].data.fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got <= 0) continue;
        const uint64_t now = now_ns();
        // Events are small and come whole, with the time of their publishing in front.
        std::string_view text(buffer.data(), static_cast<size_t>(got));
        for (size_t at; (at = text.find("data: at=")) != std::string_view::npos; text.remove_prefix(at + 9)) {
          latencies_ns.push_back(now - std::strtoull(text.data() + at + 9, nullptr, 10));
          received_.fetch_add(1, std::memory_order_release);
        }
      }
    }
  }

  http::EventHub hub_;

 public:
  std::shared_ptr<http::Topic> topic = hub_.open("t");
  std::unique_ptr<http::Server> server;

 private:
  http::Router router_;
  int epoll_ = -1;
  std::vector<int> sockets_;
  std::atomic<bool> done_{false};
  std::atomic<uint64_t> received_{0};
  std::thread reader_;
};

/// One event at a time, the network thread given its time between two: what the engine pays for publish().
void BM_Publish(benchmark::State& state) {
  const auto clients = static_cast<size_t>(state.range(0));
  Fixture fixture(clients / 10, clients - clients / 10);
  const std::string data(static_cast<size_t>(state.range(1)), 'x');
  uint64_t id = 0;
  std::vector<uint64_t> costs;
  for (auto _ : state) {
    const uint64_t begin = now_ns();
    fixture.topic->publish(++id, "row", data);
    const uint64_t cost = now_ns() - begin;
    state.SetIterationTime(static_cast<double>(cost) / 1e9);
    costs.push_back(cost);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  std::sort(costs.begin(), costs.end());
  state.counters["median_ns"] = static_cast<double>(costs[costs.size() / 2]);
  state.counters["p99_ns"] = static_cast<double>(costs[costs.size() * 99 / 100]);
}
BENCHMARK(BM_Publish)
    ->ArgNames({"clients", "octets"})
    ->ArgsProduct({{0, 100, 1'000}, {1'000}})
    ->UseManualTime()
    ->Iterations(1'000);

/// As fast as it goes: what the lock-free list costs, wake-ups shared.
void BM_PublishBurst(benchmark::State& state) {
  const auto clients = static_cast<size_t>(state.range(0));
  Fixture fixture(clients / 10, clients - clients / 10);
  const std::string data(1'000, 'x');
  uint64_t id = 0;
  for (auto _ : state) {
    for (int i = 0; i < 1'000; ++i) fixture.topic->publish(++id, "row", data);
    state.PauseTiming();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * 1'000);
}
BENCHMARK(BM_PublishBurst)->ArgName("clients")->Arg(0)->Arg(100)->Arg(1'000)->UseRealTime()->Iterations(50);

/// A thousand clients that read one event of 1 KB a second each, for ten seconds, or a hundred a second.
void BM_Stream(benchmark::State& state) {
  const auto clients = static_cast<size_t>(state.range(0)), events_per_second = static_cast<size_t>(state.range(1));
  const auto standing = static_cast<size_t>(state.range(2));
  for (auto _ : state) {
    Fixture fixture(clients - standing, standing);
    const std::string rest(1'000, 'x');
    const uint64_t cpu_begin = fixture.server->status().network_thread_ns;
    const auto begin = Clock::now();
    const size_t events = events_per_second * 5;
    for (size_t i = 1; i <= events; ++i) {
      fixture.topic->publish(i, "row", "at=" + std::to_string(now_ns()) + " " + rest);
      std::this_thread::sleep_until(begin + std::chrono::nanoseconds(1'000'000'000 / events_per_second) * i);
    }
    while (fixture.received() < events * (clients - standing) && Clock::now() - begin < std::chrono::seconds(20)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(150));  // The thread's clock is read ten times a second.
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const auto spent = static_cast<double>(fixture.server->status().network_thread_ns - cpu_begin);
    auto latencies = fixture.latencies_ns;
    std::sort(latencies.begin(), latencies.end());
    if (latencies.empty()) std::abort();
    state.counters["core_percent"] = spent / 1e7 / seconds;
    state.counters["us_per_client_event"] = spent / 1e3 / static_cast<double>(events * (clients - standing));
    state.counters["latency_median_us"] = static_cast<double>(latencies[latencies.size() / 2]) / 1e3;
    state.counters["latency_p99_us"] = static_cast<double>(latencies[latencies.size() * 99 / 100]) / 1e3;
    state.counters["frames"] = static_cast<double>(latencies.size());
  }
}
BENCHMARK(BM_Stream)
    ->ArgNames({"clients", "per_second", "standing"})
    ->Args({1, 100, 0})
    ->Args({1'000, 1, 0})
    ->Args({1'000, 10, 0})
    ->Args({1'000, 10, 900})
    ->UseRealTime()
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
