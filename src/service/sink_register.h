#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/diagnostic.h"
#include "catalog/catalog.h"
#include "receiver/part_source.h"
#include "service/sink_definition.h"
#include "sink/runner.h"

namespace backstream::service {

/// The sinks of the catalog, and what runs them here: what the catalog says is to be sent, is sent. Any thread.
class SinkRegister {
 public:
  struct Ground {
    receiver::PartSource& source;  ///< outlives the register
    FindServer find_server;
    std::function<std::vector<std::string>()> servers;
    /// The query that runs under this name, with what its rows are; the form is null where only its name is known.
    struct Query {
      uint64_t incarnation = 0;
      std::shared_ptr<const receiver::ResultForm> form;
    };
    std::function<std::optional<Query>(const std::string& name)> find_query;
    std::function<std::unique_ptr<sink::Target>(const SinkDefinition&, const SinkServer&)> make_target;
    std::string node;  ///< our name
  };
  SinkRegister(catalog::Catalog& catalog, Ground ground);
  /// stop({}).
  ~SinkRegister();
  SinkRegister(const SinkRegister&) = delete;
  SinkRegister& operator=(const SinkRegister&) = delete;

  /// tend(), and again every second from now on. Errors: the catalog's.
  base::Result<void> start();
  /// Makes what runs equal to what the catalog, the settings and the queries say. Errors: the catalog's; then all
  /// stays.
  base::Result<void> tend();

  struct Done {
    std::string name;
    std::string verb;                                ///< "create", "drop", "unchanged"
    std::string query = {}, server = {}, type = {};  ///< of a drop as far as they were known here
  };
  /// CREATE or DROP PUBLICATION. Errors, located in the text: read_sink(); check_selection(); 42704 no such query, or
  /// sink; 42710 there is one of that name; the catalog's.
  base::Result<Done> execute(const std::string& text, const std::string& source_name, const catalog::Author& author,
                             base::Micros now);

  struct Info {
    std::string name, text, query, server, type;
    std::string waits_for;      ///< why nothing is sent here; empty: it is
    bool elsewhere = false;     ///< since another node is to
    sink::RunnerStatus status;  ///< all 0 while it waits
  };
  /// By name.
  std::vector<Info> list() const;

  /// Goes the whole way to the target, beside what runs. Errors: the target's; 42704; 55000 it waits, and for what.
  base::Result<std::string> test(const std::string& name);
  /// Errors: 42704; 55000 it waits, or is at it already.
  base::Result<void> replay(const std::string& name, base::Micros from, base::Micros until);

  /// Gives away what history has, no longer than `patience`, and ends.
  void stop(std::chrono::milliseconds patience);

 private:
  struct Held {
    std::string text;
    catalog::Revision revision;
    std::optional<SinkDefinition> definition;  ///< none: the text cannot be read here
    std::string waits_for;
    // What runs, and what it was made of.
    std::shared_ptr<sink::Runner> runner;
    SinkServer server;
    uint64_t incarnation = 0;
  };
  void settle(Held& held);
  bool is_held(const std::shared_ptr<sink::Runner>& runner) const;

  catalog::Catalog& catalog_;
  const Ground ground_;
  std::mutex change_mutex_;   ///< one change at a time, which may wait; taken before mutex_
  mutable std::mutex mutex_;  ///< of held_
  std::map<std::string, Held, std::less<>> held_;
  bool stopped_ = false;  ///< under change_mutex_

  std::mutex tending_mutex_;
  std::condition_variable ending_;
  bool end_ = false;  ///< under tending_mutex_
  std::thread tending_;
};

}  // namespace backstream::service
