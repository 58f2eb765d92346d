#include "plan/travel.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "expr/expr.h"

namespace backstream::plan {
namespace {

using batch::Physical;
using batch::Type;

constexpr std::string_view kText = "8 octets";
constexpr int64_t kNumber = 1'000;

uint64_t varint_octets(unsigned bits) { return (bits + 6) / 7; }

/// As partial/value_bytes.cc writes it, with the octet that tells null.
uint64_t value_octets(const batch::ColumnDef& column) {
  constexpr unsigned kNumberBits = 11, kTimeBits = 52;  // With the bit of the sign.
  switch (batch::physical(column.type)) {
    case Physical::kByte: return 2;
    case Physical::kDouble: return 9;
    case Physical::kText: return 2 + kText.size();
    case Physical::kInet: return 1 + 2 + 4;
    case Physical::kInterval: return 1 + 4;
    case Physical::kInt64: break;
  }
  if (column.value_bits != 0) return 1 + varint_octets(column.value_bits + 1U);
  const bool time = column.type == Type::kTimestamptz || column.type == Type::kTimestamp;
  return 1 + varint_octets(time ? kTimeBits : kNumberBits);
}

/// One value that stands for all.
union Value {
  uint8_t truth;
  int64_t number;
  double fraction;
  std::string_view text;
  base::Inet inet;
  base::Interval interval;
  Value() : inet{} {}
};
void set_value(Type type, Value& value) {
  switch (batch::physical(type)) {
    case Physical::kByte: value.truth = 1; return;
    case Physical::kDouble: value.fraction = 1.5; return;
    case Physical::kText: value.text = kText; return;
    case Physical::kInet: value.inet = base::Inet::v4(0xc0000201); return;
    case Physical::kInterval: value.interval = {base::kMicrosPerSecond, 0, 0}; return;
    case Physical::kInt64: break;
  }
  const bool time = type == Type::kTimestamptz || type == Type::kTimestamp;
  value.number = time ? 1'769'860'800 * base::kMicrosPerSecond : kNumber;
}

/// The state of a group of one row, as it travels: the aggregate itself tells.
uint64_t state_octets(const AggregateCall& call) {
  const agg::AggregateFunction& function = *call.function;
  std::vector<Value> values(call.args.size());
  std::vector<std::unique_ptr<expr::Evaluator>> constants;
  std::vector<batch::Column> args(call.args.size());
  for (size_t a = 0; a < args.size(); ++a) {
    if (call.args[a]->kind == expr::ExprKind::kLiteral) {
      batch::ColumnBatch one_row;
      one_row.row_count = 1;
      expr::ValueErrorCounts errors;
      constants.push_back(std::make_unique<expr::Evaluator>(expr::clone(*call.args[a]), 1));
      args[a] = constants.back()->evaluate(one_row, nullptr, errors, nullptr);
      continue;
    }
    args[a].type = function.arg_types[a];
    set_value(args[a].type, values[a]);
    args[a].values = &values[a];
  }
  agg::StateContext context;
  std::vector<uint64_t> state(std::max<size_t>(function.state_octets / 8, 1));
  auto* octets = reinterpret_cast<uint8_t*>(state.data());
  if (function.init != nullptr) function.init(octets);
  const uint32_t row = 0;
  function.update(&octets, 0, args.data(), &row, 1, context);
  std::vector<uint8_t> encoded;
  function.encode(octets, encoded);
  return encoded.size();
}

}  // namespace

bool groups_at_edge(const Query& query) {
  const Stage& stage = query.stages.front();
  return stage.aggregates_rows &&
         (stage.window.kind == Window::Kind::kTumble || stage.window.kind == Window::Kind::kHop ||
          stage.window.kind == Window::Kind::kSession);
}

namespace {

struct Chosen {
  Travel travel;
  std::string_view text;
};
Chosen chosen(const Query& query) {
  switch (query.options.placement.where) {
    case Placement::Where::kCentral: return {Travel::kRows, "rows: placement = 'central'"};
    case Placement::Where::kEdge:
      if (groups_at_edge(query)) return {Travel::kPanes, "panes: placement = 'edge'"};
      break;
    case Placement::Where::kAuto: break;
  }
  if (!groups_at_edge(query)) return {Travel::kRows, "rows: it makes no groups where flows arrive"};
  // Rows would leave all groups, and the limit, to where they meet.
  if (query.options.has_state_limit()) return {Travel::kPanes, "panes: state_limit is each edge's, too"};
  const TravelEstimate estimate = estimate_travel(query);
  if (estimate.group_octets <= estimate.row_octets)
    return {Travel::kPanes, "panes: even the group of a single row takes no more than the row"};
  return {Travel::kEither,
          "panes; or rows, while an edge sees that these take 10 % less: the group of a single row takes more than the "
          "row"};
}

}  // namespace

Travel travel_of(const Query& query) { return chosen(query).travel; }
std::string travel_text(const Query& query) { return std::string(chosen(query).text); }

TravelEstimate estimate_travel(const Query& query) {
  const Stage& stage = query.stages.front();
  TravelEstimate estimate;
  for (size_t c = 0; c < stage.input.columns.size(); ++c) {
    const bool used = c < stage.input_used.size() && stage.input_used[c];
    if (used || static_cast<int>(c) == stage.window.time_column)
      estimate.row_octets += value_octets(stage.input.columns[c]);
  }
  if (!groups_at_edge(query)) return estimate;
  for (size_t k = 0; k < stage.keys.size(); ++k) estimate.group_octets += value_octets(stage.grouped.columns[2 + k]);
  for (const AggregateCall& call : stage.aggregates) estimate.group_octets += state_octets(call);
  return estimate;
}

}  // namespace backstream::plan
