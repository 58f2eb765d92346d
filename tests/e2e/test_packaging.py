"""What is shipped beside the program is what other programs take: the unit of systemd, the rules of Prometheus."""
import os
import re
import shutil
import subprocess
import unittest

import harness

PACKAGING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging")


def text_of(name):
    with open(os.path.join(PACKAGING, name)) as file:
        return file.read()


class Unit(harness.Case):
    unit = "systemd/backstream.service"

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not here")
    def test_exposure_is_at_most_2(self):
        result = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20",
                                 os.path.join(PACKAGING, self.unit)],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertRegex(result.stdout, r"Overall exposure level for backstream.service: [0-2]\.[0-9]")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not here")
    def test_systemd_knows_every_line(self):
        # The programs that it names are not installed here, so what is verified starts others.
        unit = re.sub(r"^(ExecStart=)\S+.*$", r"\g<1>/bin/true", text_of(self.unit), flags=re.M)
        unit = re.sub(r"^Documentation=.*\n", "", unit, flags=re.M)
        result = subprocess.run(["systemd-analyze", "verify", "--man=no", self.write("backstream.service", unit)],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        told = [line for line in result.stdout.splitlines() if "backstream.service:" in line]
        self.assertEqual(told, [])

    def test_it_is_told_when_ready_and_reloads(self):
        unit = text_of(self.unit)
        for line in ("Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "StateDirectory=backstream", "WatchdogSec=60"):
            self.assertIn(f"\n{line}\n", unit)


class Rules(harness.Case):
    rules = "prometheus/backstream.rules.yml"

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not here")
    def test_prometheus_takes_them(self):
        result = subprocess.run(["promtool", "check", "rules", os.path.join(PACKAGING, self.rules)],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_every_alert_says_what_and_how_to_mend_it(self):
        rules = text_of(self.rules).split("- alert: ")[1:]
        self.assertGreaterEqual(len(rules), 10)
        for rule in rules:
            for key in ("expr: ", "labels: {severity: ", "summary: ", "description: "):
                self.assertIn(key, rule)


if __name__ == "__main__":
    raise SystemExit(harness.main())
