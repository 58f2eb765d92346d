#pragma once
#include <string>
#include <string_view>

#include "catalog/catalog.h"

namespace backstream::catalog {

enum class QueryState : uint8_t {
  kRunning,
  kPaused,  ///< by somebody; it is kept and does nothing
  kFailed,  ///< it was stopped, for `reason`; it starts again when it is altered or resumed
};
std::string_view name(QueryState state);

/// The body of an object of Kind::kQuery.
struct QueryDefinition {
  std::string text;  ///< the statement: CREATE [MATERIALIZED] VIEW
  std::string owner, comment;
  QueryState state = QueryState::kRunning;
  std::string reason;  ///< kFailed: SQLSTATE and message
  /// Of a SELECT that somebody reads, where other nodes must run it, too: on our clock, when it ends unless who has the
  /// reader moves this on; 0: it is registered for good.
  base::Micros until = 0;
  bool operator==(const QueryDefinition&) const = default;
};

std::string to_body(const QueryDefinition& definition);
/// Of a body that to_body() made, of this version or a later one that knows more fields. Errors: XX001.
Result<QueryDefinition> query_of(const Object& object);

}  // namespace backstream::catalog
