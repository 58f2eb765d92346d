#include "service/exposure.h"

#include <fmt/format.h>

#include "config/endpoint.h"
#include "config/load.h"

namespace backstream::service {

using base::fail;

base::Result<std::string> check_exposure(const config::Settings& settings, bool has_tokens) {
  if (const auto fault = config::exposure_fault(settings)) return fail("55000", fault->message, {}, fault->hint);
  const auto listen = config::parse_http_endpoint(settings.http.listen);
  if (!listen) return fail("22023", fmt::format("http.listen cannot be '{}'", settings.http.listen));
  const auto& access = settings.access;
  const auto secret = settings.secrets.find("access.admin_token");
  const bool has_emergency = secret != settings.secrets.end() && !secret->second.value.empty();
  const bool has_proxy = !access.proxy_addresses.empty() && !access.grants.empty();
  const bool is_required = access.required || !listen->is_loopback() || !access.proxy_addresses.empty();
  if (is_required && !has_tokens && !has_emergency && !has_proxy) {
    return fail("55000", fmt::format("'{}' asks everybody for a token, and there is none", listen->text()), {},
                "set access.admin_token_file (openssl rand -hex 32 > FILE; chmod 600 FILE), or access.proxy_addresses "
                "and access.grants, or make a token while http.listen is on loopback and access.required is false");
  }
  if (listen->is_loopback() || listen->scheme == "https") return std::string();
  return fmt::format(
      "http.allow_insecure: {} can be reached from outside without encryption; tokens and results can be read on the "
      "way",
      listen->text());
}

http::ServerOptions server_options(const config::Settings& settings) {
  http::ServerOptions options;
  if (const auto listen = config::parse_http_endpoint(settings.http.listen)) {
    http::ListenOptions listener;
    listener.address = listen->host == "*" ? "::" : listen->host == "localhost" ? "127.0.0.1" : listen->host;
    listener.port = listen->port;
    if (listen->scheme == "https") {
      listener.certificate_file = settings.http.certificate;
      listener.key_file = settings.http.key;
    }
    options.listeners.push_back(std::move(listener));
  }
  options.hosts = settings.http.hosts;
  options.origins = settings.http.origins;
  options.allow_insecure = settings.http.allow_insecure;
  return options;
}

}  // namespace backstream::service
