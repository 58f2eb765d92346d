#include "http/router.h"

#include <algorithm>
#include <cassert>

#include "http/url.h"

namespace backstream::http {
namespace {

bool is_name(std::string_view segment) { return segment.starts_with('{'); }
std::string_view name_in(std::string_view segment) {
  segment.remove_prefix(1);
  segment.remove_suffix(segment.ends_with("...}") ? 4 : 1);
  return segment;
}

}  // namespace

void Router::add(Route route) {
  assert(route.handler);
  assert(route.pattern.starts_with('/'));
  assert(route.method != Method::kHead && route.method != Method::kOptions);
  Shape shape;
  for (size_t at = 0; at != std::string::npos;) {
    const size_t end = route.pattern.find('/', at + 1);
    std::string segment = route.pattern.substr(at + 1, end == std::string::npos ? end : end - at - 1);
    assert(!shape.rest);
    if (is_name(segment)) {
      assert(segment.ends_with('}'));
      shape.rest = segment.ends_with("...}");
      assert(!name_in(segment).empty());
    }
    shape.segments.push_back(std::move(segment));
    at = end;
  }
  const auto same = [](const std::string& a, const std::string& b) { return is_name(a) ? is_name(b) : a == b; };
  for (size_t i = 0; i < routes_.size(); ++i) {
    const bool twice = routes_[i].method == route.method && shapes_[i].rest == shape.rest &&
                       std::equal(shape.segments.begin(), shape.segments.end(), shapes_[i].segments.begin(),
                                  shapes_[i].segments.end(), same);
    assert(!twice);
    (void)twice;
  }
  routes_.push_back(std::move(route));
  shapes_.push_back(std::move(shape));
}

Router::Match Router::match(Method method, std::string_view raw_path) const {
  Match match;
  const auto segments = path_segments(raw_path);
  if (!segments) return match;
  const Method wanted = method == Method::kHead ? Method::kGet : method;
  std::vector<uint8_t> best, rank;  // Of each segment: 0 literal, 1 a name, 2 all that is left; the lesser wins.
  size_t found = routes_.size();
  for (size_t i = 0; i < routes_.size(); ++i) {
    const Shape& shape = shapes_[i];
    const size_t fixed = shape.segments.size() - (shape.rest ? 1 : 0);
    if (shape.rest ? segments->size() < fixed : segments->size() != fixed) continue;
    rank.clear();
    bool fits = true;
    for (size_t s = 0; s < fixed && fits; ++s) {
      const bool named = is_name(shape.segments[s]);
      // A name stands for something: /queries/ is not a query without a name.
      fits = named ? !(*segments)[s].empty() : shape.segments[s] == (*segments)[s];
      rank.push_back(named ? 1 : 0);
    }
    if (!fits) continue;
    if (shape.rest) rank.push_back(2);
    if (std::find(match.allowed.begin(), match.allowed.end(), routes_[i].method) == match.allowed.end()) {
      match.allowed.push_back(routes_[i].method);
    }
    if (routes_[i].method != wanted || (found != routes_.size() && !(rank < best))) continue;
    found = i;
    best = rank;
  }
  if (found == routes_.size()) return match;
  match.route = &routes_[found];
  const Shape& shape = shapes_[found];
  for (size_t s = 0; s < shape.segments.size(); ++s) {
    if (!is_name(shape.segments[s])) continue;
    std::string value;
    const size_t end = shape.rest && s + 1 == shape.segments.size() ? segments->size() : s + 1;
    for (size_t t = s; t < end; ++t) value += (t == s ? "" : "/") + (*segments)[t];
    match.path_values.emplace_back(name_in(shape.segments[s]), std::move(value));
  }
  return match;
}

Response nothing_at(const Request& request) { return problem_response(404, "there is nothing at " + request.path); }

Response Router::answer(const Match& match, Request& request) const noexcept {
  try {
    Response empty;
    empty.status = 204;
    if (request.method == Method::kOptions && request.path == "*") return empty;
    if (match.allowed.empty()) return missing_ ? missing_(request) : nothing_at(request);
    if (match.route == nullptr) {
      Response response =
          request.method == Method::kOptions
              ? empty
              : problem_response(405, std::string(name(request.method)) + " is not for " + request.path);
      response.headers.set("Allow", allow_header(match.allowed));
      return response;
    }
    request.path_values = match.path_values;
    if (!observer_) return answer_route(*match.route, request);
    const auto begin = std::chrono::steady_clock::now();
    Response response = answer_route(*match.route, request);
    observer_(*match.route, std::chrono::steady_clock::now() - begin, response.status);
    return response;
  } catch (...) {
    // What went wrong in us is not the client's business, and may hold what he must not see.
    return problem_response(500, "the server failed to answer this");
  }
}

Response Router::answer_route(const Route& route, Request& request) const {
  if (route.role != 0) {
    if (!gate_) return problem_response(403, "nobody may do this here");
    if (auto refused = gate_(request, route.role)) return std::move(*refused);
  }
  return route.handler(request);
}

std::string allow_header(const std::vector<Method>& methods) {
  std::string out;
  for (const Method method : methods) {
    out += name(method);
    out += method == Method::kGet ? ", HEAD, " : ", ";
  }
  return out + "OPTIONS";
}

}  // namespace backstream::http
