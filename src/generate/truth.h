#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "generate/record.h"

namespace backstream::generate {

/// The exact answers of the standard queries, computed from the records themselves by plain maps: nothing here is
/// shared with the engine that is tested against it. Memory grows with the number of groups.
class Truth final : public RecordObserver {
 public:
  /// @param names  the queries to answer; empty: all
  /// Errors: std::invalid_argument for a name that is not known.
  explicit Truth(const std::vector<std::string>& names = {});
  ~Truth() override;
  void observe(const Record& record) override;
  /// Writes NAME.sql (one SELECT) and NAME.csv (a header, then its rows in no particular order) for each query, times
  /// and values as PostgreSQL prints them. Errors: std::system_error.
  void write(const std::string& folder) const;

  struct Query;
  static std::vector<std::string> names();

 private:
  std::vector<std::unique_ptr<Query>> queries_;
};

}  // namespace backstream::generate
