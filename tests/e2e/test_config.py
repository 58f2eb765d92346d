#!/usr/bin/env python3
"""backstream config check and show, and the layers that they, and run, read."""
import itertools
import json
import os
import re
import subprocess
import tomllib

import harness


class ConfigCase(harness.Case):
    def setUp(self):
        super().setUp()
        # Nothing of the machine's own, such as BACKSTREAM_CAPTURES of whoever runs the tests.
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("BACKSTREAM", "STATE_DIRECTORY", "XDG_", "CREDENTIALS_"))}

    def config(self, *arguments, **variables):
        return self.run_backstream("config", *arguments, env={**self.environment, **variables})

    def good(self, *arguments, **variables):
        result = self.config(*arguments, **variables)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def folder_of(self, name):
        os.makedirs(self.path(name), exist_ok=True)
        return self.path(name)


class Check(ConfigCase):
    def test_ok_counts_settings_and_files(self):
        self.write("node.toml", "[watermark]\ndelay = '30 s'\n[node]\nsite = 'ams'\n")
        self.assertEqual(self.good("check", "--config", "node.toml"), "ok: 2 settings from 1 file\n")
        self.folder_of("conf.d")
        self.write("conf.d/10-site.toml", "[node]\nsite = 'fra'\n")
        self.write("conf.d/20-empty.toml", "")
        self.assertEqual(self.good("check", "--config", "node.toml", "--set", "exec.batch_rows=7",
                                   BACKSTREAM_PLAN__SHARE="false", BACKSTREAM_WATERMARK__DELAY="31s"),
                         "ok: 1 setting from 3 files, 2 from the environment, 1 from --set\n")

    def told(self, *arguments, **variables):
        result = self.config("check", *arguments, **variables)
        self.assertEqual((result.returncode, result.stdout), (3, ""))
        return result.stderr

    def told_of(self, text, *arguments):
        self.write("node.toml", text)
        return self.told("--config", "node.toml", *arguments)

    def test_every_mistake_has_its_line_column_caret_and_hint(self):
        duration = "it takes a duration with its unit, such as '75 s' or '500 ms', 0 to 30 d"
        cases = [
            ("[watermark]\ndelai = '1 s'\n", 2, 1, "unknown setting 'watermark.delai'", "delai", "did you mean 'watermark.delay'?"),
            ("[watermrk]\ndelay = '1 s'\n", 1, 2, "unknown section 'watermrk'", "watermrk", "did you mean 'watermark'?"),
            ("[watermark]\ndelay = 75\n", 2, 9, "setting 'watermark.delay' cannot be '75'", "75", duration),
            ("# São\n[watermark]\n\"delay\" = \"é 31 d\"\n", 3, 11, "setting 'watermark.delay' cannot be 'é 31 d'", '"é 31 d"', duration),
            ("[decode]\n\tbiflow = 'both'\n", 2, 11, "setting 'decode.biflow' cannot be 'both'", "'both'", "it takes one of split|forward"),
            ("[ingest]\nallow = ['10.0.0.0/8',\n  'fra-1']\n", 3, 3, "setting 'ingest.allow' cannot have 'fra-1'", "'fra-1'",
             "it takes addresses and prefixes, such as '192.0.2.0/24, 2001:db8::/32'; in TOML a list of texts"),
            ("[ingest]\nsockets = 257\n", 2, 11, "setting 'ingest.sockets' cannot be '257'", "257", "it takes a whole number, 1 to 256"),
            ("[node]\nroles = ['edge', 'egde']\n", 2, 18, "setting 'node.roles' cannot have 'egde'", "'egde'", "did you mean 'edge'?"),
            ("[node]\nroles = ['edge', 'edge']\n", 2, 18, "setting 'node.roles': 'edge' is there twice", "'edge'",
             "it takes edge, merge and receiver"),
            ("[node]\nroles = []\n", 2, 9, "setting 'node.roles': a node without a role does nothing", "[]",
             "it takes edge, merge and receiver"),
            ("[node]\nname = ''\n", 2, 8, "setting 'node.name' cannot be ''", "''", "it takes 1 to 253 letters, digits, '.', '_' and '-'"),
            ("[node]\nsite = 1.5\n", 2, 8, "setting 'node.site' cannot be (neither string, integer nor boolean)", "1.5", "it takes a text"),
            ("[listen]\nflow = ['tcp://127.0.0.1:1']\n", 2, 9, "setting 'listen.flow' cannot have 'tcp://127.0.0.1:1'",
             "'tcp://127.0.0.1:1'", "it takes udp://HOST:PORT, such as 'udp://[::]:2055'; in TOML a list of texts"),
            ("[listen]\nflow = 'udp://[::1]:1, udp://[0::1]:1'\n", 2, 8, "setting 'listen.flow': 'udp://[::1]:1' is there twice",
             "'udp://[::1]:1, udp://[0::1]:1'", "it takes udp://HOST:PORT, such as 'udp://[::]:2055'; in TOML a list of texts"),
            ("[listen]\nflow = ['udp://[::]:2055']\n", 2, 8,
             "'udp://[::]:2055' can be reached from outside, and ingest.allow does not say who is heard", "['udp://[::]:2055']",
             "set ingest.allow to the addresses of your routers, such as ['192.0.2.0/24', '2001:db8::/32']"),
            ("[http]\nlisten = 'http://192.0.2.1:80'\n", 2, 10,
             "'http://192.0.2.1:80' can be reached from outside, without encryption", "'http://192.0.2.1:80'",
             "write https:// and set http.certificate and http.key, listen on 127.0.0.1 behind a proxy, or set http.allow_insecure = true"),
            ("[http]\nlisten = 'https://127.0.0.1:80'\nkey = 'a'\n", 2, 10, "'https://127.0.0.1:80' needs a certificate and its key",
             "'https://127.0.0.1:80'", "set http.certificate and http.key to files (PEM)"),
            ("[http]\nkey = 'a.pem'\n", 2, 7, "'http://127.0.0.1:8844' uses no certificate", "'a.pem'", "write https:// in http.listen"),
            ("[http]\norigins = ['https://noc.example/']\n", 2, 12, "setting 'http.origins' cannot have 'https://noc.example/'",
             "'https://noc.example/'", "it takes origins without a path, such as 'https://noc.example'; in TOML a list of texts"),
            ("[access]\ngrants = ['alice=admn']\n", 2, 11, "setting 'access.grants': there is no role 'admn'", "'alice=admn'",
             "did you mean 'admin'?"),
            ("[access]\nproxy_addresses = ['0.0.0.0/0']\n", 2, 20,
             "setting 'access.proxy_addresses': whoever is a proxy says who asks: that cannot be every address", "'0.0.0.0/0'",
             "it takes addresses and prefixes, such as '127.0.0.1, 2001:db8::7'; in TOML a list of texts"),
            ("[http]\nlisten = '127.0.0.1:80'\n", 2, 10, "setting 'http.listen' cannot be '127.0.0.1:80'", "'127.0.0.1:80'",
             "it takes http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:8844"),
            ("[state]\nfolder = 'var'\n", 2, 10, "setting 'state.folder' cannot be 'var'", "'var'",
             "it takes the whole name of a folder, from / on"),
            ("[forward]\na = 'udp://*:1'\n", 2, 5, "setting 'forward.a' cannot be 'udp://*:1'", "'udp://*:1'",
             "it takes udp://HOST:PORT, for example udp://192.0.2.10:2055"),
            ("[exporter.'10.0.0.0/33']\ndelay = '1 s'\n", 2, 1, "'10.0.0.0/33' is neither an address nor a prefix", "delay",
             "exporter.192.0.2.0/24.delay; in TOML: [exporter.\"192.0.2.0/24\"] delay = ..."),
            ("watermark = 1\n", 1, 1, "'watermark' is a section, no setting", "watermark", "[watermark] begins it"),
        ]
        for text, line, column, message, under, hint in cases:
            with self.subTest(text):
                excerpt = text.split("\n")[line - 1]
                before = "".join("\t" if c == "\t" else " " for c in excerpt[:column - 1])
                self.assertEqual(self.told_of(text),
                                 f"node.toml:{line}:{column}: error: {message}\n{line:5} | {excerpt}\n"
                                 f"      | {before}^{'~' * (len(under) - 1)} hint: {hint}\n")

    def test_a_secret_in_the_wrong_place_is_not_repeated(self):
        told = self.told_of("[access]\nadmin_token = 'hush'\n")
        self.assertIn("node.toml:2:1: error: 'access.admin_token' is a secret", told)
        self.assertIn("access.admin_token_file names a file that holds it", told)
        self.assertNotIn("hush", told)

    def test_who_may_ask_is_checked(self):
        self.write("node.toml", "[access]\ngrants = ['a=viewer']\nfilters = [\"a=site IN ('ams', 'fra')\"]\n")
        self.good("check", "--config", "node.toml")
        for more, message in ((("access.filters=a=site IN",), "the filter of 'a' in access.filters"),
                              (("access.filters=a=site IN (SELECT 1)",), "subqueries"),
                              (("access.grants=a=admin",), "'a' is admin by access.grants and has a row filter")):
            sets = [word for assignment in more for word in ("--set", assignment)]
            result = self.config("check", "--config", "node.toml", *sets)
            self.assertEqual(result.returncode, 3, result.stderr)
            self.assertIn(message, result.stderr)

    def test_texts_that_are_no_toml(self):
        for text, place in (("[watermark\n", "node.toml:1:"), ("[node]\nsite = 'a\n", "node.toml:2:"),
                            ("[node]\nsite = 'a'\nsite = 'b'\n", "node.toml:3:"), ("\x01", "node.toml:1:1:")):
            self.assertTrue(self.told_of(text).startswith(place), text)

    def test_all_mistakes_of_all_layers(self):
        self.write("node.toml", "[exec]\nbatch_rows = 0\nbatch_row = 1\n")
        self.folder_of("conf.d")
        self.write("conf.d/a.toml", "[plan]\nshare = 'so-so'\n")
        errors = self.told("--config", "node.toml", "--set", "ingest.sockets=none", "--set", "ingest.sockets",
                           BACKSTREAM_WATERMARK__DELAY="soon")
        self.assertEqual(re.findall(r"^(\S+): error: (.*)$", errors, re.M), [
            ("node.toml:2:14", "setting 'exec.batch_rows' cannot be '0'"),
            ("node.toml:3:1", "unknown setting 'exec.batch_row'"),
            ("conf.d/a.toml:2:9", "setting 'plan.share' cannot be 'so-so'"),
            ("environment:1:29", "setting 'watermark.delay' cannot be 'soon'"),
            ("--set:1:16", "setting 'ingest.sockets' cannot be 'none'"),
            ("--set:1:1", "'ingest.sockets' assigns nothing")])

    def test_files_that_cannot_be_read(self):
        self.assertEqual(self.told("--config", "absent.toml"), "error: cannot read 'absent.toml': No such file or directory\n")
        self.folder_of("conf.d/x.toml")
        self.write("node.toml", "")
        self.assertEqual(self.told("--config", "node.toml"), "error: cannot read 'conf.d/x.toml': Is a directory\n")
        self.assertEqual(self.told("--config", ""), "error: cannot read '': No such file or directory\n")
        self.assertIn("more than 1024 KiB", self.told("--config", "/dev/zero"))

    def test_nothing_is_opened(self):
        # Neither the sockets nor the files nor the folder that settings name.
        self.write("node.toml", f"[listen]\nflow = ['udp://192.0.2.1:2055']\n[ingest]\nallow = ['::/0']\n[inventory]\n"
                                f"sites = 'absent.csv'\n[state]\nfolder = '{self.path('state')}'\n")
        self.assertEqual(self.good("check", "--config", "node.toml"), "ok: 4 settings from 1 file\n")
        self.assertEqual(os.listdir(self.folder), ["node.toml"])

    def test_unknown_variables_are_warned_about(self):
        self.write("node.toml", "")   # The machine may have a file of its own.
        result = self.config("check", "--config", "node.toml", BACKSTREAM_EGDE__LISTENER="x", BACKSTREAM_WATERMARK__DELAI="1s", BACKSTREAM_FORWARD__A="y",
                             HOME="/nowhere")
        self.assertEqual((result.returncode, result.stdout), (0, "ok: 0 settings from 1 file\n"))
        start = "backstream: warning: variable "
        self.assertEqual(sorted(result.stderr.splitlines()), [
            start + "BACKSTREAM_EGDE__LISTENER is no setting and has no effect; settings are named BACKSTREAM_SECTION__KEY",
            start + "BACKSTREAM_FORWARD__A is no setting and has no effect; "
                    "exporter.PREFIX, forward.NAME, server.NAME, notify.NAME, column.NAME and kafka.property.NAME are set by a file or --set",
            start + "BACKSTREAM_WATERMARK__DELAI is no setting and has no effect; did you mean BACKSTREAM_WATERMARK__DELAY?"])

    def test_flags(self):
        for arguments, hint in ((["chekc"], "did you mean 'check'?"), (["show", "-o", "yaml"], "-o toml or json"),
                                (["check", "--origin"], "backstream config check --help lists the flags"),
                                (["check", "node.toml"], "backstream config check --help lists the flags")):
            result = self.config(*arguments)
            self.assertEqual((result.returncode, result.stdout), (2, ""), arguments)
            self.assertIn(hint, result.stderr)
        self.assertEqual(self.config().returncode, 2)
        for arguments in (["--help"], ["check", "--help"], ["show", "--help"]):
            help_text = self.good(*arguments)
            head = help_text.split("Usage:")[0]
            self.assertEqual(head.count("\n  backstream config "), 3, head)


class Show(ConfigCase):
    def test_precedence(self):
        """Of every set of layers the last one wins, and is named."""
        layers = ("file", "conf.d", "environment", "--set")
        for count in range(len(layers) + 1):
            for given in itertools.combinations(layers, count):
                with self.subTest(given):
                    folder = self.folder_of("-".join(given) or "none")
                    with open(os.path.join(folder, "node.toml"), "w") as file:
                        file.write("# first\n[watermark]\ndelay = '1 s'\n" if "file" in given else "")
                    if "conf.d" in given:
                        os.makedirs(os.path.join(folder, "conf.d"))
                        for name, delay in (("b.toml", "3 s"), ("a.toml", "2 s"), ("c.txt", "4 s")):
                            with open(os.path.join(folder, "conf.d", name), "w") as file:
                                file.write(f"[watermark]\ndelay = '{delay}'\n")
                    expected = {"file": ("1 s", f"{folder}/node.toml:3"), "conf.d": ("3 s", f"{folder}/conf.d/b.toml:2"),
                                "environment": ("5 s", "environment"), "--set": ("7 s", "--set")}
                    value, origin = expected[given[-1]] if given else ("75 s", "default")
                    shown = json.loads(self.good(
                        "show", "--origin", "-o", "json", "--config", f"{folder}/node.toml",
                        *(["--set", "watermark.delay=6s", "--set", "watermark.delay=7s"] if "--set" in given else []),
                        **({"BACKSTREAM_WATERMARK__DELAY": "5s"} if "environment" in given else {})))
                    self.assertEqual(shown["watermark.delay"], {"value": value, "origin": origin})
                    self.assertEqual(shown["watermark.max_skew"]["origin"], "default")

    WHOLE = """[decode]
state_file = 'a "quoted" \\ name é'
template_wait = 0
[node]
name = "pop-1"
roles = ["receiver", "edge"]
[ingest]
allow = ["192.0.2.7/24", "2001:DB8::1/32"]
[listen]
flow = ["udp://[0::0]:2055"]
[column]
zz = "9/12232 string"
aa = "40001 unsigned32"
[forward]
z = "udp://192.0.2.10:9995"
[forward.a]
to = "udp://[2001:db8::10]:2055"
ports = [2055, 4739]
spoof = false
[exporter."10.1.2.3/16"]
delay = "90 s"
sampling_rate = 1000
site = "ams"
[exporter."2001:db8::7"]
identity = "agent"
"""

    def test_what_is_shown_is_a_file_that_shows_the_same(self):
        self.write("node.toml", self.WHOLE)
        first = self.good("show", "--config", "node.toml", "--set", "exporter.192.0.2.1.delay=1500 ms",
                          BACKSTREAM_INGEST__RECEIVE_BUFFER="1234567")
        self.write("shown.toml", first)
        self.assertEqual(self.good("show", "--config", "shown.toml"), first)
        with_origins = self.good("show", "--origin", "--config", "shown.toml")
        self.write("origins.toml", with_origins)
        self.assertEqual(self.good("show", "--config", "origins.toml"), first)
        # Another reader of TOML finds the same in it, and in the JSON.
        shown = tomllib.loads(first)
        self.assertEqual(shown["decode"]["state_file"], 'a "quoted" \\ name é')
        self.assertEqual(shown["ingest"], {**shown["ingest"], "allow": ["192.0.2.0/24", "2001:db8::/32"],
                                           "receive_buffer": "1234567"})
        self.assertEqual(shown["node"]["roles"], ["edge", "receiver"])
        self.assertEqual(shown["forward"]["a"], {"to": "udp://[2001:db8::10]:2055", "spoof": False, "ports": [2055, 4739],
                                                 "queue": "16 MiB"})
        self.assertEqual(list(shown["forward"]), ["z", "a"])
        self.assertEqual(list(shown["column"]), ["zz", "aa"])
        self.assertEqual(shown["exporter"], {"10.1.0.0/16": {"delay": "90 s", "sampling_rate": 1000, "site": "ams"},
                                             "2001:db8::7": {"identity": "agent"}, "192.0.2.1": {"delay": "1500 ms"}})

        def flat(table, prefix=""):
            for key, value in table.items():
                yield from flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
        self.assertEqual(json.loads(self.good("show", "-o", "json", "--config", "shown.toml")), dict(flat(shown)))

    def test_origins_point_to_the_lines(self):
        self.write("node.toml", self.WHOLE)
        shown = json.loads(self.good("show", "--origin", "-o", "json", "--config", "node.toml", "--set", "column.aa=1 string"))
        lines = self.WHOLE.splitlines()
        for key, text in (("decode.state_file", "state_file"), ("ingest.allow", "allow"), ("column.zz", "zz"), ("forward.z.to", "z ="),
                          ("forward.a.ports", "ports"), ("exporter.10.1.0.0/16.site", "site"),
                          ("exporter.2001:db8::7.identity", "identity")):
            line = next(number for number, entry in enumerate(lines, 1) if entry.startswith(text))
            self.assertEqual(shown[key]["origin"], f"node.toml:{line}", key)
        self.assertEqual(shown["column.aa"], {"value": "1 string", "origin": "--set"})
        self.assertEqual(shown["forward.z.spoof"], {"value": True, "origin": "default"})

    def test_defaults_fit_the_machine(self):
        self.write("node.toml", "")

        def state(**variables):
            shown = json.loads(self.good("show", "-o", "json", "--config", "node.toml", **variables))
            self.assertEqual(shown["listen.flow"], [f"udp://127.0.0.1:{port}" for port in (2055, 4739, 6343)])
            self.assertEqual(shown["http.listen"], "http://127.0.0.1:8844")
            self.assertEqual(shown["node.name"], os.uname().nodename)
            return shown["state.folder"]
        own = "/var/lib/backstream" if os.geteuid() == 0 else "/x/backstream"
        self.assertEqual(state(XDG_STATE_HOME="/x"), own)
        self.assertEqual(state(STATE_DIRECTORY="/var/lib/unit", XDG_STATE_HOME="/x"), "/var/lib/unit")

    def test_wrong_settings_are_not_shown(self):
        self.write("node.toml", "")
        result = self.config("show", "--config", "node.toml", "--set", "watermark.delay=soon")
        self.assertEqual((result.returncode, result.stdout), (3, ""))
        self.assertTrue(result.stderr.startswith("--set:1:17: error: "), result.stderr)

    def test_output_that_goes_nowhere(self):
        show = [harness.BINARY, "config", "show", "--config", self.write("node.toml", "")]
        with open("/dev/full", "w") as full:
            result = subprocess.run(show, env=self.environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(result.returncode, 1)
        self.assertIn("No space left", result.stderr)
        with subprocess.Popen(show, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.close()
            self.assertEqual((process.wait(timeout=60), process.stderr.read()), (0, b""))


class Run(ConfigCase):
    """The same layers, but for the machine's own file."""

    def test_layers(self):
        self.write("node.toml", "[watermark]\ndelay = 'soon'\nidle_timeout = 1\n")
        self.folder_of("conf.d")
        self.write("conf.d/a.toml", "[exec]\nbatch_rows = 0\n")
        result = self.run_backstream("run", "--config", "node.toml", "-e", "SELECT 1", "--set", "plan.share=x",
                                     env={**self.environment, "BACKSTREAM_PLAN__REWRITES": "y", "BACKSTREAM_SECTION": "z"})
        self.assertEqual((result.returncode, result.stdout), (3, ""))
        self.assertEqual(re.findall(r"^(\S+): error: ", result.stderr, re.M),
                         ["node.toml:2:9", "node.toml:3:16", "conf.d/a.toml:2:14", "environment:1:27", "--set:1:12"])
        self.assertIn("warning: variable BACKSTREAM_SECTION is no setting", result.stderr)

    def test_a_replay_with_the_file_of_a_daemon(self):
        capture = self.path("a.pcap")
        subprocess.run([harness.BINARY, "generate", "--pcap", capture, "--records", "100"], check=True, stderr=subprocess.DEVNULL)
        self.write("node.toml", Show.WHOLE)
        result = self.run_backstream("run", "--config", "node.toml", "--pcap", capture, "-o", "csv", "-e",
                                     "SELECT window_start, count(*) AS n FROM tumble(flows, time, interval '1 h') GROUP BY 1",
                                     env=self.environment)
        self.assertEqual(result.returncode, 0, result.stderr)


if __name__ == "__main__":
    raise SystemExit(harness.main())
