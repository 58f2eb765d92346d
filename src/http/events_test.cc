#include "http/events.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

#include "http/event_parser.h"

namespace backstream::http {
namespace {

std::string text_of(const std::vector<Frame>& frames) {
  std::string out;
  for (const Frame& frame : frames) out += (frame.shared ? *frame.shared : "") + frame.own;
  return out;
}
/// All that there is, as a client reads it: "id name data;".
std::string read(Subscription& subscription, size_t octets_max = 1 << 20) {
  std::string out;
  EventParser parser;
  for (;;) {
    std::vector<Frame> frames;
    subscription.take(octets_max, frames);
    if (frames.empty()) return out;
    parser.put(text_of(frames), [&](const Event& event) {
      out += event.id + " " + event.name + " " + event.data + ";";
      return true;
    });
  }
}

class EventsTest : public testing::Test {
 protected:
  void publish(uint64_t from, uint64_t to) {
    for (uint64_t id = from; id <= to; ++id) topic->publish(id, "row", std::to_string(id));
    hub.pump();
  }
  EventHub hub{{.ring_events_max = 4}};
  std::shared_ptr<Topic> topic = hub.open("top");
};

TEST(EventFormat, AnyLineEndPartsLines) {
  EXPECT_EQ(format_event("row", "a\nb\r\nc\rd"), "event: row\ndata: a\ndata: b\ndata: c\ndata: d\n");
  EXPECT_EQ(format_event("", ""), "data: \n");
  EXPECT_EQ(format_event("x\nid: 9", "a"), "event: xid: 9\ndata: a\n");
}
TEST(EventIds, AreReadAsTheyAreWritten) {
  using Ids = std::vector<uint64_t>;
  EXPECT_EQ(parse_event_ids("17", 1), Ids{17});
  EXPECT_EQ(parse_event_ids("17,0,18446744073709551615", 3), (Ids{17, 0, UINT64_MAX}));
  for (const std::string_view bad : {"", "a", "-1", "1,", ",1", "1,2", "18446744073709551616", "1 ", " 1", "1.5"}) {
    EXPECT_EQ(parse_event_ids(bad, 1), std::nullopt) << bad;
  }
  EXPECT_EQ(parse_event_ids("1", 2), std::nullopt);
}

TEST_F(EventsTest, StartsWithTheNewest) {
  publish(1, 3);
  Subscription subscription({topic}, "", 0);
  EXPECT_EQ(read(subscription), "");
  publish(4, 5);
  EXPECT_EQ(read(subscription), "4 row 4;5 row 5;");
}
TEST_F(EventsTest, ABacklogComesFirst) {
  publish(1, 3);
  Subscription two({topic}, "", 2), all({topic}, "", 9);
  EXPECT_EQ(read(two), "2 row 2;3 row 3;");
  EXPECT_EQ(read(all), "1 row 1;2 row 2;3 row 3;");
}
TEST_F(EventsTest, ResumesWithoutGapOrRepeat) {
  publish(1, 6);  // 3 to 6 are kept.
  for (uint64_t last = 2; last <= 6; ++last) {
    Subscription subscription({topic}, std::to_string(last), 0);
    std::string expected;
    for (uint64_t id = last + 1; id <= 6; ++id) expected += std::to_string(id) + " row " + std::to_string(id) + ";";
    EXPECT_EQ(read(subscription), expected) << last;
  }
  EXPECT_EQ(hub.counters().gaps, 0u);
}
TEST_F(EventsTest, AnIdThatIsTooOldIsToldAsAGap) {
  publish(1, 6);
  Subscription subscription({topic}, "1", 0);
  EXPECT_EQ(read(subscription), "2 gap {\"topic\":\"top\",\"after\":1,\"next\":3};3 row 3;4 row 4;5 row 5;6 row 6;");
  EXPECT_EQ(hub.counters().gaps, 1u);
}
TEST_F(EventsTest, AnIdOfAnotherLifeOrOfNoneIsAGap) {
  Subscription before({topic}, "7", 0), nonsense({topic}, "x", 0);
  EXPECT_EQ(read(before), "0 gap {\"topic\":\"top\",\"after\":7,\"next\":null};");
  EXPECT_EQ(read(nonsense), "0 gap {\"topic\":\"top\",\"after\":null,\"next\":null};");
  publish(1, 1);
  EXPECT_EQ(read(before), "1 row 1;");
}
TEST_F(EventsTest, AStartIdLetsThoseWhoHaveItResume) {
  const auto later = hub.open("later", 7);
  Subscription has({later}, "7", 0), lacks({later}, "6", 0);
  EXPECT_EQ(read(has), "");
  EXPECT_EQ(read(lacks), "7 gap {\"topic\":\"later\",\"after\":6,\"next\":null};");
}
TEST_F(EventsTest, WhoReadsTooSlowlyLosesAndIsTold) {
  Subscription slow({topic}, "", 0), quick({topic}, "", 0);
  std::string got;
  for (uint64_t id = 1; id <= 10; ++id) {
    publish(id, id);
    got += read(quick);
  }
  EXPECT_EQ(got, "1 row 1;2 row 2;3 row 3;4 row 4;5 row 5;6 row 6;7 row 7;8 row 8;9 row 9;10 row 10;");
  EXPECT_EQ(read(slow), " lost {\"topic\":\"top\",\"events\":6};7 row 7;8 row 8;9 row 9;10 row 10;");
  EXPECT_EQ(slow.lost_count(), 6u);
  EXPECT_EQ(hub.counters().lost_frames, 6u);
  EXPECT_EQ(read(slow), "");
}
TEST_F(EventsTest, WhatIsKeptUntilItIsReadIsNotLost) {
  topic->keep_unread();
  publish(1, 9);  // More than the ring holds, before anybody reads.
  EXPECT_EQ(topic->read_id(), 0U);
  {
    Subscription subscription({topic}, "", 256);
    std::vector<Frame> frames;
    subscription.take(1, frames);
    EXPECT_EQ(topic->read_id(), 1U);
    publish(10, 10);
    EXPECT_EQ(read(subscription).substr(0, 16), "2 row 2;3 row 3;");
    EXPECT_EQ(topic->read_id(), 10U);
  }
  EXPECT_EQ(topic->read_id(), 10U) << "while nobody reads it stays";
  publish(11, 13);
  Subscription again({topic}, "9", 0);
  EXPECT_EQ(read(again), "10 row 10;11 row 11;12 row 12;13 row 13;");
  EXPECT_EQ(again.lost_count(), 0U);
  // The slowest of several counts.
  Subscription slow({topic}, "13", 0), fast({topic}, "13", 0);
  publish(14, 18);
  read(again);
  read(fast);
  EXPECT_EQ(topic->read_id(), 13U);
  read(slow);
  EXPECT_EQ(topic->read_id(), 18U);
}

TEST_F(EventsTest, TakesWhatFitsAndAtLeastOne) {
  Subscription subscription({topic}, "", 0);
  publish(1, 3);
  std::vector<Frame> frames;
  subscription.take(1, frames);
  EXPECT_EQ(frames.size(), 1u);
  subscription.take(frames[0].octets() * 2, frames);
  EXPECT_EQ(text_of(frames),
            "event: row\ndata: 1\nid: 1\n\nevent: row\ndata: 2\nid: 2\n\nevent: row\ndata: 3\nid: 3\n\n");
}
TEST_F(EventsTest, SeveralTopicsKeepTheOrderInWhichTheyWerePublished) {
  const auto other = hub.open("other");
  Subscription subscription({topic, other}, "", 0);
  topic->publish(5, "row", "a");
  other->publish(1, "row", "b");
  topic->publish(6, "row", "c");
  hub.pump();
  EXPECT_EQ(read(subscription), "5,0 row a;5,1 row b;6,1 row c;");
  Subscription resumed({topic, other}, "5,0", 0);
  EXPECT_EQ(read(resumed), "5,1 row b;6,1 row c;");
}
TEST_F(EventsTest, AnIdThatDoesNotGrowIsRefused) {
  Subscription subscription({topic}, "", 0);
  publish(3, 3);
  publish(3, 3);
  publish(2, 2);
  publish(4, 4);
  EXPECT_EQ(read(subscription), "3 row 3;4 row 4;");
  EXPECT_EQ(hub.counters().out_of_order, 2u);
}
TEST_F(EventsTest, AClosedTopicEndsItsStreams) {
  const auto other = hub.open("other");
  Subscription subscription({topic, other}, "", 0);
  publish(1, 1);
  hub.remove("top");
  hub.pump();
  EXPECT_EQ(read(subscription), "1,0 row 1;1,0 end {\"topic\":\"top\"};");
  EXPECT_FALSE(subscription.ended());
  other->close();
  hub.pump();
  EXPECT_EQ(read(subscription), " end {\"topic\":\"other\"};");
  EXPECT_TRUE(subscription.ended());
  EXPECT_EQ(hub.find("top"), nullptr);
  EXPECT_NE(hub.open("top"), topic);
}
TEST_F(EventsTest, WhoWaitsIsCalledOnceForAllThatCame) {
  Subscription subscription({topic}, "", 0);
  int calls = 0;
  subscription.on_ready = [&] { ++calls; };
  publish(1, 2);
  EXPECT_EQ(calls, 0);  // It did not wait yet.
  EXPECT_EQ(read(subscription), "1 row 1;2 row 2;");
  publish(3, 5);
  EXPECT_EQ(calls, 1);
  publish(6, 6);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(read(subscription), "3 row 3;4 row 4;5 row 5;6 row 6;");
}
TEST_F(EventsTest, ASubscriptionMayEndItselfWhenItIsCalled) {
  auto subscription = std::make_unique<Subscription>(std::vector{topic}, "", 0u);
  EXPECT_EQ(read(*subscription), "");
  subscription->on_ready = [&] { subscription.reset(); };
  publish(1, 1);
  EXPECT_EQ(subscription, nullptr);
  publish(2, 2);
}
TEST(EventHub, BeyondItsBoundsTheOwnersDelayIsALossThatIsTold) {
  EventHub hub({.pending_octets_max = 1'000, .ring_events_max = 1'000});
  const auto topic = hub.open("t");
  Subscription subscription({topic}, "", 0);
  size_t taken = 0;
  uint64_t id = 0;
  while (topic->publish(++id, "", "0123456789")) ++taken;
  EXPECT_GT(taken, 4u);
  EXPECT_FALSE(topic->publish(++id, "", "0123456789"));
  EXPECT_EQ(hub.counters().overflowed, 2u);
  hub.pump();
  EXPECT_TRUE(topic->publish(++id, "", "last"));
  hub.pump();
  const std::string got = read(subscription);
  EXPECT_NE(got.find(" lost {\"topic\":\"t\",\"events\":2};" + std::to_string(id) + " message last;"),
            std::string::npos)
      << got;
  EXPECT_EQ(subscription.lost_count(), 2u);
}
TEST(EventHub, RingsAreBoundedInOctets) {
  EventHub hub({.ring_events_max = 1'000, .ring_octets_max = 1'000, .all_rings_octets_max = 1'500});
  const auto a = hub.open("a"), b = hub.open("b");
  const std::string data(100, 'x');
  for (uint64_t id = 1; id <= 100; ++id) {
    a->publish(id, "", data);
    b->publish(id, "", data);
    hub.pump();
    ASSERT_LE(hub.counters().ring_octets, 1'500u + 2 * 107);
  }
  a->publish(101, "", std::string(5'000, 'x'));
  hub.pump();
  Subscription subscription({a}, "100", 0);
  EXPECT_EQ(read(subscription).size(), 5'000 + std::string("101 message ;").size());
}
TEST(EventHub, TopicsAreBounded) {
  EventHub hub({.topics_max = 2});
  const auto a = hub.open("a");
  EXPECT_NE(hub.open("b"), nullptr);
  EXPECT_EQ(hub.open("c"), nullptr);
  EXPECT_EQ(hub.open("a"), a);
  hub.remove("b");
  EXPECT_NE(hub.open("c"), nullptr);
}
TEST(EventHub, PublishersOfManyThreadsLoseNothing) {
  EventHub hub({.ring_events_max = 100'000});
  constexpr uint64_t kEvents = 5'000, kThreads = 3;
  std::vector<std::shared_ptr<Topic>> topics;
  for (uint64_t t = 0; t < kThreads; ++t) topics.push_back(hub.open(std::to_string(t)));
  Subscription subscription(topics, "", 0);
  std::vector<std::thread> threads;
  for (const auto& topic : topics) {
    threads.emplace_back([&topic] {
      for (uint64_t id = 1; id <= kEvents; ++id) topic->publish(id, topic->name(), std::to_string(id));
    });
  }
  std::vector<uint64_t> next(kThreads, 1);
  uint64_t count = 0;
  EventParser parser;
  while (count < kThreads * kEvents) {
    pollfd wake{hub.wake_descriptor(), POLLIN, 0};
    ASSERT_EQ(::poll(&wake, 1, 10'000), 1);  // A wake-up that never comes would hang here.
    hub.pump();
    std::vector<Frame> frames;
    subscription.take(SIZE_MAX, frames);
    parser.put(text_of(frames), [&](const Event& event) {
      EXPECT_EQ(event.data, std::to_string(next[std::stoul(event.name)]++));
      ++count;
      return true;
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(EventParser, ReadsPiecesOfAnySize) {
  const std::string text =
      "\xef\xbb\xbf: hello\n\nid: 7\nevent: row\ndata: a\ndata:b\n\ndata\r\n\r\nevent: no data\n\nretry: 50\rdata: "
      "c\r\rid: 9\n\n"
      "data: cut";
  for (size_t size = 1; size <= text.size(); ++size) {
    EventParser parser;
    std::string got;
    for (size_t at = 0; at < text.size(); at += size) {
      parser.put(std::string_view(text).substr(at, size), [&](const Event& event) {
        got += event.id + " " + event.name + " " + event.data + ";";
        return true;
      });
    }
    EXPECT_EQ(got, "7 row a\nb;7 message ;7 message c;") << size;
    EXPECT_EQ(parser.last_id(), "9");
    EXPECT_EQ(parser.retry_ms(), 50u);
  }
}
TEST(EventParser, StopsAndIsBounded) {
  EventParser parser(100);
  int events = 0;
  EXPECT_EQ(parser.put("data: 1\n\ndata: 2\n\n", [&](const Event&) { return ++events < 1; }),
            EventParser::Outcome::kStopped);
  EXPECT_EQ(events, 1);
  EventParser endless(100);
  auto outcome = EventParser::Outcome::kMore;
  for (int i = 0; i < 100 && outcome == EventParser::Outcome::kMore; ++i) {
    outcome = endless.put("data: 12345\n", [](const Event&) { return true; });
  }
  EXPECT_EQ(outcome, EventParser::Outcome::kTooLong);
}

}  // namespace
}  // namespace backstream::http
