#include <fmt/format.h>

#include <algorithm>

#include "agg/aggregate.h"
#include "agg/states.h"

namespace backstream::agg {
namespace {

const std::vector<AggregateFunction>& table() {
  static const std::vector<AggregateFunction> functions = [] {
    std::vector<AggregateFunction> all;
    add_counting(all);
    add_sums(all);
    add_bits(all);
    add_extremes(all);
    add_distinct(all);
    return all;
  }();
  return functions;
}

/// How far `from` is from `to` by implicit casts: 0 the same, higher is further, -1 not at all.
int distance(Type from, Type to) {
  if (from == to) return 0;
  if (from == Type::kUnknown) return to == Type::kText ? 1 : 2;
  if (batch::is_numeric(from) && batch::is_numeric(to) && to > from)
    return static_cast<int>(to) - static_cast<int>(from);
  if (from == Type::kCidr && to == Type::kInet) return 1;
  return -1;
}

std::string signature(std::string_view name, const std::vector<Type>& types, bool distinct, bool star) {
  std::string text = fmt::format("{}({}", name, distinct ? "DISTINCT " : "");
  if (star) text += '*';
  for (size_t i = 0; i < types.size(); ++i) {
    if (i > 0) text += ", ";
    text += batch::name(types[i]);
  }
  return text + ')';
}

}  // namespace

bool is_aggregate(std::string_view name) {
  return std::any_of(table().begin(), table().end(), [&](const AggregateFunction& f) { return f.name == name; });
}

std::vector<std::string_view> aggregate_names() {
  std::vector<std::string_view> names;
  for (const AggregateFunction& f : table()) {
    if (std::find(names.begin(), names.end(), f.name) == names.end()) names.push_back(f.name);
  }
  return names;
}

base::Result<const AggregateFunction*> resolve(std::string_view name, const std::vector<Type>& arg_types, bool distinct,
                                               bool star, base::SourceSpan span) {
  // min and max of distinct values are min and max; so are the logical ones.
  const bool idempotent = name == "min" || name == "max" || name == "bool_and" || name == "bool_or" ||
                          name == "every" || name == "bit_and" || name == "bit_or";
  const bool distinct_matters = distinct && !idempotent;
  const AggregateFunction* best = nullptr;
  int best_distance = 0;
  for (const AggregateFunction& f : table()) {
    if (f.name != name || f.distinct != distinct_matters) continue;
    if (star != (f.arg_types.empty()) || f.arg_types.size() != arg_types.size()) continue;
    int total = 0;
    for (size_t i = 0; i < arg_types.size() && total >= 0; ++i) {
      const int d = distance(arg_types[i], f.arg_types[i]);
      total = d < 0 ? -1 : total + d;
    }
    if (total >= 0 && (best == nullptr || total < best_distance)) {
      best = &f;
      best_distance = total;
    }
  }
  if (best != nullptr) return best;
  if (distinct_matters && name != "count" && is_aggregate(name)) {
    return base::fail("0A000", fmt::format("{}(DISTINCT ...) is not supported", name), span,
                      "count(DISTINCT x) is; distinct sums of traffic counters rarely mean what was asked");
  }
  std::string accepted;
  for (const AggregateFunction& f : table()) {
    if (f.name != name || f.distinct != distinct_matters) continue;
    if (!accepted.empty()) accepted += ", ";
    accepted += signature(f.name, f.arg_types, f.distinct, f.arg_types.empty());
  }
  return base::fail("42883", fmt::format("aggregate {} does not exist", signature(name, arg_types, distinct, star)),
                    span, accepted.empty() ? std::string() : "there are " + accepted);
}

std::vector<std::string> describe_aggregates() {
  std::vector<std::string> lines;
  for (const AggregateFunction& f : table()) {
    lines.push_back(fmt::format(
        "{} -> {}; partial: {}; {}", signature(f.name, f.arg_types, f.distinct, f.arg_types.empty()),
        batch::name(f.result_type), f.partial_form, f.result_class == ResultClass::kExact ? "exact" : "bounded"));
  }
  return lines;
}

}  // namespace backstream::agg
