#include "app/catalog_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "app/kafka_options.h"
#include "catalog/sqlite_catalog.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

using base::Result;
using std::chrono::milliseconds;

constexpr milliseconds kTimeoutMax{10'000};  // A person waits for a change.
constexpr milliseconds kFollowPause{250};
constexpr std::chrono::seconds kTendPause{1};
constexpr uint64_t kReadOctets = 8 << 20;

Result<std::shared_ptr<transport::KafkaConnection>> connect(const config::Settings& settings) {
  transport::KafkaOptions options = kafka_options(settings, tell_kafka_notice);
  options.append_timeout = std::min(options.append_timeout, kTimeoutMax);
  options.request_timeout = std::min(options.request_timeout, kTimeoutMax);
  options.read_octets = std::min(options.read_octets, kReadOctets);
  options.read_partitions = 1;
  return transport::KafkaConnection::open(std::move(options));
}

transport::KafkaTopicOptions topic_of(const config::Settings& settings) {
  return kafka_topic_options(settings, "catalog");
}

}  // namespace

std::string catalog_copy_path(const config::Settings& settings) {
  return (std::filesystem::path(settings.state.folder) / "catalog-copy.sqlite").string();
}

Result<CatalogStore> open_catalog_store(const config::Settings& settings) {
  if (settings.catalog.store == config::CatalogStore::kSqlite) {
    auto opened =
        catalog::open_sqlite_catalog((std::filesystem::path(settings.state.folder) / "catalog.sqlite").string());
    if (!opened) return tl::unexpected(std::move(opened.error()));
    return CatalogStore{std::move(*opened), nullptr};
  }
  auto connection = connect(settings);
  if (!connection) return tl::unexpected(std::move(connection.error()));
  catalog::KafkaCatalogOptions options;
  options.copy_path = catalog_copy_path(settings);
  options.patience = std::min(options.patience, (*connection)->options().append_timeout);
  options.warn = [](const std::string& line) { telemetry::terminal_log().warning(line); };
  options.note = [](const std::string& line) { telemetry::terminal_log().line(line); };
  auto opened = catalog::open_kafka_catalog(std::move(*connection), topic_of(settings), std::move(options));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  catalog::KafkaCatalog* const shared = opened->get();
  return CatalogStore{std::move(*opened), shared};
}

Result<size_t> restore_catalog(const config::Settings& settings, const catalog::Author& author) {
  auto connection = connect(settings);
  if (!connection) return tl::unexpected(std::move(connection.error()));
  return catalog::restore_kafka_catalog(std::move(*connection), topic_of(settings), catalog_copy_path(settings), author,
                                        base::wall_clock());
}

void CatalogFollower::start() {
  thread_ = std::thread([this] { run(); });
}

void CatalogFollower::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void CatalogFollower::run() {
  catalog::Revision seen;
  bool joined = false;
  auto tended_at = std::chrono::steady_clock::now() - kTendPause;
  while (!stop_) {
    const catalog::Revision now = ground_.catalog.wait_beyond(seen, kFollowPause);
    if (stop_) return;
    if (now != seen) follow();
    seen = now;
    if (std::chrono::steady_clock::now() - tended_at < kTendPause) continue;
    tended_at = std::chrono::steady_clock::now();
    if (!joined) joined = ground_.join().has_value();
    ground_.tend();
  }
}

void CatalogFollower::follow() {
  telemetry::TerminalLog& log = telemetry::terminal_log();
  std::vector<base::Diagnostic> left_out;
  const auto tables = ground_.tables.follow(left_out);
  for (const base::Diagnostic& error : left_out) log.warning(error.render());
  Result<void> followed;
  if (tables) followed = ground_.queries.follow(*tables);
  else followed = tl::unexpected(tables.error());
  if (!followed && followed.error().message != told_)
    log.warning("what other nodes have changed is not followed: " + followed.error().render());
  told_ = followed ? "" : followed.error().message;
  std::set<std::string> failed;
  for (const auto& status : ground_.queries.list()) {
    if (status.definition.state != catalog::QueryState::kFailed) continue;
    failed.insert(status.object.name);
    if (!told_failed_.contains(status.object.name))
      log.warning(fmt::format("query '{}' does not run here: {}", status.object.name, status.definition.reason));
  }
  told_failed_ = std::move(failed);
}

}  // namespace backstream::app
