#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "plan/bind_table.h"

namespace backstream::app {

/// Reads the files of lookup tables again while queries run, on a thread of its own: a routing table takes seconds, in
/// which sockets must be read. The pipeline asks take_changed() and then lets the queries see what was published.
/// Files that cannot be used are told of once, on standard error.
class TableRefresh {
 public:
  TableRefresh() = default;
  ~TableRefresh() { stop(); }
  TableRefresh(const TableRefresh&) = delete;
  TableRefresh& operator=(const TableRefresh&) = delete;

  /// The table must outlive this or its remove(), and nobody else may change it between start() and that. Any thread.
  void add(const plan::LookupTables::Item& item);
  void add(lookup::FileTable& file);
  /// The file is looked at no more, and not at this moment. Any thread.
  void remove(lookup::FileTable& file);
  /// Rows of a table changed in another way. Any thread.
  void note_change() { changed_.store(true); }
  /// Begins to look at the files once a second. Nothing when there are none to be read again, unless some may come.
  void start(bool may_come = false);
  /// Waits for the file that is being read.
  void stop();
  /// Whether a table was published since the last call. Any thread.
  bool take_changed() { return changed_.load(std::memory_order_relaxed) && changed_.exchange(false); }

 private:
  void run();
  void read_files(std::chrono::steady_clock::time_point begin);

  std::mutex files_mutex_;                 // Held while one is read.
  std::vector<lookup::FileTable*> files_;  // Under files_mutex_.
  std::atomic<bool> changed_{false};
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stop_ = false;  // Under mutex_.
  std::thread thread_;
};

}  // namespace backstream::app
