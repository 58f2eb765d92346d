#!/usr/bin/env python3
"""A PostgreSQL 15 of the test's own: a fresh cluster in a temporary folder, reached by a Unix socket only.

    python3 tests/oracle/postgres.py run -- COMMAND...     with in its environment
        BACKSTREAM_POSTGRES         its connection, as libpq takes it
        BACKSTREAM_POSTGRES_FOLDER  data/postmaster.pid says whom to end; it is started again once there is no file "down"
"""
import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

FOLDER = "/usr/lib/postgresql/15/bin"


def missing():
    """What is not there, as a message; empty when PostgreSQL 15 can be started here."""
    for program in ("initdb", "postgres", "psql"):
        if not os.access(os.path.join(FOLDER, program), os.X_OK):
            return f"{FOLDER}/{program} is not there (Debian package postgresql-15)"
    if os.geteuid() == 0 and unprivileged_user() is None:
        return "PostgreSQL does not run as root, and there is neither a user postgres nor nobody"
    return ""


def unprivileged_user():
    """Who the server runs as when we are root; None when nobody fits."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def end_with_parent():
    """Called in the child before exec: an immediate shutdown when the test itself is killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGQUIT)


class Server:
    """with Server() as server: output = server.psql(script)"""

    SETTINGS = {"listen_addresses": "", "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
                "max_connections": "10", "shared_buffers": "16MB", "autovacuum": "off", "jit": "off",
                "timezone": "UTC", "datestyle": "ISO, MDY", "intervalstyle": "postgres", "bytea_output": "hex",
                "max_parallel_workers_per_gather": "0", "statement_timeout": "20s", "log_min_messages": "panic",
                "log_min_error_statement": "panic"}

    ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

    def __init__(self, settings=None):
        self.settings = {**self.SETTINGS, **(settings or {})}
        self.folder = tempfile.mkdtemp(prefix="oracle-", dir="/tmp")  # a socket's path has at most 107 octets
        self.process = None
        self.as_user = {}
        if os.geteuid() == 0:
            user = unprivileged_user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def _start(self):
        made = subprocess.run([f"{FOLDER}/initdb", "-D", self.data, "-U", "oracle", "-A", "trust", "-E", "UTF8", "--locale=C",
                               "--no-sync", "--no-instructions"], cwd=self.folder, env=self.ENVIRONMENT,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **self.as_user)
        if made.returncode != 0:
            raise RuntimeError("initdb failed:\n" + made.stdout)
        self.log = open(os.path.join(self.folder, "log"), "w")
        self.launch()
        deadline = time.monotonic() + 60
        while subprocess.run(self._psql("-c", "SELECT 1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.log.name) as log:
                    raise RuntimeError("postgres does not answer:\n" + log.read())
            time.sleep(0.05)

    @property
    def data(self):
        return os.path.join(self.folder, "data")

    def launch(self):
        settings = [f"--{name}={value}" for name, value in self.settings.items()]
        self.process = subprocess.Popen([f"{FOLDER}/postgres", "-D", self.data, "-k", self.folder, *settings], cwd=self.folder,
                                        env=self.ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        preexec_fn=end_with_parent, **self.as_user)

    def _psql(self, *arguments):
        return [f"{FOLDER}/psql", "-X", "-q", "-h", self.folder, "-U", "oracle", "-d", "postgres", *arguments]

    def psql(self, script):
        """What psql writes for a script: rows without header, values ended by NUL. Errors do not end it."""
        done = subprocess.run(self._psql("-A", "-t", "-z", "-0", "-P", "null=" + NULL), input=script, text=True, encoding="utf-8",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "PGCLIENTENCODING": "UTF8"})
        if done.returncode != 0:
            raise RuntimeError("psql failed:\n" + done.stderr[-2000:])
        return done.stdout

    def end(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # fast shutdown
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait()
            self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


NULL = "\x03"  # no value is this text
SKIPPED = 77  # Exit status for ctest: PostgreSQL is not there.


def run_command(command):
    """The exit status of the command, which may end the server and finds it again."""
    # What was committed survives the end of the server, not that of the machine: without fsync, but not without waiting.
    with Server({"synchronous_commit": "on", "max_connections": "30", "log_min_messages": "fatal"}) as server:
        environment = {**os.environ, "BACKSTREAM_POSTGRES": f"host={server.folder} user=oracle dbname=postgres",
                       "BACKSTREAM_POSTGRES_FOLDER": server.folder}
        with subprocess.Popen(command, env=environment) as process:
            try:
                while process.poll() is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(0.05)
                    if server.process.poll() is not None and not os.path.exists(os.path.join(server.folder, "down")):
                        server.launch()
            finally:
                process.kill()
        if process.returncode != 0:
            with open(server.log.name) as log:
                print("the end of PostgreSQL's log:\n" + log.read()[-4000:])
        return process.returncode if process.returncode >= 0 else 128 - process.returncode


def main():
    if sys.argv[1:3] != ["run", "--"] or len(sys.argv) < 4:
        sys.exit(__doc__)
    if why := missing():
        print(f"skipped: {why}")
        return SKIPPED
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # So that server and folder go.
    return run_command(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
