#!/usr/bin/env python3
"""The fixture itself: brokers end, come back and stand still as told, keep what they took, and leave nothing behind."""
import contextlib
import glob
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import kafka

PATIENCE_S = 120


def kcat(*arguments, records=None):
    # A broker that stands still is given up after 5 s, not a minute.
    command = ["kcat", "-q", "-X", "socket.timeout.ms=5000", *arguments]
    return subprocess.run(command, input=records, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=PATIENCE_S)


def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it never came true")
        time.sleep(0.1)


class Case(unittest.TestCase):
    def setUp(self):
        # What a cluster leaves behind would lie here.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        previous, tempfile.tempdir = tempfile.tempdir, folder.name
        self.addCleanup(setattr, tempfile, "tempdir", previous)

    def produce(self, bootstrap, topic, *records):
        # Idempotent: what is sent again because an answer came late is there once.
        result = kcat("-P", "-b", bootstrap, "-t", topic, "-p", "0", "-X", "enable.idempotence=true",
                      "-X", "request.timeout.ms=5000", records="\n".join(records) + "\n")
        self.assertEqual(result.returncode, 0, result.stderr)

    def consume(self, bootstrap, topic):
        result = kcat("-C", "-e", "-o", "beginning", "-b", bootstrap, "-t", topic)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.split()


class ThreeBrokers(Case):
    def test_records_outlive_brokers(self):
        with kafka.Cluster("4", brokers=3) as cluster:
            cluster.create_topic("t", partitions=1, replication=3, config={"retention.ms": 600000})
            self.produce(cluster.bootstrap, "t", "one")
            with self.assertRaisesRegex(kafka.KafkaError, "already exists"):
                cluster.create_topic("t")
            with self.assertRaisesRegex(kafka.KafkaError, "(?i)replication factor"):
                cluster.create_topic("u", replication=4)
            with self.assertRaisesRegex(kafka.KafkaError, "retention.ms"):
                cluster.create_topic("u", config={"retention.ms": "often"})
            cluster.kill(2)
            self.assertEqual(cluster.running(), [1, 3])
            self.produce(cluster.bootstrap, "t", "two")
            cluster.start(2)
            cluster.pause(3)
            self.assertEqual(cluster.running(), [1, 2])
            self.produce(cluster.bootstrap, "t", "three")
            cluster.resume(3)
            cluster.stop(1)
            self.produce(cluster.bootstrap, "t", "four")
            cluster.kill()
            self.assertEqual(cluster.running(), [])
            cluster.start()
            self.assertEqual(cluster.running(), [1, 2, 3])
            # The paused broker may be asked what it does not know yet, so the answer is awaited.
            wanted, there = ["one", "two", "three", "four"], []
            def all_there():
                there[:] = self.consume(cluster.bootstrap, "t")
                return there == wanted
            try:
                until(all_there)
            except AssertionError:
                self.assertEqual(there, wanted)
        self.assertEqual(os.listdir(self.folder), [])


class OneBroker(Case):
    def test_credentials_and_authorizer(self):
        """As the tests of credentials use it: SCRAM on a second port, and nothing allowed that no ACL allows."""
        settings = {"listener.name.sasl_plaintext.sasl.enabled.mechanisms": "SCRAM-SHA-256",
                    "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config":
                        "org.apache.kafka.common.security.scram.ScramLoginModule required;",
                    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                    "super.users": "User:ANONYMOUS;User:admin"}
        with kafka.Cluster("3.9", listeners=("SASL_PLAINTEXT",), settings=settings,
                           scram={"admin": "secret", "guest": "secret"}) as cluster:
            cluster.create_topic("t")
            def ask(user, password):
                return kcat("-C", "-e", "-b", cluster.bootstrap_of("SASL_PLAINTEXT"), "-t", "t", "-X", "security.protocol=sasl_plaintext",
                            "-X", "sasl.mechanism=SCRAM-SHA-256", "-X", f"sasl.username={user}", "-X", f"sasl.password={password}")
            self.assertEqual(ask("admin", "secret").returncode, 0)
            self.assertIn("authorization failed", ask("guest", "secret").stderr)
            self.assertNotEqual(ask("admin", "wrong").returncode, 0)
            self.assertIn("invalid credentials", cluster.log(1))

    def test_refused_settings(self):
        def start(**settings):
            with kafka.Cluster("4", settings=settings):
                self.fail("it started")
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            self.assertRaisesRegex(kafka.KafkaError, "num.io.threads", start, **{"num.io.threads": 0})
            self.assertRaisesRegex(kafka.KafkaError, "broker 1 ended with 1", start, **{"authorizer.class.name": "Missing"})
        self.assertIn("ClassNotFoundException: Missing", told.getvalue())
        self.assertEqual(os.listdir(self.folder), [])

    def test_command_line(self):
        environment = {**os.environ, "TMPDIR": self.folder}
        script = [sys.executable, os.path.join(kafka.HERE, "kafka.py"), "run"]
        result = subprocess.run([*script, "--", "sh", "-c", "kcat -q -L -b $BACKSTREAM_KAFKA && exit 3"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertRegex(result.stdout, r"(?m)^ 1 brokers:$")
        self.assertIn("last lines of its log", result.stderr)
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual(subprocess.run([*script, "--version", "2.8", "--", "true"], stderr=subprocess.DEVNULL).returncode, 1)

        # Killed, it cannot tidy up, but no broker outlives it.
        process = subprocess.Popen([*script, "--", "sh", "-c", "echo runs; exec sleep 1000"], stdout=subprocess.PIPE, text=True,
                                   env=environment)
        self.assertIn("brokers on", process.stdout.readline())
        self.assertEqual(process.stdout.readline(), "runs\n")  # Before, it would outlive us, and hold our standard error.
        broker, = self.brokers()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        until(lambda: not os.path.exists(f"/proc/{broker}"))

    def brokers(self):
        """Process ids of those whose folder is ours."""
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            with contextlib.suppress(OSError), open(path) as file:
                if "kafka.Kafka\0" + self.folder in file.read():
                    found.append(int(path.split("/")[2]))
        return found


def main():
    if why := next(filter(None, map(kafka.missing, kafka.versions())), None):
        print(f"skipped: {why}")
        return kafka.SKIPPED
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
