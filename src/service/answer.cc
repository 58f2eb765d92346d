#include "service/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "plan/explain.h"

namespace backstream::service {

using base::Result;
using history::Store;
using receiver::PartSource;

namespace {

using Part = std::shared_ptr<const ResultPart>;

constexpr uint64_t kPageRows = 100'000;           ///< of history in memory at once
constexpr size_t kPageOctets = size_t{16} << 20;  ///< of what comes
constexpr int64_t kPartsAhead = 8;                ///< of the reader
constexpr auto kComingEvery = std::chrono::milliseconds(100);
/// How often it is looked whether the reader has read: soon at first, and seldom where he stands still.
constexpr auto kRoomFirst = std::chrono::milliseconds(1), kRoomLast = std::chrono::milliseconds(50);
constexpr Micros kSliceMax = Micros{366} * 86'400 * base::kMicrosPerSecond;
constexpr auto kRestOfWindow = std::chrono::seconds(3);  ///< the parts of a window are written one after another

/// What a view and everything that the query reads of it comes to.
struct Reading {
  const plan::Relation* view = nullptr;
  std::vector<bool> used;
  plan::TimeRange range;
  bool has_default = false;  ///< somewhere no lower bound was given
};

/// By view, once each.
std::vector<Reading> readings_of(const plan::Query& query, Micros now) {
  std::vector<Reading> all;
  for (plan::ViewRead& read : plan::views_read(query)) {
    const bool has_default = !read.range.has_from();
    if (has_default) {
      const Micros size = read.view->window ? read.view->window->size_us : read.view->window_size_us;
      read.range.from = std::min(now, read.range.until) - std::max(Answer::kPast, 2 * size);
    }
    const auto known =
        std::find_if(all.begin(), all.end(), [&](const Reading& r) { return r.view->name == read.view->name; });
    if (known == all.end()) {
      all.push_back({read.view, std::move(read.used), read.range, has_default});
      continue;
    }
    known->range.from = std::min(known->range.from, read.range.from);
    known->range.until = std::max(known->range.until, read.range.until);
    known->has_default = known->has_default || has_default;
    known->used.resize(std::max(known->used.size(), read.used.size()));
    for (size_t c = 0; c < read.used.size(); ++c) known->used[c] = known->used[c] || read.used[c];
  }
  return all;
}

std::string time_text(Micros time) { return base::format_timestamp(time); }

/// Since when history has windows of a query; nullopt: it has none.
Result<std::optional<Micros>> kept_since(Store& store, const PartSource::QueryId& id) {
  Store::Range nothing;
  nothing.until = nothing.from;
  const auto read = store.read(id, nothing);
  if (!read) return tl::unexpected(read.error());
  return read->kept_since;
}

Micros next_start(const plan::Relation& view, Micros start) {
  if (!view.window) return start + 1;
  if (view.window->calendar) return view.window->calendar->window_of(start).end;
  return start + view.window->slide_us;
}

}  // namespace

/// The windows of one view, on their way to the engine.
class Answer::Feed {
 public:
  Feed(Store& store, exec::Engine& engine, PartSource::QueryId id, Reading reading, Micros now)
      : store_(store),
        engine_(engine),
        id_(std::move(id)),
        view_(*reading.view),
        used_(std::move(reading.used)),
        range_(reading.range),
        now_(now),
        is_past_(range_.until <= now),
        frontier_(range_.from),
        slice_at_(range_.from),
        slice_us_(16 * (view_.window ? view_.window->slide_us : 225 * base::kMicrosPerSecond)) {
    used_.resize(view_.schema.columns.size());
    engine_.add_view(id_.name);
  }

  /// Finds out what there is. Before all else.
  Result<void> begin(std::vector<std::string>& notices, bool has_default) {
    const auto since = kept_since(store_, id_);
    if (!since) return tl::unexpected(since.error());
    place_ = store_.last_seq(id_);
    const auto last = store_.last_window(id_);
    if (!last) return tl::unexpected(last.error());
    slice_at_ = std::max(range_.from, since->value_or(base::kMaxTime));
    last_whole_ = last->value_or(base::kMinTime);
    if (!*since) known_from_ = std::max(range_.from, now_);
    else if (has_default || **since > next_start(view_, range_.from)) known_from_ = std::max(range_.from, **since);
    const std::string of = fmt::format("history has results of \"{}\"", id_.name);
    if (!*since) {
      notices.push_back(fmt::format("history has no results of \"{}\" yet", id_.name));
    } else if (has_default) {
      notices.push_back(
          fmt::format("results of \"{}\" are read from {} on; {} since {}: ask for more by a condition such as "
                      "window_start >= now() - interval '24 h'",
                      id_.name, time_text(std::max(range_.from, **since)), of, time_text(**since)));
    } else if (**since > next_start(view_, range_.from)) {
      notices.push_back(fmt::format("{} only since {}", of, time_text(**since)));
    }
    return {};
  }

  const std::string& name() const { return id_.name; }
  Micros frontier() const { return frontier_; }
  bool has_past() const { return slice_at_ < range_.until; }
  bool ends() const { return range_.has_until(); }
  /// Nothing that is asked for is to come.
  bool is_done() const {
    if (frontier_ >= range_.until) return true;
    if (!is_past_ || has_past() || !has_looked_) return false;
    return !window_ || std::chrono::steady_clock::now() >= give_up_at_;
  }
  uint64_t skipped() const { return skipped_; }
  /// A version of the view came whose columns are others than the query was bound to.
  bool has_changed() const { return changed_; }

  /// The query is there: what it will not see of the time that is asked for, it knows before the first row.
  void join(size_t query_number) {
    query_ = query_number;
    engine_.mark_gap(query_, base::kMinTime, known_from_);
  }

  /// Gives a piece of what history has: by time, so that no more is read than is asked for. What comes meanwhile, and
  /// after it, is given by number: parts up to `place_` here, later ones by give_coming().
  Result<void> give_past() {
    Store::Range slice;
    slice.from = slice_at_;
    // Up to the last window that is whole no more comes; beyond there may be pieces, and all is one slice.
    slice.until =
        slice_at_ > last_whole_ ? range_.until : std::min({range_.until, slice_at_ + slice_us_, last_whole_ + 1});
    slice.after_seq = slice_after_;
    slice.rows_max = kPageRows;
    place_ = store_.last_seq(id_);
    auto read = store_.read(id_, slice);
    if (!read) return tl::unexpected(std::move(read.error()));
    std::stable_sort(read->parts.begin(), read->parts.end(),
                     [](const Part& a, const Part& b) { return a->window_start < b->window_start; });
    uint64_t rows = 0;
    for (const Part& part : read->parts) {
      rows += part->rows.row_count;
      if (part->seq <= place_) take(*part);
    }
    if (read->next_seq) {
      slice_after_ = *read->next_seq;
      return {};
    }
    slice_after_ = 0;
    slice_at_ = slice.until;
    if (rows > kPageRows / 2) slice_us_ = std::max<Micros>(slice_us_ / 2, 1);
    if (rows < kPageRows / 8) slice_us_ = std::min(slice_us_ * 2, kSliceMax);
    return {};
  }

  /// No more is to come of a window that has begun.
  /// @return  windows that begin from here on are asked for, too, and not final yet; nullopt: all were given
  std::optional<Micros> end() {
    if (window_) close(false);
    if (frontier_ >= range_.until || (last_whole_ >= range_.until && newest_open_ < frontier_)) return std::nullopt;
    engine_.mark_gap(query_, frontier_, range_.until);
    return frontier_;
  }

  /// Gives what has come since. At least once after what history had.
  Result<void> give_coming() {
    for (;;) {
      auto read = store_.read_after(id_, place_, kPageOctets);
      if (!read) return tl::unexpected(std::move(read.error()));
      if (read->parts.empty()) break;
      for (const Part& part : read->parts) {
        place_ = part->seq;
        take(*part);
        if (frontier_ >= range_.until) return {};
      }
    }
    if (!std::exchange(has_looked_, true)) give_up_at_ = std::chrono::steady_clock::now() + kRestOfWindow;
    return {};
  }

 private:
  struct Open {
    exec::WindowRef ref;
    uint32_t version = 0, next_part = 0;
    std::string sites_missing;
    bool usable = true;
  };

  void take(const ResultPart& part) {
    if (!part.windowed() || part.removed) return;
    if (!part.final) {
      if (part.window_start < range_.until) newest_open_ = std::max(newest_open_, part.window_start);
      return;
    }
    // What is given once more, by a process that went on from an older state or for a site that came back, has been
    // read: a view over this one would not read it again either.
    if (part.window_start < frontier_ && !(window_ && window_->ref.start == part.window_start)) return;
    if (part.window_start < range_.from) return;
    if (window_ && (window_->ref.start != part.window_start || window_->ref.revision != part.revision ||
                    window_->version != part.version))
      close(false);
    if (part.window_start < frontier_) return;
    if (part.window_start >= range_.until) return pass(part.window_start);
    if (!window_) open(part);
    // Parts that are missing were refused by history.
    if (part.part != window_->next_part) window_->ref.complete = false;
    window_->next_part = part.part + 1;
    if (window_->usable) {
      batch::ColumnBatch rows = mapped(part);
      engine_.give(id_.name, window_->ref, rows, part.last, window_->sites_missing);
    }
    if (part.last) close(true);
  }

  void open(const ResultPart& part) {
    pass(part.window_start);
    window_ = Open{};
    window_->ref = {part.window_start, part.window_end, part.revision, true, part.complete};
    window_->version = part.version;
    for (const std::string& site : part.sites_missing)
      window_->sites_missing += (window_->sites_missing.empty() ? "" : ",") + site;
    window_->usable = is_usable(part.form);
    if (!window_->usable) {
      ++skipped_;
      engine_.mark_gap(query_, part.window_start, part.window_end);
      changed_ = changed_ || (usable_version_ != 0 && part.version > usable_version_);
    } else {
      usable_version_ = part.version;
    }
  }

  /// @param is_whole  its last part was given
  void close(bool is_whole) {
    if (!is_whole && window_->usable) {
      window_->ref.complete = false;
      batch::ColumnBatch none;
      for (const batch::ColumnDef& column : view_.schema.columns) none.columns.push_back({column.type});
      engine_.give(id_.name, window_->ref, none, true, window_->sites_missing);
    }
    const Micros start = window_->ref.start;
    window_.reset();
    pass(next_start(view_, start));
  }

  void pass(Micros frontier) {
    if (frontier <= frontier_) return;
    frontier_ = frontier;
    engine_.pass(id_.name, frontier);
  }

  /// Finds the columns that the query reads among those of a version of the view.
  bool is_usable(const std::shared_ptr<const ResultForm>& form) {
    if (form == form_) return form_usable_;
    form_ = form;
    columns_.assign(used_.size(), -1);
    form_usable_ = true;
    for (size_t c = 0; c < used_.size(); ++c) {
      const batch::ColumnDef& column = view_.schema.columns[c];
      const int found = form->schema.find(column.name);
      if (found >= 0 && form->schema.columns[static_cast<size_t>(found)].type == column.type) columns_[c] = found;
      else form_usable_ = form_usable_ && !used_[c];
    }
    return form_usable_;
  }
  batch::ColumnBatch mapped(const ResultPart& part) const {
    batch::ColumnBatch rows;
    rows.row_count = part.rows.row_count;
    for (size_t c = 0; c < columns_.size(); ++c) {
      if (columns_[c] >= 0) rows.columns.push_back(part.rows.columns[static_cast<size_t>(columns_[c])]);
      else rows.columns.push_back({view_.schema.columns[c].type});
    }
    return rows;
  }

  Store& store_;
  exec::Engine& engine_;
  const PartSource::QueryId id_;
  const plan::Relation& view_;  // The query's.
  std::vector<bool> used_;
  const plan::TimeRange range_;
  const Micros now_;
  const bool is_past_;          ///< its end is not later than the statement
  Micros frontier_;             ///< starts of windows before are given
  Micros slice_at_, slice_us_;  ///< of what history has: what is read next
  Micros last_whole_ = base::kMinTime;
  Micros known_from_ = base::kMinTime;  ///< what lies before may be missing
  size_t query_ = 0;
  uint64_t slice_after_ = 0;
  uint64_t place_ = 0;  ///< seq: what comes after is read as it comes
  bool has_looked_ = false;
  std::chrono::steady_clock::time_point give_up_at_{};
  std::optional<Open> window_;           ///< of which some parts were given
  Micros newest_open_ = base::kMinTime;  ///< start of windows of which only what is not final has come
  std::shared_ptr<const ResultForm> form_;
  std::vector<int> columns_;  ///< of form_, by column of the view; -1: it has none that is the same
  bool form_usable_ = false, changed_ = false;
  uint32_t usable_version_ = 0;
  uint64_t skipped_ = 0;  ///< windows of versions that lack columns
};

namespace {

/// "53400 its state is too large" as an error.
base::Diagnostic failure_of(const std::string& text) {
  return base::fail(text.substr(0, 5), text.size() > 6 ? text.substr(6) : text).value();
}

}  // namespace

Answer::Answer(Ground ground, std::string name, uint64_t number, QueryRegister::OverViews over, Micros now)
    : ground_(ground), name_(std::move(name)), over_(std::move(over)), engine_([] {
        exec::EngineOptions options;
        options.share = false;  // It has one query.
        return options;
      }()) {
  sink_ = ground_.board.open_whole(name_, {number, 1}, *over_.query, [this] { wait_for_room(); });
  topic_ = ground_.board.topic(name_);
  for (Reading& reading : readings_of(*over_.query, now)) {
    const auto view = over_.views.find(reading.view->name);
    const bool has_default = reading.has_default;
    feeds_.push_back(std::make_unique<Feed>(ground_.store, engine_, PartSource::QueryId{view->first, view->second},
                                            std::move(reading), now));
    if (const auto begun = feeds_.back()->begin(notices_, has_default); !begun) fail(begun.error());
  }
  if (!topic_) fail(base::fail("53400", "there are too many event streams").value());
  number_ = engine_.add_query(over_.query, sink_);
  for (const auto& feed : feeds_) feed->join(number_);
  thread_ = std::thread([this] { run(); });
}

Answer::~Answer() {
  stop_ = true;
  thread_.join();
  ground_.board.close(sink_);
  ground_.board.drop(name_);
}

bool Answer::ends() const {
  return std::all_of(feeds_.begin(), feeds_.end(), [](const auto& feed) { return feed->ends(); });
}

std::string Answer::why() const {
  if (is_past_) return "what history has is being read";
  std::string names;
  for (const auto& [name, incarnation] : over_.views) names.append(names.empty() ? "" : ", ").append(name);
  return fmt::format("what history had is told; the next rows come with the next window of {}", names);
}

void Answer::fail(base::Diagnostic why) {
  const std::lock_guard lock(mutex_);
  if (!failed_) failed_ = std::move(why);
  stop_ = true;
}

/// A reader who is slow makes the answer slow; who has gone, stop it in the end (Sessions).
void Answer::wait_for_room() {
  ++parts_made_;
  for (auto pause = kRoomFirst; parts_made_ - static_cast<int64_t>(topic_->read_id()) > kPartsAhead;
       pause = std::min(2 * pause, kRoomLast)) {
    if (stop_) throw exec::QueryFailed("57014 the answer was ended");
    std::this_thread::sleep_for(pause);
  }
}

Result<void> Answer::check() const {
  if (const std::string& failure = engine_.failure(number_); !failure.empty())
    return tl::unexpected(failure_of(failure));
  for (const auto& feed : feeds_) {
    if (!feed->has_changed()) continue;
    return base::fail("55000", fmt::format("\"{}\" was altered and has other columns now", feed->name()), {},
                      "ask again");
  }
  return {};
}

/// The view that is behind comes first, so that a join keeps little.
Result<void> Answer::feed_past() {
  while (!stop_) {
    Feed* behind = nullptr;
    for (const auto& feed : feeds_) {
      if (feed->has_past() && (behind == nullptr || feed->frontier() < behind->frontier())) behind = feed.get();
    }
    if (behind == nullptr) break;
    if (auto given = behind->give_past(); !given) return given;
    if (auto well = check(); !well) return well;
  }
  return {};
}

Result<void> Answer::feed_coming() {
  const auto all_done = [&] {
    return std::all_of(feeds_.begin(), feeds_.end(), [](const auto& feed) { return feed->is_done(); });
  };
  for (uint64_t come = 0; !stop_ && !all_done();) {
    come = ground_.store.wait_beyond(come, kComingEvery);
    engine_.refresh_lookups();
    for (const auto& feed : feeds_) {
      if (feed->is_done()) continue;
      if (auto given = feed->give_coming(); !given) return given;
    }
    if (auto well = check(); !well) return well;
  }
  return {};
}

void Answer::tell_notice(std::string message) {
  const nlohmann::json told = {{"message", std::move(message)}};
  ground_.board.tell(name_, "notice", told.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void Answer::tell_skipped() {
  for (const auto& feed : feeds_) {
    if (feed->skipped() == 0) continue;
    tell_notice(
        fmt::format("{} windows of \"{}\" were left out: they are of an older version, whose columns are others",
                    feed->skipped(), feed->name()));
  }
}

void Answer::run() {
  auto fed = feed_past();
  is_past_ = false;
  if (fed && !stop_) tell_skipped();
  if (fed) fed = feed_coming();
  if (fed && !stop_) {
    for (const auto& feed : feeds_) {
      if (const auto open = feed->end())
        tell_notice(fmt::format("windows of \"{}\" that begin at {} or later are not in here: none of them is final",
                                feed->name(), time_text(*open)));
    }
    engine_.finish();
    fed = check();
  }
  {
    const std::lock_guard lock(mutex_);
    if (!fed && !failed_ && !stop_) failed_ = std::move(fed.error());
    if (failed_) {
      const nlohmann::json told = {{"code", failed_->code}, {"message", failed_->message}, {"hint", failed_->hint}};
      ground_.board.tell(name_, "failed", told.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    }
  }
  ground_.board.end(name_);
}

std::string Answer::explain(Store& store, const QueryRegister::OverViews& over, Micros now) {
  std::string text = "answered from results that are kept, beside the engine\n";
  for (const Reading& reading : readings_of(*over.query, now)) {
    const auto view = over.views.find(reading.view->name);
    const auto since = kept_since(store, {view->first, view->second});
    text += fmt::format("  {:<10} windows that begin at {} or later{}; {}, {}\n", view->first,
                        time_text(reading.range.from),
                        reading.range.has_until() ? " and before " + time_text(reading.range.until) : "",
                        since && *since ? "history has them since " + time_text(**since) : "history has none",
                        !reading.range.has_until()   ? "then those that come"
                        : reading.range.until <= now ? "then it ends"
                                                     : "then those that come until then");
  }
  return text;
}

}  // namespace backstream::service
