// Results on their way from merge workers to receivers, and the saved states of workers.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "cluster/merge_snapshot.h"
#include "cluster/result_messages.h"
#include "cluster/results_in.h"
#include "cluster/results_out.h"
#include "plan/bind.h"
#include "sql/parse.h"
#include "transport/memory_log.h"

namespace backstream::cluster {
namespace {

using transport::LogStatus;

plan::Query matrix() {
  const char* text =
      "SELECT window_start, src_as, sum(octets) AS octets, max(src_ip) AS a FROM tumble(flows, time, interval '5 s') "
      "GROUP BY window_start, src_as";
  plan::Catalog catalog;
  auto statements = sql::parse(text, "");
  auto query = plan::bind(statements->front(), text, catalog);
  EXPECT_TRUE(query.has_value()) << query.error().message;
  return std::move(*query);
}

/// Rows as text, and what was told of them.
struct Told : exec::ResultSink {
  void on_result(const exec::ResultBatch& result) override {
    std::string text = std::to_string(result.window_start) + " r" + std::to_string(result.revision);
    if (result.final) text += " final";
    if (result.complete) text += " complete";
    if (result.removed) text += " removed";
    for (const uint32_t edge : result.edges_missing) text += " -" + std::to_string(edge);
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      const batch::Column& as = result.rows.columns[1];
      text += as.is_null(row) ? " null" : " " + std::to_string(as.as<int64_t>()[row]);
    }
    if (result.last) text += " last";
    results.push_back(text);
  }
  std::vector<std::string> results;
};

/// A batch of rows whose src_as is 0 .. n - 1, or, in every third, no value, as in all other columns.
class Batch {
 public:
  Batch(const batch::Schema& schema, size_t n)
      : buffer_(schema.types(), std::vector<bool>(schema.columns.size(), true), std::max<size_t>(n, 1)) {
    result.schema = &schema;
    result.rows = buffer_.batch;
    result.rows.row_count = n;
    for (batch::Column& column : result.rows.columns) {
      column.has_nulls = true;
      for (size_t row = 0; row < n; ++row) column.validity[row] = &column == &result.rows.columns[1] && row % 3 != 2;
    }
    for (size_t row = 0; row < n; ++row) result.rows.columns[1].as<int64_t>()[row] = static_cast<int64_t>(row);
  }
  exec::ResultBatch result;

 private:
  batch::BatchBuffer buffer_;
};

std::string hex(std::span<const uint8_t> octets) {
  std::string text;
  for (const uint8_t octet : octets) text += fmt::format("{:02x}", octet);
  return text;
}
std::vector<uint8_t> octets_of(std::string_view hex) {
  std::vector<uint8_t> octets;
  for (size_t at = 0; at < hex.size(); at += 2)
    octets.push_back(static_cast<uint8_t>(std::stoul(std::string(hex.substr(at, 2)), nullptr, 16)));
  return octets;
}

constexpr std::string_view kGoldenResults =
    "42535201e807050201070230000000ff9b9c3900020b0203ac02425350020400000000000000010003000000010001020000"
    "00000000009b56303d892c493b020702290000009a01053232303132ac020000030000000000000000000000000000000000"
    "0000000000000000000000eb3584768e86cd1d";
constexpr std::string_view kGoldenSnapshot =
    "42534e01e80780c0c9c4baeba40600010200640307030102030107020209094da1a6566479e473";

bool wait_until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

std::vector<std::vector<uint8_t>> messages_of(const plan::Query& query, const exec::ResultBatch& result,
                                              QueryId id = {7, 2}) {
  std::vector<std::vector<uint8_t>> messages;
  ResultWriter writer(id, query.output());
  writer.write(result, [&](std::vector<uint8_t>&& message) { messages.push_back(std::move(message)); });
  return messages;
}
std::vector<uint8_t> record_of(uint64_t generation, uint64_t number, const std::vector<uint8_t>& message) {
  return write_result_record(generation, number, 1, message);
}

TEST(ResultMessages, ReadAsTheyWereWritten) {
  const plan::Query query = matrix();
  Batch batch(query.output(), 3);
  batch.result.window_start = 10;
  batch.result.window_end = 20;
  batch.result.revision = 4;
  batch.result.final = false;
  batch.result.complete = false;
  batch.result.edges_missing = {3, 5};
  const auto messages = messages_of(query, batch.result);
  ASSERT_EQ(messages.size(), 1u);
  ResultRecord record;
  const auto bytes = record_of(9, 1, messages[0]);
  ASSERT_TRUE(read_result_record(bytes, record));
  EXPECT_EQ(record.generation, 9u);
  EXPECT_EQ(record.number, 1u);
  ASSERT_EQ(record.messages.size(), 1u);
  EXPECT_EQ(record.messages[0].id, (QueryId{7, 2}));
  Told told;
  ResultReader reader(query.output(), 100);
  ASSERT_TRUE(reader.read_rows(record.messages[0], "matrix", told));
  EXPECT_EQ(told.results, std::vector<std::string>{"10 r4 -3 -5 0 1 null last"});
}

// What was written once is read as long as the version is.
TEST(ResultMessages, GoldenBytesOfVersion1) {
  const plan::Query query = matrix();
  Batch batch(query.output(), 3);
  batch.result.window_start = -60'000'000;
  batch.result.window_end = 0;
  batch.result.revision = 2;
  batch.result.edges_missing = {3, 300};
  QueryReport report;
  report.frontier = 77;
  report.failure = "22012";
  report.ledger.assigned = 300;
  report.ledger.late = 3;
  std::vector<uint8_t> messages = messages_of(query, batch.result)[0];
  const auto last = ResultWriter({7, 2}, query.output()).write(report);
  messages.insert(messages.end(), last.begin(), last.end());
  EXPECT_EQ(hex(write_result_record(1'000, 5, 2, messages)), kGoldenResults);
  const auto bytes = octets_of(kGoldenResults);
  ResultRecord record;
  ASSERT_TRUE(read_result_record(bytes, record));
  ASSERT_EQ(record.messages.size(), 2u);
  Told told;
  ASSERT_TRUE(ResultReader(query.output(), 100).read_rows(record.messages[0], "matrix", told));
  EXPECT_EQ(told.results, std::vector<std::string>{"-60000000 r2 final complete -3 -300 0 1 null last"});
  QueryReport read;
  ASSERT_TRUE(ResultReader::read_report(record.messages[1], read));
  EXPECT_EQ(read.frontier, 77);
  EXPECT_EQ(read.failure, "22012");
  EXPECT_EQ(read.ledger.assigned, 300u);
  EXPECT_EQ(read.ledger.late, 3u);
  EXPECT_EQ(read.whole.until, base::kMinTime);
}

TEST(ResultMessages, AWindowOfManyRowsIsSeveralAndOneOfNoneToo) {
  const plan::Query query = matrix();
  Batch many(query.output(), 100'000), none(query.output(), 0);
  many.result.window_end = none.result.window_end = 5;
  const auto messages = messages_of(query, many.result);
  EXPECT_GT(messages.size(), 2u);
  ResultReader reader(query.output(), 50'000);
  Told told;
  ResultRecord record;
  size_t last = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto bytes = record_of(1, i, messages[i]);
    ASSERT_TRUE(read_result_record(bytes, record));
    ASSERT_TRUE(reader.read_rows(record.messages[0], "", told));
  }
  std::string all;
  for (const std::string& result : told.results) {
    all += result.substr(result.find("complete") + 8);
    last += result.ends_with(" last");
  }
  EXPECT_EQ(last, 1u);
  EXPECT_TRUE(told.results.back().ends_with(" last"));
  std::string expected;
  for (int row = 0; row < 100'000; ++row) expected += row % 3 == 2 ? " null" : " " + std::to_string(row);
  EXPECT_EQ(all, expected + " last");

  told.results.clear();
  const auto bytes = record_of(1, 1, messages_of(query, none.result).at(0));
  ASSERT_TRUE(read_result_record(bytes, record));
  ASSERT_TRUE(reader.read_rows(record.messages[0], "", told));
  EXPECT_EQ(told.results, std::vector<std::string>{"0 r1 final complete last"});
}

TEST(ResultMessages, WhatWasChangedOnTheWayIsRefused) {
  const plan::Query query = matrix();
  Batch batch(query.output(), 5);
  const auto bytes = record_of(9, 1, messages_of(query, batch.result).at(0));
  ResultRecord record;
  for (size_t at = 0; at < bytes.size(); ++at) {
    auto changed = bytes;
    changed[at] ^= 0x10;
    EXPECT_FALSE(read_result_record(changed, record)) << at;
    EXPECT_FALSE(read_result_record(std::span(bytes).first(at), record)) << at;
  }
  // Rows of another form.
  ASSERT_TRUE(read_result_record(bytes, record));
  batch::Schema other;
  other.columns = {{"a", batch::Type::kText}};
  ResultReader reader(other, 100);
  Told told;
  EXPECT_FALSE(reader.read_rows(record.messages[0], "", told));
  EXPECT_TRUE(told.results.empty());
}

TEST(ResultMessages, AReportReadsAsItWasWritten) {
  const plan::Query query = matrix();
  QueryReport report;
  report.frontier = 77;
  report.failure = "22012 division by zero";
  report.ledger.assigned = 10;
  report.ledger.late = 3;
  report.whole = {60, -5};
  ResultRecord record;
  const auto bytes = record_of(1, 1, ResultWriter({7, 2}, query.output()).write(report));
  ASSERT_TRUE(read_result_record(bytes, record));
  EXPECT_EQ(record.messages[0].kind, ResultMessage::Kind::kReport);
  QueryReport read;
  ASSERT_TRUE(ResultReader::read_report(record.messages[0], read));
  EXPECT_EQ(read.frontier, 77);
  EXPECT_EQ(read.failure, report.failure);
  EXPECT_EQ(read.ledger.assigned, 10u);
  EXPECT_EQ(read.ledger.late, 3u);
  EXPECT_EQ(read.whole.until, 60);
  EXPECT_EQ(read.whole.gaps_until, -5);
}

/// Says of every second append that it does not know what became of it; the record is there all the same.
class DoubtfulLog final : public transport::MemoryLog {
 public:
  explicit DoubtfulLog(uint32_t partitions) : MemoryLog(partitions, size_t{1} << 28) {}
  Appended append(uint32_t partition, std::span<const uint8_t> bytes) override {
    const Appended done = MemoryLog::append(partition, bytes);
    return ++calls_ % 2 == 0 ? Appended{LogStatus::kUnavailable, 0} : done;
  }

 private:
  std::atomic<int> calls_{0};
};

/// Takes until there are so many results.
void take(ResultsIn& in, Told& told, size_t count, Micros now = 1) {
  EXPECT_TRUE(wait_until([&] {
    in.take(now);
    return told.results.size() >= count;
  })) << told.results.size();
}

TEST(Results, ComeOnceAndInOrderThoughTheLogTakesThemTwice) {
  const plan::Query query = matrix();
  DoubtfulLog log(2);
  ResultsOut out(log);
  out.begin(1, 100);
  constexpr size_t kResults = 12;
  for (size_t i = 0; i < kResults; ++i) {
    Batch batch(query.output(), 1);
    batch.result.window_start = static_cast<Micros>(i);
    batch.result.window_end = 1'000;
    for (auto& message : messages_of(query, batch.result)) out.put(1, std::move(message));
    // Some records hold several messages.
    if (i % 3 == 0) {
      EXPECT_TRUE(wait_until([&] { return out.sent_count(1, 100) == i + 1; }));
    }
  }
  EXPECT_TRUE(wait_until([&] { return out.sent_count(1, 100) == kResults; }));
  EXPECT_EQ(out.put_count(1), kResults);
  EXPECT_EQ(out.status().messages, kResults);
  EXPECT_EQ(out.status().waiting_octets, 0u);
  EXPECT_EQ(out.sent_count(1, 99), std::nullopt);
  ResultsIn in(log, {});
  Told told;
  in.open({7, 2}, query, "matrix", told);
  take(in, told, kResults);
  ASSERT_EQ(told.results.size(), kResults);
  for (size_t i = 0; i < kResults; ++i) EXPECT_EQ(told.results[i], std::to_string(i) + " r1 final complete 0 last");
  EXPECT_GT(in.status().repeats, 0u);
}

TEST(Results, WhatASupersededWorkerWritesIsLeftOut) {
  const plan::Query query = matrix();
  transport::MemoryLog log(1, 1 << 20);
  const auto append = [&](uint64_t generation, uint64_t number, Micros window) {
    Batch batch(query.output(), 0);
    batch.result.window_start = window;
    batch.result.window_end = 1'000;
    log.append(0, record_of(generation, number, messages_of(query, batch.result).at(0)));
  };
  append(5, 0, 1);
  append(5, 1, 2);
  append(9, 0, 2);  // Another one has taken over, and gives again what was given since its snapshot.
  append(5, 2, 3);
  append(5, 3, 4);
  append(9, 1, 3);
  append(9, 1, 3);
  log.append(0, std::vector<uint8_t>{'x'});
  ResultsIn in(log, {});
  Told told;
  in.open({7, 2}, query, "matrix", told);
  take(in, told, 4);
  EXPECT_EQ(told.results, (std::vector<std::string>{"1 r1 final complete last", "2 r1 final complete last",
                                                    "2 r1 final complete last", "3 r1 final complete last"}));
  EXPECT_TRUE(wait_until([&] { return in.take(1), in.status().refused == 1; }));
  EXPECT_EQ(in.status().superseded, 2u);
  EXPECT_EQ(in.status().repeats, 1u);
}

TEST(Results, AWindowThatAKilledWorkerHadBegunIsGivenOnce) {
  const plan::Query query = matrix();
  transport::MemoryLog log(1, 1 << 20);
  const auto append = [&](uint64_t generation, uint64_t number, size_t rows, bool last) {
    Batch batch(query.output(), rows);
    batch.result.window_end = 1'000;
    batch.result.last = last;
    log.append(0, record_of(generation, number, messages_of(query, batch.result).at(0)));
  };
  append(5, 0, 2, false);
  append(9, 0, 2, false);
  append(9, 1, 1, false);
  append(9, 2, 0, true);
  ResultsIn in(log, {});
  Told told;
  in.open({7, 2}, query, "matrix", told);
  take(in, told, 3);
  EXPECT_EQ(told.results,
            (std::vector<std::string>{"0 r1 final complete 0 1", "0 r1 final complete 0", "0 r1 final complete last"}));
}

TEST(Results, WaitForTheirQueryAWhile) {
  const plan::Query query = matrix();
  transport::MemoryLog log(1, 1 << 20);
  Batch batch(query.output(), 0);
  batch.result.window_end = 1'000;
  log.append(0, record_of(1, 0, messages_of(query, batch.result, {7, 2}).at(0)));
  log.append(0, record_of(1, 1, messages_of(query, batch.result, {8, 1}).at(0)));
  ResultsIn in(log, {});
  EXPECT_TRUE(wait_until([&] { return in.take(1); }));
  Told told, other;
  in.open({7, 2}, query, "matrix", told);
  EXPECT_EQ(told.results.size(), 1u);
  // Another sink of the same version takes its place; that the first one ends does not matter then.
  in.open({7, 2}, query, "matrix", other);
  in.close({7, 2}, told);
  log.append(0, record_of(1, 2, messages_of(query, batch.result, {7, 2}).at(0)));
  take(in, other, 1);
  EXPECT_EQ(told.results.size(), 1u);
  in.take(1 + ResultsIn::kEarlyTime + 1);
  EXPECT_EQ(in.status().unknown, 1u) << "query 8 never came";
}

TEST(Results, OfANewerVersionAreCountedAndTheRestGoesOn) {
  const plan::Query query = matrix();
  transport::MemoryLog log(1, 1 << 20);
  Batch batch(query.output(), 2);
  batch.result.window_end = 5;
  const auto message = messages_of(query, batch.result)[0];
  auto newer = record_of(1, 0, message);
  newer[3] = kResultsVersion + 1;
  log.append(0, newer);
  log.append(0, record_of(1, 1, message));
  ResultsIn in(log, {});
  Told told;
  in.open({7, 2}, query, "matrix", told);
  EXPECT_TRUE(wait_until([&] {
    in.take(1);
    return told.results.size() == 1;
  }));
  EXPECT_EQ(in.status().newer, 1u);
  EXPECT_EQ(in.status().refused, 0u);
}

TEST(Results, ANewGenerationDropsWhatWaitsOfTheOneBefore) {
  transport::MemoryLog log(1, 100);  // Takes nothing.
  ResultsOut out(log);
  out.begin(0, 1);
  for (int i = 0; i < 3; ++i) out.put(0, std::vector<uint8_t>(1'000));
  EXPECT_TRUE(wait_until([&] { return !out.status().last_error.empty(); }));
  out.begin(0, 2);
  EXPECT_EQ(out.status().waiting_octets, 0u);
  EXPECT_EQ(out.put_count(0), 0u);
  EXPECT_EQ(out.sent_count(0, 2), 0u);
}

MergeSnapshot snapshot(uint64_t generation) {
  MergeSnapshot made;
  made.generation = generation;
  made.saved_at = 1'000 + static_cast<Micros>(generation);
  made.next = {{0, 100}, {3, 7}};
  made.streams = {1, 2, 3};
  made.queries.push_back({{7, 2}, std::vector<uint8_t>(10'000, 0x5a)});
  made.queries.push_back({{8, 1}, {9}});
  return made;
}

TEST(MergeSnapshot, ReadsAsItWasWrittenAmongOthersAndTwice) {
  transport::MemoryLog log(1, 1 << 20);
  const MergeSnapshot old = snapshot(1), made = snapshot(2);
  for (const auto& chunk : write_snapshot(old)) log.append(0, chunk);
  const auto chunks = write_snapshot(made, 1'000), others = write_snapshot(old, 1'000);
  ASSERT_GT(chunks.size(), 5u);
  const uint64_t place = log.end_offset(0);
  for (size_t i = 0; i < chunks.size(); ++i) {
    log.append(0, chunks[i]);
    if (i % 2 == 0) log.append(0, chunks[i]);  // Appended again, as nobody knew.
    log.append(0, others[i]);                  // By a worker that was superseded.
    log.append(0, std::vector<uint8_t>{'?'});
  }
  const auto read = read_snapshot(log, 0, place);
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->generation, 2u);
  EXPECT_EQ(read->saved_at, 1'002);
  EXPECT_EQ(read->next, made.next);
  EXPECT_EQ(read->streams, made.streams);
  ASSERT_EQ(read->queries.size(), 2u);
  EXPECT_EQ(read->queries[0].id, made.queries[0].id);
  EXPECT_EQ(read->queries[0].octets, made.queries[0].octets);
  EXPECT_EQ(read->queries[1].octets, made.queries[1].octets);
}

// What was written once is read as long as the version is.
TEST(MergeSnapshot, GoldenBytesOfVersion1) {
  MergeSnapshot made;
  made.generation = 1'000;
  made.saved_at = 1'769'860'800'000'000;
  made.next = {{0, 100}, {3, 7}};
  made.streams = {1, 2, 3};
  made.queries.push_back({{7, 2}, {9, 9}});
  const auto chunks = write_snapshot(made);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(hex(chunks[0]), kGoldenSnapshot);
  transport::MemoryLog log(1, 1 << 20);
  log.append(0, octets_of(kGoldenSnapshot));
  const auto read = read_snapshot(log, 0, 0);
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->generation, 1'000u);
  EXPECT_EQ(read->saved_at, made.saved_at);
  EXPECT_EQ(read->next, made.next);
  EXPECT_EQ(read->streams, made.streams);
  ASSERT_EQ(read->queries.size(), 1u);
  EXPECT_EQ(read->queries[0].id, made.queries[0].id);
  EXPECT_EQ(read->queries[0].octets, made.queries[0].octets);
}

TEST(MergeSnapshot, WhatIsNotWholeIsSaid) {
  const auto chunks = write_snapshot(snapshot(1), 1'000);
  const auto error_of = [&](const std::vector<std::vector<uint8_t>>& records, uint64_t place = 0) {
    transport::MemoryLog log(1, 1 << 20);
    for (const auto& record : records) log.append(0, record);
    const auto read = read_snapshot(log, 0, place);
    EXPECT_FALSE(read.has_value());
    return read ? std::string() : read.error().code + ' ' + read.error().message;
  };
  auto damaged = chunks;
  damaged[1][500] ^= 1;
  EXPECT_EQ(error_of(damaged),
            "XX001 the saved state of partition 0 at offset 0 cannot be used: a part of it is damaged");
  auto missing = chunks;
  missing.erase(missing.begin() + 2);
  EXPECT_EQ(error_of(missing),
            "XX001 the saved state of partition 0 at offset 0 cannot be used: a part of it is missing");
  auto cut = chunks;
  cut.pop_back();
  EXPECT_EQ(error_of(cut), "XX001 the saved state of partition 0 at offset 0 cannot be used: it ends too early");
  auto newer = chunks;
  newer[0][3] = 99;
  EXPECT_EQ(error_of(newer), "0A000 the saved state is of a newer version of the program");
  EXPECT_EQ(error_of({}, 5), "XX001 the saved state of partition 0 at offset 5 cannot be used: beyond_end");
}

}  // namespace
}  // namespace backstream::cluster
