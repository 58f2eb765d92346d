#pragma once
// Queries whose halves run in engines of their own, and the whole that they must be equal to: for the tests of the law
// where edges know nothing of each other.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plan/bind.h"
#include "random_flows.h"
#include "sql/parse.h"

namespace backstream {

using Queries = std::vector<std::shared_ptr<const plan::Query>>;

inline void make_central(plan::Query& query) {
  query.options.placement.where = plan::Placement::Where::kCentral;
  for (const auto& input : query.inputs) make_central(*input);
}

/// All of kQueries that do not read late rows.
inline Queries bind_queries(bool central) {
  plan::Catalog catalog;
  Queries queries;
  for (const char* text : kQueries) {
    if (std::string_view(text).find("_late") != std::string_view::npos) continue;
    auto statements = sql::parse(text, "");
    auto query = plan::bind(statements->front(), text, catalog);
    EXPECT_TRUE(query.has_value()) << text << ": " << query.error().message;
    plan::rewrite(*query);
    if (central) make_central(*query);
    if (query->is_view) catalog.add_view(*query);
    queries.push_back(std::make_shared<plan::Query>(std::move(*query)));
  }
  return queries;
}

/// What they are called in partials, where it is of no interest.
inline std::vector<uint64_t> plain_incarnations(const Queries& queries) {
  std::vector<uint64_t> incarnations;
  for (size_t q = 0; q < queries.size(); ++q) incarnations.push_back(1000 + q);
  return incarnations;
}

inline void add_all(exec::Engine& engine, const Queries& queries, const std::vector<uint64_t>& incarnations,
                    exec::ResultSink* sink) {
  for (size_t q = 0; q < queries.size(); ++q) engine.add_query(queries[q], sink, exec::Measured::kNot, incarnations[q]);
}
inline void add_all(exec::Engine& engine, const Queries& queries, exec::ResultSink* sink) {
  add_all(engine, queries, plain_incarnations(queries), sink);
}

/// An edge: rows in, messages out.
class Edge : exec::PartialsOut {
 public:
  /// @param queries     outlives this
  /// @param alternates  it sends panes, then rows, then panes
  Edge(const Queries& queries, std::vector<uint64_t> incarnations, uint32_t number, uint32_t threads, size_t batch_rows,
       bool alternates = false)
      : queries_(queries), incarnations_(std::move(incarnations)) {
    options_.travel_alternates = alternates;
    options_.half = exec::Half::kEdge;
    options_.edge = number;
    options_.edges = threads;
    options_.batch_rows = batch_rows;
    options_.pane_us_max = 60 * kSecond;
    options_.partials_out = this;
    begin();
  }
  Edge(const Queries& queries, uint32_t number, uint32_t threads, size_t batch_rows, bool alternates = false)
      : Edge(queries, plain_incarnations(queries), number, threads, batch_rows, alternates) {}
  void add(const Flow& flow, size_t thread) {
    batch::ColumnBatch& batch = buffers_[thread].batch;
    put(batch, flow);
    if (batch.row_count == options_.batch_rows) flush(thread);
    if (flow.time_present) high_ = std::max(high_, flow.time);
  }
  uint32_t threads() const { return options_.edges; }
  /// Between datagrams.
  void advance(Micros delay) {
    if (high_ == base::kMinTime || high_ - delay < engine_->next_cut("flows")) return;
    flush_all();
    engine_->advance("flows", high_ - delay);
  }
  /// Another process goes on.
  void restart() {
    flush_all();
    engine_->send_open();
    ++options_.epoch;
    begin();
  }
  /// Another process begins, and knows by a mark what this one loses.
  void kill() {
    flush_all();
    for (const auto& [incarnation, rows] : engine_->rows_open()) lost_[incarnation] += rows;
    ++options_.epoch;
    begin();
    engine_->tell_lost(lost_);
  }
  void finish() {
    flush_all();
    engine_->finish();
  }
  std::vector<std::vector<uint8_t>> messages;

 private:
  void begin() {
    engine_ = std::make_unique<exec::Engine>(options_);
    add_all(*engine_, queries_, incarnations_, nullptr);
    const std::vector<batch::Type> types = batch::flow_schema().types();
    const auto used = engine_->columns_used("flows", types.size());
    buffers_.clear();
    for (uint32_t t = 0; t < options_.edges; ++t) {
      buffers_.emplace_back(types, used, options_.batch_rows);
      buffers_.back().batch.row_count = 0;
    }
  }
  void append(std::vector<uint8_t>&& message) override { messages.push_back(std::move(message)); }
  void flush(size_t thread) {
    engine_->process("flows", buffers_[thread].batch, static_cast<uint32_t>(thread));
    buffers_[thread].batch.row_count = 0;
  }
  void flush_all() {
    for (size_t t = 0; t < buffers_.size(); ++t) flush(t);
  }

  const Queries& queries_;
  const std::vector<uint64_t> incarnations_;
  exec::EngineOptions options_;
  std::unique_ptr<exec::Engine> engine_;
  std::vector<batch::BatchBuffer> buffers_;
  std::map<uint64_t, uint64_t> lost_;
  Micros high_ = base::kMinTime;
};

/// @return  the ledgers, by query
inline std::vector<exec::WindowLedger> run_whole(const Queries& queries, const std::vector<Flow>& flows,
                                                 size_t datagram_rows, Micros delay, exec::ResultSink& sink) {
  exec::Engine engine({});
  add_all(engine, queries, &sink);
  const std::vector<batch::Type> types = batch::flow_schema().types();
  batch::BatchBuffer buffer(types, engine.columns_used("flows", types.size()), batch::kBatchRows);
  Micros high = base::kMinTime;
  for (size_t at = 0; at < flows.size(); at += datagram_rows) {
    buffer.batch.row_count = 0;
    for (size_t i = at; i < std::min(flows.size(), at + datagram_rows); ++i) {
      put(buffer.batch, flows[i]);
      if (flows[i].time_present) high = std::max(high, flows[i].time);
    }
    engine.process("flows", buffer.batch);
    if (high != base::kMinTime) engine.advance("flows", high - delay);
  }
  engine.finish();
  std::vector<exec::WindowLedger> ledgers;
  for (size_t q = 0; q < queries.size(); ++q) ledgers.push_back(engine.ledger(q));
  return ledgers;
}

}  // namespace backstream
