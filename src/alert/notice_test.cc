#include "alert/notice.h"

#include <gtest/gtest.h>

namespace backstream::alert {
namespace {

/// Everything that breaks out of something: quotes, brackets, line ends, escapes of terminals, what is no UTF-8.
const std::string kHostile = "a\"b\\c]d\n<script>${id}@channel\x1b[2J\xc2\x9b\xff{rows}&";

NoticeFacts facts() {
  NoticeFacts made;
  made.rule = "ddos";
  made.severity = "critical";
  made.threshold = "bps > 1000";
  made.value_column = "bps";
  made.key_columns = {"dst_ip", "name"};
  made.labels = {{"team", "noc"}};
  made.version = 3;
  made.incarnation = 7;
  made.sampling = "1:1000";
  made.link = "https://noc.example";
  return made;
}

KeyState key(const std::string& name = "web") {
  KeyState made;
  const Json text = name;
  made.key = "[\"192.0.2.1\"," + text.dump(-1, ' ', false, Json::error_handler_t::replace) + "]";
  made.columns =
      R"({"dst_ip":"192.0.2.1","bps":2400,"name":)" + text.dump(-1, ' ', false, Json::error_handler_t::replace) + "}";
  made.value = 2400;
  made.since = 1'700'000'000'000'000;
  made.window_start = made.since;
  made.window_end = made.since + 60'000'000;
  return made;
}

Json firing(const std::string& name = "web") { return notice_json(facts(), key(name), NoticeState::kFiring, 0); }

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

TEST(Notice, NamesRuleValueThresholdCompletenessSamplingAndLink) {
  const Json notice = firing();
  EXPECT_EQ(notice["v"], 1);
  EXPECT_EQ(notice["state"], "firing");
  EXPECT_EQ(notice["key"].dump(), R"({"dst_ip":"192.0.2.1","name":"web"})");
  EXPECT_EQ(notice["value"].dump(), "2400") << "a whole number stays one";
  EXPECT_EQ(notice["query"], "ddos@3");
  EXPECT_EQ(notice["ends_at"], nullptr);
  EXPECT_EQ(notice["title"], "[firing] ddos: dst_ip=192.0.2.1, name=web");
  EXPECT_EQ(notice["message"],
            "bps = 2400. Rule: bps > 1000. Complete, sampling 1:1000. " + notice["url"].get<std::string>());
  EXPECT_EQ(notice["url"], "https://noc.example/alerts/" + notice["alert_id"].get<std::string>());
  KeyState part = key();
  part.complete = false;
  part.sites_missing = {"ams", "fra"};
  EXPECT_NE(notice_json(facts(), part, NoticeState::kFiring, 0)["message"].get<std::string>().find("Without ams, fra,"),
            std::string::npos);
}

TEST(Notice, RepeatsHaveOneIdAndAnotherTimeHasAnother) {
  EXPECT_EQ(firing()["id"], firing()["id"]);
  const Json resolved = notice_json(facts(), key(), NoticeState::kResolved, key().window_end);
  EXPECT_EQ(resolved["alert_id"], firing()["alert_id"]);
  EXPECT_NE(resolved["id"], firing()["id"]);
  KeyState later = key();
  later.since += 1;
  EXPECT_NE(alert_id(facts(), later), alert_id(facts(), key()));
  EXPECT_NE(alert_id(facts(), key("other")), alert_id(facts(), key()));
}

TEST(Notice, TheSummaryIsFilled) {
  NoticeFacts with = facts();
  with.summary = "{dst_ip} has {bps} {{bit/s}";
  const Json notice = notice_json(with, key(), NoticeState::kFiring, 0);
  EXPECT_TRUE(notice["message"].get<std::string>().starts_with("192.0.2.1 has 2400 {bit/s}. bps = 2400."))
      << notice["message"];
}

TEST(Notice, WhatFindsNoRoomSaysHowManyThereAre) {
  KeyState rest;
  rest.key = kRest;
  rest.more = 99'000;
  const Json notice = notice_json(facts(), rest, NoticeState::kFiring, 0);
  EXPECT_EQ(notice["more"], 99'000);
  EXPECT_EQ(notice["title"], "[firing] ddos: 99000 more keys");
}

TEST(Notice, HostileTextsStayTexts) {
  const Json notice = firing(kHostile);
  const std::string body = notice.dump(-1, ' ', false, Json::error_handler_t::replace);
  const Json again = Json::parse(body, nullptr, false);
  ASSERT_TRUE(again.is_object());
  EXPECT_EQ(again["alert"], "ddos");
  EXPECT_FALSE(has_control(again["title"].get<std::string>()));
  EXPECT_FALSE(has_control(again["message"].get<std::string>()));
}

TEST(BodyTemplate, FillsPlacesAndNothingElse) {
  const auto made =
      BodyTemplate::make(R"({"a":"${title}","n":["${value}",{"k":"${key.name}!"}],"d":"$${x} $","none":"${nope}"})");
  ASSERT_TRUE(made);
  EXPECT_EQ(made->fill(firing()),
            R"({"a":"[firing] ddos: dst_ip=192.0.2.1, name=web","n":[2400,{"k":"web!"}],"d":"${x} $","none":null})");
  const Json hostile = Json::parse(made->fill(firing(kHostile)));
  EXPECT_EQ(hostile.size(), 4u);
  EXPECT_NE(hostile["n"][1]["k"].get<std::string>().find("${id}"), std::string::npos) << "it is not filled in again";
}

TEST(BodyTemplate, ChatCallsNobodyAndMakesNoLinks) {
  const auto made = BodyTemplate::make("chat");
  ASSERT_TRUE(made);
  const std::string text = Json::parse(made->fill(firing(kHostile)))["text"];
  EXPECT_EQ(text.find("<script>"), std::string::npos);
  EXPECT_EQ(text.find("@channel"), std::string::npos);
  EXPECT_NE(text.find("&lt;script&gt;"), std::string::npos);
}

TEST(BodyTemplate, EmptyIsTheNoticeAndWhatIsNoObjectIsRefused) {
  EXPECT_EQ(Json::parse(BodyTemplate::make("")->fill(firing()))["id"], firing()["id"]);
  for (const char* wrong : {"slack", "[1]", "{", "3"}) EXPECT_FALSE(BodyTemplate::make(wrong)) << wrong;
}

TEST(Alertmanager, LabelsAreTheIdentityAndNeverChange) {
  const Json alert = alertmanager_alert(firing(), 1'700'000'300'000'000);
  EXPECT_EQ(alert["labels"].dump(),
            R"({"team":"noc","dst_ip":"192.0.2.1","name":"web","alertname":"ddos","severity":"critical"})");
  EXPECT_EQ(alert["endsAt"], "2023-11-14T22:18:20Z");
  KeyState other = key();
  other.value = 9;
  other.columns = R"({"bps":9})";
  EXPECT_EQ(alertmanager_alert(notice_json(facts(), other, NoticeState::kFiring, 0), 0)["labels"], alert["labels"]);
  const Json resolved = notice_json(facts(), key(), NoticeState::kResolved, key().window_end);
  EXPECT_EQ(alertmanager_alert(resolved, 0)["endsAt"], resolved["ends_at"]);
}

TEST(Syslog, IsOneLineOfRfc5424) {
  const std::string line = syslog_message(firing(kHostile), "host name\n", 1'700'000'000'000'000);
  EXPECT_TRUE(line.starts_with("<26>1 2023-11-14T22:13:20Z host_name_ backstream - firing [backstream@32473 id=\""))
      << line;
  EXPECT_FALSE(has_control(line)) << line;
  EXPECT_NE(line.find(R"(key.name="a\"b\\c\]d\\x0a<script>)"), std::string::npos) << line;
}

TEST(Script, HasTheArgumentsOfFastNetMon) {
  EXPECT_EQ(script_arguments(firing()), (std::vector<std::string>{"192.0.2.1", "incoming", "2400", "ban"}));
  const Json resolved = notice_json(facts(), key(), NoticeState::kResolved, key().window_end);
  EXPECT_EQ(script_arguments(resolved)[3], "unban");
}

}  // namespace
}  // namespace backstream::alert
