"""`backstream doctor` where no server runs: what it finds on this machine, and its exit codes."""
import json
import os
import socket

import harness


class Doctor(harness.Case):
    def settings(self, more=""):
        port = harness.free_port()
        return self.write("edge.toml", f"""
[listen]
flow = ["udp://127.0.0.1:{port}"]
[http]
listen = "http://127.0.0.1:{harness.free_port()}"
[ingest]
receive_buffer = "64KiB"
[state]
folder = "{self.folder}/state"
{more}"""), port

    def doctor(self, *arguments):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BACKSTREAM_")}
        result = self.run_backstream("doctor", "--json", *arguments, env=environment)
        answer = json.loads(result.stdout)
        return result.returncode, {check["id"]: check for check in answer["checks"]}

    def test_before_the_start_all_can_be_well(self):
        path, _ = self.settings()
        code, checks = self.doctor("--local", "--config", path)
        for check in ("D01", "D02", "D04", "D09", "D21"):
            self.assertEqual(checks[check]["state"], "ok", checks[check])
            self.assertEqual(checks[check]["fix"], "")
        self.assertNotIn("D00", checks)
        states = [check["state"] for check in checks.values()]
        self.assertEqual(code, 2 if "error" in states else 1 if "warning" in states else 0)

    def test_every_fault_is_found_with_its_mend(self):
        path, port = self.settings('receive_more = 1\n')
        code, checks = self.doctor("--local", "--config", path)
        self.assertEqual(code, 2)
        self.assertEqual(checks["D01"]["state"], "error")
        self.assertIn("edge.toml:", checks["D01"]["text"])
        self.assertIn("backstream config check --config", checks["D01"]["fix"])
        _, checks = self.doctor("--local", "--config", self.settings()[0], "--set", "listen.flow=udp://0.0.0.0:0")
        self.assertIn("(set ingest.allow to", checks["D01"]["text"])

        path, port = self.settings()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", port))
            code, checks = self.doctor("--local", "--config", path, "--set", "http.listen=http://0.0.0.0:0",
                                       "--set", "http.allow_insecure=true")
        self.assertEqual(code, 2)
        self.assertEqual(checks["D02"]["state"], "error")
        self.assertIn(f"sport = :{port}", checks["D02"]["fix"])
        self.assertEqual(checks["D21"]["state"], "error")
        code, checks = self.doctor("--local", "--config", path, "--set", "listen.flow=udp://0.0.0.0:0",
                                   "--set", "ingest.allow=0.0.0.0/0")
        self.assertEqual(checks["D04"]["state"], "warning")
        self.assertIn("allow = [", checks["D04"]["fix"])

    def test_a_buffer_that_the_kernel_does_not_grant(self):
        with open("/proc/sys/net/core/rmem_max") as file:
            allowed = int(file.read())
        asked = 1 << 30
        path, _ = self.settings()
        _, checks = self.doctor("--local", "--config", path, "--set", f"ingest.receive_buffer={asked}")
        # With the privilege to (CAP_NET_ADMIN) the limit does not hold.
        if os.geteuid() != 0 and allowed < asked:
            self.assertEqual(checks["D09"]["state"], "warning")
        if checks["D09"]["state"] != "ok":
            self.assertIn(f"sysctl -w net.core.rmem_max={asked}", checks["D09"]["fix"])

    def test_nobody_listens(self):
        path, _ = self.settings()
        code, checks = self.doctor("--config", path, "--server", f"http://127.0.0.1:{harness.free_port()}")
        self.assertEqual(code, 2)
        self.assertEqual(checks["D00"]["state"], "error")
        self.assertIn("systemctl", checks["D00"]["fix"])
        self.assertIn("D18", checks)
        self.assertIn("D02", checks)

    def test_for_people(self):
        path, _ = self.settings()
        result = self.run_backstream("doctor", "--local", "--config", path)
        self.assertRegex(result.stdout, r"(?m)^  ok    D01  settings are valid \(.*edge.toml\)$")
        self.assertRegex(result.stdout.splitlines()[-1], r"^  \d+ checks?: \d+ ok, \d+ warnings?, \d+ errors?$")
        self.assertNotIn("\x1b", result.stdout)

    def test_wrong_flags(self):
        self.assertEqual(self.run_backstream("doctor", "--jsn").returncode, 2)


if __name__ == "__main__":
    raise SystemExit(harness.main())
