// Boost.Asio and Boost.Beast of the server: in this file only, for they take most of its compile time. Of Beast only
// the parser is used; what is written is simple enough to write.
#include "http/server.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cassert>
#include <condition_variable>
#include <cstring>
#include <ctime>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_map>

#include "http/handler_pool.h"
#include "http/url.h"

namespace backstream::http {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
namespace beast_http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Tls = std::shared_ptr<ssl::context>;

constexpr auto kTick = std::chrono::milliseconds(100);
constexpr auto kLingerTime = std::chrono::seconds(1);
constexpr size_t kReadOctets = 4'096;
constexpr size_t kChunkLineOctetsMax = 8'192;

base::Inet inet_of(const asio::ip::address& address) {
  if (address.is_v4()) return base::Inet::v4(address.to_v4().to_uint());
  return base::Inet::from_v6_octets(address.to_v6().to_bytes().data());
}

bool is_token(std::string_view text) {  // RFC 9110 §5.6.2
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}
bool is_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet == '\t' || (octet >= 0x20 && octet != 0x7f);
  });
}
/// What the server itself says; a handler that says it, too, would make two of it.
bool is_framing(std::string_view name) {
  constexpr std::string_view kOurs[] = {"Content-Length", "Content-Type", "Transfer-Encoding", "Connection",
                                        "Keep-Alive",     "Upgrade",      "Trailer",           "Date"};
  return std::any_of(std::begin(kOurs), std::end(kOurs), [&](auto ours) { return equal_ignoring_case(ours, name); });
}

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  char out[64];  // Not strftime(): its names follow the locale.
  std::snprintf(out, sizeof out, "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[parts.tm_wday], parts.tm_mday,
                kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  return out;
}

int select_http11(SSL*, const unsigned char** out, unsigned char* out_octets, const unsigned char* in,
                  unsigned int in_octets, void*) {
  constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_octets, kOurs, sizeof kOurs - 1, in, in_octets) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

base::Result<Tls> load_tls(const ListenOptions& options) {
  const auto bad = [&](const std::string& file, std::string what, std::string hint) {
    return base::fail("F0000", "TLS of " + options.address + ": '" + file + "' " + std::move(what), {},
                      std::move(hint));
  };
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  error_code error;
  context->set_options(ssl::context::default_workarounds | ssl::context::no_sslv2 | ssl::context::no_sslv3 |
                           SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE,
                       error);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context->native_handle(),
                   SSL_MODE_RELEASE_BUFFERS);  // Most connections do nothing most of the time.
  SSL_CTX_set_alpn_select_cb(context->native_handle(), select_http11, nullptr);
  // OpenSSL would ask for a pass phrase on the terminal.
  context->set_password_callback([](size_t, ssl::context::password_purpose) { return std::string(); }, error);
  context->use_certificate_chain_file(options.certificate_file, error);
  if (error) {
    return bad(options.certificate_file, "is no certificate that can be used: " + error.message(),
               "a PEM file that the service may read: the server's certificate first, then those that signed it");
  }
  context->use_private_key_file(options.key_file, ssl::context::pem, error);
  if (error) {
    return bad(options.key_file, "is no private key that can be used: " + error.message(),
               "a PEM file without pass phrase, of the certificate in '" + options.certificate_file + "'");
  }
  return context;
}

/// What all threads may read.
struct Counters {
  std::array<std::atomic<uint64_t>, kRefusalCount> refused{};
  std::atomic<uint64_t> connections{0}, requests{0}, octets_in{0}, octets_out{0}, frames_out{0};
  std::array<std::atomic<uint64_t>, 6> answers{};
  std::atomic<size_t> connections_now{0}, streams_now{0}, bodies_octets_now{0};

  void add(Refusal refusal) { refused[static_cast<size_t>(refusal)].fetch_add(1, std::memory_order_relaxed); }
};

/// A socket with or without TLS: one type, so that the sessions' code is compiled once.
struct Wire {
  explicit Wire(tcp::socket s) : socket(std::move(s)) {}

  template <typename Handler>
  void read_some(asio::mutable_buffer into, Handler handler) {
    if (tls) tls->async_read_some(into, std::move(handler));
    else socket.async_read_some(into, std::move(handler));
  }
  template <typename Buffers, typename Handler>
  void write_some(const Buffers& buffers, Handler handler) {
    if (tls) tls->async_write_some(buffers, std::move(handler));
    else socket.async_write_some(buffers, std::move(handler));
  }

  tcp::socket socket;
  Tls context;  // Outlives `tls`.
  std::unique_ptr<ssl::stream<tcp::socket&>> tls;
};

class Session;

/// What sessions and the server share; the network thread's, but for the counters and the pool.
struct Shared {
  Shared(const Router& r, EventHub& h, const ServerOptions& o)
      : router(r),
        hub(h),
        options(o),
        peers(o.limits.per_peer),
        pool(o.limits.handler_threads, o.limits.handler_queue_max) {}

  const Router& router;
  EventHub& hub;
  const ServerOptions& options;
  asio::io_context context{1};
  Counters counters;
  PeerTable peers;
  std::unordered_map<Session*, std::shared_ptr<Session>> sessions;
  size_t bodies_octets = 0;
  bool stopping = false;
  std::string date = http_date();
  std::vector<char> discard = std::vector<char>(kReadOctets);  // What nobody looks at.

  std::mutex mutex;
  std::condition_variable emptied;
  bool empty = true;  // Under mutex: there are no sessions.

  HandlerPool pool;  // Last: its threads post to the context.

  void remember(std::shared_ptr<Session> session) {
    Session* const key = session.get();
    sessions.emplace(key, std::move(session));
    counters.connections.fetch_add(1, std::memory_order_relaxed);
    counters.connections_now.store(sessions.size(), std::memory_order_relaxed);
    const std::lock_guard lock(mutex);
    empty = false;
  }
  void forget(Session& session, const base::Inet& peer) {
    sessions.erase(&session);
    peers.disconnect(peer);
    counters.connections_now.store(sessions.size(), std::memory_order_relaxed);
    if (!sessions.empty()) return;
    const std::lock_guard lock(mutex);
    empty = true;
    emptied.notify_all();
  }
  bool take_bodies(size_t octets) {
    if (octets > options.limits.all_bodies_octets_max - std::min(bodies_octets, options.limits.all_bodies_octets_max)) {
      return false;
    }
    bodies_octets += octets;
    counters.bodies_octets_now.store(bodies_octets, std::memory_order_relaxed);
    return true;
  }
  void give_back_bodies(size_t octets) {
    assert(octets <= bodies_octets);
    bodies_octets -= octets;
    counters.bodies_octets_now.store(bodies_octets, std::memory_order_relaxed);
  }
};

/// One connection. Everything but `abandoned_` is the network thread's.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Shared& shared, tcp::socket socket, base::Inet peer, base::Inet local)
      : shared_(shared), limits_(shared.options.limits), wire_(std::move(socket)), peer_(peer), local_(local) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void start(Tls tls) {
    deadline_ = Clock::now() + limits_.header_time;
    if (!tls) return await_request(true);
    state_ = State::kHandshake;
    wire_.context = std::move(tls);
    wire_.tls = std::make_unique<ssl::stream<tcp::socket&>>(wire_.socket, *wire_.context);
    wire_.tls->async_handshake(ssl::stream_base::server, [self = shared_from_this()](error_code error) {
      if (self->state_ == State::kClosed) return;
      if (error) return self->cut(Refusal::kHandshake);
      self->await_request(true);
    });
  }

  /// Deadlines and heartbeats.
  void tick(Clock::time_point now) {
    if (state_ == State::kStreaming && !writing_ && now - last_write_ >= limits_.heartbeat) {
      frames_.clear();
      frames_.push_back({nullptr, ":\n\n"});
      return write_frames();
    }
    if (now < deadline_) return;
    switch (state_) {
      case State::kIdle: return cut(Refusal::kIdleTime);
      case State::kHandshake: return cut(Refusal::kHandshake);
      case State::kHeader:
        if (in_end_ == 0) return cut(Refusal::kHeaderTime);  // Connected and said nothing.
        return refuse(Refusal::kHeaderTime, 408, "the request's header took too long");
      case State::kBody:
        if (writing_) return cut(Refusal::kBodyTime);
        return refuse(Refusal::kBodyTime, 408, "the request's body took too long");
      case State::kHandling:
        abandon();
        return refuse(Refusal::kHandlerTime, 503, "the answer took too long",
                      "ask for less, or again when the server is less busy");
      case State::kWriting: return cut(Refusal::kWriteTime);
      case State::kStreaming:
        if (writing_) return cut(ending_ ? Refusal::kStop : Refusal::kStalledTime);
        return;
      case State::kLinger: return close();
      case State::kClosed: return;
    }
  }

  /// The server stops: no more requests; streams give what was published, and who does not read is not waited for.
  void drain() {
    switch (state_) {
      case State::kHandshake:
      case State::kIdle: return close();
      case State::kHeader:
        if (in_end_ == 0) return close();
        break;
      case State::kStreaming:
        ending_ = true;
        deadline_ = std::min(deadline_, Clock::now() + kLingerTime);
        if (!writing_) next_frames();
        break;
      default: break;
    }
    keep_alive_ = false;
  }
  void cut(Refusal why) {
    shared_.counters.add(why);
    close();
  }
  bool lingers() const { return state_ == State::kLinger; }
  void close();

 private:
  enum class State : uint8_t {
    kHandshake,
    kIdle,    // Between requests.
    kHeader,  // Of the first request, or begun.
    kBody,
    kHandling,
    kWriting,
    kStreaming,
    kLinger,  // All is said; waits for the client to have read it.
    kClosed,
  };
  using Parser = beast_http::request_parser<beast_http::string_body>;

  // ---- reading

  void await_request(bool first) {
    give_back_bodies();
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(limits_.header_octets_max));
    parser_->body_limit(boost::none);  // Looked at in on_header(), where the route is known.
    parser_->eager(false);
    request_ = {};
    match_ = {};
    head_only_ = false;
    if (in_end_ > 0) return begin_request();
    if (in_.size() != kReadOctets) in_ = std::vector<char>(kReadOctets);
    state_ = first ? State::kHeader : State::kIdle;
    if (!first) deadline_ = Clock::now() + limits_.idle_time;
    if (shared_.stopping) return close();
    read();
  }
  void begin_request() {
    const Clock::time_point now = Clock::now();
    if (state_ != State::kHeader) deadline_ = now + limits_.header_time;
    body_deadline_ = now + limits_.body_time;
    begun_ = true;
    state_ = State::kHeader;
    on_input();
  }
  void read() {
    if (in_end_ == in_.size()) in_.resize(std::min(in_.size() * 2, limits_.header_octets_max + kChunkLineOctetsMax));
    wire_.read_some(asio::buffer(in_.data() + in_end_, in_.size() - in_end_),
                    [self = shared_from_this()](error_code error, size_t octets) { self->on_read(error, octets); });
  }
  void on_read(error_code error, size_t octets) {
    // A deadline may have answered meanwhile.
    if (state_ != State::kIdle && state_ != State::kHeader && state_ != State::kBody) return;
    shared_.counters.octets_in.fetch_add(octets, std::memory_order_relaxed);
    in_end_ += octets;
    if (error) {
      if (in_end_ == 0 && state_ != State::kBody) return close();
      return cut(Refusal::kDisconnect);
    }
    if (state_ == State::kIdle || !begun_) return begin_request();
    on_input();
  }
  void on_input() {
    for (;;) {
      error_code error;
      const size_t octets = parser_->put(asio::buffer(in_.data(), in_end_), error);
      in_end_ -= octets;
      std::memmove(in_.data(), in_.data() + octets, in_end_);
      if (error && error != beast_http::error::need_more) return on_parse_error(error);
      if (state_ == State::kHeader && parser_->is_header_done()) {
        if (!on_header()) return;
      }
      if (state_ == State::kBody && !account_body()) return;
      if (parser_->is_done()) return dispatch();
      if (error || in_end_ == 0) break;
    }
    if (in_end_ >= limits_.header_octets_max + kChunkLineOctetsMax) {
      return refuse(Refusal::kMalformed, 400, "a chunk of the request's body has a header without an end");
    }
    read();
  }
  void on_parse_error(error_code error) {
    if (error == beast_http::error::header_limit) {
      return refuse(Refusal::kHeaderOctets, 431,
                    "the request's header is longer than " + std::to_string(limits_.header_octets_max) + " octets");
    }
    if (error == beast_http::error::body_limit) return refuse_body();
    if (error == beast_http::error::bad_version) {
      return refuse(Refusal::kVersion, 505, "this server speaks HTTP/1.1");
    }
    refuse(Refusal::kMalformed, 400, "the request cannot be read: " + error.message());
  }
  void refuse_body() {
    refuse(Refusal::kBodyOctets, 413, "the request's body is longer than " + std::to_string(body_limit()) + " octets");
  }
  size_t body_limit() const {
    return match_.route != nullptr && match_.route->body_octets_max != 0 ? match_.route->body_octets_max
                                                                         : limits_.body_octets_max;
  }

  /// Everything that can be said before the body. false: it was answered, or goes on when more has come.
  bool on_header() {
    const auto& message = parser_->get();
    keep_alive_ = message.version() == 11 && message.keep_alive() && !shared_.stopping &&
                  ++request_count_ < limits_.requests_per_connection_max;
    for (const auto& field : message.base()) {
      request_.headers.add({field.name_string().data(), field.name_string().size()},
                           {field.value().data(), field.value().size()});
    }
    request_.peer = peer_;
    request_.tls = wire_.tls != nullptr;
    const auto refused = [this](Refusal why, uint16_t status, std::string detail, std::string hint = {}) {
      refuse(why, status, std::move(detail), std::move(hint));
      return false;
    };
    if (!shared_.peers.request(peer_, Clock::now())) {
      return refused(Refusal::kRequestRate, 429, "too many requests from this address", "wait a second");
    }
    // Beast takes any last coding but chunked for a message without a body, and the body for the next request.
    const size_t encodings = request_.headers.count("Transfer-Encoding");
    if (encodings > 0 && (encodings > 1 || message.version() != 11 ||
                          !equal_ignoring_case(*request_.headers.find("Transfer-Encoding"), "chunked"))) {
      return refused(Refusal::kMalformed, 400, "a Transfer-Encoding other than one 'chunked' is not understood");
    }
    if (request_.headers.count("Host") != 1) {
      return refused(Refusal::kMalformed, 400, "the request has not exactly one Host");
    }
    auto target = parse_target({message.target().data(), message.target().size()});
    if (!target) {
      const bool long_one = target.error().code == "414";
      return refused(long_one ? Refusal::kTarget : Refusal::kMalformed, long_one ? 414 : 400,
                     std::move(target.error().message));
    }
    request_.host = target->authority.empty() ? std::string(*request_.headers.find("Host")) : target->authority;
    switch (check_host(request_.host, local_, shared_.options.hosts)) {
      case HostVerdict::kGood: break;
      case HostVerdict::kMalformed: return refused(Refusal::kMalformed, 400, "the request's Host is none");
      case HostVerdict::kUnknown:
        return refused(Refusal::kHost, 421, "this server is not " + request_.host,
                       "the names it answers to are a setting of the server");
    }
    const auto method = method_of({message.method_string().data(), message.method_string().size()});
    if (!method) {
      return refused(Refusal::kMethod, 501, "this server does not know the method");
    }
    request_.method = *method;
    head_only_ = *method == Method::kHead;
    request_.path = std::move(target->path);
    request_.raw_path = std::move(target->raw_path);
    request_.query = std::move(target->query);
    if (is_foreign(request_, shared_.options.origins)) {
      return refused(Refusal::kOrigin, 403, "the request comes from a page of another origin");
    }
    const auto expectation = request_.headers.find("Expect");
    if (expectation && !equal_ignoring_case(*expectation, "100-continue")) {
      return refused(Refusal::kExpectation, 417, "an expectation that is not understood");
    }

    match_ = shared_.router.match(request_.method, request_.raw_path);
    if (parser_->is_done()) return true;
    if (match_.route == nullptr) {
      keep_alive_ = false;  // The body stays unread.
      answer(shared_.router.answer(match_, request_));
      return false;
    }
    const auto length = parser_->content_length();
    if (length && *length > body_limit()) {
      refuse_body();
      return false;
    }
    parser_->body_limit(body_limit());
    parser_->eager(true);
    state_ = State::kBody;
    deadline_ = body_deadline_;
    if (length && !take_bodies(static_cast<size_t>(*length))) return false;
    if (expectation && in_end_ == 0) {
      // The client waits for it, or sends the body anyway after a while.
      static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      writing_ = true;
      wire_.write_some(asio::const_buffer(kContinue.data(), kContinue.size()),
                       [self = shared_from_this()](error_code, size_t) {
                         self->writing_ = false;
                         if (self->state_ == State::kBody) self->read();
                       });
      return false;
    }
    return true;
  }
  bool account_body() {
    const size_t octets = parser_->get().body().size();
    return octets <= bodies_taken_ || take_bodies(octets - bodies_taken_);
  }
  bool take_bodies(size_t octets) {
    if (!shared_.take_bodies(octets)) {
      refuse(Refusal::kBodies, 503, "the server has too many requests and answers under way", "ask again in a second");
      return false;
    }
    bodies_taken_ += octets;
    return true;
  }
  void give_back_bodies() { shared_.give_back_bodies(std::exchange(bodies_taken_, 0)); }

  // ---- answering

  void dispatch() {
    shared_.counters.requests.fetch_add(1, std::memory_order_relaxed);
    request_.body = std::move(parser_->get().body());
    state_ = State::kHandling;
    if (match_.route == nullptr) return answer(shared_.router.answer(match_, request_));
    deadline_ = Clock::now() + limits_.handler_time;
    auto abandoned = std::make_shared<std::atomic<bool>>(false);
    abandoned_ = abandoned;
    const bool slow = match_.route->slow;
    auto job = [self = shared_from_this(), abandoned, match = std::move(match_),
                request = std::make_shared<Request>(std::move(request_))]() mutable {
      if (abandoned->load(std::memory_order_relaxed)) return;
      auto response = std::make_shared<Response>(self->shared_.router.answer(match, *request));
      Shared& shared = self->shared_;
      // The session is released on its own thread.
      asio::post(shared.context, [self = std::move(self), abandoned, response] {
        if (abandoned->load(std::memory_order_relaxed)) return;
        self->abandoned_ = nullptr;
        self->answer(std::move(*response));
      });
    };
    if (!shared_.pool.submit(slow, std::move(job))) {
      abandoned_ = nullptr;
      refuse(Refusal::kHandlerQueue, 503, "the server has too many requests waiting", "ask again in a second");
    }
  }
  void abandon() {
    if (abandoned_) abandoned_->store(true, std::memory_order_relaxed);
    abandoned_ = nullptr;
  }

  void refuse(Refusal why, uint16_t status, std::string detail, std::string hint = {}) {
    shared_.counters.add(why);
    keep_alive_ = false;  // Where the next request begins is not known, or not wanted.
    Response response = problem_response(status, std::move(detail), std::move(hint));
    if (status == 429 || status == 503) response.headers.set("Retry-After", "1");
    answer(std::move(response));
  }

  void answer(Response response) {
    if (state_ == State::kClosed) return;
    if (response.status < 200 || response.status > 599)
      response = problem_response(500, "the server failed to answer this");
    if (response.events) return answer_stream(std::move(response));
    if (response.body.size() > limits_.response_octets_max) {
      shared_.counters.add(Refusal::kResponseOctets);
      response =
          problem_response(500, "the answer is longer than " + std::to_string(limits_.response_octets_max) + " octets",
                           "ask for less at once");
    }
    if (!shared_.take_bodies(response.body.size())) {
      shared_.counters.add(Refusal::kBodies);
      response =
          problem_response(503, "the server has too many requests and answers under way", "ask again in a second");
      response.headers.set("Retry-After", "1");
      keep_alive_ = false;
    } else {
      bodies_taken_ += response.body.size();
    }
    const bool bodiless = response.status == 204 || response.status == 304;
    std::string head = begin_head(response);
    if (!bodiless) {
      if (!response.body.empty()) add_header(head, "Content-Type", response.content_type);
      add_header(head, "Content-Length", std::to_string(response.body.size()));
    }
    if (!keep_alive_) add_header(head, "Connection", "close");
    head += "\r\n";
    frames_.clear();
    frames_.push_back({nullptr, std::move(head)});
    if (!bodiless && !head_only_) frames_.push_back({nullptr, std::move(response.body)});
    state_ = State::kWriting;
    write_frames();
  }

  std::string begin_head(const Response& response) {
    shared_.counters.answers[response.status / 100].fetch_add(1, std::memory_order_relaxed);
    std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
    head += reason_phrase(response.status);
    head += "\r\n";
    add_header(head, "Date", shared_.date);
    for (const auto& [name, value] : response.headers.entries()) {
      if (is_framing(name)) shared_.counters.add(Refusal::kResponseHeader);
      else add_header(head, name, value);
    }
    // What nobody said otherwise: nothing is kept, guessed at, or shown within another page.
    const auto by_default = [&](std::string_view name, std::string_view value) {
      if (!response.headers.find(name)) add_header(head, name, value);
    };
    by_default("Cache-Control", "no-store");
    by_default("X-Content-Type-Options", "nosniff");
    by_default("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    return head;
  }
  void add_header(std::string& head, std::string_view name, std::string_view value) {
    if (!is_token(name) || !is_field_value(value)) return shared_.counters.add(Refusal::kResponseHeader);
    head += name;
    head += ": ";
    head += value;
    head += "\r\n";
  }

  void answer_stream(Response response) {
    EventStream& events = *response.events;
    const bool possible = !events.topics.empty() && events.topics.size() <= kStreamTopicsMax &&
                          std::none_of(events.topics.begin(), events.topics.end(), [](const auto& t) { return !t; });
    if (!possible) return answer(problem_response(500, "the server failed to answer this"));
    response.status = 200;
    keep_alive_ = false;
    std::string head = begin_head(response);
    add_header(head, "Content-Type", "text/event-stream");
    add_header(head, "X-Accel-Buffering", "no");  // nginx would collect it.
    add_header(head, "Connection", "close");      // What ends the stream is the connection's end.
    head += "\r\n";
    frames_.clear();
    frames_.push_back({nullptr, std::move(head)});
    if (head_only_) {
      state_ = State::kWriting;
      return write_frames();
    }
    if (!events.prelude.empty()) frames_.push_back({nullptr, std::move(events.prelude)});
    lease_ = std::move(events.lease);
    give_back_bodies();
    request_ = {};
    parser_.reset();
    in_ = {};
    in_end_ = 0;
    subscription_.emplace(std::move(events.topics), events.last_event_id, events.backlog_events);
    subscription_->on_ready = [this] {
      if (!writing_) next_frames();
    };
    state_ = State::kStreaming;
    shared_.counters.streams_now.fetch_add(1, std::memory_order_relaxed);
    ending_ = shared_.stopping;
    watch();
    write_frames();
  }
  /// A stream's client says nothing any more: its end is what we wait for.
  void watch() {
    wire_.read_some(asio::buffer(shared_.discard), [self = shared_from_this()](error_code error, size_t) {
      if (self->state_ != State::kStreaming) return;
      if (error) return self->close();
      self->watch();
    });
  }
  void next_frames() {
    frames_.clear();
    subscription_->take(limits_.stream_write_octets_max, frames_);
    if (frames_.empty()) {
      if (ending_ || subscription_->ended()) return linger();
      return;
    }
    shared_.counters.frames_out.fetch_add(frames_.size(), std::memory_order_relaxed);
    write_frames();
  }

  // ---- writing

  void write_frames() {
    unsent_.clear();
    for (const Frame& frame : frames_) {
      if (frame.shared && !frame.shared->empty()) unsent_.emplace_back(frame.shared->data(), frame.shared->size());
      if (!frame.own.empty()) unsent_.emplace_back(frame.own.data(), frame.own.size());
    }
    unsent_at_ = 0;
    write();
  }
  void write() {
    writing_ = true;
    // The deadline is for progress: a slow line may take as long as it needs.
    deadline_ = Clock::now() + (ending_                       ? kLingerTime
                                : state_ == State::kStreaming ? limits_.stalled_time
                                                              : limits_.write_time);
    wire_.write_some(std::span<const asio::const_buffer>(unsent_).subspan(unsent_at_),
                     [self = shared_from_this()](error_code error, size_t octets) { self->on_written(error, octets); });
  }
  void on_written(error_code error, size_t octets) {
    if (state_ == State::kClosed) return;
    shared_.counters.octets_out.fetch_add(octets, std::memory_order_relaxed);
    if (error) return state_ == State::kStreaming ? close() : cut(Refusal::kDisconnect);
    while (octets > 0) {
      const size_t part = std::min(octets, unsent_[unsent_at_].size());
      unsent_[unsent_at_] += part;
      octets -= part;
      if (unsent_[unsent_at_].size() == 0) ++unsent_at_;
    }
    if (unsent_at_ < unsent_.size()) return write();
    writing_ = false;
    frames_.clear();
    if (state_ == State::kStreaming) {
      last_write_ = Clock::now();
      return next_frames();
    }
    if (!keep_alive_) return linger();
    await_request(false);
  }

  // ---- ending

  /// Closing with octets unread would take from the client what he has not read yet (RFC 9112 §9.6).
  void linger() {
    leave_stream();
    give_back_bodies();
    state_ = State::kLinger;
    deadline_ = Clock::now() + kLingerTime;
    if (wire_.tls) {
      wire_.tls->async_shutdown([self = shared_from_this()](error_code) { self->close(); });
      return;
    }
    error_code ignored;
    wire_.socket.shutdown(tcp::socket::shutdown_send, ignored);
    discard();
  }
  void discard() {
    wire_.read_some(asio::buffer(shared_.discard), [self = shared_from_this()](error_code error, size_t) {
      if (self->state_ != State::kLinger) return;
      if (error) return self->close();
      self->discard();
    });
  }
  void leave_stream() {
    if (!subscription_) return;
    subscription_.reset();
    lease_.reset();
    shared_.counters.streams_now.fetch_sub(1, std::memory_order_relaxed);
  }
  Shared& shared_;
  const ServerLimits& limits_;
  Wire wire_;
  const base::Inet peer_, local_;
  State state_ = State::kHeader;
  Clock::time_point deadline_, body_deadline_, last_write_;

  std::vector<char> in_;
  size_t in_end_ = 0;
  bool begun_ = false;  // The connection's first request has.
  std::optional<Parser> parser_;
  Request request_;
  Router::Match match_;
  bool keep_alive_ = false, head_only_ = false;
  uint32_t request_count_ = 0;
  size_t bodies_taken_ = 0;
  std::shared_ptr<std::atomic<bool>> abandoned_;  // Of the handler that runs: nobody waits for it.

  std::vector<Frame> frames_;
  std::vector<asio::const_buffer> unsent_;  // Into frames_.
  size_t unsent_at_ = 0;
  bool writing_ = false, ending_ = false;
  std::optional<Subscription> subscription_;
  std::shared_ptr<const void> lease_;  // Of what the stream reads.
};

void Session::close() {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  abandon();
  leave_stream();
  give_back_bodies();
  state_ = State::kClosed;
  error_code ignored;
  wire_.socket.close(ignored);
  shared_.forget(*this, peer_);
}

}  // namespace

std::string_view name(Refusal refusal) {
#define BACKSTREAM_HTTP_NAME(id, text) text,
  constexpr std::string_view kNames[] = {BACKSTREAM_HTTP_REFUSALS(BACKSTREAM_HTTP_NAME)};
#undef BACKSTREAM_HTTP_NAME
  return kNames[static_cast<size_t>(refusal)];
}

class Server::Impl {
 public:
  Impl(const Router& router, EventHub& hub, ServerOptions options)
      : options_(std::move(options)), shared_(router, hub, options_), wake_(shared_.context), tick_(shared_.context) {}
  ~Impl() { stop({}); }

  base::Result<void> open() {
    for (const ListenOptions& options : options_.listeners) {
      if (auto opened = open_listener(options); !opened) return opened;
    }
    const int wake = ::dup(shared_.hub.wake_descriptor());  // Asio closes what it has.
    if (wake < 0) return base::fail("53000", "the server cannot be started: out of descriptors");
    wake_.assign(wake);
    for (const auto& listener : listeners_) accept(*listener);
    await_events();
    await_tick();
    network_ = std::thread([this] { run(); });
    return {};
  }

  base::Result<void> reload_certificates() {
    std::vector<Tls> loaded;
    for (const ListenOptions& options : options_.listeners) {
      loaded.emplace_back();
      if (options.certificate_file.empty()) continue;
      auto tls = load_tls(options);
      if (!tls) return tl::unexpected(std::move(tls.error()));
      loaded.back() = std::move(*tls);
    }
    asio::post(shared_.context, [this, loaded = std::move(loaded)] {
      for (size_t i = 0; i < loaded.size(); ++i) listeners_[i]->tls = loaded[i];
    });
    return {};
  }

  ServerStatus status() const {
    const auto of = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
    const Counters& counters = shared_.counters;
    ServerStatus status;
    for (size_t i = 0; i < kRefusalCount; ++i) status.refused[i] = of(counters.refused[i]);
    for (size_t i = 0; i < status.answers.size(); ++i) status.answers[i] = of(counters.answers[i]);
    status.connections = of(counters.connections);
    status.requests = of(counters.requests);
    status.octets_in = of(counters.octets_in);
    status.octets_out = of(counters.octets_out);
    status.frames_out = of(counters.frames_out);
    status.connections_now = of(counters.connections_now);
    status.streams_now = of(counters.streams_now);
    status.bodies_octets_now = of(counters.bodies_octets_now);
    status.handlers_now = shared_.pool.running();
    status.handlers_waiting = shared_.pool.waiting();
    status.network_thread_ns = network_thread_ns_.load(std::memory_order_relaxed);
    return status;
  }

  void stop(std::chrono::milliseconds patience) {
    if (!network_.joinable()) return shared_.pool.stop();
    asio::post(shared_.context, [this] {
      shared_.stopping = true;
      for (const auto& listener : listeners_) {
        error_code ignored;
        listener->acceptor.close(ignored);
      }
      shared_.hub.pump();  // What was published before the stop may not have woken this thread yet.
      each_session([](Session& session) { session.drain(); });
    });
    {
      std::unique_lock lock(shared_.mutex);
      shared_.emptied.wait_for(lock, patience, [this] { return shared_.empty; });
    }
    asio::post(shared_.context, [this] {
      each_session([](Session& session) {
        if (session.lingers()) session.close();
        else session.cut(Refusal::kStop);
      });
    });
    shared_.pool.stop();
    asio::post(shared_.context, [this] { shared_.context.stop(); });
    network_.join();
  }

  std::vector<uint16_t> ports_;

 private:
  struct Listener {
    explicit Listener(asio::io_context& context) : acceptor(context), retry(context) {}
    tcp::acceptor acceptor;
    asio::steady_timer retry;
    Tls tls;
  };

  base::Result<void> open_listener(const ListenOptions& options) {
    const std::string where = options.address + " port " + std::to_string(options.port);
    error_code error;
    const auto address = asio::ip::make_address(options.address, error);
    if (error)
      return base::fail("22023", "'" + options.address + "' is no address to listen on", {},
                        "write an IPv4 or IPv6 address");
    if (options.certificate_file.empty() != options.key_file.empty()) {
      return base::fail("22023", "TLS of " + where + " has a certificate or a key, not both", {}, "give both files");
    }
    auto listener = std::make_unique<Listener>(shared_.context);
    if (!options.certificate_file.empty()) {
      auto tls = load_tls(options);
      if (!tls) return tl::unexpected(std::move(tls.error()));
      listener->tls = std::move(*tls);
    } else if (!address.is_loopback() && !options_.allow_insecure) {
      return base::fail("55000", "will not listen on " + where + " without TLS: it is not a loopback address", {},
                        "give a certificate and its key, listen on 127.0.0.1 behind a proxy, or allow it explicitly");
    }
    const tcp::endpoint endpoint(address, options.port);
    const auto failed = [&](std::string_view what) {
      const bool used = error == asio::error::address_in_use, denied = error == asio::error::access_denied;
      return base::fail(used     ? "55006"
                        : denied ? "42501"
                                 : "22023",
                        "cannot " + std::string(what) + " " + where + ": " + error.message(), {},
                        used     ? "another process listens there; is the server running already?"
                        : denied ? "ports below 1024 need CAP_NET_BIND_SERVICE"
                                 : "is it an address of this machine?");
    };
    listener->acceptor.open(endpoint.protocol(), error);
    if (error) return failed("open");
    listener->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    // Inherited by what is accepted. Without it the kernel keeps megabytes for a client that does not read.
    listener->acceptor.set_option(
        asio::socket_base::send_buffer_size(static_cast<int>(options_.limits.socket_buffer_octets)), error);
    listener->acceptor.bind(endpoint, error);
    if (error) return failed("listen on");
    listener->acceptor.listen(1'024, error);
    if (error) return failed("listen on");
    ports_.push_back(listener->acceptor.local_endpoint(error).port());
    listeners_.push_back(std::move(listener));
    return {};
  }

  void accept(Listener& listener) {
    listener.acceptor.async_accept([this, &listener](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !listener.acceptor.is_open()) return;
      if (!error) {
        begin(listener, std::move(socket));
        return accept(listener);
      }
      // Out of descriptors or memory: the same would come at once again.
      shared_.counters.add(Refusal::kAccept);
      listener.retry.expires_after(kTick);
      listener.retry.async_wait([this, &listener](error_code) {
        if (listener.acceptor.is_open()) accept(listener);
      });
    });
  }
  void begin(Listener& listener, tcp::socket socket) {
    error_code error;
    const auto remote = socket.remote_endpoint(error);
    const auto local = error ? tcp::endpoint() : socket.local_endpoint(error);
    if (error) return;  // It left already.
    const base::Inet peer = inet_of(remote.address());
    const auto refuse = [&](Refusal why) {
      shared_.counters.add(why);
      if (listener.tls) return;  // Not worth a handshake.
      static constexpr std::string_view kBusy =
          "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 5\r\n\r\n";
      socket.non_blocking(true, error);
      socket.write_some(asio::const_buffer(kBusy.data(), kBusy.size()), error);
      socket.shutdown(tcp::socket::shutdown_both, error);
    };
    if (shared_.sessions.size() >= options_.limits.connections_max) return refuse(Refusal::kConnections);
    if (!shared_.peers.connect(peer)) return refuse(Refusal::kPeerConnections);
    socket.set_option(tcp::no_delay(true), error);
    auto session = std::make_shared<Session>(shared_, std::move(socket), peer, inet_of(local.address()));
    shared_.remember(session);
    session->start(listener.tls);
  }

  void await_events() {
    wake_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code error) {
      if (error) return;
      shared_.hub.pump();
      await_events();
    });
  }
  void await_tick() {
    tick_.expires_after(kTick);
    tick_.async_wait([this](error_code error) {
      if (error) return;
      const Clock::time_point now = Clock::now();
      each_session([now](Session& session) { session.tick(now); });
      shared_.date = http_date();
      if (++ticks_ % 100 == 0) shared_.peers.sweep(now);
      read_clock();
      await_tick();
    });
  }
  /// A session that is called may end itself, never another one.
  template <typename Call>
  void each_session(Call call) {
    for (auto at = shared_.sessions.begin(); at != shared_.sessions.end();) {
      const std::shared_ptr<Session> session = (at++)->second;
      call(*session);
    }
  }
  void read_clock() {
    timespec spent{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    network_thread_ns_.store(static_cast<uint64_t>(spent.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(spent.tv_nsec),
                             std::memory_order_relaxed);
  }
  void run() {
    pthread_setname_np(pthread_self(), "http");
    for (;;) {
      try {
        shared_.context.run();
        return;
      } catch (...) {
        // Its deadline ends the connection, the others go on.
        shared_.counters.add(Refusal::kException);
      }
    }
  }

  const ServerOptions options_;
  Shared shared_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  asio::posix::stream_descriptor wake_;
  asio::steady_timer tick_;
  uint64_t ticks_ = 0;
  std::atomic<uint64_t> network_thread_ns_{0};
  std::thread network_;
};

base::Result<std::unique_ptr<Server>> Server::open(const Router& router, EventHub& hub, ServerOptions options) {
  auto impl = std::make_unique<Impl>(router, hub, std::move(options));
  if (auto opened = impl->open(); !opened) return tl::unexpected(std::move(opened.error()));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}
Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;
const std::vector<uint16_t>& Server::ports() const { return impl_->ports_; }
base::Result<void> Server::reload_certificates() { return impl_->reload_certificates(); }
ServerStatus Server::status() const { return impl_->status(); }
void Server::stop(std::chrono::milliseconds patience) { impl_->stop(patience); }

}  // namespace backstream::http
