#pragma once
// What a restart must not forget: keys that are not inactive, silences, notices that are on their way, and what has
// ended. A file of SQLite.
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alert/rule_states.h"
#include "base/diagnostic.h"
#include "sqlite/database.h"

namespace backstream::alert {

/// Suppresses notices of a rule, or of a key of it, until a time.
struct Silence {
  uint64_t id = 0;
  std::string rule;  ///< "*": all
  std::string key;   ///< as key_text() writes it; empty: all keys
  Micros until = 0;  ///< wall clock
  std::string author, comment;
  Micros made_at = 0;
  bool operator==(const Silence&) const = default;
};

/// A notice that an endpoint has not taken yet.
struct QueuedNotice {
  int64_t number = 0;  ///< grows
  std::string endpoint, body;
  Micros queued_at = 0;  ///< wall clock
};

/// An alert that is over.
struct EndedAlert {
  std::string id;  ///< alert_id()
  Micros starts_at = 0, ends_at = 0;
  std::string body;  ///< JSON of the caller's
};

/// Any thread. What is written is on the disk when the call returns, so that neither a kill nor a power cut takes it
/// back. Errors: 58030, 53100 disk full, XX001 damaged.
class AlertStore {
 public:
  static base::Result<std::unique_ptr<AlertStore>> open(const std::string& path);
  AlertStore(const AlertStore&) = delete;
  AlertStore& operator=(const AlertStore&) = delete;

  struct Rule {
    uint64_t incarnation = 0;
    std::string facts;  ///< JSON of the caller's
    Micros evaluated_until = 0;
    std::vector<KeyState> keys;
  };
  struct Kept {
    std::map<std::string, Rule, std::less<>> rules;
    std::vector<Silence> silences;
    std::vector<QueuedNotice> notices;  ///< by number
  };
  base::Result<Kept> load();

  /// What came of a window: all of it is written, or nothing.
  struct Step {
    std::string rule;
    uint64_t incarnation = 0;
    std::string facts;
    Micros evaluated_until = 0;
    bool rule_gone = false;
    std::vector<const KeyState*> put;
    std::vector<std::string> gone;
    std::vector<QueuedNotice> notices;
    std::vector<EndedAlert> ended;
  };
  base::Result<void> write(const Step& step);
  static constexpr int64_t kEndedMax = 5'000;  ///< the oldest go
  /// Bodies of those of which some lies in [from, until), the last that ended first, at most `count_max`.
  base::Result<std::vector<std::string>> ended(Micros from, Micros until, size_t count_max);
  base::Result<std::optional<std::string>> find_ended(std::string_view id);
  base::Result<void> put_notices(const std::vector<QueuedNotice>& notices);
  base::Result<void> remove_notices(const std::vector<int64_t>& numbers);
  base::Result<void> put_silence(const Silence& silence);
  base::Result<void> remove_silence(uint64_t id);

 private:
  explicit AlertStore(std::string path) : path_(std::move(path)) {}
  template <typename Work>
  base::Result<void> in_transaction(Work&& work);
  template <typename T, typename Work>
  base::Result<T> guarded(Work&& work);
  void put_all(const std::vector<QueuedNotice>& notices);

  const std::string path_;
  std::mutex mutex_;  ///< of what follows
  std::optional<sqlite::Database> db_;
};

}  // namespace backstream::alert
