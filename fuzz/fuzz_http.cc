// What the http room reads itself: targets, queries, Hosts, Accept, validators, event ids, event streams, and routes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/event_parser.h"
#include "http/events.h"
#include "http/guard.h"
#include "http/message.h"
#include "http/router.h"
#include "http/url.h"

namespace {

using namespace backstream::http;

void check(bool holds) {
  if (!holds) std::abort();
}

void read_target(std::string_view text) {
  const auto target = parse_target(text);
  if (!target) return;
  check(target->query.size() <= kParametersMax);
  static const Router router = [] {
    Router out;
    const auto handler = [](const Request&) { return text_response(200, ""); };
    out.add({.method = Method::kGet, .pattern = "/a/{name}/b", .handler = handler});
    out.add({.method = Method::kPost, .pattern = "/a/{rest...}", .handler = handler});
    return out;
  }();
  Request request;
  request.path = target->path;
  const auto match = router.match(Method::kGet, target->raw_path);
  const Response response = router.answer(match, request);
  check(response.status == 200 || response.status == 404 || response.status == 405);
  for (const auto& [name, value] : match.path_values) check(percent_decode(percent_encode(value)) == value);
}
void read_event_stream(std::string_view text) {
  // However it is cut, it says the same.
  std::string whole, pieces;
  EventParser a, b;
  a.put(text, [&](const Event& e) { return whole += e.id + "|" + e.name + "|" + e.data + "\n", true; });
  for (size_t i = 0; i < text.size(); ++i) {
    b.put(text.substr(i, 1), [&](const Event& e) { return pieces += e.id + "|" + e.name + "|" + e.data + "\n", true; });
  }
  check(whole == pieces && a.last_id() == b.last_id());
  // What is written comes back, line ends as line ends.
  EventParser c;
  size_t events = 0;
  c.put(format_event(text, text) + "\n", [&](const Event& e) {
    check(e.data.find('\r') == std::string::npos);
    ++events;
    return true;
  });
  check(events == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t octets) {
  if (octets == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, octets - 1);
  constexpr std::string_view kOffered[] = {"application/json", "text/csv"};
  switch (data[0] % 8) {
    case 0: read_target(text); break;
    case 1: (void)parse_query(text); break;
    case 2: {
      if (const auto host = parse_host(text)) {
        check(!host->host.empty());
        (void)check_host(text, backstream::base::Inet::v4(0x7f000001), {"a"});
      }
      Request request;
      request.host = "localhost:1";
      request.headers.add("Origin", text);
      (void)is_foreign(request, {});
      break;
    }
    case 3:
      if (const auto chosen = negotiate(text, kOffered)) check(*chosen < 2);
      break;
    case 4:
      // Whoever has the strong tag has the weak one.
      if (match_holds(text, "\"a\"")) check(none_match_holds(text, "\"a\""));
      break;
    case 5:
      if (const auto ids = parse_event_ids(text, 2)) check(ids->size() == 2);
      break;
    case 6: read_event_stream(text); break;
    case 7:
      if (const auto url = parse_url(text)) check(parse_host(host_header(*url)).has_value());
      break;
  }
  return 0;
}
