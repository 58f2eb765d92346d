// Server and client over real sockets on loopback.
#include "http/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <thread>

#include "http/client.h"
#include "http/event_parser.h"
#include "http/url.h"

namespace backstream::http {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Waits until it holds; false after a time that no machine needs.
bool eventually(const std::function<bool()>& holds) {
  for (const auto end = Clock::now() + 30s; Clock::now() < end;) {
    if (holds()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

/// A client that writes what it likes.
class RawClient {
 public:
  explicit RawClient(uint16_t port, int receive_octets = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_octets > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_octets, sizeof receive_octets);
    timeval patience{30, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  RawClient(RawClient&& other) noexcept : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_) {}
  ~RawClient() {
    if (socket_ >= 0) ::close(socket_);
  }
  bool connected() const { return connected_; }
  int descriptor() const { return socket_; }
  RawClient& send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      text.remove_prefix(static_cast<size_t>(sent));
    }
    return *this;
  }
  /// What comes until the server ends the connection.
  std::string read_all() {
    std::string out;
    char buffer[65'536];
    for (ssize_t got; (got = ::recv(socket_, buffer, sizeof buffer, 0)) > 0;)
      out.append(buffer, static_cast<size_t>(got));
    return out;
  }
  /// What comes until the text has come.
  std::string read_until(std::string_view text) {
    std::string out;
    char c;
    while (out.find(text) == std::string::npos && ::recv(socket_, &c, 1, 0) == 1) out += c;
    return out;
  }
  /// What is there now, without waiting.
  size_t read_some(char* into, size_t octets) {
    const ssize_t got = ::recv(socket_, into, octets, MSG_DONTWAIT);
    return got > 0 ? static_cast<size_t>(got) : 0;
  }

 private:
  int socket_;
  bool connected_ = false;
};

size_t count(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string_view::npos; at += what.size()) ++n;
  return n;
}
std::string get(std::string_view path, std::string_view more = {}, std::string_view host = "localhost") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n" + std::string(more) + "\r\n";
}

class HttpServer : public testing::Test {
 protected:
  HttpServer() {
    router.add({.method = Method::kGet, .pattern = "/hello", .handler = [](const Request& request) {
                  return text_response(200, "hello " + std::string(request.parameter("name").value_or("you")));
                }});
    router.add({.method = Method::kPost, .pattern = "/echo", .handler = [](const Request& request) {
                  Response response = text_response(200, request.body);
                  response.headers.set("X-Trailer", request.headers.find("X-Late").value_or("none"));
                  return response;
                }});
    router.add({.method = Method::kGet, .pattern = "/big", .handler = [](const Request& request) {
                  return text_response(200, std::string(std::stoul(std::string(*request.parameter("octets"))), 'x'));
                }});
    router.add({.method = Method::kGet, .pattern = "/bad", .handler = [](const Request&) {
                  Response response = text_response(200, "ok");
                  response.headers.set("X-Split", "a\r\nSet-Cookie: b=c");
                  response.headers.set("X Name", "a");
                  response.headers.set("Content-Length", "77");
                  response.headers.set("X-Good", "yes");
                  return response;
                }});
    router.add({.method = Method::kGet,
                .pattern = "/wait",
                .handler =
                    [this](const Request&) {
                      waiting.fetch_add(1);
                      gate.wait(0);
                      return text_response(200, "waited");
                    },
                .slow = true});
    router.add({.method = Method::kGet, .pattern = "/events/{topic}", .handler = [this](const Request& request) {
                  Response response;
                  response.events = EventStream{{hub.open(request.path_value("topic"))},
                                                std::string(request.headers.find("Last-Event-ID").value_or("")),
                                                0,
                                                {}};
                  return response;
                }});
    options.listeners = {{.address = "127.0.0.1", .port = 0}};
    options.limits.per_peer = {.connections_max = 5'000, .requests_per_second = 1e6, .burst = 1e6};
  }
  ~HttpServer() override { open_gate(); }

  void open_gate() {
    gate.store(1);
    gate.notify_all();
  }
  void start() {
    auto opened = Server::open(router, hub, options);
    ASSERT_TRUE(opened) << opened.error().render();
    server = std::move(*opened);
    port = server->ports()[0];
  }
  std::string ask(std::string_view text) { return RawClient(port).send(text).read_all(); }
  ClientOptions client_options() const { return {.server = "http://127.0.0.1:" + std::to_string(port)}; }
  uint64_t refused(Refusal why) const { return server->status().of(why); }

  std::atomic<int> waiting{0}, gate{0};
  std::atomic<uint64_t> resumed_at{0};
  Router router;
  EventHub hub;
  ServerOptions options;
  std::unique_ptr<Server> server;
  uint16_t port = 0;
};

TEST_F(HttpServer, AnswersAndKeepsTheConnection) {
  start();
  RawClient client(port);
  const std::string first = client.send(get("/hello?name=a%20b")).read_until("hello a b");
  EXPECT_TRUE(first.starts_with("HTTP/1.1 200 OK\r\nDate: ")) << first;
  EXPECT_NE(first.find("\r\nContent-Length: 9\r\n"), std::string::npos);
  EXPECT_NE(first.find("\r\nX-Content-Type-Options: nosniff\r\n"), std::string::npos);
  EXPECT_NE(first.find("\r\nCache-Control: no-store\r\n"), std::string::npos);
  EXPECT_EQ(first.find("Connection"), std::string::npos);
  const std::string last = client.send(get("/hello", "Connection: close\r\n")).read_all();
  EXPECT_NE(last.find("\r\nConnection: close\r\n"), std::string::npos);
  EXPECT_TRUE(last.ends_with("\r\n\r\nhello you"));
  const ServerStatus status = server->status();
  EXPECT_EQ(status.connections, 1u);
  EXPECT_EQ(status.requests, 2u);
  EXPECT_EQ(status.answers[2], 2u);
}
TEST_F(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  start();
  std::string text;
  for (int i = 0; i < 500; ++i) text += get("/hello?name=" + std::to_string(i));
  text +=
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc" + get("/hello", "Connection: close\r\n");
  RawClient client(port);
  std::thread writer([&] { client.send(text); });
  const std::string all = client.read_all();
  writer.join();
  size_t at = 0;
  for (int i = 0; i < 500; ++i) {
    const std::string body = "\r\n\r\nhello " + std::to_string(i) + "HTTP/1.1";
    at = all.find(body, at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_NE(all.find("\r\n\r\nabcHTTP/1.1", at), std::string::npos);
  EXPECT_TRUE(all.ends_with("hello you"));
}
TEST_F(HttpServer, OctetByOctetIsTheSame) {
  start();
  RawClient client(port);
  for (const char c :
       std::string("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
                   "\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Late: 1\r\n\r\n")) {
    client.send({&c, 1});
  }
  const std::string all = client.read_all();
  EXPECT_TRUE(all.ends_with("\r\n\r\nabcde")) << all;
  EXPECT_NE(all.find("X-Trailer: none"), std::string::npos);  // What follows the body is no header.
}
TEST_F(HttpServer, HeadHasTheLengthAndNoBody) {
  start();
  const std::string all = ask("HEAD /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_NE(all.find("Content-Length: 9\r\n"), std::string::npos);
  EXPECT_TRUE(all.ends_with("\r\n\r\n"));
}
TEST_F(HttpServer, NoHeaderOfAHandlerBreaksTheAnswer) {
  start();
  const std::string all = ask(get("/bad", "Connection: close\r\n"));
  EXPECT_EQ(all.find("Set-Cookie"), std::string::npos);
  EXPECT_EQ(all.find("77"), std::string::npos);
  EXPECT_NE(all.find("X-Good: yes\r\n"), std::string::npos);
  EXPECT_EQ(refused(Refusal::kResponseHeader), 3u);
}
TEST_F(HttpServer, ABodyIsInvited) {
  start();
  RawClient client(port);
  client.send(
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: "
      "close\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(client.send("abc").read_all().ends_with("\r\n\r\nabc"));
}

struct BadRequest {
  const char* what;
  std::string text;
  int status;
  Refusal why;
};
TEST_F(HttpServer, WhatIsNoRequestIsRefusedAndCounted) {
  options.limits.body_octets_max = 1'000;
  options.limits.header_octets_max = 10'000;
  start();
  const std::string post = "POST /echo HTTP/1.1\r\nHost: localhost\r\n";
  const BadRequest cases[] = {
      {"not HTTP", "\x16\x03\x01\x02\r\n\r\n", 400, Refusal::kMalformed},
      {"two lengths", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, Refusal::kMalformed},
      {"length and coding", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
       Refusal::kMalformed},
      {"coding and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400,
       Refusal::kMalformed},
      {"another coding", post + "Transfer-Encoding: gzip\r\n\r\n", 400, Refusal::kMalformed},
      {"coding within", post + "Transfer-Encoding: chunked, identity\r\n\r\n", 400, Refusal::kMalformed},
      {"two codings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
       Refusal::kMalformed},
      {"two codings, one ours", post + "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
       Refusal::kMalformed},
      {"coding in 1.0", "POST /echo HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
       Refusal::kMalformed},
      {"a name with a blank", post + "Content-Length : 3\r\n\r\nabc", 400, Refusal::kMalformed},
      {"a sign", post + "Content-Length: +3\r\n\r\nabc", 400, Refusal::kMalformed},
      {"a bad chunk", post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, Refusal::kMalformed},
      {"no Host", "GET /hello HTTP/1.1\r\n\r\n", 400, Refusal::kMalformed},
      {"two Hosts", get("/hello", "Host: localhost\r\n"), 400, Refusal::kMalformed},
      {"a Host that is none", get("/hello", "", "a b"), 400, Refusal::kMalformed},
      {"another Host", get("/hello", "", "evil.example"), 421, Refusal::kHost},
      {"another authority", "GET http://evil.example/hello HTTP/1.1\r\nHost: localhost\r\n\r\n", 421, Refusal::kHost},
      {"another origin", get("/hello", "Origin: https://evil.example\r\n"), 403, Refusal::kOrigin},
      {"another site", post + "Sec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n\r\n", 403, Refusal::kOrigin},
      {"dots", get("/a/../hello"), 400, Refusal::kMalformed},
      {"a bad escape", get("/hello?name=%zz"), 400, Refusal::kMalformed},
      {"a long target", get("/" + std::string(kTargetOctetsMax, 'a')), 414, Refusal::kTarget},
      {"a long header", get("/hello", "X: " + std::string(10'000, 'a') + "\r\n"), 431, Refusal::kHeaderOctets},
      {"a long body", post + "Content-Length: 1001\r\n\r\n", 413, Refusal::kBodyOctets},
      {"a long body, chunked", post + "Transfer-Encoding: chunked\r\n\r\n400\r\n" + std::string(1'024, 'a') + "\r\n",
       413, Refusal::kBodyOctets},
      {"endless chunk header", post + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(40'000, 'a'), 400,
       Refusal::kMalformed},
      {"a method", "BREW /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", 501, Refusal::kMethod},
      {"a tunnel", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, Refusal::kMalformed},
      {"a version", "GET /hello HTTP/2.0\r\nHost: localhost\r\n\r\n", 505, Refusal::kVersion},
      {"an expectation", post + "Expect: beer\r\nContent-Length: 0\r\n\r\n", 417, Refusal::kExpectation},
  };
  for (const BadRequest& c : cases) {
    const uint64_t before = refused(c.why);
    const std::string all = ask(c.text);
    EXPECT_TRUE(all.starts_with("HTTP/1.1 " + std::to_string(c.status) + " ")) << c.what << ": " << all;
    EXPECT_NE(all.find("application/problem+json"), std::string::npos) << c.what;
    EXPECT_EQ(count(all, "HTTP/1.1 "), 1u) << c.what << ": nothing is answered after it";
    EXPECT_EQ(refused(c.why), before + 1) << c.what;
  }
  EXPECT_EQ(server->status().bodies_octets_now, 0u);
}
TEST_F(HttpServer, OurNamesAndOriginsAreAnswered) {
  options.hosts = {"noc.example"};
  options.origins = {"https://wall.example"};
  start();
  const std::string here = "localhost:" + std::to_string(port);
  EXPECT_TRUE(ask(get("/hello", "Connection: close\r\n", "noc.example")).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(ask(get("/hello", "Connection: close\r\n", "127.0.0.1")).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(
      ask(get("/hello", "Connection: close\r\nOrigin: http://" + here + "\r\n", here)).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(ask(get("/hello", "Connection: close\r\nOrigin: https://wall.example\r\n")).starts_with("HTTP/1.1 200"));
}
TEST_F(HttpServer, ABodyForNobodyIsNotRead) {
  start();
  const std::string all =
      ask("POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + std::string(1'000, 'x'));
  EXPECT_TRUE(all.starts_with("HTTP/1.1 404"));
  EXPECT_EQ(count(all, "HTTP/1.1"), 1u);
}

TEST_F(HttpServer, SlowRequestsEnd) {
  options.limits.header_time = 200ms;
  options.limits.body_time = 300ms;
  options.limits.idle_time = 200ms;
  start();
  EXPECT_EQ(ask(""), "");
  EXPECT_EQ(refused(Refusal::kHeaderTime), 1u);
  EXPECT_TRUE(ask("GET /hello HTT").starts_with("HTTP/1.1 408"));
  EXPECT_EQ(refused(Refusal::kHeaderTime), 2u);
  EXPECT_TRUE(ask("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\na").starts_with("HTTP/1.1 408"));
  EXPECT_EQ(refused(Refusal::kBodyTime), 1u);
  EXPECT_TRUE(ask(get("/hello")).ends_with("hello you"));
  EXPECT_EQ(refused(Refusal::kIdleTime), 1u);
  EXPECT_TRUE(ask(get("/wait").substr(0, 3)).starts_with("HTTP/1.1 408"));
}
TEST_F(HttpServer, AHeaderThatTricklesInEndsTooForAllItsOctets) {
  options.limits.header_time = 300ms;
  start();
  RawClient client(port);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    while (!done) {
      client.send("G");
      std::this_thread::sleep_for(20ms);
    }
  });
  const std::string all = client.read_all();
  done = true;
  writer.join();
  EXPECT_EQ(refused(Refusal::kHeaderTime), 1u);
}
TEST_F(HttpServer, ConnectionsAreBounded) {
  options.limits.connections_max = 3;
  start();
  {
    std::vector<RawClient> clients;
    for (int i = 0; i < 3; ++i) clients.emplace_back(port);
    ASSERT_TRUE(eventually([&] { return server->status().connections_now == 3; }));
    EXPECT_TRUE(RawClient(port).read_all().starts_with("HTTP/1.1 503"));
    EXPECT_EQ(refused(Refusal::kConnections), 1u);
  }
  ASSERT_TRUE(eventually([&] { return server->status().connections_now == 0; }));
  EXPECT_TRUE(ask(get("/hello", "Connection: close\r\n")).starts_with("HTTP/1.1 200"));
}
TEST_F(HttpServer, ConnectionsOfAPeerAreBounded) {
  options.limits.per_peer.connections_max = 2;
  start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 2; ++i) clients.emplace_back(port);
  ASSERT_TRUE(eventually([&] { return server->status().connections_now == 2; }));
  EXPECT_TRUE(RawClient(port).read_all().starts_with("HTTP/1.1 503"));
  EXPECT_EQ(refused(Refusal::kPeerConnections), 1u);
}
TEST_F(HttpServer, RequestsOfAPeerAreBounded) {
  options.limits.per_peer.requests_per_second = 1e-6;
  options.limits.per_peer.burst = 2;
  start();
  const std::string all =
      RawClient(port).send(get("/hello") + get("/hello") + get("/hello") + get("/hello")).read_all();
  EXPECT_EQ(count(all, "HTTP/1.1 200"), 2u);
  EXPECT_EQ(count(all, "HTTP/1.1 429"), 1u);
  EXPECT_NE(all.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_EQ(refused(Refusal::kRequestRate), 1u);
}
TEST_F(HttpServer, BodiesTogetherAreBounded) {
  options.limits.all_bodies_octets_max = 1'500;
  start();
  RawClient first(port);
  first.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return server->status().bodies_octets_now == 1'000; }));
  EXPECT_TRUE(ask("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600\r\n\r\n").starts_with("HTTP/1.1 503"));
  EXPECT_TRUE(ask("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n258\r\n" +
                  std::string(600, 'x') + "\r\n0\r\n\r\n")
                  .starts_with("HTTP/1.1 503"));
  EXPECT_TRUE(ask(get("/big?octets=600")).starts_with("HTTP/1.1 503"));
  EXPECT_EQ(refused(Refusal::kBodies), 3u);
  // Request and answer count both.
  EXPECT_TRUE(first.send(std::string(1'000, 'y')).read_all().starts_with("HTTP/1.1 503"));
  EXPECT_TRUE(eventually([&] { return server->status().bodies_octets_now == 0; }));
  EXPECT_TRUE(ask(get("/big?octets=1500", "Connection: close\r\n")).starts_with("HTTP/1.1 200"));
}
TEST_F(HttpServer, ResponsesAreBounded) {
  options.limits.response_octets_max = 1'000;
  start();
  EXPECT_TRUE(ask(get("/big?octets=1001", "Connection: close\r\n")).starts_with("HTTP/1.1 500"));
  EXPECT_EQ(refused(Refusal::kResponseOctets), 1u);
  EXPECT_TRUE(ask(get("/big?octets=1000", "Connection: close\r\n")).starts_with("HTTP/1.1 200"));
}
TEST_F(HttpServer, WhoDoesNotReadHisAnswerIsCutOff) {
  options.limits.write_time = 200ms;
  start();
  RawClient client(port, 4'096);
  client.send(get("/big?octets=10000000"));
  EXPECT_TRUE(eventually([&] { return refused(Refusal::kWriteTime) == 1; }));
  EXPECT_TRUE(eventually([&] { return server->status().bodies_octets_now == 0; }));
}
TEST_F(HttpServer, ALargeAnswerArrivesWhole) {
  start();
  Client client(client_options());
  const auto response = client.get("/big?octets=20000000");
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(response->body.size(), 20'000'000u);
}

TEST_F(HttpServer, WhatIsQuickDoesNotWaitForWhatIsSlow) {
  options.limits.handler_threads = 2;
  options.limits.handler_queue_max = 3;
  start();
  std::vector<RawClient> slow;
  for (int i = 0; i < 3; ++i) slow.emplace_back(port).send(get("/wait", "Connection: close\r\n"));
  ASSERT_TRUE(eventually([&] { return waiting == 1 && server->status().handlers_waiting == 2; }));
  EXPECT_TRUE(ask(get("/hello", "Connection: close\r\n")).ends_with("hello you"));
  slow.emplace_back(port).send(get("/wait", "Connection: close\r\n"));
  ASSERT_TRUE(eventually([&] { return server->status().handlers_waiting == 3; }));
  EXPECT_TRUE(ask(get("/hello")).starts_with("HTTP/1.1 503"));
  EXPECT_EQ(refused(Refusal::kHandlerQueue), 1u);
  open_gate();
  for (RawClient& client : slow) EXPECT_TRUE(client.read_all().ends_with("waited"));
}
TEST_F(HttpServer, ManyWhoComeBackAtOnceAreServed) {
  options.limits.handler_threads = 1;
  start();
  RawClient slow(port);
  slow.send(get("/wait"));
  ASSERT_TRUE(eventually([&] { return waiting == 1; }));
  constexpr size_t kClients = 400;
  std::vector<RawClient> clients;
  for (size_t i = 0; i < kClients; ++i) clients.emplace_back(port).send(get("/events/top"));
  ASSERT_TRUE(eventually([&] { return server->status().handlers_waiting == kClients; }));
  open_gate();
  EXPECT_TRUE(eventually([&] { return server->status().streams_now == kClients; }));
  EXPECT_EQ(refused(Refusal::kHandlerQueue), 0u);
}
TEST_F(HttpServer, AHandlerThatTakesTooLongIsNotWaitedFor) {
  options.limits.handler_time = 200ms;
  start();
  RawClient running(port), queued(port);
  running.send(get("/wait"));
  queued.send(get("/wait"));
  EXPECT_TRUE(running.read_all().starts_with("HTTP/1.1 503"));
  EXPECT_TRUE(queued.read_all().starts_with("HTTP/1.1 503"));
  EXPECT_EQ(refused(Refusal::kHandlerTime), 2u);
  open_gate();
  EXPECT_TRUE(eventually([&] { return server->status().handlers_waiting == 0 && server->status().handlers_now == 0; }));
  EXPECT_LE(waiting, 1);  // What nobody waits for is not begun.
}

// ---- event streams

TEST_F(HttpServer, AStreamGivesWhatIsPublished) {
  start();
  const auto topic = hub.open("top");
  Client client(client_options());
  std::string got;
  std::thread publisher([&] {
    ASSERT_TRUE(eventually([&] { return server->status().streams_now == 1; }));
    for (uint64_t id = 1; id <= 3; ++id) topic->publish(id, "row", "{\"n\":" + std::to_string(id) + "}");
  });
  const auto end = client.stream("/events/top", "", [&](const Event& event) {
    got += event.id + event.name + event.data;
    return event.id != "3";
  });
  publisher.join();
  ASSERT_TRUE(end) << end.error().render();
  EXPECT_TRUE(end->stopped);
  EXPECT_EQ(got, "1row{\"n\":1}2row{\"n\":2}3row{\"n\":3}");
  EXPECT_EQ(client.last_event_id(), "3");
  EXPECT_TRUE(eventually([&] { return server->status().streams_now == 0; }));
}
TEST_F(HttpServer, AStreamEndsWithItsTopic) {
  start();
  const auto topic = hub.open("top");
  std::thread remover([&] {
    ASSERT_TRUE(eventually([&] { return server->status().streams_now == 1; }));
    hub.remove("top");
  });
  std::string got;
  const auto end = Client(client_options()).stream("/events/top", "", [&](const Event& event) {
    got += event.name;
    return true;
  });
  remover.join();
  ASSERT_TRUE(end) << end.error().render();
  EXPECT_FALSE(end->stopped);
  EXPECT_EQ(got, "end");
}
TEST_F(HttpServer, AQuietStreamHasAHeartbeat) {
  options.limits.heartbeat = 100ms;
  start();
  const std::string got = RawClient(port).send(get("/events/top")).read_until("\n:\n\n:\n\n");
  EXPECT_NE(got.find("Content-Type: text/event-stream\r\n"), std::string::npos);
  EXPECT_NE(got.find("X-Accel-Buffering: no\r\n"), std::string::npos);
  EXPECT_TRUE(got.ends_with(":\n\n:\n\n"));
}
TEST_F(HttpServer, ResumesUnderLoadWithoutGapOrRepeat) {
  start();
  const auto topic = hub.open("top", 0);
  std::atomic<bool> done{false};
  std::atomic<uint64_t> published{0};
  std::thread publisher([&] {
    for (uint64_t id = 1; !done; ++id) {
      topic->publish(id, "row", std::to_string(id));
      published = id;
      std::this_thread::sleep_for(50us);
      // Not faster than the ring allows who comes back: what a ring loses is another test.
      while (!done && id > resumed_at + 200) std::this_thread::sleep_for(50us);
    }
  });
  Client client(client_options());
  uint64_t next = 1;
  std::string last = "0";
  for (int resume = 0; resume < 40; ++resume) {
    int events = 0;
    const auto end = client.stream("/events/top", last, [&](const Event& event) {
      EXPECT_EQ(event.name, "row") << event.data;
      EXPECT_EQ(event.data, std::to_string(next));
      ++next;
      resumed_at = next;
      return ++events < 37;
    });
    ASSERT_TRUE(end) << end.error().render();
    last = client.last_event_id();
  }
  done = true;
  publisher.join();
  EXPECT_EQ(next, 1 + 40 * 37u);
  EXPECT_EQ(hub.counters().gaps, 0u);
  EXPECT_EQ(hub.counters().lost_frames, 0u);
}
TEST_F(HttpServer, AThousandReadersOfWhichMostStandStill) {
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = std::min<rlim_t>(descriptors.rlim_max, 4'096);
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  constexpr size_t kReaders = 100, kStanding = 900;
  if (descriptors.rlim_cur < 2 * (kReaders + kStanding) + 100) GTEST_SKIP() << "too few descriptors";
  options.limits.socket_buffer_octets = 8 << 10;
  start();
  const auto topic = hub.open("top");
  std::vector<RawClient> clients;
  for (size_t i = 0; i < kReaders + kStanding; ++i) {
    ASSERT_TRUE(clients.emplace_back(port, i < kReaders ? 0 : 4'096).connected()) << i;
    clients.back().send(get("/events/top"));
  }
  ASSERT_TRUE(eventually([&] { return server->status().streams_now == kReaders + kStanding; }));

  // 1,000 events of 1 KB: the readers get all, the others what fits into their sockets.
  constexpr uint64_t kEvents = 1'000;
  const std::string data(1'000, 'x');
  std::vector<EventParser> parsers(kReaders);
  std::vector<uint64_t> seen(kReaders, 0);
  size_t whole = 0;
  char buffer[65'536];
  const auto read_on = [&] {
    for (size_t i = 0; i < kReaders; ++i) {
      while (const size_t octets = clients[i].read_some(buffer, sizeof buffer)) {
        const std::string_view piece(buffer, octets);
        // The header of the answer is a line without meaning to the parser.
        parsers[i].put(piece, [&](const Event& event) {
          EXPECT_EQ(event.name, "row");
          EXPECT_EQ(event.id, std::to_string(++seen[i]));
          if (seen[i] == kEvents) ++whole;
          return true;
        });
      }
    }
  };
  for (uint64_t id = 1; id <= kEvents; ++id) {
    EXPECT_TRUE(topic->publish(id, "row", data));
    // The readers keep up with the ring.
    if (id % 100 == 0) {
      ASSERT_TRUE(eventually([&] {
        read_on();
        return *std::min_element(seen.begin(), seen.end()) + 100 >= id;
      })) << id;
    }
  }
  ASSERT_TRUE(eventually([&] {
    read_on();
    return whole == kReaders;
  }));
  EXPECT_LE(hub.counters().ring_octets, 256 * 1'100u);  // Whoever stands still holds nothing more.
  EXPECT_EQ(server->status().streams_now, kReaders + kStanding);

  // One of those who stood still reads again: what it gets has no repeat, and what it misses is told.
  RawClient& late = clients[kReaders];
  EventParser parser;
  uint64_t last = 0, lost = 0, got = 0;
  ASSERT_TRUE(eventually([&] {
    while (const size_t octets = late.read_some(buffer, sizeof buffer)) {
      parser.put({buffer, octets}, [&](const Event& event) {
        if (event.name == "lost") {
          lost += std::stoul(event.data.substr(event.data.find("\"events\":") + 9));
        } else {
          EXPECT_GT(std::stoul(event.id), last);
          last = std::stoul(event.id);
          ++got;
        }
        return true;
      });
    }
    return last == kEvents;
  }));
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(lost + got, kEvents);
  EXPECT_GE(hub.counters().lost_frames, lost);

  // The rest still stand when it stops.
  server->stop(500ms);
  EXPECT_EQ(server->status().streams_now, 0u);
  EXPECT_EQ(server->status().connections_now, 0u);
}
TEST_F(HttpServer, AStreamThatStandsStillForTooLongIsCutOff) {
  options.limits.stalled_time = 200ms;
  options.limits.socket_buffer_octets = 8 << 10;
  start();
  const auto topic = hub.open("top");
  RawClient client(port, 4'096);
  client.send(get("/events/top"));
  ASSERT_TRUE(eventually([&] { return server->status().streams_now == 1; }));
  for (uint64_t id = 1; id <= 5'000; ++id) topic->publish(id, "row", std::string(1'000, 'x'));
  EXPECT_TRUE(eventually([&] { return refused(Refusal::kStalledTime) == 1; }));
  EXPECT_EQ(server->status().streams_now, 0u);
}

// ---- the end

TEST_F(HttpServer, StopsWhileClientsHang) {
  start();
  RawClient silent(port), half(port), idle(port), stream(port), handled(port);
  half.send("GET /he");
  idle.send(get("/hello")).read_until("hello you");
  stream.send(get("/events/top"));
  handled.send(get("/wait"));
  ASSERT_TRUE(eventually([&] { return server->status().streams_now == 1 && waiting == 1; }));
  std::thread opener([&] {
    std::this_thread::sleep_for(100ms);
    open_gate();
  });
  server->stop(2s);
  opener.join();
  const std::string answer = handled.read_all();
  EXPECT_TRUE(answer.ends_with("waited")) << answer;  // Who was being served is answered.
  EXPECT_NE(stream.read_all().find("text/event-stream"), std::string::npos);
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_EQ(refused(Refusal::kStop), 1u);  // The one whose request never came.
  EXPECT_FALSE(RawClient(port).connected());
}
TEST_F(HttpServer, AStreamGivesWhatWasPublishedBeforeTheStop) {
  start();
  const auto topic = hub.open("top");
  RawClient stream(port);
  stream.send(get("/events/top"));
  ASSERT_TRUE(eventually([&] { return server->status().streams_now == 1; }));
  for (uint64_t id = 1; id <= 1'000; ++id) topic->publish(id, "row", std::string(1'000, 'x'));
  std::thread stopper([&] { server->stop(20s); });
  const std::string all = stream.read_all();
  stopper.join();
  EXPECT_NE(all.find("id: 1000\n"), std::string::npos) << all.size();
  EXPECT_EQ(refused(Refusal::kStop), 0u);
}
TEST_F(HttpServer, StopsWithoutPatience) {
  start();
  RawClient handled(port), queued(port);
  handled.send(get("/wait"));
  queued.send(get("/wait"));
  ASSERT_TRUE(eventually([&] { return waiting == 1 && server->status().handlers_waiting == 1; }));
  std::thread opener([&] {
    std::this_thread::sleep_for(100ms);
    open_gate();
  });
  server->stop(0ms);
  opener.join();
  EXPECT_EQ(handled.read_all(), "");
  EXPECT_EQ(queued.read_all(), "");
  EXPECT_EQ(waiting, 1);
}

// ---- what cannot be served

TEST_F(HttpServer, OpensNothingBeyondLoopbackWithoutTls) {
  options.listeners = {{.address = "0.0.0.0", .port = 0}};
  const auto opened = Server::open(router, hub, options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "55000");
  options.allow_insecure = true;
  start();
  EXPECT_TRUE(ask(get("/hello", "Connection: close\r\n")).starts_with("HTTP/1.1 200"));
}
TEST_F(HttpServer, SaysWhyItCannotListen) {
  start();
  options.listeners[0].port = port;
  auto opened = Server::open(router, hub, options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "55006");
  EXPECT_NE(opened.error().hint.find("running already"), std::string::npos);
  options.listeners[0].address = "localhost";
  opened = Server::open(router, hub, options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "22023");
  options.listeners[0] = {
      .address = "127.0.0.1", .port = 0, .certificate_file = "/nowhere/cert.pem", .key_file = "/nowhere/key.pem"};
  opened = Server::open(router, hub, options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "F0000");
  EXPECT_NE(opened.error().message.find("/nowhere/cert.pem"), std::string::npos);
}

// ---- TLS

/// Makes a certificate that is its own authority, for these names.
void make_certificate(const std::string& certificate_file, const std::string& key_file, const char* names) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3'600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 86'400);
  X509_set_pubkey(certificate, key);
  X509_NAME* const subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(certificate, subject);
  for (const auto& [id, value] :
       {std::pair{NID_subject_alt_name, names}, std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
    ASSERT_NE(extension, nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  ASSERT_GT(X509_sign(certificate, key, EVP_sha256()), 0);
  std::FILE* file = std::fopen(certificate_file.c_str(), "w");
  PEM_write_X509(file, certificate);
  std::fclose(file);
  file = std::fopen(key_file.c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

class HttpsServer : public HttpServer {
 protected:
  HttpsServer() {
    char pattern[] = "/tmp/http_test.XXXXXX";
    folder = ::mkdtemp(pattern);
    certificate = folder + "/cert.pem";
    key = folder + "/key.pem";
    make_certificate(certificate, key, "IP:127.0.0.1");
    options.listeners[0].certificate_file = certificate;
    options.listeners[0].key_file = key;
  }
  ~HttpsServer() override { std::filesystem::remove_all(folder); }
  ClientOptions tls_options() const {
    return {.server = "https://127.0.0.1:" + std::to_string(port), .ca_file = certificate};
  }
  std::string folder, certificate, key;
};

TEST_F(HttpsServer, ServesOverTls) {
  start();
  Client client(tls_options());
  auto response = client.get("/hello");
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(response->body, "hello you");
  response = client.get("/big?octets=5000000");
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(response->body.size(), 5'000'000u);
  response = client.exchange(Method::kPost, "/echo", std::string(500'000, 'a'), "text/plain");
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(response->body, std::string(500'000, 'a'));
}
TEST_F(HttpsServer, StreamsOverTls) {
  start();
  const auto topic = hub.open("top");
  std::thread publisher([&] {
    ASSERT_TRUE(eventually([&] { return server->status().streams_now == 1; }));
    for (uint64_t id = 1; id <= 100; ++id) topic->publish(id, "row", std::string(1'000, 'x'));
  });
  uint64_t next = 1;
  const auto end = Client(tls_options()).stream("/events/top", "", [&](const Event& event) {
    EXPECT_EQ(event.id, std::to_string(next));
    return ++next <= 100;
  });
  publisher.join();
  ASSERT_TRUE(end) << end.error().render();
  EXPECT_EQ(next, 101u);
  server->stop(2s);
}
TEST_F(HttpsServer, PlainHttpIsNoHandshake) {
  start();
  EXPECT_EQ(ask(get("/hello")).find("HTTP"), std::string::npos);
  EXPECT_EQ(refused(Refusal::kHandshake), 1u);
  const auto response = Client(client_options()).get("/hello");
  ASSERT_FALSE(response);
}
TEST_F(HttpsServer, TheClientTrustsOnlyWhatItIsTold) {
  start();
  ClientOptions other = tls_options();
  other.ca_file.clear();
  auto response = Client(other).get("/hello");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, "08004");
  EXPECT_NE(response.error().hint.find("--ca-file"), std::string::npos);
  other = tls_options();
  other.server = "https://localhost:" + std::to_string(port);  // The certificate has the address only.
  response = Client(other).get("/hello");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, "08004");
  EXPECT_NE(response.error().hint.find("a name that its certificate has"), std::string::npos);
  other.any_certificate = true;
  EXPECT_TRUE(Client(other).get("/hello"));
}
TEST_F(HttpsServer, CertificatesAreReadAgain) {
  start();
  ASSERT_TRUE(Client(tls_options()).get("/hello"));
  // A key of another certificate: refused, and the old pair is served still.
  make_certificate(folder + "/other.pem", key, "IP:127.0.0.1");
  const auto refused_pair = server->reload_certificates();
  ASSERT_FALSE(refused_pair);
  EXPECT_EQ(refused_pair.error().code, "F0000");
  ASSERT_TRUE(Client(tls_options()).get("/hello"));
  make_certificate(certificate, key, "IP:127.0.0.1");
  ASSERT_FALSE(Client(tls_options()).get("/hello"));  // What is served is not yet what the file has.
  ASSERT_TRUE(server->reload_certificates());
  const auto response = Client(tls_options()).get("/hello");
  ASSERT_TRUE(response) << response.error().render();
}
TEST_F(HttpsServer, AHandshakeThatNeverComesEnds) {
  options.limits.header_time = 200ms;
  start();
  EXPECT_EQ(ask(""), "");
  EXPECT_EQ(refused(Refusal::kHandshake), 1u);
}

// ---- the client

TEST_F(HttpServer, TheClientSaysWhoIsNotThere) {
  start();
  server.reset();
  const auto response = Client(client_options()).get("/hello");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, "08001");
  EXPECT_EQ(response.error().hint, "is backstream serve running? --server URL");
}
TEST_F(HttpServer, TheClientDoesNotWaitForEver) {
  start();
  ClientOptions quick = client_options();
  quick.timeout = 200ms;
  const auto response = Client(quick).get("/wait");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, "57014");
}
TEST_F(HttpServer, TheClientShowsProblemsWithTheirPlace) {
  const std::string sql = "SELECT é,\n  scr_ip FROM flows";
  router.add({.method = Method::kPost, .pattern = "/validate", .handler = [](const Request& request) {
                base::Diagnostic diagnostic;
                diagnostic.code = "42703";
                diagnostic.message = "there is no column \"scr_ip\"";
                diagnostic.hint = "did you mean \"src_ip\"?";
                diagnostic.span = {static_cast<uint32_t>(request.body.find("scr_ip")), 6};
                base::locate(diagnostic, "", request.body);
                return respond(problem_of(diagnostic, 422, request.body));
              }});
  start();
  const auto response = Client(client_options()).exchange(Method::kPost, "/validate", sql, "application/sql");
  ASSERT_TRUE(response) << response.error().render();
  EXPECT_EQ(response->status, 422);
  EXPECT_EQ(diagnostic_of(*response, "q.sql", sql).render(),
            "q.sql:2:3: error: there is no column \"scr_ip\"\n"
            "    2 |   scr_ip FROM flows\n"
            "      |   ^~~~~~ hint: did you mean \"src_ip\"?\n");
  EXPECT_EQ(diagnostic_of({.status = 502, .headers = {}, .body = "<html>"}).message, "Bad Gateway (502)");
}
TEST_F(HttpServer, TheClientKeepsItsTokenToItself) {
  start();
  ClientOptions with_token{.server = "http://192.0.2.1:1", .token = "secret"};
  auto response = Client(with_token).get("/");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, "22023");
  EXPECT_EQ(response.error().render().find("secret"), std::string::npos);
  with_token.server = "https://192.0.2.1:1";
  with_token.any_certificate = true;
  response = Client(with_token).get("/");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, "22023");
  EXPECT_EQ(Client(client_options()).get("/hello HTTP/1.1\r\nX: y").error().code, "22023");
}
TEST_F(HttpServer, AStreamThatIsRefusedIsAnAnswer) {
  start();
  const auto end = Client(client_options()).stream("/nothing", "", [](const Event&) { return true; });
  ASSERT_TRUE(end) << end.error().render();
  EXPECT_EQ(end->refused.status, 404);
  EXPECT_EQ(diagnostic_of(end->refused).message, "there is nothing at /nothing");
}
TEST_F(HttpServer, AStreamEndsWhenItsReaderSaysSo) {
  start();
  int asked = 0;
  const auto end = Client(client_options())
                       .stream(
                           "/events/quiet", "", [](const Event&) { return true; }, [&] { return ++asked < 10; });
  ASSERT_TRUE(end) << end.error().render();
  EXPECT_TRUE(end->stopped);
}

}  // namespace
}  // namespace backstream::http
