#include "app/demo/notices.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace backstream::app::demo {

namespace {

/// What summary said: the message goes on with what somebody who watches a terminal sees elsewhere.
std::string summary_of(const std::string& message) { return message.substr(0, message.find(". ")); }

}  // namespace

base::Result<std::unique_ptr<Notices>> Notices::open() {
  std::unique_ptr<Notices> notices(new Notices);
  notices->router_.add({.method = http::Method::kPost,
                        .pattern = "/alerts",
                        .handler = [&to = *notices](const http::Request& request) { return to.take(request); }});
  http::ServerOptions options;
  options.listeners.push_back({.port = 0});
  auto opened = http::Server::open(notices->router_, notices->hub_, std::move(options));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  notices->server_ = std::move(*opened);
  return notices;
}

std::string Notices::url() const { return fmt::format("http://127.0.0.1:{}/alerts", server_->ports().front()); }

http::Response Notices::take(const http::Request& request) {
  const auto said = nlohmann::json::parse(request.body, nullptr, false);
  if (!said.is_object()) return http::json_response(400, R"({"detail": "no notice"})");
  const auto text = [&](const char* member) {
    const auto at = said.find(member);
    return at != said.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  Notice notice;
  notice.firing = text("state") == "firing";
  notice.rule = text("alert");
  notice.severity = text("severity");
  notice.text = summary_of(text("message"));
  notice.window_end = base::parse_timestamp(text("window_end")).value_or(0);
  notice.came_at = base::wall_clock();
  const std::lock_guard lock(mutex_);
  if (notices_.size() < kNoticesMax) notices_.push_back(std::move(notice));
  return http::json_response(200, "{}");
}

std::vector<Notices::Notice> Notices::all() const {
  const std::lock_guard lock(mutex_);
  return notices_;
}

}  // namespace backstream::app::demo
