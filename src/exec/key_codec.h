#pragma once
#include <cstdint>
#include <vector>

#include "batch/column_batch.h"
#include "exec/text_dictionary.h"

namespace backstream::exec {

/// How the key of a group is laid into 64-bit words. There are two forms, and each key has exactly one of them:
///  - *narrow*, for nearly all traffic: no nulls, IPv4 addresses, integers within their declared bits; the fields are
///    packed side by side, so that (src_as, dst_as) or (src_ip, dst_ip) is one word;
///  - *wide*, for all other keys: a word of null flags, then whole words.
class KeyCodec {
 public:
  explicit KeyCodec(const std::vector<batch::ColumnDef>& keys);

  uint32_t narrow_words() const { return narrow_words_; }
  uint32_t wide_words() const { return wide_words_; }
  size_t key_count() const { return fields_.size(); }

  /// Splits `rows` (n indexes, in order) by form. Returns how many are narrow; these come first in `split` (room for
  /// n), then the wide ones, both in order. When all are narrow `split` is not written and `rows` may be used as it is.
  size_t split_forms(const batch::Column* keys, const uint32_t* rows, size_t n, uint32_t* split);
  /// Writes n * narrow_words() words. The rows must be narrow.
  void pack_narrow(const batch::Column* keys, const uint32_t* rows, size_t n, TextDictionary& texts,
                   uint64_t* words) const;
  void pack_wide(const batch::Column* keys, const uint32_t* rows, size_t n, TextDictionary& texts,
                 uint64_t* words) const;

  /// Reads n keys (`words` of each row) back into columns at `out[k]`, rows at .. at + n. Columns have memory for
  /// values and validity; validity is written where has_nulls is set, and it must be set for wide keys.
  void unpack_narrow(const uint64_t* const* rows, size_t n, const TextDictionary& texts, batch::Column* out,
                     size_t at) const;
  void unpack_wide(const uint64_t* const* rows, size_t n, const TextDictionary& texts, batch::Column* out,
                   size_t at) const;

  bool has_text() const { return has_text_; }
  /// Renumbers the text fields of n packed keys from one dictionary to another.
  void translate(bool wide, uint64_t* words, size_t n, const TextDictionary& from, TextDictionary& to) const;

 private:
  struct Field {
    batch::Type type;
    batch::Physical physical;
    uint8_t bits;         ///< narrow: width; 0: this key has no narrow form (intervals)
    uint8_t word, shift;  ///< narrow
    uint8_t wide_word;    ///< first of its words in the wide form
  };
  std::vector<Field> fields_;
  uint32_t narrow_words_ = 1, wide_words_ = 1;
  bool has_text_ = false;
  bool narrow_possible_ = true;
  std::vector<uint8_t> is_wide_;  ///< scratch of split_forms
};

}  // namespace backstream::exec
