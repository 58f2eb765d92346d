#pragma once
// What an HTTP request and its answer are to the rest of the program, and the small things that handlers need. No
// library of HTTP or JSON shows here.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "base/inet.h"

namespace backstream::http {

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete, kOptions };
std::string_view name(Method method);
/// Case matters (RFC 9110 §9.1). nullopt: none that we know.
std::optional<Method> method_of(std::string_view name);

/// Name and value, in the order in which they came or go.
class Headers {
 public:
  using Entry = std::pair<std::string, std::string>;

  void add(std::string_view name, std::string_view value) { entries_.emplace_back(name, value); }
  /// Replaces all of this name.
  void set(std::string_view name, std::string_view value);
  /// The first of this name, case ignored; nullopt: there is none. The view is valid until the next change.
  std::optional<std::string_view> find(std::string_view name) const;
  /// All of this name joined by ", ", as RFC 9110 §5.3 has lists; empty: there is none.
  std::string list(std::string_view name) const;
  size_t count(std::string_view name) const;
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// Who asks, as a Gate (router.h) found out. The room only carries it.
struct Principal {
  std::string name;
  uint32_t role = 0;
  std::shared_ptr<const void> more;
};

using Parameters = std::vector<std::pair<std::string, std::string>>;  ///< name and value, in order

/// One request. Path and query are decoded, UTF-8 without zero octets, and within the limits of url.h.
struct Request {
  Method method = Method::kGet;
  std::string path;      ///< decoded; begins with '/'
  std::string raw_path;  ///< as it came: what splits it into segments
  Parameters query;
  Parameters path_values;  ///< what the route's {names} stood for
  Headers headers;
  std::string body;
  std::string host;  ///< as the client named us, with its port
  base::Inet peer;
  bool tls = false;
  Principal principal;

  /// The first of this name; nullopt: there is none.
  std::optional<std::string_view> parameter(std::string_view name) const;
  /// What {name} of the route stood for; empty where the route has no such name.
  std::string_view path_value(std::string_view name) const;
};

class Topic;

/// An answer that does not end: what happens in these topics, from after `last_event_id` on (events.h).
struct EventStream {
  std::vector<std::shared_ptr<Topic>> topics;  ///< 1 to kStreamTopicsMax
  /// Of the request's header of that name, or what a handler knows better. Empty: from now on.
  std::string last_event_id;
  uint32_t backlog_events = 0;             ///< without a last_event_id: so many of the newest of each topic come first
  std::string prelude;                     ///< whole frames (format_event()) that come before all others; may be empty
  std::shared_ptr<const void> lease = {};  ///< let go when the stream is over
};

struct Response {
  uint16_t status = 200;
  std::string content_type;  ///< empty where there is no body
  /// A name or value that HTTP cannot carry (line ends above all) is left out and counted, never sent.
  Headers headers;
  std::string body;
  std::optional<EventStream> events;  ///< set: status is 200 and body is unused
};
std::string_view reason_phrase(uint16_t status);

Response text_response(uint16_t status, std::string text);
Response json_response(uint16_t status, std::string json);

/// RFC 9457. line and column count from 1, in characters (code points); the end is the first place after it.
struct Problem {
  uint16_t status = 500;
  std::string code;   ///< SQLSTATE or one of ours; empty: the status says all
  std::string title;  ///< empty: the status's phrase
  std::string detail, hint;
  std::string source;  ///< which of the texts that were sent, or that are there, the place is in; empty: the only one
  uint32_t line = 0, column = 0, end_line = 0, end_column = 0;  ///< 0: no place
};
/// @param text  what the diagnostic points into, so that a place over several lines ends where it ends; empty: its
///              caret tells how long it is
Problem problem_of(const base::Diagnostic& diagnostic, uint16_t status, std::string_view text = {});
/// As JSON; octets that are no UTF-8 become U+FFFD.
std::string to_json(const Problem& problem);
/// application/problem+json.
Response respond(const Problem& problem);
/// Shorthand for one without a place.
Response problem_response(uint16_t status, std::string detail, std::string hint = {});
/// The text as a JSON string, quotes included; octets that are no UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

/// A strong validator for these octets, quotes included. Equal octets, equal tag, on every machine and in every
/// version.
std::string etag_of(std::string_view octets);
/// Whether a list of If-None-Match holds the tag (RFC 9110 §13.1.2: weak comparison; "*" holds all).
bool none_match_holds(std::string_view list, std::string_view etag);
/// Whether a list of If-Match holds the tag (§13.1.1: strong comparison; "*" holds all).
bool match_holds(std::string_view list, std::string_view etag);
/// Gives the response the tag; where the client of a GET or HEAD has it already, it becomes a 304 without a body.
Response with_etag(const Request& request, Response response, std::string_view etag);

/// Which of `offered` ("text/csv", best first) the Accept header likes best (RFC 9110 §12.5.1): the most specific range
/// gives a type its weight, and among equals the first offered wins. An empty header accepts all; what cannot be read
/// in it is passed over. nullopt: none of them is acceptable (406).
std::optional<size_t> negotiate(std::string_view accept, std::span<const std::string_view> offered);

}  // namespace backstream::http
