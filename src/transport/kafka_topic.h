#pragma once
// Whether a topic is as a log needs it, and making it. Of this room only.
#include <chrono>

#include "base/diagnostic.h"
#include "transport/kafka_connection.h"
#include "transport/kafka_log.h"

namespace backstream::transport {

/// Errors: as KafkaLog::open(). What cannot be checked is told by the connection as a warning.
base::Result<void> prepare_kafka_topic(KafkaConnection& connection, const KafkaTopicOptions& options,
                                       std::chrono::steady_clock::time_point until);

/// A topic that is there is taken as it is; one that is missing is made as the options say. How many partitions it has.
/// Errors: those of KafkaLog::open() but 55000 for what it is.
base::Result<uint32_t> find_or_make_kafka_topic(KafkaConnection& connection, const KafkaTopicOptions& options,
                                                std::chrono::steady_clock::time_point until);
/// The same, and nothing is made; 0: it is missing, and could be made.
base::Result<uint32_t> look_for_kafka_topic(KafkaConnection& connection, const KafkaTopicOptions& options,
                                            std::chrono::steady_clock::time_point until);

}  // namespace backstream::transport
