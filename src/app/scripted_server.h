#pragma once
// For tests: a server on loopback whose answers a test writes.
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "http/client.h"
#include "http/server.h"

namespace backstream::app {

class ScriptedServer {
 public:
  struct Asked {
    http::Method method;
    std::string path;  ///< decoded, without the query
    http::Parameters query;
    http::Headers headers;
    std::string body;
    nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
  };

  /// Before start().
  void on(http::Method method, const std::string& pattern, http::Handler handler) {
    router_.add({.method = method, .pattern = pattern, .handler = [this, handler](const http::Request& request) {
                   {
                     const std::lock_guard lock(mutex_);
                     asked_.push_back({request.method, request.path, request.query, request.headers, request.body});
                   }
                   return handler(request);
                 }});
  }
  /// The same answer each time.
  void on(http::Method method, const std::string& pattern, const nlohmann::json& answer, uint16_t status = 200) {
    on(method, pattern,
       [text = answer.dump(), status](const http::Request&) { return http::json_response(status, text); });
  }
  void start() {
    http::ServerOptions options;
    options.listeners.push_back({.port = 0});
    options.limits.per_peer.requests_per_second = 1e6;
    options.limits.per_peer.burst = 1e6;
    auto opened = http::Server::open(router_, hub_, std::move(options));
    ASSERT_TRUE(opened) << opened.error().render();
    server_ = std::move(*opened);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->ports()[0]); }
  std::vector<Asked> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  http::EventHub& hub() { return hub_; }

 private:
  mutable std::mutex mutex_;
  std::vector<Asked> asked_;
  http::EventHub hub_;
  http::Router router_;
  std::unique_ptr<http::Server> server_;  // Last: its threads use what is above.
};

}  // namespace backstream::app
