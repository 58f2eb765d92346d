#include "catalog/topic_reading.h"

#include <chrono>
#include <utility>

namespace backstream::catalog {

using transport::KeyedRecord;
using transport::LogStatus;

namespace {

constexpr size_t kReadOctets = 4 << 20;
constexpr std::chrono::milliseconds kReadPatience{100};
constexpr std::chrono::minutes kReadingTimeout{10};  // Tombstones stay for an hour at least (kafka_topic.cc).

}  // namespace

std::optional<SettledChange> content_of(const KeyedRecord& record, const ChangeKey& key, const OnFault& fault,
                                        bool* later_format) {
  if (record.is != KeyedRecord::Is::kValue) {
    fault(CatalogFault::kDamaged, record.offset);
    return std::nullopt;
  }
  SettledChange change;
  switch (decode_change(record.value, change)) {
    case ChangeFault::kNone:
      if (change.revision == key.revision) return change;
      fault(CatalogFault::kMalformed, record.offset);
      return std::nullopt;
    case ChangeFault::kLaterFormat:
      *later_format = true;
      fault(CatalogFault::kLaterFormat, record.offset);
      return std::nullopt;
    case ChangeFault::kMalformed: break;
  }
  fault(CatalogFault::kMalformed, record.offset);
  return std::nullopt;
}

void TopicReading::take(KeyedRecord&& record, const OnFault& fault) {
  const uint64_t offset = record.offset;
  if (record.is == KeyedRecord::Is::kDamaged && record.key.empty()) {
    fault(CatalogFault::kDamaged, offset);
    kept_.emplace(offset, Kept{std::nullopt, std::move(record)});
    return;
  }
  // Whether a value is ours its key says: a head that was damaged makes ours a stranger's.
  const auto key = parse_change_key(record.key);
  if (!key) {
    fault(CatalogFault::kForeign, offset);
    return;
  }
  if (record.is == KeyedRecord::Is::kTombstone) {
    const auto [begin, end] = offsets_.equal_range(key->id);
    for (auto at = begin; at != end;) {
      const auto kept = kept_.find(at->second);
      if (*kept->second.key == *key) {
        kept_.erase(kept);
        at = offsets_.erase(at);
      } else {
        ++at;
      }
    }
    return;
  }
  offsets_.emplace(key->id, offset);
  kept_.emplace(offset, Kept{key, std::move(record)});
}

TopicReading::Found TopicReading::decide(const OnFault& fault) && {
  Found result;
  for (auto& [offset, kept] : kept_) {
    if (!kept.key) {
      result.blind = result.places_lost = true;
      continue;
    }
    bool later = false;
    auto content = result.order.is_ours(*kept.key) ? content_of(kept.record, *kept.key, fault, &later) : std::nullopt;
    switch (result.order.take(*kept.key, kept.record.value.size(), content ? &*content : nullptr)) {
      case ChangeOrder::Verdict::kCounts:
        result.blind = false;
        result.later_format = result.later_format || later;
        if (content) result.content.changes.push_back(std::move(*content));
        else result.content.unknown.insert(kept.key->revision);
        break;
      case ChangeOrder::Verdict::kRefused: break;
      case ChangeOrder::Verdict::kOtherDeployment: fault(CatalogFault::kOtherDeployment, offset); break;
    }
    kept.record = {};
  }
  result.content.deployment = result.order.deployment();
  result.content.revision = result.order.revision();
  return result;
}

std::optional<TopicReading::Found> read_topic(transport::KeyedLog& log, const OnFault& fault, uint64_t& next,
                                              const std::function<bool()>& stopped) {
  const auto until = std::chrono::steady_clock::now() + kReadingTimeout;
  std::optional<TopicReading> reading;
  std::vector<KeyedRecord> records;
  while (!stopped() && std::chrono::steady_clock::now() < until) {
    if (!reading) {
      const auto begin = log.begin_offset();
      if (!begin) return std::nullopt;
      reading.emplace();
      next = *begin;
    }
    // Asked behind the last record: the tombstones of what was read are before this end.
    const auto end = log.end_offset();
    if (!end) return std::nullopt;
    if (next == *end) return std::move(*reading).decide(fault);
    if (next > *end) return std::nullopt;  // It was made anew meanwhile; the next reading finds it.
    while (next < *end && !stopped() && std::chrono::steady_clock::now() < until) {
      records.clear();
      const LogStatus status = log.read(next, kReadOctets, kReadPatience, records, next);
      if (status == LogStatus::kTrimmed || status == LogStatus::kBeyondEnd) {
        reading.reset();
        break;
      }
      if (status != LogStatus::kOk) return std::nullopt;
      for (KeyedRecord& record : records) reading->take(std::move(record), fault);
    }
  }
  return std::nullopt;
}

}  // namespace backstream::catalog
