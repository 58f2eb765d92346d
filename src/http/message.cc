#include "http/message.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace backstream::http {
namespace {

constexpr std::array<std::string_view, 7> kMethods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string_view trim(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  const size_t last = text.find_last_not_of(" \t");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}
/// Cuts off what stands before the next `separator` outside quotes, trimmed.
std::string_view next_element(std::string_view& rest, char separator) {
  bool quoted = false;
  size_t i = 0;
  for (; i < rest.size(); ++i) {
    if (quoted && rest[i] == '\\') ++i;
    else if (rest[i] == '"') quoted = !quoted;
    else if (rest[i] == separator && !quoted) break;
  }
  i = std::min(i, rest.size());
  const std::string_view element = rest.substr(0, i);
  rest.remove_prefix(std::min(i + 1, rest.size()));
  return trim(element);
}

/// RFC 9110 §12.4.2, in thousandths; -1: none.
int parse_weight(std::string_view text) {
  if (text.empty() || (text[0] != '0' && text[0] != '1')) return -1;
  int weight = (text[0] - '0') * 1000, unit = 100;
  if (text.size() == 1) return weight;
  if (text[1] != '.' || text.size() > 5) return -1;
  for (const char c : text.substr(2)) {
    if (c < '0' || c > '9') return -1;
    weight += (c - '0') * unit;
    unit /= 10;
  }
  return weight > 1000 ? -1 : weight;
}

/// Whether any tag of the list is this one. Weak comparison looks past W/, strong never takes a weak one.
bool list_holds(std::string_view list, std::string_view etag, bool weak) {
  if (trim(list) == "*") return true;
  const auto bare = [](std::string_view tag) { return tag.starts_with("W/") ? tag.substr(2) : tag; };
  if (!weak && etag.starts_with("W/")) return false;
  while (!list.empty()) {
    const std::string_view tag = next_element(list, ',');
    if (tag.empty()) continue;
    if (weak ? bare(tag) == bare(etag) : tag == etag) return true;
  }
  return false;
}

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

std::string_view name(Method method) { return kMethods[static_cast<size_t>(method)]; }
std::optional<Method> method_of(std::string_view name) {
  const auto found = std::find(kMethods.begin(), kMethods.end(), name);
  if (found == kMethods.end()) return std::nullopt;
  return static_cast<Method>(found - kMethods.begin());
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

void Headers::set(std::string_view name, std::string_view value) {
  std::erase_if(entries_, [&](const Entry& entry) { return equal_ignoring_case(entry.first, name); });
  add(name, value);
}
std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (equal_ignoring_case(entry.first, name)) return entry.second;
  }
  return std::nullopt;
}
std::string Headers::list(std::string_view name) const {
  std::string out;
  for (const Entry& entry : entries_) {
    if (!equal_ignoring_case(entry.first, name)) continue;
    if (!out.empty()) out += ", ";
    out += entry.second;
  }
  return out;
}
size_t Headers::count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(entries_.begin(), entries_.end(),
                                           [&](const Entry& entry) { return equal_ignoring_case(entry.first, name); }));
}

std::optional<std::string_view> Request::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}
std::string_view Request::path_value(std::string_view name) const {
  for (const auto& [key, value] : path_values) {
    if (key == name) return value;
  }
  return {};
}

std::string_view reason_phrase(uint16_t status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return status < 400 ? "OK" : "Error";
  }
}

Response text_response(uint16_t status, std::string text) {
  Response response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(text);
  return response;
}
Response json_response(uint16_t status, std::string json) {
  Response response;
  response.status = status;
  response.content_type = "application/json";
  response.body = std::move(json);
  return response;
}

Problem problem_of(const base::Diagnostic& diagnostic, uint16_t status, std::string_view text) {
  Problem problem;
  problem.status = status;
  problem.code = diagnostic.code;
  problem.detail = diagnostic.message;
  problem.hint = diagnostic.hint;
  problem.line = diagnostic.line;
  problem.column = diagnostic.column;
  if (diagnostic.line == 0) return problem;
  problem.source = diagnostic.source_name;
  problem.end_line = diagnostic.line;
  problem.end_column = diagnostic.column + diagnostic.caret_characters;
  const size_t at = diagnostic.span.offset_octets;
  if (at >= text.size()) return problem;
  const std::string_view marked = text.substr(at, diagnostic.span.length_octets);
  if (marked.find('\n') == std::string_view::npos) return problem;
  problem.end_column = problem.column;
  for (const char c : marked) {
    if (c == '\n') {
      ++problem.end_line;
      problem.end_column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {
      ++problem.end_column;
    }
  }
  return problem;
}

std::string to_json(const Problem& problem) {
  nlohmann::ordered_json json;
  json["type"] = problem.code.empty() ? "about:blank" : "urn:backstream:problem:" + problem.code;
  json["title"] = problem.title.empty() ? std::string(reason_phrase(problem.status)) : problem.title;
  json["status"] = problem.status;
  if (!problem.code.empty()) json["code"] = problem.code;
  if (!problem.detail.empty()) json["detail"] = problem.detail;
  if (!problem.hint.empty()) json["hint"] = problem.hint;
  if (problem.line != 0) {
    if (!problem.source.empty()) json["source"] = problem.source;
    json["line"] = problem.line;
    json["column"] = problem.column;
    json["end_line"] = problem.end_line;
    json["end_column"] = problem.end_column;
  }
  return dump(json);
}

Response respond(const Problem& problem) {
  Response response;
  response.status = problem.status;
  response.content_type = "application/problem+json";
  response.body = to_json(problem);
  return response;
}
Response problem_response(uint16_t status, std::string detail, std::string hint) {
  Problem problem;
  problem.status = status;
  problem.detail = std::move(detail);
  problem.hint = std::move(hint);
  return respond(problem);
}

std::string json_string(std::string_view text) { return dump(std::string(text)); }

std::string etag_of(std::string_view octets) {
  // Two hashes that begin apart: 128 bits. FNV-1a is ours for ever, unlike base/hash.h.
  const auto fnv = [&](uint64_t hash) {
    for (const char c : octets) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
  };
  char out[40];
  const int length =
      std::snprintf(out, sizeof out, "\"%016llx%016llx\"", static_cast<unsigned long long>(fnv(0xcbf29ce484222325)),
                    static_cast<unsigned long long>(fnv(0x84222325cbf29ce4)));
  return {out, static_cast<size_t>(length)};
}
bool none_match_holds(std::string_view list, std::string_view etag) { return list_holds(list, etag, true); }
bool match_holds(std::string_view list, std::string_view etag) { return list_holds(list, etag, false); }

Response with_etag(const Request& request, Response response, std::string_view etag) {
  response.headers.set("ETag", etag);
  const bool reads = request.method == Method::kGet || request.method == Method::kHead;
  const std::string list = request.headers.list("If-None-Match");
  if (!reads || response.status != 200 || list.empty() || !none_match_holds(list, etag)) return response;
  response.status = 304;
  response.body.clear();
  response.content_type.clear();
  return response;
}

std::optional<size_t> negotiate(std::string_view accept, std::span<const std::string_view> offered) {
  if (offered.empty()) return std::nullopt;
  if (trim(accept).empty()) return 0;
  constexpr size_t kRangesMax = 64;  // A browser sends about eight.
  struct Found {
    int weight = 0, precision = -1;
  };
  std::vector<Found> found(offered.size());
  size_t ranges = 0;
  while (!accept.empty() && ranges < kRangesMax) {
    std::string_view element = next_element(accept, ',');
    const std::string_view range = next_element(element, ';');
    int weight = 1000;
    while (!element.empty()) {
      const std::string_view parameter = next_element(element, ';');
      if (parameter.size() >= 2 && equal_ignoring_case(parameter.substr(0, 2), "q=")) {
        weight = parse_weight(trim(parameter.substr(2)));
      }
    }
    const size_t slash = range.find('/');
    if (slash == std::string_view::npos || weight < 0) continue;
    ++ranges;
    const std::string_view type = range.substr(0, slash), subtype = range.substr(slash + 1);
    for (size_t i = 0; i < offered.size(); ++i) {
      const std::string_view media = trim(offered[i].substr(0, offered[i].find(';')));
      const int precision = equal_ignoring_case(range, media) ? 2
                            : type == "*" && subtype == "*"   ? 0
                            : subtype == "*" && media.size() > slash && media[slash] == '/' &&
                                    equal_ignoring_case(media.substr(0, slash), type)
                                ? 1
                                : -1;
      if (precision > found[i].precision) found[i] = {weight, precision};
    }
  }
  if (ranges == 0) return 0;  // Nothing in it could be read.
  std::optional<size_t> best;
  for (size_t i = 0; i < offered.size(); ++i) {
    if (found[i].weight > 0 && (!best || found[i].weight > found[*best].weight)) best = i;
  }
  return best;
}

}  // namespace backstream::http
