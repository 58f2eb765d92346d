#pragma once
// Parts and folders for tests of history.
#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "history/store.h"

namespace backstream::history {

inline constexpr Micros kSecond = base::kMicrosPerSecond, kMinute = 60 * kSecond, kHour = 60 * kMinute;
inline constexpr Micros kDay = 24 * kHour;
inline constexpr Micros kT0 = 1'764'201'600 * kSecond;  ///< 2025-11-27T00:00:00Z

/// A folder that goes with it.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "historyXXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no scratch folder");
    path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// window_start, AS number, octets (null where the AS number is a multiple of 7).
inline std::shared_ptr<const ResultForm> matrix_form(Micros window = kMinute) {
  auto form = std::make_shared<ResultForm>();
  form->schema.columns = {
      {"window_start", batch::Type::kTimestamptz}, {"src_as", batch::Type::kInt8, 32}, {"octets", batch::Type::kInt8}};
  form->keys = {0, 1};
  form->window_size_us = window;
  form->window_start_column = 0;
  return form;
}

/// Part 0 of a window with the AS numbers 1 .. groups; octets are `scale` times the AS number.
inline std::shared_ptr<ResultPart> matrix_part(const std::shared_ptr<const ResultForm>& form, uint64_t seq,
                                               Micros start, size_t groups, int64_t scale = 1'000) {
  auto part = std::make_shared<ResultPart>();
  part->seq = seq;
  part->incarnation = 1;
  part->version = 1;
  part->window_start = start;
  part->window_end = start + form->window_size_us;
  part->form = form;
  batch::BatchBuffer buffer(form->schema.types(), {true, true, true}, std::max<size_t>(groups, 1));
  for (size_t row = 0; row < groups; ++row) {
    const auto as = static_cast<int64_t>(row + 1);
    buffer.batch.columns[0].as<int64_t>()[row] = start;
    buffer.batch.columns[1].as<int64_t>()[row] = as;
    buffer.batch.columns[2].as<int64_t>()[row] = as * scale;
    buffer.batch.columns[2].validity[row] = as % 7 != 0;
  }
  buffer.batch.columns[2].has_nulls = true;
  receiver::copy_rows(buffer.batch, 0, groups, 3, *part);
  part->octets = receiver::copied_octets(part->rows, 0, groups);
  return part;
}

/// As a reader sees them.
inline std::vector<std::string> texts_of(const std::vector<std::shared_ptr<const ResultPart>>& parts) {
  std::vector<std::string> texts;
  for (const auto& part : parts)
    texts.push_back(receiver::window_json("q", *part, 0, part->rows.row_count, part->last, false));
  return texts;
}

/// A store with a clock of its own and all that it tells.
struct Kept {
  explicit Kept(const std::string& folder, std::function<void(Options&)> change = {}) {
    Options options;
    options.folder = folder;
    options.keep_us = {7 * kDay, 0, 0, 0};
    options.commit_every = std::chrono::milliseconds(1);
    options.clock = [this] { return now.load(); };
    options.warn = [this](const std::string& line) {
      const std::lock_guard lock(mutex);
      lines += line + "\n";
    };
    if (change) change(options);
    store = std::move(Store::open(std::move(options)).value());
  }
  ~Kept() { store.reset(); }  // It tells, and asks for the time, until then.
  Store* operator->() const { return store.get(); }
  std::string told() {
    const std::lock_guard lock(mutex);
    return lines;
  }
  void add(const std::shared_ptr<const ResultPart>& part, const std::string& query = "q") {
    store->add({query, part->incarnation}, part);
  }

  std::atomic<Micros> now{kT0};
  std::mutex mutex;
  std::string lines;
  std::unique_ptr<Store> store;
};

}  // namespace backstream::history
