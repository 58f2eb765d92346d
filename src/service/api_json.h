#pragma once
// What the routes' files have in common: reading bodies, writing answers.
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/diagnostic.h"
#include "base/time.h"
#include "http/message.h"

namespace backstream::service {

using Json = nlohmann::ordered_json;

/// The object that a request's body is. Errors: 22023, what is wrong with it.
base::Result<Json> body_of(const http::Request& request);
/// A member that is a text; empty when it is not there. Error 22023: it is something else.
base::Result<std::string> text_member(const Json& body, const char* name);
base::Result<bool> switch_member(const Json& body, const char* name);

http::Response json_answer(uint16_t status, const Json& json);
/// A problem document; `text` is what the diagnostic's place is in.
http::Response refuse(const base::Diagnostic& diagnostic, std::string_view text = {});

/// RFC 3339, or null for kMinTime and kMaxTime.
Json time_json(base::Micros time);
Json seconds_json(base::Micros duration);
/// A query parameter that is a time. Error 22007.
base::Result<std::optional<base::Micros>> time_parameter(const http::Request& request, std::string_view name);
base::Result<std::optional<uint64_t>> count_parameter(const http::Request& request, std::string_view name);

}  // namespace backstream::service
