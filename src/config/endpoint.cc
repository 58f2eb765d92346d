#include "config/endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/inet.h"

namespace backstream::config {

bool Endpoint::is_loopback() const {
  if (host == "localhost") return true;
  const auto address = base::parse_inet(host);
  if (!address) return false;
  return address->family == 4 ? base::Inet::v4(127u << 24, 8).contains_or_equals(*address)
                              : *address == base::Inet::v6(0, 1);
}

std::string Endpoint::text() const {
  const bool brackets = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme, brackets ? "[" : "", host, brackets ? "]" : "", port);
}

std::optional<Endpoint> parse_endpoint(std::string_view text, std::string_view scheme) {
  if (!text.starts_with(scheme) || !text.substr(scheme.size()).starts_with("://")) return std::nullopt;
  const std::string_view rest = text.substr(scheme.size() + 3);
  const size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  Endpoint endpoint;
  endpoint.scheme = scheme;
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return std::nullopt;
    const auto address = base::parse_inet(host.substr(1, host.size() - 2));
    if (!address || address->family != 6 || host.find('/') != std::string_view::npos) return std::nullopt;
    endpoint.host = base::to_string(*address);
  } else if (host.empty() || host == "*") {
    endpoint.host = std::string("*");
  } else if (const auto address = base::parse_inet(host)) {
    if (address->family != 4 || host.find('/') != std::string_view::npos) return std::nullopt;
    endpoint.host = base::to_string(*address);
  } else {
    const bool plain = host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
                         return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_';
                       });
    // What ends in a number is meant as an address, and is none (RFC 3696 §2: no top-level domain is all digits).
    const std::string_view last = host.substr(host.rfind('.') + 1);
    const bool number = std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!plain || number) return std::nullopt;
    endpoint.host = host;
  }
  const std::string_view port = rest.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) return std::nullopt;
  return endpoint;
}

std::optional<Endpoint> parse_http_endpoint(std::string_view text) {
  auto endpoint = parse_endpoint(text, "https");
  return endpoint ? endpoint : parse_endpoint(text, "http");
}

}  // namespace backstream::config
