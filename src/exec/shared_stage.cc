#include "exec/shared_stage.h"

#include <cassert>
#include <deque>
#include <map>
#include <mutex>
#include <random>

#include "exec/state_bytes.h"
#include "exec/windowed_stage.h"
#include "plan/share.h"
#include "plan/split.h"

namespace backstream::exec {
namespace {

/// Never 0, and of no other process that may have saved its state. All take equally many octets.
uint64_t new_cohort() {
  std::random_device random;
  return (uint64_t{random()} << 32 | random()) | uint64_t{1} << 63;
}

class NoReceiver final : public RowReceiver {
 public:
  void on_rows(const WindowRef&, batch::ColumnBatch&, bool) override {}
  void on_frontier(Micros) override {}
};

}  // namespace

/// Queries whose groups are the same. Once their first rows come, those whose late rows nobody reads have one stage
/// together; each of the others has its own, as `<view>_late` is of its own aggregates. Queries
/// whose saved states are taken over share only with those that they shared with before: others have seen other rows.
class StageSharing::Group {
 public:
  explicit Group(const EngineOptions& options) : options_(options) {}

  bool takes(const plan::Query& query) const { return !made_ && plan::share_groups(*members_.front().query, query); }
  size_t add(std::shared_ptr<const plan::Query> query, RowReceiver& receiver) {
    Joined& joined = members_.emplace_back();
    joined.query = std::move(query);
    joined.receiver = &receiver;
    return members_.size() - 1;
  }
  /// Its receiver is not called any more. Stages that nobody is left of are gone.
  void leave(size_t member) {
    members_[member].receiver = nullptr;
    members_[member].saved = {};
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
    uint64_t cohort = 0;  ///< of all that share the stage the same, and of no others; 0: it is not shared
  };
  const Place& place(size_t member) {
    std::call_once(once_, [&] { make(); });
    return places_[member];
  }
  void mark_gap(size_t member, Micros from, Micros until) {
    if (!made_) gaps_.push_back({member, from, until});
    else if (places_[member].drives) places_[member].stage->mark_gap(from, until);
  }
  const Place* place_if_made(size_t member) const { return made_ ? &places_[member] : nullptr; }
  /// The octets are looked at by making a stage of them, which is thrown away: which one they go to is known when all
  /// have theirs.
  void restore(size_t member, uint64_t cohort, std::span<const uint8_t> saved, StateReader& in) {
    if (!in.check(!made_)) return;
    Joined& joined = members_[member];
    NoReceiver receiver;
    const auto tried = make_stage(*joined.query, 0, options_, receiver);
    if (joined.late != nullptr) tried->keep_late(*joined.late, receiver);
    StateReader reader(saved);
    tried->load_state(reader);
    if (!in.check(reader.is_done())) return;
    joined.cohort = cohort;
    joined.saved.assign(saved.begin(), saved.end());
  }

 private:
  struct Joined {
    std::shared_ptr<const plan::Query> query;  ///< stages look at its options, also when it has left
    RowReceiver* receiver = nullptr;           ///< null: it has left
    const plan::LateStage* late = nullptr;
    RowReceiver* late_receiver = nullptr;
    uint64_t cohort = 0;         ///< when it was saved
    std::vector<uint8_t> saved;  ///< empty: it begins now
    bool shares() const { return late == nullptr && receiver != nullptr && (saved.empty() || cohort != 0); }
  };

  void make() {
    places_.resize(members_.size());
    std::map<uint64_t, std::vector<size_t>> cohorts;  // 0: those that begin now.
    for (size_t m = 0; m < members_.size(); ++m) {
      if (members_[m].shares()) cohorts[members_[m].cohort].push_back(m);
    }
    for (const auto& [cohort, sharers] : cohorts) {
      if (sharers.size() >= 2) make_shared(sharers);
    }
    for (size_t m = 0; m < members_.size(); ++m) {
      if (places_[m].stage != nullptr || members_[m].receiver == nullptr) continue;
      stages_.push_back(make_stage(*members_[m].query, 0, options_, *members_[m].receiver));
      places_[m] = {stages_.back().get(), nullptr, 0, true, 0};
      if (members_[m].late != nullptr) stages_.back()->keep_late(*members_[m].late, *members_[m].late_receiver);
      load(m, [&](StateReader& in) { stages_.back()->load_state(in); });
    }
    for (const auto& [member, from, until] : gaps_) {
      if (places_[member].stage != nullptr) places_[member].stage->mark_gap(from, until);
    }
    made_ = true;
  }
  void make_shared(const std::vector<size_t>& sharers) {
    std::vector<const plan::Query*> queries;
    for (const size_t m : sharers) queries.push_back(members_[m].query.get());
    const plan::SharedStage& shared = shared_.emplace_back(plan::shared_stage(queries));
    std::vector<GroupReader> readers;
    for (size_t s = 0; s < sharers.size(); ++s)
      readers.push_back({queries[s], members_[sharers[s]].receiver, shared.columns[s]});
    const Micros pane_us = plan::split(*queries.front(), options_.pane_us_max).edge.pane_us;
    auto stage = make_windowed_stage(shared.stage, 0, pane_us, options_.edges, options_.ship, true, options_, readers);
    const uint64_t cohort = new_cohort();
    for (size_t s = 0; s < sharers.size(); ++s) {
      places_[sharers[s]] = {stage.get(), stage.get(), s, s == 0, cohort};
      load(sharers[s], [&](StateReader& in) { stage->load_reader(s, in); });
    }
    stages_.push_back(std::move(stage));
  }
  /// What restore() has kept.
  template <typename Load>
  void load(size_t member, Load&& load_from) {
    const std::vector<uint8_t> saved = std::move(members_[member].saved);
    StateReader in(saved);
    if (!saved.empty()) load_from(in);
  }

  const EngineOptions options_;
  std::vector<Joined> members_;
  struct Gap {
    size_t member;
    Micros from, until;
  };
  std::vector<Gap> gaps_;  ///< before it was made
  std::once_flag once_;
  bool made_ = false;
  std::deque<plan::SharedStage> shared_;  // Before the stages that read them.
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
  Micros next_cut(Micros watermark) const override {
    // Whoever asks before anything has begun does not decide yet who shares with whom.
    if (watermark == base::kMinTime && group_->place_if_made(number_) == nullptr) return base::kMinTime + 1;
    return group_->place(number_).stage->next_cut(watermark);
  }
  WindowLedger ledger() const override {
    const Group::Place* place = group_->place_if_made(number_);
    if (place == nullptr) return {};
    return place->shared != nullptr ? place->shared->ledger_of(place->reader) : place->stage->ledger();
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    const Group::Place* place = group_->place_if_made(number_);
    if (place != nullptr && place->drives) place->stage->add_state_octets(nodes);
  }
  uint64_t groups_held() const override {
    const Group::Place* place = group_->place_if_made(number_);
    return place != nullptr && place->drives ? place->stage->groups_held() : 0;
  }
  std::vector<WindowRecord> recent_windows() const override {
    const Group::Place* place = group_->place_if_made(number_);
    return place == nullptr ? std::vector<WindowRecord>{} : place->stage->recent_windows();
  }
  void keep_late(const plan::LateStage& late, RowReceiver& receiver) override {
    group_->keep_late(number_, late, receiver);
  }
  void mark_gap(Micros from, Micros until) override { group_->mark_gap(number_, from, until); }
  void save_state(StateWriter& out) override {
    const Group::Place& place = group_->place(number_);
    out.number(place.cohort);
    out.part([&] {
      if (place.shared != nullptr) place.shared->save_reader(place.reader, out);
      else place.stage->save_state(out);
    });
  }
  void load_state(StateReader& in) override {
    const uint64_t cohort = in.number();
    const auto saved = in.part();
    if (!in.refused()) group_->restore(number_, cohort, saved, in);
  }
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
