#pragma once
#include <memory>

#include "exec/engine.h"
#include "exec/rows.h"
#include "plan/query.h"

namespace backstream::exec {

/// One stage of a query at work. The first stage of a query over a stream is driven by process() and advance(); one
/// that reads a stage or view below receives its rows window by window.
class StageRunner : public RowReceiver {
 public:
  /// Rows of a stream. Calls for different edges may come from different threads at the same time.
  virtual void process(const batch::ColumnBatch& rows, uint32_t edge) = 0;
  /// Closes what can close; then tells the stage above.
  virtual void advance(Micros watermark) = 0;
  virtual void set_time_limit(Micros) {}
  virtual void note_watermark(Micros) {}
  virtual WindowLedger ledger() const = 0;
};

/// Makes the runner that a stage needs. `stage` and `query` must outlive it.
std::unique_ptr<StageRunner> make_stage(const plan::Query& query, size_t stage_index, const EngineOptions& options,
                                        RowReceiver& receiver);

}  // namespace backstream::exec
