#include "exec/travel_choice.h"

namespace backstream::exec {

void TravelChoice::pane_sent(uint64_t row_count, double pane_octets, double row_octets) {
  if (rows_ || row_count < kRowsMin || row_octets == 0) return;
  const bool less = static_cast<double>(row_count) * row_octets < kGain * pane_octets;
  agreeing_ = less ? agreeing_ + 1 : 0;
  if (agreeing_ < kAgreeing) return;
  rows_ = true;
  since_ = 0;
  row_count_ = row_count;
}

void TravelChoice::rows_sent(uint64_t row_count) {
  if (!rows_) return;
  if (++since_ < kUntilLook && row_count <= 2 * row_count_) return;
  rows_ = false;
  agreeing_ = kAgreeing - 1;  // One pane that says what others have said before is enough.
}

}  // namespace backstream::exec
