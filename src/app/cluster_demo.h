#pragma once
#include <string>

#include "base/time.h"

namespace backstream::app {

struct ClusterDemoOptions {
  std::string brokers;          ///< HOST:PORT of a Kafka that stands; empty: one is started
  std::string kafka_jars;       ///< then: the folder with its jars; empty: BACKSTREAM_KAFKA_JARS
  base::Micros duration = 0;    ///< of traffic, from 20 s on
  bool kills_a_worker = false;  ///< on the way; otherwise it is said how to
};

/// `backstream demo --cluster`: three edges, two merge workers and a receiver, each a process of its own, and Apache
/// Kafka. Tells on standard output what happens, and compares every window with what was sent. Main thread.
/// @return  an exit code; kExitOk: all windows were given, and the newest revision of each is right
int cluster_demo(const ClusterDemoOptions& options);

}  // namespace backstream::app
