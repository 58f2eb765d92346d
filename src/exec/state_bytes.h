#pragma once
// The bytes of saved states (docs/design/0021-checkpoints.md): how the parts of a stage are written and read back.
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "exec/engine.h"
#include "exec/tail.h"
#include "partial/value_bytes.h"
#include "window/pane_counts.h"

namespace backstream::exec {

/// Event times of what is kept are within these bounds (year 146,000), so that the arithmetic of windows cannot
/// overflow.
inline constexpr Micros kSavedTimeMax = Micros{1} << 62;

/// Appends to octets that somebody else owns. One thread.
class StateWriter {
 public:
  explicit StateWriter(std::vector<uint8_t>& out) : out_(out) {}
  void number(uint64_t value) { base::put_varint(out_, value); }
  void time(Micros value) { base::put_varint_signed(out_, value); }
  void flag(bool value) { out_.push_back(value ? 1 : 0); }
  void real(double value);
  void text(std::string_view value);
  void value(const batch::Column& column, size_t row) { partial::put_value(out_, column, row); }
  /// What write() appends, with its length before it: it can be read apart from what follows.
  template <typename Write>
  void part(Write&& write) {
    const size_t at = begin_part();
    write();
    end_part(at);
  }
  std::vector<uint8_t>& octets() { return out_; }

 private:
  size_t begin_part();
  void end_part(size_t at);
  std::vector<uint8_t>& out_;
};

/// Reads octets that may be anything. After the first that does not fit, refused() is true and every read gives zero or
/// nothing, so that who reads several things asks once, before he believes them. One thread.
class StateReader {
 public:
  explicit StateReader(std::span<const uint8_t> octets) : cursor_(octets) {}
  bool refused() const { return refused_; }
  void refuse() { refused_ = true; }
  /// Refuses unless it holds.
  bool check(bool holds) {
    refused_ |= !holds;
    return holds;
  }
  /// All has been read, and was as it should be.
  bool is_done() const { return !refused_ && cursor_.rest().empty(); }
  size_t octets_left() const { return refused_ ? 0 : cursor_.rest().size(); }
  /// What has not been read, for who reads it in another way.
  std::span<const uint8_t> rest() const { return refused_ ? std::span<const uint8_t>() : cursor_.rest(); }

  uint64_t number(uint64_t max = UINT64_MAX);
  /// How many follow that take at least `octets_min` (>= 1) each: never more than there is room for.
  size_t count(size_t octets_min = 1);
  int64_t integer();
  /// kMinTime, kMaxTime, or within kSavedTimeMax of 1970.
  Micros time();
  /// Within kSavedTimeMax.
  Micros bounded_time();
  /// kMinTime, or within half of kSavedTimeMax: its distance to any time that is kept is one, too.
  Micros watermark();
  bool flag() { return number(1) != 0; }
  uint64_t octet();
  double real();
  /// Valid as long as the octets are.
  std::string_view text();
  void value(batch::Column& column, size_t row, base::Arena& texts);
  /// A part that StateWriter::part() has written.
  std::span<const uint8_t> part();
  /// An aggregate's state that is new.
  void state(const agg::AggregateFunction& function, uint8_t* state, agg::StateContext& context);

 private:
  partial::Cursor cursor_;
  bool refused_ = false;
};

void save(StateWriter& out, const WindowLedger& ledger);
void load(StateReader& in, WindowLedger& ledger);
void save(StateWriter& out, const window::PaneCounts& counts);
void load(StateReader& in, window::PaneCounts& counts);
/// Rows are read back into a store of the same types.
void save(StateWriter& out, const RowStore& rows);
void load(StateReader& in, const std::vector<batch::Type>& types, RowStore& rows);
void save(StateWriter& out, const expr::Value& value);
void load(StateReader& in, expr::Value& value);
void save(StateWriter& out, const agg::NullResults& nulls);
void load(StateReader& in, agg::NullResults& nulls);

}  // namespace backstream::exec
