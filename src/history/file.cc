#include "history/file.h"

#include <fmt/format.h>

#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace backstream::history {

using sqlite::Database;
using sqlite::Statement;

namespace {

constexpr int64_t kApplicationId = 0x42534849;  // "BSHI"
constexpr int64_t kSchemaVersion = 1;
// The index over windows has all that a head has, so that choosing parts of a range reads no block.
constexpr const char* kSchema = R"sql(
CREATE TABLE query (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, incarnation INTEGER NOT NULL,
  parts INTEGER NOT NULL, rows INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
  first_start INTEGER NOT NULL, last_start INTEGER NOT NULL, first_came INTEGER NOT NULL, last_came INTEGER NOT NULL,
  rows_ever INTEGER NOT NULL, place INTEGER NOT NULL, keep INTEGER NOT NULL, UNIQUE (name, incarnation)) STRICT;
CREATE TABLE form (id INTEGER PRIMARY KEY, octets BLOB NOT NULL) STRICT;
CREATE TABLE part (
  id INTEGER PRIMARY KEY, query INTEGER NOT NULL, seq INTEGER NOT NULL, window_start INTEGER NOT NULL,
  window_end INTEGER NOT NULL, version INTEGER NOT NULL, revision INTEGER NOT NULL, part INTEGER NOT NULL,
  flags INTEGER NOT NULL, row_count INTEGER NOT NULL, came_at INTEGER NOT NULL, rows_before INTEGER NOT NULL,
  rows_ever INTEGER NOT NULL, form INTEGER NOT NULL, sites_missing BLOB NOT NULL, checksum INTEGER NOT NULL,
  block BLOB NOT NULL) STRICT;
CREATE INDEX part_seq ON part (query, seq);
CREATE INDEX part_window ON part (query, window_start, window_end, version, revision, part, flags, seq, row_count);
)sql";

int64_t number(uint64_t value) { return static_cast<int64_t>(value); }

/// Of what a row says, so that a changed octet is seen whatever SQLite thinks of it.
int64_t checksum(int64_t query, const Head& head, uint64_t rows_before, uint64_t rows_ever, int64_t form,
                 std::span<const uint8_t> sites, std::span<const uint8_t> block) {
  const int64_t numbers[] = {query,
                             number(head.seq),
                             head.window_start,
                             head.window_end,
                             head.version,
                             head.revision,
                             head.part,
                             head.flags,
                             number(head.row_count),
                             number(rows_before),
                             number(rows_ever),
                             form,
                             static_cast<int64_t>(sites.size())};
  uint64_t sum = XXH3_64bits(numbers, sizeof numbers);
  sum = XXH3_64bits_withSeed(sites.data(), sites.size(), sum);
  return number(XXH3_64bits_withSeed(block.data(), block.size(), sum));
}

/// Texts, one after another, each with a zero behind it: names of sites have none.
std::vector<uint8_t> joined(const std::vector<std::string>& texts) {
  std::vector<uint8_t> out;
  for (const std::string& text : texts) {
    out.insert(out.end(), text.begin(), text.end());
    out.push_back(0);
  }
  return out;
}
std::vector<std::string> split(std::span<const uint8_t> octets) {
  std::vector<std::string> texts;
  for (auto begin = octets.begin(); begin != octets.end();) {
    const auto end = std::find(begin, octets.end(), uint8_t{0});
    texts.emplace_back(begin, end);
    begin = end == octets.end() ? end : end + 1;
  }
  return texts;
}

constexpr std::string_view kHeadColumns =
    "id, seq, window_start, window_end, version, revision, part, flags, row_count";
Head head_at(const Statement& row) {
  Head head;
  head.row = row.number(0);
  head.seq = static_cast<uint64_t>(row.number(1));
  head.window_start = row.number(2);
  head.window_end = row.number(3);
  head.version = static_cast<uint32_t>(row.number(4));
  head.revision = static_cast<int>(row.number(5));
  head.part = static_cast<uint32_t>(row.number(6));
  head.flags = static_cast<uint8_t>(row.number(7));
  head.row_count = static_cast<uint64_t>(row.number(8));
  return head;
}

}  // namespace

std::string_view name(Tier tier) {
  constexpr std::string_view kNames[kTierCount] = {"raw", "1m", "5m", "1h"};
  return kNames[static_cast<size_t>(tier)];
}

std::optional<Tier> tier_of(std::string_view text) {
  for (size_t tier = 0; tier < kTierCount; ++tier) {
    if (name(static_cast<Tier>(tier)) == text) return static_cast<Tier>(tier);
  }
  return std::nullopt;
}

Micros length_us(Tier tier) {
  constexpr Micros kSeconds[kTierCount] = {0, 60, 300, 3'600};
  return kSeconds[static_cast<size_t>(tier)] * base::kMicrosPerSecond;
}

void Holding::note(uint64_t seq, Micros start, Micros came, uint64_t row_count) {
  if (parts++ == 0) first_seq = seq;
  rows += row_count;
  last_seq = std::max(last_seq, seq);
  first_start = std::min(first_start, start);
  last_start = std::max(last_start, start);
  first_came = std::min(first_came, came);
  last_came = std::max(last_came, came);
}

Holding Holding::without_parts() const {
  Holding left;
  left.last_seq = last_seq;
  left.rows_ever = rows_ever;
  left.keep_us = keep_us;
  left.place = place;
  return left;
}

uint8_t flags_of(const ResultPart& part) {
  return static_cast<uint8_t>((part.final ? kFinal : 0) | (part.complete ? kComplete : 0) |
                              (part.removed ? kRemoved : 0) | (part.last ? kLast : 0));
}

Head head_of(const ResultPart& part) {
  return {0,         part.seq,       part.window_start,  part.window_end, part.version, part.revision,
          part.part, flags_of(part), part.rows.row_count};
}

std::shared_ptr<const ResultForm> Forms::find(std::span<const uint8_t> octets) {
  const std::lock_guard lock(mutex_);
  std::weak_ptr<const ResultForm>& known = forms_[std::string(octets.begin(), octets.end())];
  if (auto form = known.lock()) return form;
  auto form = read_form(octets);
  known = form;
  if (forms_.size() > 1'000) std::erase_if(forms_, [](const auto& each) { return each.second.expired(); });
  return form;
}

File::File(const std::string& path, Mode mode, Forms& forms)
    : shared_forms_(forms), db_(path, mode == Mode::kAppend ? Database::Mode::kMake : Database::Mode::kWrite) {
  db_.pragma("busy_timeout = 2000");
  const int64_t application = db_.pragma("application_id"), schema = db_.pragma("user_version");
  const bool empty = application == 0 && schema == 0 && db_.one_number("SELECT count(*) FROM sqlite_schema") == 0;
  const bool fresh = mode == Mode::kAppend && empty;
  if (empty && !fresh) throw Foreign{Foreign::Kind::kEmpty};
  if (!fresh && application != kApplicationId) throw Foreign{Foreign::Kind::kOther, "it is no file of history"};
  if (!fresh && schema > kSchemaVersion) {
    throw Foreign{Foreign::Kind::kNewer,
                  fmt::format("a later version has written it (schema {}, known is {})", schema, kSchemaVersion)};
  }
  if (mode == Mode::kRead) return;
  db_.pragma("synchronous = NORMAL");
  if (mode != Mode::kAppend) return;
  if (fresh) {
    db_.pragma("page_size = 8192");
    db_.pragma("auto_vacuum = INCREMENTAL");
  }
  db_.pragma("journal_mode = WAL");
  // A log that grew while somebody read is short again afterwards.
  db_.pragma("journal_size_limit = 8388608");
  if (!fresh) return;
  begin();
  db_.execute(kSchema);
  db_.pragma(fmt::format("application_id = {}", kApplicationId));
  db_.pragma(fmt::format("user_version = {}", kSchemaVersion));
  commit();
}

Statement& File::prepared(std::unique_ptr<Statement>& kept, std::string_view sql) {
  if (kept == nullptr) kept = std::make_unique<Statement>(db_.handle(), sql);
  return kept->reset();
}

std::map<QueryId, std::pair<int64_t, Holding>> File::holdings() {
  std::map<QueryId, std::pair<int64_t, Holding>> all;
  Statement row(db_.handle(),
                "SELECT id, name, incarnation, parts, rows, first_seq, last_seq, first_start, last_start, first_came, "
                "last_came, rows_ever, place, keep FROM query");
  while (row.step()) {
    Holding holding;
    holding.parts = static_cast<uint64_t>(row.number(3));
    holding.rows = static_cast<uint64_t>(row.number(4));
    holding.first_seq = static_cast<uint64_t>(row.number(5));
    holding.last_seq = static_cast<uint64_t>(row.number(6));
    holding.first_start = row.number(7);
    holding.last_start = row.number(8);
    holding.first_came = row.number(9);
    holding.last_came = row.number(10);
    holding.rows_ever = static_cast<uint64_t>(row.number(11));
    holding.place = static_cast<uint64_t>(row.number(12));
    holding.keep_us = row.number(13);
    all.emplace(QueryId{row.text(1), static_cast<uint64_t>(row.number(2))}, std::pair(row.number(0), holding));
  }
  return all;
}

std::vector<int64_t> File::orphans() {
  std::vector<int64_t> found;
  Statement known(db_.handle(), "SELECT 1 FROM query WHERE id = ?1");
  Statement next(db_.handle(), "SELECT query FROM part WHERE query > ?1 ORDER BY query LIMIT 1");
  for (int64_t at = INT64_MIN; next.reset().with(at).step();) {
    at = next.number(0);
    if (!known.reset().with(at).step()) found.push_back(at);
  }
  return found;
}

void File::roll_back() noexcept {
  for (auto* statement : {&has_, &put_, &heads_, &after_, &part_}) statement->reset();
  form_numbers_.clear();  // Some may have been written in it.
  db_.roll_back();
}

int64_t File::add_query(const QueryId& id) {
  Statement(db_.handle(), "INSERT INTO query VALUES (NULL, ?1, ?2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)")
      .with(std::string_view(id.name), number(id.incarnation))
      .run();
  return db_.last_row_id();
}

void File::put_holding(int64_t query, const Holding& holding) {
  Statement(db_.handle(),
            "UPDATE query SET parts = ?2, rows = ?3, first_seq = ?4, last_seq = ?5, first_start = ?6, last_start = ?7, "
            "first_came = ?8, last_came = ?9, rows_ever = ?10, place = ?11, keep = ?12 WHERE id = ?1")
      .with(query, number(holding.parts), number(holding.rows), number(holding.first_seq), number(holding.last_seq),
            holding.first_start, holding.last_start, holding.first_came, holding.last_came, number(holding.rows_ever),
            number(holding.place), holding.keep_us)
      .run();
}

void File::forget_query(int64_t query) { Statement(db_.handle(), "DELETE FROM query WHERE id = ?1").with(query).run(); }

bool File::has(int64_t query, const ResultPart& part) {
  Statement& row = prepared(
      has_,
      "SELECT 1 FROM part WHERE query = ?1 AND window_start = ?2 AND window_end = ?3 AND version = ?4 AND revision = "
      "?5 AND part = ?6 AND (flags & 7) = ?7 LIMIT 1");
  const bool found = row.with(query, part.window_start, part.window_end, int64_t{part.version}, int64_t{part.revision},
                              int64_t{part.part}, int64_t{flags_of(part) & 7})
                         .step();
  row.reset();  // A statement that stands holds on to what it sees.
  return found;
}

int64_t File::number_of(const std::shared_ptr<const ResultForm>& form) {
  const auto known = form_numbers_.find(form.get());
  if (known != form_numbers_.end()) return known->second.second;
  const std::vector<uint8_t> octets = write_form(*form);
  int64_t of_form = 0;
  if (Statement row(db_.handle(), "SELECT id FROM form WHERE octets = ?1");
      row.with(std::span<const uint8_t>(octets)).step()) {
    of_form = row.number(0);
  } else {
    Statement(db_.handle(), "INSERT INTO form VALUES (NULL, ?1)").with(std::span<const uint8_t>(octets)).run();
    of_form = db_.last_row_id();
  }
  form_numbers_.emplace(form.get(), std::pair(form, of_form));
  return of_form;
}

bool File::put(int64_t query, const ResultPart& part, uint64_t rows_ever_before, Micros came_at) {
  const auto block = block_writer_.write(part.rows);
  if (!block) return false;
  const int64_t form = number_of(part.form);
  const std::vector<uint8_t> sites = joined(part.sites_missing);
  const Head head = head_of(part);
  prepared(
      put_,
      "INSERT INTO part (query, seq, window_start, window_end, version, revision, part, flags, row_count, came_at, "
      "rows_before, rows_ever, form, sites_missing, checksum, block) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
      "?10, ?11, ?12, ?13, ?14, ?15, ?16)")
      .with(query, number(head.seq), head.window_start, head.window_end, int64_t{head.version}, int64_t{head.revision},
            int64_t{head.part}, int64_t{head.flags}, number(head.row_count), came_at, number(part.rows_before),
            number(rows_ever_before), form, std::span<const uint8_t>(sites),
            checksum(query, head, part.rows_before, rows_ever_before, form, sites, *block), *block)
      .run();
  return true;
}

size_t File::erase(int64_t query, Micros until, size_t parts_max, Holding& holding) {
  struct Old {
    int64_t row;
    uint64_t rows;
  };
  std::vector<Old> old;
  {
    Statement row(db_.handle(), "SELECT id, row_count, came_at FROM part WHERE query = ?1 ORDER BY seq LIMIT ?2");
    for (row.with(query, number(parts_max)); row.step() && row.number(2) < until;)
      old.push_back({row.number(0), static_cast<uint64_t>(row.number(1))});
  }
  Statement remove(db_.handle(), "DELETE FROM part WHERE id = ?1");
  for (const Old& part : old) {
    remove.reset().with(part.row).run();
    holding.rows -= std::min(holding.rows, part.rows);
  }
  holding.parts -= std::min<uint64_t>(holding.parts, old.size());
  Statement first(db_.handle(), "SELECT seq, came_at FROM part WHERE query = ?1 ORDER BY seq LIMIT 1");
  if (first.with(query).step()) {
    holding.first_seq = static_cast<uint64_t>(first.number(0));
    holding.first_came = first.number(1);
    Statement starts(db_.handle(), "SELECT min(window_start) FROM part WHERE query = ?1");
    if (starts.with(query).step()) holding.first_start = starts.number(0);
  } else {
    holding = holding.without_parts();
  }
  return old.size();
}

void File::give_back() { Statement(db_.handle(), "PRAGMA incremental_vacuum").run(); }

void File::finish() { db_.pragma("journal_mode = DELETE"); }

void File::heads(int64_t query, const Window& window, std::vector<Head>& out) {
  Statement& row = prepared(
      heads_, fmt::format("SELECT {} FROM part INDEXED BY part_window WHERE query = ?1 AND window_start >= ?2 AND "
                          "window_start < ?3 AND seq < ?4",
                          kHeadColumns));
  row.with(query, window.from, window.until, number(std::min<uint64_t>(window.before_seq, INT64_MAX)));
  while (row.step()) out.push_back(head_at(row));
  row.reset();
}

void File::heads_after(int64_t query, uint64_t after_seq, size_t parts_max, std::vector<Head>& out) {
  Statement& row = prepared(after_, fmt::format("SELECT {} FROM part INDEXED BY part_seq WHERE query = ?1 AND seq > ?2 "
                                                "ORDER BY seq LIMIT ?3",
                                                kHeadColumns));
  row.with(query, number(std::min<uint64_t>(after_seq, INT64_MAX)), number(parts_max));
  while (row.step()) out.push_back(head_at(row));
  row.reset();
}

std::optional<Micros> File::last_window(int64_t query) {
  Statement row(db_.handle(),
                "SELECT window_start FROM part INDEXED BY part_window WHERE query = ?1 AND (flags & 8) != 0 AND "
                "window_end != window_start ORDER BY window_start DESC LIMIT 1");
  if (!row.with(query).step()) return std::nullopt;
  return row.number(0);
}

std::shared_ptr<const ResultForm> File::form(int64_t of_form) {
  auto& known = forms_[of_form];
  if (known == nullptr) {
    Statement row(db_.handle(), "SELECT octets FROM form WHERE id = ?1");
    if (row.with(of_form).step()) known = shared_forms_.find(row.octets(0));
  }
  return known;
}

File::Part File::part(int64_t query, uint64_t incarnation, const Head& head) {
  Statement& row =
      prepared(part_, "SELECT rows_before, rows_ever, form, sites_missing, checksum, block FROM part WHERE id = ?1");
  if (!row.with(head.row).step()) return {};
  Part found;
  auto part = std::make_shared<ResultPart>();
  part->rows_before = static_cast<uint64_t>(row.number(0));
  found.rows_ever_before = static_cast<uint64_t>(row.number(1));
  const auto sites = row.octets(3), block = row.octets(5);
  const bool whole =
      checksum(query, head, part->rows_before, found.rows_ever_before, row.number(2), sites, block) == row.number(4);
  part->form = whole ? form(row.number(2)) : nullptr;
  if (part->form != nullptr && block_reader_.read(block, head.row_count, *part)) {
    part->seq = head.seq;
    part->incarnation = incarnation;
    part->version = head.version;
    part->window_start = head.window_start;
    part->window_end = head.window_end;
    part->revision = head.revision;
    part->part = head.part;
    part->final = (head.flags & kFinal) != 0;
    part->complete = (head.flags & kComplete) != 0;
    part->removed = (head.flags & kRemoved) != 0;
    part->last = (head.flags & kLast) != 0;
    part->sites_missing = split(sites);
    part->octets = receiver::copied_octets(part->rows, 0, part->rows.row_count);
    found.part = std::move(part);
  }
  row.reset();
  return found;
}

}  // namespace backstream::history
