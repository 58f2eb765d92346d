#pragma once
// A deploy file: which queries run on which nodes, where streams come from, and who reads them. What its names stand
// for only a running service knows: nothing is looked up here.
#include <optional>
#include <vector>

#include "borealis/diagram.h"

namespace backstream::borealis {

/// Names are in lower case. A host is that of "host:port"; its text is empty where there is none (":15000").
struct Deployment {
  struct Node {
    Name host;
    std::vector<Name> queries;  ///< may be empty
  };
  struct Publish {
    Name stream;
    std::optional<Name> host;
  };
  struct Subscribe {
    Name stream;
    std::optional<Name> host;  ///< its own, or that of the <client> around it
  };
  struct Move {
    std::vector<Name> boxes;  ///< at least one
    Name host;
  };
  std::vector<Node> nodes;
  std::vector<Publish> publishes;
  std::vector<Subscribe> subscribes;
  std::vector<Move> moves;
};

inline constexpr size_t kDeployNamesMax = 10'000;  ///< of queries and boxes, as often as they are named

/// Every element and attribute of a deploy file is known here; what has no meaning for this system is refused by its
/// name, with what there is instead. Errors: located as read_document(); 42601 a missing or unknown name, an element
/// that is empty, 22023 an endpoint, 0A000 what is not supported, 54000 a limit.
Result<Deployment> read_deployment(const Document& document);

}  // namespace backstream::borealis
