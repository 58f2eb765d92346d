#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"
#include "partial/codec.h"

namespace backstream::cluster {

using base::Micros;

/// Which edges windows wait for, as seen by who completes them. One thread.
///
/// An edge is absent when nothing of it has come for `absent_after`, or what comes is that old: it was cut off and is
/// still catching up. The decision is written to the log and obeyed once it is read there (partial::Members).
class Membership {
 public:
  /// @param now  of the process's start: as if every edge had been heard just then
  Membership(Micros absent_after, Micros now) : absent_after_(absent_after), listening_since_(now) {}

  struct Expected {
    uint32_t number = 0;
    bool drained = false;  ///< it was taken away for good: when it is absent nobody asks for it any more
  };
  /// Those that the catalog knows.
  void set_edges(std::vector<Expected> edges);
  /// An edge's own words have come, at `now`.
  void heard(const partial::Presence& presence, Micros now);
  /// Whoever asks has not looked for a while, and knows nothing of it: as if every edge had been heard just now.
  void begin_anew(Micros now) { listening_since_ = now; }
  /// What should be in force; nullopt: what is.
  std::optional<partial::Members> decide(const partial::Members& in_force, Micros now) const;

  struct Edge {
    uint32_t number = 0;
    uint64_t epoch = 0;
    Micros heard_at = 0;  ///< by our clock; 0: never
    Micros sent_at = 0;   ///< by the edge's
  };
  std::vector<Edge> edges() const;

 private:
  bool is_expected(uint32_t number) const;

  const Micros absent_after_;
  Micros listening_since_;
  std::vector<Expected> edges_;     ///< by number
  std::map<uint32_t, Edge> heard_;  ///< of those of edges_
};

}  // namespace backstream::cluster
