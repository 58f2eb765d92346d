#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/time.h"

namespace backstream::app {

/// The answer of POST /api/v1/queries/suggest for people, with commands to be copied.
std::string suggestion_text(const nlohmann::json& suggestion, base::Micros now);

/// A word as a shell takes it, bash at a prompt too: 'text', or "text" where that is easier to read.
std::string shell_word(std::string_view text);

}  // namespace backstream::app
