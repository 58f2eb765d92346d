#include "history/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <tuple>
#include <utility>

#include "history/roll_up.h"
#include "receiver/prometheus_text.h"

namespace backstream::history {

using base::fail;
using base::Result;
using std::chrono::steady_clock;

namespace {

constexpr Micros kDay = 86'400 * base::kMicrosPerSecond;
constexpr size_t kCommitOctets = size_t{16} << 20;  ///< of parts in memory: written at once
constexpr size_t kRolledRows = 200'000;             ///< in memory at once, while a bucket is made
constexpr size_t kTierPartRows = 1'000;
constexpr size_t kErasedParts = 200;  ///< in one transaction
constexpr auto kTendEvery = std::chrono::seconds(1), kRetryEvery = std::chrono::seconds(1);
constexpr auto kAgesEvery = std::chrono::seconds(10);
constexpr auto kErasing = std::chrono::milliseconds(100);  ///< in a row, before what came is written

size_t at(Tier tier) { return static_cast<size_t>(tier); }
std::string file_name(const std::string& path) { return std::filesystem::path(path).filename().string(); }

/// What parts of one window that belong together have in common.
using Group = std::tuple<uint32_t, int, uint8_t>;
Group group_of(const Head& head) { return {head.version, head.revision, head.flags & (kFinal | kComplete)}; }
/// What two parts that are the same, given twice, have in common.
auto same_as(const Head& head) {
  return std::tuple(head.window_start, head.window_end, head.version, head.revision, head.part,
                    head.flags & (kFinal | kComplete | kRemoved));
}

}  // namespace

/// A query that has parts in a transaction.
struct Store::Touched {
  Folder::Held held;                 ///< in the open file, as it will be
  std::vector<Folder::Held> before;  ///< in those before it
};
/// What a transaction has changed, to be told when it is kept.
struct Store::Written {
  std::map<QueryId, Touched> queries;
  uint64_t parts = 0, rows = 0, repeats = 0, refused_rows = 0;
  std::vector<std::pair<QueryId, Head>> final;  ///< parts of windows that buckets are made of
};

Result<std::unique_ptr<Store>> Store::open(Options options) {
  options.file_octets_max = std::min(options.file_octets_max, options.octets_max / 8);
  std::unique_ptr<Store> store(new Store(std::move(options)));
  auto folder = Folder::open(store->options_.folder, store->options_.warn);
  if (!folder) return tl::unexpected(std::move(folder.error()));
  store->folder_ = std::move(*folder);
  for (const Folder::Facts& facts : store->folder_->files()) {
    store->in_file(facts.number, [&](File& file) {
      for (const int64_t query : file.orphans()) store->orphans_.emplace(facts.number, query);
    });
  }
  store->thread_ = std::thread([raw = store.get()] { raw->run(); });
  return store;
}

Store::~Store() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  done_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// --- what comes -----------------------------------------------------------------------------------------------------

void Store::set_retention(const QueryId& id, Micros keep_us) {
  const std::lock_guard lock(mutex_);
  retentions_[id] = keep_us;
}

void Store::add(const QueryId& id, std::shared_ptr<const ResultPart> part) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (status_.queue_octets + part->octets > options_.queue_octets_max) {
      refused_[id] += part->rows.row_count;
      status_.refused_rows += part->rows.row_count;
      return;
    }
    status_.queue_octets += part->octets;
    first = queue_.empty() || status_.queue_octets >= kCommitOctets;
    Item item{id, std::move(part), options_.clock(), 0};
    if (const auto refused = refused_.find(id); refused != refused_.end()) {
      item.refused_before = refused->second;
      refused_.erase(refused);
    }
    queue_.push_back(std::move(item));
  }
  if (first) changed_.notify_one();
}

void Store::drop(const std::string& query, uint64_t but_incarnation) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({{query, but_incarnation}, nullptr, 0, 0});
  }
  changed_.notify_one();
}

bool Store::settle(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  const uint64_t asked = ++settle_asked_;
  changed_.notify_one();
  return done_.wait_for(lock, patience, [&] { return settle_done_ >= asked || stop_; }) && settled_well_;
}

// --- the writer -----------------------------------------------------------------------------------------------------

void Store::run() {
  std::deque<Item> items;  // That are being written; they count in queue_octets until they are.
  auto tend_at = steady_clock::now();
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto asked = [&] { return stop_ || settle_asked_ > settle_done_; };
    if (items.empty()) {
      changed_.wait_until(lock, tend_at, [&] { return asked() || !queue_.empty(); });
      // What comes together is written together.
      if (!queue_.empty())
        changed_.wait_for(lock, options_.commit_every,
                          [&] { return asked() || status_.queue_octets >= kCommitOctets; });
    } else {
      changed_.wait_for(lock, kRetryEvery, asked);
    }
    const bool last = stop_;
    const uint64_t settling = settle_asked_;
    const bool settle = settling > settle_done_;
    std::move(queue_.begin(), queue_.end(), std::back_inserter(items));
    queue_.clear();
    lock.unlock();
    const bool well = write(items);
    if (settle || steady_clock::now() >= tend_at) {
      tend(settle);
      tend_at = steady_clock::now() + kTendEvery;
    }
    lock.lock();
    settled_well_ = well;
    settle_done_ = settling;
    done_.notify_all();
    if (last) break;
  }
  for (const Item& item : items) {
    if (item.part != nullptr) status_.refused_rows += item.part->rows.row_count;
  }
  const uint64_t lost = items.size();
  lock.unlock();
  if (lost != 0 && options_.warn)
    options_.warn(fmt::format("history: the last {} parts of results are lost, the disk did not take them", lost));
}

/// Those that were written are removed. False: the disk does not take them now.
bool Store::write(std::deque<Item>& items) {
  while (!items.empty()) {
    size_t count = 0, octets = 0;
    while (count < items.size() && items[count].part != nullptr && octets < 2 * kCommitOctets)
      octets += items[count++].part->octets;
    if (count == 0) {
      drop_now(items.front().id);
      items.pop_front();
      continue;
    }
    for (bool again = false;; again = true) {
      try {
        write_batch(items, count);
        break;
      } catch (const sqlite::Error& error) {
        if (!settle_failure(error, again, Tier::kRaw)) return false;
      } catch (const File::Foreign& foreign) {
        if (!settle_failure({0, foreign.why}, true, Tier::kRaw)) return false;
      }
    }
    items.erase(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(count));
    end_trouble();
    const std::lock_guard lock(mutex_);
    status_.queue_octets -= octets;
  }
  return true;
}

/// Whether it is worth while to try at once again.
bool Store::settle_failure(const sqlite::Error& error, bool again, Tier tier) {
  {
    const std::lock_guard lock(mutex_);
    ++status_.errors;
  }
  Open& open = open_[at(tier)];
  if (error.is_full()) {
    begin_trouble("the disk is full", true);
    const auto removed = remove_oldest();
    if (!removed) return false;
    if (options_.warn)
      options_.warn(
          fmt::format("history: the disk is full: '{}', the oldest file, was removed to make room", *removed));
    return true;
  }
  begin_trouble(error.message, false);
  if (error.is_corrupt() && open.file != nullptr && !again) {
    const uint32_t number = std::exchange(open, {}).number;
    folder_->set_aside(number, error.message, false);
    return true;
  }
  open = {};
  return false;
}

void Store::write_batch(const std::deque<Item>& items, size_t count) {
  Open& open = open_file(Tier::kRaw);
  Written written;
  open.file->begin();
  try {
    for (size_t i = 0; i < count; ++i) add_to(open, items[i], written);
    for (const auto& [id, touched] : written.queries) open.file->put_holding(touched.held.query, touched.held.holding);
    open.file->commit();
  } catch (...) {
    open.file->roll_back();
    throw;
  }
  for (const auto& [id, touched] : written.queries)
    folder_->note(open.number, id, touched.held.query, touched.held.holding);
  folder_->measure(open.number);
  {
    const std::lock_guard lock(mutex_);
    status_.parts += written.parts;
    status_.rows += written.rows;
    status_.repeats += written.repeats;
    status_.refused_rows += written.refused_rows;
    parts_come_ += count;
  }
  done_.notify_all();
  for (const auto& [id, head] : written.final) note_final(id, head);
}

void Store::add_to(Open& open, const Item& item, Written& written) {
  const ResultPart& part = *item.part;
  auto known = written.queries.find(item.id);
  if (known == written.queries.end()) {
    Touched touched;
    touched.before = folder_->held(item.id, Tier::kRaw);
    if (!touched.before.empty() && touched.before.back().file == open.number) {
      touched.held = touched.before.back();
      touched.before.pop_back();
    } else {
      touched.held = {open.number, open.file->add_query(item.id), {}};
      if (!touched.before.empty()) touched.held.holding = touched.before.back().holding.without_parts();
    }
    const std::lock_guard lock(mutex_);
    const auto retention = retentions_.find(item.id);
    if (retention != retentions_.end()) touched.held.holding.keep_us = retention->second;
    known = written.queries.emplace(item.id, std::move(touched)).first;
  }
  Folder::Held& held = known->second.held;
  held.holding.rows_ever += item.refused_before;
  if (is_repeat(part, open, known->second)) {
    ++written.repeats;
    return;
  }
  const uint64_t before = held.holding.rows_ever;
  held.holding.rows_ever += part.rows.row_count;
  if (!open.file->put(held.query, part, before, item.came_at)) {
    written.refused_rows += part.rows.row_count;
    return;
  }
  held.holding.note(part.seq, part.window_start, item.came_at, part.rows.row_count);
  ++written.parts;
  written.rows += part.rows.row_count;
  if (part.windowed() && part.final && !part.removed && has_tiers()) written.final.emplace_back(item.id, head_of(part));
}

/// The engine gives windows again where it goes on from an older state, and receivers that read their topic once more.
bool Store::is_repeat(const ResultPart& part, const Open& open, const Touched& touched) {
  if (!part.windowed()) return false;
  const auto may_have = [&](const Holding& holding) {
    return holding.parts != 0 && part.window_start >= holding.first_start && part.window_start <= holding.last_start;
  };
  if (may_have(touched.held.holding) && open.file->has(touched.held.query, part)) return true;
  for (const Folder::Held& held : touched.before) {
    if (!may_have(held.holding)) continue;
    auto reading = folder_->read(held.file);
    if (!reading) continue;
    try {
      if ((*reading)->has(held.query, part)) return true;
    } catch (const sqlite::Error& error) {
      reading->close();
      if (!error.is_corrupt()) throw;
      suspect(held.file);
    }
  }
  return false;
}

bool Store::is_open(uint32_t file) const {
  return std::any_of(open_.begin(), open_.end(),
                     [&](const Open& open) { return open.file != nullptr && open.number == file; });
}

/// The file that gets parts now.
Store::Open& Store::open_file(Tier tier) {
  Open& open = open_[at(tier)];
  const Micros today = day_of(options_.clock());
  // A clock that is set back a little does not begin a file; one that was years ahead is not believed for years.
  const auto fits = [&](const Folder::Facts& facts) {
    return facts.octets < options_.file_octets_max && facts.day >= today && facts.day <= today + kDay;
  };
  if (open.file != nullptr) {
    const auto facts = folder_->facts(open.number);
    if (facts && fits(*facts)) return open;
    finish(open);
  }
  std::optional<Folder::Facts> newest;
  for (Folder::Facts& facts : folder_->files()) {
    if (facts.tier == tier) newest = std::move(facts);
  }
  if (newest && fits(*newest)) {
    open.file = std::make_unique<File>(newest->path, File::Mode::kAppend, folder_->forms());
    open.number = newest->number;
    return open;
  }
  auto [number, file] = folder_->make(tier, today);
  try {
    // The newest file knows how far every query is, however old the parts are.
    std::map<QueryId, Folder::Held> carried;
    file->begin();
    for (const auto& [id, known] : newest ? folder_->queries(newest->number) : decltype(folder_->queries(0))()) {
      const Folder::Held held{number, file->add_query(id), known.second.without_parts()};
      file->put_holding(held.query, held.holding);
      carried.emplace(id, held);
    }
    file->commit();
    for (const auto& [id, held] : carried) folder_->note(number, id, held.query, held.holding);
  } catch (...) {
    file.reset();
    folder_->remove(number);
    throw;
  }
  open.number = number;
  open.file = std::move(file);
  return open;
}

void Store::finish(Open& open) {
  folder_->close_readers(open.number);
  try {
    open.file->finish();
  } catch (const sqlite::Error&) {  // It stays as it is: longer by its log.
  }
  const uint32_t number = open.number;
  open = {};
  folder_->measure(number);
}

/// With connection and transaction of its own, or those of the open file. False: it could not be done.
template <typename Work>
bool Store::in_file(uint32_t number, Work&& work) {
  std::unique_ptr<File> own;
  File* file = nullptr;
  try {
    for (const Open& open : open_) {
      if (open.file != nullptr && open.number == number) file = open.file.get();
    }
    if (file == nullptr) {
      own = folder_->change(number);
      file = own.get();
    }
    file->begin();
    work(*file);
    file->commit();
    return true;
  } catch (const sqlite::Error& error) {
    if (file != nullptr) file->roll_back();
    if (error.is_corrupt()) suspect(number);
    const std::lock_guard lock(mutex_);
    ++status_.errors;
  } catch (const File::Foreign&) {
    suspect(number);
  }
  return false;
}

/// Where a file cannot be changed now, what it has of the query is forgotten as long as this process runs.
void Store::drop_now(const QueryId& but) {
  const auto is_dropped = [&](const QueryId& id) { return id.name == but.name && id.incarnation != but.incarnation; };
  for (const auto& [id, held] : folder_->named(but.name)) {
    if (!is_dropped(id)) continue;
    folder_->forget(held.file, id);
    const int64_t number = held.query;
    if (in_file(held.file, [&](File& file) { file.forget_query(number); })) orphans_.emplace(held.file, number);
  }
  std::erase_if(unrolled_, [&](const auto& each) { return is_dropped(each.first); });
  const std::lock_guard lock(mutex_);
  std::erase_if(refused_, [&](const auto& each) { return is_dropped(each.first); });
  std::erase_if(retentions_, [&](const auto& each) { return is_dropped(each.first); });
}

void Store::begin_trouble(const std::string& why, bool full) {
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    tell = status_.trouble != why;
    if (status_.trouble.empty()) status_.trouble_since = options_.clock();
    status_.trouble = why;
    status_.is_full = full;
    if (full) status_.full_at = options_.clock();
  }
  if (tell && options_.warn)
    options_.warn(
        fmt::format("history is not written: {}. What runs goes on; results wait in memory, as long as there "
                    "is room ({} octets)",
                    why, options_.queue_octets_max));
}

void Store::end_trouble() {
  {
    const std::lock_guard lock(mutex_);
    if (status_.trouble.empty()) return;
    status_.trouble.clear();
    status_.is_full = false;
  }
  if (options_.warn) options_.warn("history is written again");
}

// --- tiers ----------------------------------------------------------------------------------------------------------

bool Store::has_tiers() const {
  return std::any_of(options_.keep_us.begin() + 1, options_.keep_us.end(), [](Micros keep) { return keep != 0; });
}

void Store::note_final(const QueryId& id, const Head& head) {
  const auto [known, fresh] = unrolled_.try_emplace(id);
  if (fresh) catch_up(id);
  Unrolled& unrolled = known->second;
  unrolled.newest = std::max(unrolled.newest, head.window_start);
  for (size_t tier = 1; tier < kTierCount; ++tier) {
    const Micros length = length_us(static_cast<Tier>(tier));
    if (options_.keep_us[tier] != 0 && head.window_end - head.window_start <= length)
      unrolled.buckets[tier].try_emplace(base::floor_to(head.window_start, length), head.seq);
  }
}

/// What the process before this one, or this one before it had the tier, has left to do.
void Store::catch_up(const QueryId& id) {
  std::array<uint64_t, kTierCount> places{};
  uint64_t least = UINT64_MAX;
  for (size_t tier = 1; tier < kTierCount; ++tier) {
    if (options_.keep_us[tier] == 0) continue;
    if (const auto newest = folder_->newest(id, static_cast<Tier>(tier))) places[tier] = newest->place;
    least = std::min(least, places[tier]);
  }
  Unrolled& unrolled = unrolled_[id];
  for (const Folder::Held& held : folder_->held(id, Tier::kRaw)) {
    if (held.holding.parts == 0 || held.holding.last_seq <= least) continue;
    try {
      auto reading = folder_->read(held.file);
      std::vector<Head> page;
      for (uint64_t after = least; reading; after = page.back().seq) {
        page.clear();
        (*reading)->heads_after(held.query, after, 10'000, page);
        if (page.empty()) break;
        for (const Head& head : page) {
          if (!head.windowed() || (head.flags & kFinal) == 0 || (head.flags & kRemoved) != 0) continue;
          unrolled.newest = std::max(unrolled.newest, head.window_start);
          for (size_t tier = 1; tier < kTierCount; ++tier) {
            const Micros length = length_us(static_cast<Tier>(tier));
            if (options_.keep_us[tier] != 0 && head.seq > places[tier] && head.window_end - head.window_start <= length)
              unrolled.buckets[tier].try_emplace(base::floor_to(head.window_start, length), head.seq);
          }
        }
      }
    } catch (const sqlite::Error& error) {  // What is there is made of those that can be read.
      if (error.is_corrupt()) suspect(held.file);
    } catch (const File::Foreign&) {
      suspect(held.file);
    }
  }
}

/// Makes buckets that windows have passed.
void Store::roll_up(bool all) {
  const auto begin = steady_clock::now();
  for (auto& [id, unrolled] : unrolled_) {
    for (size_t tier = 1; tier < kTierCount; ++tier) {
      auto& buckets = unrolled.buckets[tier];
      const Micros length = length_us(static_cast<Tier>(tier));
      while (!buckets.empty() && buckets.begin()->first + length <= unrolled.newest) {
        if (!all && steady_clock::now() - begin > kErasing) return;
        const auto bucket = *buckets.begin();
        buckets.erase(buckets.begin());
        uint64_t place = last_seq(id);
        for (const auto& [start, seq] : buckets) place = std::min(place, seq - 1);
        if (make_bucket(id, static_cast<Tier>(tier), bucket.first, place)) continue;
        buckets.insert(bucket);  // It is tried again.
        return;
      }
    }
  }
}

/// @param place  raw parts up to this seq are in their buckets then
bool Store::make_bucket(const QueryId& id, Tier tier, Micros start, uint64_t place) {
  std::optional<RollUp> rolled;
  uint32_t version = 0;
  Range range;
  range.from = start;
  range.until = start + length_us(tier);
  range.rows_max = kRolledRows;
  for (;;) {
    const auto read = this->read(id, range);
    if (!read) return false;
    for (const auto& part : read->parts) {
      if (!part->windowed() || !part->final) continue;
      // Rows of a version with other columns have no place in one row: the newest has it.
      if (part->version > version || !rolled) {
        version = part->version;
        if (tier_form(*part->form, tier) == nullptr) continue;
        if (!rolled || !rolled->fits(*part)) rolled.emplace(*part->form, tier, start);
      }
      rolled->add(*part);
    }
    if (!read->next_seq) break;
    range.after_seq = *read->next_seq;
  }
  if (!rolled) return true;
  for (bool again = false;; again = true) {
    try {
      write_bucket(id, tier, rolled->finish(kTierPartRows), place);
      return true;
    } catch (const sqlite::Error& error) {
      if (!settle_failure(error, again, tier)) return false;
    } catch (const File::Foreign& foreign) {
      if (!settle_failure({0, foreign.why}, true, tier)) return false;
    }
  }
}

void Store::write_bucket(const QueryId& id, Tier tier, std::vector<std::shared_ptr<ResultPart>> parts, uint64_t place) {
  Open& open = open_file(tier);
  const Micros start = parts.front()->window_start;
  int revision = 0;
  Folder::Held here{open.number, 0, {}};
  bool is_known = false;
  for (const Folder::Held& held : folder_->held(id, tier)) {
    if (held.file == open.number) {
      here = held;
      is_known = true;
    } else {
      here.holding = held.holding.without_parts();
    }
    if (held.holding.parts == 0 || start < held.holding.first_start || start > held.holding.last_start) continue;
    std::vector<Head> heads;
    if (auto reading = folder_->read(held.file)) (*reading)->heads(held.query, {start, start + 1, UINT64_MAX}, heads);
    for (const Head& head : heads) revision = std::max(revision, head.revision);
  }
  open.file->begin();
  try {
    if (!is_known) here.query = open.file->add_query(id);
    for (const auto& part : parts) {
      part->seq = here.holding.last_seq + 1;
      part->revision = revision + 1;
      if (!open.file->put(here.query, *part, here.holding.rows_ever, options_.clock())) continue;
      here.holding.note(part->seq, start, options_.clock(), part->rows.row_count);
      here.holding.rows_ever += part->rows.row_count;
    }
    here.holding.place = place;
    open.file->put_holding(here.query, here.holding);
    open.file->commit();
  } catch (...) {
    open.file->roll_back();
    throw;
  }
  folder_->note(open.number, id, here.query, here.holding);
  folder_->measure(open.number);
}

// --- what goes ------------------------------------------------------------------------------------------------------

/// The name of the file that is gone now: of the oldest that gets no more parts, of the finest tier that has one.
std::optional<std::string> Store::remove_oldest() {
  const auto files = folder_->files();
  for (size_t tier = 0; tier < kTierCount; ++tier) {
    for (const Folder::Facts& facts : files) {
      if (at(facts.tier) != tier || is_open(facts.number)) continue;
      folder_->remove(facts.number);
      const std::lock_guard lock(mutex_);
      ++status_.files_for_room;
      return file_name(facts.path);
    }
  }
  return std::nullopt;
}

/// @param all  whatever is due by the clock that Options give
void Store::tend(bool all) {
  std::set<uint32_t> suspects;
  {
    const std::lock_guard lock(mutex_);
    suspects.swap(suspects_);
  }
  for (const uint32_t file : suspects) {
    for (Open& open : open_) {
      if (open.file != nullptr && open.number == file) open = {};
    }
    folder_->set_aside(file, "it is not what was written", false);
  }
  roll_up(all);
  if (const auto now = steady_clock::now(); all || now - ages_at_ >= kAgesEvery) {
    ages_at_ = now;
    tend_ages();
    const std::lock_guard lock(mutex_);
    status_.totals = folder_->totals();
  }
  erase_some();
  bool removed = false;
  while (folder_->octets() > options_.octets_max && remove_oldest()) removed = true;
  if (!removed) return;
  const std::lock_guard lock(mutex_);
  status_.totals = folder_->totals();
}

/// Files go whole where all that is in them is past its time; a query goes from a file where others are not, or where
/// it is to be kept for less long.
void Store::tend_ages() {
  const Micros now = options_.clock();
  for (const Folder::Facts& facts : folder_->files()) {
    const Micros tier_keep = options_.keep_us[at(facts.tier)];
    struct Due {
      QueryId id;
      Folder::Held held;
      Micros until;
    };
    std::vector<Due> due;
    bool is_alive = is_open(facts.number);
    for (const auto& [id, known] : folder_->queries(facts.number)) {
      const Holding& holding = known.second;
      if (holding.parts == 0) continue;
      Micros own = 0;
      if (facts.tier == Tier::kRaw) {
        const std::lock_guard lock(mutex_);
        const auto retention = retentions_.find(id);
        if (retention != retentions_.end()) own = retention->second;
        else if (const auto newest = folder_->newest(id, Tier::kRaw)) own = newest->keep_us;
      }
      const Micros until = now - (own != 0 ? own : tier_keep);
      is_alive |= holding.last_came >= until;
      if (holding.last_came < until || (own != 0 && own < tier_keep && holding.first_came < until))
        due.push_back({id, {facts.number, known.first, holding}, until});
    }
    if (!is_alive) {
      folder_->remove(facts.number);
      continue;
    }
    for (const Due& each : due) erase_some(facts.number, each.id, each.held, each.until);
  }
}

/// A part of what is due; the rest when it is looked at again.
void Store::erase_some(uint32_t number, const QueryId& id, const Folder::Held& held, Micros until) {
  Holding holding = held.holding;
  size_t erased = kErasedParts;
  for (const auto begin = steady_clock::now(); erased == kErasedParts && steady_clock::now() - begin < kErasing;) {
    const bool done = in_file(number, [&](File& file) {
      erased = file.erase(held.query, until, kErasedParts, holding);
      file.put_holding(held.query, holding);
    });
    if (!done) return;
    folder_->note(number, id, held.query, holding);
  }
  in_file(number, [](File& file) { file.give_back(); });
  folder_->measure(number);
}

/// Parts of queries that were dropped.
void Store::erase_some() {
  for (const auto begin = steady_clock::now(); !orphans_.empty() && steady_clock::now() - begin < kErasing;) {
    const auto [number, query] = *orphans_.begin();
    const auto files = folder_->files();
    const auto is_it = [&, file = number](const Folder::Facts& facts) { return facts.number == file; };
    if (std::none_of(files.begin(), files.end(), is_it)) {
      orphans_.erase(orphans_.begin());
      continue;
    }
    size_t erased = 0;
    const bool done = in_file(number, [&, of = query](File& file) {
      Holding none;
      erased = file.erase(of, base::kMaxTime, kErasedParts, none);
      file.give_back();
    });
    if (done && erased == kErasedParts) continue;
    // Where it cannot be done now, the next process does it.
    orphans_.erase(orphans_.begin());
    folder_->measure(number);
  }
}

void Store::suspect(uint32_t file) {
  const std::lock_guard lock(mutex_);
  suspects_.insert(file);
}

// --- who reads ------------------------------------------------------------------------------------------------------

uint64_t Store::last_seq(const QueryId& id) const {
  const auto newest = folder_->newest(id, Tier::kRaw);
  return newest ? newest->last_seq : 0;
}

Result<std::optional<Micros>> Store::last_window(const QueryId& id) const {
  const auto files = folder_->held(id, Tier::kRaw);
  for (auto held = files.rbegin(); held != files.rend(); ++held) {
    if (held->holding.parts == 0) continue;
    try {
      auto reading = folder_->read(held->file);
      if (!reading) continue;
      if (const auto last = (*reading)->last_window(held->query)) return last;
    } catch (const sqlite::Error& error) {
      return fail("58030", fmt::format("history cannot be read: {}", error.message), {},
                  "see the disk of history.folder");
    } catch (const File::Foreign& foreign) {
      return fail("58030", fmt::format("history cannot be read: {}", foreign.why), {},
                  "see the disk of history.folder");
    }
  }
  return std::nullopt;
}

uint64_t Store::wait_beyond(uint64_t count, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  done_.wait_for(lock, patience, [&] { return parts_come_ > count || stop_; });
  return parts_come_;
}

Store::Status Store::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

namespace {

/// A part that may be given: in a file, or in memory.
struct Candidate {
  Head head;
  uint32_t file = 0;
  int64_t query = 0;
  const std::shared_ptr<const ResultPart>* memory = nullptr;
};

}  // namespace

Tier Store::tier_for(const QueryId& id, Micros from) const {
  Tier chosen = Tier::kRaw;
  Micros oldest = base::kMaxTime;
  for (size_t tier = 0; tier < kTierCount; ++tier) {
    if (oldest <= from) break;
    Micros first = base::kMaxTime;
    for (const Folder::Held& held : folder_->held(id, static_cast<Tier>(tier))) {
      if (held.holding.parts != 0) first = std::min(first, held.holding.first_start);
    }
    // A bucket that began before the first window has no more than that.
    if (first == base::kMaxTime || first + length_us(static_cast<Tier>(tier)) > oldest) continue;
    chosen = static_cast<Tier>(tier);
    oldest = first;
  }
  return chosen;
}

Result<Store::Read> Store::read(const QueryId& id, const Range& range,
                                std::span<const std::shared_ptr<const ResultPart>> newer) {
  const uint64_t before_seq = newer.empty() ? UINT64_MAX : newer.front()->seq;
  Read read;
  std::vector<Candidate> candidates;
  std::map<uint32_t, Folder::Reading> readings;
  std::string wrong;
  /// Does what is to be done with a file. False: `wrong` says why it is not done.
  const auto with = [&](uint32_t file, auto&& work) {
    try {
      auto at = readings.find(file);
      if (at == readings.end()) {
        auto reading = folder_->read(file);
        if (!reading) return true;  // It was past its time.
        at = readings.emplace(file, std::move(*reading)).first;
      }
      work(*at->second.operator->());
    } catch (const sqlite::Error& error) {
      if (const auto at = readings.find(file); at != readings.end()) {
        at->second.close();
        readings.erase(at);
      }
      if (error.is_corrupt()) suspect(file);
      else wrong = error.message;
    } catch (const File::Foreign&) {
      suspect(file);
    }
    return wrong.empty();
  };
  const auto refused = [&] {
    return fail("58030", fmt::format("history cannot be read: {}", wrong), {}, "see the disk of history.folder");
  };

  uint64_t rows_unwindowed = 0;
  for (const Folder::Held& held : folder_->held(id, range.tier)) {
    const Holding& holding = held.holding;
    read.last_seq = std::max(read.last_seq, holding.last_seq);
    if (holding.parts == 0) continue;
    if (!read.kept_since || holding.first_start < *read.kept_since) read.kept_since = holding.first_start;
    if (holding.first_seq >= before_seq) continue;
    std::vector<Head> heads;
    if (holding.first_start < range.until && holding.last_start >= range.from) {
      if (!with(held.file, [&](File& file) { file.heads(held.query, {range.from, range.until, before_seq}, heads); }))
        return refused();
      std::erase_if(heads, [](const Head& head) { return !head.windowed(); });
    }
    if (holding.first_start <= 0 && holding.last_start >= 0 && holding.last_seq > range.after_seq) {
      // Rows without windows are in every range, and there may be many: no more of them than can be given.
      uint64_t after = range.after_seq;
      for (size_t found = 1; found != 0 && rows_unwindowed <= range.rows_max;) {
        std::vector<Head> page;
        if (!with(held.file, [&](File& file) { file.heads_after(held.query, after, 1'000, page); })) return refused();
        found = page.size();
        for (const Head& head : page) {
          after = head.seq;
          if (head.windowed() || head.seq >= before_seq) continue;
          rows_unwindowed += head.row_count;
          heads.push_back(head);
        }
      }
    }
    for (const Head& head : heads) candidates.push_back({head, held.file, held.query, nullptr});
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.head.seq < b.head.seq; });
  std::set<decltype(same_as(Head()))> known;
  if (!newer.empty()) {
    for (const Candidate& candidate : candidates) known.insert(same_as(candidate.head));
  }
  for (const auto& part : newer) {
    const Head head = head_of(*part);
    read.last_seq = std::max(read.last_seq, head.seq);
    if (!read.kept_since || head.window_start < *read.kept_since) read.kept_since = head.window_start;
    if (head.windowed() && (head.window_start < range.from || head.window_start >= range.until)) continue;
    if (head.windowed() && known.contains(same_as(head))) continue;
    candidates.push_back({head, 0, 0, &part});
  }

  std::map<std::pair<Micros, Micros>, Group> last;
  for (const Candidate& candidate : candidates)
    last[{candidate.head.window_start, candidate.head.window_end}] = group_of(candidate.head);
  uint64_t rows = 0;
  for (const Candidate& candidate : candidates) {
    const Head& head = candidate.head;
    if (head.seq <= range.after_seq) continue;
    if (range.only_final && head.windowed() && (head.flags & kFinal) == 0) continue;
    if (!range.revisions && head.windowed() &&
        ((head.flags & kRemoved) != 0 || group_of(head) != last[{head.window_start, head.window_end}]))
      continue;
    if (!read.parts.empty() && rows + head.row_count > range.rows_max) {
      read.next_seq = read.parts.back()->seq;
      break;
    }
    if (candidate.memory != nullptr) {
      read.parts.push_back(*candidate.memory);
      rows += head.row_count;
      continue;
    }
    std::shared_ptr<const ResultPart> part;
    if (!with(candidate.file, [&](File& file) { part = file.part(candidate.query, id.incarnation, head).part; }))
      return refused();
    if (part == nullptr) {
      const std::lock_guard lock(mutex_);
      ++status_.unreadable;
      continue;
    }
    rows += head.row_count;
    read.parts.push_back(std::move(part));
  }
  return read;
}

Result<std::vector<std::shared_ptr<const ResultPart>>> Store::newest_final(
    const QueryId& id, std::span<const std::shared_ptr<const ResultPart>> newer) {
  auto newest = receiver::newest_final_window(newer);
  const auto last = last_window(id);
  if (!last) return tl::unexpected(last.error());
  if (!*last || (!newest.empty() && newest.back()->window_start >= **last)) return newest;
  Range range;
  range.rows_max = UINT64_MAX;
  range.revisions = true;
  range.only_final = true;
  // Where rows may come late, the newest windows are not final: it is looked further back, until there is one.
  for (Micros back = base::kMicrosPerSecond;; back *= 2) {
    range.from = **last - back;
    auto read_back = read(id, range, newer);
    if (!read_back) return tl::unexpected(std::move(read_back.error()));
    newest = receiver::newest_final_window(read_back->parts);
    if (!newest.empty() || !read_back->kept_since || *read_back->kept_since >= range.from) return newest;
  }
}

Result<receiver::PartSource::Parts> Store::read_after(const QueryId& id, uint64_t after_seq, size_t octets_max) {
  Parts read;
  size_t octets = 0;
  bool is_full = false;
  for (const Folder::Held& held : folder_->held(id, Tier::kRaw)) {
    read.last_seq = std::max(read.last_seq, held.holding.last_seq);
    if (read.parts.empty()) read.rows_before = held.holding.rows_ever;
    if (is_full || held.holding.parts == 0 || held.holding.last_seq <= after_seq) continue;
    try {
      auto reading = folder_->read(held.file);
      if (!reading) continue;
      std::vector<Head> heads;
      for (uint64_t after = after_seq; !is_full;) {
        heads.clear();
        (*reading)->heads_after(held.query, after, 100, heads);
        if (heads.empty()) break;
        for (const Head& head : heads) {
          after = head.seq;
          auto [part, rows_ever_before] = (*reading)->part(held.query, id.incarnation, head);
          if (part == nullptr) {
            const std::lock_guard lock(mutex_);
            ++status_.unreadable;
            continue;
          }
          is_full = !read.parts.empty() && octets + part->octets > octets_max;
          if (is_full) break;
          if (read.parts.empty()) read.rows_before = rows_ever_before;
          octets += part->octets;
          read.parts.push_back(std::move(part));
        }
      }
    } catch (const sqlite::Error& error) {
      if (!error.is_corrupt())
        return fail("58030", fmt::format("history cannot be read: {}", error.message), {},
                    "see the disk of history.folder");
      suspect(held.file);
    } catch (const File::Foreign&) {
      suspect(held.file);
    }
  }
  return read;
}

}  // namespace backstream::history
