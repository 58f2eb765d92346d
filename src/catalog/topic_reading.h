#pragma once
// One reading of the whole topic of a catalog, from an empty map to its end. Of this room only.
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "catalog/change_order.h"
#include "catalog/kafka_catalog.h"
#include "catalog/sqlite_store.h"
#include "transport/keyed_log.h"

namespace backstream::catalog {

/// Told of each record that says nothing, with its offset.
using OnFault = std::function<void(CatalogFault, uint64_t offset)>;

/// The change of a record's value. A fault was told.
std::optional<SettledChange> content_of(const transport::KeyedRecord& record, const ChangeKey& key,
                                        const OnFault& fault, bool* later_format);

/// What is left of the log when all of it was read. Tombstones count before anything is decided: a record that one of
/// them removes may have been refused by one that compaction has taken already.
class TopicReading {
 public:
  void take(transport::KeyedRecord&& record, const OnFault& fault);

  struct Found {
    ChangeOrder order;
    SqliteStore::Reading content;
    bool blind = false;         ///< a place cannot be read, and no change that counts is behind it: which is the newest
                                ///< is not known
    bool places_lost = false;   ///< a place cannot be read
    bool later_format = false;  ///< a change that counts was written by a later version
  };
  Found decide(const OnFault& fault) &&;

 private:
  struct Kept {
    std::optional<ChangeKey> key;  ///< none: of a place
    transport::KeyedRecord record;
  };
  std::map<uint64_t, Kept> kept_;  ///< by offset
  std::multimap<ChangeId, uint64_t> offsets_;
};

/// Reads from the begin to an end that was asked for behind the last record. nullopt: the log does not answer, or the
/// reading takes so long that tombstones might be missed.
/// @param next  the offset behind all that was read
std::optional<TopicReading::Found> read_topic(transport::KeyedLog& log, const OnFault& fault, uint64_t& next,
                                              const std::function<bool()>& stopped);

}  // namespace backstream::catalog
