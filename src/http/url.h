#pragma once
// What a client may write into the first line of a request and into Host and Origin. All of it is bounded; what is
// malformed is refused, never guessed at.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "http/message.h"

namespace backstream::http {

inline constexpr size_t kTargetOctetsMax = 8'192;
inline constexpr size_t kParametersMax = 64;
inline constexpr size_t kSegmentsMax = 32;

/// %XX decoded; with `plus_is_space` also "+", as forms and URLSearchParams write it. nullopt: a malformed escape, or
/// the result is no UTF-8 or holds a zero octet.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
/// All but RFC 3986's unreserved characters as %XX.
std::string percent_encode(std::string_view text);

struct Target {
  std::string authority;  ///< of the absolute form; empty otherwise
  std::string raw_path, path;
  Parameters query;
};
/// RFC 9112 §3.2: origin form, absolute form, and "*" (path "*"). Errors: code "400", "414"; the message is for the
/// client.
base::Result<Target> parse_target(std::string_view target);
/// "a=1&b": names and values decoded. Errors: code "400".
base::Result<Parameters> parse_query(std::string_view query);
/// The decoded segments of a raw path, without the first '/'. nullopt: a malformed escape, "." or "..", too many.
std::optional<std::vector<std::string>> path_segments(std::string_view raw_path);

struct HostPort {
  std::string host;  ///< lower case, without a last dot; an address in brackets without them
  std::optional<uint16_t> port;
  bool operator==(const HostPort&) const = default;
};
/// A Host header or an authority: name, IPv4 or [IPv6], and a port or none. No user, no list.
std::optional<HostPort> parse_host(std::string_view text);

/// "http://host:port/base/path" of a server, without query. Errors: code "22023", with a hint.
struct Url {
  bool tls = false;
  std::string host;
  uint16_t port = 0;
  std::string base_path;  ///< without a last '/'; may be empty
};
base::Result<Url> parse_url(std::string_view text);
/// host:port as a Host header has it; the port is left out where it is the scheme's own.
std::string host_header(const Url& url);
/// A name that resolves to this machine only: localhost, 127.0.0.0/8, ::1.
bool is_loopback_name(std::string_view host);

}  // namespace backstream::http
