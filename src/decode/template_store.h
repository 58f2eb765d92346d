#pragma once
// What exporters announced, shared by the decoders of all threads and kept over a restart
// (docs/design/0012-template-store.md).
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/diagnostic.h"
#include "decode/announcement.h"

namespace backstream::decode {

struct TemplateStoreLimits {
  size_t sender_count_max = 65'536;
  size_t template_count_max = 4'096;             ///< of a sender
  size_t fact_count_max = 16'384;                ///< of a sender
  size_t template_count_total_max = 131'072;     ///< of all senders
  size_t fact_count_total_max = 1'048'576;       ///< of all senders
  size_t field_count_total_max = 4 * 1'048'576;  ///< of all templates
  size_t name_count_max = 65'536;                ///< facts that are names, of a sender; they take no room of others
  size_t name_count_total_max = 1'048'576;       ///< the same of all senders
};

/// The announcements of all senders. Any thread.
///
/// Decoders work with compiled copies of their own. One that learns something publishes it here; each compares
/// version() with the version that it has seen, once a datagram, and takes in what is new:
///     if (store.version() != seen) store.changes_since(seen, changes);
/// A change gets the next version. Whoever makes one and had seen all before it need not read it back: `seen` moves on.
class TemplateStore {
 public:
  explicit TemplateStore(TemplateStoreLimits limits = {}) : limits_(limits) {}
  TemplateStore(const TemplateStore&) = delete;
  TemplateStore& operator=(const TemplateStore&) = delete;

  /// Of the newest change; 0: none yet. The only thing that is asked once a datagram.
  uint64_t version() const { return version_.load(std::memory_order_acquire); }

  enum class Verdict : uint8_t { kTaken, kKnown, kFull };
  /// Replaces what the key had. kFull: a limit is reached, nothing changes. kKnown: it has this layout already, and
  /// `definition` becomes the known one, refreshed.
  Verdict define(const SenderKey& sender, const TemplateKey& key, TemplatePointer& definition, uint64_t& seen);
  /// Nothing when it is not known.
  void withdraw(const SenderKey& sender, const TemplateKey& key, uint64_t& seen);
  /// @param key  of no name
  Verdict set_fact(const SenderKey& sender, const FactKey& key, const Fact& fact, uint64_t& seen);
  /// Facts that are names (is_name()). They are no changes: decoders do not read them back, and a router may announce
  /// thousands at once. A text that is empty and a number that is 0 leave what is known.
  /// @param told_at  arrival: names of a sender that is gone are forgotten as its templates are
  Verdict set_name(const SenderKey& sender, const FactKey& key, const Fact& fact, Micros told_at);

  struct Change {
    SenderKey sender;
    bool is_fact = false;
    TemplateKey key;             ///< of a template
    TemplatePointer definition;  ///< null: withdrawn
    FactKey fact_key;
    Fact fact;
  };
  /// Puts the changes after version `seen` to `to`, oldest first, and moves `seen` on. False: they are no longer at
  /// hand, read everything again with announcements_of().
  bool changes_since(uint64_t& seen, std::vector<Change>& to) const;

  /// All of one sender.
  struct Announcements {
    std::vector<std::pair<TemplateKey, TemplatePointer>> templates;
    std::vector<std::pair<FactKey, Fact>> facts;
    bool operator==(const Announcements&) const;  ///< layouts and facts, not when they were refreshed
  };
  Announcements announcements_of(const SenderKey& sender) const;
  std::vector<std::pair<FactKey, Fact>> names_of(const SenderKey& sender) const;
  /// In order of their addresses.
  std::vector<SenderKey> senders() const;

  /// Withdraws templates that were last announced or used before `refreshed_before`, unless another thread looked for
  /// them less than a minute before `now`. Returns how many, by sender. Of a sender that has no template and no fact
  /// left, and told no name since then, nothing is kept.
  std::vector<std::pair<SenderKey, size_t>> expire(Micros now, Micros refreshed_before);

  size_t template_count() const;
  size_t fact_count() const;  ///< without names
  size_t name_count() const;

  /// All of it as octets that decode() reads: the content of a state file.
  std::vector<uint8_t> encode() const;
  /// Adds what the octets say, as far as the limits allow; what is known already stays. Whatever they are, this ends
  /// with all of them taken or, with an error, none. Version 1, which had no names, is read, too. Error "state":
  /// foreign, damaged, or of another version.
  base::Result<void> decode(std::span<const uint8_t> octets);
  /// Octets with the head and the checksum of a state file: for tests of what a reader must not trust.
  static std::vector<uint8_t> sealed(std::span<const uint8_t> content);

  /// Sum of all that changes what encode() gives, refreshes included: a file is written again when it differs.
  uint64_t change_count() const { return version() + refresh_count_.load(std::memory_order_relaxed); }
  /// A known template was announced again or used. At most once a minute and template is worth a call.
  void note_refresh() { refresh_count_.fetch_add(1, std::memory_order_relaxed); }

 private:
  struct Sender {
    std::unordered_map<TemplateKey, TemplatePointer, TemplateKeyHash> templates;
    std::map<FactKey, Fact> facts;
    std::map<FactKey, Fact> names;
    Micros names_told_at = base::kMinTime;  ///< kMinTime: since the state file was read they were not told
  };
  Sender* sender_of(const SenderKey& key);
  void push(Change change, uint64_t& seen);
  Verdict define_locked(const SenderKey& sender, const TemplateKey& key, TemplatePointer& definition, uint64_t& seen);
  Verdict set_fact_locked(const SenderKey& sender, const FactKey& key, const Fact& fact, uint64_t& seen);
  Verdict set_name_locked(const SenderKey& sender, const FactKey& key, const Fact& fact, Micros told_at);

  /// Changes that are kept for decoders that lag behind; one that lags further reads its senders again.
  static constexpr size_t kChangesMax = 4'096;

  const TemplateStoreLimits limits_;
  mutable std::mutex mutex_;  // All that follows, but for the atomics, is under it.
  std::unordered_map<SenderKey, Sender, SenderHash> senders_;
  std::deque<Change> changes_;  // The last ones; the newest has version_.
  size_t template_count_ = 0, fact_count_ = 0, name_count_ = 0, field_count_ = 0;
  Micros expired_at_ = base::kMinTime;
  std::atomic<uint64_t> version_{0};  // Written under mutex_, read by any thread.
  std::atomic<uint64_t> refresh_count_{0};
};

}  // namespace backstream::decode
