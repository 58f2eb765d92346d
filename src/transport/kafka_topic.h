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

}  // namespace backstream::transport
