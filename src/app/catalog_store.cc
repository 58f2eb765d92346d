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

constexpr milliseconds kFollowPause{250};
constexpr std::chrono::seconds kTendPause{1};
constexpr const char* kTopic = "catalog";

catalog::OpenKeyedLog opener(std::shared_ptr<transport::Bus> bus) {
  return [bus = std::move(bus)](bool create) { return bus->open_keyed_log(kTopic, catalog::kChangeOctetsMax, create); };
}

}  // namespace

std::string catalog_copy_path(const config::Settings& settings) {
  return (std::filesystem::path(settings.state.folder) / "catalog-copy.sqlite").string();
}

Result<CatalogStore> open_catalog_store(const config::Settings& settings, const std::shared_ptr<transport::Bus>& bus) {
  if (settings.catalog.store == config::CatalogStore::kSqlite) {
    auto opened =
        catalog::open_sqlite_catalog((std::filesystem::path(settings.state.folder) / "catalog.sqlite").string());
    if (!opened) return tl::unexpected(std::move(opened.error()));
    return CatalogStore{std::move(*opened), nullptr};
  }
  catalog::KafkaCatalogOptions options;
  options.copy_path = catalog_copy_path(settings);
  options.patience = std::min(options.patience, milliseconds(settings.kafka.timeout_us / 1'000));
  options.warn = [](const std::string& line) { telemetry::terminal_log().warning(line); };
  options.note = [](const std::string& line) { telemetry::terminal_log().line(line); };
  auto opened = catalog::open_log_catalog(opener(bus), bus->topic_name(kTopic), std::move(options));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  catalog::KafkaCatalog* const shared = opened->get();
  return CatalogStore{std::move(*opened), shared};
}

Result<size_t> restore_catalog(const config::Settings& settings, const catalog::Author& author) {
  const std::shared_ptr<transport::Bus> bus = kafka_bus(settings);
  return catalog::restore_log_catalog(opener(bus), bus->topic_name(kTopic), catalog_copy_path(settings), author,
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
