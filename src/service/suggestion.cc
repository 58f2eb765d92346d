#include "service/suggestion.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "plan/late.h"
#include "plan/time_range.h"
#include "sql/parse.h"

namespace backstream::service {
namespace {

using base::Micros;
using base::Result;
using Of = Suggestion::Of;

/// When the text of a query became what it is: kMinTime where it never was another.
Micros text_since(const ApiGround& ground, const QueryRegister::Status& status) {
  constexpr size_t kVersionsMax = 100;
  if (status.object.version <= 1) return base::kMinTime;
  const auto versions = ground.catalog.history(catalog::Kind::kQuery, status.object.name, kVersionsMax);
  if (!versions) return base::kMinTime;
  Micros since = base::kMinTime;
  for (const catalog::Version& version : *versions) {  // Newest first.
    if (version.incarnation != status.object.incarnation) break;
    catalog::Object object;
    object.body = version.body;
    const auto definition = catalog::query_of(object);
    if (!definition || definition->text != status.definition.text) return since;
    since = version.at;
  }
  return base::kMinTime;
}

/// What is kept of a query.
Of kept_of(const ApiGround& ground, const QueryRegister::Status& status, const Snapshot* snapshot) {
  Of kept;
  kept.query = status.object.name;
  if (!status.query) return kept;
  if (status.query->window_size_us != 0) kept.windows = base::format_duration(status.query->window_size_us);
  kept.retention_us = status.query->options.retention_us;
  if (snapshot != nullptr && status.number) {
    const auto ledger = snapshot->ledgers.find(*status.number);
    if (ledger != snapshot->ledgers.end() && ledger->second.windows_closed != 0) {
      kept.rows_per_window =
          static_cast<double>(ledger->second.result_rows) / static_cast<double>(ledger->second.windows_closed);
    }
  }
  ResultBoard::Range nothing;
  nothing.after_seq = UINT64_MAX;
  const auto shown = ground.board.read(kept.query, nothing);
  if (shown) kept.kept_since = shown->kept_since;
  kept.in_memory = ground.history == nullptr;
  const history::QueryId id{kept.query, status.object.incarnation.value};
  // No part is read: what there is of the query is known by file.
  const auto oldest = [&](history::Tier tier) -> std::optional<Micros> {
    history::Store::Range none;
    none.from = none.until = base::kMaxTime;
    none.after_seq = UINT64_MAX;
    none.tier = tier;
    const auto read = ground.history->read(id, none);
    return read ? read->kept_since : std::nullopt;
  };
  const Micros of_this_text = text_since(ground, status);
  const auto raw = kept.in_memory ? std::nullopt : oldest(history::Tier::kRaw);
  if (raw) kept.kept_since = std::min(*raw, kept.kept_since.value_or(*raw));
  if (kept.kept_since) kept.kept_since = std::max(*kept.kept_since, of_this_text);
  for (const auto tier : {history::Tier::kMinute, history::Tier::kFiveMinutes, history::Tier::kHour}) {
    const auto since = kept.in_memory ? std::nullopt : oldest(tier);
    const Micros whole = since ? std::max(*since, of_this_text) : base::kMaxTime;
    if (whole < kept.kept_since.value_or(base::kMaxTime)) kept.tiers.emplace_back(tier, whole);
  }
  return kept;
}

/// The one SELECT that the text is.
Result<plan::UnboundStatement> select_of(const std::string& text, const std::string& source_name) {
  auto statements = sql::parse(text, source_name);
  if (!statements) return tl::unexpected(std::move(statements.error()));
  if (statements->size() == 1 && statements->front().kind == plan::UnboundStatement::Kind::kSelect)
    return std::move(statements->front());
  const base::SourceSpan span = statements->empty() ? base::SourceSpan{} : (*statements)[statements->size() > 1].span;
  auto refused = base::fail("42601", "a question is one SELECT", span,
                            "for example SELECT window_start, src_as, sum(octets) FROM tumble(flows, time, interval "
                            "'1 h') GROUP BY window_start, src_as");
  base::locate(refused.value(), source_name, text);
  return refused;
}

/// The text without what stands around the SELECT.
std::string bare(const std::string& text) {
  constexpr const char* kAround = " \t\r\n;";
  const size_t begin = text.find_first_not_of(kAround), end = text.find_last_not_of(kAround);
  return begin == std::string::npos ? std::string() : text.substr(begin, end + 1 - begin);
}

class Suggester {
 public:
  Suggester(const plan::Definitions& definitions, std::vector<Of> kept)
      : definitions_(definitions), kept_(std::move(kept)) {}

  Suggestion of(const plan::Query& question, const std::string& text) {
    if (question.inputs.empty() && question.source.kind == plan::Relation::Kind::kView) {
      of_view(question, text);
      return std::move(made_);
    }
    made_.obstacle = plan::question_obstacle(question);
    if (made_.obstacle.empty()) {
      made_.asked = plan::asked_time(question);
      compare(question);
    }
    if (made_.answers.empty()) keep(question, text);
    return std::move(made_);
  }

 private:
  Result<plan::Query> bind(const std::string& text) const {
    auto statements = sql::parse(text, "");
    if (!statements) return tl::unexpected(std::move(statements.error()));
    return definitions_.bind(statements->front(), text);
  }
  plan::BindText binder() const {
    return [this](const std::string& text) { return bind(text); };
  }

  /// A question that names the view.
  void of_view(const plan::Query& question, const std::string& text) {
    const auto of =
        std::find_if(kept_.begin(), kept_.end(), [&](const Of& kept) { return kept.query == question.source.name; });
    if (of == kept_.end()) {
      made_.obstacle = fmt::format("what \"{}\" has is not kept", question.source.name);
      return;
    }
    of->answer.text = bare(text);
    made_.answers.push_back(std::move(*of));
  }

  void compare(const plan::Query& question) {
    for (Of& kept : kept_) {
      const auto& entries = definitions_.entries();
      const auto entry = std::find_if(entries.begin(), entries.end(),
                                      [&](const auto& other) { return other->query->name == kept.query; });
      if (entry == entries.end()) {
        kept.answer.reasons = {"it does not run"};
        kept.answer.lacks = std::numeric_limits<size_t>::max();
      } else {
        kept.answer = plan::answer_from(question, *(*entry)->query, binder(), kept.kept_since);
      }
      (kept.answer.text.empty() ? made_.others : made_.answers).push_back(std::move(kept));
    }
    const Micros from = made_.asked.from.value_or(base::kMinTime);
    const auto size_of = [&](const Of& of) {
      return of.rows_per_window.value_or(std::numeric_limits<double>::infinity());
    };
    // Those that say the same, or differ in less, that go back far enough, and of which the fewest rows are to be read.
    const auto place = [&](const Of& of) {
      const Micros since = of.kept_since.value_or(base::kMaxTime);
      return std::tuple(of.answer.notes.size(), std::max(since, from), size_of(of), std::string_view(of.query));
    };
    std::sort(made_.answers.begin(), made_.answers.end(),
              [&](const Of& a, const Of& b) { return place(a) < place(b); });
    std::stable_sort(made_.others.begin(), made_.others.end(),
                     [](const Of& a, const Of& b) { return a.answer.lacks < b.answer.lacks; });
  }

  void keep(const plan::Query& question, const std::string& text) {
    std::string name = plan::keeping_name(question);
    const std::string first = name;
    const auto is_taken = [&](const std::string& taken) {
      return definitions_.catalog().find(taken) != nullptr ||
             definitions_.catalog().find(taken + std::string(plan::kLateSuffix)) != nullptr;
    };
    for (int number = 2; is_taken(name); ++number) name = fmt::format("{}_{}", first, number);
    std::string statement;
    if (made_.obstacle.empty()) statement = plan::keeping_statement(question, name, binder());
    if (statement.empty() && !made_.asked.from && !made_.asked.until && question.has_windows) {
      statement = fmt::format("CREATE MATERIALIZED VIEW {} AS {}", name, bare(text));
      const auto bound = bind(statement);
      if (!bound || bound->time_output < 0) return;
    }
    if (statement.empty()) return;
    made_.keep_name = std::move(name);
    made_.keep_text = std::move(statement);
  }

  const plan::Definitions& definitions_;
  std::vector<Of> kept_;
  Suggestion made_;
};

}  // namespace

Result<Suggestion> suggest(const ApiGround& ground, const std::string& text, const std::string& source_name) {
  auto statement = select_of(text, source_name);
  if (!statement) return tl::unexpected(std::move(statement.error()));
  plan::fix_now(*statement->select, base::wall_clock());
  const auto snapshot = ground.snapshot.snapshot();
  std::vector<Of> kept;
  for (const QueryRegister::Status& status : ground.queries.list()) {
    if (!status.temporary && !status.plain) kept.push_back(kept_of(ground, status, snapshot.get()));
  }
  Result<Suggestion> suggestion;
  ground.queries.look_at_definitions([&](const plan::Definitions& definitions) {
    const auto question = definitions.bind(*statement, text);
    if (question) {
      suggestion = Suggester(definitions, std::move(kept)).of(*question, text);
      return;
    }
    base::Diagnostic error = question.error();
    if (error.line == 0) base::locate(error, source_name, text);
    suggestion = tl::unexpected(std::move(error));
  });
  return suggestion;
}

}  // namespace backstream::service
