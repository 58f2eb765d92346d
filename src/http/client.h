#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "base/diagnostic.h"
#include "http/event_parser.h"
#include "http/message.h"

namespace backstream::http {

struct ClientOptions {
  std::string server = "http://127.0.0.1:8844";  ///< with a base path where a proxy has one
  /// PEM file of the authorities that may have signed the server's certificate; empty: the system's.
  std::string ca_file = {};
  /// Takes any certificate; refused for a server that is not on this machine.
  bool any_certificate = false;
  std::string token = {};                     ///< sent as a bearer token; never over plain HTTP beyond this machine
  std::chrono::milliseconds timeout{30'000};  ///< of one exchange; of a stream: without anything from the server
  size_t response_octets_max = size_t{1} << 30;
  std::string flag = "--server URL";  ///< for hints: how a person says where the server is
};

struct ClientResponse {
  uint16_t status = 0;
  Headers headers;
  std::string body;
};
/// What a problem document (or any answer of 400 and above) says, as a person is told it. The place is one in `text`,
/// what was sent, when the server gives one. Code: the document's, or "HTTP" and the status.
base::Diagnostic diagnostic_of(const ClientResponse& response, std::string_view source_name = {},
                               std::string_view text = {});

/// Asks one server, one exchange at a time, each over its own connection. Blocks. One thread.
///
/// Errors: 22023 the options cannot be, 08001 nobody listens there, 08004 its certificate is not to be trusted,
/// 57014 it took too long, 08006 it ended early, 08P01 it speaks something else, 54000 its answer is too long.
class Client {
 public:
  explicit Client(ClientOptions options) : options_(std::move(options)) {}

  /// @param target  path and query, percent-encoded, beginning with '/'
  /// @return        any answer, of whatever status
  base::Result<ClientResponse> exchange(Method method, std::string_view target, std::string_view body = {},
                                        std::string_view content_type = "application/json",
                                        const Headers& headers = {});
  base::Result<ClientResponse> get(std::string_view target) { return exchange(Method::kGet, target); }

  struct StreamEnd {
    ClientResponse refused;  ///< status 200: it was a stream
    bool stopped = false;    ///< by the callback; otherwise the server ended it
    std::string last_event_id;
  };
  /// Reads an event stream until `on_event` says false, `keep_on` does (asked ten times a second; may be empty), or the
  /// server ends it. Who wants to go on after that, or after an error, asks again with last_event_id().
  base::Result<StreamEnd> stream(std::string_view target, std::string_view last_event_id,
                                 const std::function<bool(const Event&)>& on_event,
                                 const std::function<bool()>& keep_on = {});
  /// Of the last event that stream() gave, also when it failed.
  const std::string& last_event_id() const { return last_event_id_; }

 private:
  const ClientOptions options_;
  std::string last_event_id_;
};

}  // namespace backstream::http
