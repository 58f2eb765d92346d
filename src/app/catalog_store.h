#pragma once
// The catalog that the settings ask for, and what a node does beside one that others change, too.
#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "catalog/kafka_catalog.h"
#include "config/settings.h"
#include "service/query_register.h"
#include "service/table_register.h"
#include "transport/bus.h"

namespace backstream::app {

struct CatalogStore {
  std::unique_ptr<catalog::Catalog> catalog;
  catalog::KafkaCatalog* shared = nullptr;  ///< the same, where many nodes have it
};
/// Opens the store of catalog.store in the state folder.
/// @param bus  that has a shared one; may be null where there is none
/// Errors: as of catalog::open_sqlite_catalog() and catalog::open_log_catalog().
base::Result<CatalogStore> open_catalog_store(const config::Settings& settings,
                                              const std::shared_ptr<transport::Bus>& bus);

/// Where the copy of a shared catalog lies.
std::string catalog_copy_path(const config::Settings& settings);

/// Puts the copy of a shared catalog into a topic that was lost: catalog::restore_log_catalog().
base::Result<size_t> restore_catalog(const config::Settings& settings, const catalog::Author& author);

/// Makes what runs here equal to a shared catalog, as soon as others change it, on a thread of its own.
class CatalogFollower {
 public:
  struct Ground {
    catalog::Catalog& catalog;
    service::TableRegister& tables;
    service::QueryRegister& queries;
    /// Tells the catalog of this node; again until it is done.
    std::function<base::Result<void>()> join;
    /// What else waits for the catalog, about once a second; its errors are its own.
    std::function<void()> tend;
  };
  explicit CatalogFollower(Ground ground) : ground_(std::move(ground)) {}
  ~CatalogFollower() { stop(); }
  CatalogFollower(const CatalogFollower&) = delete;
  CatalogFollower& operator=(const CatalogFollower&) = delete;

  void start();
  /// The engine must do no more work for it (RestJobs::close()), or go on doing it.
  void stop();

 private:
  void run();
  void follow();

  const Ground ground_;
  std::string told_;                   ///< the last trouble
  std::set<std::string> told_failed_;  ///< queries
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace backstream::app
