#pragma once
#include <fmt/format.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "receiver/result_part.h"

namespace backstream::sink {

using receiver::ResultForm;
using receiver::ResultPart;

/// window_start, name, octets: a time, a text, a number; the first two are the key.
inline std::shared_ptr<const ResultForm> test_form(const std::string& last = "octets") {
  auto form = std::make_shared<ResultForm>();
  form->schema.columns = {
      {"window_start", batch::Type::kTimestamptz, 0}, {"name", batch::Type::kText, 0}, {last, batch::Type::kInt8, 0}};
  form->keys = {0, 1};
  form->window_size_us = 60 * base::kMicrosPerSecond;
  return form;
}

struct TestRow {
  std::string name;
  int64_t octets = 0;
};

/// A part of the window that begins at so many minutes.
inline std::shared_ptr<ResultPart> test_part(std::shared_ptr<const ResultForm> form, uint64_t seq, int64_t minute,
                                             const std::vector<TestRow>& rows, int revision = 1) {
  auto part = std::make_shared<ResultPart>();
  part->seq = seq;
  part->incarnation = 7;
  part->version = 1;
  part->window_start = minute * 60 * base::kMicrosPerSecond;
  part->window_end = part->window_start + 60 * base::kMicrosPerSecond;
  part->revision = revision;
  part->form = std::move(form);
  std::vector<base::Micros> starts(rows.size(), part->window_start);
  std::vector<std::string_view> names;
  std::vector<int64_t> octets;
  for (const TestRow& row : rows) {
    names.emplace_back(row.name);
    octets.push_back(row.octets);
  }
  batch::ColumnBatch batch;
  batch.row_count = rows.size();
  void* const values[] = {starts.data(), names.data(), octets.data()};
  for (size_t c = 0; c < 3; ++c) {
    batch::Column& column = batch.columns.emplace_back();
    column.type = part->form->schema.columns[c].type;
    column.values = static_cast<uint8_t*>(values[c]);
  }
  part->octets = receiver::copied_octets(batch, 0, rows.size());
  receiver::copy_rows(batch, 0, rows.size(), 3, *part);
  return part;
}

}  // namespace backstream::sink
