#include "http/event_parser.h"

#include <charconv>

namespace backstream::http {

EventParser::Outcome EventParser::put(std::string_view piece, const std::function<bool(const Event&)>& on_event) {
  while (!piece.empty()) {
    if (after_return_) {
      after_return_ = false;
      if (piece[0] == '\n') {
        piece.remove_prefix(1);
        continue;
      }
    }
    const size_t end = piece.find_first_of("\r\n");
    if (line_.size() + event_.data.size() + piece.substr(0, end).size() > event_octets_max_) return Outcome::kTooLong;
    line_ += piece.substr(0, end);
    if (end == std::string_view::npos) return Outcome::kMore;
    after_return_ = piece[end] == '\r';
    piece.remove_prefix(end + 1);
    if (at_begin_ && line_.starts_with("\xef\xbb\xbf")) line_.erase(0, 3);
    at_begin_ = false;
    if (!line_.empty()) {
      line(line_);
      line_.clear();
      continue;
    }
    // The end of an event. One without data only sets the id.
    last_id_ = event_.id;
    const bool give = has_data_;
    Event done{event_.name.empty() ? "message" : std::move(event_.name), std::move(event_.data), event_.id};
    event_.name.clear();
    event_.data.clear();
    has_data_ = false;
    if (give && !on_event(done)) return Outcome::kStopped;
  }
  return Outcome::kMore;
}

void EventParser::line(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == 0) return;  // A comment.
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (has_data_) event_.data += '\n';
    has_data_ = true;
    event_.data += value;
  } else if (field == "event") {
    event_.name = value;
  } else if (field == "id") {
    if (value.find('\0') == std::string_view::npos) event_.id = value;
  } else if (field == "retry") {
    uint32_t ms = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), ms);
    if (error == std::errc() && end == value.data() + value.size()) retry_ms_ = ms;
  }
}

}  // namespace backstream::http
