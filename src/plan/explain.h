#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "plan/query.h"
#include "plan/unbound.h"

namespace backstream::plan {

/// EXPLAIN (options): DISTRIBUTED, ANALYZE, FORMAT text | json; of ANALYZE also TIMING and BUFFERS, on unless off.
struct ExplainOptions {
  bool distributed = false;  ///< where each operator would run, what travels, what a group takes
  bool analyze = false;      ///< the query is run, and its counters shown
  bool json = false;
  bool timing = true;   ///< seconds and rates
  bool buffers = true;  ///< octets of state and of partials, and what depends on the number of edges
};
/// Errors: 22023 for an option or value that is not known, 0A000 for PostgreSQL's others.
base::Result<ExplainOptions> bind_explain_options(const std::vector<UnboundOption>& options);

/// What a stage of a query did, counted a batch or a window at a time.
struct StageActivity {
  uint64_t rows_in = 0;   ///< given to it
  uint64_t filtered = 0;  ///< of them, by WHERE
  uint64_t late = 0;
  uint64_t errored = 0;  ///< left out because a value could not be computed, or memory was full
  uint64_t rows_out = 0;
  uint64_t windows = 0;         ///< closed
  uint64_t groups = 0;          ///< of all closed windows
  uint64_t panes = 0;           ///< handed from the edge halves to the merge half
  uint64_t pane_groups = 0;     ///< in them
  uint64_t state_octets = 0;    ///< of open panes and windows, the most at a cut
  uint64_t shipped_octets = 0;  ///< partials as bytes; 0: panes were adopted
  uint64_t shipped_messages = 0;
};
/// What an edge sent of a query over a stream.
struct EdgeTraffic {
  struct Sent {
    uint64_t messages = 0, octets = 0;
    uint64_t compressed_octets = 0;  ///< as a producer's zstd makes them
    uint64_t groups = 0, rows = 0;
  };
  Sent sent;  ///< as the planner chose
  /// Of the same rows, had all gone this way; none where there is no choice.
  std::optional<Sent> as_panes, as_rows;
};
/// What reached an edge: octets of datagrams that exporters sent, without the heads of IP and UDP.
struct EdgeExport {
  uint64_t datagrams = 0, octets = 0;
};
/// Of a query: its stages, and its inputs as Query::inputs.
struct QueryActivity {
  std::vector<StageActivity> stages;
  std::vector<QueryActivity> inputs;
  std::vector<EdgeTraffic> traffic;  ///< by edge; empty: it reads no stream, or nobody asked
  std::vector<EdgeExport> exports;   ///< by edge; empty: not known
  std::string held_by;               ///< the exporter that held the watermark most, for people; empty: not known
  double seconds = 0;                ///< that the run took
};

/// A plan, to be shown. An operator has facts in order, each with a name ("filter") and a text.
struct PlanOperator {
  std::string label;  ///< "edge (where flows arrive)"
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<PlanOperator> operators;    ///< of an input: those that make its rows
  std::vector<EdgeTraffic> traffic = {};  ///< what its facts tell rounded, by edge
  std::vector<EdgeExport> exports = {};
};
struct ShownPlan {
  std::string title;
  std::vector<PlanOperator> operators;  ///< from the source on
};
/// @param activity  null: the query was not run
ShownPlan show(const Query& query, const ExplainOptions& options = {}, const QueryActivity* activity = nullptr);
/// A line a fact. Ends with a newline.
std::string to_text(const ShownPlan& plan);
/// {"plan": title, "operators": [{"operator": label, "facts": [{"name": ..., "text": ...}], "operators": [...],
/// "traffic": [{"edge": 1, "sent": {"messages": n, "octets": n, "zstd_octets": n, "groups": n, "rows": n},
/// "as_panes": {...}, "as_rows": {...}, "export": {"datagrams": n, "octets": n}}]}]}; the last two parts of an operator
/// and the last three of an edge only where there are any.
std::string to_json(const ShownPlan& plan);
/// As the options say.
std::string explain(const Query& query, const ExplainOptions& options, const QueryActivity* activity = nullptr);

/// How the partial states of an aggregate become one, in a few words.
std::string_view merge_form(const agg::AggregateFunction& function);

}  // namespace backstream::plan
