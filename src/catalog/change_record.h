#pragma once
// A change of the catalog as a record of a log that many write: its key says all that decides whether it counts, its
// value what it makes of which objects (docs/design/0025-kafka-catalog.md).
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog.h"

namespace backstream::catalog {

struct ChangeId {
  std::array<uint8_t, 16> octets{};
  auto operator<=>(const ChangeId&) const = default;
  static ChangeId random();
};

struct ChangeKey {
  uint64_t deployment = 0;  ///< a random number that its first change chose; not 0
  Revision revision;        ///< that the change is to be
  ChangeId id;              ///< its own: no two records have the same key, so compaction never chooses between changes
  bool operator==(const ChangeKey&) const = default;
};
/// "change/REVISION/DEPLOYMENT/ID/SUM", at most KeyedLog::kKeyOctetsMax octets: readable with any tool.
std::string key_text(const ChangeKey& key);
/// nullopt: it is none of ours, or not what was written.
std::optional<ChangeKey> parse_change_key(std::string_view text);

/// A change after everything about it was decided: for all who read it the same.
struct SettledChange {
  struct Item {
    Change::Action action = Change::Action::kCreate;  ///< never kPut
    Kind kind = Kind::kQuery;
    std::string name;
    Revision incarnation;  ///< of a note: as the object's, or 0
    uint32_t version = 0;  ///< after the change; of a drop: the last one; of a note: the object's, or 0
    std::string body;      ///< empty with kDrop and kNote
    std::string verb, comment;
    bool operator==(const Item&) const = default;
  };
  Revision revision;
  Micros at = 0;
  std::string author, via;
  std::vector<Item> items;  ///< in order; several may be of one object
  bool operator==(const SettledChange&) const = default;
};
inline constexpr int kChangeFormat = 1;  ///< that is written; all from 1 to it are read

/// JSON.
std::string encode_change(const SettledChange& change);
enum class ChangeFault : uint8_t {
  kNone,
  kLaterFormat,  ///< a later version of the program wrote it
  kMalformed,    ///< it is no change, or has what no catalog takes
};
/// Never throws. On a fault `out` is unspecified.
ChangeFault decode_change(std::string_view value, SettledChange& out);

}  // namespace backstream::catalog
