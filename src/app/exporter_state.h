#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/diagnostic.h"
#include "decode/template_store.h"

namespace backstream::app {

/// The state file of what exporters announced (setting decode.state_file): read at the start, and of a live run written
/// once a minute (in the first minute every 5 s) when something changed and at the end, on a thread of its own: a disk
/// may be slow.
class ExporterState {
 public:
  explicit ExporterState(std::string path) : path_(std::move(path)) {}
  ~ExporterState() { stop(); }
  ExporterState(const ExporterState&) = delete;
  ExporterState& operator=(const ExporterState&) = delete;

  /// Puts the file's content to `store`. A file that is not there is none of an exporter yet. One that is damaged, of
  /// another program or version is renamed to PATH.damaged, with a warning. Error "file": it cannot be read or renamed.
  base::Result<void> load(decode::TemplateStore& store);
  /// From now on the store is saved.
  void start(std::shared_ptr<const decode::TemplateStore> store);
  /// Saves once more when something changed.
  void stop();

  /// A file of more is none of ours.
  static constexpr size_t kOctetsMax = size_t{512} << 20;

 private:
  void run();
  void save();

  const std::string path_;
  std::shared_ptr<const decode::TemplateStore> store_;
  uint64_t saved_ = 0;   // change_count() of the store when it was saved.
  bool failed_ = false;  // The last time; told once.
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stop_ = false;  // Under mutex_.
  std::thread thread_;
};

}  // namespace backstream::app
