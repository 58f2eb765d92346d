#include "exec/shared_stage.h"

#include <cassert>
#include <mutex>

#include "exec/windowed_stage.h"
#include "plan/share.h"
#include "plan/split.h"

namespace backstream::exec {

/// Queries whose groups are the same. Once their first rows come, those whose late rows nobody reads have one stage
/// together; each of the others has its own, as `<view>_late` is of its own aggregates.
class StageSharing::Group {
 public:
  explicit Group(const EngineOptions& options) : options_(options) {}

  bool takes(const plan::Query& query) const { return !made_ && plan::share_groups(*members_.front().query, query); }
  size_t add(std::shared_ptr<const plan::Query> query, RowReceiver& receiver) {
    members_.push_back({std::move(query), &receiver});
    return members_.size() - 1;
  }
  /// Its receiver is not called any more. Stages that nobody is left of are gone.
  void leave(size_t member) {
    members_[member].receiver = nullptr;
    if (!made_) return;
    Place& left = places_[member];
    size_t heir = members_.size();
    for (size_t m = members_.size(); m-- > 0;) {
      if (m != member && members_[m].receiver != nullptr && places_[m].stage == left.stage) heir = m;
    }
    if (heir == members_.size()) {
      std::erase_if(stages_, [&](const auto& stage) { return stage.get() == left.stage; });
    } else {
      places_[heir].drives |= left.drives;
      left.shared->drop_reader(left.reader);
    }
    left = {};
  }
  void keep_late(size_t member, const plan::LateStage& late, RowReceiver& receiver) {
    assert(!made_);
    members_[member].late = &late;
    members_[member].late_receiver = &receiver;
  }

  /// Where a member's rows are worked on. The stage's first member drives it, for all.
  struct Place {
    StageRunner* stage = nullptr;
    WindowedStage* shared = nullptr;  ///< null: the stage is the member's own
    size_t reader = 0;
    bool drives = false;
  };
  const Place& place(size_t member) {
    std::call_once(once_, [&] { make(); });
    return places_[member];
  }
  void mark_gap(size_t member, Micros from, Micros until) {
    if (!made_) gaps_.push_back({from, until});  // No row has come for any of them.
    else if (places_[member].drives) places_[member].stage->mark_gap(from, until);
  }
  const Place* place_if_made(size_t member) const { return made_ ? &places_[member] : nullptr; }

 private:
  struct Joined {
    std::shared_ptr<const plan::Query> query;  ///< stages look at its options, also when it has left
    RowReceiver* receiver;                     ///< null: it has left
    const plan::LateStage* late = nullptr;
    RowReceiver* late_receiver = nullptr;
  };

  void make() {
    places_.resize(members_.size());
    std::vector<const plan::Query*> queries;
    std::vector<size_t> sharers;
    for (size_t m = 0; m < members_.size(); ++m) {
      if (members_[m].late != nullptr || members_[m].receiver == nullptr) continue;
      queries.push_back(members_[m].query.get());
      sharers.push_back(m);
    }
    if (queries.size() >= 2) {
      shared_ = plan::shared_stage(queries);
      std::vector<GroupReader> readers;
      for (size_t s = 0; s < sharers.size(); ++s)
        readers.push_back({queries[s], members_[sharers[s]].receiver, shared_.columns[s]});
      const Micros pane_us = plan::split(*queries.front(), options_.pane_us_max).edge.pane_us;
      auto stage =
          make_windowed_stage(shared_.stage, 0, pane_us, options_.edges, options_.ship, true, options_, readers);
      for (size_t s = 0; s < sharers.size(); ++s) places_[sharers[s]] = {stage.get(), stage.get(), s, s == 0};
      stages_.push_back(std::move(stage));
    }
    for (size_t m = 0; m < members_.size(); ++m) {
      if (places_[m].stage != nullptr || members_[m].receiver == nullptr) continue;
      stages_.push_back(make_stage(*members_[m].query, 0, options_, *members_[m].receiver));
      places_[m] = {stages_.back().get(), nullptr, 0, true};
      if (members_[m].late != nullptr) stages_.back()->keep_late(*members_[m].late, *members_[m].late_receiver);
    }
    for (const auto& [from, until] : gaps_) {
      for (const auto& stage : stages_) stage->mark_gap(from, until);
    }
    made_ = true;
  }

  const EngineOptions options_;
  std::vector<Joined> members_;
  std::vector<std::pair<Micros, Micros>> gaps_;  ///< before it was made
  std::once_flag once_;
  bool made_ = false;
  plan::SharedStage shared_;  // Before the stages that read it.
  std::vector<std::unique_ptr<StageRunner>> stages_;
  std::vector<Place> places_;
};

/// A query's part in a group.
class StageSharing::Member final : public StageRunner {
 public:
  Member(std::shared_ptr<Group> group, std::shared_ptr<const plan::Query> query, RowReceiver& receiver)
      : group_(std::move(group)), number_(group_->add(std::move(query), receiver)) {}
  ~Member() override { group_->leave(number_); }

  void process(const batch::ColumnBatch& rows, const ProcessContext& context) override {
    const Group::Place& place = group_->place(number_);
    if (place.drives) place.stage->process(rows, context);
  }
  void advance(Micros watermark) override {
    const Group::Place& place = group_->place(number_);
    if (place.drives) place.stage->advance(watermark);
  }
  Micros next_cut(Micros watermark) const override { return group_->place(number_).stage->next_cut(watermark); }
  WindowLedger ledger() const override {
    const Group::Place* place = group_->place_if_made(number_);
    if (place == nullptr) return {};
    return place->shared != nullptr ? place->shared->ledger_of(place->reader) : place->stage->ledger();
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    const Group::Place* place = group_->place_if_made(number_);
    if (place != nullptr && place->drives) place->stage->add_state_octets(nodes);
  }
  std::vector<WindowRecord> recent_windows() const override {
    const Group::Place* place = group_->place_if_made(number_);
    return place == nullptr ? std::vector<WindowRecord>{} : place->stage->recent_windows();
  }
  void keep_late(const plan::LateStage& late, RowReceiver& receiver) override {
    group_->keep_late(number_, late, receiver);
  }
  void mark_gap(Micros from, Micros until) override { group_->mark_gap(number_, from, until); }
  void on_rows(const WindowRef&, batch::ColumnBatch&, bool) override { assert(!"fed by a stream"); }
  void on_frontier(Micros) override { assert(!"fed by a stream"); }

 private:
  const std::shared_ptr<Group> group_;
  const size_t number_;
};

StageSharing::StageSharing(const EngineOptions& options) : options_(options) {}
StageSharing::~StageSharing() = default;

std::unique_ptr<StageRunner> StageSharing::make_first_stage(const std::shared_ptr<const plan::Query>& query,
                                                            RowReceiver& receiver) {
  if (!options_.share || !plan::share_groups(*query, *query)) return make_stage(*query, 0, options_, receiver);
  std::erase_if(groups_, [](const auto& group) { return group.use_count() == 1; });  // All its members have left.
  for (const auto& group : groups_) {
    if (group->takes(*query)) return std::make_unique<Member>(group, query, receiver);
  }
  groups_.push_back(std::make_shared<Group>(options_));
  return std::make_unique<Member>(groups_.back(), query, receiver);
}

}  // namespace backstream::exec
