#include "base/published.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace backstream::base {
namespace {

/// Two halves that only a torn or freed value could show unequal.
struct Pair {
  explicit Pair(uint64_t n) : first(n), second(~n) { ++alive; }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    first = second = 0;
    --alive;
  }
  uint64_t first, second;
  static std::atomic<int> alive;
};
std::atomic<int> Pair::alive{0};

TEST(Published, BeginsEmptyOrWithItsFirstValue) {
  Published<int> empty;
  EXPECT_EQ(empty.snapshot(), nullptr);
  EXPECT_EQ(Published<int>::Reader(empty).current(), nullptr);
  Published<int> seven(std::make_shared<int>(7));
  EXPECT_EQ(*seven.snapshot(), 7);
  EXPECT_EQ(*Published<int>::Reader(seven).current(), 7);
}

TEST(Published, ReaderKeepsItsValueUntilItAsksAgain) {
  Published<int> published(std::make_shared<int>(1));
  Published<int>::Reader reader(published);
  const auto first = reader.current();
  published.publish(std::make_shared<int>(2));
  EXPECT_EQ(*first, 1);
  EXPECT_EQ(*reader.current(), 2);
  EXPECT_EQ(published.version(), 1u);
}

TEST(Published, AnOldValueIsFreedWithItsLastReader) {
  {
    Published<Pair> published(std::make_shared<Pair>(1));
    Published<Pair>::Reader reader(published);
    published.publish(std::make_shared<Pair>(2));
    EXPECT_EQ(Pair::alive, 2);
    (void)reader.current();
    EXPECT_EQ(Pair::alive, 1);
  }
  EXPECT_EQ(Pair::alive, 0);
}

TEST(Published, ReadersSeeWholeValuesInOrderWhileTheyAreReplaced) {
  constexpr uint64_t kLast = 20'000;
  Published<Pair> published(std::make_shared<Pair>(0));
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      Published<Pair>::Reader reader(published);
      for (uint64_t last = 0; last < kLast;) {
        const auto& now = reader.current();
        if (now->second != ~now->first || now->first < last) ++wrong;
        last = now->first;
      }
    });
  }
  readers.emplace_back([&] {
    for (uint64_t last = 0; last < kLast;) {
      const auto now = published.snapshot();
      if (now->second != ~now->first || now->first < last) ++wrong;
      last = now->first;
    }
  });
  for (uint64_t n = 1; n <= kLast; ++n) published.publish(std::make_shared<Pair>(n));
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace backstream::base
