// Binds WITH (...).
#include <fmt/format.h>

#include <algorithm>

#include "plan/select_binder.h"

namespace backstream::plan {

using base::fail;

Result<QueryOptions> bind_options(const std::vector<UnboundOption>& options) {
  static constexpr std::string_view kKnown[] = {"allowed_lateness", "late", "on_error", "delay"};
  static constexpr std::string_view kLater[] = {"state_limit", "sites",         "placement", "absent_sites",
                                                "emit",        "retention",     "timezone",  "alert.for",
                                                "alert.clear", "alert.severity"};
  QueryOptions bound;
  for (const UnboundOption& option : options) {
    if (option.name == "allowed_lateness" || option.name == "delay") {
      const auto micros = interval_option(option.value, option.name, option.span);
      if (!micros) return tl::unexpected(micros.error());
      if (option.name == "delay") bound.delay_us = *micros;
      else bound.allowed_lateness_us = *micros;
    } else if (option.name == "late") {
      if (option.value == "side") bound.late = QueryOptions::Late::kSide;
      else if (option.value == "drop") bound.late = QueryOptions::Late::kDrop;
      else
        return fail("22023", fmt::format("invalid value \"{}\" for late", option.value), option.span,
                    option.value == "revise" ? "allowed_lateness = '60 s' revises windows for that long"
                                             : "it is 'side' or 'drop'");
    } else if (option.name == "on_error") {
      if (option.value == "null") bound.on_error = QueryOptions::OnError::kNull;
      else if (option.value == "drop") bound.on_error = QueryOptions::OnError::kDrop;
      else if (option.value == "fail") bound.on_error = QueryOptions::OnError::kFail;
      else
        return fail("22023", fmt::format("invalid value \"{}\" for on_error", option.value), option.span,
                    "it is 'null', 'drop' or 'fail'");
    } else if (std::find(std::begin(kLater), std::end(kLater), option.name) != std::end(kLater) ||
               option.name.starts_with("filter.")) {
      return fail("0A000", fmt::format("option \"{}\" is not supported yet", option.name), option.span);
    } else {
      std::vector<std::string_view> names(std::begin(kKnown), std::end(kKnown));
      const auto near = base::nearest_name(option.name, names);
      return fail("22023", fmt::format("unrecognized option \"{}\"", option.name), option.span,
                  near.empty() ? "options are allowed_lateness, delay, late and on_error"
                               : fmt::format("did you mean '{}'?", near));
    }
  }
  return bound;
}

}  // namespace backstream::plan
