#include "catalog/change_order.h"

#include <algorithm>

namespace backstream::catalog {

ChangeOrder::Verdict ChangeOrder::take(const ChangeKey& key, size_t octets, const SettledChange* content) {
  Entry entry{key, octets, false, false, content != nullptr, {}};
  if (const auto known = entries_.find(key.id); known != entries_.end() && known->second.counts) {
    // Compaction keeps the last of a key, which stands where it does not count.
    take_removed(key);
    repeated_.emplace(key.id, key);
    return Verdict::kRefused;
  }
  const bool ours = is_ours(key);
  if (!ours || key.revision <= revision_) {
    entries_.insert_or_assign(key.id, std::move(entry));
    return ours ? Verdict::kRefused : Verdict::kOtherDeployment;
  }
  deployment_ = key.deployment;
  revision_ = key.revision;
  entry.counts = true;
  if (content != nullptr) {
    for (const SettledChange::Item& item : content->items) {
      if (item.action == Change::Action::kNote) continue;
      const ObjectName object(item.kind, item.name);
      const bool dropped = item.action == Change::Action::kDrop;
      const auto named = std::find_if(entry.objects.begin(), entry.objects.end(),
                                      [&](const Touched& touched) { return touched.object == object; });
      if (named != entry.objects.end()) named->dropped = dropped;
      else entry.objects.push_back({object, dropped});
    }
    for (const Touched& touched : entry.objects) {
      Owner& owner = owners_[touched.object];
      owner.revision = key.revision;
      owner.dropped = touched.dropped;
      owner.holders.push_back(key.revision);
    }
  } else {
    ++unreadable_;
  }
  counting_.emplace(key.revision, key.id);
  entries_.insert_or_assign(key.id, std::move(entry));
  return Verdict::kCounts;
}

std::optional<bool> ChangeOrder::counts(const ChangeId& id) const {
  const auto at = entries_.find(id);
  return at == entries_.end() ? std::nullopt : std::optional(at->second.counts);
}

std::optional<ChangeId> ChangeOrder::counting_as(Revision revision) const {
  const auto at = counting_.find(revision);
  return at == counting_.end() ? std::nullopt : std::optional(at->second);
}

void ChangeOrder::take_removed(const ChangeKey& key) {
  repeated_.erase(key.id);
  const auto at = entries_.find(key.id);
  if (at == entries_.end() || at->second.key != key || at->second.removed) return;
  Entry& entry = at->second;
  entry.removed = true;
  if (!entry.counts) {
    entries_.erase(at);
    return;
  }
  if (!entry.readable) --unreadable_;
  bool weighs = entry.key.revision == revision_;
  for (const Touched& touched : entry.objects) {
    const auto found = owners_.find(touched.object);
    Owner& owner = found->second;
    std::erase(owner.holders, entry.key.revision);
    const bool last_word = owner.revision == entry.key.revision;
    weighs = weighs || (last_word && !owner.dropped);
    if (last_word && owner.dropped && owner.holders.empty()) owners_.erase(found);
  }
  if (weighs) return;  // It should not have gone: lost() tells.
  counting_.erase(entry.key.revision);
  entries_.erase(at);
}

/// Whoever reads the log without it finds the same objects.
bool ChangeOrder::is_spent(const Entry& entry) const {
  if (entry.removed || !entry.readable || entry.key.revision == revision_) return false;
  return std::all_of(entry.objects.begin(), entry.objects.end(), [&](const Touched& touched) {
    const Owner& owner = owners_.find(touched.object)->second;
    if (owner.revision != entry.key.revision) return true;
    // That it was dropped must be told as long as there is a record that has it; and one that cannot be read may.
    return owner.dropped && unreadable_ == 0 && owner.holders.size() == 1;
  });
}

ChangeOrder::Garbage ChangeOrder::garbage(size_t kept_count, size_t kept_octets) const {
  Garbage garbage;
  std::vector<const Entry*> spent;
  for (const auto& [revision, id] : counting_) {
    const Entry& entry = entries_.find(id)->second;
    if (is_spent(entry)) spent.push_back(&entry);
  }
  size_t kept = 0, octets = 0;
  while (kept < kept_count && kept < spent.size()) {
    octets += spent[spent.size() - 1 - kept]->octets;
    if (octets > kept_octets) break;
    ++kept;
  }
  spent.resize(spent.size() - kept);
  for (const Entry* entry : spent) garbage.spent.push_back(entry->key);
  for (const auto& [id, entry] : entries_) {
    if (!entry.counts) garbage.refused.push_back(entry.key);
  }
  for (const auto& [id, key] : repeated_) garbage.refused.push_back(key);
  return garbage;
}

ChangeOrder::Lost ChangeOrder::lost() const {
  Lost lost;
  for (const auto& [revision, id] : counting_) {
    const Entry& entry = entries_.find(id)->second;
    if (!entry.removed) continue;
    lost.newest = lost.newest || revision == revision_;
    for (const Touched& touched : entry.objects) {
      const auto owner = owners_.find(touched.object);
      if (owner != owners_.end() && owner->second.revision == revision && !owner->second.dropped)
        lost.objects.push_back(touched.object);
    }
  }
  return lost;
}

}  // namespace backstream::catalog
