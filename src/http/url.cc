#include "http/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/inet.h"
#include "base/utf8.h"

namespace backstream::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}
/// What may stand in a target as it is: visible ASCII. '#' is the browser's, '\\' has been taken for '/' elsewhere.
bool may_stand_in_target(char c) { return c > 0x20 && c < 0x7f && c != '#' && c != '\\' && c != '"' && c != '<'; }

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return port;
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (text.size() - i < 3) return std::nullopt;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  if (base::find_bad_text(out) != std::string_view::npos) return std::nullopt;
  return out;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      const auto octet = static_cast<unsigned char>(c);
      out += {'%', kDigits[octet >> 4], kDigits[octet & 15]};
    }
  }
  return out;
}

base::Result<Target> parse_target(std::string_view text) {
  if (text.size() > kTargetOctetsMax) {
    return base::fail("414",
                      "the request's path and query are longer than " + std::to_string(kTargetOctetsMax) + " octets");
  }
  if (!std::all_of(text.begin(), text.end(), may_stand_in_target)) {
    return base::fail("400", "the request's path and query hold a character that must be written as %XX");
  }
  Target target;
  if (text == "*") {
    target.raw_path = target.path = "*";
    return target;
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!equal_ignoring_case(text.substr(0, scheme.size()), scheme)) continue;
    text.remove_prefix(scheme.size());
    const size_t end = std::min(text.find_first_of("/?"), text.size());
    target.authority = text.substr(0, end);
    if (target.authority.empty()) return base::fail("400", "the request names no host");
    text.remove_prefix(end);
    break;
  }
  const size_t mark = text.find('?');
  target.raw_path = text.substr(0, mark);
  if (target.raw_path.empty() && !target.authority.empty()) target.raw_path = "/";
  if (target.raw_path.empty() || target.raw_path[0] != '/') {
    return base::fail("400", "the request's path does not begin with '/'");
  }
  const auto segments = path_segments(target.raw_path);
  auto path = percent_decode(target.raw_path);
  if (!segments || !path) {
    return base::fail("400", "the request's path has an escape that is none, a segment '.' or '..', more than " +
                                 std::to_string(kSegmentsMax) + " segments, or is no UTF-8");
  }
  target.path = std::move(*path);
  if (mark != std::string_view::npos) {
    auto query = parse_query(text.substr(mark + 1));
    if (!query) return tl::unexpected(std::move(query.error()));
    target.query = std::move(*query);
  }
  return target;
}

base::Result<Parameters> parse_query(std::string_view query) {
  Parameters parameters;
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    if (parameters.size() == kParametersMax) {
      return base::fail("400", "the query has more than " + std::to_string(kParametersMax) + " parameters");
    }
    const size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decode(pair.substr(0, equals), true);
    auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) {
      return base::fail("400", "parameter " + std::to_string(parameters.size() + 1) +
                                   " of the query has an escape that is none, or is no UTF-8");
    }
    parameters.emplace_back(std::move(*name), std::move(*value));
  }
  return parameters;
}

std::optional<std::vector<std::string>> path_segments(std::string_view raw_path) {
  std::vector<std::string> segments;
  if (raw_path.empty() || raw_path[0] != '/') return std::nullopt;
  for (;;) {
    raw_path.remove_prefix(1);
    const size_t end = std::min(raw_path.find('/'), raw_path.size());
    auto segment = percent_decode(raw_path.substr(0, end));
    // Clients resolve dots before they ask; who sends them wants to get past something that compares paths.
    if (!segment || *segment == "." || *segment == ".." || segments.size() == kSegmentsMax) return std::nullopt;
    segments.push_back(std::move(*segment));
    if (end == raw_path.size()) return segments;
    raw_path.remove_prefix(end);
  }
}

std::optional<HostPort> parse_host(std::string_view text) {
  if (text.empty() || text.size() > 300) return std::nullopt;
  HostPort out;
  std::string_view rest;
  if (text[0] == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    const auto address = base::parse_inet(text.substr(1, close - 1));
    if (!address || address->family != 6 || !address->is_host()) return std::nullopt;
    out.host = base::to_string(*address);  // One spelling of each address.
    rest = text.substr(close + 1);
  } else {
    const size_t colon = std::min(text.find(':'), text.size());
    std::string_view host = text.substr(0, colon);
    rest = text.substr(colon);
    if (host.ends_with('.')) host.remove_suffix(1);
    if (host.empty() || host[0] == '.' || host.find("..") != std::string_view::npos ||
        !std::all_of(host.begin(), host.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-' || c == '.' || c == '_'; })) {
      return std::nullopt;
    }
    out.host = lower(host);
  }
  if (rest.empty()) return out;
  if (rest[0] != ':') return std::nullopt;
  out.port = parse_port(rest.substr(1));
  if (!out.port) return std::nullopt;
  return out;
}

base::Result<Url> parse_url(std::string_view text) {
  const auto bad = [&](std::string_view what) {
    return base::fail("22023", fmt::format("'{}' is no server's address: {}", text, what), {},
                      "write it as http://127.0.0.1:8844 or https://name");
  };
  Url url;
  std::string_view rest = text;
  if (equal_ignoring_case(rest.substr(0, 8), "https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (equal_ignoring_case(rest.substr(0, 7), "http://")) {
    rest.remove_prefix(7);
  } else {
    return bad("it begins with neither http:// nor https://");
  }
  const size_t slash = std::min(rest.find('/'), rest.size());
  const auto host = parse_host(rest.substr(0, slash));
  if (!host || host->port == 0) return bad("its host or port cannot be");
  url.host = host->host;
  url.port = host->port.value_or(url.tls ? 443 : 80);
  url.base_path = rest.substr(slash);
  while (url.base_path.ends_with('/')) url.base_path.pop_back();
  if (!std::all_of(url.base_path.begin(), url.base_path.end(), may_stand_in_target) ||
      url.base_path.find('?') != std::string::npos) {
    return bad("its path cannot be");
  }
  return url;
}

std::string host_header(const Url& url) {
  std::string out = url.host.find(':') == std::string::npos ? url.host : fmt::format("[{}]", url.host);
  if (url.port != (url.tls ? 443 : 80)) out += fmt::format(":{}", url.port);
  return out;
}

bool is_loopback_name(std::string_view host) {
  if (equal_ignoring_case(host, "localhost")) return true;
  const auto address = base::parse_inet(host);
  if (!address || !address->is_host()) return false;
  if (address->family == 4) return address->v4_address() >> 24 == 127;
  return address->hi == 0 && address->lo == 1;
}

}  // namespace backstream::http
