#pragma once
// The global catalog: what the service is to do, the same for all nodes. Objects of a few kinds, each a name and a
// body; every change is atomic, numbered, signed and kept. This header is what stores have in common: SQLite in one
// process (sqlite_catalog.h), a compacted topic for many (kafka_catalog.h).
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"

namespace backstream::catalog {

using base::Micros;
using base::Result;

enum class Kind : uint8_t {
  kQuery,      ///< a view or diagram that runs (query_definition.h)
  kTable,      ///< a lookup table
  kNode,       ///< a process, its roles and site
  kPlacement,  ///< which node runs which half of a query; the name is QUERY@NODE
  kSink,
  kAlert,
  kToken,    ///< who may do what over HTTP; only a hash, and never in an export
  kService,  ///< has no objects: what the audit tells of the service itself (Change::Action::kNote)
};
inline constexpr size_t kKindCount = 8;
std::string_view name(Kind kind);
std::optional<Kind> kind_of(std::string_view name);
/// Whether this can be a body.
bool is_body(std::string_view json);

/// A number that every change of the catalog gets, from 1, without gaps. 0: nothing was ever changed. A node that is
/// new, or was away, may find the objects and not the changes that made them: gaps are then in its audit and its
/// histories, not in the numbers. Only what was brought back after the topic of many nodes was lost may skip some.
struct Revision {
  uint64_t value = 0;
  auto operator<=>(const Revision&) const = default;
};

struct Object {
  Kind kind = Kind::kQuery;
  std::string name;
  /// The revision at which it was made: what is dropped and made again under the same name is another.
  Revision incarnation;
  uint32_t version = 1;  ///< from 1, one more with each new definition
  Revision revision;     ///< of its last change
  Micros changed_at = 0;
  std::string body;  ///< JSON
  bool operator==(const Object&) const = default;
};

/// Who changes something, as the audit shows it.
struct Author {
  std::string name;  ///< a user or a token's name
  std::string via;   ///< how: "cli", "api 192.0.2.1", "apply DIR"
};

struct Change {
  enum class Action : uint8_t {
    kCreate,  ///< it must not be there
    kDefine,  ///< a new version of what is there
    kPut,     ///< kCreate, or kDefine where it is there
    kUpdate,  ///< the same version with another body: its state
    kDrop,
    /// Changes no object: an entry of the audit about what happened, such as an export or sign-ins that failed. Any
    /// kind and name, without a body.
    kNote,
  };
  Action action = Action::kCreate;
  Kind kind = Kind::kQuery;
  std::string name;     ///< 1 to kNameOctetsMax octets of UTF-8
  std::string body;     ///< a JSON object of at most kBodyOctetsMax octets; empty with kDrop and kNote
  std::string verb;     ///< for the audit: "add", "alter", "pause"
  std::string comment;  ///< for the audit: why
  /// The object's revision as the author saw it: a change in between refuses this one.
  std::optional<Revision> expected;
};

inline constexpr size_t kNameOctetsMax = 127;
inline constexpr size_t kBodyOctetsMax = size_t{1} << 20;
inline constexpr size_t kObjectsMax = 100'000;         ///< of each kind
inline constexpr size_t kVersionsKept = 1'000;         ///< of each name; older ones go
inline constexpr size_t kAuditKept = size_t{1} << 20;  ///< entries; older ones go

/// A definition as it was once.
struct Version {
  Revision incarnation, revision;
  uint32_t version = 0;
  Micros at = 0;
  std::string author, body;
  bool operator==(const Version&) const = default;
};

struct AuditEntry {
  Revision revision;
  Micros at = 0;
  std::string author, via, verb;
  Kind kind = Kind::kQuery;
  std::string name;
  uint32_t version = 0;  ///< after the change; of a drop: the last one; of a note: the object's, or 0
  std::string comment;
  bool operator==(const AuditEntry&) const = default;
};

/// Errors are SQLSTATEs: 42710 is there already, 42704 is not there, 40001 changed in between, 22023 a name or body
/// that cannot be, 53400 too many, 53100 disk full, 58030 the store cannot be read or written, XX001 it is damaged.
/// After an error nothing has changed (but see apply()). Any thread.
class Catalog {
 public:
  virtual ~Catalog() = default;

  /// Makes all changes or none, as one revision, and returns when they outlive the machine. After an error of 58030 it
  /// may be that they are made all the same: the message says so where that is not known (kafka_catalog.h).
  virtual Result<Revision> apply(std::span<const Change> changes, const Author& author, Micros now) = 0;

  virtual Result<std::optional<Object>> find(Kind kind, std::string_view name) = 0;
  /// By name.
  virtual Result<std::vector<Object>> list(Kind kind) = 0;
  /// Newest first, those of dropped ones of the name, too.
  virtual Result<std::vector<Version>> history(Kind kind, std::string_view name, size_t count_max) = 0;
  /// Newest first; of one object, or of all.
  struct AuditOf {
    std::optional<Kind> kind = {};
    std::string name = {};                ///< empty: of any
    std::optional<Revision> before = {};  ///< only older ones: the next page
    size_t count_max = 100;
  };
  virtual Result<std::vector<AuditEntry>> audit(const AuditOf& which) = 0;
  /// The objects that were changed after `after`, each once, with the last revision that did it: a reader of changes
  /// finds them anew. nullopt: it is too long ago to tell; list everything.
  struct Changed {
    Kind kind = Kind::kQuery;
    std::string name;
    Revision revision;
  };
  virtual Result<std::optional<std::vector<Changed>>> changed_since(Revision after) = 0;

  virtual Revision revision() = 0;
  /// Waits until revision() is greater than `after`, at most so long, and returns it.
  virtual Revision wait_beyond(Revision after, std::chrono::milliseconds patience) = 0;
};

/// Everything but tokens, as JSON that import_document() takes: for a backup, and to see. Backups travel, and what is
/// read in elsewhere must not open a door there.
Result<std::string> export_document(Catalog& catalog);
/// Makes the objects of an export in a catalog that has none but tokens, as one change: definitions and states;
/// histories, the audit and nodes stay in the document. Errors: as apply(); 22P02 (located) where the text is no such
/// document; 55000 when the catalog is not empty.
Result<size_t> import_document(Catalog& catalog, std::string_view json, const Author& author, Micros now);

}  // namespace backstream::catalog
