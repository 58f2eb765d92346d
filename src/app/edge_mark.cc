#include "app/edge_mark.h"

#include "base/varint.h"
#include "partial/value_bytes.h"

namespace backstream::app {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kIncarnationsMax = 1 << 20;

using base::put_varint;
using base::put_varint_signed;

bool read(partial::Cursor& in, EdgeMark& mark) {
  uint8_t version = 0;
  uint64_t count = 0;
  if (!in.octet(version) || version != kVersion || !in.u64(count) || count > decode::kSequenceMarksMax) return false;
  for (; count > 0; --count) {
    decode::SequenceName name;
    decode::SequenceMark at;
    if (!in.octet(name.owner.family) || !in.octet(name.owner.prefix_bits) || !in.u64(name.owner.hi) ||
        !in.u64(name.owner.lo) || !in.u32(name.kind) || !in.u64(name.stream) || !in.u64(at.next) ||
        !in.i64(at.exported_at) || !in.i64(at.booted_at))
      return false;
    mark.sequences[name] = at;
  }
  if (!in.u64(count) || count > kIncarnationsMax) return false;
  for (; count > 0; --count) {
    uint64_t incarnation = 0;
    EdgeMark::Rows rows;
    if (!in.u64(incarnation) || !in.u64(rows.open) || !in.u64(rows.lost)) return false;
    mark.rows[incarnation] = rows;
  }
  return in.rest().empty();
}

}  // namespace

std::vector<uint8_t> octets_of(const EdgeMark& mark) {
  std::vector<uint8_t> out = {kVersion};
  put_varint(out, mark.sequences.size());
  for (const auto& [name, at] : mark.sequences) {
    out.push_back(name.owner.family);
    out.push_back(name.owner.prefix_bits);
    for (const uint64_t word : {name.owner.hi, name.owner.lo, uint64_t{name.kind}, name.stream, at.next})
      put_varint(out, word);
    put_varint_signed(out, at.exported_at);
    put_varint_signed(out, at.booted_at);
  }
  put_varint(out, mark.rows.size());
  for (const auto& [incarnation, rows] : mark.rows) {
    for (const uint64_t number : {incarnation, rows.open, rows.lost}) put_varint(out, number);
  }
  return out;
}

bool read_edge_mark(std::span<const uint8_t> octets, EdgeMark& mark) {
  mark = {};
  partial::Cursor in(octets);
  if (read(in, mark)) return true;
  mark = {};
  return false;
}

}  // namespace backstream::app
