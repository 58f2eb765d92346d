#include "catalog/catalog.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "catalog/sqlite_catalog.h"

namespace backstream::catalog {
namespace {

using Action = Change::Action;

constexpr Micros kNow = 1'769'860'800'000'000;  // 2026-01-31 12:00 UTC
const Author kAnn{"ann", "cli"};

Change change(Action action, std::string of, std::string body = R"({"text":"SELECT 1"})", Kind kind = Kind::kQuery) {
  Change made;
  made.action = action;
  made.kind = kind;
  made.name = std::move(of);
  made.verb = action == Action::kDrop ? "drop" : "add";
  if (action != Action::kDrop) made.body = std::move(body);
  return made;
}

class SqliteCatalogTest : public testing::Test {
 protected:
  SqliteCatalogTest() {
    std::string name = (std::filesystem::temp_directory_path() / "backstream-catalog-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
  }
  ~SqliteCatalogTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return (folder_ / "catalog.db").string(); }
  std::unique_ptr<Catalog> open() const {
    auto catalog = open_sqlite_catalog(path());
    if (!catalog) throw std::runtime_error(catalog.error().render());
    return std::move(*catalog);
  }
  /// The SQLSTATE of a refusal; empty: it was done.
  static std::string apply(Catalog& catalog, const std::vector<Change>& changes, Micros now = kNow) {
    const auto applied = catalog.apply(changes, kAnn, now);
    return applied ? "" : applied.error().code;
  }

  std::filesystem::path folder_;
};

TEST_F(SqliteCatalogTest, DefinitionsHaveVersionsStatesHaveNone) {
  const auto catalog = open();
  EXPECT_EQ(catalog->revision().value, 0u);
  EXPECT_EQ(apply(*catalog, {change(Action::kCreate, "q", R"({"a":1})")}), "");
  EXPECT_EQ(apply(*catalog, {change(Action::kUpdate, "q", R"({"a":1,"state":"paused"})")}), "");
  EXPECT_EQ(apply(*catalog, {change(Action::kDefine, "q", R"({"a":2})")}, kNow + 5), "");
  const auto found = catalog->find(Kind::kQuery, "q");
  ASSERT_TRUE(found && *found);
  const Object expected{Kind::kQuery, "q", {1}, 2, {3}, kNow + 5, R"({"a":2})"};
  EXPECT_EQ(**found, expected);
  const auto history = catalog->history(Kind::kQuery, "q", 10);
  ASSERT_TRUE(history);
  const std::vector<Version> versions = {{{1}, {3}, 2, kNow + 5, "ann", R"({"a":2})"},
                                         {{1}, {1}, 1, kNow, "ann", R"({"a":1})"}};
  EXPECT_EQ(*history, versions);
  EXPECT_EQ(catalog->history(Kind::kQuery, "q", 1)->size(), 1u);
}

TEST_F(SqliteCatalogTest, WhatIsMadeAgainIsAnother) {
  const auto catalog = open();
  EXPECT_EQ(apply(*catalog, {change(Action::kCreate, "q", "{}"), change(Action::kCreate, "r", "{}")}), "");
  EXPECT_EQ(apply(*catalog, {change(Action::kDrop, "q")}), "");
  EXPECT_FALSE(catalog->find(Kind::kQuery, "q")->has_value());
  EXPECT_EQ(apply(*catalog, {change(Action::kPut, "q", "{}")}), "");
  const Object again = **catalog->find(Kind::kQuery, "q");
  EXPECT_EQ(again.incarnation.value, 3u);
  EXPECT_EQ(again.version, 1u);
  EXPECT_EQ(catalog->history(Kind::kQuery, "q", 10)->size(), 2u) << "the first one is not forgotten";
  EXPECT_EQ(catalog->list(Kind::kQuery)->size(), 2u);
  EXPECT_EQ(catalog->list(Kind::kTable)->size(), 0u);
}

TEST_F(SqliteCatalogTest, AllChangesOrNone) {
  const auto catalog = open();
  EXPECT_EQ(
      apply(*catalog, {change(Action::kCreate, "a"), change(Action::kCreate, "b"), change(Action::kDefine, "missing")}),
      "42704");
  EXPECT_TRUE(catalog->list(Kind::kQuery)->empty());
  EXPECT_TRUE(catalog->audit({})->empty());
  EXPECT_EQ(catalog->revision().value, 0u);
  EXPECT_EQ(apply(*catalog, {change(Action::kCreate, "a")}), "") << "nothing of the refused one is in the way";
}

TEST_F(SqliteCatalogTest, WhatCannotBeIsRefusedByName) {
  const auto catalog = open();
  ASSERT_EQ(apply(*catalog, {change(Action::kCreate, "q")}), "");
  EXPECT_EQ(apply(*catalog, {change(Action::kCreate, "q")}), "42710");
  EXPECT_EQ(apply(*catalog, {change(Action::kCreate, "q", "{}", Kind::kTable)}), "") << "kinds are apart";
  EXPECT_EQ(apply(*catalog, {change(Action::kDrop, "p")}), "42704");
  EXPECT_EQ(apply(*catalog, {change(Action::kUpdate, "p")}), "42704");
  EXPECT_EQ(apply(*catalog, {change(Action::kCreate, "")}), "22023");
  EXPECT_EQ(apply(*catalog, {change(Action::kCreate, std::string(kNameOctetsMax + 1, 'x'))}), "22023");
  EXPECT_EQ(apply(*catalog, {change(Action::kCreate, "\xff")}), "22023");
  EXPECT_EQ(apply(*catalog, {change(Action::kCreate, "big", "{}" + std::string(kBodyOctetsMax, ' '))}), "22023");
  for (const std::string_view body : {"", "[]", "{", "{\"a\":\"\xff\"}", "x"})
    EXPECT_EQ(apply(*catalog, {change(Action::kCreate, "bad", std::string(body))}), "22023") << body;
  Change stale = change(Action::kDefine, "q");
  stale.expected = Revision{7};
  EXPECT_EQ(apply(*catalog, {stale}), "40001");
  stale.expected = Revision{1};
  EXPECT_EQ(apply(*catalog, {stale}), "");
  EXPECT_EQ(apply(*catalog, {stale}), "40001") << "it has changed since";
}

TEST_F(SqliteCatalogTest, TheAuditTellsWhoDidWhat) {
  const auto catalog = open();
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(apply(*catalog,
                    {change(Action::kCreate, "q" + std::to_string(i)), change(Action::kCreate, "t", "{}", Kind::kTable),
                     change(Action::kDrop, "t", "", Kind::kTable)},
                    kNow + i),
              "");
  Change paused = change(Action::kUpdate, "q3");
  paused.verb = "pause";
  paused.comment = "too dear";
  ASSERT_EQ(apply(*catalog, {paused}), "");
  const auto newest = catalog->audit({.count_max = 1});
  ASSERT_EQ(newest->size(), 1u);
  const AuditEntry expected{{6}, kNow, "ann", "cli", "pause", Kind::kQuery, "q3", 1, "too dear"};
  EXPECT_EQ(newest->front(), expected);
  EXPECT_EQ(catalog->audit({})->size(), 16u);
  EXPECT_EQ(catalog->audit({.kind = Kind::kTable, .name = "t"})->size(), 10u);
  EXPECT_EQ(catalog->audit({.kind = Kind::kQuery, .name = "q3"})->size(), 2u);
  const auto page = catalog->audit({.kind = Kind::kQuery, .before = Revision{6}, .count_max = 2});
  ASSERT_EQ(page->size(), 2u);
  EXPECT_EQ(page->at(0).name, "q4");
  EXPECT_EQ(page->at(1).name, "q3");
}

TEST_F(SqliteCatalogTest, ReadersFollowChanges) {
  const auto catalog = open();
  EXPECT_EQ(catalog->wait_beyond({0}, std::chrono::milliseconds(1)).value, 0u);
  std::thread writer([&] {
    EXPECT_EQ(apply(*catalog, {change(Action::kCreate, "a"), change(Action::kCreate, "b")}), "");
    EXPECT_EQ(apply(*catalog, {change(Action::kDrop, "a")}), "");
  });
  while (catalog->wait_beyond({1}, std::chrono::seconds(10)).value < 2) {
  }
  writer.join();
  const auto all = catalog->changed_since({0});
  ASSERT_TRUE(all && *all);
  ASSERT_EQ((*all)->size(), 2u);
  EXPECT_EQ((*all)->at(0).name, "b");
  EXPECT_EQ((*all)->at(0).revision.value, 1u);
  EXPECT_EQ((*all)->at(1).name, "a");
  EXPECT_EQ((*all)->at(1).revision.value, 2u);
  EXPECT_EQ((*catalog->changed_since({1}))->size(), 1u);
  EXPECT_EQ((*catalog->changed_since({2}))->size(), 0u);
}

TEST_F(SqliteCatalogTest, IsTheSameAfterItWasClosed) {
  {
    const auto catalog = open();
    ASSERT_EQ(apply(*catalog, {change(Action::kCreate, "q", R"({"text":"SELECT 'é'"})")}), "");
  }
  const auto catalog = open();
  EXPECT_EQ(catalog->revision().value, 1u);
  EXPECT_EQ((*catalog->find(Kind::kQuery, "q"))->body, R"({"text":"SELECT 'é'"})");
  const auto second = open_sqlite_catalog(path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "55006") << "one process at a time: " << second.error().render();
}

TEST_F(SqliteCatalogTest, ADamagedFileIsRefusedAndLeftAsItIs) {
  {
    const auto catalog = open();
    for (int i = 0; i < 40; ++i)
      ASSERT_EQ(apply(*catalog, {change(Action::kCreate, "query" + std::to_string(i),
                                        "{\"x\":\"" + std::string(500, 'x') + "\"}")}),
                "");
  }
  std::ifstream file(path(), std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  ASSERT_GT(whole.size(), 20'000u);
  std::mt19937 random(1);
  int refused = 0;
  constexpr int kTrials = 100;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::string changed = whole;
    // Within what is used: a free part of a page may be anything.
    const size_t at = changed.find(std::string(100, 'x'), random() % (changed.size() - 4096));
    ASSERT_NE(at, std::string::npos);
    changed[at + random() % 100] = 'y';
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << changed;
    const auto opened = open_sqlite_catalog(path());
    if (!opened) {
      EXPECT_EQ(opened.error().code, "XX001") << opened.error().render();
      EXPECT_NE(opened.error().hint.find(".recover"), std::string::npos);
      ++refused;
    }
  }
  EXPECT_EQ(refused, kTrials);
  for (const std::string& text :
       {std::string("no database at all, but long enough to look at: ") + std::string(4096, '.'),
        whole.substr(0, whole.size() / 2)}) {
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << text;
    const auto opened = open_sqlite_catalog(path());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, "XX001") << opened.error().render();
    std::ifstream again(path(), std::ios::binary);
    EXPECT_EQ(std::string((std::istreambuf_iterator<char>(again)), {}), text);
  }
}

TEST_F(SqliteCatalogTest, AFolderThatIsNotThereIsNamed) {
  const auto opened = open_sqlite_catalog((folder_ / "missing" / "catalog.db").string());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "58030");
  EXPECT_NE(opened.error().message.find("missing/catalog.db"), std::string::npos);
}

TEST_F(SqliteCatalogTest, AnExportMakesTheSameCatalog) {
  const auto catalog = open();
  ASSERT_EQ(apply(*catalog, {change(Action::kCreate, "q", R"({"text":"SELECT \"a\"","state":"paused"})"),
                             change(Action::kCreate, "t", "{}", Kind::kTable)}),
            "");
  ASSERT_EQ(apply(*catalog, {change(Action::kDefine, "q", R"({"text":"SELECT 2"})")}), "");
  const auto document = export_document(*catalog);
  ASSERT_TRUE(document);
  const auto other = open_sqlite_catalog((folder_ / "other.db").string());
  ASSERT_TRUE(other);
  const auto count = import_document(**other, *document, kAnn, kNow);
  ASSERT_TRUE(count) << count.error().render();
  EXPECT_EQ(*count, 2u);
  EXPECT_EQ((*(*other)->find(Kind::kQuery, "q"))->body, R"({"text":"SELECT 2"})");
  EXPECT_TRUE((*(*other)->find(Kind::kTable, "t")).has_value());
  const auto twice = import_document(**other, *document, kAnn, kNow);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, "55000");
}

TEST_F(SqliteCatalogTest, TokensStayWhereTheyWereMade) {
  const auto catalog = open();
  ASSERT_EQ(apply(*catalog, {change(Action::kCreate, "q", "{}"),
                             change(Action::kCreate, "grafana", R"({"hash":"5ec7e7"})", Kind::kToken)}),
            "");
  ASSERT_EQ(apply(*catalog, {change(Action::kDefine, "grafana", R"({"hash":"5ec7e8"})", Kind::kToken)}), "");
  const auto document = export_document(*catalog);
  ASSERT_TRUE(document);
  EXPECT_EQ(document->find("5ec7e"), std::string::npos) << *document;
  EXPECT_EQ(document->find("grafana"), std::string::npos) << *document;
  const auto other = open_sqlite_catalog((folder_ / "other.db").string());
  ASSERT_TRUE(other);
  ASSERT_EQ(apply(**other, {change(Action::kCreate, "mine", "{}", Kind::kToken)}), "");
  EXPECT_TRUE(import_document(**other, *document, kAnn, kNow)) << "who imports has a token";
  EXPECT_TRUE((*(*other)->find(Kind::kToken, "mine")).has_value());
  const auto third = open_sqlite_catalog((folder_ / "third.db").string());
  ASSERT_TRUE(third);
  const auto with_token = import_document(
      **third, R"({"format":"backstream catalog","version":1,"objects":[{"kind":"token","name":"x","body":{}}]})", kAnn,
      kNow);
  ASSERT_FALSE(with_token);
  EXPECT_EQ(with_token.error().code, "22P02");
}

TEST_F(SqliteCatalogTest, ANoteIsInTheAuditAndNowhereElse) {
  const auto catalog = open();
  ASSERT_EQ(apply(*catalog, {change(Action::kCreate, "q", "{}")}), "");
  Change note;
  note.action = Action::kNote;
  note.kind = Kind::kService;
  note.name = "export";
  note.verb = "export";
  note.comment = "1 object";
  Change of_query = note;
  of_query.kind = Kind::kQuery;
  of_query.name = "q";
  ASSERT_EQ(apply(*catalog, {note, of_query}), "");
  EXPECT_EQ(catalog->revision().value, 2u);
  EXPECT_TRUE(catalog->list(Kind::kService)->empty());
  EXPECT_EQ((*catalog->find(Kind::kQuery, "q"))->revision.value, 1u) << "the query has not changed";
  EXPECT_EQ(catalog->history(Kind::kQuery, "q", 10)->size(), 1u);
  const auto entries = catalog->audit({});
  ASSERT_EQ(entries->size(), 3u);
  const AuditEntry expected{{2}, kNow, "ann", "cli", "export", Kind::kService, "export", 0, "1 object"};
  EXPECT_EQ((*entries)[1], expected);
  EXPECT_EQ((*entries)[0].version, 1u) << "of the object that is there";
  note.name.clear();
  EXPECT_EQ(apply(*catalog, {note}), "22023");
}

TEST_F(SqliteCatalogTest, ADocumentThatIsNoneIsRefusedWithItsPlace) {
  const auto catalog = open();
  for (const std::string_view text :
       {"", "[]", "{}", "{\"format\":\"backstream catalog\"}",
        R"({"format":"backstream catalog","version":9,"objects":[]})",
        R"({"format":"backstream catalog","version":1,"objects":[{"kind":"none","name":"x","body":{}}]})",
        R"({"format":"backstream catalog","version":1,"objects":[{"kind":"query","name":7,"body":{}}]})"}) {
    const auto imported = import_document(*catalog, text, kAnn, kNow);
    ASSERT_FALSE(imported) << text;
    EXPECT_EQ(imported.error().code, "22P02");
  }
  const auto located = import_document(*catalog, "{\n  \"format\": x}", kAnn, kNow);
  ASSERT_FALSE(located);
  EXPECT_EQ(located.error().line, 2u);
  EXPECT_EQ(catalog->revision().value, 0u);
}

/// A process that changes a catalog and tells of each change that was done, until it is killed.
[[noreturn]] void change_for_ever(const std::string& path, int told) {
  auto opened = open_sqlite_catalog(path);
  if (!opened) ::_exit(3);
  std::mt19937 random(static_cast<unsigned>(::getpid()));
  for (;;) {
    const std::string of = "q" + std::to_string(random() % 20);
    const bool there = (*opened)->find(Kind::kQuery, of)->has_value();
    const std::vector<Change> changes = {
        there && random() % 4 == 0 ? change(Action::kDrop, of)
                                   : change(Action::kPut, of, "{\"b\":\"" + std::string(random() % 3000, 'b') + "\"}"),
        change(Action::kPut, "twin", "{\"of\":\"" + of + "\"}", Kind::kTable)};
    const auto applied = (*opened)->apply(changes, kAnn, kNow);
    if (!applied) ::_exit(4);
    const uint64_t revision = applied->value;
    if (::write(told, &revision, sizeof revision) != sizeof revision) ::_exit(5);
  }
}

TEST_F(SqliteCatalogTest, AKillAtAnyInstantLeavesWholeChanges) {
  std::mt19937 random(7);
  uint64_t told_last = 0;
  for (int round = 0; round < 25; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) change_for_ever(path(), pipe_ends[1]);
    ::close(pipe_ends[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(2000 + random() % 30'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself: " << WEXITSTATUS(status);
    for (uint64_t revision = 0; ::read(pipe_ends[0], &revision, sizeof revision) == sizeof revision;)
      told_last = revision;
    ::close(pipe_ends[0]);

    const auto catalog = open();
    const uint64_t revision = catalog->revision().value;
    EXPECT_GE(revision, told_last) << "a change that was done is there";
    EXPECT_LE(revision, told_last + 1);
    if (revision == 0) continue;
    // Both changes of the last revision, or none of them.
    const auto audit = catalog->audit({.count_max = 2});
    ASSERT_EQ(audit->size(), 2u);
    EXPECT_EQ(audit->at(0).revision.value, revision);
    EXPECT_EQ(audit->at(1).revision.value, revision);
    EXPECT_EQ((*catalog->find(Kind::kTable, "twin"))->body, "{\"of\":\"" + audit->at(1).name + "\"}");
    told_last = revision;
  }
  EXPECT_GT(told_last, 0u) << "something was changed at all";
}

}  // namespace
}  // namespace backstream::catalog
