#include "service/checkpoints.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "telemetry/terminal_log.h"

namespace backstream::service {
namespace {

using Json = nlohmann::json;

std::string to_text(const CheckpointHeader& header) {
  Json outages = Json::array();
  for (const Outage& outage : header.outages) outages.push_back({outage.from, outage.until, outage.clean});
  Json topics = Json::array();
  for (const TopicPlace& place : header.topics) topics.push_back({place.topic, place.partition, place.next});
  return Json{{"watermark", header.watermark},
              {"last_seqs", header.last_seqs},
              {"topics", std::move(topics)},
              {"outages", std::move(outages)},
              {"journal", header.journal}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// What cannot be read of it is as if nothing had been there.
CheckpointHeader header_of(const std::string& text) {
  CheckpointHeader header;
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return header;
  const auto number = [](const Json& in, int64_t otherwise) {
    return in.is_number_integer() ? in.get<int64_t>() : otherwise;
  };
  header.watermark = number(json.value("watermark", Json()), base::kMinTime);
  header.journal = static_cast<uint64_t>(std::max<int64_t>(0, number(json.value("journal", Json()), 0)));
  const Json seqs = json.value("last_seqs", Json());
  if (seqs.is_object()) {
    for (const auto& [name, seq] : seqs.items()) {
      if (seq.is_number_unsigned()) header.last_seqs[name] = seq.get<uint64_t>();
    }
  }
  const Json topics = json.value("topics", Json());
  if (topics.is_array()) {
    for (const Json& place : topics) {
      if (!place.is_array() || place.size() != 3 || !place[0].is_string() || !place[1].is_number_unsigned() ||
          !place[2].is_number_unsigned())
        continue;
      header.topics.push_back({place[0].get<std::string>(), place[1].get<uint32_t>(), place[2].get<uint64_t>()});
    }
  }
  const Json outages = json.value("outages", Json());
  if (outages.is_array()) {
    for (const Json& outage : outages) {
      if (!outage.is_array() || outage.size() != 3 || !outage[2].is_boolean()) continue;
      header.outages.push_back({number(outage[0], 0), number(outage[1], 0), outage[2].get<bool>()});
    }
  }
  return header;
}

}  // namespace

Checkpoints::Checkpoints(std::string folder)
    : folder_(std::move(folder)), file_((std::filesystem::path(folder_) / "windows.state").string()) {}

Checkpoints::~Checkpoints() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (journal_file_ >= 0) ::close(journal_file_);
}

std::string Checkpoints::journal_path(uint64_t number) const {
  return (std::filesystem::path(folder_) / fmt::format("windows.{}.journal", number)).string();
}

base::Result<std::optional<Checkpoints::Before>> Checkpoints::load() {
  auto loaded = file_.load();
  if (!loaded) return tl::unexpected(std::move(loaded.error()));
  if (!*loaded) return std::nullopt;
  Before before;
  before.state = std::move(**loaded);
  before.header = header_of(before.state.header);
  journal_ = before.header.journal;
  {
    const std::lock_guard lock(mutex_);
    status_.at = before.state.saved_at;
  }
  // "START NAME\n". A last line that a kill has cut is none: its window was not wholly sent to anybody.
  std::ifstream journal(journal_path(journal_));
  for (std::string line; std::getline(journal, line) && !journal.eof();) {
    const size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    Micros start = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + space, start);
    if (error != std::errc() || end != line.data() + space) continue;
    const auto [at, fresh] = before.sent.emplace(line.substr(space + 1), start);
    if (!fresh) at->second = std::max(at->second, start);
  }
  return before;
}

void Checkpoints::note_sent(const std::string& query, Micros window_start) {
  if (journal_file_ < 0 || query.find('\n') != std::string::npos) return;
  const std::string line = fmt::format("{} {}\n", window_start, query);
  // To the kernel, which a kill of the process does not take along.
  if (::write(journal_file_, line.data(), line.size()) == static_cast<ssize_t>(line.size()) || journal_told_) return;
  journal_told_ = true;
  telemetry::terminal_log().warning(
      fmt::format("'{}' cannot be written: {}; if the service is killed now, windows may be sent twice",
                  journal_path(journal_), std::strerror(errno)));
}

void Checkpoints::begin_journal() {
  if (journal_file_ >= 0) ::close(journal_file_);
  ++journal_;
  journal_file_ = ::open(journal_path(journal_).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
}

/// The state is of now: what is sent from here on is not in it.
void Checkpoints::prepare(SavedState& state, CheckpointHeader& header) {
  begin_journal();
  header.journal = journal_;
  if (header.outages.size() > kOutagesKept)
    header.outages.erase(header.outages.begin(), header.outages.end() - static_cast<long>(kOutagesKept));
  state.header = to_text(header);
}

bool Checkpoints::submit(SavedState state, CheckpointHeader header) {
  {
    const std::lock_guard lock(mutex_);
    if (writing_ || waiting_) {
      ++status_.skipped;
      return false;
    }
  }
  prepare(state, header);
  {
    const std::lock_guard lock(mutex_);
    waiting_ = std::move(state);
    waiting_journal_ = journal_;
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_all();
  return true;
}

base::Result<void> Checkpoints::write_now(SavedState state, CheckpointHeader header) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !writing_ && !waiting_; });
  }
  prepare(state, header);
  write(state, journal_);
  const Status now = status();
  if (now.error.empty()) return {};
  return base::fail("file", now.error, {}, "what is open now is lost; the last checkpoint is kept");
}

void Checkpoints::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || waiting_; });
    if (!waiting_) return;
    const SavedState state = std::move(*waiting_);
    const uint64_t journal = waiting_journal_;
    waiting_.reset();
    writing_ = true;
    lock.unlock();
    write(state, journal);
    lock.lock();
    writing_ = false;
    changed_.notify_all();
  }
}

void Checkpoints::write(const SavedState& state, uint64_t journal) {
  if (wait_) wait_();
  const auto octets = file_.write(state);
  std::error_code ignored;
  if (octets) {
    // Those before it are of states that are no more.
    for (uint64_t old = journal; old-- > 0 && std::filesystem::remove(journal_path(old), ignored);) {
    }
  }
  const std::lock_guard lock(mutex_);
  if (octets) {
    ++status_.written;
    status_.at = state.saved_at;
    status_.octets = *octets;
    status_.error.clear();
    return;
  }
  if (status_.error.empty())
    telemetry::terminal_log().warning("the state of open windows cannot be kept: " + octets.error().message);
  ++status_.failed;
  status_.error = octets.error().message;
}

void Checkpoints::clear() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !writing_ && !waiting_; });
  }
  std::error_code ignored;
  std::filesystem::remove(file_.path(), ignored);
  for (uint64_t old = journal_ + 1; old-- > 0 && std::filesystem::remove(journal_path(old), ignored);) {
  }
}

Checkpoints::Status Checkpoints::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace backstream::service
