#include "decode/flow_writer.h"

#include <gtest/gtest.h>

namespace backstream::decode {
namespace {

using batch::FlowColumn;

/// Points a column to values of its own, as an enricher does, fewer than a batch has.
class Replacing : public FlowWriter::Consumer {
 public:
  void on_flows(batch::ColumnBatch& rows) override {
    batch::Column& column = rows.columns[static_cast<size_t>(FlowColumn::kSrcAs)];
    for (size_t row = 0; row < rows.row_count; ++row) seen.push_back(column.as<int64_t>()[row]);
    column.values = own;
    column.validity = own_validity;
    column.has_nulls = true;
  }
  std::vector<int64_t> seen;
  int64_t own[1] = {-1};
  uint8_t own_validity[1] = {0};
};

TEST(FlowWriter, WritesToItsOwnMemoryWhateverAConsumerDidToTheBatch) {
  batch::FlowColumnSet wanted;
  wanted.add(FlowColumn::kSrcAs);
  Replacing consumer;
  FlowWriter writer(wanted, consumer, 8);
  for (const size_t rows : {1, 8}) {
    ASSERT_EQ(writer.room(rows), rows);
    writer.fill<int64_t>(FlowColumn::kSrcAs, static_cast<int64_t>(rows), rows);
    writer.commit(rows);
    writer.flush();
  }
  EXPECT_EQ(consumer.seen, (std::vector<int64_t>{1, 8, 8, 8, 8, 8, 8, 8, 8}));
  EXPECT_EQ(consumer.own[0], -1);
  EXPECT_EQ(consumer.own_validity[0], 0);
}

}  // namespace
}  // namespace backstream::decode
