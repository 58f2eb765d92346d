#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "http/events.h"
#include "http/guard.h"
#include "http/router.h"

namespace backstream::http {

struct ListenOptions {
  std::string address = "127.0.0.1";  ///< IPv4 or IPv6, without brackets
  uint16_t port = 8844;               ///< 0: one that is free, see Server::ports()
  /// PEM files: the server's certificate and those between it and the authority; its private key. Both empty: no TLS.
  std::string certificate_file = {}, key_file = {};
};

struct ServerLimits {
  using Duration = std::chrono::milliseconds;
  size_t header_octets_max = 16 << 10;        ///< first line and headers
  size_t body_octets_max = 1 << 20;           ///< of one request; a route may say otherwise
  size_t response_octets_max = 256 << 20;     ///< body of one response
  size_t all_bodies_octets_max = 512 << 20;   ///< of all requests and responses under way
  size_t stream_write_octets_max = 64 << 10;  ///< of events handed to one client's socket at a time; at least one event
  size_t socket_buffer_octets = 128 << 10;    ///< kernel memory for what a client has not read
  size_t connections_max = 4'096;
  PeerTable::Limits per_peer;
  uint32_t requests_per_connection_max = 100'000;
  Duration header_time{10'000};    ///< from connecting, or a request's first octet, to the end of its header; TLS too
  Duration body_time{30'000};      ///< from a request's first octet to its last
  Duration handler_time{60'000};   ///< in the queue and in the handler
  Duration idle_time{75'000};      ///< between two requests
  Duration write_time{30'000};     ///< without the client reading anything of a response
  Duration stalled_time{300'000};  ///< the same of an event stream
  Duration heartbeat{15'000};      ///< a comment on a stream where nothing happens
  size_t handler_threads = 2;
  size_t handler_queue_max = 4'096;  ///< a thousand streams that come back at once are to be served, not refused
};

struct ServerOptions {
  std::vector<ListenOptions> listeners;
  /// Names under which clients know us besides the addresses, lower case; behind a proxy the proxy's.
  std::vector<std::string> hosts;
  std::vector<std::string> origins;  ///< of pages that are not ours and may ask nevertheless, "https://noc.example"
  /// Without it a listener beyond loopback must have TLS.
  bool allow_insecure = false;
  ServerLimits limits;
};

/// Why something was refused or cut off: one counter each.
#define BACKSTREAM_HTTP_REFUSALS(X)                                                                            \
  X(kConnections, "connections")          /* more than connections_max */                                      \
  X(kPeerConnections, "peer_connections") /* more than one peer may have */                                    \
  X(kRequestRate, "request_rate")         /* 429 */                                                            \
  X(kAccept, "accept")                    /* the kernel gave no connection: descriptors, memory */             \
  X(kHandshake, "handshake")              /* TLS was not agreed on */                                          \
  X(kMalformed, "malformed")              /* 400: no HTTP/1.x, two lengths, two Hosts, a bad target … */     \
  X(kHeaderOctets, "header_octets")       /* 431 */                                                            \
  X(kTarget, "target")                    /* 414 */                                                            \
  X(kBodyOctets, "body_octets")           /* 413 */                                                            \
  X(kBodies, "bodies")                    /* 503: more than all_bodies_octets_max */                           \
  X(kMethod, "method")                    /* 501 */                                                            \
  X(kVersion, "version")                  /* 505 */                                                            \
  X(kExpectation, "expectation")          /* 417 */                                                            \
  X(kHost, "host")                        /* 421 */                                                            \
  X(kOrigin, "origin")                    /* 403 */                                                            \
  X(kHandlerQueue, "handler_queue")       /* 503: more than handler_queue_max */                               \
  X(kHeaderTime, "header_time")           /* 408 */                                                            \
  X(kBodyTime, "body_time")               /* 408 */                                                            \
  X(kHandlerTime, "handler_time")         /* 503; what the handler says later is dropped */                    \
  X(kIdleTime, "idle_time")               /* closed */                                                         \
  X(kWriteTime, "write_time")             /* closed: the client did not read */                                \
  X(kStalledTime, "stalled_time")         /* closed: the same of a stream */                                   \
  X(kDisconnect, "disconnect")            /* the client left within a request or response */                   \
  X(kResponseOctets, "response_octets")   /* 500: more than response_octets_max */                             \
  X(kResponseHeader, "response_header")   /* a header of ours that HTTP cannot carry was left out */           \
  X(kException, "exception")              /* a connection ran into memory that is not there, or our mistake */ \
  X(kStop, "stop")                        /* closed when the server's patience ended */
enum class Refusal : uint8_t {
#define BACKSTREAM_HTTP_ENUM(id, name) id,
  BACKSTREAM_HTTP_REFUSALS(BACKSTREAM_HTTP_ENUM)
#undef BACKSTREAM_HTTP_ENUM
};
#define BACKSTREAM_HTTP_COUNT(id, name) +1
inline constexpr size_t kRefusalCount = 0 BACKSTREAM_HTTP_REFUSALS(BACKSTREAM_HTTP_COUNT);
#undef BACKSTREAM_HTTP_COUNT
std::string_view name(Refusal refusal);

/// A copy of what the server counts.
struct ServerStatus {
  std::array<uint64_t, kRefusalCount> refused{};
  uint64_t connections = 0;                ///< ever
  uint64_t requests = 0;                   ///< that were complete, and answered or refused
  std::array<uint64_t, 6> answers{};       ///< by the status's first digit
  uint64_t octets_in = 0, octets_out = 0;  ///< of HTTP, without TLS
  uint64_t frames_out = 0;                 ///< of event streams, heartbeats not
  size_t connections_now = 0, streams_now = 0, handlers_now = 0, handlers_waiting = 0, bodies_octets_now = 0;
  uint64_t network_thread_ns = 0;  ///< processor time of the network thread

  uint64_t of(Refusal refusal) const { return refused[static_cast<size_t>(refusal)]; }
};

/// Serves a table of routes over HTTP/1.1, with or without TLS (1.2 and later). One thread of its own does all network
/// and never waits for anything else; handlers run on a few others. Nothing that a client does throws, blocks the
/// network thread or grows without bound; what is refused is counted.
class Server {
 public:
  /// Binds and starts. Errors (with hints): 55000 a listener beyond loopback without TLS, 55006 the address is in use,
  /// 42501 it may not be bound, 22023 it is no address of this machine, F0000 a certificate or key cannot be used.
  /// @param router, hub  must outlive the server; a hub has one server
  static base::Result<std::unique_ptr<Server>> open(const Router& router, EventHub& hub, ServerOptions options);
  /// stop() without patience.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Of the listeners, in their order.
  const std::vector<uint16_t>& ports() const;
  /// Reads certificates and keys again; connections that are there keep the old ones. After an error all listeners have
  /// what they had. Any thread.
  base::Result<void> reload_certificates();
  /// Any thread.
  ServerStatus status() const;
  /// Takes no connections any more, lets requests under way be answered for so long, ends streams, then closes what is
  /// left and waits for handlers that still run: they cannot be ended from outside. Once; one thread.
  void stop(std::chrono::milliseconds patience);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace backstream::http
