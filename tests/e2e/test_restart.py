#!/usr/bin/env python3
"""What a daemon keeps over a stop, a kill and a drain: open windows, and what it says of the time in between."""
import calendar
import signal
import sys
import time

import daemon
import harness

WINDOWS = "SELECT window_start, count(*) AS flows, sum(octets_raw) AS octets FROM tumble(flows, time, interval '4 s') GROUP BY window_start"


class Restart(daemon.Case):
    def send_for(self, node, duration, source="127.0.0.1"):
        """Flows of now, ten every 50 ms: how many, by the window that their time is in."""
        router = node.router(source)
        counts = {}
        end = time.time() + duration
        while time.time() < end:
            at = int(time.time())
            router.send(10, at=at)
            counts[at - at % 4] = counts.get(at - at % 4, 0) + 10
            time.sleep(0.05)
        deadline = time.time() + 60
        while node.get("/api/v1/status")["ingest"]["datagrams"] < router.datagrams:
            self.assertLess(time.time(), deadline)
            time.sleep(0.05)
        router.close()
        return counts

    @staticmethod
    def start_of(window):
        return calendar.timegm(time.strptime(window["window_start"][:19], "%Y-%m-%dT%H:%M:%S"))

    def shown(self, node, name="w"):
        return node.get(f"/api/v1/queries/{name}/results?revisions=true")["windows"]

    def at_begin_of_window(self):
        """Shortly after a window has begun."""
        while not 0.2 < time.time() % 4 < 0.6:
            time.sleep(0.02)

    def test_a_stop_keeps_open_windows_and_emits_nothing(self):
        node = self.serve("watermark.delay=1s")
        node.add("w", WINDOWS)
        node.add("over", "SELECT window_start, flows * 2 AS twice FROM w")
        self.at_begin_of_window()
        self.send_for(node, 5.5)  # One window whole, then a part of the next.
        self.at_begin_of_window()
        stream = node.events("w", backlog=100)
        before = self.send_for(node, 1.5)
        shown = self.shown(node)
        last_id = stream.wait(1)[-1][1]
        last_seq = shown[-1]["seq"]
        self.assertEqual(node.end(), 0)
        events = [e for e in stream.wait(10**6, timeout=20) if e[0] == "rows"]
        self.assertEqual(len(events), len(shown), "a stop sends nothing")

        again = self.serve("watermark.delay=1s")
        again.said(r"open windows of .* are taken up \(it was stopped\)")
        self.assertEqual([q["state"] for q in again.get("/api/v1/queries")["queries"]], ["running", "running"])
        stream = again.events("w", headers={"Last-Event-ID": last_id}.items())
        after = self.send_for(again, 9)
        expected = dict(before)
        for start, flows in after.items():
            expected[start] = expected.get(start, 0) + flows
        windows = {self.start_of(w): w for w in self.shown(again) if w["seq"] > last_seq}
        self.assertGreaterEqual(len(windows), 2)
        for start, window in windows.items():
            self.assertEqual(window["rows"][0][1], expected[start], (start, expected))
        self.assertEqual(windows[max(before)]["complete"], False, "it overlaps the time without us")
        self.assertEqual(windows[max(windows)]["complete"], True)
        twice = {start: rows for start, rows in ((self.start_of(w), w["rows"][0][1]) for w in self.shown(again, "over"))
                 if start in windows}
        self.assertTrue(twice and all(twice[start] == 2 * expected[start] for start in twice))
        names = [name for name, _, _ in stream.wait(len(windows))]
        self.assertNotIn("gap", names)
        outages = again.get("/api/v1/status")["outages"]
        self.assertEqual([o["clean"] for o in outages], [True])
        self.assertEqual(again.end(), 0)

    def test_a_kill_loses_what_came_after_the_last_checkpoint_and_repeats_nothing(self):
        node = self.serve("watermark.delay=1s")
        node.add("w", WINDOWS)
        sent = self.send_for(node, 11.5)  # A checkpoint is within.
        more = self.send_for(node, 5)
        for start, flows in more.items():
            sent[start] = sent.get(start, 0) + flows
        shown = {self.start_of(w): w for w in self.shown(node)}
        self.assertIsNotNone(node.get("/api/v1/status")["checkpoint"]["at"])
        node.wait_until_kept()
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()

        again = self.serve("watermark.delay=1s")
        again.said(r"it was killed")
        after = self.send_for(again, 10)
        windows = self.shown(again)
        starts = [self.start_of(w) for w in windows]
        self.assertEqual(len(starts), len(set(starts)), "what was sent is not sent again")
        for start, window in shown.items():
            self.assertEqual(window, windows[starts.index(start)], "what was shown is there, as it was")
        later = {self.start_of(w): w for w in windows if self.start_of(w) not in shown}
        self.assertTrue(later)
        for start, window in list(shown.items())[1:]:
            self.assertEqual((window["rows"][0][1], window["complete"]), (sent[start], True))
        for start, window in later.items():
            flows = window["rows"][0][1]
            if start in sent:
                self.assertFalse(window["complete"])
                self.assertLessEqual(flows, sent[start] + after.get(start, 0))
            elif window["complete"]:
                self.assertEqual(flows, after[start])
        self.assertTrue(later[max(later)]["complete"])
        self.assertEqual([o["clean"] for o in again.get("/api/v1/status")["outages"]], [False])

    def test_the_first_windows_of_a_daemon_are_not_complete(self):
        node = self.serve("watermark.delay=1s")
        node.add("w", WINDOWS)
        self.assertEqual(node.end(), 0)
        node = self.serve("watermark.delay=1s")
        self.send_for(node, 10)
        windows = self.shown(node)
        self.assertFalse(windows[0]["complete"])
        self.assertTrue(windows[-1]["complete"])

    def test_a_drain_closes_all_windows_as_partial(self):
        node = self.serve("watermark.delay=1s")
        node.add("w", "SELECT window_start, count(*) AS flows FROM tumble(flows, time, interval '1 h') GROUP BY 1")
        sent = self.send_for(node, 1.5)
        stream = node.events("w")
        result = self.run_backstream("serve", "--drain", "--set", "state.folder=" + self.path("state"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(node.process.wait(30), 0)
        windows = [data for name, _, data in stream.wait(10**6, timeout=20) if name == "rows"]
        self.assertEqual(sum(w["rows"][0][1] for w in windows), sum(sent.values()))
        self.assertEqual({w["complete"] for w in windows}, {False})
        result = self.run_backstream("serve", "--drain", "--set", "state.folder=" + self.path("state"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("no backstream serve runs", result.stderr)
        again = self.serve()
        self.assertEqual(again.get("/api/v1/status")["outages"], [])

    def test_a_damaged_state_is_set_aside_and_said(self):
        node = self.serve("watermark.delay=1s")
        node.add("w", WINDOWS)
        self.send_for(node, 1)
        self.assertEqual(node.end(), 0)
        with open(self.path("state/windows.state"), "r+b") as file:
            file.seek(40)
            file.write(b"\xff\xff\xff")
        again = self.serve("watermark.delay=1s")
        again.said(r"windows\.state.*(damaged|set aside|renamed)")
        self.send_for(again, 7)
        self.assertTrue(self.shown(again))


if __name__ == "__main__":
    sys.exit(harness.main())
