#pragma once
#include <memory>
#include <vector>

#include "exec/stage.h"

namespace backstream::exec {

/// Lets the first stages of queries that plan::share_groups() work as one. A stage is made when its first rows come,
/// of the queries that were there until then. One thread, but for process() of the stages.
class StageSharing {
 public:
  explicit StageSharing(const EngineOptions& options);
  ~StageSharing();
  /// The first stage of a query, which must outlive it, as of make_stage().
  std::unique_ptr<StageRunner> make_first_stage(const plan::Query& query, RowReceiver& receiver);

 private:
  class Group;
  class Member;
  const EngineOptions options_;
  std::vector<std::shared_ptr<Group>> groups_;
};

}  // namespace backstream::exec
