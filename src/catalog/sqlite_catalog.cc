#include "catalog/sqlite_catalog.h"

#include <utility>

#include "catalog/sqlite_store.h"

namespace backstream::catalog {
namespace {

class SqliteCatalog final : public Catalog {
 public:
  explicit SqliteCatalog(std::unique_ptr<SqliteStore> store) : store_(std::move(store)) {}

  Result<Revision> apply(std::span<const Change> changes, const Author& author, Micros now) override {
    return store_->apply(changes, author, now);
  }
  Result<std::optional<Object>> find(Kind kind, std::string_view of) override { return store_->find(kind, of); }
  Result<std::vector<Object>> list(Kind kind) override { return store_->list(kind); }
  Result<std::vector<Version>> history(Kind kind, std::string_view of, size_t count_max) override {
    return store_->history(kind, of, count_max);
  }
  Result<std::vector<AuditEntry>> audit(const AuditOf& which) override { return store_->audit(which); }
  Result<std::optional<std::vector<Changed>>> changed_since(Revision after) override {
    return store_->changed_since(after);
  }
  Revision revision() override { return store_->revision(); }
  Revision wait_beyond(Revision after, std::chrono::milliseconds patience) override {
    return store_->wait_beyond(after, patience);
  }

 private:
  const std::unique_ptr<SqliteStore> store_;
};

}  // namespace

Result<std::unique_ptr<Catalog>> open_sqlite_catalog(const std::string& path) {
  auto store = SqliteStore::open(path, SqliteStore::Role::kCatalog);
  if (!store) return tl::unexpected(std::move(store.error()));
  return std::unique_ptr<Catalog>(std::make_unique<SqliteCatalog>(std::move(*store)));
}

}  // namespace backstream::catalog
