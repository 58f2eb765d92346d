#pragma once
// Whether the rows that a view has given answer a question that was not asked when they were made: flows are not kept,
// results of views are.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "plan/query.h"

namespace backstream::plan {

/// Event times that conditions of a question ask for, [from, until).
struct AskedTime {
  std::optional<Micros> from, until;
};

/// What one view has for a question.
struct KeptAnswer {
  /// A SELECT over the view whose rows are those of the question, of the rows that the view counted; it binds. Empty:
  /// there is none.
  std::string text;
  std::vector<std::string> reasons;  ///< why there is none; each is a sentence about the view, which it calls "it"
  std::vector<std::string> notes;    ///< in what rows of `text` may differ from the question's; empty: in nothing
  size_t lacks = 0;                  ///< how much is missing, to tell which view is the nearest
};

/// Binds a statement as if it were to be added; it is not.
using BindText = std::function<base::Result<Query>(const std::string& text)>;

/// Why no view can answer, whatever it keeps, for people; empty: one may.
std::string question_obstacle(const Query& question);
/// Of a question without an obstacle.
AskedTime asked_time(const Query& question);

/// @param question    without an obstacle; bound and rewritten as the view is
/// @param view        a materialised view
/// @param bind        knows the view by its name
/// @param kept_since  window_start of the oldest rows that are kept: a question that does not say since when is asked
///                    from there on; nullopt: not known
KeptAnswer answer_from(const Query& question, const Query& view, const BindText& bind,
                       std::optional<Micros> kept_since);

/// The statement that keeps the question's rows from now on: CREATE MATERIALIZED VIEW, without the question's
/// conditions on time. Empty: it cannot be written.
std::string keeping_statement(const Query& question, const std::string& name, const BindText& bind);
/// A name for it that says what it groups by: "by_src_as_dst_port".
std::string keeping_name(const Query& question);

}  // namespace backstream::plan
