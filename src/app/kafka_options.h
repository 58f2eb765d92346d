#pragma once
// What the settings say of Kafka, as the transport takes it.
#include <functional>
#include <string>
#include <string_view>

#include "config/load.h"
#include "transport/bus.h"
#include "transport/kafka_log.h"

namespace backstream::app {

/// Of kafka.property.NAME, for config::LoadRequest.
std::optional<config::PropertyFault> kafka_property_fault(const std::string& name, const std::string& value);

/// @param notice  gets what librdkafka has to say, from any thread
transport::KafkaOptions kafka_options(const config::Settings& settings,
                                      std::function<void(const transport::KafkaNotice&)> notice);
/// Of a server of sinks, whose type is kafka: the brokers that it names, or these of this node.
transport::KafkaOptions kafka_options(const config::Settings& settings, const config::ServerSettings& server,
                                      std::function<void(const transport::KafkaNotice&)> notice);
/// Of topics, without the name: the settings have their partitions and retention.
transport::KafkaTopicOptions kafka_topic_options(const config::Settings& settings);
/// What lies between this node and others. Waits for nobody.
std::shared_ptr<transport::Bus> kafka_bus(const config::Settings& settings);
/// Errors and warnings of librdkafka to the log on standard error; what is only of interest is dropped.
void tell_kafka_notice(const transport::KafkaNotice& notice);

}  // namespace backstream::app
