#include "config/settings.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>

namespace backstream::config {
namespace {

TEST(Settings, DefaultsLieInTheirRangesAndReadBackFromTheirText) {
  const Settings defaults;
  std::set<std::string_view> keys;
  for (const SettingDef& setting : setting_table()) {
    EXPECT_TRUE(keys.insert(setting.key).second) << setting.key;
    const int64_t value = setting.load(defaults);
    EXPECT_GE(value, setting.minimum) << setting.key;
    EXPECT_LE(value, setting.maximum) << setting.key;
    Settings changed;
    setting.store(changed, value == setting.minimum ? setting.maximum : setting.minimum);
    const std::string assignment = std::string(setting.key) + "=" + setting_text(setting, defaults);
    ASSERT_TRUE(apply_assignment(changed, assignment)) << assignment;
    EXPECT_EQ(setting.load(changed), value) << assignment;
  }
}

TEST(Settings, TextIsTakenAsItIs) {
  Settings settings;
  for (const TextSettingDef& setting : text_setting_table()) {
    if (setting.valid != nullptr) continue;
    EXPECT_EQ(setting.text(settings), "") << setting.key;
    ASSERT_TRUE(apply_assignment(settings, std::string(setting.key) + "=/a b/c=d.mmdb"));
    EXPECT_EQ(setting.text(settings), "/a b/c=d.mmdb") << setting.key;
  }
  ASSERT_TRUE(apply_toml(settings, "[enrich]\nas_table = 'rib.mrt'\n", "edge.toml"));
  EXPECT_EQ(settings.enrich.as_table, "rib.mrt");
  const auto slip = apply_assignment(settings, "enrich.as_tabel=x");
  ASSERT_FALSE(slip);
  EXPECT_NE(slip.error().hint.find("enrich.as_table"), std::string::npos) << slip.error().hint;
}

TEST(Settings, ListsAreArraysOrHaveCommas) {
  const auto allowed = [](const Settings& settings) {
    std::string text;
    for (const base::Inet& prefix : settings.ingest.allow) text += base::to_cidr_string(prefix) + " ";
    return text;
  };
  Settings settings;
  ASSERT_TRUE(apply_assignment(settings, "ingest.allow= 192.0.2.1/24 ,2001:db8::/32"));
  EXPECT_EQ(allowed(settings), "192.0.2.0/24 2001:db8::/32 ");
  ASSERT_TRUE(apply_toml(settings, "[ingest]\nallow = ['198.51.100.7', '10.0.0.0/8']\n", "edge.toml"));
  EXPECT_EQ(allowed(settings), "198.51.100.7/32 10.0.0.0/8 ");
  for (const char* wrong : {"ingest.allow=192.0.2.0/24,", "ingest.allow=fra-core-1", "ingest.allow=10.0.0.0/33"}) {
    const auto refused = apply_assignment(settings, wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_NE(refused.error().hint.find("addresses and prefixes"), std::string::npos);
  }
  EXPECT_FALSE(apply_toml(settings, "[ingest]\nallow = [['10.0.0.0/8']]\n", "edge.toml"));
  EXPECT_EQ(allowed(settings), "198.51.100.7/32 10.0.0.0/8 ");
  ASSERT_TRUE(apply_assignment(settings, "ingest.allow="));
  EXPECT_EQ(allowed(settings), "");
  const auto slip = apply_assignment(settings, "ingest.alow=10.0.0.0/8");
  ASSERT_FALSE(slip);
  EXPECT_NE(slip.error().hint.find("ingest.allow"), std::string::npos);
}

TEST(Settings, EndpointsOfNoticesHaveNames) {
  Settings settings;
  ASSERT_TRUE(apply_toml(settings, R"([notify.chat]
type = "webhook"
to = "https://chat.example/x"
body = "chat"
headers = ["X-A: 1", "X-B: 2"]
auth = "hmac"
timeout = "2 s"
[notify.log]
type = "syslog"
to = "udp://192.0.2.1:514"
)",
                         "a.toml"));
  ASSERT_TRUE(apply_assignment(settings, "notify.log.per_minute=7"));
  ASSERT_EQ(settings.notify.size(), 2u);
  const NotifySettings &chat = settings.notify[0], &log = settings.notify[1];
  EXPECT_EQ(chat.name, "chat");
  EXPECT_EQ(chat.headers, (std::vector<std::string>{"X-A: 1", "X-B: 2"}));
  EXPECT_EQ(chat.auth, NotifySettings::Auth::kHmac);
  EXPECT_EQ(chat.timeout_us, 2'000'000);
  EXPECT_EQ(log.type, NotifySettings::Type::kSyslog);
  EXPECT_EQ(log.per_minute, 7);
  for (const char* wrong : {"notify.=x", "notify.a=x", "notify.a b.to=x", "notify.a.type=mail",
                            "notify.a.to=", "notify.a.headers=none", "notify.a.auth=basic", "notify.a.timeout=0",
                            "notify.a.per_minute=0", "notify.a.verify=maybe", "notify.a.secret=x", "notify.a.too=x"})
    EXPECT_FALSE(apply_assignment(settings, wrong)) << wrong;
  EXPECT_EQ(settings.notify.size(), 2u);
  EXPECT_EQ(apply_assignment(settings, "notify.a.typ=webhook").error().hint, "did you mean 'type'?");
  EXPECT_EQ(apply_assignment(settings, "notify.a.secret=x").error().hint,
            "notify.a.secret_file names a file that holds it");
}

TEST(Settings, ServersOfSinksHaveNames) {
  Settings settings;
  ASSERT_TRUE(apply_toml(settings, R"([server.out]
type = "file"
folder = "/srv/rows"
[server.db]
type = "postgres"
connection = "host=db dbname=flows user=backstream"
password_file = "/etc/db.pw"
[server.bus]
type = "kafka"
brokers = ["kafka-1.example:9092", "[2001:db8::1]:9093"]
sasl_password_file = "/etc/bus.pw"
[server.bus.property]
"security.protocol" = "sasl_ssl"
sasl.mechanism = "PLAIN"
)",
                         "a.toml"));
  ASSERT_EQ(settings.servers.size(), 3u);
  EXPECT_EQ(settings.servers[2].type, ServerSettings::Type::kKafka);
  EXPECT_EQ(settings.servers[2].brokers, (std::vector<std::string>{"kafka-1.example:9092", "[2001:db8::1]:9093"}));
  EXPECT_EQ(settings.servers[2].sasl_password.file, "/etc/bus.pw");
  EXPECT_EQ(settings.servers[2].properties, (std::vector<std::pair<std::string, std::string>>{
                                                {"security.protocol", "sasl_ssl"}, {"sasl.mechanism", "PLAIN"}}));
  EXPECT_EQ(settings.servers[0].folder, "/srv/rows");
  EXPECT_EQ(settings.servers[1].type, ServerSettings::Type::kPostgres);
  EXPECT_EQ(settings.servers[1].password.file, "/etc/db.pw");
  for (const char* wrong :
       {"server.=x", "server.a b=x", "server.a.type=ftp", "server.a.folder=rows", "server.a=x",
        "server.a.connection=host=db password=x", "server.a.brokers=one", "server.a.property.sasl.password=x",
        "server.a b.property.linger.ms=1", "server.a.property.=1"})
    EXPECT_FALSE(apply_assignment(settings, wrong)) << wrong;
  EXPECT_EQ(apply_assignment(settings, "server.db.conection=x").error().hint, "did you mean 'connection'?");
  const auto secret = apply_assignment(settings, "server.db.password=x");
  ASSERT_FALSE(secret);
  EXPECT_NE(secret.error().message.find("is a secret"), std::string::npos);
  const auto of_kafka = apply_assignment(settings, "server.bus.sasl_password=x");
  ASSERT_FALSE(of_kafka);
  EXPECT_EQ(of_kafka.error().hint, "server.bus.sasl_password_file names a file that holds it");
  EXPECT_EQ(settings.servers.size(), 3u);
  ASSERT_TRUE(apply_assignment(settings, "server.more.property.linger.ms=7"));
  EXPECT_EQ(settings.servers[3].properties, (std::vector<std::pair<std::string, std::string>>{{"linger.ms", "7"}}));
}

TEST(Settings, TargetsOfForwardingHaveNames) {
  Settings settings;
  ASSERT_TRUE(apply_toml(settings, R"([forward]
a = "udp://192.0.2.1:2055"
[forward.b-2]
to = "udp://[::1]:1"
spoof = false
ports = [2055, 4739]
queue = "1 MiB"
)",
                         "edge.toml"));
  ASSERT_TRUE(apply_assignment(settings, "forward.a.ports=6343"));
  ASSERT_TRUE(apply_assignment(settings, "forward.a=udp://192.0.2.2:2055"));
  ASSERT_EQ(settings.forwards.size(), 2u);
  const ForwardSettings &a = settings.forwards[0], &b = settings.forwards[1];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.to, "udp://192.0.2.2:2055");
  EXPECT_TRUE(a.spoof);
  EXPECT_EQ(a.ports, std::vector<uint16_t>{6343});
  EXPECT_EQ(b.name, "b-2");
  EXPECT_FALSE(b.spoof);
  EXPECT_EQ(b.ports, (std::vector<uint16_t>{2055, 4739}));
  EXPECT_EQ(b.queue_octets, 1 << 20);
  for (const char* wrong : {"forward.=x", "forward.a b=x", "forward.a.spoof=maybe", "forward.a.ports=1,65536",
                            "forward.a.ports=1,", "forward.a.queue=8 GiB", "forward.a.too=x", "forward.a.b.c=x"})
    EXPECT_FALSE(apply_assignment(settings, wrong)) << wrong;
  EXPECT_EQ(apply_assignment(settings, "forward.a.spof=true").error().hint, "did you mean 'spoof'?");
  for (size_t i = 2; i < Settings::kForwardsMax; ++i)
    ASSERT_TRUE(apply_assignment(settings, "forward.t" + std::to_string(i) + "=x"));
  EXPECT_FALSE(apply_assignment(settings, "forward.one_too_many=x"));
}

TEST(Settings, TomlSetsOnlyTheKeysItNames) {
  Settings settings;
  const auto result = apply_toml(settings, R"(
[decode]
sflow_octets = "frame"
template_wait = 0          # no unit needed
[watermark]
delay = "2 s"
[ingest]
receive_buffer = "1 MiB"
[plan]
rewrites = false
)",
                                 "edge.toml");
  ASSERT_TRUE(result) << result.error().render();
  EXPECT_EQ(settings.decode.sflow_octets, SflowOctets::kFrame);
  EXPECT_EQ(settings.decode.template_wait_us, 0);
  EXPECT_EQ(settings.watermark.delay_us, 2'000'000);
  EXPECT_EQ(settings.ingest.receive_buffer_octets, 1 << 20);
  EXPECT_FALSE(settings.plan.rewrites);
  EXPECT_EQ(settings.watermark.idle_timeout_us, 60'000'000);
}

TEST(Settings, UnknownKeyIsLocatedWithTheNearestName) {
  Settings settings;
  const auto result = apply_toml(settings, "# é\n[watermark]\ndelai = '2 s'\n", "edge.toml");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().line, 3u);
  EXPECT_EQ(result.error().column, 1u);
  EXPECT_NE(result.error().message.find("'watermark.delai'"), std::string::npos);
  EXPECT_NE(result.error().hint.find("'watermark.delay'"), std::string::npos);
}

TEST(Settings, UnknownSectionIsNamedOnceWithTheNearest) {
  Settings settings;
  Applied applied;
  apply_toml(settings, "[watermrk]\ndelay = '2 s'\nidle_timeout = '3 s'\n[zone]\n", "edge.toml", applied);
  ASSERT_EQ(applied.errors.size(), 2u);
  EXPECT_EQ(
      applied.errors[0].render(),
      "edge.toml:1:2: error: unknown section 'watermrk'\n    1 | [watermrk]\n      |  ^~~~~~~~ hint: did you mean "
      "'watermark'?\n");
  EXPECT_EQ(applied.errors[1].message, "unknown section 'zone'");
  EXPECT_EQ(applied.errors[1].line, 4u);
}

TEST(Settings, BadValueChangesNothingAndSaysWhatIsExpected) {
  Settings settings;
  const auto result = apply_toml(settings, "[decode]\ntemplate_limit = 7\nexporter_limit = 0\n", "edge.toml");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().line, 3u);
  EXPECT_EQ(result.error().column, 18u);
  EXPECT_NE(result.error().hint.find("1 to 16777216"), std::string::npos);
  EXPECT_EQ(settings.decode.template_limit, 4'096);
}

TEST(Settings, TomlThatCannotBeReadIsLocated) {
  Settings settings;
  const auto result = apply_toml(settings, "[decode]\ntemplate_limit == 7\n", "edge.toml");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().line, 2u);
}

TEST(Settings, ControlCharactersAreLocatedNotFatal) {
  Settings settings;
  const auto result = apply_toml(settings, "[decode]\n[\x01k]\n", "edge.toml");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().line, 2u);
  EXPECT_EQ(result.error().column, 2u);
}

TEST(Settings, AssignmentsRefuseWhatTheTableRefuses) {
  for (const char* bad : {"watermark.delay=75", "watermark.delay=-1 s", "watermark.delay", "plan.rewrites=maybe",
                          "decode.sflow_octets=wire", "exec.batch_rows=0", "exec.batch_rows=2k",
                          "ingest.receive_buffer=1 TiB", "watermark.delay_us=1", "="}) {
    Settings settings;
    EXPECT_FALSE(apply_assignment(settings, bad)) << bad;
  }
  Settings settings;
  ASSERT_TRUE(apply_assignment(settings, "watermark.delay = 90s"));
  EXPECT_EQ(settings.watermark.delay_us, 90'000'000);
}

TEST(Settings, EnvironmentNamesSectionsAndKeys) {
  Settings settings;
  Applied applied;
  const char* variables[] = {"HOME=/root",
                             "BACKSTREAM=x",
                             "BACKSTREAM_EXEC__BATCH_ROWS= 7 ",
                             "BACKSTREAM_DECODE__TEMPLATE_PER_PORT=true",
                             "BACKSTREAM_INGEST__ALLOW=10.0.0.0/8, 192.0.2.1",
                             "BACKSTREAM_NODE__SITE=",
                             nullptr};
  apply_environment(settings, variables, applied);
  EXPECT_TRUE(applied.errors.empty());
  EXPECT_TRUE(applied.warnings.empty());
  EXPECT_EQ(settings.exec.batch_rows, 7);
  EXPECT_TRUE(settings.decode.template_per_port);
  EXPECT_EQ(settings.ingest.allow.size(), 2u);
  EXPECT_EQ(applied.origins.at("exec.batch_rows").text(), "environment");
}

TEST(Settings, EveryPlainKeyHasAVariable) {
  for (const SettingDef& setting : setting_table()) {
    std::string variable = "BACKSTREAM_";
    for (const char c : setting.key) {
      if (c == '.') variable.append("__");
      else variable.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
    }
    variable.append("=").append(setting_text(setting, Settings{}));
    const char* variables[] = {variable.c_str(), nullptr};
    Settings settings;
    Applied applied;
    apply_environment(settings, variables, applied);
    EXPECT_TRUE(applied.warnings.empty()) << variable;
    EXPECT_TRUE(applied.origins.contains(setting.key)) << variable;
  }
}

TEST(Settings, VariablesThatAreNoSettingAreWarnedAboutWithTheNearest) {
  Settings settings;
  Applied applied;
  const char* variables[] = {"BACKSTREAM_EXEC__BATCHROWS=7",
                             "BACKSTREAM_WATERMARK_DELAY=s3cret",
                             "BACKSTREAM__WATERMARK__DELAY=1s",
                             "BACKSTREAM_FORWARD__A__TO=udp://192.0.2.1:1",
                             "BACKSTREAM_EXPORTER__10_0_0_1__X=",
                             "BACKSTREAM_COLUMN__APP=9/1 string",
                             "BACKSTREAM_ZONE=1",
                             "BACKSTREAM_SERVER=https://db.example",
                             "BACKSTREAM_TOKEN_FILE=/run/token",
                             nullptr};
  apply_environment(settings, variables, applied);
  EXPECT_TRUE(applied.errors.empty());
  EXPECT_TRUE(applied.origins.empty());
  ASSERT_EQ(applied.warnings.size(), 7u);
  EXPECT_EQ(applied.warnings[0],
            "variable BACKSTREAM_EXEC__BATCHROWS is no setting and has no effect; did you mean "
            "BACKSTREAM_EXEC__BATCH_ROWS?");
  EXPECT_EQ(applied.warnings[1],
            "variable BACKSTREAM_WATERMARK_DELAY is no setting and has no effect; did you mean "
            "BACKSTREAM_WATERMARK__DELAY?")
      << "and values are not shown";
  EXPECT_NE(applied.warnings[2].find("did you mean BACKSTREAM_WATERMARK__DELAY?"), std::string::npos);
  for (size_t i = 3; i < 6; ++i)
    EXPECT_NE(applied.warnings[i].find("are set by a file or --set"), std::string::npos) << applied.warnings[i];
  EXPECT_NE(applied.warnings[6].find("are named BACKSTREAM_SECTION__KEY"), std::string::npos);
}

TEST(Settings, ABadVariableIsLocated) {
  Settings settings;
  Applied applied;
  const char* variables[] = {"BACKSTREAM_WATERMARK__DELAY=soon", "BACKSTREAM_INGEST__ALLOW=10.0.0.0/8, fra-1", nullptr};
  apply_environment(settings, variables, applied);
  ASSERT_EQ(applied.errors.size(), 2u);
  EXPECT_EQ(
      applied.errors[0].render(),
      "environment:1:29: error: setting 'watermark.delay' cannot be 'soon'\n"
      "    1 | BACKSTREAM_WATERMARK__DELAY=soon\n"
      "      |                             ^~~~ hint: it takes a duration with its unit, such as '75 s' or '500 ms', "
      "0 to 30 d\n");
  EXPECT_EQ(applied.errors[1].column, 38u) << "the element, not the list";
  EXPECT_EQ(applied.errors[1].caret_characters, 5u);
}

TEST(Settings, AllMistakesOfAFileAreToldInItsOrder) {
  Settings settings;
  Applied applied;
  apply_toml(settings,
             "[watermark]\ndelay = '1 s'\nidle_timeout = 3\n[watermark.max_skew]\nx = 1\n[ingest]\n"
             "allow = ['10.0.0.0/8',\n  'fra-1']\nsockets = 'two'\n[decode]\nbiflow = 'both'\n",
             "edge.toml", applied);
  std::string places;
  for (const base::Diagnostic& error : applied.errors)
    places.append(std::to_string(error.line)).append(":").append(std::to_string(error.column)).append(" ");
  EXPECT_EQ(places, "3:16 4:1 8:3 9:11 11:10 ");
  EXPECT_EQ(settings.watermark.delay_us, 1'000'000) << "what is right is taken";
  EXPECT_EQ(applied.origins.at("watermark.delay").text(), "edge.toml:2");
  EXPECT_EQ(applied.origins.size(), 1u);
}

TEST(Settings, ASectionIsNoSettingAndTheOtherWayRound) {
  const auto error = [](const char* text) {
    Settings settings;
    const auto result = apply_toml(settings, text, "edge.toml");
    return result ? std::string() : result.error().message + "|" + result.error().hint;
  };
  EXPECT_EQ(error("watermark = '3 s'\n"), "'watermark' is a section, no setting|[watermark] begins it");
  EXPECT_EQ(error("[[watermark]]\n"), "'watermark' is a section, no setting|[watermark] begins it");
  EXPECT_EQ(error("delay = '3 s'\n"), "unknown setting 'delay'|did you mean 'watermark.delay'?");
  EXPECT_EQ(error("[ingest]\nmax_skew = '3 s'\n"),
            "unknown setting 'ingest.max_skew'|did you mean 'watermark.max_skew'?");
  EXPECT_EQ(error("[ingest.more]\n"), "unknown setting 'ingest.more'|docs/operations.md lists the settings");
  EXPECT_NE(error("[watermark]\ndelay = ['3 s']\n").find("'watermark.delay' cannot be"), std::string::npos);
  for (const char* text : {"[node]\nsite = ['ams']\n", "[node]\nsite = 1.5\n", "[node.site]\n"})
    EXPECT_EQ(error(text), "setting 'node.site' cannot be (neither string, integer nor boolean)|it takes a text");
  EXPECT_NE(error("[forward]\na = [1]\n").find("'forward.a'"), std::string::npos);
  EXPECT_NE(error("[exporter.'10.0.0.1']\nsite = 2020-01-01\n").find("'exporter.10.0.0.1.site'"), std::string::npos);
}

TEST(Settings, TextsHaveNoControlCharacters) {
  Settings settings;
  EXPECT_FALSE(apply_toml(settings, "[node]\nsite = \"a\\u001bb\"\n", "edge.toml"));
  EXPECT_FALSE(apply_toml(settings, "[exporter.'10.0.0.1']\nsite = \"a\\u0000b\"\n", "edge.toml"));
  EXPECT_FALSE(apply_assignment(settings, "enrich.as_table=a\xff"));
  EXPECT_FALSE(apply_assignment(settings, "forward.a=udp://\x01"));
  EXPECT_TRUE(apply_assignment(settings, "node.site=S\xc3\xa3o Paulo"));
  EXPECT_EQ(settings.node.site, "S\xc3\xa3o Paulo");
}

TEST(Settings, NodesAndListeners) {
  Settings settings;
  const auto refused = [&](const char* assignment) {
    const auto result = apply_assignment(settings, assignment);
    return result ? std::string("taken") : result.error().message + "|" + result.error().hint;
  };
  ASSERT_TRUE(apply_assignment(settings, "node.roles=receiver, edge"));
  EXPECT_EQ(settings.node.roles, (std::vector<NodeRole>{NodeRole::kEdge, NodeRole::kReceiver}));
  EXPECT_EQ(refused("node.roles=edge,egde"), "setting 'node.roles' cannot have 'egde'|did you mean 'edge'?");
  EXPECT_EQ(refused("node.roles=edge,edge"),
            "setting 'node.roles': 'edge' is there twice|it takes edge, merge and receiver");
  EXPECT_EQ(refused("node.roles="),
            "setting 'node.roles': a node without a role does nothing|it takes edge, merge and receiver");
  EXPECT_NE(refused("node.name=").find("cannot be ''"), std::string::npos);
  EXPECT_NE(refused("node.name=a b").find("letters, digits"), std::string::npos);
  EXPECT_EQ(refused("node.name=fra-core_1.example"), "taken");
  EXPECT_EQ(refused("listen.flow=udp://[::]:2055, udp://192.0.2.1:4739"), "taken");
  ASSERT_EQ(settings.listen.flow.size(), 2u);
  EXPECT_EQ(settings.listen.flow[0], (Endpoint{"udp", "::", 2055}));
  EXPECT_EQ(refused("listen.flow=udp://[::1]:1,udp://[0::1]:1").substr(0, 51),
            "setting 'listen.flow': 'udp://[::1]:1' is there twi");
  for (const char* wrong : {"listen.flow=2055", "listen.flow=tcp://127.0.0.1:1", "listen.flow=udp://127.0.0.1:65536",
                            "listen.flow=udp://127.0.0.1", "http.listen=127.0.0.1:80", "http.listen=udp://127.0.0.1:1",
                            "http.listen=", "state.folder=var", "state.folder=", "http.allow_insecure=maybe"})
    EXPECT_NE(refused(wrong).find("it takes"), std::string::npos) << wrong;
  EXPECT_EQ(settings.listen.flow.size(), 2u) << "what is refused changes nothing";
}

TEST(Settings, WhoMayAskIsNamedInLists) {
  using Kind = AccessSubject::Kind;
  Settings settings;
  const auto refused = [&](const char* assignment) {
    const auto result = apply_assignment(settings, assignment);
    return result ? std::string("taken") : result.error().message + "|" + result.error().hint;
  };
  ASSERT_TRUE(apply_toml(settings,
                         "[access]\ngrants = ['alice=admin', 'group:noc = operator', '*=viewer']\n"
                         "filters = [\"bob=site IN ('ams', 'fra')\", \"group:ams = site = 'ams'\"]\n",
                         "edge.toml"));
  const std::vector<AccessGrant> grants = {{{Kind::kUser, "alice"}, AccessRole::kAdmin},
                                           {{Kind::kGroup, "noc"}, AccessRole::kOperator},
                                           {{Kind::kAnybody, ""}, AccessRole::kViewer}};
  EXPECT_EQ(settings.access.grants, grants);
  std::string filters;
  for (const AccessFilter& filter : settings.access.filters)
    filters += filter.who.text() + ": " + filter.condition + "; ";
  EXPECT_EQ(filters, "bob: site IN ('ams', 'fra'); group:ams: site = 'ams'; ");
  EXPECT_EQ(refused("access.filters=eve=site = 'ams'"), "taken");
  EXPECT_EQ(settings.access.filters[0].condition, "site = 'ams'");
  EXPECT_EQ(refused("access.grants=alice=admn"),
            "setting 'access.grants': there is no role 'admn'|did you mean 'admin'?");
  EXPECT_NE(refused("access.grants=alice=root").find("the roles are viewer, operator and admin"), std::string::npos);
  EXPECT_NE(refused("access.grants=a=admin,a=viewer").find("'a' is there twice"), std::string::npos);
  EXPECT_NE(refused("access.filters=a=x,a=y").find("join conditions"), std::string::npos);
  EXPECT_NE(refused("access.proxy_addresses=::/0").find("cannot be every address"), std::string::npos);
  for (const char* wrong :
       {"access.grants=alice", "access.grants==admin", "access.grants=group:=admin", "access.filters=bob",
        "access.filters=bob=", "access.proxy_addresses=proxy", "access.proxy_header=", "access.proxy_header=X User",
        "access.proxy_groups_header=a:b", "http.hosts=a:1", "http.hosts=http://a", "http.origins=noc.example",
        "http.origins=https://noc.example/", "http.origins=https://noc.example/a", "http.origins=https://",
        "http.origins=ftp://noc.example", "http.origins=*"})
    EXPECT_NE(refused(wrong).find("it takes"), std::string::npos) << wrong;
  EXPECT_EQ(settings.access.grants, grants) << "what is refused changes nothing";
  EXPECT_EQ(refused("http.hosts=Flows.NOC.example, 2001:db8::1"), "taken");
  EXPECT_EQ(settings.http.hosts, (std::vector<std::string>{"flows.noc.example", "2001:db8::1"}));
  for (const char* origin : {"https://noc.example", "http://noc.example:8080", "https://[2001:db8::1]"})
    EXPECT_EQ(refused((std::string("http.origins=") + origin).c_str()), "taken") << origin;
  EXPECT_EQ(refused("access.proxy_groups_header="), "taken");
}

TEST(Settings, ExportersHaveSettingsByTheirLongestPrefix) {
  Settings settings;
  ASSERT_TRUE(apply_toml(settings,
                         "[exporter.\"10.0.0.0/8\"]\ndelay = '2 min'\n"
                         "[exporter.\"10.1.2.3/16\"]\ndelay = '3 min'\n[exporter.\"2001:db8::/32\"]\ndelay = 0\n",
                         "edge.toml"));
  ASSERT_TRUE(apply_assignment(settings, "exporter.10.1.0.7.delay=1 s"));
  ASSERT_TRUE(apply_assignment(settings, "exporter.10.1.0.0/16.delay=4 min")) << "host bits of a prefix do not count";
  EXPECT_EQ(settings.exporters.size(), 4u);
  const auto delay = [&](const char* address) { return settings.delay_of(*base::parse_inet(address)); };
  EXPECT_EQ(delay("10.9.9.9"), 120'000'000);
  EXPECT_EQ(delay("10.1.0.8"), 240'000'000);
  EXPECT_EQ(delay("10.1.0.7"), 1'000'000);
  EXPECT_EQ(delay("2001:db8::1"), 0);
  EXPECT_EQ(delay("192.0.2.1"), settings.watermark.delay_us);
}

TEST(Settings, SitesOfExportersByTheirLongestPrefixThatHasOne) {
  Settings settings;
  ASSERT_TRUE(apply_toml(settings,
                         "[exporter.\"10.0.0.0/8\"]\nsite = 'ams'\n[exporter.\"10.1.0.0/16\"]\ndelay = '1 s'\n"
                         "[exporter.\"10.2.0.0/16\"]\nsite = 'fra'\n",
                         "edge.toml"));
  const auto site = [&](const char* address) { return settings.site_of(*base::parse_inet(address)); };
  EXPECT_EQ(site("10.1.2.3"), "ams");
  EXPECT_EQ(site("10.2.2.3"), "fra");
  EXPECT_EQ(site("192.0.2.1"), "");
  const auto unknown = apply_assignment(settings, "exporter.10.0.0.0/8.sit=x");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().hint.find("'site'"), std::string::npos);
}

TEST(Settings, ColumnsAreElementsWithAName) {
  using batch::ElementType;
  Settings settings;
  ASSERT_TRUE(apply_toml(settings, "[column]\napp = '9/12232 string'\ntag = '40001 unsigned32'\n", "edge.toml"));
  ASSERT_TRUE(apply_assignment(settings, "column.app=9/12235  octetArray")) << "later ones win";
  const std::vector<batch::UserColumn> expected = {{"app", {9, 12235, ElementType::kOctetArray}},
                                                   {"tag", {0, 40001, ElementType::kUnsigned32}}};
  EXPECT_EQ(settings.columns, expected);
}

TEST(Settings, MistakesAboutColumnsAreLocated) {
  const auto refused = [](const char* assignment) {
    Settings settings;
    const auto result = apply_assignment(settings, assignment);
    EXPECT_FALSE(result) << assignment;
    EXPECT_TRUE(settings.columns.empty()) << assignment;
    return result ? std::string() : result.error().render();
  };
  EXPECT_NE(refused("column.octets=9/1 unsigned64").find("flows has a column 'octets' already"), std::string::npos);
  EXPECT_NE(refused("column.window_start=1 unsigned64").find("already"), std::string::npos);
  EXPECT_NE(refused("column.App=9/1 string").find("cannot name a column"), std::string::npos);
  EXPECT_NE(refused("column.=9/1 string").find("cannot name a column"), std::string::npos);
  EXPECT_NE(refused("column.a=9/1 unsignd64").find("did you mean 'unsigned64'?"), std::string::npos);
  for (const char* value :
       {"", "9", "9/", "9/1", "string", "9/65536 string", "4294967296/1 string", "-1/1 string", "9/1string"}) {
    EXPECT_NE(refused((std::string("column.a=") + value).c_str()).find("it takes enterprise/element"),
              std::string::npos)
        << value;
  }
  Settings settings;
  for (size_t i = 0; i < Settings::kColumnsMax; ++i)
    ASSERT_TRUE(apply_assignment(settings, "column.c" + std::to_string(i) + "=1 unsigned8"));
  EXPECT_FALSE(apply_assignment(settings, "column.one_more=1 unsigned8"));
}

TEST(Settings, MistakesAboutExportersAreLocated) {
  const auto refused = [](const char* assignment) {
    Settings settings;
    const auto result = apply_assignment(settings, assignment);
    EXPECT_FALSE(result) << assignment;
    EXPECT_TRUE(settings.exporters.empty()) << assignment;
    return result ? std::string() : result.error().render();
  };
  EXPECT_NE(refused("exporter.10.0.0.0/8.delai=1 s").find("did you mean 'delay'?"), std::string::npos);
  EXPECT_NE(refused("exporter.fra-core-1.delay=1 s").find("'fra-core-1' is neither an address nor a prefix"),
            std::string::npos);
  EXPECT_NE(refused("exporter.10.0.0.0/8.delay=soon").find("a duration with its unit"), std::string::npos);
  EXPECT_NE(refused("exporter.delay=1 s").find("'' is neither an address nor a prefix"), std::string::npos);
  Settings settings;
  const auto result = apply_toml(settings, "[exporter.\"10.0.0.0/33\"]\ndelay = '1 s'\n", "edge.toml");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().line, 2u);
}

TEST(Settings, KeepTheOrderOfTheirFile) {
  Settings settings;
  ASSERT_TRUE(apply_toml(settings,
                         "[column]\nzz = '1 unsigned64'\naa = '2 unsigned64'\n[forward]\nz = 'udp://192.0.2.1:1'\n"
                         "a = 'udp://192.0.2.1:2'\n",
                         "edge.toml"));
  EXPECT_EQ(settings.columns[0].name, "zz");
  EXPECT_EQ(settings.forwards[0].name, "z");
}

}  // namespace
}  // namespace backstream::config
