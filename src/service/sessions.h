#pragma once
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/diagnostic.h"
#include "service/answer.h"
#include "service/query_register.h"

namespace backstream::service {

/// SELECTs that run only while somebody reads them. A stream of one holds a lease; a query without a lease for
/// kGrace ends. Where halves are apart other nodes run it, too, and end it when nothing is heard of this one.
///
/// Those that read nothing but views are answered from what these have given (Answer), where that is kept: no other
/// node hears of them.
class Sessions {
 public:
  static constexpr size_t kSessionsMax = 100;
  static constexpr std::chrono::seconds kGrace{10};

  /// @param answers  null: results are not kept, so all SELECTs run
  explicit Sessions(QueryRegister& queries, std::optional<Answer::Ground> answers = std::nullopt);
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  /// The name of the query that runs from now on. Errors: QueryRegister::add_temporary(); 53300 there are kSessionsMax.
  base::Result<std::string> open(const std::string& text, const std::string& source_name, const catalog::Author& author,
                                 base::Micros now);
  /// The answer to a SELECT that reads nothing but views, its time being `now`. Null: it is another one, for open(), or
  /// results are not kept. Errors: QueryRegister::bind_over_views(); 53300 as open().
  struct Answered {
    std::string name;
    std::shared_ptr<const Answer> answer;
  };
  base::Result<std::optional<Answered>> answer(const std::string& text, const std::string& source_name,
                                               base::Micros now);
  /// Null: no answer has this name.
  std::shared_ptr<const Answer> find_answer(const std::string& name) const;
  const std::optional<Answer::Ground>& answers() const { return answers_; }
  /// False: there is none of this name.
  bool close(const std::string& name);
  /// Held by whoever reads it; null: no session.
  std::shared_ptr<const void> lease(const std::string& name);
  size_t count() const;

 private:
  struct Session {
    std::shared_ptr<const void> lease;
    std::shared_ptr<Answer> answer;  ///< null: the register runs it
    std::chrono::steady_clock::time_point read_at;
  };
  void run();
  void tend(Answer& answer);
  base::Result<void> begin_one();
  void end(const std::string& name, Session&& session);

  QueryRegister& queries_;
  const std::optional<Answer::Ground> answers_;
  mutable std::mutex mutex_;
  std::condition_variable stopping_;
  std::map<std::string, Session> sessions_;
  std::vector<std::string> ended_;  ///< that the catalog could not be told yet
  size_t opening_ = 0;
  uint64_t answer_count_ = 0;  ///< ever
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace backstream::service
