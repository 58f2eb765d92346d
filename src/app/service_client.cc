#include "app/service_client.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/time.h"
#include "http/url.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

constexpr size_t kTokenOctetsMax = 4'096;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

base::Result<std::string> read_token(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kTokenOctetsMax + 1, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) {
    return base::fail("file", fmt::format("cannot read the token in '{}': {}", path, std::strerror(errno)), {},
                      "`backstream token create` makes one");
  }
  text.resize(static_cast<size_t>(file.gcount()));
  constexpr std::string_view kSpace = " \t\r\n";
  text.erase(0, std::min(text.find_first_not_of(kSpace), text.size()));
  text.erase(text.find_last_not_of(kSpace) + 1);
  if (text.empty() || text.size() > kTokenOctetsMax || text.find_first_of(kSpace) != std::string::npos) {
    return base::fail("file", fmt::format("'{}' is no file of a token", path), {},
                      "it holds one line: what `backstream token create` printed");
  }
  struct stat status = {};
  if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & (S_IRGRP | S_IROTH)) != 0)
    telemetry::terminal_log().warning(fmt::format("others can read the token: chmod 600 {}", path));
  return text;
}

ExitCode exit_code_of(const base::Diagnostic& error, uint16_t status) {
  switch (status) {
    case 0: break;
    case 401:
    case 403: return kExitForbidden;
    case 404: return kExitNotFound;
    case 422: return kExitInvalid;
    default: return error.code == "57014" ? kExitNothing : kExitFailure;
  }
  if (error.line != 0) return kExitInvalid;  // The parser here finds what the server's would.
  if (error.code == "usage" || error.code == "22023") return kExitUsage;
  if (error.code.starts_with("08")) return kExitUnreachable;
  return error.code == "57014" ? kExitNothing : kExitFailure;
}

/// Text of others on its way to a terminal.
void make_printable(std::string& text) {
  for (char& c : text) {
    if (const auto octet = static_cast<unsigned char>(c); (octet < 0x20 && c != '\n' && c != '\t') || octet == 0x7f)
      c = ' ';
  }
}

}  // namespace

void add_service_flags(CLI::App& app, ServiceOptions& options) {
  const std::string group = "The server that is asked";
  app.add_option("--server", options.server, "where it is (default: BACKSTREAM_SERVER, else http://127.0.0.1:8844)")
      ->type_name("URL")
      ->group(group);
  app.add_option("--token-file", options.token_file, "a file with the token (default: BACKSTREAM_TOKEN_FILE)")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--ca-file", options.ca_file, "authorities that may have signed its certificate (PEM)")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--timeout", options.timeout, "how long one answer may take (default 30s)")
      ->type_name("DURATION")
      ->group(group);
}

base::Result<http::ClientOptions> client_options(const ServiceOptions& options) {
  http::ClientOptions client;
  if (!options.server.empty()) {
    client.server = options.server;
  } else if (std::string server = environment("BACKSTREAM_SERVER"); !server.empty()) {
    client.server = std::move(server);
    client.flag = "BACKSTREAM_SERVER";
  }
  client.ca_file = options.ca_file;
  if (!options.timeout.empty()) {
    const auto timeout = base::parse_duration(options.timeout);
    if (!timeout || *timeout < base::kMicrosPerMilli)
      return base::fail("usage", fmt::format("'{}' is no duration", options.timeout), {}, "--timeout 30s, 500ms or 2m");
    client.timeout = std::chrono::milliseconds(*timeout / base::kMicrosPerMilli);
  }
  const std::string file = options.token_file.empty() ? environment("BACKSTREAM_TOKEN_FILE") : options.token_file;
  if (!file.empty()) {
    auto token = read_token(file);
    if (!token) return tl::unexpected(std::move(token.error()));
    client.token = std::move(*token);
  }
  return client;
}

ServiceError::ServiceError(base::Diagnostic diagnostic) : ServiceError(std::move(diagnostic), 0) {}
ServiceError::ServiceError(base::Diagnostic diagnostic, uint16_t answer_status)
    : base::Diagnostic(std::move(diagnostic)), status(answer_status), exit_code(exit_code_of(*this, answer_status)) {}

int complain(const ServiceError& error) {
  return complain(static_cast<const base::Diagnostic&>(error), error.exit_code);
}

ServiceClient::ServiceClient(http::ClientOptions options) : options_(std::move(options)), client_(options_) {}

ServiceResult<ServiceClient> ServiceClient::open(const ServiceOptions& options) {
  auto client = client_options(options);
  if (!client) return tl::unexpected(ServiceError(std::move(client.error())));
  return ServiceClient(std::move(*client));
}

ServiceError ServiceClient::explain(base::Diagnostic diagnostic) const {
  const auto url = http::parse_url(options_.server);
  if (diagnostic.code == "08001" && url && http::is_loopback_name(url->host)) {
    diagnostic.hint = fmt::format("start it with `backstream serve`{}",
                                  options_.flag.starts_with("--") ? ", or say where it is: " + options_.flag
                                                                  : "; " + options_.flag + " says that it is there");
  }
  return {std::move(diagnostic)};
}

ServiceError ServiceClient::explain(const http::ClientResponse& refused, std::span<const SentText> texts) const {
  const auto document = nlohmann::json::parse(refused.body, nullptr, false);
  std::string source;
  if (document.is_object()) {
    if (const auto found = document.find("source"); found != document.end() && found->is_string())
      source = found->get<std::string>();
  }
  const SentText* text = nullptr;
  for (const SentText& sent : texts) {
    if (source.empty() ? texts.size() == 1 : sent.source == source) text = &sent;
  }
  base::Diagnostic diagnostic;
  if (text == nullptr) {
    // A place in a text that we do not have: of another query, which reads what was to change.
    diagnostic = http::diagnostic_of(refused, source);
    if (source.empty()) diagnostic.line = diagnostic.column = 0;
  } else {
    diagnostic = http::diagnostic_of(refused, text->source_name, text->sent());
    if (diagnostic.line != 0 && text->offset_octets != 0) {
      diagnostic.span.offset_octets += static_cast<uint32_t>(text->offset_octets);
      base::locate(diagnostic, text->source_name, text->text);
    }
  }
  make_printable(diagnostic.message);
  make_printable(diagnostic.hint);
  make_printable(diagnostic.source_name);
  if (refused.status == 401 && diagnostic.hint.empty())
    diagnostic.hint = "give a token that it knows: --token-file FILE, or BACKSTREAM_TOKEN_FILE";
  return {std::move(diagnostic), refused.status};
}

ServiceResult<nlohmann::json> ServiceClient::ask(http::Method method, std::string_view target,
                                                 const nlohmann::json* body, std::span<const SentText> texts,
                                                 std::optional<uint64_t> if_revision) {
  http::Headers headers;
  headers.add("Accept", "application/json");
  headers.add("X-Backstream-Via", "cli");
  if (if_revision) headers.add("If-Match", fmt::format("\"{}\"", *if_revision));
  // A text in another encoding than UTF-8 is the server's to refuse, not ours to throw for.
  const std::string sent = body == nullptr ? "" : body->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  auto response = client_.exchange(method, target, sent, "application/json", headers);
  if (!response) return tl::unexpected(explain(std::move(response.error())));
  if (response->status >= 400) return tl::unexpected(explain(*response, texts));
  if (response->body.empty()) return nlohmann::json();
  auto document = nlohmann::json::parse(response->body, nullptr, false);
  if (response->status / 100 == 2 && !document.is_discarded()) return document;
  return tl::unexpected(
      ServiceError(base::fail("08P01", fmt::format("{} does not answer as backstream serve does", options_.server), {},
                              fmt::format("{} says where it is", options_.flag))
                       .value()));
}

ServiceResult<nlohmann::json> ServiceClient::get(std::string_view target) {
  return ask(http::Method::kGet, target, nullptr, {}, {});
}
ServiceResult<nlohmann::json> ServiceClient::post(std::string_view target, const nlohmann::json& body,
                                                  std::span<const SentText> texts) {
  return ask(http::Method::kPost, target, &body, texts, {});
}
ServiceResult<nlohmann::json> ServiceClient::put(std::string_view target, const nlohmann::json& body,
                                                 std::span<const SentText> texts, std::optional<uint64_t> if_revision) {
  return ask(http::Method::kPut, target, &body, texts, if_revision);
}
ServiceResult<nlohmann::json> ServiceClient::remove(std::string_view target, std::optional<uint64_t> if_revision) {
  return ask(http::Method::kDelete, target, nullptr, {}, if_revision);
}

ServiceResult<std::string> ServiceClient::get_text(std::string_view target, std::string_view accept) {
  http::Headers headers;
  headers.add("Accept", accept);
  auto response = client_.exchange(http::Method::kGet, target, {}, {}, headers);
  if (!response) return tl::unexpected(explain(std::move(response.error())));
  if (response->status >= 400) return tl::unexpected(explain(*response));
  return std::move(response->body);
}

std::string text_of(const nlohmann::json& object, std::string_view member) {
  if (!object.is_object()) return {};
  const auto found = object.find(member);
  if (found == object.end() || found->is_null() || found->is_structured()) return {};
  return found->is_string() ? found->get<std::string>()
                            : found->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

uint64_t count_of(const nlohmann::json& object, std::string_view member) {
  if (!object.is_object()) return 0;
  const auto found = object.find(member);
  const bool is_count = found != object.end() && found->is_number_integer() && !(*found < 0);
  return is_count ? found->get<uint64_t>() : 0;
}

const nlohmann::json& list_of(const nlohmann::json& object, std::string_view member) {
  static const nlohmann::json kNone = nlohmann::json::array();
  if (!object.is_object()) return kNone;
  const auto found = object.find(member);
  return found != object.end() && found->is_structured() ? *found : kNone;
}

std::string query_path(std::string_view name, std::string_view more) {
  return fmt::format("/api/v1/queries/{}{}", http::percent_encode(name), more);
}

ServiceError with_nearest_query(ServiceClient& client, ServiceError error, std::string_view name) {
  // The server's own hint names a request, not a command.
  if (error.status != 404 || !(error.hint.empty() || error.hint.starts_with("GET "))) return error;
  const auto list = client.get("/api/v1/queries");
  if (!list) return error;
  std::vector<std::string> names;
  for (const auto& query : list_of(*list, "queries")) names.push_back(text_of(query, "name"));
  const std::string_view near = base::nearest_name(name, {names.begin(), names.end()});
  error.hint = !near.empty()   ? fmt::format("did you mean '{}'?", near)
               : names.empty() ? "there are no queries yet: `backstream query add FILE.sql`"
                               : "`backstream query list` shows those that there are";
  return error;
}

}  // namespace backstream::app
