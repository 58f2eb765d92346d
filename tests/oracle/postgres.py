"""A PostgreSQL 15 of the test's own: a fresh cluster in a temporary folder, reached by a Unix socket only."""
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
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

    def __init__(self):
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
        data = os.path.join(self.folder, "data")
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": self.folder, "TZ": "UTC"}
        made = subprocess.run([f"{FOLDER}/initdb", "-D", data, "-U", "oracle", "-A", "trust", "-E", "UTF8", "--locale=C",
                               "--no-sync", "--no-instructions"], cwd=self.folder, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **self.as_user)
        if made.returncode != 0:
            raise RuntimeError("initdb failed:\n" + made.stdout)
        settings = [f"--{name}={value}" for name, value in self.SETTINGS.items()]
        self.log = open(os.path.join(self.folder, "log"), "w")
        self.process = subprocess.Popen([f"{FOLDER}/postgres", "-D", data, "-k", self.folder, *settings], cwd=self.folder,
                                        env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        preexec_fn=end_with_parent, **self.as_user)
        deadline = time.monotonic() + 60
        while subprocess.run(self._psql("-c", "SELECT 1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.log.name) as log:
                    raise RuntimeError("postgres does not answer:\n" + log.read())
            time.sleep(0.05)

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
