#include "app/shell/live_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/shell/display_text.h"
#include "app/shell/terminal.h"
#include "app/stop_signal.h"

namespace backstream::app::shell {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Reason = LiveEnd::Reason;

constexpr auto kFirstWhy = 1s, kNextWhy = 5s;
constexpr auto kWhyTimeout = std::chrono::milliseconds(1'000);
/// A session without a reader lives ten seconds.
constexpr auto kResumeFor = 9s;
constexpr auto kResumeEvery = 500ms;
/// The server says something every 15 s.
constexpr auto kSilence = std::chrono::milliseconds(45'000);

http::ClientOptions with_timeout(http::ClientOptions options, std::chrono::milliseconds timeout) {
  options.timeout = timeout;
  return options;
}

class LiveRun {
 public:
  LiveRun(const http::ClientOptions& server, const std::string& query, ResultView& view, const Output& output,
          base::Micros duration)
      : query_(query),
        view_(view),
        output_(output),
        stream_(with_timeout(server, std::max(server.timeout, kSilence))),
        asker_(with_timeout(server, std::min(server.timeout, kWhyTimeout))) {
    if (duration > 0) until_ = started_ + std::chrono::microseconds(duration);
  }

  ServiceResult<LiveEnd> run(bool from_begin) {
    const std::string target = query_path(query_, from_begin ? "/events?backlog=256" : "/events?backlog=1");
    Clock::time_point broken_at = Clock::time_point::max();
    while (true) {
      const uint64_t before = events_;
      auto outcome = stream_.stream(
          target, stream_.last_event_id(), [&](const http::Event& event) { return on_event(event); },
          [&] { return keep_on(); });
      if (events_ != before) broken_at = Clock::time_point::max();
      if (error_) return tl::unexpected(std::move(*error_));
      if (done_ || (outcome && outcome->stopped)) return end_;
      if (outcome && outcome->refused.status != 200) {
        if (outcome->refused.status == 404 && has_streamed_) return tl::unexpected(gone());
        return tl::unexpected(asker_.explain(outcome->refused));
      }
      // Broken off. Who never was connected is told at once; a connection is resumed for as long as there is something
      // to resume.
      has_streamed_ = has_streamed_ || events_ > 0 || outcome || outcome.error().code == "08006";
      if (broken_at == Clock::time_point::max()) broken_at = Clock::now();
      if (!has_streamed_ || Clock::now() - broken_at > kResumeFor) {
        if (!outcome) return tl::unexpected(asker_.explain(std::move(outcome.error())));
        return tl::unexpected(gone());
      }
      for (const auto again = Clock::now() + kResumeEvery; Clock::now() < again;) {
        if (!keep_on()) return end_;
        std::this_thread::sleep_for(50ms);
      }
    }
  }

 private:
  ServiceError gone() const {
    return ServiceError(base::fail("08006", fmt::format("{} ended the results", asker_.server()), {},
                                   "was it restarted? a live result ends with it, registered queries run on")
                            .value());
  }

  bool ended(Reason reason) {
    end_.reason = reason;
    done_ = true;
    return false;
  }

  bool on_event(const http::Event& event) {
    ++events_;
    if (event.name == "rows") {
      auto window = parse_window(event.data);
      if (!window) {
        error_ = ServiceError(std::move(window.error()));
        return false;
      }
      has_rows_ = true;
      if (view_.on_window(std::move(*window))) return true;
      return ended(output_.error() != 0 ? Reason::kClosed : Reason::kEnough);
    }
    const auto document = nlohmann::json::parse(event.data, nullptr, false);
    const auto text = [&](const char* name) {
      const auto at = document.is_object() ? document.find(name) : document.end();
      return document.is_object() && at != document.end() && at->is_string() ? at->get<std::string>() : std::string();
    };
    if (event.name == "lost") {
      const uint64_t events =
          document.is_object() && document.contains("events") && document["events"].is_number_unsigned()
              ? document["events"].get<uint64_t>()
              : 1;
      end_.lost += events;
      view_.lost(events);
    } else if (event.name == "gap") {
      ++end_.gaps;
    } else if (event.name == "notice") {
      end_.notices.push_back(text("message"));
    } else if (event.name == "failed") {
      error_ = ServiceError(base::fail(text("code"), text("message"), {}, text("hint")).value());
      return false;
    } else if (event.name == "end") {
      return ended(Reason::kEnded);
    }
    return true;
  }

  /// Asked ten times a second, whatever comes.
  bool keep_on() {
    if (done_) return false;
    if (interrupted() || stop_requested()) return ended(Reason::kInterrupted);
    if (Clock::now() >= until_) return ended(Reason::kTime);
    if (!view_.tick()) return ended(output_.error() != 0 ? Reason::kClosed : Reason::kLeft);
    if (!has_rows_ && Clock::now() >= next_why_) {
      ask_why();
      next_why_ = Clock::now() + kNextWhy;
    }
    return true;
  }

  void ask_why() {
    const auto answer = asker_.get(query_path(query_, "/why"));
    if (!answer || !answer->is_object()) {
      view_.waiting("the server does not say why", std::nullopt);
      return;
    }
    std::optional<Clock::time_point> due;
    const auto at = answer->find("due");
    if (at != answer->end() && at->is_string()) {
      if (const auto time = base::parse_timestamp(at->get<std::string>())) {
        due = Clock::now() + std::chrono::microseconds(*time - base::wall_clock());
      }
    }
    const auto text = answer->find("text");
    end_.why = one_line(text != answer->end() && text->is_string() ? text->get<std::string>() : "", due.has_value());
    view_.waiting(end_.why.empty() ? "nothing has come yet" : end_.why, due);
  }

  const std::string query_;
  ResultView& view_;
  const Output& output_;
  http::Client stream_;
  ServiceClient asker_;
  const Clock::time_point started_ = Clock::now();
  Clock::time_point until_ = Clock::time_point::max(), next_why_ = started_ + kFirstWhy;
  uint64_t events_ = 0;
  bool has_rows_ = false, has_streamed_ = false, done_ = false;
  LiveEnd end_;
  std::optional<ServiceError> error_;
};

}  // namespace

ServiceResult<LiveEnd> run_live(const http::ClientOptions& server, const std::string& query, ResultView& view,
                                const Output& output, base::Micros duration, bool from_begin) {
  auto result = LiveRun(server, query, view, output, duration).run(from_begin);
  view.finish();
  return result;
}

std::string one_line(const std::string& text, bool due_is_shown) {
  std::string line;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view part = std::string_view(text).substr(at, end - at);
    if (!part.empty() && !(due_is_shown && part.find("due at") != std::string_view::npos))
      line += (line.empty() ? "" : "; ") + printable(part);
    at = end + 1;
  }
  return line;
}

}  // namespace backstream::app::shell
