#include "sink/postgres_session.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cassert>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/utf8.h"

namespace backstream::sink {
namespace {

using base::Diagnostic;
using base::fail;
using std::chrono::milliseconds;

constexpr int kVersionMin = 150'000;  // NULLS NOT DISTINCT
/// The server gives up first, so that its answer says why.
constexpr milliseconds kPatience{2'000};

std::string trimmed(const char* text) {
  std::string line(text == nullptr ? "" : text);
  while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())) != 0) line.pop_back();
  return line;
}

std::string field(const PGresult* result, int code) { return trimmed(PQresultErrorField(result, code)); }

/// "COPY t, line 3, column octets": 3.
uint32_t copied_line(std::string_view context) {
  constexpr std::string_view kLine = ", line ";
  const size_t at = context.find(kLine);
  if (!context.starts_with("COPY ") || at == std::string_view::npos) return 0;
  uint32_t line = 0;
  std::from_chars(context.data() + at + kLine.size(), context.data() + context.size(), line);
  return line;
}

Diagnostic complaint(const PGresult* result) {
  Diagnostic diagnostic;
  diagnostic.code = field(result, PG_DIAG_SQLSTATE);
  diagnostic.message = field(result, PG_DIAG_MESSAGE_PRIMARY);
  if (diagnostic.message.empty()) diagnostic.message = trimmed(PQresultErrorMessage(result));
  if (const std::string detail = field(result, PG_DIAG_MESSAGE_DETAIL); !detail.empty())
    diagnostic.message += ": " + detail;
  diagnostic.hint = field(result, PG_DIAG_MESSAGE_HINT);
  diagnostic.line = copied_line(field(result, PG_DIAG_CONTEXT));
  if (diagnostic.code.empty()) diagnostic.code = "08006";  // libpq's own.
  return diagnostic;
}

/// Before anything is sent: a password in the wrong place would be shown by whoever shows the connection.
Result<void> check(const PostgresAddress& address) {
  char* complained = nullptr;
  PQconninfoOption* const options = PQconninfoParse(address.connection.c_str(), &complained);
  if (options == nullptr) {
    const std::string text = trimmed(complained);
    PQfreemem(complained);
    // libpq repeats what it did not understand.
    const bool may_hold_secret =
        address.connection.find("pass") != std::string::npos || address.connection.find("://") != std::string::npos;
    return fail("42601",
                may_hold_secret ? "the connection is not understood" : "the connection is not understood: " + text, {},
                "as libpq takes it: host=db.example dbname=flows user=backstream");
  }
  bool holds_password = false;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    holds_password |= std::string_view(option->keyword) == "password" && option->val != nullptr;
  }
  PQconninfoFree(options);
  if (holds_password)
    return fail("42601", "the connection holds a password", {}, "the password is a setting of its own");
  return {};
}

/// Of a connection that was not made. libpq tells no SQLSTATE, but its verbose text has it: "FATAL:  28P01: password
/// …".
Diagnostic refused(PGconn* connection) {
  Diagnostic diagnostic;
  diagnostic.code = "08001";
  diagnostic.message = trimmed(PQerrorMessage(connection));
  const std::string& text = diagnostic.message;
  const auto is_state = [&](size_t at) {
    return text.compare(at + 5, 2, ": ") == 0 && std::all_of(&text[at], &text[at] + 5, [](unsigned char c) {
             return std::isdigit(c) != 0 || std::isupper(c) != 0;
           });
  };
  for (size_t at = text.find("  "); at != std::string::npos && at + 9 < text.size(); at = text.find("  ", at + 1)) {
    if (!is_state(at + 2)) continue;
    diagnostic.code = text.substr(at + 2, 5);
    // Without the state, and the lines after it: where in the server's source it came up.
    diagnostic.message = text.substr(0, at + 1) + text.substr(at + 9, text.find('\n', at) - at - 9);
    break;
  }
  if (PQconnectionNeedsPassword(connection) != 0) {
    diagnostic.code = "28P01";
    diagnostic.hint = "the server wants a password, and none is set";
  }
  return diagnostic;
}

}  // namespace

std::string quoted_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

void PostgresSession::Close::operator()(pg_conn* connection) const { PQfinish(connection); }
void PostgresSession::Clear::operator()(pg_result* result) const { PQclear(result); }

Result<std::unique_ptr<PostgresSession>> PostgresSession::connect(const PostgresAddress& address) {
  if (auto checked = check(address); !checked) return tl::unexpected(checked.error());
  // What stands behind dbname counts over what the connection says. Keepalives, and the limit on what is sent and not
  // acknowledged: a way that is cut is found in seconds, not hours.
  const std::string timeout = std::to_string(address.statement_timeout.count());
  std::vector<const char*> names{
      "fallback_application_name", "keepalives_idle", "keepalives_interval", "keepalives_count",
      "tcp_user_timeout",          "dbname",          "client_encoding"};
  std::vector<const char*> values{"backstream", "10", "5", "3", timeout.c_str(), address.connection.c_str(), "UTF8"};
  if (!address.password.empty()) {
    names.push_back("password");
    values.push_back(address.password.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  std::unique_ptr<PostgresSession> session(
      new PostgresSession(PQconnectStartParams(names.data(), values.data(), 1), address.statement_timeout));
  if (auto made = session->finish_connecting(address.connect_timeout); !made) return tl::unexpected(made.error());
  PGconn* const connection = session->connection_.get();
  if (PQserverVersion(connection) < kVersionMin) {
    return fail("42000", fmt::format("the server is PostgreSQL {}", PQparameterStatus(connection, "server_version")),
                {}, "PostgreSQL 15 is the oldest that a sink writes to");
  }
  PQsetnonblocking(connection, 1);
  // A connection that broke in the middle of a transaction leaves one at the server, which holds the sink's place.
  auto set = session->run(fmt::format(
      "SET statement_timeout = {0}; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = {0}; SET jit = "
      "off; "
      "SET enable_seqscan = off; SET search_path = pg_catalog, pg_temp; SET standard_conforming_strings = on",
      address.statement_timeout.count()));
  if (!set) return tl::unexpected(set.error());
  return session;
}

Result<void> PostgresSession::finish_connecting(milliseconds timeout) {
  PGconn* const connection = connection_.get();
  const auto until = Clock::now() + timeout;
  PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
  PQsetNoticeReceiver(
      connection, [](void*, const PGresult*) {}, nullptr);
  auto state = PQstatus(connection) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (state == PGRES_POLLING_WRITING || state == PGRES_POLLING_READING) {
    if (!wait(state == PGRES_POLLING_WRITING ? POLLOUT : POLLIN, until))
      return fail("08001", fmt::format("no connection to {}:{} within {} s", PQhost(connection), PQport(connection),
                                       std::chrono::ceil<std::chrono::seconds>(timeout).count()));
    state = PQconnectPoll(connection);
  }
  if (state != PGRES_POLLING_OK) return tl::unexpected(refused(connection));
  PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
  return {};
}

PostgresSession::~PostgresSession() = default;

std::string PostgresSession::literal(std::string_view text) const {
  assert(base::find_bad_text(text) == std::string_view::npos);
  char* const escaped = PQescapeLiteral(connection_.get(), text.data(), text.size());
  assert(escaped != nullptr);
  std::string out(escaped);
  PQfreemem(escaped);
  return out;
}

std::string PostgresSession::user() const { return trimmed(PQuser(connection_.get())); }

std::string PostgresSession::database() const { return trimmed(PQdb(connection_.get())); }

std::string PostgresSession::described() const {
  const std::string_view version = PQparameterStatus(connection_.get(), "server_version");
  return fmt::format("PostgreSQL {}, database {} on {}:{} as {}", version.substr(0, version.find(' ')), database(),
                     PQhost(connection_.get()), PQport(connection_.get()), user());
}

tl::unexpected<Diagnostic> PostgresSession::broken() const {
  const std::string text = trimmed(PQerrorMessage(connection_.get()));
  return fail("08006", text.empty() ? "the connection broke" : text);
}

Result<void> PostgresSession::wait(short events, Clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    pollfd waiting{PQsocket(connection_.get()), events, 0};
    const int ready = left.count() <= 0 ? 0 : ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready > 0) return {};
    if (ready < 0 && errno == EINTR) continue;
    return fail("08006", fmt::format("the server did not answer within {} s",
                                     std::chrono::ceil<std::chrono::seconds>(timeout_ + kPatience).count()));
  }
}

Result<void> PostgresSession::flush(Clock::time_point until) {
  for (;;) {
    const int left = PQflush(connection_.get());
    if (left == 0) return {};
    if (left < 0) return broken();
    // A server that waits for us to read does not read.
    if (auto ready = wait(POLLIN | POLLOUT, until); !ready) return ready;
    if (PQconsumeInput(connection_.get()) == 0) return broken();
  }
}

Result<PostgresSession::Answer> PostgresSession::next_answer(Clock::time_point until) {
  while (PQisBusy(connection_.get()) != 0) {
    if (auto ready = wait(POLLIN, until); !ready) return tl::unexpected(ready.error());
    if (PQconsumeInput(connection_.get()) == 0) return broken();
  }
  return Answer(PQgetResult(connection_.get()));
}

tl::unexpected<Diagnostic> PostgresSession::failed(const Answer& answer, Clock::time_point until) {
  Diagnostic diagnostic = complaint(answer.get());
  for (;;) {
    auto more = next_answer(until);
    if (!more || PQstatus(connection_.get()) != CONNECTION_OK) break;  // Whoever asks next is told.
    if (*more == nullptr) break;
  }
  return tl::unexpected(std::move(diagnostic));
}

Result<void> PostgresSession::send(const std::string& statements) {
  if (PQsendQuery(connection_.get(), statements.c_str()) == 0) return broken();
  return {};
}

Result<PostgresRows> PostgresSession::run(const std::string& statements) {
  const auto until = Clock::now() + timeout_ + kPatience;
  if (auto sent = send(statements); !sent) return tl::unexpected(sent.error());
  if (auto flushed = flush(until); !flushed) return tl::unexpected(flushed.error());
  PostgresRows rows;
  for (;;) {
    auto answer = next_answer(until);
    if (!answer) return tl::unexpected(answer.error());
    if (*answer == nullptr) return rows;
    const PGresult* const result = answer->get();
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) return failed(*answer, until);
    if (status != PGRES_TUPLES_OK) continue;
    rows.assign(static_cast<size_t>(PQntuples(result)), {});
    for (int row = 0; row < PQntuples(result); ++row) {
      auto& values = rows[static_cast<size_t>(row)];
      for (int column = 0; column < PQnfields(result); ++column) {
        if (PQgetisnull(result, row, column) != 0) values.emplace_back();
        else values.emplace_back(PQgetvalue(result, row, column));
      }
    }
  }
}

Result<void> PostgresSession::begin_copy(const std::string& statements) {
  const auto until = Clock::now() + timeout_ + kPatience;
  if (auto sent = send(statements); !sent) return sent;
  if (auto flushed = flush(until); !flushed) return flushed;
  for (;;) {
    auto answer = next_answer(until);
    if (!answer) return tl::unexpected(answer.error());
    assert(*answer != nullptr);  // The last statement is COPY.
    const ExecStatusType status = PQresultStatus(answer->get());
    if (status == PGRES_COPY_IN) return {};
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) return failed(*answer, until);
  }
}

Result<void> PostgresSession::put_copy(std::string_view octets) {
  if (PQputCopyData(connection_.get(), octets.data(), static_cast<int>(octets.size())) != 1) return broken();
  return flush(Clock::now() + timeout_ + kPatience);
}

Result<void> PostgresSession::end_copy(bool abandon) {
  const auto until = Clock::now() + timeout_ + kPatience;
  if (PQputCopyEnd(connection_.get(), abandon ? "abandoned" : nullptr) != 1) return broken();
  if (auto flushed = flush(until); !flushed) return flushed;
  for (;;) {
    auto answer = next_answer(until);
    if (!answer) return tl::unexpected(answer.error());
    if (*answer == nullptr) return {};
    if (PQresultStatus(answer->get()) != PGRES_COMMAND_OK) return failed(*answer, until);
  }
}

}  // namespace backstream::sink
