#pragma once
#include <memory>
#include <vector>

#include "exec/stage.h"

namespace backstream::exec {

/// Lets the first stages of queries that plan::share_groups() work as one. A stage is made when its first rows come,
/// of the queries that were there until then; a query leaves when its runner ends, and the others go on. One thread,
/// but for process() of the stages.
class StageSharing {
 public:
  explicit StageSharing(const EngineOptions& options);
  ~StageSharing();
  /// The first stage of a query, as of make_stage(). A shared one keeps the query after its runner has ended.
  std::unique_ptr<StageRunner> make_first_stage(const std::shared_ptr<const plan::Query>& query, RowReceiver& receiver);

 private:
  class Group;
  class Member;
  const EngineOptions options_;
  std::vector<std::shared_ptr<Group>> groups_;
};

}  // namespace backstream::exec
