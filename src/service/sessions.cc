#include "service/sessions.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

namespace backstream::service {

Sessions::Sessions(QueryRegister& queries, std::optional<Answer::Ground> answers)
    : queries_(queries), answers_(answers), thread_([this] { run(); }) {}

Sessions::~Sessions() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  thread_.join();
  // Elsewhere they end with their leases, if nobody can be told.
  for (const auto& [name, session] : sessions_) {
    if (!session.answer && !queries_.drop_temporary(name, base::wall_clock())) break;
  }
}

/// Where the catalog cannot be told, it is tried again.
void Sessions::end(const std::string& name, Session&& session) {
  if (session.answer) {
    session.answer.reset();
    return;
  }
  if (queries_.drop_temporary(name, base::wall_clock())) return;
  const std::lock_guard lock(mutex_);
  ended_.push_back(name);
}

/// Takes a place, which `opening_` counts until the session is there.
base::Result<void> Sessions::begin_one() {
  const std::lock_guard lock(mutex_);
  if (sessions_.size() + opening_ >= kSessionsMax) {
    return base::fail("53300", fmt::format("{} SELECTs are being read already", kSessionsMax), {},
                      "end some of them, or add the query with a name: many can read one");
  }
  ++opening_;
  return {};
}

base::Result<std::string> Sessions::open(const std::string& text, const std::string& source_name,
                                         const catalog::Author& author, base::Micros now) {
  if (auto begun = begin_one(); !begun) return tl::unexpected(std::move(begun.error()));
  auto name = queries_.add_temporary(text, source_name, author, now);
  const std::lock_guard lock(mutex_);
  --opening_;
  if (name) sessions_[*name] = {std::make_shared<int>(0), nullptr, std::chrono::steady_clock::now()};
  return name;
}

base::Result<std::optional<Sessions::Answered>> Sessions::answer(const std::string& text,
                                                                 const std::string& source_name, base::Micros now) {
  if (!answers_) return std::nullopt;
  auto over = queries_.bind_over_views(text, source_name, now);
  if (!over) return tl::unexpected(std::move(over.error()));
  if (!*over) return std::nullopt;
  if (auto begun = begin_one(); !begun) return tl::unexpected(std::move(begun.error()));
  std::unique_lock lock(mutex_);
  const uint64_t number = ++answer_count_;
  lock.unlock();
  // No name of a temporary query has this letter: they are hexadecimal.
  std::string name = fmt::format("{}s{}", QueryRegister::kTemporaryMark, number);
  auto answer = std::make_shared<Answer>(*answers_, name, number, std::move(**over), now);
  lock.lock();
  --opening_;
  sessions_[name] = {std::make_shared<int>(0), answer, std::chrono::steady_clock::now()};
  return Answered{std::move(name), std::move(answer)};
}

std::shared_ptr<const Answer> Sessions::find_answer(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto at = sessions_.find(name);
  return at == sessions_.end() ? nullptr : at->second.answer;
}

bool Sessions::close(const std::string& name) {
  Session closed;
  {
    const std::lock_guard lock(mutex_);
    const auto at = sessions_.find(name);
    if (at == sessions_.end()) return false;
    closed = std::move(at->second);
    sessions_.erase(at);
  }
  end(name, std::move(closed));
  return true;
}

std::shared_ptr<const void> Sessions::lease(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto at = sessions_.find(name);
  return at == sessions_.end() ? nullptr : at->second.lease;
}

size_t Sessions::count() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

/// What is not there any more gives no more windows.
void Sessions::tend(Answer& answer) {
  for (const auto& [view, incarnation] : answer.views()) {
    const auto status = queries_.find(view);
    if (status && status->object.incarnation.value == incarnation) continue;
    answer.fail(base::fail("55000", fmt::format("\"{}\", which the SELECT reads, was dropped", view)).value());
  }
}

void Sessions::run() {
  constexpr std::chrono::seconds kRenewInterval{60};
  auto renewed_at = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, std::chrono::seconds(1), [&] { return stop_; })) {
    const auto now = std::chrono::steady_clock::now();
    const bool renews = now - renewed_at >= kRenewInterval;
    std::vector<std::pair<std::string, Session>> over;
    for (std::string& name : ended_) over.emplace_back(std::move(name), Session{});
    ended_.clear();
    std::vector<std::string> read;
    std::vector<std::shared_ptr<Answer>> answers;
    for (auto at = sessions_.begin(); at != sessions_.end();) {
      auto& [name, session] = *at;
      if (session.lease.use_count() > 1) session.read_at = now;
      if (now - session.read_at > kGrace) {
        over.emplace_back(name, std::move(session));
        at = sessions_.erase(at);
        continue;
      }
      if (session.answer) answers.push_back(session.answer);
      else read.push_back(name);
      ++at;
    }
    lock.unlock();
    for (auto& [name, session] : over) end(name, std::move(session));
    for (const auto& answer : answers) tend(*answer);
    answers.clear();
    if (renews) {
      renewed_at = now;
      queries_.renew_temporary(read, base::wall_clock());
    }
    lock.lock();
  }
}

}  // namespace backstream::service
