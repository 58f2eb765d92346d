#include "service/table_register.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "catalog/kafka_catalog.h"
#include "catalog/sqlite_catalog.h"
#include "lookup/lookup_table.h"
#include "transport/memory_keyed_log.h"

namespace backstream::service {
namespace {

const catalog::Author kAnn{"ann", "test"};
const std::string kCreate = "CREATE TABLE names (asn bigint PRIMARY KEY, name text)";

class TableRegisterTest : public testing::Test {
 protected:
  TableRegisterTest() {
    std::string name = (std::filesystem::temp_directory_path() / "backstream-tables-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
    std::filesystem::create_directory(folder_ / "tables");
    begin();
  }
  ~TableRegisterTest() override {
    tables_.reset();
    catalog_.reset();
    std::filesystem::remove_all(folder_);
  }
  /// A process that begins. Returns what was left out.
  std::vector<base::Diagnostic> begin() {
    tables_.reset();
    catalog_.reset();
    auto opened = catalog::open_sqlite_catalog((folder_ / "catalog.sqlite").string());
    if (!opened) throw std::runtime_error(opened.error().render());
    catalog_ = std::move(*opened);
    TableRegister::Ground ground;
    ground.folder = (folder_ / "tables").string();
    ground.is_taken = [](const std::string& name) { return name == "flows"; };
    ground.readers = [this](const std::string&) { return readers_; };
    ground.watch = [this](lookup::FileTable&) { ++watched_; };
    ground.unwatch = [this](lookup::FileTable&) { --watched_; };
    ground.changed = [this] { ++changes_; };
    tables_.emplace(*catalog_, std::move(ground));
    auto started = tables_->start();
    if (!started) throw std::runtime_error(started.error().render());
    return *started;
  }
  /// The verb, or the error's code.
  std::string run(const std::string& text) {
    const auto done = tables_->execute(text, "t.sql", kAnn, 7);
    if (done) return done->verb;
    error_ = done.error();
    return error_.code;
  }
  uint64_t rows(const std::string& name) {
    for (const auto& info : tables_->list()) {
      if (info.name == name) return info.rows;
    }
    return 999;
  }

  std::filesystem::path folder_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::optional<TableRegister> tables_;
  std::vector<std::string> readers_;
  int watched_ = 0, changes_ = 0;
  base::Diagnostic error_;
};

TEST_F(TableRegisterTest, WhatStatementsMadeIsThereAfterARestart) {
  EXPECT_EQ(run(kCreate), "create");
  EXPECT_EQ(run("INSERT INTO names VALUES (1, 'one'), (2, 'two'), (3, 'three')"), "insert");
  EXPECT_EQ(run("DELETE FROM names WHERE asn = 3"), "delete");
  EXPECT_EQ(run("UPDATE names SET name = 'zwei' WHERE asn = 2"), "update");
  EXPECT_EQ(rows("names"), 2u);
  EXPECT_EQ(changes_, 4);
  plan::Definitions definitions(true);
  tables_->add_to(definitions);
  const auto* const relation = std::as_const(definitions).catalog().find("names");
  ASSERT_NE(relation, nullptr);
  EXPECT_EQ(relation->kind, plan::Relation::Kind::kTable);
  EXPECT_EQ(relation->table->published().snapshot()->table->row_count(), 2u);
  EXPECT_TRUE(begin().empty());
  EXPECT_EQ(rows("names"), 2u);
  EXPECT_EQ(run("TRUNCATE names"), "truncate");
  EXPECT_EQ(rows("names"), 0u);
  begin();
  EXPECT_EQ(rows("names"), 0u);
  EXPECT_EQ(run("DROP TABLE names"), "drop");
  begin();
  EXPECT_TRUE(tables_->list().empty());
  const auto audit = catalog_->audit({});
  EXPECT_EQ(audit->size(), 6u);
  EXPECT_EQ(audit->front().verb, "drop");
}

TEST_F(TableRegisterTest, AMistakeChangesNothingAndIsLocated) {
  EXPECT_EQ(run("INSERT INTO names VALUES (1, 'one')"), "42P01");
  EXPECT_EQ(run(kCreate), "create");
  EXPECT_EQ(run(kCreate), "42P07");
  EXPECT_EQ(run("CREATE TABLE IF NOT EXISTS names (asn bigint)"), "unchanged");
  EXPECT_EQ(run("CREATE TABLE flows (a bigint)"), "42P07");
  EXPECT_EQ(run("INSERT INTO names VALUES (1, 'one')"), "insert");
  EXPECT_EQ(run("INSERT INTO names VALUES (1, 'again')"), "23505");
  EXPECT_EQ(run("INSERT INTO names\n  (asn, nme) VALUES (2, 'two')"), "42703");
  EXPECT_EQ(error_.line, 2u);
  EXPECT_EQ(error_.source_name, "t.sql");
  EXPECT_EQ(run("INSERT INTO nams VALUES (1, 'x')"), "42P01");
  EXPECT_EQ(error_.hint, "did you mean \"names\"?");
  EXPECT_EQ(run("SELECT 1"), "42601");
  EXPECT_EQ(run("TRUNCATE names; TRUNCATE names"), "42601");
  EXPECT_EQ(rows("names"), 1u);
  begin();
  EXPECT_EQ(rows("names"), 1u);
}

TEST_F(TableRegisterTest, WhatQueriesReadIsNotDropped) {
  run(kCreate);
  readers_ = {"a", "b"};
  EXPECT_EQ(run("DROP TABLE names"), "2BP01");
  EXPECT_NE(error_.message.find("a, b"), std::string::npos);
  EXPECT_EQ(rows("names"), 0u);
}

TEST_F(TableRegisterTest, FilesAreReadFromTheirFolderOnly) {
  std::ofstream(folder_ / "tables" / "as.csv") << "asn,name\n1,one\n2,two\n";
  std::ofstream(folder_ / "secret.csv") << "asn,name\n1,one\n";
  std::filesystem::create_symlink(folder_ / "secret.csv", folder_ / "tables" / "link.csv");
  const auto create = [](const std::string& file) {
    return "CREATE TABLE names (asn bigint PRIMARY KEY, name text) WITH (file = '" + file + "')";
  };
  for (const std::string& outside : {std::string("../secret.csv"), (folder_ / "secret.csv").string(),
                                     std::string("link.csv"), std::string("a/../../secret.csv"), std::string(".")})
    EXPECT_EQ(run(create(outside)), "42501") << outside;
  EXPECT_EQ(error_.line, 1u);
  EXPECT_NE(run(create("none.csv")), "create");
  EXPECT_EQ(run(create("as.csv")), "create");
  EXPECT_EQ(rows("names"), 2u);
  EXPECT_EQ(watched_, 1);
  EXPECT_EQ(tables_->list().front().file, "as.csv");
  EXPECT_EQ(run("INSERT INTO names VALUES (3, 'x')"), "55000") << "its file says what is in it";
  EXPECT_EQ(run("TRUNCATE names"), "55000");
  watched_ = 0;
  begin();
  EXPECT_EQ(rows("names"), 2u);
  std::filesystem::remove(folder_ / "tables" / "as.csv");
  const auto left_out = begin();
  ASSERT_EQ(left_out.size(), 1u);
  EXPECT_NE(left_out[0].message.find("names"), std::string::npos);
  EXPECT_TRUE(tables_->list().empty());
}

/// Two nodes over one topic, in memory.
TEST(SharedTableRegister, WhatOneNodeDoesToATableAllNodesDo) {
  std::string name = (std::filesystem::temp_directory_path() / "backstream-tables-XXXXXX").string();
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  const std::filesystem::path folder = name;
  transport::MemoryTopic topic;
  struct Node {
    std::unique_ptr<catalog::Catalog> catalog;
    std::optional<TableRegister> tables;
    int changes = 0;
    std::string run(const std::string& text) {
      const auto done = tables->execute(text, "t.sql", kAnn, 7);
      return done ? done->verb : done.error().code;
    }
    /// "name:rows" of each, and whether there were others.
    std::string follow(Node& other) {
      const catalog::Revision newest = other.catalog->revision();
      while (catalog->wait_beyond({newest.value - 1}, std::chrono::seconds(60)) < newest) {
      }
      std::vector<base::Diagnostic> left_out;
      const auto others = tables->follow(left_out);
      std::string text = others ? *others ? "others " : "" : others.error().render();
      for (const auto& error : left_out) text += error.message + ' ';
      for (const auto& info : tables->list()) text += info.name + ':' + std::to_string(info.rows) + ' ';
      return text;
    }
  };
  Node a, b;
  for (const auto& [node, file] : {std::pair{&a, "a"}, std::pair{&b, "b"}}) {
    catalog::KafkaCatalogOptions options;
    options.copy_path = (folder / file).string();
    options.patience = std::chrono::seconds(60);
    options.poll = std::chrono::milliseconds(5);
    auto opened = catalog::open_log_catalog(
        [&](bool) -> base::Result<std::unique_ptr<transport::KeyedLog>> {
          return std::unique_ptr<transport::KeyedLog>(std::make_unique<transport::MemoryKeyedLog>(topic));
        },
        "t.catalog", std::move(options));
    ASSERT_TRUE(opened);
    node->catalog = std::move(*opened);
    TableRegister::Ground ground;
    ground.folder = folder.string();
    ground.is_taken = [](const std::string&) { return false; };
    ground.readers = [](const std::string&) { return std::vector<std::string>(); };
    ground.watch = ground.unwatch = [](lookup::FileTable&) {};
    ground.changed = [node = node] { ++node->changes; };
    ground.shared = true;
    node->tables.emplace(*node->catalog, std::move(ground));
    ASSERT_TRUE(node->tables->start());
  }
  EXPECT_EQ(a.run(kCreate), "create");
  EXPECT_EQ(a.run("INSERT INTO names VALUES (1, 'one'), (2, 'two'), (3, 'three')"), "insert");
  EXPECT_EQ(b.follow(a), "others names:3 ");
  EXPECT_EQ(b.run("DELETE FROM names WHERE asn = 3"), "delete");
  EXPECT_EQ(a.follow(b), "names:2 ") << "the same table, with other rows";
  EXPECT_EQ(a.run("TRUNCATE names"), "truncate");
  EXPECT_EQ(a.run("INSERT INTO names VALUES (7, 'seven')"), "insert");
  const int changes = b.changes;
  EXPECT_EQ(b.follow(a), "names:1 ");
  EXPECT_GT(b.changes, changes) << "queries that read it are told";
  EXPECT_EQ(b.run(kCreate), "42P07");
  EXPECT_EQ(b.run("DROP TABLE names"), "drop");
  EXPECT_EQ(b.run("CREATE TABLE names (asn bigint PRIMARY KEY)"), "create") << "another one of that name";
  EXPECT_EQ(a.follow(b), "others names:0 ");
  EXPECT_EQ(a.run("INSERT INTO names VALUES (1)"), "insert") << "the other one's columns";
  EXPECT_EQ(b.follow(a), "names:1 ");
  EXPECT_EQ(b.run("INSERT INTO names VALUES (2)"), "insert");
  EXPECT_EQ(a.follow(b), "names:2 ");
  EXPECT_EQ(a.run("DROP TABLE names"), "drop");
  EXPECT_EQ(b.follow(a), "others ");
  // A file that is on one machine alone.
  catalog::Change change;
  change.kind = catalog::Kind::kTable;
  change.name = "elsewhere";
  change.body = R"json({"text":"CREATE TABLE elsewhere (asn bigint) WITH (file = 'missing.csv')","statements":[]})json";
  ASSERT_TRUE(a.catalog->apply({&change, 1}, kAnn, 7));
  EXPECT_NE(b.follow(a).find("table 'elsewhere': "), std::string::npos);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace backstream::service
