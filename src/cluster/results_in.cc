#include "cluster/results_in.h"

#include <algorithm>

namespace backstream::cluster {

ResultsIn::ResultsIn(transport::Log& log, Options options)
    : options_(std::move(options)), feed_(log, options_.nudge, options_.pauses) {
  for (uint32_t partition = 0; partition < log.partition_count(); ++partition) {
    const uint64_t begin = log.begin_offset(partition), end = log.end_offset(partition);
    feed_.follow(0, partition, end - std::min(end - std::min(begin, end), options_.records_before));
  }
}

void ResultsIn::open(QueryId id, const plan::Query& query, std::string name, exec::ResultSink& sink) {
  Target& target = targets_[id];
  target.name = std::move(name);
  target.schema = std::make_unique<batch::Schema>(query.output());
  target.reader = std::make_unique<ResultReader>(*target.schema, options_.batch_rows);
  target.sink = &sink;
  for (auto early = early_.begin(); early != early_.end();) {
    if (early->id != id) {
      ++early;
      continue;
    }
    hand_over(target, {early->kind, id, early->body});
    early_octets_ -= early->body.size();
    early = early_.erase(early);
  }
}

void ResultsIn::close(QueryId id, const exec::ResultSink& sink) {
  const auto target = targets_.find(id);
  if (target != targets_.end() && target->second.sink == &sink) targets_.erase(target);
}

const QueryReport* ResultsIn::report(QueryId id) const {
  const auto target = targets_.find(id);
  return target == targets_.end() || !target->second.reported ? nullptr : &target->second.report;
}

ResultsIn::Status ResultsIn::status() const {
  Status status = status_;
  status.lost = feed_.status().offsets_lost;
  return status;
}

bool ResultsIn::take(Micros now) {
  while (!early_.empty() && (early_octets_ > kEarlyOctetsMax || now - early_.front().came_at > kEarlyTime)) {
    ++status_.unknown;
    early_octets_ -= early_.front().body.size();
    early_.pop_front();
  }
  const auto records = feed_.take();
  for (const LogFeed::Record& record : records) take_record(record, now);
  return !records.empty();
}

void ResultsIn::take_record(const LogFeed::Record& bytes, Micros now) {
  ResultRecord record;
  if (!read_result_record(bytes.bytes, record)) {
    ++(is_newer_result_record(bytes.bytes) ? status_.newer : status_.refused);
    return;
  }
  Last& last = last_[bytes.partition];
  if (last.any && record.generation < last.generation) {
    ++status_.superseded;
    return;
  }
  if (last.any && record.generation == last.generation && record.number <= last.number) {
    ++status_.repeats;
    return;
  }
  if (record.generation != last.generation) forget_begun(last);
  last.generation = record.generation;
  last.number = record.number;
  last.any = true;
  for (const ResultMessage& message : record.messages) {
    if (is_continued(message)) {
      last.begun[message.id].emplace_back(message.body.begin(), message.body.end());
      begun_octets_ += message.body.size();
      if (begun_octets_ > kBegunOctetsMax) take_begun(last, message.id, now);
      continue;
    }
    if (message.kind == ResultMessage::Kind::kRows) take_begun(last, message.id, now);
    take_message(message, now);
  }
}

void ResultsIn::take_begun(Last& last, QueryId id, Micros now) {
  const auto begun = last.begun.extract(id);
  if (begun.empty()) return;
  for (const std::vector<uint8_t>& body : begun.mapped()) {
    begun_octets_ -= body.size();
    take_message({ResultMessage::Kind::kRows, id, body}, now);
  }
}

/// Whoever has taken over gives those windows anew.
void ResultsIn::forget_begun(Last& last) {
  for (const auto& [id, bodies] : last.begun) {
    for (const std::vector<uint8_t>& body : bodies) begun_octets_ -= body.size();
  }
  last.begun.clear();
}

void ResultsIn::take_message(const ResultMessage& message, Micros now) {
  const auto target = targets_.find(message.id);
  if (target != targets_.end()) return hand_over(target->second, message);
  // Of a query that this node has not heard of yet, or that is gone.
  early_.push_back({message.id, message.kind, {message.body.begin(), message.body.end()}, now});
  early_octets_ += message.body.size();
}

void ResultsIn::hand_over(Target& target, const ResultMessage& message) {
  bool read = false;
  if (message.kind == ResultMessage::Kind::kRows) {
    read = target.reader->read_rows(message, target.name, *target.sink);
  } else {
    QueryReport report;
    read = ResultReader::read_report(message, report);
    if (read) target.report = std::move(report);
    target.reported |= read;
  }
  ++(read ? status_.messages : status_.refused);
}

}  // namespace backstream::cluster
