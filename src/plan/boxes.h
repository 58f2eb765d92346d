#pragma once
// Boxes in arrival order (docs/design/0036-borealis.md): the bound form of UnboundBoxes, run by exec/box_stage.h.
#include <optional>
#include <string>
#include <vector>

#include "plan/query.h"

namespace backstream::plan {

struct Boxes {
  enum class Kind : uint8_t { kFilter, kMap, kUnion, kSort, kAggregate, kJoin, kWaitFor };
  struct Source {
    batch::Schema schema;
    int order_column = -1;   ///< timestamptz
    bool by_window = false;  ///< rows come window by window; then equal times go by all columns
  };
  struct Stream {
    uint32_t from = 0;  ///< a source, or sources.size() + a box before
    uint32_t port = 0;
    bool operator==(const Stream&) const = default;
  };
  struct Call {
    AggregateCall aggregate;
    /// first and last: their second argument is not among the arguments; it is the number of the tuple, as a time.
    bool by_order = false;
  };
  struct Window {  ///< kAggregate
    bool by_values = true;
    /// Of values: in their unit, of a timestamptz µs; whole numbers, unless it is double precision or they are
    /// fractions of bigint. Of tuples: whole numbers.
    double size = 0, advance = 0;
    int order_on = -1;           ///< -1: TUPLES by TUPLENUM
    bool outputs_start = false;  ///< after the columns of group_by
    std::optional<Micros> timeout_us;
    uint64_t slack = 0;
    bool drops_empty = false, is_aligned = false;
  };
  struct Side {  ///< kJoin
    bool by_values = false;
    double size = 0;    ///< as Window::size
    int order_on = -1;  ///< column of the side
  };
  struct Box {
    Kind kind = Kind::kFilter;
    std::string name;
    std::vector<Stream> inputs;
    batch::Schema output;  ///< of every port
    std::vector<expr::ExprPtr>
        conditions;  ///< of kJoin and kWaitFor one; over the left input's columns, then the right's
    bool passes_rest = false;
    std::vector<expr::ExprPtr> outputs;  ///< kMap; kJoin, over both
    bool numbers = false;                ///< kMap: outputs read one more column: the number of the tuple, from 0
    std::vector<Call> calls;             ///< kAggregate
    std::vector<int> group_by;           ///< kAggregate, kSort
    Window window;
    Side left, right;
    std::optional<Micros> timeout_us;  ///< kJoin, kWaitFor
    int order_on = -1;                 ///< kSort
    uint64_t slack = 0;                ///< kSort
    size_t port_count() const { return kind == Kind::kFilter ? conditions.size() + (passes_rest ? 1 : 0) : 1; }
  };
  std::vector<Source> sources;  ///< Query::inputs
  std::vector<Box> boxes;       ///< each after those that it reads
  Stream output;

  const batch::Schema& schema_of(const Stream& stream) const {
    return stream.from < sources.size() ? sources[stream.from].schema : boxes[stream.from - sources.size()].output;
  }
};

/// What it reads and does, for EXPLAIN: "filter of input 1; 1: packets = 1". All that decides what it gives.
std::string describe(const Boxes& boxes, const Boxes::Box& box);

/// What the column of Box::numbers is called in UnboundBoxes: no field has such a name.
inline constexpr std::string_view kTupleNumber = "sequence()";

/// The most windows of a group that hold a tuple, or are made for a gap between two.
inline constexpr double kBoxWindowsPerTupleMax = 100'000;
inline constexpr int64_t kGapWindowsMax = 1'000'000;

}  // namespace backstream::plan
