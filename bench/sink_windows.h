#pragma once
// What benchmarks of sinks give away: rows of 5 columns, windows of 1,000 groups.
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "batch/column_batch.h"
#include "receiver/result_part.h"

namespace backstream::bench {

using base::Micros;
using receiver::ResultForm;
using receiver::ResultPart;
inline constexpr size_t kGroups = 1'000;

/// A traffic matrix: window_start, site, src_as, dst_as, octets.
inline std::shared_ptr<const ResultForm> matrix_form() {
  using batch::Type;
  auto form = std::make_shared<ResultForm>();
  form->schema.columns = {{"window_start", Type::kTimestamptz},
                          {"site", Type::kText},
                          {"src_as", Type::kInt8},
                          {"dst_as", Type::kInt8},
                          {"octets", Type::kInt8}};
  form->keys = {0, 1, 2, 3};
  form->window_start_column = 0;
  return form;
}

/// @param window  how many minutes after the first one
inline std::shared_ptr<const ResultPart> window_of(const std::shared_ptr<const ResultForm>& form, uint64_t seq,
                                                   uint64_t window, int revision, bool final) {
  constexpr Micros kMinute = 60 * base::kMicrosPerSecond;
  constexpr Micros kBegin = 1'769'860'800 * base::kMicrosPerSecond;
  auto part = std::make_shared<ResultPart>();
  part->seq = seq;
  part->revision = revision;
  part->final = final;
  part->window_start = kBegin + static_cast<Micros>(window) * kMinute;
  part->window_end = part->window_start + kMinute;
  part->form = form;
  const std::vector<batch::Type> types = form->schema.types();
  batch::BatchBuffer buffer(types, std::vector<bool>(types.size(), true), kGroups);
  std::mt19937_64 random(seq);
  constexpr std::string_view kSites[] = {"fra-core", "ams-edge", "lon-edge", "par-core"};
  for (size_t row = 0; row < kGroups; ++row) {
    buffer.batch.columns[0].as<int64_t>()[row] = part->window_start;
    buffer.batch.columns[1].as<std::string_view>()[row] = kSites[row % 4];
    buffer.batch.columns[2].as<int64_t>()[row] = static_cast<int64_t>(64'512 + row / 4);
    buffer.batch.columns[3].as<int64_t>()[row] = static_cast<int64_t>(row * 7'919 % 65'536);
    buffer.batch.columns[4].as<int64_t>()[row] = static_cast<int64_t>(random() % 10'000'000'000);
  }
  buffer.batch.row_count = kGroups;
  receiver::copy_rows(buffer.batch, 0, kGroups, types.size(), *part);
  return part;
}

}  // namespace backstream::bench
