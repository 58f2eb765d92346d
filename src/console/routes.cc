#include "console/routes.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

namespace backstream::console {

namespace {

using http::Request;
using http::Response;

// No script or style in a page's text, no code from text, nothing from another host, in no other page
// (docs/design/0035-console.md). console/serve.mjs sends the same to those who work on the pages.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

// The API stays what it is where pages are not built: that is said, and what to do instead.
constexpr std::string_view kStartPage = R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<title>BackStreamDB</title>
<h1>BackStreamDB runs here</h1>
%CONSOLE%
<p>In a terminal: <code>backstream sql</code>, <code>backstream doctor</code>.
<ul>
<li><a href="/api/v1/openapi.json">The API</a>, of which all else is made
<li><a href="/api/v1/status">Status</a>
<li><a href="/metrics">Metrics</a> for Prometheus
</ul>
</html>
)";

struct Pages {
  std::span<const Asset> assets;
  std::vector<std::string> tags;  // Of assets, in their order.
  std::string start, start_tag;
};

Response with_headers(Response response, std::string_view cache_control) {
  response.headers.set("Content-Security-Policy", kContentSecurityPolicy);
  response.headers.set("Referrer-Policy", "no-referrer");
  response.headers.set("Cross-Origin-Opener-Policy", "same-origin");
  response.headers.set("Cache-Control", cache_control);
  return response;
}

bool takes_gzip(const Request& request) {
  // A weight ("gzip;q=0") and "*" are not worth reading a grammar for: no browser sends them, and who is sent plain
  // octets can always read them.
  const std::string accepted = request.headers.list("Accept-Encoding");
  const size_t at = accepted.find("gzip");
  if (at == std::string::npos) return false;
  const size_t next = accepted.find_first_not_of(" \t", at + 4);
  return next == std::string::npos || accepted[next] == ',';
}

Response answer_asset(const Pages& pages, size_t index, const Request& request, std::string_view cache_control) {
  const Asset& asset = pages.assets[index];
  Response response;
  response.content_type = asset.type;
  const bool gzip = takes_gzip(request);
  response.body = gzip ? asset.gzipped : asset.octets;
  // Strong tags are of the octets that are sent, and two codings are two of them (RFC 9110 §8.8.3.3).
  std::string tag = pages.tags[index];
  if (gzip) tag.insert(tag.size() - 1, "-gzip");
  response = http::with_etag(request, with_headers(std::move(response), cache_control), tag);
  if (gzip && response.status == 200) response.headers.set("Content-Encoding", "gzip");
  response.headers.set("Vary", "Accept-Encoding");
  return response;
}

Response answer_start(const Pages& pages, const Request& request) {
  Response response;
  response.content_type = "text/html; charset=utf-8";
  response.body = pages.start;
  return http::with_etag(request, with_headers(std::move(response), "no-cache"), pages.start_tag);
}

std::string start_page(bool has_console) {
  std::string page(kStartPage);
  constexpr std::string_view kPlace = "%CONSOLE%";
  page.replace(page.find(kPlace), kPlace.size(),
               has_console ? R"(<p><a href="/">The console</a> shows it in this browser.)"
                           : "<p>The console is not part of this program: it was built without Node. All else works.");
  return page;
}

/// Somebody has typed or followed an address, rather than a program that asks the API, which is told in its own way.
bool wants_page(const Request& request) {
  if (request.method != http::Method::kGet && request.method != http::Method::kHead) return false;
  for (const std::string_view programs : {"/api", "/metrics", "/-", "/assets"}) {
    if (request.path.starts_with(programs) &&
        (request.path.size() == programs.size() || request.path[programs.size()] == '/'))
      return false;
  }
  return request.headers.list("Accept").find("text/html") != std::string::npos;
}

/// The console itself says that there is no such page; the status says it to all others.
Response answer_missing(const Pages& pages, const Request& request) {
  if (pages.assets.empty() || !wants_page(request)) return http::nothing_at(request);
  const Asset& page = pages.assets[0];
  Response response;
  response.status = 404;
  response.content_type = page.type;
  response.body = page.octets;
  return with_headers(std::move(response), "no-store");
}

}  // namespace

void add_routes(http::Router& router, std::span<const Asset> assets) {
  auto filled = std::make_shared<Pages>();
  filled->assets = assets;
  for (const Asset& asset : assets) filled->tags.push_back(http::etag_of(asset.octets));
  filled->start = start_page(!assets.empty());
  filled->start_tag = http::etag_of(filled->start);
  const std::shared_ptr<const Pages> pages = std::move(filled);
  for (const char* const pattern : {"/", "/live", "/explore", "/queries", "/q/{name}", "/new", "/matrix", "/exporters",
                                    "/alerts", "/alerts/{id}", "/system"}) {
    // Not kept without asking: it names assets, and another version of the program has others.
    router.add({.method = http::Method::kGet,
                .pattern = pattern,
                .handler =
                    [pages](const Request& request) {
                      return pages->assets.empty() ? answer_start(*pages, request)
                                                   : answer_asset(*pages, 0, request, "no-cache");
                    },
                .name = "console"});
  }
  router.add({.method = http::Method::kGet,
              .pattern = "/start",
              .handler = [pages](const Request& request) { return answer_start(*pages, request); },
              .name = "start"});
  router.add({.method = http::Method::kGet,
              .pattern = "/assets/{file}",
              .handler =
                  [pages](const Request& request) {
                    const auto at = std::find_if(pages->assets.begin(), pages->assets.end(),
                                                 [&](const Asset& asset) { return asset.path == request.path; });
                    // A page of another version of the program asks for its own: it is loaded anew.
                    if (at == pages->assets.end())
                      return http::problem_response(404, "there is no such file", "load the page anew");
                    return answer_asset(*pages, static_cast<size_t>(at - pages->assets.begin()), request,
                                        "public, max-age=31536000, immutable");
                  },
              .name = "assets"});
  router.set_missing([pages](const Request& request) { return answer_missing(*pages, request); });
}

}  // namespace backstream::console
