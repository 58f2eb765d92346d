#pragma once

namespace backstream::app {

/// SIGINT and SIGTERM ask for a clean end; the second one ends the process at once with 130. SIGPIPE is ignored:
/// writes tell it. Call once, before threads start.
void install_stop_signals();
/// True once a clean end has been asked for. Any thread.
bool stop_requested();

}  // namespace backstream::app
