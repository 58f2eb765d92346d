#include "service/api_json.h"

#include <fmt/format.h>

#include <charconv>

#include "service/api.h"

namespace backstream::service {

using base::fail;
using base::Result;

uint16_t status_of(std::string_view code) {
  const std::string_view kind = code.substr(0, 2);
  if (code == "42704") return 404;
  if (code == "42710" || code == "2BP01" || code == "55000") return 409;
  if (code == "40001") return 412;
  if (code == "42501") return 403;
  if (code == "57P03") return 503;
  if (code == "53300" || code == "53400") return 429;
  if (kind == "53") return 507;
  if (kind == "58" || kind == "XX") return 500;
  return 422;
}

Result<Json> body_of(const http::Request& request) {
  Json body = Json::parse(request.body, nullptr, false);
  if (body.is_discarded()) return fail("22P02", "the body is not JSON", {}, "send a JSON object");
  if (!body.is_object())
    return fail("22023", "the body is not a JSON object", {}, R"(for example {"text":"SELECT …"})");
  return body;
}

Result<std::string> text_member(const Json& body, const char* name) {
  const auto at = body.find(name);
  if (at == body.end() || at->is_null()) return std::string();
  if (!at->is_string()) return fail("22023", fmt::format("'{}' is not a text", name));
  return at->get<std::string>();
}

Result<bool> switch_member(const Json& body, const char* name) {
  const auto at = body.find(name);
  if (at == body.end() || at->is_null()) return false;
  if (!at->is_boolean()) return fail("22023", fmt::format("'{}' is neither true nor false", name));
  return at->get<bool>();
}

http::Response json_answer(uint16_t status, const Json& json) {
  return http::json_response(status, json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n');
}

http::Response refuse(const base::Diagnostic& diagnostic, std::string_view text) {
  return http::respond(http::problem_of(diagnostic, status_of(diagnostic.code), text));
}

Json seconds_json(base::Micros duration) {
  return static_cast<double>(duration) / static_cast<double>(base::kMicrosPerSecond);
}

Json time_json(base::Micros time) {
  if (time == base::kMinTime || time == base::kMaxTime) return nullptr;
  return base::format_rfc3339(time);
}

Result<std::optional<base::Micros>> time_parameter(const http::Request& request, std::string_view name) {
  const auto text = request.parameter(name);
  if (!text) return std::nullopt;
  const auto time = base::parse_timestamp(*text);
  if (!time) {
    return fail("22007", fmt::format("'{}' is no time: '{}'", name, *text), {},
                "RFC 3339, for example 2026-01-31T12:00:00Z");
  }
  return time;
}

Result<std::optional<uint64_t>> count_parameter(const http::Request& request, std::string_view name) {
  const auto text = request.parameter(name);
  if (!text) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size())
    return fail("22023", fmt::format("'{}' is no whole number: '{}'", name, *text));
  return value;
}

}  // namespace backstream::service
