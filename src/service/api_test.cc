#include "service/api.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "batch/flow_schema.h"
#include "catalog/sqlite_catalog.h"
#include "service/access_matrix_test.h"
#include "service/access_routes.h"
#include "service/openapi.h"
#include "service/openapi_test.h"

namespace backstream::service {
namespace {

using Json = nlohmann::json;
using http::Method;
constexpr Micros kSecond = base::kMicrosPerSecond;
const std::string kMatrix =
    "SELECT window_start, src_as, sum(octets) AS octets FROM tumble(flows, time, interval '60 s') GROUP BY 1, 2";

/// All routes over an engine that this thread runs.
class ApiTest : public testing::Test {
 protected:
  explicit ApiTest(std::vector<std::string> roles = {"edge"}) {
    std::string name = (std::filesystem::temp_directory_path() / "backstream-api-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
    auto opened = catalog::open_sqlite_catalog((folder_ / "catalog.sqlite").string());
    if (!opened) throw std::runtime_error(opened.error().render());
    catalog_ = std::move(*opened);
    TableRegister::Ground tables;
    tables.is_taken = [](const std::string&) { return false; };
    tables.readers = [this](const std::string& table) { return queries_->readers_of(table); };
    tables.changed = [this] { engine_.refresh_lookups(); };
    tables_.emplace(*catalog_, std::move(tables));
    queries_.emplace(
        *catalog_, QueryGround{engine_,
                               [this] {
                                 auto definitions = std::make_unique<plan::Definitions>(true);
                                 tables_->add_to(*definitions);
                                 return definitions;
                               },
                               [](const std::function<void()>& work) { work(); },
                               [](const catalog::Object&) { return base::kMinTime; },
                               [this](const catalog::Object& object, const plan::Query& query) {
                                 return board_.open(object.name, {object.incarnation.value, object.version}, query, 1);
                               },
                               [this](const catalog::Object& object, exec::ResultSink* sink, bool last) {
                                 board_.close(sink);
                                 if (last) board_.drop(object.name);
                               }});
    EXPECT_TRUE(queries_->start(0));
    sessions_.emplace(*queries_);
    snapshot_.publish(std::make_shared<Snapshot>());
    AccessOptions options;
    options.catalog = catalog_.get();
    options.limits.failures = 1e9;
    auto access = Access::open(settings_, options);
    if (!access) throw std::runtime_error(access.error().render());
    access_ = std::move(*access);
    ground_ = std::make_shared<ApiGround>(
        ApiGround{{"1.2.3", "node", "ams", std::move(roles), 0},
                  *catalog_,
                  *queries_,
                  *tables_,
                  board_,
                  *sessions_,
                  snapshot_,
                  [] { return std::vector<ExporterStatus>(1); },
                  [] { return std::string("page\n"); },
                  [] { return std::string("{}"); },
                  [] { return openapi_document(); },
                  [this]() -> base::Result<std::string> {
                    ++reloads_;
                    return "nothing\n";
                  },
                  [] { return size_t{0}; },
                  [this](const std::string& node, const catalog::Author& author) -> base::Result<void> {
                    if (node != "ams1") return base::fail("42704", "no such node");
                    drained_by_ = author.name;
                    return {};
                  }});
    add_api_routes(router_, ground_);
    add_access_routes(router_, *access_);
    router_.set_gate(access_->gate());
  }
  ~ApiTest() override {
    sessions_.reset();
    std::filesystem::remove_all(folder_);
  }

  http::Response ask(Method method, const std::string& path, const Json& body = nullptr,
                     const http::Parameters& query = {}, const http::Headers& headers = {}) {
    http::Request request;
    request.method = method;
    request.path = request.raw_path = path;
    request.query = query;
    request.headers = headers;
    request.host = "localhost";
    request.peer = base::Inet::v4(0x7f000001);
    if (!body.is_null()) request.body = body.dump();
    return router_.answer(router_.match(method, path), request);
  }
  Json get(const std::string& path, const http::Parameters& query = {}) {
    const auto response = ask(Method::kGet, path, nullptr, query);
    EXPECT_EQ(response.status, 200) << response.body;
    return Json::parse(response.body, nullptr, false);
  }
  /// One flow of 100 octets from each AS, at that second.
  void flow(int second, std::initializer_list<int64_t> sources) {
    using batch::FlowColumn;
    const std::vector<batch::Type> types = batch::flow_schema().types();
    std::vector<bool> used(types.size());
    for (const FlowColumn column : {FlowColumn::kTime, FlowColumn::kOctets, FlowColumn::kSrcAs})
      used[static_cast<size_t>(column)] = true;
    batch::BatchBuffer buffer(types, used, 16);
    const auto values = [&](FlowColumn column) {
      auto& of = buffer.batch.columns[static_cast<size_t>(column)];
      of.has_nulls = false;
      return of.as<int64_t>();
    };
    for (const int64_t source : sources) {
      const size_t row = buffer.batch.row_count++;
      values(FlowColumn::kTime)[row] = second * kSecond;
      values(FlowColumn::kOctets)[row] = 100;
      values(FlowColumn::kSrcAs)[row] = source;
    }
    engine_.process("flows", buffer.batch);
    engine_.advance("flows", second * kSecond);
    board_.settle();
  }

  std::filesystem::path folder_;
  const config::Settings settings_;
  std::unique_ptr<catalog::Catalog> catalog_;
  exec::Engine engine_{exec::EngineOptions{}};
  http::EventHub hub_;
  ResultBoard board_{hub_, {}};
  std::optional<TableRegister> tables_;
  std::optional<QueryRegister> queries_;
  std::optional<Sessions> sessions_;
  base::Published<Snapshot> snapshot_;
  std::unique_ptr<Access> access_;
  std::shared_ptr<const ApiGround> ground_;
  http::Router router_;
  int reloads_ = 0;
  std::string drained_by_;
};

TEST_F(ApiTest, RoutesAreThoseOfTheDocument) { EXPECT_EQ(openapi_differences(router_), std::vector<std::string>{}); }

TEST_F(ApiTest, EveryRouteAsksWhoIsThere) {
  const size_t count = expect_access_matrix(router_, hub_, *access_, settings_);
  EXPECT_GT(count, router_.routes().size() * 20);
  EXPECT_GT(reloads_, 0) << "handlers of who may are run";
}

TEST_F(ApiTest, AQueryIsDefinedAlteredPausedAndDropped) {
  auto response = ask(Method::kPost, "/api/v1/queries", {{"name", "matrix"}, {"text", kMatrix}, {"comment", "who"}});
  ASSERT_EQ(response.status, 201) << response.body;
  EXPECT_EQ(Json::parse(response.body)["query"]["columns"][1],
            Json::parse(R"({"name":"src_as","type":"bigint","key":true})"));
  response = ask(Method::kGet, "/api/v1/queries/matrix");
  const Json query = Json::parse(response.body);
  EXPECT_EQ(query["comment"], "who");
  EXPECT_EQ(query["owner"], "local");
  EXPECT_EQ(*response.headers.find("ETag"), fmt::format("\"{}\"", query["revision"].get<int>()));
  http::Headers wrong, right;
  wrong.add("If-Match", "\"77\"");
  right.add("If-Match", *response.headers.find("ETag"));
  const Json other = {{"text", kMatrix + " HAVING sum(octets) > 10"}};
  EXPECT_EQ(ask(Method::kPut, "/api/v1/queries/matrix", other, {}, wrong).status, 412);
  response = ask(Method::kPut, "/api/v1/queries/matrix", other, {}, right);
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(Json::parse(response.body)["done"][0]["verb"], "alter");
  EXPECT_EQ(Json::parse(ask(Method::kPut, "/api/v1/queries/matrix", other).body)["done"][0]["verb"], "unchanged");
  EXPECT_EQ(get("/api/v1/queries/matrix/history")["versions"].size(), 2u);
  EXPECT_EQ(ask(Method::kPost, "/api/v1/queries/matrix/pause").status, 200);
  EXPECT_EQ(get("/api/v1/queries/matrix")["state"], "paused");
  EXPECT_EQ(get("/api/v1/queries/matrix/why")["text"], "the query is paused\n");
  EXPECT_EQ(ask(Method::kPost, "/api/v1/queries/matrix/resume").status, 200);
  EXPECT_EQ(ask(Method::kDelete, "/api/v1/queries/matrix").status, 200);
  EXPECT_EQ(ask(Method::kDelete, "/api/v1/queries/matrix").status, 404);
  std::vector<std::string> verbs;
  const Json audit = get("/api/v1/audit");
  for (const Json& entry : audit["entries"]) verbs.push_back(entry["verb"]);
  EXPECT_EQ(verbs, (std::vector<std::string>{"drop", "resume", "pause", "alter", "add"}));
}

TEST_F(ApiTest, AQueryTellsHowFarItIsAndWhatItHolds) {
  ASSERT_EQ(ask(Method::kPost, "/api/v1/queries", {{"name", "matrix"}, {"text", kMatrix}}).status, 201);
  for (const char* const member : {"lag_seconds", "state_octets", "groups"})
    EXPECT_EQ(get("/api/v1/queries/matrix")[member], nullptr) << member << " of a node that has told nothing yet";
  flow(1, {1, 2, 3});
  const size_t number = queries_->find("matrix")->number.value();
  auto told = std::make_shared<Snapshot>();
  told->at = 10 * kSecond;
  told->watermark = 1 * kSecond;
  told->arrival_watermark = 5 * kSecond;
  told->held.emplace(number, engine_.held(number));
  snapshot_.publish(told);
  Json query = get("/api/v1/queries/matrix");
  EXPECT_EQ(query["lag_seconds"], 9.0);
  EXPECT_EQ(query["groups"], 3);
  EXPECT_GT(query["state_octets"].get<int>(), 3 * 16);
  EXPECT_EQ(get("/api/v1/queries")["queries"][0]["groups"], 3);
  flow(61, {});
  flow(62, {});
  EXPECT_EQ(engine_.held(number).groups, 0u) << "the window has closed";
  EXPECT_EQ(ask(Method::kPost, "/api/v1/queries/matrix/pause").status, 200);
  EXPECT_EQ(get("/api/v1/queries/matrix")["lag_seconds"], nullptr);
}

TEST_F(ApiTest, SeveralEditsAreDoneTogetherOrNotAtAll) {
  const Json top = {{"action", "add"}, {"name", "top"}, {"text", "SELECT window_start, octets FROM matrix"}};
  const Json wrong = {
      {"action", "put"}, {"name", "bad"}, {"source", "bad.sql"}, {"text", "SELECT\n  octts FROM flows"}};
  const Json matrix = {{"action", "put"}, {"text", "CREATE MATERIALIZED VIEW matrix AS " + kMatrix}};
  auto response = ask(Method::kPost, "/api/v1/apply", {{"edits", {top, matrix, wrong}}});
  ASSERT_EQ(response.status, 422);
  const Json problem = Json::parse(response.body);
  EXPECT_EQ(problem["title"], "bad.sql");
  EXPECT_EQ(problem["line"], 2);
  EXPECT_EQ(problem["column"], 3);
  EXPECT_EQ(problem["end_column"], 8);
  EXPECT_EQ(get("/api/v1/queries")["queries"].size(), 0u);
  response = ask(Method::kPost, "/api/v1/apply", {{"edits", {top, matrix}}, {"dry_run", true}});
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(get("/api/v1/queries")["queries"].size(), 0u);
  response = ask(Method::kPost, "/api/v1/apply", {{"edits", {top, matrix}}});
  EXPECT_EQ(Json::parse(response.body)["done"].size(), 2u);
  EXPECT_EQ(get("/api/v1/queries/top")["reads"], Json::parse(R"(["matrix"])"));
  EXPECT_EQ(ask(Method::kDelete, "/api/v1/queries/matrix").status, 409);
}

TEST_F(ApiTest, BodiesThatAreNoneOfOursAreRefusedWithAReason) {
  const std::pair<const char*, Json> bodies[] = {
      {"/api/v1/queries", Json::array()},
      {"/api/v1/queries", {{"text", 7}}},
      {"/api/v1/queries", {{"name", "q"}}},
      {"/api/v1/queries", {{"text", "SELECT octets FROM flows"}}},
      {"/api/v1/queries", {{"name", "q"}, {"text", ""}}},
      {"/api/v1/queries", {{"name", "q"}, {"text", "SELECT octets FROM flows"}, {"expected", "x"}}},
      {"/api/v1/apply", {{"edits", 3}}},
      {"/api/v1/apply", {{"edits", {3}}}},
      {"/api/v1/apply", {{"edits", {{{"action", "do"}}}}}},
      {"/api/v1/apply", {{"edits", Json::array()}, {"dry_run", 1}}},
      {"/api/v1/validate", Json::object()},
      {"/api/v1/explain", {{"text", nullptr}, {"source", 4}}},
      {"/api/v1/queries/suggest", {{"text", 1}}},
      {"/api/v1/sessions", {{"text", Json::object()}}}};
  for (const auto& [path, body] : bodies) {
    const auto response = ask(Method::kPost, path, body);
    EXPECT_EQ(response.status, 422) << path << body << response.body;
    EXPECT_EQ(response.content_type, "application/problem+json");
    EXPECT_FALSE(Json::parse(response.body).value("detail", "").empty()) << path << body;
  }
}

TEST_F(ApiTest, AQueryThatIsThereIsExplainedAsItRuns) {
  const std::string alerting = "CREATE MATERIALIZED VIEW busy WITH (\"alert.when\" = 'octets > 5') AS " + kMatrix;
  const std::string over =
      "CREATE MATERIALIZED VIEW above AS SELECT window_start, max(octets) AS most FROM busy GROUP BY 1";
  for (const std::string& text : {alerting, over}) {
    const auto added = ask(Method::kPost, "/api/v1/queries", {{"text", text}});
    ASSERT_EQ(added.status, 201) << added.body;
    const auto response = ask(Method::kPost, "/api/v1/explain", {{"text", text}, {"options", "DISTRIBUTED"}});
    ASSERT_EQ(response.status, 200) << response.body;
    const std::string plan = Json::parse(response.body)["plan"];
    EXPECT_NE(plan.find("runs       "), std::string::npos) << plan;
    EXPECT_EQ(plan.find("answered from results"), std::string::npos) << plan;
  }
}

TEST_F(ApiTest, KeptResultsAreSuggestedForAQuestion) {
  const auto suggested = [&](const std::string& question) {
    const auto response = ask(Method::kPost, "/api/v1/queries/suggest", {{"text", question}});
    EXPECT_EQ(response.status, 200) << response.body;
    return Json::parse(response.body, nullptr, false);
  };
  const std::string top = kMatrix + " ORDER BY 3 DESC LIMIT 1";
  ask(Method::kPost, "/api/v1/queries", {{"name", "matrix"}, {"text", kMatrix}});
  ask(Method::kPost, "/api/v1/queries",
      {{"name", "held"},
       {"text", "CREATE MATERIALIZED VIEW held WITH (retention = '30 d', delay = '1 s') AS " + kMatrix}});
  ask(Method::kPost, "/api/v1/queries", {{"name", "top"}, {"text", top}});
  ask(Method::kPost, "/api/v1/queries", {{"name", "paused"}, {"text", kMatrix}});
  ask(Method::kPost, "/api/v1/queries/paused/pause");
  const std::string question =
      "SELECT window_start, sum(octets) FROM tumble(flows, time, interval '1 h') WHERE src_as = 64500 GROUP BY 1";
  EXPECT_EQ(suggested(question)["answers"][0]["kept_since"], nullptr);
  flow(60, {64'500, 64'501});
  flow(120, {64'500});
  flow(185, {});
  Json told = suggested(question + ";\n");
  ASSERT_EQ(told["answers"].size(), 2u) << told;
  EXPECT_EQ(told["obstacle"], nullptr);
  EXPECT_EQ(told["keep"], nullptr);
  EXPECT_EQ(told["answers"][0]["query"], "matrix") << "it says the same, the other waits for less long";
  EXPECT_EQ(told["answers"][0]["text"],
            "SELECT window_start, sum(octets) AS sum FROM tumble((SELECT * FROM matrix WHERE window_start >= "
            "'1970-01-01 01:00:00+00'), window_start, interval '1 h') WHERE src_as = 64500 GROUP BY window_start");
  EXPECT_EQ(told["answers"][0]["notes"].size(), 0u);
  EXPECT_EQ(told["answers"][0]["kept_since"], "1970-01-01T00:01:00Z");
  EXPECT_EQ(told["answers"][0]["windows"], "1 min");
  EXPECT_EQ(told["answers"][0]["in_memory"], true);
  EXPECT_EQ(told["answers"][0]["retention_seconds"], nullptr);
  EXPECT_EQ(told["answers"][1]["query"], "held");
  EXPECT_EQ(told["answers"][1]["notes"].size(), 1u);
  EXPECT_EQ(told["answers"][1]["retention_seconds"], 30 * 86'400);
  ASSERT_EQ(told["others"].size(), 2u);
  EXPECT_EQ(told["others"][0],
            Json::parse(R"({"query":"top","reasons":["it keeps only the first 1 groups of a window"]})"));
  EXPECT_EQ(told["others"][1], Json::parse(R"({"query":"paused","reasons":["it does not run"]})"));
  // What it says can be run.
  for (const Json& answer : told["answers"])
    EXPECT_EQ(ask(Method::kPost, "/api/v1/validate", {{"text", answer["text"]}}).status, 200) << answer;

  // A view by its name is asked as it is; another text of it is kept from now on.
  told = suggested("SELECT * FROM matrix WHERE octets > 5");
  EXPECT_EQ(told["answers"][0]["text"], "SELECT * FROM matrix WHERE octets > 5");
  told = suggested("SELECT * FROM matrix_late");
  EXPECT_EQ(told["obstacle"], "what \"matrix_late\" has is not kept");
  EXPECT_EQ(told["keep"], nullptr);

  told = suggested(
      "SELECT window_start, dst_port, sum(octets) FROM tumble(flows, time, interval '1 h') WHERE time >= "
      "'2026-11-20 00:00Z' AND src_as = 1 GROUP BY 1, 2");
  EXPECT_EQ(told["asked"], Json::parse(R"({"from":"2026-11-20T00:00:00Z","until":null})"));
  EXPECT_EQ(told["answers"].size(), 0u);
  EXPECT_EQ(told["others"][0]["query"], "held");
  EXPECT_EQ(told["others"][0]["reasons"], Json::parse(R"(["it keeps no dst_port"])"));
  const Json keep = told["keep"];
  EXPECT_EQ(keep["name"], "by_dst_port");
  EXPECT_EQ(
      keep["text"],
      "CREATE MATERIALIZED VIEW by_dst_port AS SELECT window_start, dst_port, sum(octets) AS sum FROM tumble(flows, "
      "time, interval '1 h') WHERE src_as = 1 GROUP BY window_start, dst_port");
  EXPECT_EQ(ask(Method::kPost, "/api/v1/queries", keep).status, 201);
  told = suggested("SELECT window_start, dst_port, max(octets) FROM tumble(flows, time, interval '1 h') GROUP BY 1, 2");
  EXPECT_EQ(told["keep"]["name"], "by_dst_port_2") << "a name that is not taken";

  told = suggested(
      "SELECT window_start, sum(octets) FROM tumble(flows, time, interval '1 h') WHERE time >= "
      "date_trunc('day', now()) AND time < now() + interval '1 day' GROUP BY 1");
  ASSERT_EQ(told["answers"].size(), 2u) << told;
  EXPECT_NE(told["answers"][0]["text"].get<std::string>().find(" 00:00:00+00'"), std::string::npos) << told;
  ASSERT_EQ(told["answers"][0]["notes"].size(), 1u);
  EXPECT_NE(told["answers"][0]["notes"][0].get<std::string>().find("whole: until"), std::string::npos) << told;

  told = suggested("SELECT time, octets FROM flows");
  EXPECT_NE(told["obstacle"].get<std::string>().find("none are kept"), std::string::npos);
  EXPECT_EQ(told["others"].size(), 0u);
  EXPECT_EQ(told["keep"], nullptr) << "that would keep every flow";
  told = suggested("SELECT window_start, src_as, octets FROM (" + kMatrix + ") t WHERE octets > 9");
  EXPECT_FALSE(told["obstacle"].is_null());
  EXPECT_EQ(ask(Method::kPost, "/api/v1/queries", told["keep"]).status, 201) << told;

  // Results of another text are none of this one's.
  const auto since = [&] { return suggested(question)["answers"][0]["kept_since"].get<std::string>(); };
  ask(Method::kPost, "/api/v1/queries/matrix/pause");
  ask(Method::kPost, "/api/v1/queries/matrix/resume");
  EXPECT_EQ(since(), "1970-01-01T00:01:00Z");
  ask(Method::kDelete, "/api/v1/queries/held");
  EXPECT_EQ(ask(Method::kPut, "/api/v1/queries/matrix", {{"text", kMatrix + ", 1"}}).status, 200);
  EXPECT_GT(since(), "2020");
}

TEST_F(ApiTest, QuestionsThatAreNoneAreRefusedWhereTheyAreWrong) {
  const auto refused = [&](const std::string& text) {
    const auto response = ask(Method::kPost, "/api/v1/queries/suggest", {{"text", text}, {"source", "-e"}});
    EXPECT_EQ(response.status, 422) << text << response.body;
    return Json::parse(response.body, nullptr, false);
  };
  Json problem = refused("SELECT window_start,\n  sum(octtets) FROM tumble(flows, time, interval '1 h') GROUP BY 1");
  EXPECT_EQ(problem["line"], 2);
  EXPECT_EQ(problem["column"], 7);
  problem = refused("SELECT 1; SELECT 2");
  EXPECT_EQ(problem["column"], 11);
  refused("DROP VIEW x");
  // Whatever comes is an answer, or a mistake with a place.
  const std::string good =
      "SELECT window_start, src_as FROM tumble(flows, time, interval '1 h') WHERE time > 'now' GROUP BY 1";
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    std::string text = good;
    for (size_t change = 0; change < 1 + i % 4u; ++change) {
      const size_t at = random() % text.size();
      if (random() % 2 != 0) text.erase(at, 1 + random() % 9);
      else text.insert(at, 1, static_cast<char>(" ()'\";,*$-a0"[random() % 12]));
      if (text.empty()) text = "(";
    }
    const auto response = ask(Method::kPost, "/api/v1/queries/suggest", {{"text", text}});
    if (response.status == 200) continue;
    // 404: of a type that there is not.
    ASSERT_TRUE(response.status == 422 || response.status == 404) << text << response.status << response.body;
    const Json told = Json::parse(response.body, nullptr, false);
    ASSERT_FALSE(told.value("detail", "").empty()) << text;
    ASSERT_TRUE(text.find_first_not_of(" ;") == std::string::npos || told.contains("line")) << text << response.body;
  }
}

TEST_F(ApiTest, ResultsAreReadAsJsonCsvAndLines) {
  ask(Method::kPost, "/api/v1/queries", {{"name", "matrix"}, {"text", kMatrix}});
  flow(60, {64'500, 64'501});
  flow(120, {64'500});
  flow(185, {});
  const Json all = get("/api/v1/queries/matrix/results");
  ASSERT_EQ(all["windows"].size(), 2u);
  EXPECT_EQ(all["windows"][0]["window_start"], "1970-01-01T00:01:00Z");
  EXPECT_EQ(all["windows"][0]["rows"].size(), 2u);
  EXPECT_EQ(all["last_seq"], 2);
  EXPECT_EQ(get("/api/v1/queries/matrix/results", {{"after", "1"}})["windows"].size(), 1u);
  EXPECT_EQ(get("/api/v1/queries/matrix/results", {{"from", "1970-01-01T00:02:00Z"}})["windows"].size(), 1u);
  const auto page = get("/api/v1/queries/matrix/results", {{"limit", "1"}});
  EXPECT_EQ(page["windows"].size(), 1u);
  EXPECT_EQ(page["next"], 1);
  auto text = ask(Method::kGet, "/api/v1/queries/matrix/results", nullptr, {{"format", "csv"}, {"after", "1"}});
  EXPECT_EQ(text.body, "window_start,src_as,octets\n1970-01-01 00:02:00+00,64500,100\n");
  EXPECT_EQ(text.content_type, "text/csv");
  http::Headers accept;
  accept.add("Accept", "application/x-ndjson");
  text = ask(Method::kGet, "/api/v1/queries/matrix/results", nullptr, {{"after", "1"}, {"revisions", "true"}}, accept);
  EXPECT_EQ(text.body,
            "{\"window_start\":\"1970-01-01T00:02:00Z\",\"src_as\":64500,\"octets\":100,\"_rev\":1,\"_final\":true,"
            "\"_complete\":true,\"_op\":\"u\"}\n");
  for (const http::Parameters& wrong :
       {http::Parameters{{"from", "yesterday"}}, {{"after", "-1"}}, {{"limit", "x"}}, {{"format", "xml"}}})
    EXPECT_EQ(ask(Method::kGet, "/api/v1/queries/matrix/results", nullptr, wrong).status, 422);
  EXPECT_EQ(ask(Method::kGet, "/api/v1/queries/matrx/results").status, 404);
}

TEST_F(ApiTest, WhoMaySeeSomeRowsSeesThose) {
  ask(Method::kPost, "/api/v1/queries", {{"name", "matrix"}, {"text", kMatrix}});
  ask(Method::kPost, "/api/v1/queries",
      {{"name", "total"},
       {"text", "SELECT window_start, sum(octets) AS o FROM tumble(flows, time, interval '60 s') GROUP BY 1"}});
  const auto made =
      ask(Method::kPost, "/api/v1/tokens", {{"name", "noc"}, {"role", "viewer"}, {"row_filter", "src_as = 64500"}});
  ASSERT_EQ(made.status, 201) << made.body;
  http::Headers token;
  token.add("Authorization", "Bearer " + Json::parse(made.body)["token"].get<std::string>());
  const auto stream = ask(Method::kGet, "/api/v1/queries/matrix/events", nullptr, {}, token);
  ASSERT_TRUE(stream.events);
  http::Subscription reader(stream.events->topics, "", 0);
  std::vector<http::Frame> frames;
  hub_.pump();
  reader.take(1 << 20, frames);
  flow(60, {64'500, 64'501, 64'502});
  flow(125, {64'501});
  const auto read = ask(Method::kGet, "/api/v1/queries/matrix/results", nullptr, {}, token);
  EXPECT_EQ(Json::parse(read.body)["windows"][0]["rows"], Json::parse(R"([["1970-01-01T00:01:00Z",64500,100]])"));
  hub_.pump();
  reader.take(1 << 20, frames);
  std::string told;
  for (const auto& frame : frames) told += frame.shared ? *frame.shared : "";
  EXPECT_NE(told.find("64500"), std::string::npos);
  EXPECT_EQ(told.find("64501"), std::string::npos);
  EXPECT_EQ(ask(Method::kGet, "/api/v1/queries/total/results", nullptr, {}, token).status, 403);
  EXPECT_EQ(ask(Method::kGet, "/api/v1/queries/total/events", nullptr, {}, token).status, 403);
  // Of queries he is told those, and nothing of their whole.
  EXPECT_EQ(ask(Method::kGet, "/api/v1/queries/total", nullptr, {}, token).status, 403);
  const Json all = Json::parse(ask(Method::kGet, "/api/v1/queries", nullptr, {}, token).body)["queries"];
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0], Json::parse(ask(Method::kGet, "/api/v1/queries/matrix", nullptr, {}, token).body));
  EXPECT_EQ(all[0]["columns"][1]["name"], "src_as");
  EXPECT_EQ(all[0]["text"], "");
  for (const char* const member : {"ledger", "placement", "lag_seconds", "state_octets", "groups"})
    EXPECT_EQ(all[0][member], nullptr) << member;
  EXPECT_EQ(ask(Method::kGet, "/api/v1/queries/matrix/why", nullptr, {}, token).status, 403);
  EXPECT_EQ(ask(Method::kGet, "/api/v1/queries/matrix/history", nullptr, {}, token).status, 403);
  // In a SELECT of another viewer's anything may be called src_as.
  for (const std::string& text : {kMatrix, std::string("SELECT 64500 AS src_as, octets FROM matrix")}) {
    const auto opened = ask(Method::kPost, "/api/v1/sessions", {{"text", text}});
    ASSERT_EQ(opened.status, 201) << opened.body;
    const std::string session = Json::parse(opened.body)["name"];
    for (const char* const more : {"", "/results", "/events"})
      EXPECT_EQ(ask(Method::kGet, "/api/v1/queries/" + session + more, nullptr, {}, token).status, 403)
          << session << more;
    EXPECT_EQ(ask(Method::kGet, "/api/v1/events", nullptr, {{"query", session}}, token).status, 403) << session;
    EXPECT_EQ(ask(Method::kGet, "/api/v1/queries/" + session + "/results").status, 200) << session;
  }
}

TEST_F(ApiTest, TablesAreMadeFilledReadAndKept) {
  const auto run = [&](const std::string& text) { return ask(Method::kPost, "/api/v1/tables", {{"text", text}}); };
  EXPECT_EQ(run("CREATE TABLE names (asn bigint PRIMARY KEY, name text)").status, 200);
  EXPECT_EQ(run("INSERT INTO names VALUES (64500, 'ours')").status, 200);
  const std::string text =
      "SELECT window_start, name, sum(octets) AS o FROM tumble(flows, time, interval '60 s') JOIN names ON asn = "
      "src_as "
      "GROUP BY 1, 2";
  EXPECT_EQ(ask(Method::kPost, "/api/v1/explain", {{"text", text}}).status, 200) << "it is known at once";
  EXPECT_EQ(ask(Method::kPost, "/api/v1/queries", {{"name", "named"}, {"text", text}}).status, 201);
  flow(60, {64'500, 64'501});
  flow(125, {});
  EXPECT_EQ(get("/api/v1/queries/named/results")["windows"][0]["rows"],
            Json::parse(R"([["1970-01-01T00:01:00Z","ours",100]])"));
  auto response = run("DROP TABLE names");
  EXPECT_EQ(response.status, 409);
  EXPECT_NE(response.body.find("named"), std::string::npos);
  EXPECT_EQ(get("/api/v1/tables")["tables"][0]["rows"], 1);
  bool listed = false;
  const Json relations = get("/api/v1/relations");
  for (const Json& relation : relations["relations"])
    listed |= relation["name"] == "names" && relation["kind"] == "table";
  EXPECT_TRUE(listed);
  ask(Method::kDelete, "/api/v1/queries/named");
  EXPECT_EQ(run("DROP TABLE names").status, 200);
  response = run("INSERT INTO names VALUES (1, 'x')");
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(Json::parse(response.body)["column"], 13);
}

TEST_F(ApiTest, ACatalogGoesOutAndComesIn) {
  ask(Method::kPost, "/api/v1/queries", {{"name", "matrix"}, {"text", kMatrix}});
  const Json document = get("/api/v1/catalog/export");
  EXPECT_EQ(ask(Method::kPost, "/api/v1/catalog/import", document).status, 409) << "there is one already";
  ask(Method::kDelete, "/api/v1/queries/matrix");
  const auto imported = ask(Method::kPost, "/api/v1/catalog/import", document);
  EXPECT_EQ(imported.status, 200) << imported.body;
  EXPECT_EQ(get("/api/v1/queries/matrix")["state"], "running");
  flow(60, {1});
  flow(125, {1});
  EXPECT_EQ(get("/api/v1/queries/matrix/results")["windows"].size(), 1u) << "it runs";
}

TEST_F(ApiTest, HealthAndReadinessAreTwoThings) {
  EXPECT_EQ(ask(Method::kGet, "/-/ready").status, 200);
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->not_ready = {"it is starting"};
  snapshot_.publish(snapshot);
  EXPECT_EQ(ask(Method::kGet, "/-/healthy").status, 200);
  const auto ready = ask(Method::kGet, "/-/ready");
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.body, "not ready\nit is starting\n");
  EXPECT_EQ(get("/api/v1/status")["ready"], false);
  EXPECT_EQ(ask(Method::kGet, "/metrics").body, "page\n");
}

/// It hears no flows itself.
class ApiOfMergeNode : public ApiTest {
 protected:
  ApiOfMergeNode() : ApiTest({"merge", "receiver"}) {}
};

TEST_F(ApiOfMergeNode, SaysWhichEdgesItHearsAndWhatAQueryWaitsFor) {
  ask(Method::kPost, "/api/v1/queries", {{"name", "matrix"}, {"text", kMatrix}});
  EXPECT_EQ(get("/api/v1/queries/matrix/why")["text"], "edges have sent nothing of it yet\n");
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->at = 1'000 * kSecond;
  snapshot->frontiers[*queries_->find("matrix")->number] = 980 * kSecond;
  snapshot->edges = {{"edge1", "sao", false, 990 * kSecond}, {"edge2", "rio", true, std::nullopt}};
  snapshot_.publish(snapshot);
  const std::string why = get("/api/v1/queries/matrix/why")["text"];
  EXPECT_NE(why.find("closes when event time has reached it"), std::string::npos) << why;
  EXPECT_NE(why.find("20 s behind the clock"), std::string::npos) << why;
  const Json edges = get("/api/v1/status")["edges"];
  ASSERT_EQ(edges.size(), 2u);
  EXPECT_EQ(edges[0]["site"], "sao");
  EXPECT_EQ(edges[0]["absent"], false);
  EXPECT_EQ(edges[1]["node"], "edge2");
  EXPECT_EQ(edges[1]["absent"], true);
  EXPECT_EQ(edges[1]["heard_at"], nullptr);
}

}  // namespace
}  // namespace backstream::service
