#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace backstream::http {

/// One server-sent event as a client gets it.
struct Event {
  std::string name;  ///< "message" where it says none
  std::string data;
  std::string id;  ///< the last that the stream named, of this event or one before
};

/// Reads an event stream (WHATWG HTML §9.2.6) from pieces of any size.
class EventParser {
 public:
  explicit EventParser(size_t event_octets_max = size_t{64} << 20) : event_octets_max_(event_octets_max) {}

  enum class Outcome : uint8_t { kMore, kStopped, kTooLong };
  /// Calls `on_event` for each event that is complete, until it says false: then the rest is dropped. kTooLong: one
  /// event is longer than may be; the parser is of no use any more.
  Outcome put(std::string_view piece, const std::function<bool(const Event&)>& on_event);
  /// Of the last event that was given, for resuming.
  const std::string& last_id() const { return last_id_; }
  /// What the server asks clients to wait before they come back.
  std::optional<uint32_t> retry_ms() const { return retry_ms_; }

 private:
  void line(std::string_view line);

  const size_t event_octets_max_;
  std::string line_;  // Not complete yet.
  bool after_return_ = false, at_begin_ = true;
  Event event_;
  bool has_data_ = false;
  std::string last_id_;
  std::optional<uint32_t> retry_ms_;
};

}  // namespace backstream::http
