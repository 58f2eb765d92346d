#pragma once

namespace backstream::app {

/// SIGINT and SIGTERM ask for a clean end; the second one ends the process at once with 130. SIGPIPE is ignored:
/// writes tell it. Call once, before threads start.
void install_stop_signals();
/// True once a clean end has been asked for. Any thread.
bool stop_requested();

/// A daemon's: SIGHUP asks for the settings to be read again, SIGUSR1 for an end that closes all windows.
void install_daemon_signals();
/// Whether SIGHUP came since the last call. Any thread.
bool take_reload_request();
bool drain_requested();

}  // namespace backstream::app
