#pragma once
// Those of `backstream query` that only look.
#include "app/client_command.h"

namespace backstream::app {

int query_list(const Arguments& arguments);
int query_show(const Arguments& arguments);
int query_history(const Arguments& arguments);
int query_diff(const Arguments& arguments);

}  // namespace backstream::app
