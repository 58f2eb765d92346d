#include "sql/parser_thread.h"

#include <pthread.h>

#include <cassert>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>

namespace backstream::sql {
namespace {

constexpr size_t kStackOctets = size_t{64} << 20;  // Address space; only what is touched becomes memory.

struct Job {
  const std::function<void()>& work;
  std::exception_ptr thrown;
};

extern "C" void* run_job(void* argument) {
  Job& job = *static_cast<Job*>(argument);
  try {
    job.work();
  } catch (...) {
    job.thrown = std::current_exception();
  }
  return nullptr;
}

}  // namespace

void run_on_parser_thread(const std::function<void()>& work) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  Job job{work, nullptr};
  pthread_attr_t attributes;
  if (const int error = pthread_attr_init(&attributes)) throw std::system_error(error, std::generic_category());
  const int refused = pthread_attr_setstacksize(&attributes, kStackOctets);
  assert(refused == 0);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, run_job, &job);
  pthread_attr_destroy(&attributes);
  if (error != 0) throw std::system_error(error, std::generic_category(), "parser thread");
  const int join_error = pthread_join(thread, nullptr);
  assert(join_error == 0);
  if (job.thrown) std::rethrow_exception(job.thrown);
}

}  // namespace backstream::sql
