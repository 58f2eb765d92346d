// The second file with Boost.Asio and Boost.Beast in it; see server.cc.
#include "http/client.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/inet.h"
#include "http/url.h"

namespace backstream::http {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
namespace beast_http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr auto kSlice = std::chrono::milliseconds(100);

/// One connection, whose operations end by a deadline.
class Connection {
 public:
  Connection(const ClientOptions& options, Url url, std::function<bool()> keep_on)
      : options_(options), url_(std::move(url)), keep_on_(std::move(keep_on)), socket_(context_) {}

  base::Result<void> open();
  base::Result<void> write(std::string_view text);
  /// Octets read; 0: the server ended it. nullopt: keep_on said no.
  base::Result<std::optional<size_t>> read(char* into, size_t octets);
  void extend() { deadline_ = Clock::now() + options_.timeout; }

 private:
  enum class Waited : uint8_t { kDone, kTimeout, kStopped };
  /// Starts an operation that calls its argument when it is done, and waits.
  template <typename Start>
  Waited wait(Start start) {
    bool done = false;
    start([&done](auto&&...) { done = true; });
    context_.restart();
    Waited waited = Waited::kDone;
    while (!done) {
      const Clock::time_point now = Clock::now();
      if (now >= deadline_) waited = Waited::kTimeout;
      else if (keep_on_ && !keep_on_()) waited = Waited::kStopped;
      if (waited != Waited::kDone) {
        resolver_.cancel();
        error_code ignored;
        socket_.close(ignored);
        context_.restart();
        while (!done && context_.run_one() > 0) {
        }
        return waited;
      }
      context_.run_one_until(std::min(deadline_, now + kSlice));
      if (context_.stopped()) context_.restart();
    }
    return Waited::kDone;
  }
  tl::unexpected<base::Diagnostic> too_long(std::string_view what) const {
    return base::fail("57014", fmt::format("{} {} within {} s", options_.server, what, options_.timeout.count() / 1e3),
                      {}, "is it busy, or does a firewall drop what we send?");
  }
  tl::unexpected<base::Diagnostic> untrusted(const error_code& error) const;

  const ClientOptions& options_;
  const Url url_;
  const std::function<bool()> keep_on_;
  asio::io_context context_{1};
  tcp::resolver resolver_{context_};
  tcp::socket socket_;
  ssl::context tls_context_{ssl::context::tls_client};
  std::optional<ssl::stream<tcp::socket&>> tls_;
  Clock::time_point deadline_ = Clock::now() + options_.timeout;
};

tl::unexpected<base::Diagnostic> Connection::untrusted(const error_code& error) const {
  const long verdict = SSL_get_verify_result(const_cast<ssl::stream<tcp::socket&>&>(*tls_).native_handle());
  if (verdict != X509_V_OK) {
    const bool other_name = verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;
    return base::fail("08004",
                      fmt::format("the certificate of {} is not to be trusted: {}", options_.server,
                                  X509_verify_cert_error_string(verdict)),
                      {},
                      other_name ? "ask the server by a name that its certificate has"
                                 : "name the authority that signed it with --ca-file FILE");
  }
  return base::fail("08P01", fmt::format("no TLS with {}: {}", options_.server, error.message()), {},
                    "does it speak plain HTTP? then write http://");
}

base::Result<void> Connection::open() {
  error_code error;
  tcp::resolver::results_type found;
  Waited waited = wait([&](auto done) {
    resolver_.async_resolve(url_.host, std::to_string(url_.port), [&, done](error_code e, auto results) {
      error = e;
      found = std::move(results);
      done();
    });
  });
  if (waited != Waited::kDone) return too_long("was not found");
  if (error) {
    return base::fail("08001", fmt::format("there is no host '{}': {}", url_.host, error.message()), {},
                      fmt::format("{} says where the server is", options_.flag));
  }
  waited = wait([&](auto done) {
    asio::async_connect(socket_, found, [&, done](error_code e, const tcp::endpoint&) {
      error = e;
      done();
    });
  });
  if (waited != Waited::kDone) return too_long("did not answer");
  if (error) {
    const bool nobody = error == asio::error::connection_refused;
    return base::fail("08001", fmt::format("cannot reach {}: {}", options_.server, error.message()), {},
                      fmt::format("{}{}", nobody ? "is backstream serve running? " : "", options_.flag) +
                          (nobody ? "" : " says where the server is"));
  }
  socket_.set_option(tcp::no_delay(true), error);
  if (!url_.tls) return {};

  SSL_CTX_set_min_proto_version(tls_context_.native_handle(), TLS1_2_VERSION);
  if (options_.any_certificate) {
    tls_context_.set_verify_mode(ssl::verify_none, error);
  } else {
    if (options_.ca_file.empty()) tls_context_.set_default_verify_paths(error);
    else tls_context_.load_verify_file(options_.ca_file, error);
    if (error) {
      return base::fail("22023",
                        fmt::format("'{}' has no certificates of authorities: {}", options_.ca_file, error.message()),
                        {}, "a PEM file");
    }
    tls_context_.set_verify_mode(ssl::verify_peer, error);
  }
  tls_.emplace(socket_, tls_context_);
  SSL* const handle = tls_->native_handle();
  const bool is_address = base::parse_inet(url_.host).has_value();
  if (is_address) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(handle), url_.host.c_str());
  } else {
    SSL_set_tlsext_host_name(handle, url_.host.c_str());
    SSL_set1_host(handle, url_.host.c_str());
  }
  waited = wait([&](auto done) {
    tls_->async_handshake(ssl::stream_base::client, [&, done](error_code e) {
      error = e;
      done();
    });
  });
  if (waited != Waited::kDone) return too_long("did not agree on TLS");
  if (error) return untrusted(error);
  return {};
}

base::Result<void> Connection::write(std::string_view text) {
  while (!text.empty()) {
    error_code error;
    size_t written = 0;
    const Waited waited = wait([&](auto done) {
      const auto took = [&, done](error_code e, size_t octets) {
        error = e;
        written = octets;
        done();
      };
      const asio::const_buffer buffer(text.data(), text.size());
      if (tls_) tls_->async_write_some(buffer, took);
      else socket_.async_write_some(buffer, took);
    });
    if (waited != Waited::kDone) return too_long("did not take the request");
    // A server that refuses may close before it has read all; what it said is still to be read.
    if (error) return {};
    text.remove_prefix(written);
  }
  return {};
}

base::Result<std::optional<size_t>> Connection::read(char* into, size_t octets) {
  error_code error;
  size_t got = 0;
  const Waited waited = wait([&](auto done) {
    const auto took = [&, done](error_code e, size_t n) {
      error = e;
      got = n;
      done();
    };
    const asio::mutable_buffer buffer(into, octets);
    if (tls_) tls_->async_read_some(buffer, took);
    else socket_.async_read_some(buffer, took);
  });
  if (waited == Waited::kStopped) return std::optional<size_t>();
  if (waited == Waited::kTimeout) return too_long("said nothing");
  if (error == asio::error::eof || error == ssl::error::stream_truncated) return std::optional<size_t>(0);
  if (error) return base::fail("08006", fmt::format("{} broke off: {}", options_.server, error.message()));
  return std::optional<size_t>(got);
}

base::Result<Url> checked_url(const ClientOptions& options) {
  auto url = parse_url(options.server);
  if (!url) return url;
  const bool here = is_loopback_name(url->host);
  if (options.any_certificate && !here) {
    return base::fail("22023",
                      fmt::format("the certificate of {} must be verified: it is not this machine", options.server), {},
                      "name the authority that signed it with --ca-file FILE");
  }
  if (!options.token.empty() && !url->tls && !here) {
    return base::fail("22023", fmt::format("will not send a token to {} without TLS", options.server), {},
                      "write https://");
  }
  return url;
}

bool is_clean(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

base::Result<std::string> request_head(const ClientOptions& options, const Url& url, Method method,
                                       std::string_view target, const Headers& headers) {
  if (!target.starts_with('/') || target.find(' ') != std::string_view::npos || !is_clean(target) ||
      !is_clean(options.token)) {
    return base::fail("22023", fmt::format("'{}' cannot be asked for", target));
  }
  std::string head = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nUser-Agent: backstream\r\n",
                                 name(method), url.base_path, target, host_header(url));
  if (!options.token.empty()) head += fmt::format("Authorization: Bearer {}\r\n", options.token);
  for (const auto& [key, value] : headers.entries()) {
    if (!is_clean(key) || !is_clean(value)) {
      return base::fail("22023", fmt::format("the header '{}' cannot be sent", key));
    }
    head += fmt::format("{}: {}\r\n", key, value);
  }
  return head;
}

/// Takes pieces of any size, one answer (those of 1xx are passed over).
class ResponseReader {
 public:
  ResponseReader(Connection& connection, const ClientOptions& options) : connection_(connection), options_(options) {
    renew();
  }

  /// Reads to the end of the header; `stopped`: keep_on said no.
  base::Result<void> header(bool& stopped) {
    while (!parser_->is_header_done()) {
      if (auto more = step(stopped); !more || stopped) return more;
      if (parser_->is_header_done() && parser_->get().result_int() / 100 == 1) renew();
    }
    return {};
  }
  base::Result<void> body(bool& stopped) {
    parser_->eager(true);
    while (!parser_->is_done()) {
      if (auto more = step(stopped); !more || stopped) return more;
    }
    return {};
  }
  /// What came of the body so far.
  std::string take_body() { return std::exchange(parser_->get().body(), {}); }
  bool done() const { return parser_->is_done(); }
  ClientResponse response() {
    ClientResponse response;
    response.status = static_cast<uint16_t>(parser_->get().result_int());
    for (const auto& field : parser_->get().base()) {
      response.headers.add({field.name_string().data(), field.name_string().size()},
                           {field.value().data(), field.value().size()});
    }
    return response;
  }
  void begin_body(size_t octets_max) {
    parser_->eager(true);
    if (octets_max > 0) parser_->body_limit(octets_max);
    else parser_->body_limit(boost::none);
  }
  void skip_body() { parser_->skip(true); }

  /// Parses what is there, or reads more.
  base::Result<void> step(bool& stopped) {
    error_code error;
    if (end_ > 0) {
      const size_t used = parser_->put(asio::buffer(buffer_.data(), end_), error);
      end_ -= used;
      std::memmove(buffer_.data(), buffer_.data() + used, end_);
      if (error && error != beast_http::error::need_more) return failed(error);
      if (!error && used > 0) return {};
      if (end_ == buffer_.size()) return failed(beast_http::error::buffer_overflow);
    }
    auto got = connection_.read(buffer_.data() + end_, buffer_.size() - end_);
    if (!got) return tl::unexpected(std::move(got.error()));
    stopped = !got->has_value();
    if (stopped) return {};
    end_ += **got;
    if (**got > 0) return {};
    if (parser_->got_some()) parser_->put_eof(error);
    else error = beast_http::error::end_of_stream;
    if (error) return failed(error);
    return {};
  }

 private:
  using Parser = beast_http::response_parser<beast_http::string_body>;
  void renew() {
    parser_.emplace();
    parser_->header_limit(64 << 10);
    parser_->body_limit(boost::none);
    parser_->eager(false);
  }
  tl::unexpected<base::Diagnostic> failed(const error_code& error) const {
    if (error == beast_http::error::body_limit) {
      return base::fail("54000", fmt::format("the answer of {} is longer than {} octets", options_.server,
                                             options_.response_octets_max));
    }
    if (error == beast_http::error::partial_message || error == beast_http::error::end_of_stream) {
      return base::fail("08006", fmt::format("{} ended before its answer did", options_.server));
    }
    return base::fail("08P01",
                      fmt::format("{} answers something that is not HTTP: {}", options_.server, error.message()), {},
                      "does it speak TLS? then write https://");
  }

  Connection& connection_;
  const ClientOptions& options_;
  std::optional<Parser> parser_;
  std::vector<char> buffer_ = std::vector<char>(size_t{80} << 10);
  size_t end_ = 0;
};

}  // namespace

base::Result<ClientResponse> Client::exchange(Method method, std::string_view target, std::string_view body,
                                              std::string_view content_type, const Headers& headers) {
  const auto url = checked_url(options_);
  if (!url) return tl::unexpected(url.error());
  auto head = request_head(options_, *url, method, target, headers);
  if (!head) return tl::unexpected(std::move(head.error()));
  const bool has_body = !body.empty() || method == Method::kPost || method == Method::kPut || method == Method::kPatch;
  if (has_body) {
    if (!body.empty()) *head += fmt::format("Content-Type: {}\r\n", content_type);
    *head += fmt::format("Content-Length: {}\r\n", body.size());
  }
  *head += "\r\n";
  Connection connection(options_, *url, {});
  if (auto opened = connection.open(); !opened) return tl::unexpected(std::move(opened.error()));
  for (const std::string_view text : {std::string_view(*head), body}) {
    if (auto written = connection.write(text); !written) return tl::unexpected(std::move(written.error()));
  }
  ResponseReader reader(connection, options_);
  if (method == Method::kHead) reader.skip_body();
  bool stopped = false;
  if (auto read = reader.header(stopped); !read) return tl::unexpected(std::move(read.error()));
  ClientResponse response = reader.response();
  reader.begin_body(options_.response_octets_max);
  if (auto read = reader.body(stopped); !read) return tl::unexpected(std::move(read.error()));
  response.body = reader.take_body();
  return response;
}

base::Result<Client::StreamEnd> Client::stream(std::string_view target, std::string_view last_event_id,
                                               const std::function<bool(const Event&)>& on_event,
                                               const std::function<bool()>& keep_on) {
  last_event_id_ = last_event_id;
  const auto url = checked_url(options_);
  if (!url) return tl::unexpected(url.error());
  Headers headers;
  headers.add("Accept", "text/event-stream");
  if (!last_event_id.empty()) headers.add("Last-Event-ID", last_event_id);
  auto head = request_head(options_, *url, Method::kGet, target, headers);
  if (!head) return tl::unexpected(std::move(head.error()));
  *head += "\r\n";
  Connection connection(options_, *url, keep_on);
  if (auto opened = connection.open(); !opened) return tl::unexpected(std::move(opened.error()));
  if (auto written = connection.write(*head); !written) return tl::unexpected(std::move(written.error()));
  ResponseReader reader(connection, options_);
  StreamEnd end;
  if (auto read = reader.header(end.stopped); !read) return tl::unexpected(std::move(read.error()));
  end.last_event_id = last_event_id;
  if (end.stopped) return end;
  end.refused = reader.response();
  const std::string_view type = end.refused.headers.find("Content-Type").value_or("");
  if (end.refused.status != 200 || !type.starts_with("text/event-stream")) {
    reader.begin_body(options_.response_octets_max);
    if (auto read = reader.body(end.stopped); !read) return tl::unexpected(std::move(read.error()));
    end.refused.body = reader.take_body();
    if (end.refused.status != 200) return end;
    return base::fail(
        "08P01", fmt::format("{} answers with {}, not with events", options_.server, type.empty() ? "nothing" : type));
  }
  reader.begin_body(0);
  EventParser events;
  while (!reader.done()) {
    if (auto read = reader.step(end.stopped); !read) return tl::unexpected(std::move(read.error()));
    if (end.stopped) break;
    const std::string piece = reader.take_body();
    if (piece.empty()) continue;
    connection.extend();
    const auto outcome = events.put(piece, [&](const Event& event) {
      last_event_id_ = event.id.empty() ? last_event_id_ : event.id;
      return on_event(event);
    });
    if (outcome == EventParser::Outcome::kTooLong) {
      return base::fail("54000", fmt::format("an event of {} is too long", options_.server));
    }
    end.stopped = outcome == EventParser::Outcome::kStopped;
    if (end.stopped) break;
  }
  end.last_event_id = last_event_id_;
  return end;
}

base::Diagnostic diagnostic_of(const ClientResponse& response, std::string_view source_name, std::string_view text) {
  base::Diagnostic diagnostic;
  diagnostic.code = "HTTP" + std::to_string(response.status);
  diagnostic.message = std::string(reason_phrase(response.status)) + " (" + std::to_string(response.status) + ")";
  const auto json = nlohmann::json::parse(response.body, nullptr, false);
  if (!json.is_object()) return diagnostic;
  const auto text_of = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto number_of = [&](const char* key) -> uint32_t {
    const auto found = json.find(key);
    return found != json.end() && found->is_number_unsigned() ? found->get<uint32_t>() : 0;
  };
  if (const std::string code = text_of("code"); !code.empty()) diagnostic.code = code;
  if (const std::string detail = text_of("detail"); !detail.empty()) diagnostic.message = detail;
  else if (const std::string title = text_of("title"); !title.empty()) diagnostic.message = title;
  diagnostic.hint = text_of("hint");
  const uint32_t line = number_of("line"), column = number_of("column");
  if (line == 0 || column == 0) return diagnostic;
  // The place as octets of what was sent, so that its line can be shown.
  size_t at = 0;
  for (uint32_t n = 1; n < line && at < text.size(); ++n) at = std::min(text.find('\n', at), text.size() - 1) + 1;
  const auto character = [&](uint32_t count) {
    while (count > 0 && at < text.size() && text[at] != '\n') {
      ++at;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
      --count;
    }
  };
  character(column - 1);
  diagnostic.span.offset_octets = static_cast<uint32_t>(at);
  const uint32_t end_line = number_of("end_line"), end_column = number_of("end_column");
  if (end_line == line && end_column > column) character(end_column - column);
  diagnostic.span.length_octets = static_cast<uint32_t>(at) - diagnostic.span.offset_octets;
  if (!text.empty()) {
    base::locate(diagnostic, source_name, text);
  } else {
    diagnostic.source_name = source_name;
    diagnostic.line = line;
    diagnostic.column = column;
  }
  return diagnostic;
}

}  // namespace backstream::http
