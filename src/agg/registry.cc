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
    add_variances(all);
    add_cardinality(all);
    add_quantile_sketch(all);
    add_percentiles(all);
    add_top(all);
    add_entropy(all);
    add_first_last(all);
    add_sampling_errors(all);
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
std::string signature(const AggregateFunction& f) {
  return f.spelling.empty() ? signature(f.name, f.arg_types, f.distinct, f.arg_types.empty()) : std::string(f.spelling);
}

/// Every way to call `name`, for a hint. Ways that a spelling covers are told once.
std::string accepted_calls(std::string_view name, bool distinct) {
  std::vector<std::string> calls;
  for (const AggregateFunction& f : table()) {
    if (f.name != name || f.distinct != distinct) continue;
    std::string call = signature(f);
    if (std::find(calls.begin(), calls.end(), call) == calls.end()) calls.push_back(std::move(call));
  }
  if (calls.empty()) return {};
  std::string text = calls.size() == 1 ? "there is " : "there are ";
  for (size_t i = 0; i < calls.size(); ++i) text += (i > 0 ? ", " : "") + calls[i];
  return text;
}

/// Aggregates of PostgreSQL 15 that are not here, and what to write instead.
struct Refused {
  std::string_view name, hint;
};
constexpr std::string_view kCollects =
    "a list of all rows grows without bound: topk(n, key, weight) gives the heaviest, count(DISTINCT x) how many";
constexpr std::string_view kRegression = "avg, stddev and sum of products give the moments";
constexpr Refused kRefused[] = {
    {"string_agg", kCollects},
    {"array_agg", kCollects},
    {"json_agg", kCollects},
    {"jsonb_agg", kCollects},
    {"json_object_agg", kCollects},
    {"jsonb_object_agg", kCollects},
    {"xmlagg", kCollects},
    {"range_agg", kCollects},
    {"range_intersect_agg", kCollects},
    {"mode", "topk(1, key, 1) gives the most frequent key"},
    {"corr", kRegression},
    {"covar_pop", kRegression},
    {"covar_samp", kRegression},
    {"regr_avgx", kRegression},
    {"regr_avgy", kRegression},
    {"regr_count", kRegression},
    {"regr_intercept", kRegression},
    {"regr_r2", kRegression},
    {"regr_slope", kRegression},
    {"regr_sxx", kRegression},
    {"regr_sxy", kRegression},
    {"regr_syy", kRegression},
};
const Refused* refused(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kRefused), std::end(kRefused), [&](const Refused& r) { return r.name == name; });
  return found == std::end(kRefused) ? nullptr : found;
}

/// True when all that matters is which values there are, not how often.
bool is_idempotent(std::string_view name) {
  for (const std::string_view known :
       {"min", "max", "bool_and", "bool_or", "every", "bit_and", "bit_or", "approx_count_distinct"}) {
    if (name == known) return true;
  }
  return false;
}

}  // namespace

bool is_aggregate(std::string_view name) {
  return refused(name) != nullptr ||
         std::any_of(table().begin(), table().end(), [&](const AggregateFunction& f) { return f.name == name; });
}

std::vector<std::string_view> aggregate_names() {
  std::vector<std::string_view> names;
  for (const AggregateFunction& f : table()) {
    if (std::find(names.begin(), names.end(), f.name) == names.end()) names.push_back(f.name);
  }
  return names;
}

base::Result<const AggregateFunction*> resolve(std::string_view name, const std::vector<Type>& arg_types, bool distinct,
                                               bool star, base::SourceSpan span, CallForm form) {
  if (const Refused* known = refused(name)) {
    return base::fail("0A000", fmt::format("aggregate {} is not supported", name), span, std::string(known->hint));
  }
  // min and max of distinct values are min and max; so are the logical ones.
  const bool distinct_matters = distinct && !is_idempotent(name);
  const AggregateFunction* best = nullptr;
  int best_distance = 0;
  bool other_form = false;
  for (const AggregateFunction& f : table()) {
    if (f.name != name || f.distinct != distinct_matters) continue;
    if (f.form != form) {
      other_form |= (f.form == CallForm::kPlain) != (form == CallForm::kPlain);
      continue;
    }
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
  if (distinct_matters && name != "count") {
    return base::fail("0A000", fmt::format("{}(DISTINCT ...) is not supported", name), span,
                      "count(DISTINCT x) is; distinct sums of traffic counters rarely mean what was asked");
  }
  std::string hint = accepted_calls(name, distinct_matters);
  if (other_form) {
    return base::fail("42809",
                      form == CallForm::kPlain ? fmt::format("WITHIN GROUP is required for {}", name)
                                               : fmt::format("{} cannot have WITHIN GROUP", name),
                      span, std::move(hint));
  }
  return base::fail("42883", fmt::format("aggregate {} does not exist", signature(name, arg_types, distinct, star)),
                    span, std::move(hint));
}

std::vector<std::string> describe_aggregates() {
  std::vector<std::string> lines;
  for (const AggregateFunction& f : table()) {
    lines.push_back(fmt::format("{} -> {}; partial: {}; {}", signature(f), batch::name(f.result_type), f.partial_form,
                                f.result_class == ResultClass::kExact ? "exact" : "bounded"));
  }
  return lines;
}

}  // namespace backstream::agg
