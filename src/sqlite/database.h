#pragma once
// SQLite, as the rooms that keep something in its files use it. What it refuses is thrown as Error, and caught by who
// can say what that means.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace backstream::sqlite {

/// What SQLite answered where it should have done something.
struct Error {
  int code;  ///< SQLITE_…, with its extended part where the connection gives that
  std::string message;
  int system_errno = 0;  ///< of the last call to the system that failed; 0: none, or not known

  bool is_corrupt() const;  ///< the file is damaged, or none of SQLite's
  bool is_full() const;     ///< there is no room: on the disk, or within a quota or limit
};
/// What this connection says of its last call. Thrown by who calls SQLite himself.
Error error_of(sqlite3* db, int code);

/// One statement of a connection that outlives it. One thread at a time.
class Statement {
 public:
  Statement(sqlite3* db, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  /// Gives all parameters, in order; texts and octets are copied.
  template <typename... Values>
  Statement& with(const Values&... values) {
    int at = 0;
    (bind(++at, values), ...);
    return *this;
  }
  /// Whether there is a row.
  bool step();
  void run();
  /// For the next run with other parameters.
  Statement& reset();
  int64_t number(int column) const;
  std::string text(int column) const;
  std::span<const uint8_t> octets(int column) const;  ///< until the next step or reset

 private:
  void bind(int at, int64_t value);
  void bind(int at, std::string_view text);
  void bind(int at, std::span<const uint8_t> octets);

  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
};

/// A connection that is closed with it. One thread at a time.
class Database {
 public:
  enum class Mode : uint8_t { kRead, kWrite, kMake };  ///< kMake: the file is made where it is missing
  Database(const std::string& path, Mode mode);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  sqlite3* handle() const { return db_; }
  void execute(const char* sql);
  /// Whatever became of the transaction, there is none afterwards.
  void roll_back() noexcept;
  /// The first column of the first row; 0: there is no row.
  int64_t one_number(std::string_view sql);
  /// "name", or "name = value".
  int64_t pragma(std::string_view assignment);
  int64_t last_row_id() const;
  uint64_t change_count() const;  ///< rows that the last statement changed

 private:
  sqlite3* db_ = nullptr;
};

}  // namespace backstream::sqlite
