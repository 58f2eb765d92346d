#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "catalog/catalog.h"
#include "transport/keyed_log.h"

namespace backstream::catalog {

/// Why a record of the topic says nothing to this node.
#define BACKSTREAM_CATALOG_FAULTS(X)                                                    \
  X(kForeign, "foreign")                  /* written by somebody else */                \
  X(kOtherDeployment, "other_deployment") /* of a deployment with the same prefix */    \
  X(kDamaged, "damaged")                  /* its octets are not what was written */     \
  X(kLaterFormat, "later_format")         /* a later version of the program wrote it */ \
  X(kMalformed, "malformed")              /* it is no change */
enum class CatalogFault : uint8_t {
#define X(value, text) value,
  BACKSTREAM_CATALOG_FAULTS(X)
#undef X
};
#define X(value, text) +1
inline constexpr size_t kCatalogFaultCount = BACKSTREAM_CATALOG_FAULTS(X);
#undef X
std::string_view name(CatalogFault fault);

struct KafkaCatalogStatus {
  bool following = false;  ///< changes of other nodes are heard of, and this one may make some
  std::string trouble;     ///< why not; empty: it is
  uint64_t deployment = 0;
  size_t records = 0;  ///< in the topic, as far as they are ours
  std::array<uint64_t, kCatalogFaultCount> faults{};
  uint64_t races = 0;     ///< changes of this node that another one's was before, and that were decided anew
  uint64_t rereads = 0;   ///< readings from the begin
  uint64_t removed = 0;   ///< records that this node has removed because they say nothing any more
  uint64_t restored = 0;  ///< changes by which this node brought back what was gone from the topic
};

/// A catalog that many nodes share: a compacted topic has it, each node a copy, from which it reads
/// (docs/design/0025-kafka-catalog.md). A change is decided by all nodes alike, by its place in the topic.
///
/// Beside what Catalog says: apply() gives 58030 when the brokers do not answer within the patience of the options and
/// the append timeout of the connection; the message says whether nothing was changed, or whether that is not known;
/// what became of it is told by `note` later, and stands in the audit. 40001: others changed the catalog all the time.
/// 55000: the topic is not the one that the copy is of. 0A000: a later version of the program has made changes that
/// this one does not understand. 53400: the change is larger than a record may be.
class KafkaCatalog : public Catalog {
 public:
  virtual KafkaCatalogStatus status() const = 0;
};

struct KafkaCatalogOptions {
  std::string copy_path;                      ///< a file of SQLite, made where it is missing
  std::chrono::milliseconds patience{5'000};  ///< for the brokers to answer, and again for a change to be read back
  std::chrono::milliseconds poll{100};        ///< that the end of the topic is waited at, at once
  std::chrono::milliseconds retry{2'000};     ///< between two attempts at a topic that cannot be had
  size_t spent_kept = 1'000;                  ///< changes without effect of today that stay in the topic,
  size_t spent_octets_kept = 16 << 20;        ///< and their octets at most: for the audit of new nodes
  /// Get lines for people: what is wrong, what has become well. Any thread; null: they are dropped.
  std::function<void(const std::string&)> warn, note;
};

/// Opens the topic, for records of kChangeOctetsMax; `create`: it may be made.
using OpenKeyedLog = std::function<base::Result<std::unique_ptr<transport::KeyedLog>>(bool create)>;
inline constexpr size_t kChangeOctetsMax = 8 << 20;

/// Opens the topic, makes it where it is missing and this node has no copy, reads all of it, and follows it from then
/// on. With a copy it is opened also when the brokers do not answer, or the topic is gone: reads are served, changes
/// refused.
/// @param topic_name  for people
/// Errors: those of the copy as open_sqlite_catalog(); of the topic as `open`, 08001 only without a copy; 55000 the
/// topic is of another deployment than the copy.
base::Result<std::unique_ptr<KafkaCatalog>> open_log_catalog(OpenKeyedLog open, std::string topic_name,
                                                             KafkaCatalogOptions options);

/// After the topic was lost: makes it anew and puts into it what the copy has. With no other process on the copy.
/// @return  the number of objects
/// Errors: as open_log_catalog(); 55000 the topic has what the copy has, or more.
base::Result<size_t> restore_log_catalog(const OpenKeyedLog& open, const std::string& topic_name,
                                         const std::string& copy_path, const Author& author, Micros now);

}  // namespace backstream::catalog
