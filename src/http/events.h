#pragma once
// Server-sent events (WHATWG HTML §9.2), without sockets. Publishers hand events to a hub and never wait; one thread,
// the owner (the server's own), takes them into rings and from there into as many streams as there are.
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace backstream::http {

inline constexpr size_t kStreamTopicsMax = 32;

/// "event: name\ndata: line\n…" without the last empty line, which follows an id. Line ends of `data` of any kind part
/// lines; in `event` they are dropped.
std::string format_event(std::string_view event, std::string_view data);

struct HubLimits {
  size_t topics_max = 10'000;
  size_t pending_octets_max = size_t{64} << 20;     ///< published, not yet taken by the owner
  size_t ring_events_max = 256;                     ///< kept of each topic for who resumes or is slow; at least 1
  size_t ring_octets_max = size_t{4} << 20;         ///< of each topic; the newest event stays whatever its size
  size_t all_rings_octets_max = size_t{256} << 20;  ///< beyond it a topic that publishes keeps its newest event only
};

/// Any thread reads them.
struct HubCounters {
  std::atomic<uint64_t> published{0};     ///< events taken into rings
  std::atomic<uint64_t> overflowed{0};    ///< events refused: the owner was behind by pending_octets_max
  std::atomic<uint64_t> out_of_order{0};  ///< events refused: an id that does not grow
  std::atomic<uint64_t> lost_frames{0};   ///< events that slow clients missed, summed over the clients
  std::atomic<uint64_t> gaps{0};          ///< streams that could not be resumed without a gap
  std::atomic<uint64_t> ring_octets{0};   ///< in all rings now
};

class EventHub;
class Subscription;

/// One sequence of events. The hub outlives it and whoever publishes to it.
class Topic : public std::enable_shared_from_this<Topic> {
 public:
  Topic(EventHub& hub, std::string name, uint64_t start_id);
  Topic(const Topic&) = delete;
  Topic& operator=(const Topic&) = delete;
  ~Topic();

  const std::string& name() const { return name_; }
  /// Any thread; never blocks, whoever reads or does not: one allocation, one atomic exchange, and a wake-up when the
  /// owner sleeps. The bytes are formatted once and shared by all streams.
  /// @param id     greater than that of the topic's last event; several publishers agree among themselves
  /// @param event  the event's name; empty: "message"
  /// @return       false: refused and counted, see HubCounters::overflowed; its readers are told that they lost one
  bool publish(uint64_t id, std::string_view event, std::string_view data);
  /// No more events: its streams end with "event: end" once they have read all. Any thread.
  void close();

  /// From now on nothing is lost to who reads slowly: what some stream has not been given stays in the ring, however
  /// much it is, and who publishes waits while read_id() is too far behind. Before the first event.
  void keep_unread() { keeps_unread_ = true; }
  /// With keep_unread(): the greatest id up to which all its streams have been given all; while there is none, as it
  /// was before, first the id that the topic started with. Any thread.
  uint64_t read_id() const { return read_id_.load(std::memory_order_acquire); }

 private:
  friend class EventHub;
  friend class Subscription;
  void note_read();
  struct Entry {
    uint64_t id = 0;
    uint64_t arrival = 0;        // Of the hub: the order among topics.
    uint64_t refused_total = 0;  // Of the topic, before this entry.
    std::shared_ptr<const std::string> frame;
  };

  EventHub& hub_;
  const std::string name_;
  std::atomic<uint64_t> refused_{0};  // Since the last entry. Any thread.
  std::atomic<bool> keeps_unread_{false};
  std::atomic<uint64_t> read_id_;

  // The owner's.
  std::deque<Entry> ring_;
  uint64_t first_sequence_ = 0;  // Of ring_.front(); counts the entries that ever were.
  uint64_t refused_total_ = 0;
  uint64_t gone_id_;           // Of the newest entry that left the ring: who has it lost nothing.
  uint64_t gone_refused_ = 0;  // refused_total of that entry.
  uint64_t newest_id_;
  size_t ring_octets_ = 0;
  bool closed_ = false;
  std::vector<Subscription*> subscriptions_;
};

/// A piece of what goes to one client.
struct Frame {
  std::shared_ptr<const std::string> shared;  ///< may be null
  std::string own;                            ///< goes after it
  size_t octets() const { return (shared ? shared->size() : 0) + own.size(); }
};

/// One client's place in its topics. It holds positions, no events: a client that stands still costs nothing, and what
/// has left the rings when it reads again is counted and told. The owner's thread only.
///
/// Ids on the wire are one number a topic, in the order in which the topics were asked for: "17" or "17,4,0".
/// Besides events a client gets
///   event: gap   {"topic":T,"after":id or null,"next":id or null}   resumed, and what lies between is not known
///   event: lost  {"topic":T,"events":N}                             it read too slowly, or the hub was full
///   event: end   {"topic":T}                                        there will be no more of it
class Subscription {
 public:
  /// @param last_event_id   what the client had last; empty: nothing, it starts with the newest
  /// @param backlog_events  then so many of the newest of each topic come first
  Subscription(std::vector<std::shared_ptr<Topic>> topics, std::string_view last_event_id, uint32_t backlog_events);
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  /// Appends what is next, at least one frame where there is any and then while they fit. Nothing to give: `out` stays
  /// and the next event calls on_ready.
  void take(size_t octets_max, std::vector<Frame>& out);
  /// All topics are closed and read.
  bool ended() const;
  uint64_t lost_count() const { return lost_count_; }
  /// Called by EventHub::pump(), once, after a take() that gave nothing. May be empty; may end this subscription.
  std::function<void()> on_ready;

 private:
  friend class EventHub;
  friend class Topic;
  struct Position {
    std::shared_ptr<Topic> topic;
    uint64_t next_sequence = 0;
    uint64_t last_id = 0;
    uint64_t refused_seen = 0;  // refused_total of the entry before next_sequence.
    uint64_t lost = 0;          // Not yet told.
    bool gap = false, end_told = false;
    std::optional<uint64_t> gap_after;
  };
  std::string id_line() const;

  std::vector<Position> positions_;
  uint64_t lost_count_ = 0;
  bool waiting_ = false;
};

/// A list of ids as Subscription writes them. nullopt: none of ours, or of another number of topics.
std::optional<std::vector<uint64_t>> parse_event_ids(std::string_view text, size_t topic_count);

/// All topics of a process. Must outlive them and the server that owns it.
class EventHub {
 public:
  explicit EventHub(HubLimits limits = {});
  ~EventHub();
  EventHub(const EventHub&) = delete;
  EventHub& operator=(const EventHub&) = delete;

  /// The topic of this name, made where there is none. Any thread; not for each event.
  /// @param start_id  events up to this id were before: a client that has it resumes without a gap
  /// @return          null: there are topics_max
  std::shared_ptr<Topic> open(std::string_view name, uint64_t start_id = 0);
  std::shared_ptr<Topic> find(std::string_view name) const;
  /// Closes it and forgets it. Any thread.
  void remove(std::string_view name);

  const HubCounters& counters() const { return counters_; }
  /// Becomes readable when there is something to pump. For the owner.
  int wake_descriptor() const { return wake_; }
  /// Takes what was published and calls the subscriptions that wait for it. The owner only.
  void pump();

 private:
  friend class Topic;
  friend class Subscription;
  struct Node {
    std::shared_ptr<Topic> topic;
    uint64_t id = 0;
    uint64_t refused = 0;                      // Events of the topic that were, since the one before.
    std::shared_ptr<const std::string> frame;  // Null: close.
    Node* next = nullptr;
  };
  /// What a published event costs until it is taken, its node included.
  static size_t pending_octets(const std::string& frame) { return frame.size() + 128; }
  void push(Node* node);
  void append(Node& node);
  void shrink(Topic& topic);

  const HubLimits limits_;
  const int wake_;
  HubCounters counters_;
  std::atomic<Node*> pending_{nullptr};  // Newest first. Publishers push, the owner takes all.
  std::atomic<size_t> pending_octets_{0};
  uint64_t arrival_ = 0;  // The owner's.

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Topic>, std::less<>> topics_;  // Under mutex_.
};

}  // namespace backstream::http
