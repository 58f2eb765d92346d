#include "service/rest_jobs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace backstream::service {
namespace {

TEST(RestJobs, WorkIsDoneByTheEnginesThreadAndItsAskerWaits) {
  std::atomic<int> nudges{0};
  RestJobs jobs([&] { ++nudges; });
  int sum = 0;  // No lock: only the engine's thread adds.
  std::atomic<int> done{0};
  std::vector<std::thread> askers;
  for (int i = 0; i < 8; ++i) {
    askers.emplace_back([&] {
      for (int n = 0; n < 100; ++n) done += jobs.run([&] { ++sum; });
    });
  }
  int rests = 0;
  while (done < 800) {
    jobs.do_all([&](const std::function<void()>& work) {
      ++rests;
      work();
    });
  }
  for (auto& asker : askers) asker.join();
  EXPECT_EQ(sum, 800);
  EXPECT_EQ(nudges, 800);
  EXPECT_GE(rests, 1);
  jobs.do_all([&](const std::function<void()>&) { ADD_FAILURE() << "there is no work"; });
}

TEST(RestJobs, WhenTheEngineEndsWhoWaitsIsToldThatNothingWasDone) {
  RestJobs jobs([] {});
  bool done = true;
  std::thread asker([&] { done = jobs.run([] { ADD_FAILURE(); }); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  jobs.close();
  asker.join();
  EXPECT_FALSE(done);
  EXPECT_FALSE(jobs.run([] { ADD_FAILURE(); }));
}

}  // namespace
}  // namespace backstream::service
