#pragma once
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "app/demo/routers.h"
#include "service/result_board.h"

namespace backstream::app::demo {

/// Collects the rows that the service shows, and compares each whole window with the truth. One thread.
class Answers {
 public:
  explicit Answers(Truth& truth) : truth_(truth) {}

  /// A revision of a window of the matrix.
  struct Window {
    Micros start = 0;
    int revision = 1;
    size_t rows = 0;
    double bits_per_second = 0;
    std::vector<std::string> missing;  ///< PoPs that it does not have whole; then it is not compared
    bool complete = false, equals_truth = false, had_drops = false;
    std::vector<std::pair<std::pair<uint32_t, uint32_t>, uint64_t>> top;  ///< largest first
  };
  struct Rate {
    double bits = 0;
    int64_t flows = 0;
  };
  struct Second {
    std::vector<std::string> missing;  ///< PoPs
    std::map<std::string, Rate> pops;
  };

  /// What has come since the last call.
  /// @param kernel_drops  counted until `now`
  void read(const service::ResultBoard& board, uint64_t kernel_drops, Micros now);

  const std::vector<Window>& told() const { return told_; }             ///< all revisions, as they came
  const std::map<Micros, Window>& windows() const { return windows_; }  ///< the newest revision of each, by start
  const std::map<Micros, Second>& seconds() const { return seconds_; }  ///< the last kSeconds
  size_t missing_windows() const;                                       ///< that lack a PoP as they were told last
  static constexpr size_t kSeconds = 40;

 private:
  void take_matrix(const receiver::ResultPart& result);
  void take_pops(const receiver::ResultPart& result);

  Truth& truth_;
  std::map<std::string, uint64_t> after_;  ///< by query: the newest result that was taken
  Matrix matrix_;                          ///< of the window that is being read
  size_t rows_ = 0;
  std::map<Micros, uint64_t> drops_{{base::kMinTime, 0}};  ///< how many there were, from when on
  std::vector<Window> told_;
  std::map<Micros, Window> windows_;
  std::map<Micros, Second> seconds_;
};

}  // namespace backstream::app::demo
