#pragma once
// Every route, asked by everybody over real connections: 401, 403, 421. For tests of any table of routes.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "http/server.h"
#include "service/access.h"

namespace backstream::service {

/// Sends the text to 127.0.0.1 and gives the status of the answer; 0: none came. Does not wait for a body, which of a
/// stream never ends.
inline int status_of_request(uint16_t port, std::string_view text) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{60, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string line;
  if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      ::send(socket, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size())) {
    for (char c; line.size() < 64 && !line.ends_with('\n') && ::recv(socket, &c, 1, 0) == 1;) line += c;
  }
  ::close(socket);
  return line.starts_with("HTTP/1.1 ") ? std::atoi(line.c_str() + 9) : 0;
}

/// A request for the route: its names stand for "matrix-none", which should be nothing's name.
inline std::string request_for(const http::Route& route, std::string_view headers,
                               std::string_view host = "localhost") {
  std::string path;
  for (size_t at = 0; at < route.pattern.size();) {
    if (route.pattern[at] != '{') {
      path += route.pattern[at++];
      continue;
    }
    path += "matrix-none";
    at = route.pattern.find('}', at) + 1;
  }
  const bool reads = route.method == http::Method::kGet || route.method == http::Method::kDelete;
  const std::string_view body = reads ? "" : "{}";
  std::string text = std::string(http::name(route.method)) + " " + path + " HTTP/1.1\r\nHost: " + std::string(host) +
                     "\r\nConnection: close\r\n" + std::string(headers);
  if (!reads) text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + std::string(body);
}

/// Somebody who asks.
struct Asker {
  std::string who;
  std::string headers;  ///< lines with their ends
  uint32_t role = 0;    ///< what he may; 0: he is not let in
  int refusal = 401;    ///< with role 0: the answer
  bool filtered = false;
};

/// Serves the routes on a free port of 127.0.0.1 and asks each of them as everybody, first with access required, then
/// behind a proxy, then as local use; then under a wrong name and from a foreign page. Handlers of who may are run: GET
/// and DELETE without a body, others with "{}". Settings of `access` are `settings` again afterwards.
/// @param router  its gate is access.gate()
/// @param access  has a catalog, and AccessOptions::limits with room for thousands of failures
/// @return        how many requests were sent
inline size_t expect_access_matrix(const http::Router& router, http::EventHub& hub, Access& access,
                                   const config::Settings& settings) {
  using config::AccessRole;
  const catalog::Author author{"matrix", "test"};
  const auto token = [&](std::string name, AccessRole role, std::string filter = {}, Micros ago = 0) {
    NewToken wanted{std::move(name), role, NewToken::kDayUs, std::move(filter)};
    auto made = access.tokens().create(wanted, author, access.now() - ago);
    EXPECT_TRUE(made) << made.error().render();
    return made ? "Authorization: Bearer " + *made + "\r\n" : std::string();
  };
  const std::string viewer = token("matrix-viewer", AccessRole::kViewer);
  const std::string some = token("matrix-some", AccessRole::kViewer, "site = 'ams'");
  const std::string an_operator = token("matrix-operator", AccessRole::kOperator);
  const std::string admin = token("matrix-admin", AccessRole::kAdmin);
  const std::string expired = token("matrix-expired", AccessRole::kAdmin, {}, 2 * NewToken::kDayUs);
  const std::string revoked = token("matrix-revoked", AccessRole::kAdmin);
  EXPECT_TRUE(access.tokens().revoke("matrix-revoked", author, access.now()));
  const std::string emergency(64, 'e');
  const std::string never_made = std::string(TokenStore::kPrefix) + std::string(64, '0');
  const auto user = [](std::string_view name) { return "X-Forwarded-User: " + std::string(name) + "\r\n"; };

  config::Settings required = settings, proxied = settings, local = settings;
  required.http.listen = proxied.http.listen = local.http.listen = "http://127.0.0.1:1";
  required.access = proxied.access = local.access = {};
  required.access.required = true;
  required.access.proxy_addresses = {base::Inet::v4(0xC0000200, 24)};
  required.secrets.insert_or_assign("access.admin_token", config::Secret{emergency, {}});
  EXPECT_TRUE(
      config::apply_toml(required,
                         "[access]\ngrants = ['alice=admin', 'vic=viewer', 'fred=viewer', 'group:noc=operator']\n"
                         "filters = [\"fred=site = 'ams'\"]\n",
                         "matrix.toml"));
  proxied.access = required.access;
  proxied.access.proxy_addresses = {base::Inet::v4(0x7F000001, 32)};
  local.secrets.erase("access.admin_token");

  const std::vector<Asker> with_tokens = {
      {"nobody", "", 0},
      {"a password", "Authorization: Basic YWRtaW46YWRtaW4=\r\n", 0},
      {"no token", "Authorization: Bearer\r\n", 0},
      {"something else", "Authorization: Bearer abc\r\n", 0},
      {"two tokens", admin + admin, 0},
      {"a token never made", "Authorization: Bearer " + never_made + "\r\n", 0},
      {"expired", expired, 0},
      {"revoked", revoked, 0},
      {"a proxy's header from elsewhere", user("alice"), 0},
      {"viewer", viewer, kViewer},
      {"viewer of some rows", some, kViewer, 0, true},
      {"operator", an_operator, kOperator},
      {"admin", admin, kAdmin},
      {"emergency", "Authorization: Bearer " + emergency + "\r\n", kAdmin},
      {"viewer with an admin's header", viewer + user("alice"), kViewer},
  };
  const std::vector<Asker> by_proxy = {
      {"nobody", "", 0},
      {"proxied admin", user("alice"), kAdmin},
      {"proxied viewer", user("vic"), kViewer},
      {"proxied viewer of some rows", user("fred"), kViewer, 0, true},
      {"proxied operator by group", user("olga") + "X-Forwarded-Groups: staff, noc\r\n", kOperator},
      {"a user without a role", user("eve"), 0, 403},
      {"two users", user("vic") + user("alice"), 0},
      {"an empty user", user(""), 0},
      {"a token through the proxy", viewer, kViewer},
      {"the emergency token where none is set", "Authorization: Bearer " + emergency + "\r\n", 0},
  };
  const std::vector<Asker> locally = {
      {"local", "", kAdmin},
      {"somebody passed on", "X-Forwarded-For: 192.0.2.1\r\n", 0},
      {"a proxy's header", user("alice"), 0},
      {"expired", expired, 0},
      {"viewer", viewer, kViewer},
  };

  http::ServerOptions options;
  options.listeners = {{.address = "127.0.0.1", .port = 0}};
  options.limits.per_peer = {.connections_max = 5'000, .requests_per_second = 1e6, .burst = 1e6};
  const auto server = http::Server::open(router, hub, options);
  if (!server) {
    ADD_FAILURE() << server.error().render();
    return 0;
  }
  const uint16_t port = (*server)->ports()[0];
  size_t count = 0;
  const auto ask = [&](const http::Route& route, const Asker& asker) {
    SCOPED_TRACE(std::string(http::name(route.method)) + " " + route.pattern + " as " + asker.who);
    const int status = status_of_request(port, request_for(route, asker.headers));
    ++count;
    const uint32_t needed = role_of(route.role);
    const bool let_in = needed == 0 || asker.role > 0;
    const bool allowed =
        needed == 0 || (asker.role >= needed && (!asker.filtered || (route.role & kHeedsRowFilter) != 0));
    if (!let_in) EXPECT_EQ(status, asker.refusal);
    else if (!allowed) EXPECT_EQ(status, 403);
    else EXPECT_TRUE(status >= 200 && status != 401 && status != 403 && status != 421 && status != 429) << status;
  };
  for (const auto& [now, askers] :
       {std::pair(&required, &with_tokens), std::pair(&proxied, &by_proxy), std::pair(&local, &locally)}) {
    const auto configured = access.configure(*now);
    EXPECT_TRUE(configured) << configured.error().render();
    for (const http::Route& route : router.routes()) {
      for (const Asker& asker : *askers) ask(route, asker);
      for (const std::string& headers : {std::string(), admin}) {
        SCOPED_TRACE(std::string(http::name(route.method)) + " " + route.pattern);
        EXPECT_EQ(status_of_request(port, request_for(route, headers, "evil.example")), 421);
        EXPECT_EQ(status_of_request(port, request_for(route, headers + "Origin: https://evil.example\r\n")), 403);
        count += 2;
      }
    }
  }
  EXPECT_TRUE(access.configure(settings));
  for (const char* made : {"matrix-viewer", "matrix-some", "matrix-operator", "matrix-admin", "matrix-expired"})
    EXPECT_TRUE(access.tokens().revoke(made, author, access.now())) << made;
  return count;
}

}  // namespace backstream::service
