#pragma once
// Windows made to one of a coarser tier: by key the average and the maximum of each measure, and how many windows had
// it.
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "history/file.h"

namespace backstream::history {

/// What rows of the tier have, of a query's form: its window (the bucket) and its keys; each numeric measure NAME as
/// its average (double precision) and, as NAME_max, its maximum; `_windows`. Other columns are left out, and so is what
/// would have a name that the query has already. Null: there is no measure, or windows are longer than buckets.
std::shared_ptr<const ResultForm> tier_form(const ResultForm& form, Tier tier);

/// One bucket. Its rows come in the order in which their keys came first. One thread.
class RollUp {
 public:
  /// @param form  of the rows that come; it has a tier_form()
  RollUp(const ResultForm& form, Tier tier, Micros start);
  /// A part of a window that is in the bucket, of its newest revision. One of other columns is passed over.
  void add(const ResultPart& part);
  bool fits(const ResultPart& part) const;  ///< its columns are those of what came before
  /// The bucket in parts of at most so many rows, at least one part; seq and revision are the caller's to set.
  std::vector<std::shared_ptr<ResultPart>> finish(size_t part_rows) const;

 private:
  struct Measure {
    size_t from = 0;                 ///< column of the rows that come
    int average = -1, maximum = -1;  ///< columns of those that go; -1: not given
    bool is_double = false;
    std::vector<double> sums;      ///< by row, as are all below
    std::vector<uint64_t> counts;  ///< windows where it is not null
    std::vector<int64_t> most;
    std::vector<double> most_double;
  };

  const batch::Schema schema_;  ///< of the rows that come
  const std::shared_ptr<const ResultForm> form_;
  const Micros start_;
  struct Key {
    size_t from, to;  ///< columns
  };
  std::vector<Key> keys_;
  std::vector<Measure> measures_;
  std::unordered_map<std::string, size_t> rows_;  ///< by the octets of keys
  std::vector<const std::string*> key_octets_;    ///< by row
  std::vector<uint64_t> windows_;                 ///< by row
  bool complete_ = true;
  std::set<std::string> sites_missing_;
  uint32_t version_ = 0;
  uint64_t incarnation_ = 0;
};

}  // namespace backstream::history
