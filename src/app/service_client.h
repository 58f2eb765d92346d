#pragma once
// How the commands that ask a running `backstream serve` find it, ask it, and tell what it refused.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "app/commands.h"
#include "base/diagnostic.h"
#include "http/client.h"

namespace CLI {
class App;
}

namespace backstream::app {

/// What a person said of the server: flags, then the environment. Never a token, which others would see in the list of
/// processes.
struct ServiceOptions {
  std::string server;      ///< --server, or BACKSTREAM_SERVER; empty: http://127.0.0.1:8844
  std::string token_file;  ///< --token-file, or BACKSTREAM_TOKEN_FILE; empty: no token is sent
  std::string ca_file;     ///< --ca-file; empty: the system's authorities
  std::string timeout;     ///< --timeout, a duration; empty: 30 s
};
/// Adds the four flags, in a group of their own.
void add_service_flags(CLI::App& app, ServiceOptions& options);
/// Reads the environment where a flag is not given, and the file of the token. Errors: "usage" a duration that is none;
/// "file" a token file that cannot be read, or has no token in it.
base::Result<http::ClientOptions> client_options(const ServiceOptions& options);

/// An error with the exit code that it makes: 4 nobody reached, 5 not signed in or not allowed, 6 no such object, 3 SQL
/// or values that were refused, 7 too slow, 2 flags, 1 all others.
struct ServiceError : base::Diagnostic {
  ServiceError() = default;
  /// One that was found here: with a place in a text 3, "usage" and 22023 2, 08xxx 4, 57014 7, others 1.
  ServiceError(base::Diagnostic diagnostic);  // NOLINT(google-explicit-constructor): as Result takes it
  /// One that the server told, with the status of its answer.
  ServiceError(base::Diagnostic diagnostic, uint16_t answer_status);

  uint16_t status = 0;  ///< of the answer; 0: there was none
  ExitCode exit_code = kExitFailure;
};
template <typename T>
using ServiceResult = tl::expected<T, ServiceError>;

/// Tells it on standard error, and returns its exit code.
int complain(const ServiceError& error);

/// A text that goes to the server and where a person has it, so that an error stands where he can mend it.
struct SentText {
  std::string source;        ///< the "source" that is sent with it, which tells it from others of one request
  std::string source_name;   ///< file name or "-e", as a person is told it
  std::string_view text;     ///< of the whole file; the caller's, valid during the call
  size_t offset_octets = 0;  ///< where in it the part begins that is sent
  size_t length_octets = SIZE_MAX;
  std::string_view sent() const { return text.substr(offset_octets, length_octets); }
};

/// Asks one server in JSON, one question at a time. Blocks, at most as long as --timeout says. One thread.
class ServiceClient {
 public:
  explicit ServiceClient(http::ClientOptions options);
  /// client_options(), and a client of them.
  static ServiceResult<ServiceClient> open(const ServiceOptions& options);

  /// @param target  path and query, percent-encoded, beginning with '/'; see query_path()
  /// @return        the answer's document; null where it has none. Answers of 400 and above are errors, located in the
  ///                one of `texts` that the answer names, or the only one that there is
  ServiceResult<nlohmann::json> get(std::string_view target);
  ServiceResult<nlohmann::json> post(std::string_view target, const nlohmann::json& body,
                                     std::span<const SentText> texts = {});
  /// @param if_revision  sent as If-Match; the server refuses (412) where the object has another by now
  ServiceResult<nlohmann::json> put(std::string_view target, const nlohmann::json& body,
                                    std::span<const SentText> texts = {}, std::optional<uint64_t> if_revision = {});
  ServiceResult<nlohmann::json> remove(std::string_view target, std::optional<uint64_t> if_revision = {});
  /// What stands in the answer as it is: CSV, metrics.
  ServiceResult<std::string> get_text(std::string_view target, std::string_view accept);

  /// For event streams. What its errors mean: explain().
  http::Client& http() { return client_; }
  /// An error of http(), with what helps here.
  ServiceError explain(base::Diagnostic diagnostic) const;
  /// A refusal of http(), with what helps here.
  ServiceError explain(const http::ClientResponse& refused, std::span<const SentText> texts = {}) const;
  const std::string& server() const { return options_.server; }

 private:
  ServiceResult<nlohmann::json> ask(http::Method method, std::string_view target, const nlohmann::json* body,
                                    std::span<const SentText> texts, std::optional<uint64_t> if_revision);

  const http::ClientOptions options_;
  http::Client client_;
};

/// A member that is a text, or a number, or true or false, as text; empty where it is null, something else or not
/// there.
std::string text_of(const nlohmann::json& object, std::string_view member);
/// A member that is a whole number; 0 otherwise.
uint64_t count_of(const nlohmann::json& object, std::string_view member);
/// A member that is an object or a list; an empty list otherwise.
const nlohmann::json& list_of(const nlohmann::json& object, std::string_view member);

/// "/api/v1/queries/NAME" and what follows it ("/results"), the name percent-encoded.
std::string query_path(std::string_view name, std::string_view more = {});
/// A 404 of a query becomes "did you mean": asks the server for the names there are. Others stay as they are.
ServiceError with_nearest_query(ServiceClient& client, ServiceError error, std::string_view name);

}  // namespace backstream::app
