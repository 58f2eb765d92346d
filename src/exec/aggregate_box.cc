// aggregate: windows of each group, by the values of a field or by tuples. One closes when a tuple of its own group is
// past its end, or by time-out.
#include <algorithm>
#include <cmath>
#include <limits>
#include <list>

#include "exec/box_groups.h"

namespace backstream::exec {
namespace {

using batch::Column;
using batch::ColumnBatch;
using batch::Physical;

/// Values of the field that makes windows. Where the next one starts may be beyond them: it is of a type with room.
struct WholeValues {
  using Value = int64_t;
  __extension__ using Wide = __int128;
  static Wide floor_to(Wide value, Wide step) {
    const Wide rest = value % step;
    return value - rest - (rest < 0 ? step : 0);
  }
  /// How many steps lie between, from <= to.
  static Wide steps(Wide from, Wide to, Wide step) { return (to - from) / step; }
  static bool is_usable(Value) { return true; }
  static void save(StateWriter& out, Wide value) {
    out.number(static_cast<uint64_t>(value));
    out.time(static_cast<int64_t>(value >> 64));
  }
  static Wide load(StateReader& in) {
    const uint64_t low = in.number();
    const int64_t high = in.integer();
    in.check(high >= -2 && high <= 1);  // The sum of a value and a length.
    return in.refused() ? 0 : static_cast<Wide>(high) * (static_cast<Wide>(1) << 64) + static_cast<Wide>(low);
  }
};
struct RealValues {
  using Value = double;
  using Wide = double;
  static Wide floor_to(Wide value, Wide step) { return std::floor(value / step) * step; }
  static Wide steps(Wide from, Wide to, Wide step) { return std::floor((to - from) / step); }
  static bool is_usable(Value value) { return std::isfinite(value); }
  static void save(StateWriter& out, Wide value) { out.real(value); }
  static Wide load(StateReader& in) {
    const double value = in.real();
    return in.check(std::isfinite(value)) ? value : 0;
  }
};

template <typename Values>
class AggregateBox final : public BoxRunner {
  using Value = typename Values::Value;
  using Wide = typename Values::Wide;

  struct Window;
  struct OfGroup {
    std::vector<Window*> open;  ///< as they were opened
    Wide next = 0;              ///< by values: where the next window starts, once there was a tuple
    bool begun = false;
    mutable size_t number = 0;  ///< scratch of save()
  };
  using Groups = BoxGroups<OfGroup>;
  struct Window {
    typename Groups::Place group;
    typename std::list<Window>::iterator place;
    uint8_t* states = nullptr;
    Micros opened = 0;
    Wide start = 0;
    bool has_start = true;
    uint64_t beyond = 0;  ///< tuples that came from beyond its end
    uint64_t tuples = 0;
  };

 public:
  AggregateBox(const plan::Boxes::Box& box, const batch::Schema& input, BoxContext& context)
      : context_(context),
        box_(box),
        window_(box.window),
        size_(static_cast<Wide>(box.window.size)),
        advance_(static_cast<Wide>(box.window.advance)),
        key_types_(types_of(input, box.group_by)),
        groups_(box.group_by, context.hash_mask),
        states_(std::make_unique<agg::StateContext>()),
        errors_(context),
        left_out_(context.batch_rows),
        numbers_(context.batch_rows),
        closed_(box.output.types(), std::vector<bool>(box.output.columns.size(), true), context.batch_rows) {
    for (const plan::Boxes::Call& call : box.calls) {
      Call& made = calls_.emplace_back();
      made.function = call.aggregate.function;
      made.state_offset = states_octets_;
      states_octets_ += (made.function->state_octets + 7) / 8 * 8;
      made.by_order = call.by_order;
      for (const auto& arg : call.aggregate.args) made.args.emplace_back(expr::clone(*arg), context.batch_rows);
      made.columns.resize(made.args.size() + (call.by_order ? 1 : 0));
    }
    scratch_.resize(states_octets_ / 8);
  }

  void run(Micros until) override {
    const Tuples& in = *in_[0];
    for (size_t first = 0; first < in.size(); first += context_.batch_rows) {
      const ColumnBatch batch = in.slice(first, std::min(context_.batch_rows, in.size() - first));
      compute_arguments(batch);
      for (size_t row = 0; row < batch.row_count; ++row) {
        const Moment& moment = in.moment(first + row);
        close_due(moment.arrival);
        if (left_out_[row] == 0) take(batch, row, moment);
      }
      update();
      seen_ += batch.row_count;
    }
    close_due(until);
    flush();
    if (states_->arena.octets_held() > compact_at_) compact();
  }

  void end() override {
    while (window_.timeout_us && !windows_.empty()) close_oldest({kArrivalEnd, 0});
    std::vector<Window*> open;
    for (Window& window : windows_) open.push_back(&window);
    std::stable_sort(open.begin(), open.end(), [](const Window* a, const Window* b) { return a->start < b->start; });
    for (Window* window : open) {
      if (window_.by_values) send(*window, {kArrivalEnd, 0});
      release(*window);
    }
    flush();
    while (groups_.size() > 0) groups_.erase(groups_.in_order().begin());
  }

  uint64_t octets_held() const override {
    constexpr uint64_t kNode = 32;
    return groups_.octets_held() + windows_.size() * (sizeof(Window) + sizeof(Window*) + kNode) +
           memory_.octets_held() + states_->arena.octets_held();
  }
  uint64_t groups_held() const override { return groups_.size(); }
  void add_to(WindowLedger& ledger) const override { ledger.add(*states_); }

  void save(StateWriter& out) const override {
    exec::save(out, static_cast<const agg::NullResults&>(*states_));
    out.number(seen_);
    out.number(groups_.size());
    size_t number = 0;
    for (const auto& group : groups_.in_order()) {
      groups_.save_key(out, group);
      out.flag(group.begun);
      Values::save(out, group.next);
      group.number = number++;
    }
    out.number(windows_.size());
    for (const Window& window : windows_) {
      out.number(window.group->number);
      out.time(window.opened);
      Values::save(out, window.start);
      out.flag(window.has_start);
      out.number(window.beyond);
      out.number(window.tuples);
      for (const Call& call : calls_) call.function->encode(window.states + call.state_offset, out.octets());
    }
  }
  void load(StateReader& in) override {
    exec::load(in, static_cast<agg::NullResults&>(*states_));
    seen_ = in.number(INT64_MAX / 2);
    std::vector<typename Groups::Place> places;
    for (size_t left = in.count(3); left > 0; --left) {
      const auto group = groups_.load_key(in, key_types_);
      if (in.refused()) return;
      group->begun = in.flag();
      group->next = Values::load(in);
      places.push_back(group);
    }
    for (size_t left = in.count(6); left > 0; --left) {
      const size_t group = in.number();
      const Micros opened = in.bounded_time();
      if (!in.check(group < places.size() && context_.room.take())) return;
      Window& window = open(places[group], opened);
      window.start = Values::load(in);
      window.has_start = in.flag();
      window.beyond = in.number();
      window.tuples = in.number();
      for (const Call& call : calls_) in.state(*call.function, window.states + call.state_offset, *states_);
      if (in.refused()) return;
    }
  }

 private:
  struct Call {
    const agg::AggregateFunction* function = nullptr;
    size_t state_offset = 0;
    bool by_order = false;
    std::vector<expr::Evaluator> args;
    std::vector<Column> columns;  ///< what they are in the batch
  };

  void compute_arguments(const ColumnBatch& batch) {
    uint8_t* errors = errors_.begin();
    for (size_t row = 0; row < batch.row_count; ++row) numbers_[row] = static_cast<int64_t>(seen_ + row);
    for (Call& call : calls_) {
      for (size_t a = 0; a < call.args.size(); ++a)
        call.columns[a] = call.args[a].evaluate(batch, nullptr, context_.ledger.value_errors, errors);
      if (!call.by_order) continue;
      call.columns.back().type = batch::Type::kTimestamptz;
      call.columns.back().values = numbers_.data();
    }
    std::fill(left_out_.begin(), left_out_.end(), uint8_t{0});
    if (!errors_.any()) return;
    for (size_t row = 0; row < batch.row_count; ++row) {
      left_out_[row] = errors_.has(row) ? 1 : 0;
      context_.ledger.errored += left_out_[row];
    }
    errors_.clear();
  }

  void take(const ColumnBatch& batch, size_t row, const Moment& moment) {
    Value value = 0;
    bool has_value = false;
    if (window_.order_on >= 0) {
      const Column& column = batch.columns[static_cast<size_t>(window_.order_on)];
      has_value = !column.is_null(row);
      if (has_value)
        value = batch::physical(column.type) == Physical::kDouble ? static_cast<Value>(column.as<double>()[row])
                                                                  : static_cast<Value>(column.as<int64_t>()[row]);
    }
    if (window_.by_values && (!has_value || !Values::is_usable(value))) {
      ++context_.ledger.box_tuples_refused;
      return;
    }
    const auto [group, is_new] = groups_.find_or_make(batch, row);
    if (is_new && groups_.size() > context_.groups_max) forget(groups_.in_order().begin());
    if (window_.by_values) offer_value(group, value, row, moment);
    else offer_tuple(group, value, has_value, row, moment);
  }

  void offer_value(typename Groups::Place group, Wide value, size_t row, const Moment& moment) {
    open_until(group, value, moment.arrival);
    bool has_window = false;
    size_t kept = 0;
    for (size_t w = 0; w < group->open.size(); ++w) {
      Window& window = *group->open[w];
      if (value >= window.start + size_ && window.beyond++ >= window_.slack) {
        send(window, moment);
        discard(window);
        continue;
      }
      if (value >= window.start && value < window.start + size_) {
        add(window, row);
        has_window = true;
      }
      group->open[kept++] = &window;
    }
    group->open.resize(kept);
    if (!has_window) ++context_.ledger.box_tuples_refused;  // It is too late for all, or there was no room.
  }
  /// Opens the windows that start at or before the value, as far as there is room for them.
  void open_until(typename Groups::Place group, Wide value, Micros arrival) {
    Wide& next = group->next;
    if (!group->begun) {
      constexpr auto kLeast = static_cast<Wide>(std::numeric_limits<Value>::lowest());
      next = window_.is_aligned ? std::max(Values::floor_to(value, advance_), kLeast) : value;
      group->begun = true;
    }
    // Of a gap, windows that nobody would see.
    if (window_.drops_empty && window_.slack == 0 && next + size_ <= value)
      next += (Values::steps(next + size_, value, advance_) + 1) * advance_;
    if (value < next) return;
    constexpr auto kMost = static_cast<Wide>(plan::kGapWindowsMax);
    if (const Wide count = Values::steps(next, value, advance_) + 1; count > kMost) {
      next += (count - kMost) * advance_;
      constexpr auto kCounted = static_cast<Wide>(int64_t{1} << 62);
      context_.ledger.box_windows_skipped += static_cast<uint64_t>(std::min(count - kMost, kCounted));
    }
    while (next <= value) {
      // Of reals, steps may be too small to matter.
      if (next + advance_ <= next || !context_.room.take()) return;
      open(group, arrival).start = next;
      next += advance_;
    }
  }

  void offer_tuple(typename Groups::Place group, Wide value, bool has_value, size_t row, const Moment& moment) {
    if (group->open.empty() || static_cast<Wide>(group->open.back()->tuples) >= advance_) {
      if (context_.room.take()) {
        Window& window = open(group, moment.arrival);
        window.start = value;
        window.has_start = has_value;
      } else {
        ++context_.ledger.box_tuples_refused;
      }
    }
    for (Window* window : group->open) add(*window, row);
    if (!group->open.empty() && static_cast<Wide>(group->open.front()->tuples) >= size_) {
      Window& window = *group->open.front();  // No two were opened by one tuple.
      send(window, moment);
      group->open.erase(group->open.begin());
      discard(window);
    }
    if (group->open.empty()) groups_.erase(group);
  }

  static constexpr size_t kUpdatesMax = 65'536;

  void add(Window& window, size_t row) {
    ++window.tuples;
    updated_states_.push_back(window.states);
    updated_rows_.push_back(static_cast<uint32_t>(row));
    if (updated_rows_.size() >= kUpdatesMax) update();
  }
  /// Rows wait until a window closes, so that functions see many at a time.
  void update() {
    if (updated_rows_.empty()) return;
    for (Call& call : calls_) {
      call.function->update(updated_states_.data(), call.state_offset, call.columns.data(), updated_rows_.data(),
                            updated_rows_.size(), *states_);
    }
    updated_states_.clear();
    updated_rows_.clear();
  }

  /// Room has been taken.
  Window& open(typename Groups::Place group, Micros arrival) {
    Window& window = windows_.emplace_back();
    window.place = std::prev(windows_.end());
    window.group = group;
    window.opened = arrival;
    if (free_.empty()) {
      window.states = static_cast<uint8_t*>(memory_.allocate(std::max<size_t>(states_octets_, 8)));
    } else {
      window.states = free_.back();
      free_.pop_back();
    }
    begin(window.states);
    group->open.push_back(&window);
    return window;
  }
  void begin(uint8_t* states) const {
    std::fill_n(states, states_octets_, uint8_t{0});
    for (const Call& call : calls_) {
      if (call.function->init != nullptr) call.function->init(states + call.state_offset);
    }
  }
  /// Its group does not know it any more.
  void discard(Window& window) {
    update();  // It may be among those that wait.
    free_.push_back(window.states);
    windows_.erase(window.place);
    context_.room.give();
  }
  /// With its place among those of its group.
  void release(Window& window) {
    std::erase(window.group->open, &window);
    discard(window);
  }

  Micros due(const Window& window) const { return window.opened + *window_.timeout_us + 1; }
  void close_due(Micros now) {
    while (window_.timeout_us && !windows_.empty() && due(windows_.front()) <= now)
      close_oldest({due(windows_.front()), 0});
  }
  void close_oldest(const Moment& moment) {
    Window& window = windows_.front();
    const auto group = window.group;
    send(window, moment);
    release(window);
    // What was seen by values tells where windows start; by tuples there is nothing to know.
    if (!window_.by_values && group->open.empty()) groups_.erase(group);
  }
  void forget(typename Groups::Place group) {
    while (!group->open.empty()) {
      context_.ledger.box_tuples_refused += group->open.back()->tuples;
      release(*group->open.back());
    }
    groups_.erase(group);
  }

  void send(const Window& window, const Moment& moment) {
    if (window_.drops_empty && window.tuples == 0) return;
    update();
    if (moments_.size() == context_.batch_rows) flush();
    const size_t row = moments_.size();
    for (Column& column : closed_.batch.columns) column.has_nulls = true;
    groups_.put_values(*window.group, closed_.batch, row, closed_.texts);
    size_t at = key_types_.size();
    if (window_.outputs_start) {
      Column& start = closed_.batch.columns[at++];
      start.validity[row] = window.has_start ? 1 : 0;
      if (batch::physical(start.type) == Physical::kDouble) start.as<double>()[row] = static_cast<double>(window.start);
      else start.as<int64_t>()[row] = static_cast<int64_t>(window.start);
    }
    const uint8_t* states = window.states;
    for (const Call& call : calls_)
      call.function->finish(&states, call.state_offset, 1, closed_.batch.columns[at++], row, *states_);
    moments_.push_back(moment);
  }
  void flush() {
    closed_.batch.row_count = moments_.size();
    out_[0]->append(closed_.batch, context_.all_rows.data(), moments_.size(), moments_.data());
    moments_.clear();
    closed_.reset();
  }

  /// An arena gives nothing back by itself: what open windows have in it is copied to a new one.
  void compact() {
    auto fresh = std::make_unique<agg::StateContext>();
    static_cast<agg::NullResults&>(*fresh) = *states_;
    auto* old = reinterpret_cast<uint8_t*>(scratch_.data());
    for (Window& window : windows_) {
      std::copy_n(window.states, states_octets_, old);
      begin(window.states);
      for (const Call& call : calls_)
        call.function->combine(window.states + call.state_offset, old + call.state_offset, *fresh);
    }
    states_ = std::move(fresh);
    compact_at_ = std::max(kContextOctetsMin, 2 * states_->arena.octets_held());
  }

  static constexpr size_t kContextOctetsMin = size_t{16} << 20;

  BoxContext& context_;
  const plan::Boxes::Box& box_;
  const plan::Boxes::Window& window_;
  const Wide size_, advance_;
  const std::vector<batch::Type> key_types_;
  Groups groups_;
  std::list<Window> windows_;  ///< all that are open, as they were opened: that is how they become due
  std::vector<Call> calls_;
  size_t states_octets_ = 0;
  uint64_t seen_ = 0;  ///< tuples that came before those of the batch
  base::Arena memory_;
  std::vector<uint8_t*> free_;  ///< states of windows that are gone
  std::unique_ptr<agg::StateContext> states_;
  size_t compact_at_ = kContextOctetsMin;
  // Scratch of one batch.
  ErrorRows errors_;
  std::vector<uint8_t> left_out_;
  std::vector<int64_t> numbers_;
  std::vector<uint8_t*> updated_states_;
  std::vector<uint32_t> updated_rows_;
  std::vector<uint64_t> scratch_;
  // What goes out.
  batch::BatchBuffer closed_;
  std::vector<Moment> moments_;
};

bool is_whole(double length) { return length == std::floor(length); }

}  // namespace

std::unique_ptr<BoxRunner> make_aggregate_box(const plan::Boxes::Box& box, const batch::Schema& input,
                                              BoxContext& context) {
  const plan::Boxes::Window& window = box.window;
  const bool whole = window.order_on < 0 ||
                     (batch::physical(input.columns[static_cast<size_t>(window.order_on)].type) == Physical::kInt64 &&
                      is_whole(window.size) && is_whole(window.advance));
  if (whole) return std::make_unique<AggregateBox<WholeValues>>(box, input, context);
  return std::make_unique<AggregateBox<RealValues>>(box, input, context);
}

}  // namespace backstream::exec
