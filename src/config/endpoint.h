#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace backstream::config {

/// Where a socket is bound or a peer is found: "udp://[2001:db8::1]:2055".
struct Endpoint {
  std::string scheme;
  std::string host;   ///< an address as RFC 5952 spells it, without brackets; a name; "*": every address
  uint16_t port = 0;  ///< 0: any that is free

  bool operator==(const Endpoint&) const = default;
  bool is_any() const { return host == "*" || host == "0.0.0.0" || host == "::"; }
  /// 127.0.0.0/8, ::1, "localhost". Other names are not looked up, and count as reached from outside.
  bool is_loopback() const;
  std::string text() const;
};

/// SCHEME://HOST:PORT, IPv6 in brackets, an empty host is "*". Nothing is looked up.
/// @return  nothing when it is not of that form or the scheme is another one
std::optional<Endpoint> parse_endpoint(std::string_view text, std::string_view scheme);
/// The same with the scheme http or https.
std::optional<Endpoint> parse_http_endpoint(std::string_view text);

}  // namespace backstream::config
