#pragma once
// What WITH ("alert.…") makes of a materialized view: a rule, whose rows are the keys that may fire.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "expr/expr.h"

namespace backstream::plan {

struct AlertRule {
  enum class Severity : uint8_t { kInfo, kWarning, kCritical, kPage };

  expr::ExprPtr when;        ///< over the view's columns: a row fires where it is true; null: every row does
  expr::ExprPtr clear;       ///< where it is true a key that fires ends; null: where `when` is not true
  std::string when_text;     ///< as written, for people
  std::string clear_text;    ///< the same
  std::string having_text;   ///< the view's HAVING, for people; empty: it has none
  base::Micros for_us = 0;   ///< of event time in which every window must fire
  base::Micros keep_us = 0;  ///< of event time that a key goes on firing after its last window that did
  Severity severity = Severity::kWarning;
  std::vector<std::pair<std::string, std::string>> labels;  ///< by name, each once
  std::vector<int> key_columns;                             ///< of the view: what tells a key from others, ascending
  int value_column = -1;                                    ///< what is told as the value; -1: there is none
  std::string summary;              ///< with {column} places, all of columns that there are; empty: it is made up
  std::vector<std::string> notify;  ///< names of endpoints; empty: all
  bool early = false;               ///< revisions of windows that are still open may fire, too

  /// What a row was measured by: `when`, or else HAVING.
  std::string_view threshold_text() const { return when_text.empty() ? having_text : when_text; }
};
std::string_view name(AlertRule::Severity severity);  ///< "info", "warning", "critical", "page"

}  // namespace backstream::plan
