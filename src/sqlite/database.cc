#include "sqlite/database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <utility>

namespace backstream::sqlite {

bool Error::is_corrupt() const { return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB; }

bool Error::is_full() const {
  // The index of the write-ahead log is made in memory that the disk must back.
  if ((code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE) return true;
  return (code & 0xff) == SQLITE_IOERR && (system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG);
}

Error error_of(sqlite3* db, int code) {
  if (db == nullptr) return {code, sqlite3_errstr(code)};
  return {code, sqlite3_errmsg(db), sqlite3_system_errno(db)};
}

Statement::Statement(sqlite3* db, std::string_view sql) : db_(db) {
  if (const int code = sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr);
      code != SQLITE_OK)
    throw error_of(db, code);
}

Statement::~Statement() { sqlite3_finalize(statement_); }

bool Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  throw error_of(db_, code);
}

void Statement::run() {
  while (step()) {
  }
}

Statement& Statement::reset() {
  (void)sqlite3_reset(statement_);  // It says again what step() has said.
  return *this;
}

int64_t Statement::number(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Statement::text(int column) const {
  const auto* octets = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return octets == nullptr ? std::string()
                           : std::string(octets, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

std::span<const uint8_t> Statement::octets(int column) const {
  const auto* octets = static_cast<const uint8_t*>(sqlite3_column_blob(statement_, column));
  return {octets, octets == nullptr ? 0 : static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

void Statement::bind(int at, int64_t value) {
  if (const int code = sqlite3_bind_int64(statement_, at, value); code != SQLITE_OK) throw error_of(db_, code);
}

void Statement::bind(int at, std::string_view text) {
  if (const int code = sqlite3_bind_text64(statement_, at, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
      code != SQLITE_OK)
    throw error_of(db_, code);
}

void Statement::bind(int at, std::span<const uint8_t> octets) {
  // A null pointer would be NULL, not no octets.
  const void* const begin = octets.empty() ? static_cast<const void*>("") : octets.data();
  if (const int code = sqlite3_bind_blob64(statement_, at, begin, octets.size(), SQLITE_TRANSIENT); code != SQLITE_OK)
    throw error_of(db_, code);
}

Database::Database(const std::string& path, Mode mode) {
  int flags = SQLITE_OPEN_NOMUTEX;
  flags |= mode == Mode::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (mode == Mode::kMake) flags |= SQLITE_OPEN_CREATE;
  if (const int code = sqlite3_open_v2(path.c_str(), &db_, flags, nullptr); code != SQLITE_OK) {
    Error error = error_of(db_, code);
    sqlite3_close(std::exchange(db_, nullptr));
    throw error;
  }
  sqlite3_extended_result_codes(db_, 1);
}

Database::~Database() { sqlite3_close(db_); }

void Database::execute(const char* sql) {
  if (const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) throw error_of(db_, code);
}

void Database::roll_back() noexcept { (void)sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr); }

int64_t Database::one_number(std::string_view sql) {
  Statement row(db_, sql);
  return row.step() ? row.number(0) : 0;
}

int64_t Database::pragma(std::string_view assignment) { return one_number(fmt::format("PRAGMA {}", assignment)); }

int64_t Database::last_row_id() const { return sqlite3_last_insert_rowid(db_); }
uint64_t Database::change_count() const { return static_cast<uint64_t>(sqlite3_changes64(db_)); }

}  // namespace backstream::sqlite
