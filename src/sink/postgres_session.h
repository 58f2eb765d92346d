#pragma once
// A connection to a PostgreSQL server whose every wait ends. The names of libpq stay in the .cc file.
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"

struct pg_conn;
struct pg_result;

namespace backstream::sink {

using base::Result;

struct PostgresAddress {
  /// As libpq takes it, without the password: "host=db.example dbname=flows user=backstream sslmode=verify-full", or
  /// postgresql://…; what it does not say comes from libpq's environment (PGHOST, ~/.pgpass, …).
  std::string connection;
  std::string password;                                 ///< empty: none is given. In no error's text.
  std::chrono::milliseconds connect_timeout{5'000};     ///< without the look-up of names
  std::chrono::milliseconds statement_timeout{20'000};  ///< of each exchange, on both sides
};

/// What a statement gave, as text; null: SQL's null.
using PostgresRows = std::vector<std::vector<std::optional<std::string>>>;

/// Errors of all methods: the server's SQLSTATE, its message and hint; Diagnostic::line is the row of a COPY that it
/// complains of, 0: of none. 08006: the connection broke, or nothing was heard in time; after that the session is of
/// no use. One thread.
class PostgresSession {
 public:
  /// For sessions of ours only: times out by itself, tells no notices, and looks rows up by indexes (what is asked of a
  /// large table is one window of it, which the server would not know of one that it has not analysed yet).
  /// Errors also: 42601 the connection is none, or holds a password; 42000 a server before PostgreSQL 15.
  static Result<std::unique_ptr<PostgresSession>> connect(const PostgresAddress& address);
  ~PostgresSession();
  PostgresSession(const PostgresSession&) = delete;
  PostgresSession& operator=(const PostgresSession&) = delete;

  /// One statement, or several with ';' between. The rows of the last that gives any.
  Result<PostgresRows> run(const std::string& statements);
  /// Statements of which the last is COPY … FROM STDIN; then what it reads, and its end. The first error ends it.
  Result<void> begin_copy(const std::string& statements);
  Result<void> put_copy(std::string_view octets);
  /// @param abandon  then the server takes none of it, and says so with 57014
  Result<void> end_copy(bool abandon = false);

  /// As a constant of SQL, with its quotes. Asserted: UTF-8 without NUL (base::find_bad_text).
  std::string literal(std::string_view text) const;
  std::string user() const;
  std::string database() const;
  /// "PostgreSQL 15.18, database flows on db.example:5432 as backstream"
  std::string described() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Close {
    void operator()(pg_conn* connection) const;
  };
  struct Clear {
    void operator()(pg_result* result) const;
  };
  using Answer = std::unique_ptr<pg_result, Clear>;
  PostgresSession(pg_conn* connection, std::chrono::milliseconds timeout)
      : connection_(connection), timeout_(timeout) {}
  Result<void> finish_connecting(std::chrono::milliseconds timeout);
  Result<void> send(const std::string& statements);
  Result<void> flush(Clock::time_point until);
  /// Null: no more of them.
  Result<Answer> next_answer(Clock::time_point until);
  Result<void> wait(short events, Clock::time_point until);
  tl::unexpected<base::Diagnostic> broken() const;
  /// Takes what is left of an exchange that has failed.
  tl::unexpected<base::Diagnostic> failed(const Answer& answer, Clock::time_point until);

  const std::unique_ptr<pg_conn, Close> connection_;
  const std::chrono::milliseconds timeout_;
};

/// A name as SQL's identifier: always quoted.
std::string quoted_name(std::string_view name);

}  // namespace backstream::sink
