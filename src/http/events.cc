#include "http/events.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <system_error>

#include "http/message.h"

namespace backstream::http {
namespace {

int open_wake_descriptor() {
  const int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  return descriptor;
}

std::string id_or_null(std::optional<uint64_t> id) { return id ? std::to_string(*id) : "null"; }

}  // namespace

std::string format_event(std::string_view event, std::string_view data) {
  std::string out;
  out.reserve(event.size() + data.size() + 32);
  if (!event.empty()) {
    out += "event: ";
    std::copy_if(event.begin(), event.end(), std::back_inserter(out), [](char c) { return c != '\r' && c != '\n'; });
    out += '\n';
  }
  for (;;) {
    const size_t end = data.find_first_of("\r\n");
    out += "data: ";
    out += data.substr(0, end);
    out += '\n';
    if (end == std::string_view::npos) return out;
    data.remove_prefix(end + (data.substr(end).starts_with("\r\n") ? 2 : 1));
  }
}

std::optional<std::vector<uint64_t>> parse_event_ids(std::string_view text, size_t topic_count) {
  std::vector<uint64_t> ids;
  const char *at = text.data(), *const end = text.data() + text.size();
  for (;;) {
    uint64_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || ids.size() == topic_count) return std::nullopt;
    ids.push_back(id);
    at = next;
    if (at == end) break;
    if (*at++ != ',') return std::nullopt;
  }
  if (ids.size() != topic_count) return std::nullopt;
  return ids;
}

// ---- Topic

Topic::Topic(EventHub& hub, std::string name, uint64_t start_id)
    : hub_(hub), name_(std::move(name)), read_id_(start_id), gone_id_(start_id), newest_id_(start_id) {}

Topic::~Topic() { hub_.counters_.ring_octets.fetch_sub(ring_octets_, std::memory_order_relaxed); }

bool Topic::publish(uint64_t id, std::string_view event, std::string_view data) {
  auto frame = std::make_shared<const std::string>(format_event(event, data));
  const size_t octets = EventHub::pending_octets(*frame);
  if (hub_.pending_octets_.fetch_add(octets, std::memory_order_relaxed) + octets > hub_.limits_.pending_octets_max) {
    hub_.pending_octets_.fetch_sub(octets, std::memory_order_relaxed);
    hub_.counters_.overflowed.fetch_add(1, std::memory_order_relaxed);
    refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  const uint64_t refused =
      refused_.load(std::memory_order_relaxed) == 0 ? 0 : refused_.exchange(0, std::memory_order_relaxed);
  hub_.push(new EventHub::Node{shared_from_this(), id, refused, std::move(frame)});
  return true;
}

void Topic::close() { hub_.push(new EventHub::Node{shared_from_this(), 0, 0, nullptr}); }

/// What the slowest of its streams has been given. The owner's.
void Topic::note_read() {
  if (!keeps_unread_ || subscriptions_.empty()) return;
  uint64_t least = UINT64_MAX;
  for (const Subscription* subscription : subscriptions_) {
    for (const Subscription::Position& position : subscription->positions_) {
      if (position.topic.get() == this) least = std::min(least, position.last_id);
    }
  }
  // A stream that was opened anew may begin before what its client had.
  if (least > read_id_) read_id_.store(least, std::memory_order_release);
}

// ---- EventHub

EventHub::EventHub(HubLimits limits) : limits_(limits), wake_(open_wake_descriptor()) {
  assert(limits.ring_events_max > 0);
}
EventHub::~EventHub() {
  Node* node = pending_.exchange(nullptr, std::memory_order_acquire);
  while (node != nullptr) delete std::exchange(node, node->next);
  ::close(wake_);
}

std::shared_ptr<Topic> EventHub::open(std::string_view name, uint64_t start_id) {
  const std::lock_guard lock(mutex_);
  const auto found = topics_.find(name);
  if (found != topics_.end()) return found->second;
  if (topics_.size() >= limits_.topics_max) return nullptr;
  return topics_.emplace(name, std::make_shared<Topic>(*this, std::string(name), start_id)).first->second;
}
std::shared_ptr<Topic> EventHub::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = topics_.find(name);
  return found == topics_.end() ? nullptr : found->second;
}
void EventHub::remove(std::string_view name) {
  std::shared_ptr<Topic> topic;
  {
    const std::lock_guard lock(mutex_);
    const auto found = topics_.find(name);
    if (found == topics_.end()) return;
    topic = std::move(found->second);
    topics_.erase(found);
  }
  topic->close();
}

void EventHub::push(Node* node) {
  Node* head = pending_.load(std::memory_order_relaxed);
  do {
    node->next = head;
  } while (!pending_.compare_exchange_weak(head, node, std::memory_order_release, std::memory_order_relaxed));
  // Who finds others waiting need not wake: the one that found none did, and the owner takes all that there is.
  if (head != nullptr) return;
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);  // Fails only when it is readable already.
}

void EventHub::pump() {
  uint64_t wakes = 0;
  [[maybe_unused]] const auto got = ::read(wake_, &wakes, sizeof wakes);
  Node* newest = pending_.exchange(nullptr, std::memory_order_acquire);
  Node* oldest = nullptr;
  while (newest != nullptr) {
    Node* const next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  std::vector<Subscription*> ready;
  while (oldest != nullptr) {
    const std::unique_ptr<Node> node(std::exchange(oldest, oldest->next));
    append(*node);
    for (Subscription* subscription : node->topic->subscriptions_) {
      if (!std::exchange(subscription->waiting_, false)) continue;
      ready.push_back(subscription);
    }
  }
  // A subscription may end itself when it is called, never another one.
  for (Subscription* subscription : ready) {
    const auto on_ready = subscription->on_ready;  // Outlives the subscription.
    if (on_ready) on_ready();
  }
}

void EventHub::append(Node& node) {
  Topic& topic = *node.topic;
  if (node.frame == nullptr) {
    topic.closed_ = true;
    return;
  }
  pending_octets_.fetch_sub(pending_octets(*node.frame), std::memory_order_relaxed);
  topic.refused_total_ += node.refused;
  if (topic.closed_ || node.id <= topic.newest_id_) {
    counters_.out_of_order.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const size_t octets = node.frame->size();
  topic.newest_id_ = node.id;
  topic.ring_octets_ += octets;
  counters_.ring_octets.fetch_add(octets, std::memory_order_relaxed);
  counters_.published.fetch_add(1, std::memory_order_relaxed);
  topic.ring_.push_back({node.id, ++arrival_, topic.refused_total_, std::move(node.frame)});
  shrink(topic);
}

void EventHub::shrink(Topic& topic) {
  while (topic.ring_.size() > 1 && !(topic.keeps_unread_ && topic.ring_.front().id > topic.read_id()) &&
         (topic.ring_.size() > limits_.ring_events_max || topic.ring_octets_ > limits_.ring_octets_max ||
          counters_.ring_octets.load(std::memory_order_relaxed) > limits_.all_rings_octets_max)) {
    const size_t octets = topic.ring_.front().frame->size();
    topic.gone_id_ = topic.ring_.front().id;
    topic.gone_refused_ = topic.ring_.front().refused_total;
    topic.ring_octets_ -= octets;
    counters_.ring_octets.fetch_sub(octets, std::memory_order_relaxed);
    topic.ring_.pop_front();
    ++topic.first_sequence_;
  }
}

// ---- Subscription

Subscription::Subscription(std::vector<std::shared_ptr<Topic>> topics, std::string_view last_event_id,
                           uint32_t backlog_events) {
  assert(!topics.empty() && topics.size() <= kStreamTopicsMax);
  const auto ids = parse_event_ids(last_event_id, topics.size());
  positions_.resize(topics.size());
  for (size_t i = 0; i < topics.size(); ++i) {
    Topic& topic = *topics[i];
    Position& position = positions_[i];
    const uint64_t end = topic.first_sequence_ + topic.ring_.size();
    if (last_event_id.empty()) {
      const uint64_t count = std::min<uint64_t>(backlog_events, topic.ring_.size());
      position.next_sequence = end - count;
      position.last_id = count == 0                    ? topic.newest_id_
                         : count == topic.ring_.size() ? topic.gone_id_
                                                       : topic.ring_[topic.ring_.size() - count - 1].id;
    } else if (ids && (*ids)[i] >= topic.gone_id_ && (*ids)[i] <= topic.newest_id_) {
      const auto next = std::upper_bound(topic.ring_.begin(), topic.ring_.end(), (*ids)[i],
                                         [](uint64_t id, const Topic::Entry& entry) { return id < entry.id; });
      position.next_sequence = topic.first_sequence_ + static_cast<uint64_t>(next - topic.ring_.begin());
      position.last_id = (*ids)[i];
    } else {
      // Too old, of a life before this one, or unreadable: all that is there, and a word that it may not be all.
      position.next_sequence = topic.first_sequence_;
      position.last_id = topic.gone_id_;
      position.gap = true;
      if (ids) position.gap_after = (*ids)[i];
      topic.hub_.counters_.gaps.fetch_add(1, std::memory_order_relaxed);
    }
    const uint64_t at = position.next_sequence - topic.first_sequence_;
    position.refused_seen = at == 0 ? topic.gone_refused_ : topic.ring_[at - 1].refused_total;
    topic.subscriptions_.push_back(this);
    position.topic = std::move(topics[i]);
  }
}

Subscription::~Subscription() {
  for (const Position& position : positions_) {
    auto& all = position.topic->subscriptions_;
    const auto self = std::find(all.begin(), all.end(), this);
    *self = all.back();
    all.pop_back();
  }
}

std::string Subscription::id_line() const {
  std::string out = "id: ";
  for (size_t i = 0; i < positions_.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(positions_[i].last_id);
  }
  return out += "\n\n";
}

void Subscription::take(size_t octets_max, std::vector<Frame>& out) {
  const size_t before = out.size();
  size_t octets = 0;
  const auto give = [&](Frame frame) {
    octets += frame.octets();
    out.push_back(std::move(frame));
  };
  while (octets < octets_max) {
    Position* next = nullptr;
    const Topic::Entry* next_entry = nullptr;
    for (Position& position : positions_) {
      const Topic& topic = *position.topic;
      if (position.next_sequence < topic.first_sequence_) {
        const uint64_t missed = topic.first_sequence_ - position.next_sequence;
        position.next_sequence = topic.first_sequence_;
        position.last_id = topic.gone_id_;
        position.lost += missed;
        lost_count_ += missed;
        topic.hub_.counters_.lost_frames.fetch_add(missed, std::memory_order_relaxed);
      }
      const uint64_t at = position.next_sequence - topic.first_sequence_;
      const bool at_end = at == topic.ring_.size();
      if (position.gap) {
        position.gap = false;
        const std::string what = "{\"topic\":" + json_string(topic.name()) +
                                 ",\"after\":" + id_or_null(position.gap_after) +
                                 ",\"next\":" + (at_end ? "null" : std::to_string(topic.ring_[at].id)) + "}";
        give({nullptr, format_event("gap", what) + id_line()});
      }
      if (at_end) {
        if (topic.closed_ && !position.end_told) {
          position.end_told = true;
          give({nullptr, format_event("end", "{\"topic\":" + json_string(topic.name()) + "}") + "\n"});
        }
        continue;
      }
      const Topic::Entry& entry = topic.ring_[at];
      if (next_entry == nullptr || entry.arrival < next_entry->arrival) {
        next = &position;
        next_entry = &entry;
      }
    }
    if (next == nullptr) break;
    if (octets > 0 && octets + next_entry->frame->size() > octets_max) break;
    const uint64_t refused = next_entry->refused_total - std::exchange(next->refused_seen, next_entry->refused_total);
    next->lost += refused;
    lost_count_ += refused;
    if (next->lost > 0) {
      const std::string what = "{\"topic\":" + json_string(next->topic->name()) +
                               ",\"events\":" + std::to_string(std::exchange(next->lost, 0)) + "}";
      give({nullptr, format_event("lost", what) + "\n"});
    }
    ++next->next_sequence;
    next->last_id = next_entry->id;
    give({next_entry->frame, id_line()});
  }
  waiting_ = out.size() == before;
  for (const Position& position : positions_) position.topic->note_read();
}

bool Subscription::ended() const {
  return std::all_of(positions_.begin(), positions_.end(), [](const Position& p) { return p.end_told; });
}

}  // namespace backstream::http
