#!/usr/bin/env python3
"""backstream demo: the whole deployment in one process, which checks its own answers. Here: that it says what happens."""
import os
import re
import signal
import sys

import harness
import terminal

ALERT = re.compile(r"^ALERT (\w+): (\S+ tried )\d+( ports of \S+ in 10 s) \(demo_sweep, page; window until "
                   r"[\d:]+, webhook called at [\d:]+\)$")
WINDOW = re.compile(r"^window (\S+) to (\S+): (?:revision (\d+), )?([\d,]+) rows, \S+ \S+bit/s, (\d/3) PoPs(.*)$")


class Demo(harness.Case):
    def environment(self):
        return {**os.environ, "TMPDIR": self.folder}

    def test_a_pop_that_is_cut_off_is_missing_and_its_return_is_a_revision(self):
        result = self.run_backstream("demo", timeout=300, env=self.environment())
        said = result.stdout.splitlines()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(said[-1], "PASS", result.stdout)
        self.assertTrue(said[0].startswith("ok bus      in-process (a real deployment uses Kafka"), said[0])
        self.assertEqual(os.listdir(self.folder), [], "nothing is left")
        # In its order: cut off, a window without it, back, the same window with it.
        newest, missing, place = {}, {}, []
        for line in said:
            window = WINDOW.match(line)
            if re.match(r"0:35 pop-rio is cut off", line):
                place.append("cut")
            elif re.match(r"\d:\d\d pop-rio is back", line):
                place.append("back")
            elif window:
                start, _, revision, rows, pops, rest = window.groups()
                self.assertEqual(int(revision or 1), int(start in newest) + 1, line)
                newest[start] = rest
                if pops == "2/3":
                    self.assertTrue(rest.startswith(", missing pop-rio"), line)
                    self.assertEqual(place, ["cut"], line)
                    missing[start] = int(rows.replace(",", ""))
                else:
                    self.assertEqual(pops, "3/3", line)
                    if start in missing:
                        self.assertEqual(place, ["cut", "back"], line)
                        self.assertGreater(int(rows.replace(",", "")), missing[start], line)
        self.assertEqual(place, ["cut", "back"])
        self.assertGreater(len(missing), 0, result.stdout)
        self.assertGreaterEqual(len(newest), 4, result.stdout)
        for start, rest in newest.items():
            self.assertTrue(rest.startswith(", = truth"), (start, rest))
        self.assertIn(f"({len(missing)} after a revision), 0 differ, 0 with drops", result.stdout)
        # The attack is one alert, told by a window that begins no later than the one after that in which it began.
        alerts = [ALERT.match(line) for line in said if line.startswith("ALERT")]
        self.assertNotIn(None, alerts, result.stdout)
        self.assertEqual([alert[1] for alert in alerts], ["firing", "resolved"], result.stdout)
        self.assertEqual([alert[2] for alert in alerts], [alerts[0][2]] * 2, "of one pair of addresses")
        self.assertRegex(result.stdout, r"(?m)^alerts: 1 raised, 1 resolved; .*: told by the window that ended "
                                        r"(\d|1\d|20)\.\d s after that began$")
        self.assertIn("site pop-rio is absent: windows close without it", result.stderr)

    def test_on_a_terminal_one_screen_is_redrawn_until_it_is_stopped(self):
        demo = terminal.Terminal([harness.BINARY, "demo"], columns=130, rows=45, environment=self.environment())
        self.addCleanup(demo.close)
        demo.expect(r"\d\d to [\d:]+: [^\n]* 3/3 PoPs, = truth", 60)
        demo.expect(r"\x1b\[J", 10)
        screen = demo.screen()
        self.assertEqual(screen.unknown, [])
        server = re.search(r"(?:api|console) (http://[\d.:]+)", screen.text())[1]
        demo.expect(r"ALERT [\d:]+: \S+ tried \d+ ports of \S+ in 10 s", 60)
        listed = self.run_backstream("alert", "list", "--server", server)
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertRegex(listed.stdout, r"(?m)^[0-9a-f]{16}  firing  page +demo_sweep  ")
        self.assertRegex(self.run_backstream("status", "--server", server).stdout, r"(?m)^history +[\d.]+ .*octets, from ")
        # All nodes run what somebody asks meanwhile, and no longer than he reads it.
        asked = self.run_backstream("sql", "--server", server, "-o", "csv", "--windows", "2", "-c",
                                    "SELECT site, count(*) > 100 AS many FROM tumble(flows, received_at, interval '2 s') "
                                    "GROUP BY window_start, site")
        self.assertEqual(asked.returncode, 0, asked.stderr)
        for pop in ("pop-sao", "pop-rio", "pop-man"):
            self.assertIn(f"{pop},t", asked.stdout, asked.stderr)
        told = self.run_backstream("audit", "--server", server).stdout
        self.assertRegex(told, r"(?m)read +query +~[0-9a-f]+ ")
        self.assertRegex(told, r"(?m)read no more +query +~[0-9a-f]+ ")
        self.assertTrue(screen.lines[0], "it begins at the top")
        self.assertRegex(screen.text(), r"^BackStreamDB demo .* 3/3 PoPs")
        self.assertRegex(screen.text(), r"(?m)^  log: site pop-\w+ is waited for from now on$")
        self.assertNotRegex(screen.text(), r"(?m)^(site|partitions|backstream:) ", "what nodes say stays in its place")
        demo.process.send_signal(signal.SIGINT)
        self.assertEqual(demo.wait(60), 0, demo.output[-2000:])
        self.assertEqual(os.listdir(self.folder), [], "nothing is left")


if __name__ == "__main__":
    sys.exit(harness.main())
