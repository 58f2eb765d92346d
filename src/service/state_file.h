#pragma once
// What is kept of the engine over a restart (docs/design/0021-checkpoints.md). The octets are made while the engine is
// at rest (exec::Engine::save_state); they are put on disk by a thread that may wait for it.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"

namespace backstream::service {

struct SavedQuery {
  std::string name;
  uint64_t incarnation = 0, version = 0;  ///< as the catalog counts them
  std::vector<uint8_t> octets;            ///< of exec::Engine::save_state()
};

struct SavedState {
  base::Micros saved_at = 0;  ///< on our clock
  /// The process stopped on purpose just then: nothing that came before is missing. Else it was a checkpoint, and what
  /// came between it and the stop is.
  bool clean = false;
  std::string header;            ///< the caller's own, JSON by custom
  std::vector<uint8_t> streams;  ///< of exec::Engine::save_streams()
  std::vector<SavedQuery> queries;
};

/// One file that is at any time, even after a crash or a power cut, a whole state: the last one that was written. One
/// call at a time, from any thread.
///
///   "BSSTATE" version:1
///   length:8 head xxh3:8                 head: saved_at clean header streams query_count
///   (length:8 name incarnation version  length:8 octets  xxh3:8)...
///
/// Fixed integers little end first, all others LEB128, texts with their length before them. Each checksum is over what
/// stands between it and the one before.
class StateFile {
 public:
  explicit StateFile(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }

  /// Replaces the file. Returns its size in octets. Error "file": the machine's reason; the old file is as it was.
  base::Result<uint64_t> write(const SavedState& state) const;

  /// Nothing: there is no file. Takes memory for what the file holds, never for more than its size.
  /// Errors: "file", it cannot be read; "state", it is damaged, or of another program or version: it was renamed to
  /// PATH.damaged, and the message says where what is wrong.
  base::Result<std::optional<SavedState>> load() const;

 private:
  const std::string path_;
};

}  // namespace backstream::service
