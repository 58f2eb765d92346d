#include "sink/kafka_target.h"

#include <fmt/format.h>

#include <array>
#include <utility>
#include <vector>

#include "receiver/part_text.h"
#include "receiver/value_text.h"

namespace backstream::sink {
namespace {

using Clock = std::chrono::steady_clock;
using Record = transport::KafkaTransactions::Record;

/// Brokers forget places that are not written for a week (offsets.retention.minutes), some sooner.
constexpr std::chrono::hours kKeepPlace{6};

/// What the keys of a part's rows have before and between their values.
struct KeyText {
  std::string window;
  std::vector<size_t> columns;     ///< those that are not the window's times
  std::vector<std::string> leads;  ///< of each

  explicit KeyText(const ResultPart& part) {
    std::array<char, receiver::kCellOctetsMax> text{};
    const auto time = [&](base::Micros at) {
      return std::string_view(text.data(), base::format_rfc3339(at, text.data()));
    };
    window = fmt::format(R"({{"_window_start":"{}")", time(part.window_start));
    window += fmt::format(R"(,"_window_end":"{}")", time(part.window_end));
    for (const int key : part.form->keys) {
      if (key == part.form->window_start_column || key == part.form->window_end_column) continue;
      const auto column = static_cast<size_t>(key);
      columns.push_back(column);
      leads.push_back(fmt::format(",{}:", receiver::json_string(part.form->schema.columns[column].name)));
    }
  }
  void append(std::string& out, const ResultPart& part, size_t row) const {
    out += window;
    for (size_t k = 0; k < leads.size(); ++k) {
      out += leads[k];
      receiver::append_json_value(out, part.rows.columns[columns[k]], row);
    }
    out += '}';
  }
};

}  // namespace

void append_kafka_key(std::string& out, const ResultPart& part, size_t row) { KeyText(part).append(out, part, row); }

KafkaTarget::KafkaTarget(KafkaTargetOptions options) : options_(std::move(options)) {}

Result<void> KafkaTarget::connect() {
  if (writer_ != nullptr) return {};
  auto opened = transport::KafkaTransactions::open({options_.client, options_.topic, options_.writer});
  if (!opened) return tl::unexpected(std::move(opened.error()));
  writer_ = std::move(*opened);
  place_written_at_.reset();
  return {};
}

Result<void> KafkaTarget::settle(Result<void> done) {
  if (done) place_written_at_ = Clock::now();
  else writer_.reset();
  return done;
}

Result<uint64_t> KafkaTarget::open() {
  writer_.reset();
  if (auto connected = connect(); !connected) return tl::unexpected(std::move(connected.error()));
  return writer_->place().value_or(0);
}

Result<void> KafkaTarget::write(Parts parts) {
  if (auto connected = connect(); !connected) return connected;
  std::string keys, values;
  std::vector<size_t> key_ends;
  std::vector<Record> records;
  for (const auto& part : parts) {
    const size_t count = part->rows.row_count;
    keys.clear();
    values.clear();
    key_ends.clear();
    records.clear();
    if (part->windowed()) {
      const KeyText key(*part);
      for (size_t row = 0; row < count; ++row) {
        key.append(keys, *part, row);
        key_ends.push_back(keys.size());
      }
    }
    const bool tombstones = options_.tombstones && part->removed && part->windowed();
    if (!tombstones) receiver::append_jsonl(values, *part, receiver::Marks::kAll);
    size_t key_begin = 0, value_begin = 0;
    for (size_t row = 0; row < count; ++row) {
      Record& record = records.emplace_back();
      if (!key_ends.empty()) {
        record.key = std::string_view(keys).substr(key_begin, key_ends[row] - key_begin);
        key_begin = key_ends[row];
      }
      if (tombstones) continue;
      const size_t end = values.find('\n', value_begin);  // JSON has none of its own.
      record.value = std::string_view(values).substr(value_begin, end - value_begin);
      value_begin = end + 1;
    }
    if (records.empty()) continue;
    if (auto written = writer_->write(records); !written) return written;
  }
  return {};
}

Result<void> KafkaTarget::deliver(Parts parts) {
  if (parts.empty()) return {};
  auto done = write(parts);
  if (done) done = writer_->commit(parts.back()->seq);
  return settle(std::move(done));
}

Result<void> KafkaTarget::pass_over(const ResultPart& part) {
  auto done = connect();
  if (done) done = writer_->commit(part.seq);
  return settle(std::move(done));
}

Result<void> KafkaTarget::repeat(Parts parts) {
  auto done = write(parts);
  if (done) done = writer_->commit(writer_->place().value_or(0));
  return settle(std::move(done));
}

Result<void> KafkaTarget::keep_place() {
  if (writer_ == nullptr || !writer_->place()) return {};
  if (place_written_at_ && Clock::now() - *place_written_at_ < kKeepPlace) return {};
  return settle(writer_->commit(*writer_->place()));
}

Result<std::string> KafkaTarget::test() {
  const auto look = transport::KafkaTransactions::look({options_.client, options_.topic, options_.writer});
  if (!look) return tl::unexpected(look.error());
  return fmt::format(
      "Kafka at {}: topic '{}' {}; transactions can be had; place {}. Whether rows may be written (right Write "
      "on the topic) shows with the first",
      look->brokers, options_.topic.name,
      look->partitions == 0 ? fmt::format("can be made, with {} partitions", options_.topic.partition_count)
                            : fmt::format("has {} partitions", look->partitions),
      look->place ? fmt::format("{}", *look->place) : "none yet");
}

}  // namespace backstream::sink
