#pragma once
// What of the results that are kept answers a question about the past (docs/sql.md, "Questions about the past").
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plan/kept_answer.h"
#include "service/api.h"

namespace backstream::service {

struct Suggestion {
  struct Of {
    std::string query;
    plan::KeptAnswer answer;  ///< its text is SQL, or its reasons say why there is none
    std::string windows;      ///< their length, for people: "5 min"; empty: they have none, or several
    /// window_start of its oldest results that are of its text as it is now; nullopt: nothing is kept.
    std::optional<base::Micros> kept_since;
    bool in_memory = false;         ///< what is kept is lost at the next restart
    base::Micros retention_us = 0;  ///< by its option; 0: as others
    /// Averages and maxima over longer times, where they go back further.
    std::vector<std::pair<history::Tier, base::Micros>> tiers;
    std::optional<double> rows_per_window;  ///< of those that it has given since it started; nullopt: none yet
  };
  plan::AskedTime asked;
  std::string obstacle;     ///< why no result could answer, whatever were kept; empty: one may
  std::vector<Of> answers;  ///< best first
  std::vector<Of> others;   ///< nearest first
  /// What would keep the question's rows from now on, where nothing answers; empty: it cannot be written.
  std::string keep_name, keep_text;
};

/// Errors: those of sql::parse and plan::bind, located; 42601 the text is no SELECT.
base::Result<Suggestion> suggest(const ApiGround& ground, const std::string& text, const std::string& source_name);

}  // namespace backstream::service
