#include "service/sessions.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

namespace backstream::service {

Sessions::Sessions(QueryRegister& queries) : queries_(queries), thread_([this] { run(); }) {}

Sessions::~Sessions() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  thread_.join();
  // Elsewhere they end with their leases, if nobody can be told.
  for (const auto& [name, session] : sessions_) {
    if (!queries_.drop_temporary(name, base::wall_clock())) break;
  }
}

/// Where the catalog cannot be told, it is tried again.
void Sessions::end(const std::string& name) {
  if (queries_.drop_temporary(name, base::wall_clock())) return;
  const std::lock_guard lock(mutex_);
  ended_.push_back(name);
}

base::Result<std::string> Sessions::open(const std::string& text, const std::string& source_name,
                                         const catalog::Author& author, base::Micros now) {
  {
    const std::lock_guard lock(mutex_);
    if (sessions_.size() + opening_ >= kSessionsMax) {
      return base::fail("53300", fmt::format("{} SELECTs are being read already", kSessionsMax), {},
                        "end some of them, or add the query with a name: many can read one");
    }
    ++opening_;
  }
  auto name = queries_.add_temporary(text, source_name, author, now);
  const std::lock_guard lock(mutex_);
  --opening_;
  if (name) sessions_[*name] = {std::make_shared<int>(0), std::chrono::steady_clock::now()};
  return name;
}

bool Sessions::close(const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    if (sessions_.erase(name) == 0) return false;
  }
  end(name);
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

void Sessions::run() {
  constexpr std::chrono::seconds kRenewInterval{60};
  auto renewed_at = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, std::chrono::seconds(1), [&] { return stop_; })) {
    const auto now = std::chrono::steady_clock::now();
    const bool renews = now - renewed_at >= kRenewInterval;
    std::vector<std::string> over = std::exchange(ended_, {}), read;
    for (auto& [name, session] : sessions_) {
      if (session.lease.use_count() > 1) session.read_at = now;
      if (now - session.read_at > kGrace) over.push_back(name);
      else read.push_back(name);
    }
    for (const std::string& name : over) sessions_.erase(name);
    lock.unlock();
    for (const std::string& name : over) end(name);
    if (renews) {
      renewed_at = now;
      queries_.renew_temporary(read, base::wall_clock());
    }
    lock.lock();
  }
}

}  // namespace backstream::service
