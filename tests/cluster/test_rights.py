#!/usr/bin/env python3
"""Kafka as it is run: TLS, users with passwords, and for each role the rights that docs/operations.md names and no others. Topics are
made by the operator. What is missing or wrong is named with what mends it, and stops nothing else."""
import collections
import os
import re
import shlex
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import kafka    # noqa: E402
import nodes    # noqa: E402
from nodes import MATRIX  # noqa: E402

ROLES = ["edge", "merge", "receiver"]
PASSWORD = "not-that-secret"


def documented_commands():
    """Of docs/operations.md, the commands of the operator: words of each."""
    with open(os.path.join(HERE, "..", "..", "docs", "operations.md")) as file:
        text = file.read().replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if re.match(r"kafka-(topics|acls)\.sh ", line)]


def arguments_of(words):
    """{flag: [values]}, flags without a value have []"""
    found, flag = collections.defaultdict(list), ""
    for word in words:
        if word.startswith("--"):
            flag = word
            found[flag]  # It is there.
        else:
            found[flag].append(word)
    return found


class Rights(nodes.Case):
    def make_cluster(self):
        self.make_certificates()
        # A user for each role, and some that each lack something.
        self.users = [*ROLES, *(f"user{number}" for number in range(20))]
        return kafka.Cluster(self.version, listeners=("SASL_SSL",), scram={user: PASSWORD for user in self.users}, settings={
            "listener.name.sasl_ssl.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required "
                + " ".join(f'user_{user}="{PASSWORD}"' for user in self.users) + ";",
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config":
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "listener.name.sasl_ssl.ssl.keystore.type": "PEM",
            "listener.name.sasl_ssl.ssl.keystore.location": self.path("broker.pem"),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS"})  # Who comes by the port without TLS: the broker itself, and this test.

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def make_certificates(self):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        for name in ("ca", "other-ca"):
            self.openssl("req", "-x509", *key, "-keyout", name + ".key", "-out", name + ".pem", "-subj", f"/CN={name}", "-days", "2")
        self.openssl("req", *key, "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=broker")
        self.write("names", "subjectAltName=IP:127.0.0.1")
        self.openssl("x509", "-req", "-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                     "-extfile", "names", "-out", "broker.crt")
        with open(self.path("broker.pem"), "w") as both:
            for part in ("broker.key", "broker.crt", "ca.pem"):
                with open(self.path(part)) as file:
                    both.write(file.read())

    def secured(self, user, password=PASSWORD, ca="ca.pem", mechanism="PLAIN"):
        """Settings of a node that signs in."""
        secret = self.write(f"password-of-{user}", password + "\n")
        os.chmod(secret, 0o600)
        return ["kafka.brokers=" + self.cluster.bootstrap_of("SASL_SSL"), "kafka.property.security.protocol=sasl_ssl",
                "kafka.property.ssl.ca.location=" + self.path(ca), "kafka.property.sasl.mechanism=" + mechanism,
                "kafka.property.sasl.username=" + user, "kafka.sasl_password_file=" + secret, "kafka.create_topics=false",
                "watermark.idle_timeout=3s"]

    def as_documented(self, names, prefix="backstream", but=()):
        """Does what the documented commands do. @param names  principal of the documents -> users here
        @param but  (role, operation, name) that is not given"""
        for words in documented_commands():
            tool, arguments = words[0], arguments_of(words[1:])
            renamed = lambda name: prefix + name[len("backstream"):]
            if tool == "kafka-topics.sh":
                config = dict(setting.split("=", 1) for setting in arguments["--config"])
                partitions = 1 if config["cleanup.policy"] == "compact" else 3
                for name in arguments["--topic"]:
                    self.cluster.create_topic(renamed(name), partitions, 1, {**config, "min.insync.replicas": 1})
                continue
            users = [user for principal in arguments["--allow-principal"] for user in names.get(principal.split("-")[-1], ())]
            for resource in ("topic", "group"):
                for name in arguments["--" + resource]:
                    for operation in arguments["--operation"]:
                        for user in users:
                            if (user, operation, name) not in but:
                                self.cluster.allow("User:" + user, operation, resource, renamed(name))

    def warnings(self, node):
        # A broker that has just begun has no number for a producer yet.
        return [line for line in node.lines if re.search("warning|error", line) and "Coordinator load in progress" not in line]

    def test_the_documented_rights_are_enough(self):
        self.as_documented({role: [role] for role in ROLES})
        merge = self.node("merge", *self.secured("merge"), roles="merge")
        shown = self.node("receiver", *self.secured("receiver"), roles="receiver")
        edge = self.node("edge", *self.secured("edge"), roles="edge")
        shown.add("matrix", MATRIX)
        self.runs_at([merge, shown, edge], "matrix")
        router, sent = edge.router(), collections.Counter()
        for _ in range(100):
            router.send(5, src_as=64500)
            sent[64500] += 5
            time.sleep(0.05)
        self.until_counted(shown, sent, "what was sent")
        # A worker saves what it has when it stops, and the next one goes on from it.
        self.assertEqual(merge.end(), 0)
        merge = self.node("merge", *self.secured("merge"), roles="merge")
        router.send(5, src_as=64500)
        sent[64500] += 5
        self.until_counted(shown, sent, "what was sent before and after a worker was restarted")
        for node in (merge, shown, edge):
            self.assertEqual(self.warnings(node), [])
            self.assertNotIn("again from partials", "\n".join(node.lines))

    def test_a_right_that_is_missing_is_named_and_stops_nothing_else(self):
        to_give = lambda user, operation, resource, name: rf"kafka-acls\.sh .*--allow-principal User:{user} --operation {operation} --{resource} {name}"
        # Role, right, what tells it, and whether the process ends by itself.
        cases = [("edge", "Write", "backstream.partials", r"no right to see topic 'backstream\.partials'", True),
                 ("edge", "Write", "backstream.catalog", r"no right Write on topic 'backstream\.catalog'", True),
                 ("edge", "Read", "backstream.catalog", r"no right Read on topic 'backstream\.catalog'", True),
                 ("receiver", "Write", "backstream.catalog", r"no right Write on topic 'backstream\.catalog'", True),
                 ("receiver", "Read", "backstream.results", r"no right to see topic 'backstream\.results'", True),
                 ("merge", "Read", "backstream.merge", r"no right Read on group 'backstream\.merge'", False),
                 ("merge", "Read", "backstream.partials", r"no right Read on topic 'backstream\.partials'", False),
                 ("merge", "Write", "backstream.partials", r"no right Write on topic 'backstream\.partials'", False),
                 ("merge", "Read", "backstream.snapshots", r"cannot be taken over now: .*backstream\.snapshots", False),
                 ("merge", "Write", "backstream.results", r"no right to see topic 'backstream\.results'", True)]
        names = collections.defaultdict(list, {role: [role] for role in ROLES})
        but = []
        for number, (role, operation, name, _, _) in enumerate(cases):
            names[role].append(f"user{number}")
            but.append((f"user{number}", operation, name))
        self.as_documented(names, but=but)
        merge = self.merge(*self.secured("merge"), roles="merge")
        shown = self.node("receiver", *self.secured("receiver"), roles="receiver")
        edge = self.node("edge", *self.secured("edge"), roles="edge")
        shown.add("matrix", MATRIX)
        self.runs_at([merge, shown, edge], "matrix")
        for number, (role, operation, name, pattern, ends) in enumerate(cases):
            with self.subTest(f"{role} without {operation} on {name}"):
                node = self.node(f"n{number}", *self.secured(f"user{number}"), roles=role, wait=False)
                node.said(pattern)
                resource = "group" if name == "backstream.merge" else "topic"
                wanted = "Describe" if "to see" in pattern else operation
                node.said(to_give(f"user{number}", wanted, resource, re.escape(name)))
                if ends:
                    self.assertEqual(node.process.wait(60), 1)
                else:
                    self.assertEqual(node.end(), 0)
                self.assertLess(len(node.lines), 20, node.lines)
                self.assertNotIn(PASSWORD, "\n".join(node.lines))
        router, sent = edge.router(), collections.Counter()
        for _ in range(60):
            router.send(5, src_as=64500)
            sent[64500] += 5
            time.sleep(0.05)
        self.until_counted(shown, sent, "the rest goes on: what was sent")
        # The edge that came as far as the catalog is one that is away.
        for part, _ in self.collect(shown).values():
            self.assertIn("site-n0", part["sites_missing"])

    def test_what_is_wrong_is_named(self):
        self.as_documented({role: [role] for role in ROLES})
        self.as_documented({role: [role] for role in ROLES}, prefix="another")
        # Two deployments.
        for prefix in ("backstream", "another"):
            node = self.node(prefix, *self.secured("receiver"), "kafka.prefix=" + prefix, roles="receiver")
            self.assertEqual(node.end(), 0)
        closed = kafka.Port()
        self.addCleanup(closed.close)
        right = self.secured("receiver")
        wrong = {
            "password": (self.secured("edge", password="another"), r"refuses the credentials", r"kafka\.sasl_password_file"),
            "user": (self.secured("nobody"), r"refuses the credentials", r"kafka\.property\.\"sasl\.username\""),
            "certificate authority": (self.secured("receiver", ca="other-ca.pem"), r"certificate verify failed", r"security\.protocol"),
            "address": ([*right, f"kafka.brokers=127.0.0.1:{closed.number}"], r"does not answer: .*[Cc]onnect", r"kafka\.brokers"),
            "name": ([*right, "kafka.brokers=kafka.invalid:9093"], r"does not answer: .*resolve", r"kafka\.brokers"),
            "protocol": ([*right, "kafka.property.security.protocol=plaintext"], r"does not answer", r"security\.protocol"),
            "port": ([*right, "kafka.brokers=" + self.cluster.bootstrap], r"does not answer: .*SSL", r"security\.protocol"),
            "prefix": ([*right, "kafka.prefix=none"], r"no right to see topic 'none\.catalog'", r"kafka-acls\.sh"),
            "partitions": ([*right, "kafka.partitions=4"], r"topic 'backstream\.\w+' has 3 partitions, not 4", r"kafka\.partitions = 3"),
            "deployment": ([*right, "kafka.prefix=another", "state.folder=" + self.path("backstream")],
                           r"topic 'another\.catalog' is of deployment", r"set another kafka\.prefix")}
        if self.version.startswith("4"):
            wrong["mechanism"] = (self.secured("receiver", mechanism="SCRAM-SHA-256"), r"refuses the credentials",
                                  r"Kafka 4 refuse SCRAM-SHA-256 .*take PLAIN")
        started = {what: self.node(f"wrong-{number}", *settings, roles="receiver", wait=False)
                   for number, (what, (settings, _, _)) in enumerate(wrong.items())}
        for what, node in started.items():
            with self.subTest(what):
                _, message, hint = wrong[what]
                node.process.wait(60)
                node.said(message)
                node.said(hint)
                self.assertEqual(node.process.returncode, 1)
                self.assertNotIn(PASSWORD, "\n".join(node.lines))

    def test_a_sink_names_each_right_that_it_lacks(self):
        """With brokers, a user and a password of its server's own. What it asks for is what the documents name."""
        self.cluster.create_topic("matrix", 2, 1)
        server = [setting.replace("kafka.", "server.bus.", 1) for setting in self.secured("user0")
                  if setting.startswith(("kafka.brokers", "kafka.property", "kafka.sasl"))]
        node = self.serve(*server, "server.bus.type=kafka", "node.name=here", "kafka.timeout=5s", "watermark.idle_timeout=3s")
        node.add("matrix", MATRIX)
        self.command("sql", "-c", "CREATE PUBLICATION out FOR TABLE matrix WITH (server = 'bus')", server=node)
        asked = []

        def give(hint):
            match = re.search(r"kafka-acls\.sh .*--allow-principal User:user0 ((?:--operation \w+ )+)--([\w-]+) (\S+)", hint)
            self.assertTrue(match, hint)
            resource, name = match.group(2), match.group(3)
            for operation in match.group(1).split()[1::2]:
                asked.append((operation, resource, name))
                # By the prefix, as that of a test has another end.
                self.cluster.allow("User:user0", operation, resource, name.removesuffix(".test"), "prefixed")

        for _ in range(5):
            result = self.run_backstream("sink", "test", "out", "--server", f"http://127.0.0.1:{node.port}")
            if result.returncode == 0:
                break
            give(result.stderr)
        self.assertIn("topic 'matrix' has 2 partitions; transactions can be had", result.stdout)
        router = node.router()
        for _ in range(80):
            router.send(5, src_as=64500)
            time.sleep(0.1)
        sink = lambda: node.get("/api/v1/sinks")["sinks"][0]
        self.until(lambda: "--operation Write --operation Read --topic" in (sink()["hint"] or ""), "a record is refused")
        give(sink()["hint"])
        self.until(lambda: sink()["rows"] > 0 and sink()["state"] == "running", "rows are there")
        self.assertEqual(asked, [("Describe", "topic", "matrix"), ("Write", "transactional-id", "backstream.sink.out@here.test"),
                                 ("Read", "group", "backstream.sink.out@here"), ("Write", "topic", "matrix"), ("Read", "topic", "matrix")])
        self.assertEqual(sink()["rows_refused"], 0)
        self.assertEqual(node.end(), 0)
        self.assertNotIn(PASSWORD, "\n".join(node.lines))

    @unittest.skipUnless(nodes.Case.version.startswith("3"), "librdkafka before 2.6.1 has a SCRAM that brokers of Kafka 4 refuse")
    def test_scram(self):
        self.as_documented({role: [role] for role in ROLES})
        for role in ROLES:
            node = self.node(role, *self.secured(role, mechanism="SCRAM-SHA-256"), roles=role)
            self.assertEqual(self.warnings(node), [])


if __name__ == "__main__":
    sys.exit(nodes.main())
