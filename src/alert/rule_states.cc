#include "alert/rule_states.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace backstream::alert {

std::string_view name(KeyState::State state) {
  constexpr std::string_view kNames[] = {"pending", "firing", "recovering"};
  return kNames[static_cast<size_t>(state)];
}

void RuleStates::restore(std::vector<KeyState> keys, Micros evaluated_until) {
  for (KeyState& key : keys) {
    std::string of = key.key;
    keys_.insert_or_assign(std::move(of), std::move(key));
  }
  evaluated_until_ = evaluated_until;
}

KeyState* RuleStates::find(std::string_view key) {
  const auto at = keys_.find(key);
  return at == keys_.end() ? nullptr : &at->second;
}

size_t RuleStates::firing() const {
  return static_cast<size_t>(
      std::count_if(keys_.begin(), keys_.end(), [](const auto& key) { return key.second.fires(); }));
}

uint64_t RuleStates::keys_left_out() const {
  const auto at = keys_.find(kRest);
  return at == keys_.end() ? 0 : at->second.more;
}

RuleStates::Changes RuleStates::take_changes() {
  Changes changes;
  changes.evaluated = std::exchange(evaluated_, false);
  for (auto& [key, there] : std::exchange(changed_, {})) (there ? changes.put : changes.gone).push_back(key);
  return changes;
}

void RuleStates::see(KeyState& key, const WindowRows& window, const KeyRow& row) {
  key.window_start = window.start;
  key.window_end = window.end;
  key.columns = row.columns ? row.columns() : "{}";
  key.value = row.value;
  key.complete = window.complete && !window.rows_lost;
  key.sites_missing = window.sites_missing;
}

void RuleStates::fire_if_long_enough(KeyState& key, const WindowRows& window, std::vector<Event>& events) {
  if (window.end - key.since < options_.for_us) return;
  key.state = KeyState::State::kFiring;
  key.fired_at = window.end;
  if (!window.final) key.early_until = window.end;
  events.push_back({Event::Kind::kFired, key, window.end});
}

/// What a final window makes of a key that is known.
/// @param row   null: it has none
/// @param over  the key is put here if it is inactive from now on
void RuleStates::step(KeyState& key, const WindowRows& window, const Merged* row, std::vector<Event>& events,
                      std::vector<std::string>& over) {
  const bool knows_all = window.complete && !window.rows_lost;
  if (window.end < key.early_until) return;
  if (row != nullptr) see(key, window, *row->row);
  if (key.state == KeyState::State::kPending) {
    const bool gap = window.start > key.covered_until;
    key.covered_until = std::max(key.covered_until, window.end);
    if (row != nullptr && row->fires) {
      if (gap) key.since = window.start;
      fire_if_long_enough(key, window, events);
    } else if (knows_all) {
      over.push_back(key.key);
    }
    return;
  }
  key.covered_until = std::max(key.covered_until, window.end);
  const bool holds = row != nullptr && (options_.has_clear ? !row->clears : row->fires);
  if (holds) {
    key.state = KeyState::State::kFiring;
    return;
  }
  if (!knows_all) return;
  if (key.state == KeyState::State::kFiring) {
    key.state = KeyState::State::kRecovering;
    key.recovering_since = window.start;
  }
  if (options_.keep_us != 0 && window.end - key.recovering_since < options_.keep_us) return;
  events.push_back({Event::Kind::kResolved, key, window.end});
  over.push_back(key.key);
}

void RuleStates::take_rest(const WindowRows& window, uint64_t left_out, bool knows_all, std::vector<Event>& events) {
  const auto at = keys_.find(kRest);
  if (left_out == 0) {
    if (at == keys_.end() || !window.final || !knows_all || window.end < at->second.early_until) return;
    events.push_back({Event::Kind::kResolved, at->second, window.end});
    changed_.insert_or_assign(at->first, false);
    keys_.erase(at);
    return;
  }
  const bool fresh = at == keys_.end();
  KeyState& rest = fresh ? keys_[std::string(kRest)] : at->second;
  rest.key = std::string(kRest);
  rest.more = window.final ? left_out : std::max(rest.more, left_out);
  rest.window_start = window.start;
  rest.window_end = window.end;
  rest.covered_until = window.end;
  rest.complete = knows_all;
  rest.sites_missing = window.sites_missing;
  changed_.insert_or_assign(rest.key, true);
  if (!fresh) return;
  rest.since = window.start;
  rest.fired_at = window.end;
  if (!window.final) rest.early_until = window.end;
  rest.state = KeyState::State::kFiring;
  events.push_back({Event::Kind::kFired, rest, window.end});
}

void RuleStates::take(const WindowRows& window, std::vector<Event>& events) {
  if (window.end <= evaluated_until_) return;
  if (!window.final && !options_.early) return;
  if (window.final) advance(window.start, events);
  const bool knows_all = window.complete && !window.rows_lost;

  std::unordered_map<std::string_view, Merged> rows;
  for (const KeyRow& row : window.rows) {
    Merged& merged = rows[row.key];
    const bool fires = row.fires && !(options_.has_clear && row.clears);
    if (merged.row == nullptr || (fires && !merged.fires)) merged.row = &row;
    merged.fires |= fires;
    merged.clears &= row.clears;
  }
  if (window.final) {
    std::vector<std::string> over;
    for (auto& [of, key] : keys_) {
      if (of == kRest) continue;
      const auto row = rows.find(of);
      step(key, window, row == rows.end() ? nullptr : &row->second, events, over);
      changed_.insert_or_assign(of, true);
    }
    for (const std::string& key : over) {
      keys_.erase(key);
      changed_.insert_or_assign(key, false);
    }
  }
  // In the order of the rows: a view that orders them tells the worst first.
  uint64_t left_out = 0;
  for (const KeyRow& row : window.rows) {
    const Merged& merged = rows[row.key];
    if (!merged.fires || merged.row != &row) continue;
    if (const auto known = keys_.find(row.key); known != keys_.end()) {
      KeyState& key = known->second;
      if (window.final) continue;
      if (key.state == KeyState::State::kPending) {
        see(key, window, row);
        if (window.start > key.covered_until) continue;  // What lies between is not known yet.
        fire_if_long_enough(key, window, events);
        if (key.fires()) changed_.insert_or_assign(row.key, true);
      }
      continue;
    }
    // An open window begins no wait: its final rows do.
    if (!window.final && window.end - window.start < options_.for_us) continue;
    if (keys_.size() - keys_.count(std::string(kRest)) >= options_.keys_max) {
      ++left_out;
      continue;
    }
    KeyState& key = keys_[row.key];
    key.key = row.key;
    key.since = window.start;
    key.covered_until = window.final ? window.end : window.start;
    see(key, window, row);
    changed_.insert_or_assign(row.key, true);
    fire_if_long_enough(key, window, events);
  }
  take_rest(window, left_out, knows_all, events);
  if (!window.final) return;
  evaluated_until_ = window.end;
  evaluated_ = true;
}

void RuleStates::advance(Micros until, std::vector<Event>& events) {
  const Micros size = options_.window_size_us;
  if (size <= 0 || evaluated_until_ == base::kMinTime || until <= evaluated_until_) return;
  // As many as it takes until no key is left.
  while (!keys_.empty() && until - evaluated_until_ >= size) {
    WindowRows empty;
    empty.start = evaluated_until_;
    empty.end = evaluated_until_ + size;
    empty.complete = empty.start >= blind_until_;
    if (!empty.complete) {  // Nothing comes of any of them.
      const Micros blind = std::min(blind_until_, until);
      evaluated_until_ += std::max<Micros>((blind - evaluated_until_) / size, 1) * size;
      evaluated_ = true;
      continue;
    }
    std::vector<std::string> over;
    for (auto& [of, key] : keys_) {
      if (of == kRest) continue;
      step(key, empty, nullptr, events, over);
      changed_.insert_or_assign(of, true);
    }
    for (const std::string& key : over) {
      keys_.erase(key);
      changed_.insert_or_assign(key, false);
    }
    take_rest(empty, 0, true, events);
    evaluated_until_ = empty.end;
    evaluated_ = true;
  }
  if (keys_.empty() && until - evaluated_until_ >= size) evaluated_until_ += (until - evaluated_until_) / size * size;
}

void RuleStates::end(Micros at, std::vector<Event>& events) {
  for (auto& [of, key] : keys_) {
    if (key.fires()) events.push_back({Event::Kind::kResolved, key, at});
    changed_.insert_or_assign(of, false);
  }
  keys_.clear();
}

}  // namespace backstream::alert
