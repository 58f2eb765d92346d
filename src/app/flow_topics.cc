#include "app/flow_topics.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/kafka_options.h"

namespace backstream::app {

using batch::FlowColumn;

namespace {

constexpr std::chrono::milliseconds kPollInterval{100};  // As of sockets.
constexpr std::chrono::milliseconds kCountInterval{1'000};
constexpr uint32_t kReadPartitions = 8;  // That kafka.read_memory is divided by: few large fetches are quicker.
constexpr size_t kMessageFlows = 1'000;  // Some 100 kB; a record may have 1 MB.
constexpr size_t kRecordOctets = 900'000;

base::PayloadForm form_of(config::FlowTopic::Format format) {
  return format == config::FlowTopic::Format::kGoflow2 ? base::PayloadForm::kGoflow2 : base::PayloadForm::kFlowBatch;
}

}  // namespace

base::Result<std::unique_ptr<FlowTopics>> FlowTopics::open(
    const config::Settings& settings, const std::vector<transport::KafkaPlace>& places,
    std::shared_ptr<const base::Published<base::PrefixSet>> allow) {
  transport::KafkaOptions client = kafka_options(settings, tell_kafka_notice);
  client.read_partitions = kReadPartitions;
  auto connection = transport::KafkaConnection::open(std::move(client));
  if (!connection) return tl::unexpected(std::move(connection.error()));
  transport::KafkaReadOptions options;
  for (const config::FlowTopic& topic : settings.listen.kafka)
    options.topics.push_back({topic.name, topic.first_partition, topic.last_partition});
  options.from_begin = settings.listen.kafka_from_begin;
  options.places = places;
  auto records = transport::KafkaRecords::open(std::move(*connection), options);
  if (!records) return tl::unexpected(std::move(records.error()));
  return std::unique_ptr<FlowTopics>(
      new FlowTopics(settings.listen.kafka, std::move(*records), places, std::move(allow)));
}

FlowTopics::FlowTopics(std::vector<config::FlowTopic> topics, std::unique_ptr<transport::KafkaRecords> records,
                       const std::vector<transport::KafkaPlace>& places,
                       std::shared_ptr<const base::Published<base::PrefixSet>> allow)
    : topics_(std::move(topics)), records_(std::move(records)), allow_(std::move(allow)), allowed_(*allow_) {
  for (const transport::KafkaPlace& place : places) next_[{place.topic, place.partition}] = place.next;
  // What begins at the end of a partition must not begin at its end once more after a restart without any record.
  for (const transport::KafkaPlace& place : records_->places()) next_[{place.topic, place.partition}] = place.next;
  take_counts();
}

int64_t FlowTopics::complete_until_ns() const { return base::wall_clock() * 1'000; }

void FlowTopics::take_counts() {
  const transport::KafkaReadCounts counts = records_->counts();
  stats_.topics.resize(topics_.size());
  for (size_t t = 0; t < topics_.size(); ++t) {
    const auto& from = counts.topics[t];
    stats_.topics[t] = {topics_[t].name, from.records, from.octets, from.lost, from.failures, from.behind};
  }
}

std::span<const base::Datagram> FlowTopics::next_block() {
  block_.clear();
  const auto records = records_->read(kPollInterval);
  const base::Micros now = base::wall_clock();
  const base::PrefixSet& allow = *allowed_.current();
  const std::lock_guard lock(next_mutex_);
  for (const transport::KafkaRecord& record : records) {
    const config::FlowTopic& topic = topics_[record.topic];
    stats_.octets += record.value.size();
    ++stats_.frames;
    base::Datagram datagram;
    datagram.payload_form = form_of(topic.format);
    datagram.source = decode::exporter_of_message(datagram.payload_form, record.value);
    if (datagram.source.family == 0) {
      ++stats_.skipped[static_cast<size_t>(ingest::IngestSkip::kNoExporter)];
      continue;
    }
    if (!allow.empty() && !allow.contains(datagram.source)) {
      stats_.add_rejected(datagram.source);
      continue;
    }
    datagram.payload = record.value.data();
    datagram.payload_octets = static_cast<uint32_t>(record.value.size());
    datagram.received_at = now;
    datagram.arrived_ns = now * 1'000;
    block_.push_back(datagram);
    const auto partition = next_.try_emplace({topic.name, record.partition}).first;
    given_.push_back({partition, record.offset + 1});
  }
  stats_.datagrams += block_.size();
  const auto steady = std::chrono::steady_clock::now();
  if (steady - counted_at_ >= kCountInterval) {
    counted_at_ = steady;
    take_counts();
  }
  return block_;
}

void FlowTopics::processed(size_t datagrams) {
  const std::lock_guard lock(next_mutex_);
  for (; datagrams > 0 && !given_.empty(); --datagrams) {
    given_.front().partition->second = given_.front().next;
    given_.pop_front();
  }
}

std::vector<transport::KafkaPlace> FlowTopics::places() const {
  const std::lock_guard lock(next_mutex_);
  std::vector<transport::KafkaPlace> places;
  for (const auto& [partition, next] : next_) places.push_back({partition.first, partition.second, next});
  return places;
}

base::Result<std::unique_ptr<FlowOutput>> FlowOutput::open(const config::Settings& settings, uint32_t threads) {
  transport::KafkaOptions client = kafka_options(settings, tell_kafka_notice);
  client.queue_octets = static_cast<uint64_t>(settings.flows.queue_octets);
  auto connection = transport::KafkaConnection::open(std::move(client));
  if (!connection) return tl::unexpected(std::move(connection.error()));
  transport::KafkaTopicOptions topic = kafka_topic_options(settings);
  topic.name = settings.flows.topic;
  topic.record_octets_max = kRecordOctets;
  auto publisher = transport::KafkaPublisher::open(std::move(*connection), topic);
  if (!publisher) return tl::unexpected(std::move(publisher.error()));
  return std::unique_ptr<FlowOutput>(new FlowOutput(settings.node.name, std::move(*publisher), threads));
}

FlowOutput::FlowOutput(std::string node, std::unique_ptr<transport::KafkaPublisher> publisher, uint32_t threads)
    : node_(std::move(node)), publisher_(std::move(publisher)), threads_(threads) {}

batch::FlowColumnSet FlowOutput::columns() {
  batch::FlowColumnSet columns = decode::FlowBatchWriter::columns();
  columns.add(FlowColumn::kExporter);
  columns.add(FlowColumn::kSite);
  return columns;
}

void FlowOutput::take(uint32_t number, const batch::ColumnBatch& rows) {
  Thread& thread = threads_[number];
  const auto& exporters = rows.columns[static_cast<size_t>(FlowColumn::kExporter)];
  const auto& sites = rows.columns[static_cast<size_t>(FlowColumn::kSite)];
  thread.group_of.clear();
  thread.group_count = 0;
  Group* last = nullptr;
  for (uint32_t row = 0; row < rows.row_count; ++row) {
    if (exporters.is_null(row)) continue;
    const base::Inet& exporter = exporters.as<base::Inet>()[row];
    const std::string_view site = sites.is_null(row) ? std::string_view() : sites.as<std::string_view>()[row];
    if (last == nullptr || last->exporter != exporter) {
      const auto [at, fresh] = thread.group_of.try_emplace(exporter, thread.group_count);
      if (fresh) {
        if (thread.groups.size() == thread.group_count) thread.groups.emplace_back();
        Group& made = thread.groups[thread.group_count++];
        made.exporter = exporter;
        made.site = site;
        made.rows.clear();
      }
      last = &thread.groups[at->second];
    }
    if (last->site != site || last->rows.size() == kMessageFlows) {
      publish(thread, rows, *last);
      last->site = site;
    }
    last->rows.push_back(row);
  }
  for (size_t g = 0; g < thread.group_count; ++g) publish(thread, rows, thread.groups[g]);
}

void FlowOutput::publish(Thread& thread, const batch::ColumnBatch& rows, Group& group) {
  if (group.rows.empty()) return;
  decode::FlowBatchWriter::Head head;
  head.exporter = group.exporter;
  head.site = group.site;
  head.node = node_;
  head.sent_at = base::wall_clock();
  thread.message.clear();
  thread.writer.write(rows, group.rows, head, thread.message);
  uint8_t key[16];
  publisher_->publish({key, decode::FlowBatchWriter::key_of(group.exporter, key)}, thread.message, group.rows.size());
  group.rows.clear();
}

}  // namespace backstream::app
