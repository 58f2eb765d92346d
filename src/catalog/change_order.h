#pragma once
// Which changes of a log that many write count, decided alike by all who read it, whatever compaction has left of it
// (docs/design/0025-kafka-catalog.md). No threads, no machine behind it: the simulation runs this code.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/catalog.h"
#include "catalog/change_record.h"

namespace backstream::catalog {

/// The rule: a record counts when, at its place in the log, it claims a higher revision than all that counted before
/// it. Who writes has read to the end and claims the next one, so of several that claim the same the first one counts.
///
/// What is left by compaction gives the same answers as all of it, because records go (by tombstones of their own keys)
/// only in this order: those that were refused, then those that count and say nothing any more; never the newest.
class ChangeOrder {
 public:
  enum class Verdict : uint8_t {
    kCounts,
    kRefused,          ///< another was first
    kOtherDeployment,  ///< refused, too: the first record that counts says which deployment the log is of
  };
  /// The next record, in the order of the log.
  /// @param content  null: its value cannot be read. It counts or not all the same
  Verdict take(const ChangeKey& key, size_t octets, const SettledChange* content);
  /// A tombstone, in the order of the log. Another deployment's is nothing.
  void take_removed(const ChangeKey& key);
  void clear() { *this = ChangeOrder(); }

  /// Of the newest change that counts.
  Revision revision() const { return revision_; }
  /// Whether it is of the deployment that this log is of.
  bool is_ours(const ChangeKey& key) const { return deployment_ == 0 || key.deployment == deployment_; }
  /// 0: no change counts yet.
  uint64_t deployment() const { return deployment_; }
  size_t record_count() const { return entries_.size(); }
  /// Whether the record counts; nullopt: it is not in the log, or has been removed.
  std::optional<bool> counts(const ChangeId& id) const;
  /// Which record has become the revision, if that one is still in the log.
  std::optional<ChangeId> counting_as(Revision revision) const;

  /// Keys that may be removed: first all of `refused`, and when the log has those tombstones, `spent`.
  struct Garbage {
    std::vector<ChangeKey> refused, spent;
  };
  /// @param kept_count, kept_octets  the newest spent ones stay, so many of them at most: they tell a node that was
  ///                                 away, or is new, what has happened
  Garbage garbage(size_t kept_count, size_t kept_octets) const;

  struct Lost {
    std::vector<std::pair<Kind, std::string>> objects;  ///< whose record was removed or cannot be read
    bool newest = false;                                ///< the same of the newest change
    bool empty() const { return objects.empty() && !newest; }
  };
  /// What who reads from the begin does not find any more, though we know it: somebody removed it who should not, or
  /// its octets rot.
  Lost lost() const;

 private:
  using ObjectName = std::pair<Kind, std::string>;
  struct Touched {
    ObjectName object;
    bool dropped = false;
  };
  struct Entry {
    ChangeKey key;
    size_t octets = 0;
    bool counts = false, removed = false, readable = false;
    std::vector<Touched> objects;  ///< each once
  };
  struct Owner {
    Revision revision;  ///< of the change that said the last of it
    bool dropped = false;
    std::vector<Revision> holders;  ///< changes that count, are in the log and name it; ascending
  };
  bool is_spent(const Entry& entry) const;

  Revision revision_;
  uint64_t deployment_ = 0;
  std::map<ChangeId, Entry> entries_;       ///< in the log, or removed and still of weight
  std::map<Revision, ChangeId> counting_;   ///< of entries that count
  std::map<ObjectName, Owner> owners_;      ///< of all objects that entries name
  std::map<ChangeId, ChangeKey> repeated_;  ///< of records that count and came once more, as some mirrors do
  size_t unreadable_ = 0;                   ///< entries that count and are in the log
};

}  // namespace backstream::catalog
