#include "alert/notifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "receiver/value_text.h"

namespace backstream::alert {

using base::Result;
using base::wall_clock;

Result<std::unique_ptr<Notifier>> Notifier::open(Options options, AlertStore& store, std::vector<QueuedNotice> before) {
  std::unique_ptr<Notifier> notifier(new Notifier(std::move(options), store));
  for (const config::NotifySettings& settings : notifier->options_.endpoints) {
    auto sender = make_sender(settings);
    if (!sender) return tl::unexpected(std::move(sender.error()));
    Endpoint& endpoint = notifier->endpoints_[settings.name];
    endpoint.sender = std::move(*sender);
    endpoint.per_minute = settings.per_minute;
    endpoint.tokens = static_cast<double>(settings.per_minute);
    endpoint.tokens_at = wall_clock();
    endpoint.status.name = settings.name;
    endpoint.status.type = settings.type;
  }
  std::vector<int64_t> orphans;
  for (QueuedNotice& notice : before) {
    notifier->last_number_ = std::max(notifier->last_number_, notice.number);
    const auto at = notifier->endpoints_.find(notice.endpoint);
    if (at == notifier->endpoints_.end()) orphans.push_back(notice.number);
    else at->second.queue.push_back(std::move(notice));
  }
  if (!orphans.empty()) (void)store.remove_notices(orphans);
  for (auto& [name, endpoint] : notifier->endpoints_)
    endpoint.thread = std::thread([&notifier = *notifier, &of = name, &at = endpoint] { notifier.run(of, at); });
  return notifier;
}

Notifier::~Notifier() { stop(); }

void Notifier::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (auto& [name, endpoint] : endpoints_) endpoint.sender->cancel();
  for (auto& [name, endpoint] : endpoints_) {
    if (endpoint.thread.joinable()) endpoint.thread.join();
  }
}

std::vector<std::string> Notifier::names() const {
  std::vector<std::string> names;
  for (const auto& [name, endpoint] : endpoints_) names.push_back(name);
  return names;
}

int64_t Notifier::next_number() {
  const std::lock_guard lock(mutex_);
  return ++last_number_;
}

void Notifier::push(std::vector<QueuedNotice> notices) {
  std::vector<int64_t> dropped;
  {
    const std::lock_guard lock(mutex_);
    for (QueuedNotice& notice : notices) {
      const auto at = endpoints_.find(notice.endpoint);
      if (at == endpoints_.end()) continue;
      Endpoint& endpoint = at->second;
      endpoint.queue.push_back(std::move(notice));
      if (endpoint.queue.size() <= options_.limits.queue_max) continue;
      dropped.push_back(endpoint.queue.front().number);
      endpoint.outcomes[endpoint.queue.front().number] = {true, false, "it found no room in the queue"};
      endpoint.queue.pop_front();
      if (endpoint.status.dropped++ == 0 && options_.tell)
        options_.tell(fmt::format("endpoint '{}' is behind by {} notices: the oldest are dropped", at->first,
                                  options_.limits.queue_max));
    }
  }
  changed_.notify_all();
  if (!dropped.empty()) (void)store_.remove_notices(dropped);
}

Notifier::Outcome Notifier::wait(const std::string& endpoint, int64_t number, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  const auto at = endpoints_.find(endpoint);
  if (at == endpoints_.end()) return {true, false, "there is no such endpoint"};
  const auto over = [&] { return stop_ || at->second.outcomes.contains(number); };
  changed_.wait_for(lock, patience, over);
  const auto outcome = at->second.outcomes.find(number);
  if (outcome != at->second.outcomes.end()) return outcome->second;
  return {false, false, at->second.status.error};
}

std::vector<Notifier::Status> Notifier::status() const {
  const std::lock_guard lock(mutex_);
  std::vector<Status> all;
  for (const auto& [name, endpoint] : endpoints_) {
    all.push_back(endpoint.status);
    all.back().waiting = endpoint.queue.size();
  }
  return all;
}

void Notifier::run(const std::string& name, Endpoint& endpoint) {
  std::unique_lock lock(mutex_);
  const Micros repeat_us = endpoint.sender->repeat_us();
  endpoint.repeated_at = 0;  // What fires is told right after a restart: it may have been forgotten meanwhile.
  while (!stop_) {
    const Micros now = wall_clock();
    const double per_us = static_cast<double>(endpoint.per_minute) / (60.0 * base::kMicrosPerSecond);
    endpoint.tokens =
        std::min(static_cast<double>(endpoint.per_minute),
                 endpoint.tokens + std::max<double>(0, static_cast<double>(now - endpoint.tokens_at)) * per_us);
    endpoint.tokens_at = now;
    const bool repeat = repeat_us != 0 && (now - endpoint.repeated_at >= repeat_us || now < endpoint.repeated_at);
    Micros wait_us = base::kMicrosPerSecond;
    if (endpoint.queue.empty() && !repeat) {
      changed_.wait_for(lock, std::chrono::microseconds(wait_us));
      continue;
    }
    if (now < endpoint.next_at || endpoint.tokens < 1) {
      wait_us =
          endpoint.tokens < 1 ? static_cast<Micros>((1 - endpoint.tokens) / per_us) + 1'000 : endpoint.next_at - now;
      changed_.wait_for(lock, std::chrono::microseconds(std::min<Micros>(wait_us, base::kMicrosPerSecond)));
      continue;
    }
    if (endpoint.queue.empty()) {
      endpoint.repeated_at = now;
      lock.unlock();
      const std::vector<Json> firing = options_.firing ? options_.firing(name) : std::vector<Json>();
      for (size_t begin = 0; begin < firing.size();) {
        const size_t count = std::min(endpoint.sender->batch_max(), firing.size() - begin);
        const Attempt attempt = endpoint.sender->send({firing.data() + begin, count});
        const std::lock_guard again(mutex_);
        note_attempt(name, endpoint, attempt);
        if (attempt.result != Attempt::Result::kDelivered) break;
        begin += count;
      }
      lock.lock();
      continue;
    }
    endpoint.tokens -= 1;
    std::vector<Json> notices;
    std::vector<int64_t> numbers, expired, unreadable;
    for (const QueuedNotice& queued : endpoint.queue) {
      if (notices.size() == endpoint.sender->batch_max()) break;
      Json notice = Json::parse(queued.body, nullptr, false);
      if (!notice.is_object()) {
        unreadable.push_back(queued.number);
      } else if (now - queued.queued_at > options_.limits.age_max_us) {
        expired.push_back(queued.number);
      } else {
        notices.push_back(std::move(notice));
        numbers.push_back(queued.number);
      }
    }
    endpoint.status.expired += expired.size() + unreadable.size();
    expired.insert(expired.end(), unreadable.begin(), unreadable.end());
    if (!expired.empty()) forget(endpoint, expired, {true, false, "it became too old"}, lock);
    if (notices.empty()) continue;
    lock.unlock();
    const Attempt attempt = endpoint.sender->send(notices);
    lock.lock();
    take_result(name, endpoint, numbers, attempt, lock);
  }
}

/// What is told of the endpoint. Under mutex_.
void Notifier::note_attempt(const std::string& name, Endpoint& endpoint, const Attempt& attempt) {
  Status& status = endpoint.status;
  const Micros now = wall_clock();
  status.error = receiver::printable(attempt.error);
  if (attempt.result == Attempt::Result::kDelivered) {
    if (status.failing_since && options_.tell) options_.tell(fmt::format("endpoint '{}' takes notices again", name));
    status.failing_since.reset();
    status.delivered_at = now;
    return;
  }
  if (attempt.result == Attempt::Result::kRetry) ++status.failed;
  if (!status.failing_since && options_.tell)
    options_.tell(fmt::format("endpoint '{}' does not take notices: {}", name, status.error));
  if (!status.failing_since) status.failing_since = now;
}

void Notifier::take_result(const std::string& name, Endpoint& endpoint, const std::vector<int64_t>& numbers,
                           const Attempt& attempt, std::unique_lock<std::mutex>& lock) {
  note_attempt(name, endpoint, attempt);
  Status& status = endpoint.status;
  if (attempt.result == Attempt::Result::kRetry) {
    endpoint.backoff_us = endpoint.backoff_us == 0 ? options_.limits.backoff_min_us
                                                   : std::min(2 * endpoint.backoff_us, options_.limits.backoff_max_us);
    endpoint.next_at = wall_clock() + endpoint.backoff_us;
    return;
  }
  endpoint.backoff_us = endpoint.next_at = 0;
  const bool delivered = attempt.result == Attempt::Result::kDelivered;
  (delivered ? status.delivered : status.refused) += numbers.size();
  forget(endpoint, numbers, {true, delivered, status.error}, lock);
}

/// Those have left the queue for good.
void Notifier::forget(Endpoint& endpoint, const std::vector<int64_t>& numbers, const Outcome& outcome,
                      std::unique_lock<std::mutex>& lock) {
  const std::set<int64_t> gone(numbers.begin(), numbers.end());
  std::erase_if(endpoint.queue, [&](const QueuedNotice& queued) { return gone.contains(queued.number); });
  for (const int64_t number : numbers) endpoint.outcomes[number] = outcome;
  while (endpoint.outcomes.size() > kOutcomesMax) endpoint.outcomes.erase(endpoint.outcomes.begin());
  changed_.notify_all();
  lock.unlock();
  (void)store_.remove_notices(numbers);  // Where that fails they are sent once more after a restart, with their ids.
  lock.lock();
}

}  // namespace backstream::alert
