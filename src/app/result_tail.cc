#include "app/result_tail.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "app/client_command.h"
#include "http/url.h"

namespace backstream::app {

ResultTail::ResultTail(ServiceClient& client, Options options, Callbacks callbacks)
    : client_(client),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      from_(base::parse_timestamp(options_.from)),
      pause_(options_.pause_min) {}

bool ResultTail::passes(const ServiceError& error) {
  if (error.status != 0) return error.status >= 500 || error.status == 429 || error.status == 408;
  return error.code == "08001" || error.code == "08006" || error.code == "57014";
}

bool ResultTail::tell(const ResultPart& part) {
  if ((!part.final || part.removed) && !options_.revisions) return true;
  const auto start = base::parse_timestamp(part.window_start);
  if (from_ && start && *start < *from_) return true;
  if (!callbacks_.on_part(part)) enough_ = true;
  return !enough_;
}

ServiceResult<bool> ResultTail::catch_up(bool is_first) {
  for (;;) {
    // All revisions: their numbers have no holes, so that what is missing shows.
    std::string target =
        query_path(options_.query, fmt::format("/results?format=json&revisions=true&limit={}", options_.page_rows));
    if (is_first && !options_.history) target += fmt::format("&after={}", INT64_MAX);
    else if (seq_) target += fmt::format("&after={}", *seq_);
    if (is_first && !options_.from.empty()) target += "&from=" + http::percent_encode(options_.from);
    const auto text = client_.get_text(target, "application/json");
    if (!text) return tl::unexpected(text.error());
    const auto page = parse_result_page(*text);
    if (!page) return tl::unexpected(ServiceError(page.error()));
    if (!columns_told_ && !page->columns.empty()) {
      columns_told_ = true;
      if (!callbacks_.on_columns(page->columns)) enough_ = true;
      if (enough_) return false;
    }
    if (is_first && !options_.history) {
      seq_ = page->last_seq;
      return true;
    }
    const std::optional<uint64_t> newest = page->parts.empty() ? page->last_seq : page->parts.front().seq - 1;
    if (!is_first && seq_ && newest && *newest > *seq_ && page->parts_dropped != 0) {
      parts_lost_ += *newest - *seq_;
      callbacks_.say(fmt::format("lost: {} parts of results are no longer kept by the server", *newest - *seq_));
    }
    for (const ResultPart& part : page->parts) {
      if (seq_ && part.seq <= *seq_) continue;
      if (!tell(part)) return false;
      seq_ = part.seq;
    }
    const bool more = page->next.has_value() && !page->parts.empty();
    if (more) seq_ = std::max(seq_.value_or(0), *page->next);
    else if (page->last_seq) seq_ = std::max(seq_.value_or(0), *page->last_seq);
    if (!more) return true;
    if (!callbacks_.keep_on()) {
      enough_ = true;
      return false;
    }
  }
}

bool ResultTail::on_event(const http::Event& event) {
  pause_ = options_.pause_min;
  if (event.name == "end") {
    ended_ = true;
    return false;
  }
  bool ask = event.name == "gap" || event.name == "lost";
  if (event.name == "rows") {
    const auto part = parse_result_part(event.data);
    if (!part) {
      failed_ = ServiceError(part.error());
      return false;
    }
    if (seq_ && part->seq <= *seq_) return true;
    ask = part->truncated || (seq_ && part->seq != *seq_ + 1);
    if (!ask) {
      if (!tell(*part)) return false;
      seq_ = part->seq;
      return true;
    }
  }
  if (!ask) return true;  // Of a later version.
  const std::optional<uint64_t> before = seq_;
  const auto caught_up = catch_up(false);
  if (caught_up) {
    if (event.name == "lost" && before == seq_) callbacks_.say("lost: the server could not tell all events");
    return *caught_up;
  }
  if (passes(caught_up.error())) behind_ = true;
  else failed_ = caught_up.error();
  return false;
}

/// False: enough.
bool ResultTail::pause() {
  const auto until = std::chrono::steady_clock::now() + pause_;
  pause_ = std::min(2 * pause_, options_.pause_max);
  while (std::chrono::steady_clock::now() < until) {
    if (!callbacks_.keep_on()) return false;
    std::this_thread::sleep_for(std::min(pause_, std::chrono::milliseconds(50)));
  }
  return callbacks_.keep_on();
}

ServiceResult<bool> ResultTail::is_gone() {
  const auto query = client_.get(query_path(options_.query));
  if (query) return false;
  if (query.error().status == 404) return true;
  if (passes(query.error())) return false;
  return tl::unexpected(query.error());
}

ServiceResult<ResultTail::End> ResultTail::run() {
  if (auto first = catch_up(true); !first) return tl::unexpected(std::move(first.error()));
  if (enough_ || !callbacks_.keep_on()) return End::kEnough;
  if (options_.exit_at_end) return End::kAtEnd;
  bool told = false;  // That the connection is lost.
  for (;;) {
    std::optional<ServiceError> error;
    if (behind_) {
      behind_ = false;
      if (auto caught_up = catch_up(false); !caught_up) {
        error = std::move(caught_up.error());
        behind_ = true;
      }
      if (enough_) return End::kEnough;
    }
    if (!error) {
      const auto end = client_.http().stream(
          query_path(options_.query, "/events"), seq_ ? std::to_string(*seq_) : "",
          [&](const http::Event& event) {
            if (std::exchange(told, false)) callbacks_.say("connected again");
            return on_event(event);
          },
          callbacks_.keep_on);
      if (enough_ || !callbacks_.keep_on()) return End::kEnough;
      if (failed_) return tl::unexpected(std::move(*failed_));
      if (!end) error = client_.explain(end.error());
      else if (end->refused.status >= 400) error = client_.explain(end->refused);
    }
    if (std::exchange(ended_, false) || (error && error->status == 404)) {
      const auto gone = is_gone();
      if (!gone) return tl::unexpected(gone.error());
      if (*gone) return End::kDropped;
    } else if (error && !passes(*error)) {
      return tl::unexpected(std::move(*error));
    }
    if (error && !told) callbacks_.say(fmt::format("{}; trying again", printable(error->message)));
    told |= error.has_value();
    if (!pause()) return End::kEnough;
  }
}

}  // namespace backstream::app
