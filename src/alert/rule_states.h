#pragma once
// What a rule knows of its keys: which wait, which fire, which have come back. Event time alone moves it, so that the
// same windows always give the same events.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace backstream::alert {

using base::Micros;

/// A key that is not inactive.
struct KeyState {
  enum class State : uint8_t {
    kPending,  ///< it was true in every window so far, not yet for long enough
    kFiring,
    kRecovering,  ///< it is over, and goes on firing for keep_firing_for
  };
  std::string key;  ///< JSON array of the values of the key's columns; kRest: keys that found no room
  State state = State::kPending;
  Micros since = 0;             ///< start of the first of the windows in a row that were true
  Micros covered_until = 0;     ///< end of the last of them
  Micros early_until = 0;       ///< end of the open window that made it fire; windows that end before say nothing of it
  Micros recovering_since = 0;  ///< start of the first window that was not; kRecovering
  Micros fired_at = 0;          ///< end of the window that made it fire; 0: it is pending
  Micros window_start = 0, window_end = 0;  ///< of the row below
  std::string columns = "{}";               ///< JSON object: the last row of the key that was seen
  std::optional<double> value;              ///< of that row
  uint64_t more = 0;                        ///< kRest: how many keys
  bool complete = true;                     ///< the window of the row
  std::vector<std::string> sites_missing;   ///< of that window
  /// Of who looks after notices (alerts.h), not of the rule.
  struct {
    bool notified = false;                 ///< that it fires was told
    Micros notified_at = 0;                ///< wall clock; 0: unknown
    std::vector<std::string> notified_to;  ///< endpoints
    std::string acknowledged_by, comment;
    Micros acknowledged_at = 0;
  } told;

  bool fires() const { return state != State::kPending; }
};
std::string_view name(KeyState::State state);  ///< "pending", "firing", "recovering"
/// The key of what stands for all that found no room.
inline constexpr std::string_view kRest = "*";

/// A row of a window.
struct KeyRow {
  std::string key;
  bool fires = false;   ///< `when` is true
  bool clears = false;  ///< `clear` is true; then it does not fire
  std::optional<double> value;
  std::function<std::string()> columns;  ///< JSON object; asked for where the row is kept
};

/// A window and revision, whole.
struct WindowRows {
  Micros start = 0, end = 0;
  bool final = true, complete = true;
  std::vector<std::string> sites_missing;
  std::vector<KeyRow> rows;  ///< any order; several of one key are one
  bool rows_lost = false;    ///< there were more
};

struct Event {
  enum class Kind : uint8_t { kFired, kResolved } kind = Kind::kFired;
  KeyState key;   ///< as it is now; of kResolved as it was
  Micros at = 0;  ///< end of the window that did it
};

/// One rule. One thread at a time.
class RuleStates {
 public:
  struct Options {
    Micros for_us = 0, keep_us = 0;
    bool has_clear = false;  ///< otherwise a key ends where it does not fire
    bool early = false;
    size_t keys_max = 1'000;  ///< beside kRest
    Micros window_size_us = 0;
  };
  explicit RuleStates(Options options) : options_(options) {}
  /// As an earlier process left it.
  void restore(std::vector<KeyState> keys, Micros evaluated_until);
  void set_options(Options options) { options_ = options; }

  /// A window. A final one that ends at or before evaluated_until() was seen already. One that is not final may make
  /// keys fire (early), and ends nothing. One that is not complete, or lacks rows, ends nothing: what it does not show
  /// may be what it does not have.
  void take(const WindowRows& window, std::vector<Event>& events);
  /// No window that ends at or before `until` comes any more: those that did not come had no rows. Those that begin
  /// before blind_until() are not known to be empty.
  void advance(Micros until, std::vector<Event>& events);
  /// Nobody was there to see windows that begin before.
  void set_blind_until(Micros until) { blind_until_ = until; }
  /// All keys end: the rule is gone.
  void end(Micros at, std::vector<Event>& events);

  Micros evaluated_until() const { return evaluated_until_; }
  const std::map<std::string, KeyState, std::less<>>& keys() const { return keys_; }
  KeyState* find(std::string_view key);
  size_t firing() const;
  uint64_t keys_left_out() const;  ///< in the last final window
  /// Keys that were changed, and that went, since the last call.
  struct Changes {
    std::vector<std::string> put, gone;
    bool evaluated = false;
  };
  Changes take_changes();
  void note_change(std::string_view key) { changed_.insert_or_assign(std::string(key), true); }

 private:
  struct Merged {
    const KeyRow* row = nullptr;
    bool fires = false, clears = true;
  };
  void step(KeyState& key, const WindowRows& window, const Merged* row, std::vector<Event>& events,
            std::vector<std::string>& over);
  void fire_if_long_enough(KeyState& key, const WindowRows& window, std::vector<Event>& events);
  void see(KeyState& key, const WindowRows& window, const KeyRow& row);
  void take_rest(const WindowRows& window, uint64_t left_out, bool knows_all, std::vector<Event>& events);

  Options options_;
  std::map<std::string, KeyState, std::less<>> keys_;
  Micros evaluated_until_ = base::kMinTime, blind_until_ = base::kMinTime;
  std::map<std::string, bool> changed_;  ///< true: it is there
  bool evaluated_ = false;
};

}  // namespace backstream::alert
