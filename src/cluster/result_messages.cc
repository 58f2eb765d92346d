#include "cluster/result_messages.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/varint.h"
#include "exec/state_bytes.h"
#include "partial/value_bytes.h"

namespace backstream::cluster {

namespace {

constexpr uint8_t kMagic[3] = {'B', 'S', 'R'};
constexpr size_t kHeadOctets = 4, kChecksumOctets = 8, kBodyLengthOctets = 4;
constexpr size_t kMessageOctetsMin = 1 + 1 + 1 + kBodyLengthOctets;
constexpr size_t kSliceRows = 4'096;
constexpr uint8_t kFinal = 1, kComplete = 2, kRemoved = 4, kLast = 8, kFlags = 15;

partial::RowForm form_of(const batch::Schema& schema) {
  partial::RowForm form;
  for (const batch::ColumnDef& column : schema.columns) form.types.push_back(column.type);
  form.used.assign(form.types.size(), true);
  return form;
}

/// Where the length of the body goes once it is known.
size_t begin_message(std::vector<uint8_t>& out, ResultMessage::Kind kind, QueryId id) {
  out.push_back(static_cast<uint8_t>(kind));
  base::put_varint(out, id.object);
  base::put_varint(out, id.version);
  out.insert(out.end(), kBodyLengthOctets, 0);
  return out.size();
}
void end_message(std::vector<uint8_t>& out, size_t body) {
  const auto octets = static_cast<uint32_t>(out.size() - body);
  for (size_t i = 0; i < kBodyLengthOctets; ++i)
    out[body - kBodyLengthOctets + i] = static_cast<uint8_t>(octets >> (8 * i));
}

}  // namespace

ResultWriter::ResultWriter(QueryId id, const batch::Schema& schema)
    : id_(id), rows_(form_of(schema)), numbers_(kSliceRows) {}

/// Adds rows from `row` on, until the message is full or all are in it. Returns the first that is not.
size_t ResultWriter::add_rows(const exec::ResultBatch& result, size_t row) {
  while (row < result.rows.row_count && !rows_.is_full()) {
    const size_t n = std::min(kSliceRows, result.rows.row_count - row);
    std::iota(numbers_.begin(), numbers_.begin() + static_cast<long>(n), static_cast<uint32_t>(row));
    rows_.add(result.rows, numbers_.data(), n);
    row += n;
  }
  return row;
}

std::vector<uint8_t> ResultWriter::take(const exec::ResultBatch& result, bool whole) {
  std::vector<uint8_t> out;
  const size_t body = begin_message(out, ResultMessage::Kind::kRows, id_);
  base::put_varint_signed(out, result.window_start);
  base::put_varint_signed(out, result.window_end);
  base::put_varint(out, static_cast<uint64_t>(result.revision));
  out.push_back(static_cast<uint8_t>((result.final ? kFinal : 0) | (result.complete ? kComplete : 0) |
                                     (result.removed ? kRemoved : 0) | (result.last && whole ? kLast : 0)));
  base::put_varint(out, result.edges_missing.size());
  for (const uint32_t edge : result.edges_missing) base::put_varint(out, edge);
  partial::ChunkId chunk;
  chunk.kind = partial::ChunkId::Kind::kRows;
  chunk.last = true;
  const std::vector<uint8_t> rows = rows_.take(chunk);
  out.insert(out.end(), rows.begin(), rows.end());
  end_message(out, body);
  return out;
}

std::vector<uint8_t> ResultWriter::write(const QueryReport& report) const {
  std::vector<uint8_t> out;
  const size_t body = begin_message(out, ResultMessage::Kind::kReport, id_);
  exec::StateWriter writer(out);
  writer.time(report.frontier);
  writer.text(report.failure);
  exec::save(writer, report.ledger);
  const bool knows_whole = report.whole.until != base::kMinTime;
  if (report.ledger.lost != 0 || knows_whole) writer.number(report.ledger.lost);
  if (knows_whole) {
    writer.time(report.whole.until);
    writer.time(report.whole.gaps_until);
  }
  end_message(out, body);
  return out;
}

std::vector<uint8_t> write_result_record(uint64_t generation, uint64_t number, uint64_t message_count,
                                         std::span<const uint8_t> messages) {
  std::vector<uint8_t> out(std::begin(kMagic), std::end(kMagic));
  out.push_back(kResultsVersion);
  base::put_varint(out, generation);
  base::put_varint(out, number);
  base::put_varint(out, message_count);
  out.insert(out.end(), messages.begin(), messages.end());
  partial::put_u64(out, XXH3_64bits(out.data(), out.size()));
  return out;
}

bool read_result_record(std::span<const uint8_t> bytes, ResultRecord& record) {
  if (bytes.size() < kHeadOctets + kChecksumOctets || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0 ||
      bytes[3] != kResultsVersion)
    return false;
  const auto content = bytes.first(bytes.size() - kChecksumOctets);
  if (XXH3_64bits(content.data(), content.size()) != partial::get_u64(content.data() + content.size())) return false;
  partial::Cursor in(content.subspan(kHeadOctets));
  uint64_t count = 0;
  if (!in.u64(record.generation) || !in.u64(record.number) || !in.u64(count) ||
      count > in.rest().size() / kMessageOctetsMin)
    return false;
  record.messages.resize(count);
  for (ResultMessage& message : record.messages) {
    uint8_t kind = 0;
    if (!in.octet(kind) || kind < 1 || kind > 2 || !in.u64(message.id.object) || !in.u32(message.id.version) ||
        in.rest().size() < kBodyLengthOctets)
      return false;
    message.kind = static_cast<ResultMessage::Kind>(kind);
    size_t octets = 0;
    for (size_t i = 0; i < kBodyLengthOctets; ++i) octets |= static_cast<size_t>(in.rest()[i]) << (8 * i);
    const auto rest = in.rest().subspan(kBodyLengthOctets);
    if (octets == 0 || octets > rest.size()) return false;
    message.body = rest.first(octets);
    in.advance(kBodyLengthOctets + octets);
  }
  return in.rest().empty();
}

bool is_newer_result_record(std::span<const uint8_t> bytes) {
  return bytes.size() >= kHeadOctets && std::memcmp(bytes.data(), kMagic, sizeof kMagic) == 0 &&
         bytes[3] > kResultsVersion;
}

bool is_continued(const ResultMessage& message) {
  partial::Cursor in(message.body);
  int64_t start = 0, end = 0;
  uint64_t revision = 0;
  uint8_t flags = 0;
  return message.kind == ResultMessage::Kind::kRows && in.i64(start) && in.i64(end) && in.u64(revision) &&
         in.octet(flags) && start != end && (flags & kLast) == 0;
}

ResultReader::ResultReader(const batch::Schema& schema, size_t batch_rows)
    : schema_(schema), rows_(form_of(schema), batch_rows) {}

bool ResultReader::read_rows(const ResultMessage& message, std::string_view query, exec::ResultSink& sink) {
  partial::Cursor in(message.body);
  exec::ResultBatch result;
  uint64_t revision = 0, edge_count = 0;
  uint8_t flags = 0;
  if (!in.i64(result.window_start) || !in.i64(result.window_end) || !in.u64(revision) || revision > INT32_MAX ||
      !in.octet(flags) || flags > kFlags || !in.u64(edge_count) || edge_count > in.rest().size())
    return false;
  result.edges_missing.resize(edge_count);
  for (uint32_t& edge : result.edges_missing) {
    if (!in.u32(edge)) return false;
  }
  partial::Message rows;
  partial::PartialFault fault{};
  if (!partial::read_message(in.rest(), rows, fault) || rows.kind != partial::Message::Kind::kData ||
      rows.chunk.kind != partial::ChunkId::Kind::kRows || !rows_.read(rows))
    return false;
  result.query = query;
  result.revision = static_cast<int>(revision);
  result.final = (flags & kFinal) != 0;
  result.complete = (flags & kComplete) != 0;
  result.removed = (flags & kRemoved) != 0;
  result.last = false;
  result.schema = &schema_;
  const bool last = (flags & kLast) != 0;
  size_t left = static_cast<size_t>(rows.group_count);
  rows_.for_each_batch([&](const batch::ColumnBatch& batch) {
    result.rows = batch;
    left -= batch.row_count;
    result.last = last && left == 0;
    sink.on_result(result);
  });
  if (rows.group_count == 0) {
    result.last = last;
    sink.on_result(result);
  }
  return true;
}

bool ResultReader::read_report(const ResultMessage& message, QueryReport& report) {
  exec::StateReader reader(message.body);
  report.frontier = reader.time();
  report.failure = reader.text();
  exec::load(reader, report.ledger);
  // What is not known, and what earlier versions of the program did not, is not there.
  report.ledger.lost = reader.is_done() ? 0 : reader.number();
  report.whole = {};
  if (!reader.is_done()) {
    report.whole.until = reader.time();
    report.whole.gaps_until = reader.time();
  }
  return reader.is_done();
}

}  // namespace backstream::cluster
