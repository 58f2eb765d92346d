#pragma once
// Which fields of each stream matter: a field that nothing reads is not computed, so that what it cannot be computed
// from (an IPv6 address as a number) is no error.
#include <map>
#include <set>
#include <string>

#include "borealis/diagram.h"

namespace backstream::borealis {

class Demand {
 public:
  /// @param output  index into Diagram::outputs
  Demand(const Diagram& diagram, size_t output);
  /// By index: the output needs the box.
  bool needs(size_t box) const { return boxes_.contains(box); }
  /// Some output needs the field of the stream: the same for all outputs, so that boxes mean the same in each.
  bool needs(const std::string& stream, const std::string& field) const;

 private:
  struct Fields {
    bool all = false;
    std::set<std::string> names;
  };
  std::set<size_t> boxes_;
  std::map<std::string, Fields> streams_;
};

}  // namespace backstream::borealis
