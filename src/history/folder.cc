#include "history/folder.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace backstream::history {

namespace fs = std::filesystem;

namespace {

constexpr Micros kDay = 86'400 * base::kMicrosPerSecond;
constexpr const char* kBeside[] = {"", "-wal", "-shm", "-journal"};

std::string name_of(Tier tier, uint32_t number, Micros day) {
  const base::CivilTime civil = base::to_civil(day);
  return fmt::format("{}-{:08}-{:04}-{:02}-{:02}.db", name(tier), number, civil.year, civil.month, civil.day);
}

/// Nothing where a name is not of the form above.
std::optional<Folder::Facts> facts_of(const fs::path& path) {
  const std::string text = path.filename().string();
  const size_t dash = text.find('-');
  if (dash == std::string::npos) return std::nullopt;
  const auto tier = tier_of(std::string_view(text).substr(0, dash));
  Folder::Facts facts;
  base::CivilTime civil{};
  const char* at = text.data() + dash + 1;
  const char* const end = text.data() + text.size();
  const auto read = [&](auto& number, char then) {
    const auto [to, error] = std::from_chars(at, end, number);
    if (error != std::errc() || to == end || *to != then) return false;
    at = to + 1;
    return true;
  };
  if (!tier || !read(facts.number, '-') || !read(civil.year, '-') || !read(civil.month, '-') || !read(civil.day, '.') ||
      std::string_view(at, static_cast<size_t>(end - at)) != "db")
    return std::nullopt;
  facts.tier = *tier;
  facts.day = base::from_civil(civil);
  facts.path = path.string();
  return facts;
}

uint64_t octets_of(const std::string& path) {
  uint64_t octets = 0;
  for (const char* beside : kBeside) {
    struct stat found {};
    // What it takes of the disk: a log that was cut may be longer than its blocks.
    if (::stat((path + beside).c_str(), &found) == 0) octets += static_cast<uint64_t>(found.st_blocks) * 512;
  }
  return octets;
}

void remove_files(const std::string& path) {
  for (const char* beside : kBeside) {
    std::error_code none;  // Mostly there is only the first.
    fs::remove(path + beside, none);
  }
}

}  // namespace

Micros day_of(Micros time) { return time - ((time % kDay) + kDay) % kDay; }

base::Result<std::unique_ptr<Folder>> Folder::open(std::string path, Warn warn) {
  std::unique_ptr<Folder> folder(new Folder(std::move(path), std::move(warn)));
  if (auto scanned = folder->scan(); !scanned) return tl::unexpected(std::move(scanned.error()));
  return folder;
}

base::Result<void> Folder::scan() {
  std::error_code error;
  fs::create_directories(path_, error);
  if (!error) ::chmod(path_.c_str(), 0700);
  std::vector<Facts> found;
  for (auto at = fs::directory_iterator(path_, error); !error && at != fs::directory_iterator(); at.increment(error)) {
    const std::string extension = at->path().extension().string();
    if (extension == ".damaged" || extension == ".newer") ++set_aside_;
    if (auto facts = facts_of(at->path())) found.push_back(std::move(*facts));
  }
  if (error) {
    return base::fail("58030", fmt::format("the folder of history '{}' cannot be used: {}", path_, error.message()), {},
                      "see that its folder can be written, or set history.enabled = false");
  }
  for (Facts& facts : found) {
    next_number_ = std::max(next_number_, facts.number + 1);
    Entry entry;
    try {
      entry.queries = File(facts.path, File::Mode::kChange, forms_).holdings();
    } catch (const File::Foreign& foreign) {
      if (foreign.kind == File::Foreign::Kind::kEmpty) remove_files(facts.path);
      else set_aside_path(facts.path, foreign.why, foreign.kind == File::Foreign::Kind::kNewer);
      continue;
    } catch (const sqlite::Error& wrong) {
      // A disk that does not answer is no reason to move files.
      if (wrong.is_corrupt()) set_aside_path(facts.path, wrong.message, false);
      else if (warn_) warn_(fmt::format("'{}' is not read: {}", facts.path, wrong.message));
      continue;
    }
    facts.octets = octets_of(facts.path);
    entry.facts = std::move(facts);
    files_.emplace(entry.facts.number, std::move(entry));
  }
  return {};
}

void Folder::set_aside_path(const std::string& path, const std::string& why, bool newer) {
  const std::string to = path + (newer ? ".newer" : ".damaged");
  std::error_code error;
  fs::rename(path, to, error);
  for (const char* beside : {"-wal", "-journal"}) {
    std::error_code none;  // Mostly there is no such file.
    fs::rename(path + beside, to + beside, none);
  }
  {
    std::error_code none;
    fs::remove(path + "-shm", none);
  }
  {
    const std::lock_guard lock(mutex_);
    ++set_aside_;
  }
  if (!warn_) return;
  if (error) warn_(fmt::format("'{}' is not used: {}; nor can it be set aside: {}", path, why, error.message()));
  else if (newer)
    warn_(
        fmt::format("'{}' is not used: {}; it is '{}' now. Move it back when that version runs again", path, why, to));
  else
    warn_(
        fmt::format("'{0}' is damaged: {1}; it is '{2}' now, and history goes on without it. What can be read comes "
                    "back with: sqlite3 '{2}' .recover | sqlite3 '{0}', and a restart",
                    path, why, to));
}

std::vector<Folder::Held> Folder::held(const QueryId& id, Tier tier) const {
  std::vector<Held> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [number, entry] : files_) {
    if (entry.facts.tier != tier) continue;
    const auto at = entry.queries.find(id);
    if (at != entry.queries.end()) all.push_back({number, at->second.first, at->second.second});
  }
  return all;
}

std::optional<Folder::Held> Folder::held(uint32_t file, const QueryId& id) const {
  const std::lock_guard lock(mutex_);
  const auto entry = files_.find(file);
  if (entry == files_.end()) return std::nullopt;
  const auto at = entry->second.queries.find(id);
  if (at == entry->second.queries.end()) return std::nullopt;
  return Held{file, at->second.first, at->second.second};
}

std::vector<std::pair<QueryId, Folder::Held>> Folder::named(const std::string& query) const {
  std::vector<std::pair<QueryId, Held>> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [number, entry] : files_) {
    for (auto at = entry.queries.lower_bound({query, 0}); at != entry.queries.end() && at->first.name == query; ++at)
      all.emplace_back(at->first, Held{number, at->second.first, at->second.second});
  }
  return all;
}

std::optional<Holding> Folder::newest(const QueryId& id, Tier tier) const {
  const std::lock_guard lock(mutex_);
  for (auto at = files_.rbegin(); at != files_.rend(); ++at) {
    if (at->second.facts.tier != tier) continue;
    const auto found = at->second.queries.find(id);
    if (found != at->second.queries.end()) return found->second.second;
  }
  return std::nullopt;
}

Folder::Reading::~Reading() {
  if (connection_ != nullptr) folder_->give_back(file_, std::move(connection_));
}

std::optional<Folder::Reading> Folder::read(uint32_t file) {
  std::string path;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = files_.find(file);
    if (entry == files_.end()) return std::nullopt;
    if (const auto idle = idle_.find(file); idle != idle_.end()) {
      auto connection = std::move(idle->second);
      idle_.erase(idle);
      return Reading(*this, file, std::move(connection));
    }
    path = entry->second.facts.path;
  }
  try {
    return Reading(*this, file, std::make_unique<File>(path, File::Mode::kRead, forms_));
  } catch (const sqlite::Error&) {
    const std::lock_guard lock(mutex_);
    if (files_.contains(file)) throw;
    return std::nullopt;  // It went meanwhile.
  }
}

void Folder::give_back(uint32_t file, std::unique_ptr<File> connection) {
  std::unique_ptr<File> closed;  // Outside the lock.
  const std::lock_guard lock(mutex_);
  if (!files_.contains(file)) {
    closed = std::move(connection);
    return;
  }
  if (idle_.size() >= kIdleReadersMax) {
    closed = std::move(idle_.begin()->second);  // Of the oldest file.
    idle_.erase(idle_.begin());
  }
  idle_.emplace(file, std::move(connection));
}

std::vector<Folder::Facts> Folder::files() const {
  std::vector<Facts> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [number, entry] : files_) all.push_back(entry.facts);
  return all;
}

std::optional<Folder::Facts> Folder::facts(uint32_t file) const {
  const std::lock_guard lock(mutex_);
  const auto entry = files_.find(file);
  return entry == files_.end() ? std::nullopt : std::optional(entry->second.facts);
}

uint64_t Folder::octets() const {
  uint64_t octets = 0;
  const std::lock_guard lock(mutex_);
  for (const auto& [number, entry] : files_) octets += entry.facts.octets;
  return octets;
}

Folder::Totals Folder::totals() const {
  Totals totals;
  totals.oldest.fill(base::kMaxTime);
  const std::lock_guard lock(mutex_);
  totals.set_aside = set_aside_;
  for (const auto& [number, entry] : files_) {
    const auto tier = static_cast<size_t>(entry.facts.tier);
    totals.octets[tier] += entry.facts.octets;
    ++totals.files[tier];
    for (const auto& [id, known] : entry.queries) {
      const Holding& holding = known.second;
      if (holding.parts == 0) continue;
      totals.rows[tier] += holding.rows;
      totals.oldest[tier] =
          std::min(totals.oldest[tier], holding.first_start != 0 ? holding.first_start : holding.first_came);
    }
  }
  return totals;
}

std::pair<uint32_t, std::unique_ptr<File>> Folder::make(Tier tier, Micros day) {
  Entry entry;
  entry.facts.number = next_number_++;
  entry.facts.tier = tier;
  entry.facts.day = day;
  entry.facts.path = (fs::path(path_) / name_of(tier, entry.facts.number, day)).string();
  const uint32_t number = entry.facts.number;
  std::unique_ptr<File> made;
  try {
    made = std::make_unique<File>(entry.facts.path, File::Mode::kAppend, forms_);
  } catch (...) {
    remove_files(entry.facts.path);
    throw;
  }
  entry.facts.octets = octets_of(entry.facts.path);
  const std::lock_guard lock(mutex_);
  files_.emplace(number, std::move(entry));
  return {number, std::move(made)};
}

std::unique_ptr<File> Folder::change(uint32_t file) {
  std::string path;
  {
    const std::lock_guard lock(mutex_);
    path = files_.at(file).facts.path;
  }
  return std::make_unique<File>(path, File::Mode::kChange, forms_);
}

void Folder::note(uint32_t file, const QueryId& id, int64_t query, const Holding& holding) {
  const std::lock_guard lock(mutex_);
  const auto entry = files_.find(file);
  if (entry != files_.end()) entry->second.queries[id] = {query, holding};
}

void Folder::forget(uint32_t file, const QueryId& id) {
  const std::lock_guard lock(mutex_);
  const auto entry = files_.find(file);
  if (entry != files_.end()) entry->second.queries.erase(id);
}

std::map<QueryId, std::pair<int64_t, Holding>> Folder::queries(uint32_t file) const {
  const std::lock_guard lock(mutex_);
  const auto entry = files_.find(file);
  if (entry == files_.end()) return {};
  return entry->second.queries;
}

void Folder::measure(uint32_t file) {
  const std::lock_guard lock(mutex_);
  const auto entry = files_.find(file);
  if (entry != files_.end()) entry->second.facts.octets = octets_of(entry->second.facts.path);
}

void Folder::close_readers(uint32_t file) {
  std::vector<std::unique_ptr<File>> closed;
  const std::lock_guard lock(mutex_);
  const auto [begin, end] = idle_.equal_range(file);
  for (auto at = begin; at != end; ++at) closed.push_back(std::move(at->second));
  idle_.erase(begin, end);
}

void Folder::remove(uint32_t file) {
  close_readers(file);
  std::string path;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = files_.find(file);
    if (entry == files_.end()) return;
    path = entry->second.facts.path;
    files_.erase(entry);
  }
  remove_files(path);
}

void Folder::set_aside(uint32_t file, const std::string& why, bool newer) {
  close_readers(file);
  std::string path;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = files_.find(file);
    if (entry == files_.end()) return;
    path = entry->second.facts.path;
    files_.erase(entry);
  }
  set_aside_path(path, why, newer);
}

}  // namespace backstream::history
