#pragma once
#include "app/client_command.h"

namespace backstream::app {

/// `backstream exporter list` without an input of its own.
int exporters_of_server(const Arguments& arguments);

}  // namespace backstream::app
