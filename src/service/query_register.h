#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "catalog/catalog.h"
#include "catalog/query_definition.h"
#include "exec/engine.h"
#include "plan/definitions.h"
#include "service/query_statements.h"

namespace backstream::service {

/// What the register needs of the process that it runs queries in.
struct QueryGround {
  exec::Engine& engine;
  /// Relations that are there without a statement, and how queries are rewritten.
  std::function<std::unique_ptr<plan::Definitions>()> definitions;
  /// Runs what changes the engine's queries while no row is under way, and returns when it is done and what they read
  /// is decoded (Pipeline::change_queries). From any thread but the one that runs it.
  std::function<void(const std::function<void()>&)> change;
  /// A query that starts now sees rows of later event times than this; base::kMinTime: all that there will be. At rest.
  std::function<base::Micros(const catalog::Object&)> seen_from;
  /// Where the rows of a query go, until forget() of it: each time that the query is started. At rest.
  std::function<exec::ResultSink*(const catalog::Object&, const plan::Query&)> sink_of;
  /// @param last  the query is no more: nothing of its name runs; then the sink is null where it did not run before
  std::function<void(const catalog::Object&, exec::ResultSink*, bool last)> forget;
  /// The catalog is that of many nodes: others change it (follow()), and what fails here may run elsewhere, so it is
  /// not told of that.
  bool shared = false;
  /// The engine here is for plans alone, and sees nothing: how far queries are is known elsewhere.
  bool elsewhere = false;
  /// Of an edge: windows of a version begin so long after its change, where they close (Daemon::Options::edges_hear);
  /// until then those of the version before take rows. 0: windows close here.
  base::Micros windows_begin_after = 0;
};

/// The query register: what the catalog says is to run, runs; a change of either is a change of both. Queries come, go
/// and take over from their earlier versions while rows flow, and the others do not notice
/// (docs/design/0019-query-register.md).
class QueryRegister {
 public:
  QueryRegister(catalog::Catalog& catalog, QueryGround ground);

  /// One thing to be done. Several are done together or not at all.
  struct Edit {
    enum class Action : uint8_t {
      kAdd,    ///< `name` must be new
      kAlter,  ///< `name` must be there: a new version
      kPut,    ///< either; the same text again is no change
      kDrop,
      kPause,
      kResume,  ///< also of one that failed
    };
    Action action = Action::kAdd;
    std::string name;
    /// kAdd, kAlter, kPut: SELECT, CREATE [MATERIALIZED] VIEW of the same name, or a diagram: see query_called()
    std::string text;
    std::string source_name;                    ///< of the text, for messages; empty: the query's name
    std::string owner;                          ///< empty: it stays, or is the author
    std::optional<std::string> comment;         ///< nullopt: it stays
    std::optional<catalog::Revision> expected;  ///< as catalog::Change
  };
  /// What an edit came to.
  struct Done {
    std::string name;
    std::string verb;               ///< "add", "alter", "drop", "pause", "resume", "unchanged"
    std::vector<std::string> also;  ///< queries that read it and start anew with it
  };
  /// Starts what the catalog has. What cannot be bound any more is marked as failed there and left out. Once, before
  /// any other member.
  base::Result<void> start(base::Micros now);
  /// A query gives no window that starts before `begin`: an earlier process gave them. After start(), at rest; nothing
  /// where no query of that name runs.
  void begin_at(const std::string& name, base::Micros begin);
  /// Makes what runs equal to what the catalog says, where others have changed it. What cannot be bound here fails here
  /// alone, and is tried again with each call that finds a change, or is told of one of tables. Any thread but the
  /// engine's. Errors: the catalog's; then all stays, and the next call finds it.
  /// @param tables_changed  there are others than at the last call
  base::Result<void> follow(bool tables_changed = false);
  /// Binds everything as it would be, writes the catalog, then changes what runs. On an error nothing has changed.
  /// Errors: those of query_called() and plan::bind, located in the edit's text; 42710, 42704 and 40001 as of the
  /// catalog; 2BP01 what others read cannot go; 42P17 queries that read each other.
  /// @param dry_run  all but the doing
  base::Result<std::vector<Done>> change(std::span<const Edit> edits, const catalog::Author& author, base::Micros now,
                                         bool dry_run = false);
  /// A SELECT that reads nothing but views with windows, and lookup tables.
  struct OverViews {
    std::shared_ptr<const plan::Query> query;
    std::map<std::string, uint64_t, std::less<>> views;  ///< those that it reads, with their incarnations
  };
  /// EXPLAIN of a SELECT or CREATE MATERIALIZED VIEW, or of a diagram, as if it were added. Errors as change().
  /// @param name        of a diagram: the one output stream that is meant; empty: all of them
  /// @param options     as in EXPLAIN (DISTRIBUTED, FORMAT json); may be empty
  /// @param over_views  what stands before the plan of a SELECT that is bound by bind_over_views(); null: none is
  base::Result<std::string> explain(const std::string& text, const std::string& source_name,
                                    const std::string& name = {}, const std::string& options = {},
                                    const std::function<std::string(const OverViews&)>& over_views = {});

  /// The same text in the other language, or in one layout; see written_in(). Of several statements one text in SQL, as
  /// a diagram only one. Errors: also 42601 there are several.
  base::Result<std::string> written(const std::string& text, const std::string& source_name, const std::string& name,
                                    Language language);

  /// Calls `look` with what texts can read now, running queries among it: they can be bound there without being added.
  /// Nothing of it changes meanwhile, so `look` should not take long.
  void look_at_definitions(const std::function<void(const plan::Definitions&)>& look);

  /// Runs a SELECT that is nobody's but its asker's: what it reads may be altered and dropped: then it starts anew, or
  /// ends with it. Its name begins with kTemporaryMark. The catalog hears of it only where halves are apart, as other
  /// nodes must run it, too: for kTemporaryLease, unless renew_temporary() is called. Errors as change().
  base::Result<std::string> add_temporary(const std::string& text, const std::string& source_name,
                                          const catalog::Author& author, base::Micros now);
  /// Binds such a SELECT to be answered from what its views have given, not to be run: now() is a constant, and groups
  /// without a window are those of the whole range, which then must have both ends (42803). nullopt: the text is
  /// something else, or cannot be read. Errors as change().
  base::Result<std::optional<OverViews>> bind_over_views(const std::string& text, const std::string& source_name,
                                                         base::Micros now);
  /// Ends it; nothing when it has ended already. Errors: the catalog's; then it runs on.
  base::Result<void> drop_temporary(const std::string& name, base::Micros now);
  /// Those that the catalog has, and that are read here, run on; those whose lease is over, whoever read them, end.
  void renew_temporary(const std::vector<std::string>& read_here, base::Micros now);
  /// Temporary ones run on other nodes, too.
  bool shares_temporary() const { return ground_.engine.half() != exec::Half::kBoth; }
  static constexpr char kTemporaryMark = '~';
  static constexpr base::Micros kTemporaryLease = 900 * base::kMicrosPerSecond;

  struct Status {
    catalog::Object object;
    catalog::QueryDefinition definition;
    bool plain = false;  ///< CREATE VIEW: it is expanded where it is read, and runs nowhere
    bool temporary = false;
    std::optional<size_t> number;  ///< of the engine; none: it does not run
    std::vector<std::string> reads;
    std::shared_ptr<const plan::Query> query;  ///< null: plain, or it does not run
    base::Micros since = base::kMinTime;       ///< event time from which on this version has seen rows
  };
  /// By name, the temporary ones last.
  std::vector<Status> list();
  /// The same for the engine's thread, which must not wait for a change that waits for it: nullopt, one is under way.
  std::optional<std::vector<Status>> list_unless_changing();
  std::optional<Status> find(const std::string& name);

  /// A version that runs, but is no temporary one of this node alone.
  struct Started {
    catalog::Object object;
    std::shared_ptr<const plan::Query> query;
    size_t number = 0;                    ///< of the engine here
    uint64_t incarnation = 0;             ///< in partials
    std::vector<std::string> reads;       ///< queries that stand before it
    base::Micros begin = base::kMinTime;  ///< start of the first window that it gives
    base::Micros since = base::kMinTime;  ///< event time from which on it sees rows
    uint64_t order = 0;                   ///< of its start: another one was started anew
  };
  /// Each after what it reads. Any thread.
  std::vector<Started> started();

  /// Names of running queries, temporary ones too, that name the relation.
  std::vector<std::string> readers_of(const std::string& relation);

  /// What statements can read, for people and completion.
  struct RelationInfo {
    std::string name;
    plan::Relation::Kind kind;
    std::vector<batch::ColumnDef> columns;  ///< those that * stands for
  };
  std::vector<RelationInfo> relations();

  /// Ends versions that have given their last window, and tells the catalog of queries that were stopped. At rest,
  /// every now and then. Returns how many failed.
  size_t tend(base::Micros now);

 private:
  struct Wanted {
    catalog::Object object;
    catalog::QueryDefinition definition;
    bool temporary = false;
    bool unbound = false;  ///< it cannot be bound here, of which a shared catalog does not hear
    /// The catalog does not have it.
    bool is_of_this_node_alone() const { return object.revision == catalog::Revision{}; }
  };
  struct Staged {
    std::string name, text, plan;
    std::shared_ptr<const plan::Query> query;  ///< null: a plain view
    std::vector<std::string> reads;            ///< queries
    std::vector<std::string> relations;        ///< all that it names
    bool late_kept = false;                    ///< another reads its late rows
  };
  struct Stage {
    std::unique_ptr<plan::Definitions> definitions;
    std::vector<Staged> items;  ///< each reads only those before it
  };
  struct Running {
    catalog::Object object;
    Staged staged;
    size_t number = 0;  ///< not of a plain view
    exec::ResultSink* sink = nullptr;
    base::Micros begin = base::kMinTime;  ///< starts of windows that it gives
    base::Micros since = base::kMinTime;  ///< event time from which on it sees rows
    uint64_t order = 0;                   ///< grows with each start
    uint64_t root = 0;                    ///< partial::incarnation_of(); 0: plain, and reads no view
    uint64_t incarnation = 0;
    base::Micros ended_at = 0;  ///< of one that ends, by our clock
  };

  using WantedMap = std::map<std::string, Wanted, std::less<>>;
  base::Result<void> follow_locked(bool tables_changed);
  void run(Stage stage, WantedMap wanted);
  bool reads_only_views(const plan::UnboundSelect& select, const plan::Definitions& definitions) const;
  base::Result<std::optional<OverViews>> bind_over_views(plan::UnboundStatement& statement, const std::string& text,
                                                         const std::string& source_name,
                                                         const plan::Definitions& definitions, base::Micros now) const;
  base::Result<Stage> stage(const WantedMap& wanted, const std::map<std::string, std::string>& sources) const;
  void settle(Stage stage, const WantedMap& wanted);
  base::Result<void> check_apart(const Stage& stage, const std::map<std::string, std::string>& sources) const;
  std::vector<std::string> restarted(const Stage& stage, const WantedMap& wanted) const;
  std::vector<std::string> views_read(const std::vector<std::string>& reads) const;
  void end(Running&& going, base::Micros boundary);
  Status status_of(const std::string& name, const Wanted& wanted) const;
  std::vector<Status> list_locked() const;

  catalog::Catalog& catalog_;
  const QueryGround ground_;
  std::mutex change_mutex_;  ///< one change at a time, which may wait for a catalog elsewhere; taken before mutex_
  catalog::Revision seen_;   ///< under change_mutex_: wanted_ has the catalog's changes up to it
  std::mutex mutex_;         ///< of all below: held only shortly. Who changes them holds both
  WantedMap wanted_;
  std::map<std::string, Running, std::less<>> running_;
  std::vector<Running> ending_;  ///< versions that complete the windows that they began, in the order of their starts
  std::unique_ptr<plan::Definitions> definitions_;
  uint64_t started_ = 0;
  uint64_t temporary_count_ = 0;
};

}  // namespace backstream::service
