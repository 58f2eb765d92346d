#include "config/load.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace backstream::config {
namespace {

constexpr SecretDef kSecrets[] = {{"bus.sasl_password", "as a test", Reload::kRestart},
                                  {"http.token", "as a test", Reload::kLive}};

class Load : public testing::Test {
 protected:
  Load() {
    std::string name = testing::TempDir() + "load_XXXXXX";
    folder_ = ::mkdtemp(name.data());
    std::filesystem::create_directory(folder_ + "/conf.d");
  }
  ~Load() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    std::ofstream(path(name)) << text;
    ::chmod(path(name).c_str(), mode);
    return path(name);
  }
  LoadRequest request(const std::vector<const char*>& variables = {}) {
    environment_ = variables;
    environment_.push_back(nullptr);
    LoadRequest request;
    request.file = path("node.toml");
    request.environment = environment_.data();
    request.secrets = kSecrets;
    return request;
  }
  static std::string told(const Loaded& loaded) {
    std::string text;
    for (const base::Diagnostic& error : loaded.errors) text += error.render();
    return text;
  }
  static std::string origin(const Loaded& loaded, std::string_view key) {
    const auto at = loaded.origins.find(key);
    return at == loaded.origins.end() ? "default" : at->second.text();
  }

 private:
  std::string folder_;
  std::vector<const char*> environment_;
};

TEST_F(Load, LaterLayersWinAndAreNamed) {
  write("node.toml", "[exec]\nbatch_rows = 1\n");
  write("conf.d/10-b.toml", "[exec]\nbatch_rows = 2\n");
  write("conf.d/20-a.toml", "\n[exec]\nbatch_rows = 3\n");
  write("conf.d/30.toml.off", "[exec]\nbatch_rows = 4\n");
  write("conf.d/.40.toml", "[exec]\nbatch_rows = 5\n");
  const std::string variable = "BACKSTREAM_EXEC__BATCH_ROWS=6";
  for (const bool set : {false, true}) {
    for (const bool in_environment : {false, true}) {
      for (const bool in_folder : {false, true}) {
        for (const bool in_file : {false, true}) {
          if (!in_folder) std::filesystem::rename(path("conf.d"), path("aside"));
          LoadRequest asked = in_environment ? request({variable.c_str()}) : request();
          if (!in_file) asked.file = write("empty.toml", "# nothing\n");
          if (set) asked.assignments = {"exec.batch_rows=7", "exec.batch_rows=8"};
          const Loaded loaded = load(asked);
          if (!in_folder) std::filesystem::rename(path("aside"), path("conf.d"));
          ASSERT_TRUE(loaded.errors.empty()) << told(loaded);
          const int64_t expected = set ? 8 : in_environment ? 6 : in_folder ? 3 : in_file ? 1 : 2048;
          EXPECT_EQ(loaded.settings.exec.batch_rows, expected);
          EXPECT_EQ(origin(loaded, "exec.batch_rows"), set              ? "--set"
                                                       : in_environment ? "environment"
                                                       : in_folder      ? path("conf.d/20-a.toml") + ":3"
                                                       : in_file        ? path("node.toml") + ":2"
                                                                        : "default");
          EXPECT_EQ(loaded.files.size(), in_folder ? 3u : 1u);
        }
      }
    }
  }
}

TEST_F(Load, OnlyTheDefaultFileMayBeAbsent) {
  LoadRequest asked = request();
  EXPECT_EQ(told(load(asked)), "error: cannot read '" + path("node.toml") + "': No such file or directory\n");
  asked.file.reset();
  asked.default_file = path("node.toml");
  EXPECT_TRUE(load(asked).errors.empty());
  EXPECT_TRUE(load(asked).files.empty());
  write("conf.d/a.toml", "[exec]\nbatch_rows = 2\n");
  EXPECT_EQ(load(asked).files, std::vector<std::string>{path("conf.d/a.toml")});
  write("node.toml", "[exec]\nbatch_rows = 2\n");
  EXPECT_EQ(load(asked).files.size(), 2u);
  asked.file = path("conf.d");
  EXPECT_NE(told(load(asked)).find("Is a directory"), std::string::npos);
}

TEST_F(Load, FilesHaveABound) {
  LoadRequest asked = request();
  asked.file = "/dev/zero";
  EXPECT_EQ(told(load(asked)), "error: '/dev/zero' has more than 1024 KiB\n");
}

TEST_F(Load, MistakesOfAllLayersAreTold) {
  write("node.toml", "[exec]\nbatch_rowz = 1\n");
  write("conf.d/a.toml", "[watermark]\n\tdelay = 3 # no unit\n");
  LoadRequest asked = request({"BACKSTREAM_PLAN__SHARE=perhaps"});
  asked.assignments = {"ingest.sockets=0", "nothing"};
  const Loaded loaded = load(asked);
  EXPECT_EQ(
      told(loaded),
      path("node.toml") +
          ":2:1: error: unknown setting 'exec.batch_rowz'\n    2 | batch_rowz = 1\n      | ^~~~~~~~~~ hint: did "
          "you mean 'exec.batch_rows'?\n" +
          path("conf.d/a.toml") +
          ":2:10: error: setting 'watermark.delay' cannot be '3'\n    2 | \tdelay = 3 # no unit\n      | \t        ^ "
          "hint: it takes a duration with its unit, such as '75 s' or '500 ms', 0 to 30 d\n"
          "environment:1:24: error: setting 'plan.share' cannot be 'perhaps'\n    1 | "
          "BACKSTREAM_PLAN__SHARE=perhaps\n      |                        ^~~~~~~ hint: it takes true or false\n"
          "--set:1:16: error: setting 'ingest.sockets' cannot be '0'\n    1 | ingest.sockets=0\n      |             "
          "   ^ hint: it takes a whole number, 1 to 256\n"
          "--set:1:1: error: 'nothing' assigns nothing\n    1 | nothing\n      | ^~~~~~~ hint: write --set "
          "key.path=value\n");
}

TEST_F(Load, WhoIsReachedFromOutsideSaysWhoIsHeard) {
  write("node.toml", "[listen]\nflow = ['udp://127.0.0.1:2055', 'udp://[::]:4739']\n");
  EXPECT_EQ(
      told(load(request())),
      path("node.toml") +
          ":2:8: error: 'udp://[::]:4739' can be reached from outside, and ingest.allow does not say who is heard\n"
          "    2 | flow = ['udp://127.0.0.1:2055', 'udp://[::]:4739']\n"
          "      |        ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~ hint: set ingest.allow to the addresses of your "
          "routers, such as ['192.0.2.0/24', '2001:db8::/32']\n");
  LoadRequest asked = request();
  asked.assignments = {"ingest.allow=::/0"};
  EXPECT_TRUE(load(asked).errors.empty());
  asked.assignments = {"ingest.allow=10.0.0.0/33"};
  EXPECT_EQ(load(asked).errors.size(), 1u) << "an allow-list that is wrong is not one that is missing";
}

TEST_F(Load, WithoutEncryptionTheConsoleStaysOnLoopback) {
  write("node.toml", "");
  LoadRequest asked = request();
  asked.assignments = {"http.listen=http://[::]:8844"};
  const Loaded loaded = load(asked);
  ASSERT_EQ(loaded.errors.size(), 1u);
  EXPECT_EQ(loaded.errors[0].source_name, "--set");
  EXPECT_NE(loaded.errors[0].hint.find("http.allow_insecure"), std::string::npos);
  asked.assignments.push_back("http.allow_insecure=true");
  EXPECT_TRUE(load(asked).errors.empty());
}

TEST_F(Load, CertificateAndSchemeGoTogether) {
  write("node.toml", "");
  const auto refused = [&](std::vector<std::string> assignments) {
    LoadRequest asked = request();
    asked.assignments = std::move(assignments);
    const Loaded loaded = load(asked);
    return loaded.errors.empty() ? std::string() : loaded.errors[0].message;
  };
  EXPECT_EQ(refused({"http.listen=https://[::]:1", "http.certificate=c", "http.key=k"}), "");
  EXPECT_EQ(refused({"http.listen=https://127.0.0.1:1", "http.certificate=c"}),
            "'https://127.0.0.1:1' needs a certificate and its key");
  EXPECT_EQ(refused({"http.listen=https://127.0.0.1:1", "http.key=k", "http.allow_insecure=true"}),
            "'https://127.0.0.1:1' needs a certificate and its key");
  EXPECT_EQ(refused({"http.certificate=c", "http.key=k"}), "'http://127.0.0.1:8844' uses no certificate");
}

TEST_F(Load, TheEmergencyTokenIsAFile) {
  write("emergency", std::string(64, 'f') + "\n", 0600);
  write("node.toml", "[access]\nadmin_token_file = 'emergency'\n");
  LoadRequest asked = request();
  asked.secrets = secret_table();
  const Loaded loaded = load(asked);
  ASSERT_TRUE(loaded.errors.empty()) << told(loaded);
  EXPECT_EQ(loaded.settings.secrets.find("access.admin_token")->second.value, std::string(64, 'f'));
  for (const SettingValue& value : setting_values(loaded.settings))
    EXPECT_EQ(value.literal.find("ffff"), std::string::npos) << value.key;
}

TEST_F(Load, ServersOfSinksAreWhole) {
  write("node.toml",
        "[server.a]\nfolder = '/x'\n[server.b]\ntype = 'file'\n[server.c]\ntype = 'postgres'\n"
        "[server.e]\ntype = 'postgres'\nconnection = 'host=x'\npassword_file = 'none'\n"
        "[server.f]\ntype = 'kafka'\n[server.g]\ntype = 'kafka'\n[server.g.property]\nlinger.ms = 1\n"
        "[server.h]\ntype = 'kafka'\nbrokers = ['x:1']\nsasl_password_file = 'none'\n");
  const Loaded loaded = load(request());
  ASSERT_EQ(loaded.errors.size(), 7u) << told(loaded);
  EXPECT_EQ(loaded.errors[0].message, "setting 'server.a.type' is missing");
  EXPECT_EQ(loaded.errors[1].message, "setting 'server.b.folder' is missing");
  EXPECT_EQ(loaded.errors[2].message, "setting 'server.c.connection' is missing");
  EXPECT_NE(loaded.errors[3].message.find("/none'"), std::string::npos) << loaded.errors[3].message;
  EXPECT_EQ(loaded.errors[4].message, "setting 'server.f.brokers' is missing");
  EXPECT_EQ(loaded.errors[4].hint, "such as ['kafka-1.example:9092'], here or as kafka.brokers");
  EXPECT_EQ(loaded.errors[5].message, "setting 'server.g.brokers' is missing");
  EXPECT_NE(loaded.errors[5].hint.find("that of kafka.*"), std::string::npos);
  EXPECT_NE(loaded.errors[6].message.find("/none'"), std::string::npos) << loaded.errors[6].message;
  write("node.toml", "[kafka]\nbrokers = ['x:1']\n[server.f]\ntype = 'kafka'\n");
  EXPECT_EQ(told(load(request())), "");
}

TEST_F(Load, ServersOfSinksChangeWhileItRuns) {
  write("node.toml", "[server.a]\ntype = 'file'\nfolder = '/x'\n[server.b]\ntype = 'file'\nfolder = '/y'\n");
  const Loaded first = load(request());
  write("node.toml",
        "[server.a]\ntype = 'file'\nfolder = '/z'\n"
        "[server.c]\ntype = 'kafka'\nbrokers = ['x:1']\n[server.c.property]\nlinger.ms = 7\n");
  const Reloaded second = reload(request(), first.settings);
  for (const SettingChange& change : second.changes) EXPECT_EQ(change.reload, Reload::kLive) << change.key;
  EXPECT_EQ(second.changes.size(), 6u);
  ASSERT_EQ(second.settings.servers.size(), 2u);
  EXPECT_EQ(second.settings.servers[0].folder, "/z");
  EXPECT_EQ(second.settings.servers[1].brokers, std::vector<std::string>{"x:1"});
}

TEST_F(Load, TargetsOfForwardingAreAddresses) {
  write("node.toml",
        "[forward]\na = '192.0.2.1'\nb = 'udp://*:1'\nc = 'udp://192.0.2.1:0'\nd = 'udp://[::1]:1'\n[forward.e]\nspoof "
        "= false\n");
  const Loaded loaded = load(request());
  ASSERT_EQ(loaded.errors.size(), 4u) << told(loaded);
  EXPECT_EQ(loaded.errors[0].message, "setting 'forward.a' cannot be '192.0.2.1'");
  EXPECT_EQ(loaded.errors[0].line, 2u);
  EXPECT_EQ(loaded.errors[3].message, "setting 'forward.e.to' is missing");
}

TEST_F(Load, NameAndStateFolderFitTheMachine) {
  write("node.toml", "");
  EXPECT_FALSE(load(request()).settings.node.name.empty());
  EXPECT_EQ(load(request({"STATE_DIRECTORY=/var/lib/a:/var/lib/b", "XDG_STATE_HOME=/x"})).settings.state.folder,
            "/var/lib/a");
  const std::string folder = load(request({"XDG_STATE_HOME=/x", "HOME=/h"})).settings.state.folder;
  EXPECT_EQ(folder, ::geteuid() == 0 ? "/var/lib/backstream" : "/x/backstream");
  EXPECT_EQ(load(request({"XDG_STATE_HOME=x", "HOME=h"})).settings.state.folder, "/var/lib/backstream");
  write("node.toml", "[state]\nfolder = '/srv/b'\n[node]\nname = 'n1'\n");
  EXPECT_EQ(load(request({"STATE_DIRECTORY=/var/lib/a"})).settings.state.folder, "/srv/b");
  EXPECT_EQ(load(request()).settings.node.name, "n1");
}

TEST_F(Load, SecretsAreReadFromFiles) {
  const std::string file = write("kafka.pw", "pass word\n\n", 0640);
  write("node.toml", "[bus]\nsasl_password_file = 'kafka.pw'\n");
  const auto secret = [](const Loaded& loaded) { return loaded.settings.secrets.find("bus.sasl_password")->second; };
  Loaded loaded = load(request());
  ASSERT_TRUE(loaded.errors.empty()) << told(loaded);
  EXPECT_EQ(secret(loaded).value, "pass word\n") << "one newline is not of it";
  EXPECT_EQ(secret(loaded).file, file) << "beside the file of settings";
  EXPECT_EQ(origin(loaded, "bus.sasl_password_file"), path("node.toml") + ":2");

  write("other.pw", "other\r\n", 0400);
  const std::string variable = "BACKSTREAM_BUS__SASL_PASSWORD_FILE=" + path("other.pw");
  loaded = load(request({variable.c_str()}));
  ASSERT_TRUE(loaded.errors.empty()) << told(loaded);
  EXPECT_EQ(secret(loaded).value, "other");
  EXPECT_EQ(origin(loaded, "bus.sasl_password_file"), "environment");
}

TEST_F(Load, SecretsOfSystemdAreTakenWhereNothingElseNamesThem) {
  write("bus.sasl_password", "from systemd", 0400);
  write("kafka.pw", "from a file", 0400);
  write("node.toml", "");
  const std::string credentials = "CREDENTIALS_DIRECTORY=" + path("");
  Loaded loaded = load(request({credentials.c_str()}));
  ASSERT_TRUE(loaded.errors.empty()) << told(loaded);
  ASSERT_EQ(loaded.settings.secrets.size(), 1u);
  EXPECT_EQ(loaded.settings.secrets.at("bus.sasl_password").value, "from systemd");
  write("node.toml", "[bus]\nsasl_password_file = 'kafka.pw'\n");
  loaded = load(request({credentials.c_str()}));
  EXPECT_EQ(loaded.settings.secrets.at("bus.sasl_password").value, "from a file");
  write("http.token", "", 0400);
  EXPECT_NE(told(load(request({credentials.c_str()}))).find("is empty"), std::string::npos);
}

TEST_F(Load, SecretsThatOthersMayOpenAreRefusedWithTheRemedy) {
  write("node.toml", "[bus]\nsasl_password_file = \"kafka.pw\"\n");
  for (const mode_t mode : {0644, 0604, 0602, 0601, 0666}) {
    write("kafka.pw", "hunter2", mode);
    const std::string text = told(load(request()));
    EXPECT_EQ(text.find("hunter2"), std::string::npos);
    char octal[8];
    std::snprintf(octal, sizeof octal, "%04o", static_cast<unsigned>(mode));
    EXPECT_EQ(
        text,
        path("node.toml") + ":2:22: error: everybody may open '" + path("kafka.pw") + "', which holds a secret (mode " +
            octal +
            ")\n    2 | sasl_password_file = \"kafka.pw\"\n      |                      ^~~~~~~~~~ hint: chmod o= '" +
            path("kafka.pw") + "'\n");
  }
}

TEST_F(Load, WhatCannotHoldASecretIsRefused) {
  const auto error = [](const std::string& file) {
    const auto secret = read_secret(file);
    return secret ? "taken: " + *secret : secret.error().message;
  };
  EXPECT_NE(error(path("absent")).find("No such file"), std::string::npos);
  EXPECT_NE(error(path("conf.d")).find("is no file that could hold a secret"), std::string::npos);
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_NE(error(path("pipe")).find("is no file that could hold a secret"), std::string::npos);
  EXPECT_NE(error(write("empty", "\n", 0600)).find("is empty"), std::string::npos);
  EXPECT_EQ(error(write("largest", std::string(65'536, 'x'), 0600)).size(), 7u + 65'536u);
  EXPECT_NE(error(write("larger", std::string(65'537, 'x'), 0600)).find("more than 64 KiB"), std::string::npos);
}

TEST_F(Load, ASecretInTheOpenIsRefusedAndNotRepeated) {
  write("node.toml", "[bus]\nsasl_password = 'hunter2'\nsasl_pasword = 'hunter2'\n");
  LoadRequest asked = request({"BACKSTREAM_BUS__SASL_PASSWORD=hunter2", "BACKSTREAM_BUS__SASL_PASWORD=hunter2"});
  asked.assignments = {"bus.sasl_password=hunter2"};
  const Loaded loaded = load(asked);
  EXPECT_EQ(loaded.errors.size(), 4u);
  const std::string text = told(loaded) + (loaded.warnings.empty() ? "" : loaded.warnings[0]);
  EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  EXPECT_NE(
      text.find(path("node.toml") + ":2:1: error: 'bus.sasl_password' is a secret: it never stands in settings\n"
                                    "    2 | sasl_password ...\n      | ^~~~~~~~~~~~~ hint: bus.sasl_password_file "
                                    "names a file that holds it\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("did you mean 'bus.sasl_password_file'?"), std::string::npos) << text;
  EXPECT_TRUE(loaded.settings.secrets.empty());
}

TEST_F(Load, PropertiesOfKafkaAreCheckedByWhoKnowsThem) {
  write("node.toml", R"([kafka]
brokers = ["kafka-1.example:9092"]
[kafka.property]
"sasl.username" = "edge"
linger.ms = 20
"sasl.password" = "hunter2"
"no.such" = "x"
[server.bus]
type = "kafka"
brokers = ["kafka-2.example:9092"]
[server.bus.property]
"no.such" = "y"
)");
  LoadRequest asked = request();
  // Those of a server of sinks are asked for, too.
  asked.kafka_property = [](const std::string& name, const std::string& value) -> std::optional<PropertyFault> {
    if (name == "no.such") return PropertyFault{"no '" + name + "', nor '" + value + "'", "leave it out"};
    return std::nullopt;
  };
  const Loaded loaded = load(asked);
  const std::string text = told(loaded);
  EXPECT_EQ(loaded.errors.size(), 3U) << text;
  EXPECT_NE(text.find(path("node.toml") + ":12:13: error: no 'no.such', nor 'y'"), std::string::npos) << text;
  EXPECT_NE(text.find(path("node.toml") + ":6:1: error: 'sasl.password' is a secret: it never stands in settings\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  EXPECT_NE(
      text.find(path("node.toml") + ":7:13: error: no 'no.such', nor 'x'\n    7 | \"no.such\" = \"x\"\n      |    "
                                    "         ^~~ hint: leave it out\n"),
      std::string::npos)
      << text;
  using Properties = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(loaded.settings.kafka.properties,
            (Properties{{"sasl.username", "edge"}, {"linger.ms", "20"}, {"no.such", "x"}}));
}

TEST_F(Load, ACatalogInKafkaNeedsBrokers) {
  write("node.toml", "[catalog]\nstore = 'kafka'\n");
  const Loaded loaded = load(request());
  EXPECT_NE(told(loaded).find(path("node.toml") + ":2:9: error: the catalog is to be in Kafka, and no broker is named"),
            std::string::npos)
      << told(loaded);
  write("node.toml", "[catalog]\nstore = 'kafka'\n[kafka]\nbrokers = ['kafka-1.example:9092']\n");
  const Loaded with = load(request());
  EXPECT_EQ(told(with), "");
  EXPECT_EQ(with.settings.catalog.store, CatalogStore::kKafka);
}

TEST_F(Load, TopicsOfFlowsHaveAFormatAndARangeOfPartitions) {
  write("node.toml", R"([kafka]
brokers = ["kafka-1.example:9092"]
[listen]
kafka = ["flows", "backstream:other", "goflow2:flow-messages/0-15"]
kafka_start = "begin"
[flows]
topic = "out"
)");
  const Loaded loaded = load(request());
  EXPECT_EQ(told(loaded), "");
  using Format = FlowTopic::Format;
  EXPECT_EQ(loaded.settings.listen.kafka, (std::vector<FlowTopic>{{Format::kBackstream, "flows"},
                                                                  {Format::kBackstream, "other"},
                                                                  {Format::kGoflow2, "flow-messages", 0, 15}}));
  EXPECT_TRUE(loaded.settings.listen.kafka_from_begin);
  EXPECT_EQ(loaded.settings.flows.topic, "out");
  for (const char* text : {"", "a b", "avro:flows", "flows/3", "flows/3-2", "flows/-3", "flows/1-2x", "goflow2:", ".."})
    EXPECT_FALSE(parse_flow_topic(text)) << text;
  EXPECT_EQ(parse_flow_topic("goflow2:t/3-3")->text(), "goflow2:t/3-3");
  EXPECT_EQ(parse_flow_topic("backstream:t")->text(), "t");
}

TEST_F(Load, ATopicThatIsReadIsNotSentTo) {
  write("node.toml", "[listen]\nkafka = ['flows']\n[flows]\ntopic = 'flows'\n");
  const std::string text = told(load(request()));
  EXPECT_NE(text.find(":4:9: error: 'flows' is read by listen.kafka, too"), std::string::npos) << text;
  EXPECT_NE(text.find(":2:9: error: no brokers are named that have the topic"), std::string::npos) << text;
  write("node.toml", "[listen]\nkafka = ['flows', 'goflow2:flows']\n");
  EXPECT_NE(told(load(request())).find("topic 'flows' is there twice"), std::string::npos);
}

/// As `config show` writes it.
std::string toml(const Settings& settings) {
  std::string text, section;
  for (const SettingValue& value : setting_values(settings, kSecrets)) {
    if (value.section != section) text += "[" + value.section + "]\n";
    section = value.section;
    text += value.name + " = " + value.literal + "\n";
  }
  return text;
}

TEST_F(Load, ValuesAsTomlGiveTheSameSettings) {
  write("kafka.pw", "x", 0400);
  write("node.toml", R"([bus]
sasl_password_file = "kafka.pw"
[decode]
sflow_octets = "frame"
template_wait = 0
state_file = "a \"b\" \\ ä"
[watermark]
delay = "1500 ms"
[ingest]
allow = ["192.0.2.1/24", "2001:db8::/32"]
receive_buffer = 123456
[node]
roles = ["merge", "edge"]
site = "São Paulo"
[column]
zz = "9/12232 string"
aa = "40001 unsigned32"
[forward]
z = "udp://192.0.2.10:9995"
[forward.a]
to = "udp://[2001:db8::10]:2055"
spoof = false
ports = [2055, 4739]
queue = "1 MiB"
[notify.chat]
type = "webhook"
to = "https://chat.example/x"
body = '{"text": "${title}"}'
headers = ["X-A: 1"]
timeout = "2 s"
[kafka]
brokers = ["kafka-1.example:9092", "[2001:db8::1]:9093"]
prefix = "lab"
partitions = 4
[kafka.property]
"security.protocol" = "sasl_ssl"
sasl.mechanism = "PLAIN"
[server.bus]
type = "kafka"
brokers = ["kafka-2.example:9092"]
[server.bus.property]
"security.protocol" = "ssl"
[exporter."10.1.2.3/16"]
delay = "2 min"
site = "ams"
identity = "agent"
[exporter."2001:db8::7"]
sampling_rate = 1000
sampling_default = 7
)");
  const Loaded first = load(request());
  ASSERT_TRUE(first.errors.empty()) << told(first);
  const std::string text = toml(first.settings);
  EXPECT_NE(text.find("delay = \"1500 ms\"\n"), std::string::npos) << text;
  EXPECT_NE(text.find("[exporter.\"10.1.0.0/16\"]\ndelay = \"2 min\"\nidentity = \"agent\"\nsite = \"ams\"\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("[forward.z]\nto = "), std::string::npos);
  EXPECT_NE(text.find("[kafka.property]\n\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanism\" = \"PLAIN\"\n"),
            std::string::npos)
      << text;
  write("node.toml", text);
  const Loaded second = load(request());
  ASSERT_TRUE(second.errors.empty()) << told(second);
  EXPECT_EQ(toml(second.settings), text);
  EXPECT_TRUE(changed_settings(first.settings, second.settings, kSecrets).empty());
  EXPECT_EQ(second.origins.size(), setting_values(second.settings, kSecrets).size())
      << "each value has the key that its origin has";
}

std::string list(const std::vector<SettingChange>& changes) {
  std::string text;
  for (const SettingChange& change : changes) {
    text += change.key + ": " + change.before + " -> " + change.after;
    text += change.reload == Reload::kLive ? " live\n" : " restart\n";
  }
  return text;
}

TEST_F(Load, ReloadTellsWhatChangedAndTakesWhatIsLive) {
  write("token", "one", 0400);
  write("kafka.pw", "one", 0400);
  write("node.toml", R"([watermark]
delay = "1 s"
[exec]
batch_rows = 7
[http]
token_file = "token"
[bus]
sasl_password_file = "kafka.pw"
[exporter."10.0.0.1"]
delay = "1 s"
site = "ams"
[exporter."10.0.0.2"]
delay = "1 s"
)");
  const Loaded running = load(request());
  ASSERT_TRUE(running.errors.empty()) << told(running);
  EXPECT_TRUE(reload(request(), running.settings).changes.empty());

  std::filesystem::remove(path("token"));
  std::filesystem::remove(path("kafka.pw"));
  write("token", "two", 0400);
  write("kafka.pw", "two", 0400);
  write("node.toml", R"([watermark]
delay = "2 s"
[ingest]
allow = ["192.0.2.0/24"]
[exec]
batch_rows = 8
[http]
token_file = "token"
[bus]
sasl_password_file = "kafka.pw"
[exporter."10.0.0.1"]
delay = "3 s"
site = "fra"
[exporter."10.0.0.3"]
sampling_rate = 9
[column]
app = "1 string"
)");
  const Reloaded reloaded = reload(request(), running.settings);
  EXPECT_EQ(list(reloaded.changes),
            "watermark.delay: \"1 s\" -> \"2 s\" live\n"
            "ingest.allow: [] -> [\"192.0.2.0/24\"] live\n"
            "exec.batch_rows: 7 -> 8 restart\n"
            "http.token_file: (set) -> (set) live\n"
            "bus.sasl_password_file: (set) -> (set) restart\n"
            "exporter.10.0.0.1.delay: \"1 s\" -> \"3 s\" live\n"
            "exporter.10.0.0.1.site: \"ams\" -> \"fra\" restart\n"
            "exporter.10.0.0.2.delay: \"1 s\" ->  live\n"
            "exporter.10.0.0.3.sampling_rate:  -> 9 restart\n"
            "column.app:  -> \"1 string\" restart\n");

  // What needs a restart is the same change again; what is live has been taken.
  std::string left;
  for (const SettingChange& change : reloaded.changes) {
    if (change.reload == Reload::kRestart) left += list({change});
  }
  const Reloaded again = reload(request(), reloaded.settings);
  EXPECT_EQ(list(again.changes), left);
  EXPECT_EQ(reloaded.settings.watermark.delay_us, 2'000'000);
  EXPECT_EQ(reloaded.settings.exec.batch_rows, 7);
  EXPECT_EQ(reloaded.settings.secrets.at("http.token").value, "two");
  EXPECT_EQ(reloaded.settings.secrets.at("bus.sasl_password").value, "one");
  EXPECT_EQ(reloaded.settings.delay_of(*base::parse_inet("10.0.0.1")), 3'000'000);
  EXPECT_EQ(reloaded.settings.site_of(*base::parse_inet("10.0.0.1")), "ams");
}

TEST_F(Load, AReloadWithMistakesChangesNothing) {
  write("node.toml", "[watermark]\ndelay = '1 s'\n");
  const Loaded running = load(request());
  write("node.toml", "[watermark]\ndelay = '2 s'\ndelai = 1\n");
  const Reloaded reloaded = reload(request(), running.settings);
  EXPECT_EQ(reloaded.loaded.errors.size(), 1u);
  EXPECT_TRUE(reloaded.changes.empty());
  EXPECT_TRUE(changed_settings(running.settings, reloaded.settings, kSecrets).empty());
}

}  // namespace
}  // namespace backstream::config
