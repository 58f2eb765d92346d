#include "receiver/result_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <limits>

#include "base/inet.h"

namespace backstream::receiver {
namespace {

using batch::Type;

constexpr base::Micros kNoon = 1'769'860'800'000'000;  // 2026-01-31 12:00:00+00
constexpr base::Micros kFiveMinutes = 300'000'000;

/// A batch whose columns are given by hand; nulls as std::nullopt.
class Rows {
 public:
  explicit Rows(batch::Schema schema) : schema_(std::move(schema)) {
    buffer_ = batch::BatchBuffer(schema_.types(), std::vector<bool>(schema_.columns.size(), true), 16);
    for (auto& column : buffer_.batch.columns) {
      validity_.push_back(std::make_unique<uint8_t[]>(16));
      column.validity = validity_.back().get();
    }
  }
  template <typename T>
  void set(size_t row, size_t column, T value) {
    buffer_.batch.columns[column].as<T>()[row] = value;
    validity_[column][row] = 1;
  }
  void set_null(size_t column) { buffer_.batch.columns[column].has_nulls = true; }
  exec::ResultBatch result(size_t row_count, size_t query_index = 0) {
    buffer_.batch.row_count = row_count;
    exec::ResultBatch result;
    result.query_index = query_index;
    result.window_start = kNoon;
    result.window_end = kNoon + kFiveMinutes;
    result.schema = &schema_;
    result.rows = buffer_.batch;
    return result;
  }
  const batch::Schema& schema() const { return schema_; }

 private:
  batch::Schema schema_;
  batch::BatchBuffer buffer_;
  std::vector<std::unique_ptr<uint8_t[]>> validity_;
};

class ResultWriterTest : public ::testing::Test {
 protected:
  ResultWriterTest() : file_(::memfd_create("results", 0)) {}
  ~ResultWriterTest() override { ::close(file_); }
  std::string text() const {
    std::string text(static_cast<size_t>(::lseek(file_, 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(file_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
  }
  std::string written(Format format, Rows& rows, size_t row_count) {
    ResultWriter writer(format, {{0, "", &rows.schema()}}, file_);
    writer.on_result(rows.result(row_count));
    writer.flush();
    return text();
  }
  const int file_;
};

Rows matrix_rows() {
  Rows rows(
      batch::Schema{{{"window_start", Type::kTimestamptz}, {"src_as", Type::kInt8, 32}, {"octets", Type::kInt8}}});
  for (size_t row = 0; row < 2; ++row) {
    rows.set<int64_t>(row, 0, kNoon);
    rows.set<int64_t>(row, 1, row == 0 ? 7 : 4'200'000'000);
    rows.set<int64_t>(row, 2, row == 0 ? std::numeric_limits<int64_t>::min() : 0);
  }
  return rows;
}

Rows value_rows(std::string_view label, double number) {
  Rows rows(batch::Schema{{{"label", Type::kText},
                           {"ip", Type::kInet},
                           {"net", Type::kCidr},
                           {"ok", Type::kBool},
                           {"share", Type::kFloat8},
                           {"gone", Type::kInt8}}});
  rows.set(0, 0, label);
  rows.set(0, 1, base::Inet::v6(0x20010db800000000, 1));
  rows.set(0, 2, base::Inet::v4(0xC0000200, 24));
  rows.set<uint8_t>(0, 3, 1);
  rows.set(0, 4, number);
  rows.set_null(5);
  return rows;
}

TEST_F(ResultWriterTest, CsvHasAHeaderAndPostgresTimes) {
  Rows rows = matrix_rows();
  EXPECT_EQ(written(Format::kCsv, rows, 2),
            "window_start,src_as,octets\n"
            "2026-01-31 12:00:00+00,7,-9223372036854775808\n"
            "2026-01-31 12:00:00+00,4200000000,0\n");
}

TEST_F(ResultWriterTest, CsvQuotesAsRfc4180AndTellsNullFromEmpty) {
  Rows rows = value_rows("a,\"b\"\n", 0.25);
  EXPECT_EQ(written(Format::kCsv, rows, 1),
            "label,ip,net,ok,share,gone\n\"a,\"\"b\"\"\n\",2001:db8::1,192.0.2.0/24,t,0.25,\n");
}

TEST_F(ResultWriterTest, CsvQuotesAnEmptyText) {
  Rows rows = value_rows("", 1);
  EXPECT_NE(written(Format::kCsv, rows, 1).find("\n\"\",2001"), std::string::npos);
}

TEST_F(ResultWriterTest, JsonlWritesOneObjectARow) {
  Rows rows = matrix_rows();
  EXPECT_EQ(written(Format::kJsonl, rows, 2),
            "{\"window_start\":\"2026-01-31T12:00:00Z\",\"src_as\":7,\"octets\":-9223372036854775808}\n"
            "{\"window_start\":\"2026-01-31T12:00:00Z\",\"src_as\":4200000000,\"octets\":0}\n");
}

TEST_F(ResultWriterTest, JsonlStaysJsonForAnyTextAndNumber) {
  Rows rows = value_rows("\"\\\x01 \xC3\xA9 \xFF\xC3", std::numeric_limits<double>::infinity());
  EXPECT_EQ(written(Format::kJsonl, rows, 1),
            "{\"label\":\"\\\"\\\\\\u0001 \xC3\xA9 \\ufffd\\ufffd\",\"ip\":\"2001:db8::1\",\"net\":\"192.0.2.0/24\","
            "\"ok\":true,\"share\":\"Infinity\",\"gone\":null}\n");
}

TEST_F(ResultWriterTest, TableAlignsAWindowUnderItsCaption) {
  Rows rows = matrix_rows();
  EXPECT_EQ(written(Format::kTable, rows, 2),
            "window 2026-01-31 12:00:00+00 to 2026-01-31 12:05:00+00\n"
            " window_start           |     src_as |               octets\n"
            "------------------------+------------+----------------------\n"
            " 2026-01-31 12:00:00+00 |          7 | -9223372036854775808\n"
            " 2026-01-31 12:00:00+00 | 4200000000 |                    0\n"
            "(2 rows)\n\n");
}

TEST_F(ResultWriterTest, TableShowsControlCharactersByNumber) {
  Rows rows = value_rows("\x1b[2J", 1);
  const std::string table = written(Format::kTable, rows, 1);
  EXPECT_EQ(table.find('\x1b'), std::string::npos);
  EXPECT_NE(table.find("\\x1b[2J"), std::string::npos);
}

TEST_F(ResultWriterTest, SeveralQueriesShareOneCsvTable) {
  Rows first = matrix_rows();
  Rows second(batch::Schema{{{"window_start", Type::kTimestamptz}, {"ports", Type::kInt8}}});
  second.set<int64_t>(0, 0, kNoon);
  second.set<int64_t>(0, 1, 9);
  ResultWriter writer(Format::kCsv, {{0, "matrix", &first.schema()}, {2, "sweep", &second.schema()}}, file_);
  writer.on_result(first.result(1, 0));
  writer.on_result(second.result(1, 2));
  writer.on_result(second.result(1, 1));  // a query that is not to be shown
  writer.flush();
  EXPECT_EQ(text(),
            "view,window_start,src_as,octets,ports\n"
            "matrix,2026-01-31 12:00:00+00,7,-9223372036854775808,\n"
            "sweep,2026-01-31 12:00:00+00,,,9\n");
  EXPECT_EQ(writer.row_count(), 2u);
}

TEST_F(ResultWriterTest, JsonlNamesTheViewWhenThereAreSeveral) {
  Rows first = matrix_rows(), second = matrix_rows();
  ResultWriter writer(Format::kJsonl, {{0, "a", &first.schema()}, {1, "b", &second.schema()}}, file_);
  writer.on_result(second.result(1, 1));
  writer.flush();
  EXPECT_EQ(text().substr(0, 26), "{\"view\":\"b\",\"window_start\"");
}

TEST_F(ResultWriterTest, RevisionsAreWrittenOnlyWhereAskedFor) {
  Rows rows = matrix_rows();
  exec::ResultBatch early = rows.result(1);
  early.final = false;
  {
    ResultWriter writer(Format::kCsv, {{0, "", &rows.schema()}}, file_);
    writer.on_result(early);
  }
  EXPECT_EQ(text(), "window_start,src_as,octets\n");
  early.removed = true;
  early.complete = false;
  ResultWriter csv(Format::kCsv, {{0, "", &rows.schema()}}, file_, true);
  csv.on_result(rows.result(1));
  csv.on_result(early);
  csv.flush();
  EXPECT_NE(text().find("window_start,src_as,octets,_rev,_final,_complete,_op\n"), std::string::npos);
  EXPECT_NE(text().find(",1,t,t,u\n"), std::string::npos);
  EXPECT_NE(text().find(",1,f,f,d\n"), std::string::npos);
  ResultWriter writer(Format::kJsonl, {{0, "", &rows.schema()}}, file_, true);
  writer.on_result(early);
  writer.flush();
  EXPECT_NE(text().find(",\"_rev\":1,\"_final\":false,\"_complete\":false,\"_op\":\"d\"}\n"), std::string::npos);
}

TEST_F(ResultWriterTest, RowsLongerThanTheBufferArriveWhole) {
  const std::string label(3'000'000, 'x');
  Rows rows = value_rows(label, 1);
  const std::string csv = written(Format::kCsv, rows, 1);
  EXPECT_EQ(csv.size(),
            std::string("label,ip,net,ok,share,gone\n,2001:db8::1,192.0.2.0/24,t,1,\n").size() + label.size());
}

TEST_F(ResultWriterTest, NoneCountsRows) {
  Rows rows = matrix_rows();
  ResultWriter writer(Format::kNone, {{0, "", &rows.schema()}}, file_);
  writer.on_result(rows.result(2));
  writer.flush();
  EXPECT_EQ(writer.row_count(), 2u);
  EXPECT_EQ(text(), "");
}

TEST_F(ResultWriterTest, AReaderThatHasGoneIsToldByEpipe) {
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  Rows rows = matrix_rows();
  ResultWriter writer(Format::kCsv, {{0, "", &rows.schema()}}, ends[1]);
  writer.on_result(rows.result(2));
  writer.flush();
  EXPECT_EQ(writer.error(), EPIPE);
  ::close(ends[1]);
}

TEST_F(ResultWriterTest, TablesTellWhatIsMissingAndStandardErrorsAsPartsOfTheirValues) {
  Rows rows({{{"octets", Type::kInt8}, {"error", Type::kFloat8}}});
  rows.set<int64_t>(0, 0, 4'000);
  rows.set<double>(0, 1, 250);
  auto form = std::make_shared<ResultForm>();
  form->schema = rows.schema();
  form->stderr_of = {-1, 0};
  ResultWriter writer(Format::kTable, {{0, "", &rows.schema(), form}}, file_);
  exec::ResultBatch result = rows.result(1);
  result.complete = false;
  writer.on_result(result);
  writer.flush();
  EXPECT_EQ(text(),
            "window 2026-01-31 12:00:00+00 to 2026-01-31 12:05:00+00, not complete\n"
            " octets |  error\n"
            "--------+--------\n"
            "   4000 | ±6.2 %\n"
            "(1 row)\n\n");
}

TEST_F(ResultWriterTest, EachWindowIsAPageForPrometheus) {
  Rows rows({{{"octets", Type::kInt8}}});
  rows.set<int64_t>(0, 0, 7);
  auto form = std::make_shared<ResultForm>();
  form->schema = rows.schema();
  ResultWriter writer(Format::kPrometheus, {{0, "v", &rows.schema(), form}}, file_);
  exec::ResultBatch part = rows.result(1);
  part.last = false;
  writer.on_result(part);
  part.last = true;
  part.rows.row_count = 0;
  writer.on_result(part);
  part.window_start = part.window_end = 0;
  writer.on_result(part);
  writer.flush();
  EXPECT_NE(text().find("\nbackstream_result_v_octets{query=\"v\"} 7\n# EOF\n"), std::string::npos) << text();
  EXPECT_EQ(text().find("# EOF"), text().rfind("# EOF"));
}

}  // namespace
}  // namespace backstream::receiver
