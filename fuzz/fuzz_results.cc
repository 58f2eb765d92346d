// Arbitrary bytes as what merge workers sent to receivers, and as their saved states. The first octet chooses which,
// and whether the bytes are taken as they are or given a right head and checksums, so that the fuzzer gets past them.
#include <cstdint>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cluster/merge_snapshot.h"
#include "cluster/result_messages.h"
#include "transport/memory_log.h"

namespace backstream::cluster {
namespace {

using batch::Type;

void seal(std::vector<uint8_t>& bytes, const char* magic, uint8_t version) {
  bytes.insert(bytes.begin(), {static_cast<uint8_t>(magic[0]), static_cast<uint8_t>(magic[1]),
                               static_cast<uint8_t>(magic[2]), version});
  const uint64_t checksum = XXH3_64bits(bytes.data(), bytes.size());
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<uint8_t>(checksum >> (8 * i)));
}

const batch::Schema& schema() {
  static const batch::Schema made = [] {
    batch::Schema built;
    built.columns = {{"window_start", Type::kTimestamptz}, {"a", Type::kInet}, {"n", Type::kInt8}, {"t", Type::kText}};
    return built;
  }();
  return made;
}

/// Looks at all that it is given.
struct Counting : exec::ResultSink {
  void on_result(const exec::ResultBatch& result) override {
    rows += result.rows.row_count;
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      if (!result.rows.columns[3].is_null(row)) rows += result.rows.columns[3].as<std::string_view>()[row].size();
    }
  }
  uint64_t rows = 0;
};

void read_results(std::span<const uint8_t> bytes) {
  ResultRecord record;
  if (!read_result_record(bytes, record)) return;
  ResultReader reader(schema(), 5);
  Counting sink;
  for (const ResultMessage& message : record.messages) {
    QueryReport report;
    if (message.kind == ResultMessage::Kind::kRows) reader.read_rows(message, "q", sink);
    else ResultReader::read_report(message, report);
  }
}

/// One message of rows whose body is right up to the rows, which are the fuzzer's.
void read_rows(std::span<const uint8_t> bytes) {
  std::vector<uint8_t> body(bytes.begin(), bytes.end());
  if (body.size() > 8) {
    std::vector<uint8_t> rows(body.begin() + 8, body.end());
    seal(rows, "BSP", partial::kVersion);
    body.resize(8);
    body.insert(body.end(), rows.begin(), rows.end());
  }
  ResultReader reader(schema(), 5);
  Counting sink;
  reader.read_rows({ResultMessage::Kind::kRows, {1, 1}, body}, "q", sink);
}

void read_state(std::vector<uint8_t> bytes, bool sealed) {
  transport::MemoryLog log(1, 1 << 20);
  if (sealed) seal(bytes, "BSN", 1);
  log.append(0, bytes);
  if (const auto snapshot = read_snapshot(log, 0, 0)) {
    // What could be read can be written, and then reads as the same.
    for (const auto& chunk : write_snapshot(*snapshot, 7)) log.append(0, chunk);
    const auto again = read_snapshot(log, 0, 1);
    if (!again || again->streams != snapshot->streams || again->queries.size() != snapshot->queries.size())
      __builtin_trap();
  }
}

}  // namespace
}  // namespace backstream::cluster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace backstream::cluster;
  if (size < 1) return 0;
  std::vector<uint8_t> bytes(data + 1, data + size);
  switch (data[0] % 5) {
    case 0: read_results(bytes); break;
    case 1:
      seal(bytes, "BSR", kResultsVersion);
      read_results(bytes);
      break;
    case 2: read_rows(bytes); break;
    case 3: read_state(std::move(bytes), false); break;
    default: read_state(std::move(bytes), true); break;
  }
  return 0;
}
