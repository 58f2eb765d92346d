#pragma once
// The HTTP API: routes under /api/v1 (docs/openapi.json), /metrics and /-/. What a route answers is made of the
// catalog, the register, the board, and of copies that the engine's thread leaves (snapshot.h): no handler touches the
// engine but through RestJobs.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alert/alerts.h"
#include "base/published.h"
#include "catalog/catalog.h"
#include "history/store.h"
#include "http/events.h"
#include "http/router.h"
#include "service/access.h"
#include "service/query_register.h"
#include "service/result_board.h"
#include "service/sessions.h"
#include "service/snapshot.h"
#include "service/table_register.h"
#include "sink/prometheus_target.h"

namespace backstream::service {

class SinkRegister;

inline constexpr uint32_t kNobodyAsked = 0;

/// What the routes answer from. All of it is used by several threads at once, and outlives the server.
struct ApiGround {
  NodeInfo node;
  catalog::Catalog& catalog;
  QueryRegister& queries;
  TableRegister& tables;
  ResultBoard& board;
  Sessions& sessions;
  const base::Published<Snapshot>& snapshot;
  /// As of now; waits for the engine's thread.
  std::function<std::vector<ExporterStatus>()> exporters;
  std::function<std::string()> metrics;       ///< the page for Prometheus
  std::function<std::string()> doctor;        ///< JSON
  std::function<std::string_view()> openapi;  ///< JSON
  /// Reads the settings again; the text says what changed. Error: what is wrong with them; the old ones stay.
  std::function<base::Result<std::string>()> reload;
  std::function<size_t()> streams;  ///< event streams that are open
  /// Takes a node out of use. Errors: 42704 there is none of that name; 0A000 it is alone; the catalog's.
  std::function<base::Result<void>(const std::string& name, const catalog::Author&)> drain;
  history::Store* history = nullptr;                  ///< null: results are not kept
  SinkRegister* sinks = nullptr;                      ///< null: this node keeps no results
  alert::Alerts* alerts = nullptr;                    ///< null: no results come here
  const sink::PrometheusPages* prometheus = nullptr;  ///< what sinks show there; null: this node keeps no results
};

/// Adds all routes but those of access control.
void add_api_routes(http::Router& router, std::shared_ptr<const ApiGround> ground);

/// The status that goes with a diagnostic's code.
uint16_t status_of(std::string_view code);

}  // namespace backstream::service
