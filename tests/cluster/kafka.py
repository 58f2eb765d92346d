#!/usr/bin/env python3
"""A real Apache Kafka for tests and the demo: one or three brokers on loopback ports of their own, from the jars that
`./do setup cluster` fetched. Python's standard library and a JRE only.

    with kafka.Cluster(version="3.9", brokers=3, settings={"min.insync.replicas": 1}) as cluster:
        cluster.create_topic("partials", partitions=8, replication=3, config={"retention.ms": 60000})
        run(cluster.bootstrap)
        cluster.kill(2); cluster.start(2)

    python3 tests/cluster/kafka.py run --brokers 3 -- COMMAND...     with BACKSTREAM_KAFKA=host:port,... in its environment

Brokers are numbered from 1; each is broker and controller at once (KRaft, combined mode). All they write lies in a temporary
folder that goes with the cluster; the ends of their logs are printed when the block or the command fails. No broker
outlives this process, however it ends.
"""
import argparse
import base64
import concurrent.futures
import contextlib
import glob
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
JARS = os.path.join(HERE, "..", "..", "build", "kafka")
SKIPPED = 77   # Exit status for ctest: Kafka was never fetched.
STOP_S = 30    # How long a broker may take to hand over and end.
READY_S = 300  # How long a broker may take to start or a topic to have its leaders; seconds on a free machine.
HEAP_MIB = 256
# The first compiler only, one collector thread: brokers start sooner, and leave the cores to what is tested.
JVM_OPTIONS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto",
               "-Xlog:disable", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.showDateTime=true",
               "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
               # They print every setting there is, several times.
               "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaConfig=warn",
               "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn")


class KafkaError(Exception):
    """A broker or Kafka's tools refused or did not answer; the text is theirs."""


class NotFetched(KafkaError):
    """There are no jars of that version."""


def versions():
    """The whole version numbers that the checksums name, oldest first."""
    with open(os.path.join(HERE, "checksums.txt")) as file:
        found = {line.split()[1].split("/")[0] for line in file if line.strip() and not line.startswith("#")}
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])


def installed(version):
    """(whole version, its jars) for '3.9', '4' or a whole version."""
    known = [whole for whole in versions() if (whole + ".").startswith(version + ".")]
    if not known:
        raise KafkaError(f"no Kafka {version}: there are {', '.join(versions())}")
    jars = sorted(glob.glob(os.path.join(JARS, known[-1], "libs", "*.jar")))
    if not jars:
        raise NotFetched(f"Kafka {known[-1]} is not in build/kafka: ./do setup cluster")
    return known[-1], jars


def java():
    """Debian's Java 17 where it is, whatever else a machine calls java."""
    found = sorted(glob.glob("/usr/lib/jvm/java-17-openjdk-*/bin/java")) or [shutil.which("java")]
    if not found[0]:
        raise NotFetched("no java: ./do setup cluster")
    return found[0]


def archive(version):
    """The classes of a broker as the JVM maps them ready-made: takes a third off the CPU time of a start. Optional, and ignored
    by a JVM that it was not made by."""
    return os.path.join(JARS, version, "classes.jsa")


class Port:
    """A TCP port of loopback that is ours until close(), also while no broker listens on it: it stays bound here, without
    listening, which with SO_REUSEADDR lets a broker bind it and the kernel give it to nobody else."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number = self._socket.getsockname()[1]

    def close(self):
        self._socket.close()


# PR_SET_PDEATHSIG goes off when the *thread* ends that started the child. This one ends with the process, so start() may be
# called from any thread.
_starter = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-starter")


def popen(command, **options):
    """A process that is killed when this one dies, also by SIGKILL."""
    return _starter.submit(subprocess.Popen, ["setpriv", "--pdeathsig", "KILL", "--", *command], **options).result()


class Link:
    """The ways of one client to every broker. Cut, they are as a cable that is pulled: connections stay, new ones are taken, and
    nothing passes; what was under way comes when it is mended.

    @param targets  ports of the brokers; `ports` has where the client finds them"""

    def __init__(self, targets):
        self._whole = threading.Event()
        self._whole.set()
        self._listening = [socket.create_server(("127.0.0.1", 0)) for _ in targets]
        self.ports = [listening.getsockname()[1] for listening in self._listening]
        for listening, target in zip(self._listening, targets):
            threading.Thread(target=self._accept, args=(listening, target), daemon=True).start()

    def cut(self):
        self._whole.clear()

    def mend(self):
        self._whole.set()

    def close(self):
        for listening in self._listening:
            listening.close()

    def _accept(self, listening, target):
        with contextlib.suppress(OSError):  # It was closed.
            while True:
                client, _ = listening.accept()
                threading.Thread(target=self._join, args=(client, target), daemon=True).start()

    def _join(self, client, target):
        with client, contextlib.suppress(OSError):
            self._whole.wait()
            with socket.create_connection(("127.0.0.1", target)) as broker:
                back = threading.Thread(target=self._copy, args=(broker, client), daemon=True)
                back.start()
                self._copy(client, broker)
                back.join()

    def _copy(self, source, sink):
        """Until one of both is closed; then the other one is, too."""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._whole.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Broker:
    def __init__(self, number, folder, listeners):
        self.number = number
        self.folder = folder
        self.ports = {name: Port() for name in listeners}
        self.doors = {}  # By name of a link: the port where its client finds the broker.
        self.process = None
        self.paused = False
        os.makedirs(folder)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def properties(self):
        return os.path.join(self.folder, "server.properties")

    @property
    def log(self):
        return os.path.join(self.folder, "broker.log")

    def address(self, listener):
        return f"127.0.0.1:{self.ports[listener].number}"

    def advertised(self, listener):
        return f"127.0.0.1:{self.doors[listener]}" if listener in self.doors else self.address(listener)


class Cluster:
    """@param version    '3.9', '4' or a whole version number
    @param brokers    1 or 3 (any odd number works)
    @param settings   broker settings over the ones below, as server.properties has them
    @param listeners  further protocols to listen with beside PLAINTEXT, each on a port of its own: SASL_PLAINTEXT, SSL, SASL_SSL
                      (their settings are `listener.name.sasl_plaintext...` in `settings`; addresses: bootstrap_of)
    @param links      names of clients (letters and _) whose connections go by a Link of their own: links[name], bootstrap_of(name)
    @param scram      {user: password}: SCRAM-SHA-256 credentials that exist from the start
    @param jvm_options  of the brokers, after JVM_OPTIONS
    Threads: any, but one call at a time for each broker."""

    def __init__(self, version="3.9", brokers=1, settings=None, listeners=(), links=(), scram=None, jvm_options=()):
        self.version, self._jars = installed(version)
        self._count = brokers
        self._settings = settings or {}
        self._listeners = ("PLAINTEXT", *listeners, *links)
        self._link_names = links
        self.links = {}
        self._scram = scram or {}
        self._jvm_options = jvm_options
        self._brokers = {}
        self._voters = self._id = None
        self.folder = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="backstream-kafka-")
        try:
            for number in range(1, self._count + 1):
                self._brokers[number] = Broker(number, os.path.join(self.folder, str(number)),
                                               (*self._listeners, "CONTROLLER"))
            for name in self._link_names:
                link = self.links[name] = Link([broker.ports[name].number for broker in self._brokers.values()])
                for broker, port in zip(self._brokers.values(), link.ports):
                    broker.doors[name] = port
            self._voters = ",".join(f"{broker.number}@{broker.address('CONTROLLER')}" for broker in self._brokers.values())
            # One that begins with "-" would be taken for an option.
            self._id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
            for broker in self._brokers.values():
                self._write_properties(broker)
            self._format(*self._brokers.values())
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self.print_logs()
        self.kill()
        for link in self.links.values():
            link.close()
        for broker in self._brokers.values():
            for port in broker.ports.values():
                port.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Addresses.
    @property
    def bootstrap(self):
        return self.bootstrap_of("PLAINTEXT")

    def bootstrap_of(self, listener):
        return ",".join(broker.advertised(listener) for broker in self._brokers.values())

    # Faults, of the brokers named or of all. Each is done when it returns: a started broker answers and is in the cluster, an
    # ended one has let go of its ports.
    def start(self, *numbers):
        """Two of three answer, one alone does not: after an outage of all, start them in one call."""
        brokers = self._named(numbers)
        for broker in brokers:
            if not broker.running:
                self._launch(broker)
        for broker in brokers:
            self._wait_ready(broker)

    def stop(self, *numbers):
        """As an operator does: leadership is handed over first."""
        brokers = [broker for broker in self._named(numbers) if broker.running]
        for broker in brokers:
            self.resume(broker.number)
            broker.process.terminate()
        for broker in brokers:
            try:
                broker.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                # Without a majority there is nobody to hand over to, and it goes on asking.
                self.kill(broker.number)

    def kill(self, *numbers):
        brokers = [broker for broker in self._named(numbers) if broker.process is not None]
        for broker in brokers:
            broker.process.kill()
        for broker in brokers:
            broker.process.wait()
            broker.paused = False

    def pause(self, *numbers):
        """SIGSTOP: its connections stay open and say nothing."""
        for broker in self._named(numbers):
            broker.process.send_signal(signal.SIGSTOP)
            broker.paused = True

    def resume(self, *numbers):
        for broker in self._named(numbers):
            broker.process.send_signal(signal.SIGCONT)
            broker.paused = False

    def add(self, number):
        """Another broker, which is no controller; it has no partitions yet."""
        broker = self._brokers[number] = Broker(number, os.path.join(self.folder, str(number)), self._listeners)
        self._write_properties(broker)
        self._format(broker)
        self.start(number)

    def move_partitions(self, number, to):
        """Gives all partitions of a broker to another one, as kafka-reassign-partitions.sh does it, and waits until they are
        there. Returns how many they were."""
        def of_broker():
            with Connection(self._brokers[to].address("PLAINTEXT")) as connection:
                _, _, topics = connection.metadata(None)
            return {topic: moved for topic, partitions in topics.items()
                    if (moved := {index: replicas for index, (_, replicas) in enumerate(partitions) if number in replicas})}
        moves = {topic: {index: [to if replica == number else replica for replica in replicas]
                         for index, replicas in partitions.items()} for topic, partitions in of_broker().items()}
        with Connection(self._brokers[to].address("PLAINTEXT")) as connection:
            error = connection.reassign(moves)
        if error:
            raise KafkaError(f"partitions of broker {number}: error {error[0]}: {error[1]}")
        self._wait_until(lambda: not of_broker(), to, f"has not all partitions of broker {number}")
        return sum(len(partitions) for partitions in moves.values())

    def running(self):
        """Numbers of the brokers that run and are not paused."""
        return [number for number, broker in self._brokers.items() if broker.running and not broker.paused]

    def _named(self, numbers):
        return [self._brokers[number] for number in numbers or self._brokers]

    def create_topic(self, name, partitions=1, replication=None, config=None):
        """Returns when every running broker knows a leader of every partition. KafkaError says why it was refused."""
        replication = replication or min(3, self._count)
        deadline = time.monotonic() + READY_S
        while True:
            try:
                with Connection(self._brokers[self.running()[0]].address("PLAINTEXT")) as connection:
                    error = connection.create_topic(name, partitions, replication, config or {})
            except OSError as problem:
                error = (0, str(problem))
            if error is None:
                break
            # No controller yet, a request that took too long, or one whose answer was lost before.
            if error[0] not in (0, 7, 41) or time.monotonic() > deadline:
                raise KafkaError(f"topic {name}: error {error[0]}: {error[1]}")
            time.sleep(0.1)
        for number in self.running():
            self._wait_until(lambda: self._leaders(number, name) == partitions, number,
                             f"has no leaders of topic {name}")

    def allow(self, principal, operation, resource, name, pattern="literal"):
        """A right, known to all brokers soon."""
        with Connection(self._brokers[self.running()[0]].address("PLAINTEXT")) as connection:
            error = connection.allow(principal, operation, resource, name, pattern)
        if error:
            raise KafkaError(f"{principal} may {operation} {resource} {name}: error {error[0]}: {error[1]}")

    def log(self, number):
        """All that the broker has said since the cluster began."""
        with open(self._brokers[number].log, errors="replace") as file:
            return file.read()

    def print_logs(self, lines=40):
        """The last lines of every broker's log, on standard error."""
        stream = sys.stderr
        for broker in self._brokers.values():
            state = "runs" if broker.running else f"ended with {broker.process.returncode}" if broker.process else "was not started"
            print(f"--- Kafka {self.version}, broker {broker.number} ({state}), last lines of its log:", file=stream)
            with contextlib.suppress(FileNotFoundError):
                stream.writelines(f"  {line}\n" for line in self.log(broker.number).splitlines()[-lines:])
        stream.flush()

    def _write_properties(self, broker):
        replicas = min(3, self._count)
        properties = {
            "process.roles": "broker,controller" if "CONTROLLER" in broker.ports else "broker",
            "node.id": broker.number,
            "controller.quorum.voters": self._voters,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(f"{name}://{broker.address(name)}" for name in broker.ports),
            "advertised.listeners": ",".join(f"{name}://{broker.advertised(name)}" for name in broker.ports
                                             if name != "CONTROLLER"),
            "listener.security.protocol.map": ",".join(
                f"{name}:{'PLAINTEXT' if name in ('CONTROLLER', *self._link_names) else name}"
                for name in (*self._listeners, "CONTROLLER")),
            "log.dirs": os.path.join(broker.folder, "data"),
            "auto.create.topics.enable": "false",
            "default.replication.factor": replicas,
            "min.insync.replicas": min(2, replicas),
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": min(2, replicas),
            "transaction.state.log.num.partitions": 4,
            # Groups meet at once, and tests may choose short sessions.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 500,
            # On a busy machine answers take longer than the 1 and 2 s that these have; then elections never end. For the
            # same reason a dead broker is noticed after Kafka's own 9 s; less makes registering time out as well.
            "controller.quorum.election.timeout.ms": 2000,
            "controller.quorum.election.backoff.max.ms": 5000,
            "controller.quorum.fetch.timeout.ms": 5000,
            "controller.quorum.request.timeout.ms": 5000,
            "broker.heartbeat.interval.ms": 1000,
            # A broker that is not in the cluster by then ends itself; here _wait_until decides that.
            "initial.broker.registration.timeout.ms": 2 * READY_S * 1000,
            # What fits the heap: the cleaner alone would take 128 MiB.
            "log.cleaner.dedupe.buffer.size": 4 << 20,
            "log.cleaner.io.buffer.size": 64 << 10,
            "log.cleaner.backoff.ms": 1000,
            "log.index.size.max.bytes": 1 << 20,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "background.threads": 2,
            "num.recovery.threads.per.data.dir": 1,
        }
        properties.update(self._settings)
        with open(broker.properties, "w") as file:
            file.writelines(f"{key}={value}\n" for key, value in properties.items())

    def _java(self, main_class, *arguments, options=()):
        path = archive(self.version)
        shared = [f"-XX:SharedArchiveFile={path}"] if os.path.exists(path) else []
        return [java(), f"-Xmx{HEAP_MIB}m", "-Xms64m", *JVM_OPTIONS, *shared, *options, "-cp", ":".join(self._jars),
                main_class, *arguments]

    def _format(self, *brokers):
        """Kafka writes into formatted folders only; all of one cluster carry its id."""
        scram = [word for user, password in self._scram.items()
                 for word in ("--add-scram", f"SCRAM-SHA-256=[name={user},password={password}]")]
        tools = []
        for broker in brokers:
            command = self._java("kafka.tools.StorageTool", "format", "--cluster-id", self._id, "--config",
                                 broker.properties, *scram)
            tools.append(popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True))
        failures = []
        for tool in tools:
            output, _ = tool.communicate()
            if tool.returncode != 0:
                failures.append(output.strip())
        if failures:
            raise KafkaError(f"StorageTool of Kafka {self.version} failed: {failures[0]}")

    def _launch(self, broker):
        broker.paused = False
        with open(broker.log, "ab") as log:
            broker.process = popen(self._java("kafka.Kafka", broker.properties, options=self._jvm_options), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log)

    def _wait_ready(self, broker):
        """Until the broker itself says that it and all others that run are in the cluster, and who the controller is."""
        def ready():
            with Connection(broker.address("PLAINTEXT")) as connection:
                members, controller, _ = connection.metadata([])
            return controller >= 0 and members >= set(self.running())
        self._wait_until(ready, broker.number, "is not in the cluster")

    def _wait_until(self, condition, number, what):
        deadline = time.monotonic() + READY_S
        while True:
            try:
                if condition():
                    return
                problem = what
            except OSError as error:
                problem = f"{what}: {error}"
            broker = self._brokers[number]
            if not broker.running:
                raise KafkaError(f"broker {number} ended with {broker.process.returncode}")
            if time.monotonic() > deadline:
                raise KafkaError(f"broker {number} {problem} after {READY_S} s")
            time.sleep(0.05)

    def _leaders(self, number, topic):
        with Connection(self._brokers[number].address("PLAINTEXT")) as connection:
            _, _, leaders = connection.metadata([topic])
        return sum(leader >= 0 for leader, _ in leaders.get(topic, []))


class Connection:
    """The few requests that waiting, topics, rights and moves need, in versions that every Kafka since 2.1 answers; Kafka's own tools would take
    a second of JVM for each. https://kafka.apache.org/protocol"""
    METADATA, CREATE_TOPICS, CREATE_ACLS, REASSIGN = 3, 19, 30, 45
    # Numbers of the protocol: resource types, pattern types, operations.
    RESOURCES = {"topic": 2, "group": 3, "cluster": 4, "transactional-id": 5}
    PATTERNS = {"literal": 3, "prefixed": 4}
    OPERATIONS = {"All": 2, "Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Alter": 7, "Describe": 8, "DescribeConfigs": 10,
                  "AlterConfigs": 11, "IdempotentWrite": 12}

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def metadata(self, topics):
        """(ids of the brokers, id of the controller or -1, {topic: (leader or -1, replicas) of each partition})
        @param topics  None: all"""
        wanted = struct.pack(">i", -1) if topics is None else self._array([self._string(topic) for topic in topics])
        answer = self._ask(self.METADATA, 1, wanted)
        brokers = set()
        for _ in range(answer.number(4)):
            brokers.add(answer.number(4))
            answer.string(), answer.number(4), answer.string()   # host, port, rack
        controller = answer.number(4)
        found = {}
        for _ in range(answer.number(4)):
            answer.number(2)
            name = answer.string()
            answer.number(1)
            partitions = {}
            for _ in range(answer.number(4)):
                answer.number(2)
                index, leader = answer.number(4), answer.number(4)
                partitions[index] = (leader, [answer.number(4) for _ in range(answer.number(4))])
                for _ in range(answer.number(4)):                # those in sync
                    answer.number(4)
            found[name] = [partition for _, partition in sorted(partitions.items())]
        return brokers, controller, found

    def create_topic(self, name, partitions, replication, config):
        """None, or (error code, Kafka's words)."""
        entries = [self._string(key) + self._string(str(value)) for key, value in config.items()]
        topic = self._string(name) + struct.pack(">ih", partitions, replication) + self._array([]) + self._array(entries)
        answer = self._ask(self.CREATE_TOPICS, 4, self._array([topic]) + struct.pack(">ib", 15000, 0))
        answer.number(4), answer.number(4), answer.string()      # throttle time, one topic, its name
        code = answer.number(2)
        words = answer.string()
        return (code, words) if code else None

    def allow(self, principal, operation, resource, name, pattern="literal"):
        """As kafka-acls.sh --add does it. None, or (error code, Kafka's words)."""
        acl = (bytes([self.RESOURCES[resource]]) + self._string(name) + bytes([self.PATTERNS[pattern]]) + self._string(principal) +
               self._string("*") + bytes([self.OPERATIONS[operation], 3]))
        answer = self._ask(self.CREATE_ACLS, 1, self._array([acl]))
        answer.number(4), answer.number(4)                       # throttle time, one right
        code, words = answer.number(2), answer.string()
        return (code, words) if code else None

    def reassign(self, moves):
        """{topic: {partition: replicas}}. None, or (error code, Kafka's words)."""
        partition = lambda index, replicas: (struct.pack(">i", index) + self._compact([struct.pack(">i", replica) for replica in replicas])
                                             + b"\0")
        topics = [self._compact_string(topic) + self._compact([partition(*move) for move in partitions.items()]) + b"\0"
                  for topic, partitions in moves.items()]
        # The first zero ends the head of a flexible request: no tagged fields.
        answer = self._ask(self.REASSIGN, 0, b"\0" + struct.pack(">i", 15000) + self._compact(topics) + b"\0")
        answer.number(1), answer.number(4)                       # tagged fields, throttle time
        code = answer.number(2)
        return (code, "see the broker's log") if code else None

    @staticmethod
    def _count_of(items):
        assert len(items) < 127, "more want another octet"
        return bytes([len(items) + 1])

    def _compact(self, items):
        return self._count_of(items) + b"".join(items)

    def _compact_string(self, text):
        return self._count_of(text.encode()) + text.encode()

    @staticmethod
    def _string(text):
        data = text.encode()
        return struct.pack(">h", len(data)) + data

    @staticmethod
    def _array(items):
        return struct.pack(">i", len(items)) + b"".join(items)

    def _ask(self, key, version, body):
        request = struct.pack(">hhi", key, version, 1) + self._string("backstream-tests") + body
        self._socket.sendall(struct.pack(">i", len(request)) + request)
        size, = struct.unpack(">i", self._receive(4))
        return Answer(self._receive(size)[4:])

    def _receive(self, size):
        data = b""
        while len(data) < size:
            chunk = self._socket.recv(size - len(data))
            if not chunk:
                raise ConnectionError("the broker closed the connection")
            data += chunk
        return data


class Answer:
    def __init__(self, data):
        self._data, self._place = data, 0

    def _take(self, size):
        self._place += size
        return self._data[self._place - size:self._place]

    def number(self, size):
        return int.from_bytes(self._take(size), "big", signed=True)

    def string(self):
        size = self.number(2)
        return None if size < 0 else self._take(size).decode()


def prepare(version):
    """Makes the archive of classes where there is none of this JVM: what one broker has loaded when it ends."""
    path = archive(version)
    if os.path.exists(path) and os.stat(path).st_mtime > os.stat(java()).st_ctime:
        return
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
    with Cluster(version, jvm_options=(f"-XX:ArchiveClassesAtExit={path}.new",)) as cluster:
        cluster.create_topic("warm-up")
        cluster.stop()
    os.replace(f"{path}.new", path)


def prepare_all():
    with concurrent.futures.ThreadPoolExecutor() as threads:
        list(threads.map(prepare, versions()))
    return 0


def missing(version):
    """What of this version is not there, as a message; empty: it can be started."""
    try:
        installed(version), java()
    except NotFetched as error:
        return str(error)
    return ""


def main_with_cluster(case, version, run):
    """The exit status of run(), for which case.cluster is one; where Kafka is not there, that of a test that was skipped."""
    if why := missing(version):
        print(f"skipped: {why}")
        return SKIPPED
    with Cluster(version) as case.cluster:
        return run()


def run_command(options, refuse):
    """The exit status of the command. @param refuse  takes what is wrong with the options, and does not return"""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        refuse("which command?")
    if any("=" not in setting for setting in options.set):
        refuse("--set takes NAME=VALUE")
    begin = time.monotonic()
    with Cluster(options.version, options.brokers, dict(setting.split("=", 1) for setting in options.set)) as cluster:
        print(f"Kafka {cluster.version}, brokers on {cluster.bootstrap} after {time.monotonic() - begin:.1f} s", flush=True)
        status = popen(command, env={**os.environ, "BACKSTREAM_KAFKA": cluster.bootstrap}).wait()
        if status != 0:
            cluster.print_logs()
        return status if status >= 0 else 128 - status


def main():
    parser = argparse.ArgumentParser(description="Apache Kafka for tests.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare", help="makes later starts faster; ./do setup cluster does it")
    run = verbs.add_parser("run", help="COMMAND with BACKSTREAM_KAFKA in its environment; ends with its exit status")
    run.add_argument("--version", default="3.9", help="3.9, 4 or a whole version number (default: 3.9)")
    run.add_argument("--brokers", type=int, default=1, help="default: 1")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a broker setting; may be repeated")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND...")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))   # So that brokers and folder go.
    try:
        return prepare_all() if options.verb == "prepare" else run_command(options, run.error)
    except NotFetched as error:
        print(f"skipped: {error}")
        return SKIPPED
    except KafkaError as error:
        print(f"kafka.py: error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
