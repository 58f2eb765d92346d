#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace backstream::http {

/// Answers one request. Runs on a handler thread of the server, several at once; may take its time. What it throws
/// becomes a 500 that tells nothing.
using Handler = std::function<Response(const Request&)>;

struct Route {
  Method method = Method::kGet;  ///< a GET answers HEAD as well
  /// "/api/v1/queries/{name}/rows". A segment is literal or one {name}; the last may be {name...}: all that is left,
  /// nothing included.
  std::string pattern;
  Handler handler;
  /// What a Gate asks for; 0: nobody is asked. What the number means is the gate's business.
  uint32_t role = 0;
  std::string name = {};       ///< for lists of the table: an operationId
  bool slow = false;           ///< may take long: never holds the last free handler thread
  size_t body_octets_max = 0;  ///< 0: the server's own limit
};

/// Says who asks, writes him into request.principal and answers what is refused; nullopt: he may. Runs before the
/// handler on its thread, for routes with a role. Without a gate such routes answer 403.
using Gate = std::function<std::optional<Response>(Request& request, uint32_t role)>;

/// Told of each answer of a route: how long gate and handler took, and the status.
using Observer = std::function<void(const Route&, std::chrono::nanoseconds, uint16_t status)>;

/// The table of routes. Filled by one thread, then read by any.
class Router {
 public:
  /// A malformed pattern, a missing handler and a second route of the same method and shape are our own mistakes
  /// (asserted).
  void add(Route route);
  void set_gate(Gate gate) { gate_ = std::move(gate); }
  const Gate& gate() const { return gate_; }
  /// Answers where no route has the path, in place of the problem document; its status is for it to set. It is asked by
  /// whoever comes: as of a route without a role.
  void set_missing(Handler missing) { missing_ = std::move(missing); }
  /// Called on the handlers' threads; must not throw.
  void set_observer(Observer observer) { observer_ = std::move(observer); }
  /// As they were added: for the OpenAPI check and the test of who may what.
  const std::vector<Route>& routes() const { return routes_; }

  struct Match {
    const Route* route = nullptr;  ///< null: see `allowed`
    Parameters path_values;
    std::vector<Method> allowed;  ///< of this path; empty: no route has it (404)
  };
  /// A literal segment is preferred over a {name}, a {name} over {name...}. HEAD finds the GET route.
  Match match(Method method, std::string_view raw_path) const;
  /// Gate and handler of a match, 404, 405 with Allow, or the answer to OPTIONS. Never throws.
  Response answer(const Match& match, Request& request) const noexcept;

 private:
  struct Shape {
    std::vector<std::string> segments;  // Literals; names in braces as in the pattern.
    bool rest = false;                  // The last is {name...}.
  };
  std::vector<Route> routes_;
  std::vector<Shape> shapes_;  // Of routes_.
  Response answer_route(const Route& route, Request& request) const;
  Gate gate_;
  Handler missing_;
  Observer observer_;
};
/// 404: what a router answers where no route has the path.
Response nothing_at(const Request& request);
/// "GET, HEAD, OPTIONS".
std::string allow_header(const std::vector<Method>& methods);

}  // namespace backstream::http
