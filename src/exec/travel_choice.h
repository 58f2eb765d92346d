#pragma once
#include <cstdint>

namespace backstream::exec {

/// Whether an edge sends panes or rows next, of a query of which neither is always less (plan::Travel::kEither). It
/// judges by the panes that it sends; while rows go there are none, so it goes back to panes from time to time, and
/// when far more rows come than before: those of a flood are mostly of few groups. One thread.
class TravelChoice {
 public:
  bool sends_rows() const { return rows_; }
  /// A pane was sent, and all of its rows had been grouped here.
  /// @param row_count    of rows in it
  /// @param pane_octets  that it takes, compressed
  /// @param row_octets   that one row would take, compressed; 0: not known
  void pane_sent(uint64_t row_count, double pane_octets, double row_octets);
  /// Rows were sent in the time of a pane.
  void rows_sent(uint64_t row_count);

  static constexpr uint64_t kRowsMin = 1'000;  ///< with fewer in a pane nothing is to be gained
  static constexpr double kGain = 0.9;         ///< rows must take less than this part of what panes take
  static constexpr int kAgreeing = 2;          ///< panes in a row that must say so
  static constexpr int kUntilLook = 30;        ///< panes' times of rows, then panes are looked at again

 private:
  bool rows_ = false;
  int agreeing_ = 0;
  int since_ = 0;           ///< panes' times since it chose rows
  uint64_t row_count_ = 0;  ///< of the pane by which it chose rows
};

}  // namespace backstream::exec
