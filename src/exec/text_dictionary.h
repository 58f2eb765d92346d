#pragma once
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/arena.h"

namespace backstream::exec {

/// Numbers the text values of the keys of one pane, so that a key is a number. Freed with the pane. One thread.
class TextDictionary {
 public:
  uint32_t id(std::string_view text) {
    // Text columns of flows repeat one constant for a whole datagram: the same bytes at the same place.
    if (text.data() == last_.data() && text.size() == last_.size() && !texts_.empty()) return last_id_;
    const auto found = ids_.find(text);
    last_ = text;
    if (found != ids_.end()) return last_id_ = found->second;
    const std::string_view kept = arena_.copy(text);
    texts_.push_back(kept);
    last_id_ = static_cast<uint32_t>(texts_.size() - 1);
    ids_.emplace(kept, last_id_);
    return last_id_;
  }
  /// Octets held; those of the map are what its nodes and buckets take.
  size_t octets_held() const {
    return arena_.octets_held() + texts_.capacity() * sizeof(std::string_view) + ids_.size() * 48 +
           ids_.bucket_count() * sizeof(void*);
  }
  std::string_view text(uint32_t id) const { return texts_[id]; }
  /// Forgets the shortcut for repeated text: its memory is about to hold other bytes.
  void end_batch() {
    last_ = {};
    last_id_ = 0;
    if (!texts_.empty()) last_ = texts_[0];
  }

 private:
  base::Arena arena_{4096};
  std::vector<std::string_view> texts_;
  std::unordered_map<std::string_view, uint32_t> ids_;
  std::string_view last_;  ///< the text looked up last, in the caller's memory
  uint32_t last_id_ = 0;
};

}  // namespace backstream::exec
