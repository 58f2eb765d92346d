#include "plan/share.h"

#include <algorithm>
#include <cassert>

namespace backstream::plan {
namespace {

bool same(const expr::ExprPtr& a, const expr::ExprPtr& b) {
  return a == nullptr || b == nullptr ? a == b : expr::equal(*a, *b);
}

/// A stage of several queries never fails, sheds or revises for one of them: options that ask for it, or that change
/// what the stage reads or gives, keep a query by itself.
bool has_policy_of_its_own(const Query& query) {
  const QueryOptions& options = query.options;
  return options.on_error != QueryOptions::OnError::kNull || options.emit != QueryOptions::Emit::kOnClose ||
         options.has_state_limit() || options.rest_row || options.truncation.has_value() || query.source.reads_hidden;
}

bool can_share(const Query& query) {
  const Stage& stage = query.stages.front();
  const bool windows = stage.window.kind == Window::Kind::kTumble || stage.window.kind == Window::Kind::kHop;
  if (!query.inputs.empty() || query.source.kind != Relation::Kind::kStream || !stage.aggregates_rows || !windows ||
      stage.spread || !stage.lookups.empty() || has_policy_of_its_own(query)) {
    return false;
  }
  return std::all_of(stage.aggregates.begin(), stage.aggregates.end(), [](const AggregateCall& call) {
    return (!call.filter || expr::always_computed(*call.filter)) &&
           std::all_of(call.args.begin(), call.args.end(), [](const auto& arg) { return expr::always_computed(*arg); });
  });
}

}  // namespace

bool same_aggregate(const AggregateCall& a, const AggregateCall& b) {
  return a.function == b.function && same(a.filter, b.filter) &&
         std::equal(a.args.begin(), a.args.end(), b.args.begin(), b.args.end(),
                    [](const auto& x, const auto& y) { return same(x, y); });
}

bool same_window(const Window& a, const Window& b) {
  return a.kind == b.kind && a.time_column == b.time_column && a.size_us == b.size_us && a.slide_us == b.slide_us &&
         a.offset_us == b.offset_us &&
         (a.calendar == nullptr || b.calendar == nullptr ? a.calendar == b.calendar : *a.calendar == *b.calendar);
}

bool share_groups(const Query& a, const Query& b) {
  if (!can_share(a) || !can_share(b) || a.source.name != b.source.name) return false;
  const Stage &first = a.stages.front(), &second = b.stages.front();
  // Keys in the same order: groups come out in an order that depends on how keys are packed.
  return same_window(first.window, second.window) && a.options == b.options && same(first.where, second.where) &&
         std::equal(first.keys.begin(), first.keys.end(), second.keys.begin(), second.keys.end(),
                    [](const auto& x, const auto& y) { return same(x, y); });
}

SharedStage shared_stage(const std::vector<const Query*>& queries) {
  assert(!queries.empty());
  const Stage& first = queries.front()->stages.front();
  SharedStage shared;
  Stage& stage = shared.stage;
  stage.input = first.input;
  stage.window = first.window;
  stage.aggregates_rows = true;
  stage.key_labels = first.key_labels;
  if (first.where) stage.where = expr::clone(*first.where);
  for (const auto& key : first.keys) stage.keys.push_back(expr::clone(*key));
  const size_t key_end = 2 + first.keys.size();
  stage.grouped.columns.assign(first.grouped.columns.begin(),
                               first.grouped.columns.begin() + static_cast<std::ptrdiff_t>(key_end));
  stage.input_used.assign(first.input_used.size(), false);
  for (const Query* query : queries) {
    const Stage& own = query->stages.front();
    for (size_t c = 0; c < own.input_used.size(); ++c) {
      if (own.input_used[c]) stage.input_used[c] = true;
    }
    std::vector<size_t>& columns = shared.columns.emplace_back();
    for (size_t c = 0; c < key_end; ++c) columns.push_back(c);
    for (size_t a = 0; a < own.aggregates.size(); ++a) {
      const AggregateCall& call = own.aggregates[a];
      const auto known = std::find_if(stage.aggregates.begin(), stage.aggregates.end(),
                                      [&](const AggregateCall& other) { return same_aggregate(call, other); });
      columns.push_back(key_end + static_cast<size_t>(known - stage.aggregates.begin()));
      if (known != stage.aggregates.end()) continue;
      AggregateCall& added = stage.aggregates.emplace_back();
      added.function = call.function;
      for (const auto& arg : call.args) added.args.push_back(expr::clone(*arg));
      if (call.filter) added.filter = expr::clone(*call.filter);
      added.label = call.label;
      stage.grouped.columns.push_back(own.grouped.columns[key_end + a]);
    }
  }
  return shared;
}

}  // namespace backstream::plan
