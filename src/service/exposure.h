#pragma once
#include <string>

#include "base/diagnostic.h"
#include "config/settings.h"
#include "http/server.h"

namespace backstream::service {

/// Whether `serve` may open http.listen: beyond loopback with TLS (or http.allow_insecure) and somebody who can sign
/// in; also on loopback somebody must be able to where everybody is asked. Errors: 55000, the hint names the settings.
/// @param has_tokens  there are some in the catalog
/// @return            a warning to be shown at every start; empty: there is none
base::Result<std::string> check_exposure(const config::Settings& settings, bool has_tokens);

/// Listener, TLS, names and origins as the settings say; limits are the defaults.
/// "*" becomes "::", which hears IPv4 as well; "localhost" 127.0.0.1.
http::ServerOptions server_options(const config::Settings& settings);

}  // namespace backstream::service
