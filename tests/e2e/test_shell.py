#!/usr/bin/env python3
"""`backstream sql`, driven through a terminal and through pipes.

The server is a stand-in with answers that are known (fake_service.py). With BACKSTREAM_TEST_SERVER=URL a real one is
asked instead, and the tests that need known answers are skipped."""
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import unittest

import fake_service
import harness
import terminal

SERVER = os.environ.get("BACKSTREAM_TEST_SERVER")
SELECT = ("SELECT window_start, dst_as, count(*) AS flows, sum(octets) AS octets FROM tumble(flows, received_at, interval '1 s') "
          "GROUP BY window_start, dst_as")
WINDOW = r"\d\d:\d\d:\d\d to "
LIVE = r"space pauses, q ends"
needs_known_answers = unittest.skipIf(SERVER, "needs answers that are known")


class ShellCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.service = None
        if not SERVER:
            self.service = fake_service.Service()
            self.addCleanup(self.service.close)
        self.server = SERVER or self.service.url
        self.environment = {"HOME": self.folder, "XDG_STATE_HOME": self.path("state"), "BACKSTREAM_SERVER": self.server}

    def open(self, *arguments, columns=100, rows=30, **environment):
        shell = terminal.Terminal([harness.BINARY, "sql", *arguments], columns, rows, {**self.environment, **environment})
        self.addCleanup(shell.close)
        return shell

    def prompt(self, shell, mark="="):
        shell.expect(re.escape(f"backstream{mark}> "))
        shell.wait_for_raw()

    def typed(self, shell, text):
        """Waits until the line that is being edited is this."""
        for _ in range(300):
            line = shell.screen().text().split("\n")[-1]
            if line.partition("> ")[2] == text.rstrip():
                return
            time.sleep(0.1)
        self.fail(f"{line!r} is not {text!r}")

    def sql(self, *arguments, **options):
        return self.run_backstream("sql", *arguments, env={**os.environ, **self.environment}, **options)

    def no_session_is_left(self):
        if self.service:
            self.assertEqual(self.service.sessions, {})


class Interactive(ShellCase):
    def test_prompts_and_leaves(self):
        shell = self.open()
        self.prompt(shell)
        shell.line("SELECT count(*),")
        self.prompt(shell, "-")
        shell.line("  (1")
        self.prompt(shell, "(")
        shell.line(") '")
        self.prompt(shell, "'")
        shell.send("\x03")  # Ctrl-C drops what was typed.
        self.prompt(shell)
        shell.line("/* a comment; of")
        self.prompt(shell, "*")
        shell.line("two lines */ EXPLAIN SELECT octets FROM flows; -- and another;")
        self.prompt(shell)
        self.assertNotIn("error", shell.output)
        shell.line("\\q")
        self.assertEqual(shell.wait(), 0)

    def test_end_of_input_leaves(self):
        shell = self.open()
        self.prompt(shell)
        shell.send("\x04")
        self.assertEqual(shell.wait(), 0)

    def test_a_signal_leaves(self):
        shell = self.open()
        self.prompt(shell)
        shell.process.send_signal(signal.SIGTERM)
        self.assertEqual(shell.wait(), 0)

    def test_live_result_is_redrawn_in_place(self):
        shell = self.open()
        self.prompt(shell)
        shell.line(SELECT + ";")
        for _ in range(4):
            shell.expect(WINDOW)
        screen = shell.screen()
        self.assertEqual(screen.unknown, [])
        drawn = screen.text()
        self.assertEqual(len(re.findall(WINDOW, drawn)), 1, drawn)
        self.assertEqual(drawn.count(" window_start "), 1, drawn)
        self.assertIn("space pauses, q ends", drawn)
        shell.send("\x03")
        shell.expect(r"ended by Ctrl-C: \d+ windows?, \d+ rows? in ")
        self.prompt(shell)
        # The picture stays, without the line that tells of keys.
        self.assertNotIn("space pauses", shell.screen().text())
        self.no_session_is_left()
        # And another query runs.
        shell.line(SELECT + ";")
        shell.expect(WINDOW)
        shell.send("q")
        shell.expect(r"-- \d+ windows?, ")
        self.prompt(shell)
        self.no_session_is_left()

    def test_space_pauses(self):
        shell = self.open()
        self.prompt(shell)
        shell.line(SELECT + ";")
        shell.expect(WINDOW)
        shell.send(" ")
        shell.expect("PAUSED")
        shell.expect("newer windows came meanwhile")
        paused = re.search(WINDOW, shell.screen().text())[0]
        shell.expect("PAUSED")  # redrawn a second later
        self.assertEqual(re.search(WINDOW, shell.screen().text())[0], paused)
        shell.send(" ")
        shell.expect(LIVE)
        self.assertNotEqual(re.search(WINDOW, shell.screen().text())[0], paused)
        shell.send("q")
        self.prompt(shell)

    def test_terminal_is_as_it_was(self):
        import termios
        shell = self.open()
        self.prompt(shell)
        shell.line(SELECT + ";")
        shell.expect(WINDOW)
        shell.send("q")
        self.prompt(shell)
        shell.line("\\q")
        shell.wait()
        modes = termios.tcgetattr(shell.master)[3]
        self.assertTrue(modes & termios.ECHO and modes & termios.ICANON)

    @needs_known_answers
    def test_error_has_a_caret_under_the_word(self):
        shell = self.open()
        self.prompt(shell)
        shell.line("SELECT 'é', count(*)")
        self.prompt(shell, "-")
        shell.line("FROM flows")
        self.prompt(shell, "-")
        shell.line("WHERE 'é' = scr_addr;")
        shell.expect(re.escape('3:13: error: column "scr_addr" does not exist in "flows"'))
        self.prompt(shell)
        lines = shell.screen().text().split("\n")
        at = next(i for i, line in enumerate(lines) if line.startswith("    3 | "))
        self.assertEqual(lines[at].index("scr_addr"), lines[at + 1].index("^~~~~~~~"))
        self.assertIn('did you mean "src_addr"?', lines[at + 1])
        self.no_session_is_left()

    def test_a_slip_needs_no_server_to_be_found(self):
        shell = self.open()
        self.prompt(shell)
        shell.line("SELECT count(* FROM flows;")
        shell.expect("1:16: error: ")
        shell.expect(r"'\(' before it is never closed")
        self.prompt(shell)

    @needs_known_answers
    def test_says_why_there_are_no_rows(self):
        shell = self.open()
        self.prompt(shell)
        shell.line("SELECT silent FROM flows;")
        shell.expect(r"no rows yet: no exporter has sent anything yet; listening on udp://127\.0\.0\.1:2055; due in \d+ s", timeout=10)
        shell.send("\x03")
        shell.expect("no rows: no exporter has sent anything yet")
        self.prompt(shell)
        shell.line("\\why")
        shell.expect("the live result has ended; before that: no exporter has sent anything yet")
        self.prompt(shell)

    @needs_known_answers
    def test_data_never_reaches_the_terminal_raw(self):
        shell = self.open()
        self.prompt(shell)
        shell.line("SELECT evil FROM flows;")
        shell.expect(re.escape("\\x1b[31mred\\x07\\x0aline"))
        shell.send("q")
        self.prompt(shell)
        self.assertNotIn("\x1b[31m", shell.output)
        shell.line("\\pset format csv")
        self.prompt(shell)
        shell.line("SELECT evil FROM flows;")
        shell.expect(re.escape("\\x1b[31mred"))
        shell.send("\x03")
        self.prompt(shell)
        self.assertNotIn("\x1b[31m", shell.output)

    @needs_known_answers
    def test_expanded_when_wider_than_the_screen(self):
        shell = self.open(columns=50)
        self.prompt(shell)
        shell.line("SELECT wide FROM flows;")
        shell.expect(r"-\[ RECORD 1 \]")
        shell.send("q")
        self.prompt(shell)
        for line in shell.screen().text().split("\n"):
            self.assertLessEqual(len(line), 50)
        shell.line("\\x off")
        shell.expect("Expanded display is off")
        shell.line("SELECT wide FROM flows;")
        shell.expect("more columns: ")
        shell.send("q")
        self.prompt(shell)
        shell.line("\\x on")
        shell.expect("Expanded display is on")
        shell.line("\\d flows")
        shell.expect(r"-\[ RECORD 1 \].*Column \| time")
        self.prompt(shell)

    def test_watch_counts(self):
        shell = self.open()
        self.prompt(shell)
        shell.line(SELECT + " \\watch i=0.3 c=3")
        shell.expect(r"-- 3 windows, \d+ rows")
        self.prompt(shell)
        self.assertEqual(len(re.findall(WINDOW, shell.output)), 3, shell.output)
        self.no_session_is_left()
        shell.line("EXPLAIN " + SELECT + ";")
        self.prompt(shell)
        before = len(shell.output)
        shell.line("\\watch i=0.1 c=3")
        for _ in range(3):
            shell.expect(r"\(every 100 ms\)")
        self.prompt(shell)
        self.assertEqual(shell.output[before:].count("(every 100 ms)"), 3)

    def test_watch_is_interrupted(self):
        shell = self.open()
        self.prompt(shell)
        shell.line("EXPLAIN " + SELECT + " \\watch i=60")
        shell.expect(r"\(every 1 min\)")
        time.sleep(0.3)
        shell.send("\x03")
        self.prompt(shell)

    def test_tab_completes(self):
        shell = self.open()
        self.prompt(shell)
        shell.send("\\wat\t")
        self.typed(shell, "\\watch ")
        shell.send("\x03")
        self.prompt(shell)
        shell.send("sel\t* FROM flo\t")
        self.typed(shell, "select * FROM flows ")
        shell.send(" WHERE oct\t\t")
        shell.expect(r"octets")
        shell.send("\x03")
        self.prompt(shell)
        shell.line("SELECT 1 FROM flows WHERE")
        self.prompt(shell, "-")
        shell.send("oct\t\t")
        shell.expect(r"octets")  # columns of a relation named on an earlier line
        shell.send("\x03")
        self.prompt(shell)
        shell.send("\\d \t\t")
        shell.expect(r"flows")
        shell.send("\x03")
        self.prompt(shell)

    def test_history_is_kept_for_its_owner_alone(self):
        shell = self.open()
        self.prompt(shell)
        shell.line("EXPLAIN SELECT count(*)")
        self.prompt(shell, "-")
        shell.line("FROM flows;")
        self.prompt(shell)
        shell.line(" \\timing off")
        self.prompt(shell)
        shell.send("\x1b[A")
        shell.expect("timing off")  # This shell knows it, the file does not.
        shell.send("\x03")
        self.prompt(shell)
        shell.line("\\q")
        self.assertEqual(shell.wait(), 0)
        path = self.path("state/backstream/history")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertIn("EXPLAIN SELECT count(*)\\nFROM flows;\n", file_text(path))
        self.assertNotIn("timing", file_text(path))
        again = self.open()
        self.prompt(again)
        again.send("\x12count")  # Ctrl-R
        again.expect(r"EXPLAIN SELECT count")
        again.send("\x03")
        self.prompt(again)

    def test_meta_commands(self):
        shell = self.open()
        self.prompt(shell)
        shell.line("\\timng")
        shell.expect(r"did you mean \\timing\?")
        self.prompt(shell)
        shell.line("\\timing")
        shell.expect("Timing is on")
        self.prompt(shell)
        shell.line("EXPLAIN " + SELECT + ";")
        shell.expect(r"Time: \d+\.\d+ ms")
        self.prompt(shell)
        shell.line("\\d")
        shell.expect("List of relations.*?flows.*?stream")
        self.prompt(shell)
        shell.line("\\d flwos")
        shell.expect('did you mean "flows"')
        self.prompt(shell)
        shell.line("\\h sel")
        shell.expect("tumble")
        self.prompt(shell)
        shell.line("\\?")
        shell.expect("leave")
        self.prompt(shell)
        shell.line("help")
        shell.expect("lists the commands of this shell")
        self.prompt(shell)
        shell.line("\\conninfo")
        shell.expect("Server: http")
        self.prompt(shell)
        shell.line("quit")
        self.assertEqual(shell.wait(), 0)

    def test_queries_come_and_go(self):
        shell = self.open()
        self.prompt(shell)
        shell.line(f"CREATE MATERIALIZED VIEW shell_test AS {SELECT};")
        shell.expect("CREATE MATERIALIZED VIEW: shell_test, version 1")
        self.prompt(shell)
        shell.line("COMMENT ON MATERIALIZED VIEW shell_test IS 'of a test';")
        shell.expect("COMMENT")
        self.prompt(shell)
        shell.line("ALTER MATERIALIZED VIEW shell_test SET (delay = '1 s');")
        shell.expect("ALTER MATERIALIZED VIEW: shell_test, version ")
        self.prompt(shell)
        shell.line("\\dq")
        shell.expect(r"shell_test.*running.*of a test")
        self.prompt(shell)
        shell.line("\\d shell_test")
        shell.expect(r"CREATE MATERIALIZED VIEW shell_test WITH \(delay = '1 s'\) AS SELECT")
        self.prompt(shell)
        shell.line("\\tail shell_test")
        shell.expect(WINDOW)
        shell.send("q")
        shell.expect("shell_test runs on")
        self.prompt(shell)
        shell.line("DROP VIEW shell_test;")
        shell.expect("1:11: error: .*a materialized view")
        self.prompt(shell)
        shell.line("DROP MATERIALIZED VIEW shell_test;")
        shell.expect("DROP MATERIALIZED VIEW")
        self.prompt(shell)
        shell.line("DROP MATERIALIZED VIEW IF EXISTS shell_test;")
        shell.expect("skipped")
        self.prompt(shell)

    def test_editor(self):
        editor = self.write("editor.sh", "#!/bin/sh\nsed -i 's/count/sum/; s/1/octets/' \"$1\"\n")
        os.chmod(editor, 0o755)
        shell = self.open(EDITOR=editor)
        self.prompt(shell)
        shell.line("EXPLAIN SELECT count(1)")
        self.prompt(shell, "-")
        shell.line("FROM flows; \\p")
        self.prompt(shell)
        shell.line("\\e")
        shell.expect(r"EXPLAIN SELECT sum\(octets\)\s+FROM flows;")
        self.prompt(shell)
        if self.service:
            self.assertEqual(self.service.asked("POST", "/api/v1/explain")[-1]["text"], "SELECT sum(octets)\nFROM flows")

    def test_output_to_a_file(self):
        shell = self.open("-n", "2")
        self.prompt(shell)
        shell.line("\\pset format csv")
        self.prompt(shell)
        shell.line(f"\\o {self.path('rows.csv')}")
        self.prompt(shell)
        shell.line(SELECT + ";")
        shell.expect(r"-- \d windows?, 2 rows")
        self.prompt(shell)
        shell.line("\\o")
        self.prompt(shell)
        self.assertEqual(len(file_text(self.path("rows.csv")).splitlines()), 3)

    def test_another_server_does_not_see_the_token(self):
        if not self.service:
            self.skipTest("needs to see what is asked")
        token = self.write("token", "secret-of-one-server\n")
        os.chmod(token, 0o600)
        other = fake_service.Service()
        self.addCleanup(other.close)
        seen = []
        act = other.server.RequestHandlerClass.act

        def note(handler):
            seen.append(handler.headers.get("Authorization"))
            act(handler)
        other.server.RequestHandlerClass.do_GET = note
        shell = self.open("--token-file", token)
        self.prompt(shell)
        shell.line(f"\\c {other.url}")
        shell.expect(f"asking {other.url} from now on")
        self.prompt(shell)
        self.assertEqual(set(seen), {None})

    def test_nobody_there(self):
        shell = self.open("--server", "http://127.0.0.1:1")
        shell.expect("cannot reach http://127.0.0.1:1")
        self.assertEqual(shell.wait(), 4)


class Scripts(ShellCase):
    def test_rows_for_programs(self):
        result = self.sql("-o", "jsonl", "-n", "3", "-c", SELECT)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(len(rows), 3)
        self.assertRegex(rows[0]["window_start"], r"^\d{4}-\d\d-\d\dT.*Z$")
        self.assertIsInstance(rows[0]["octets"], int)
        self.assertNotIn("\x1b", result.stdout)
        result = self.sql("-o", "csv", "--windows", "2", "-q", "-c", SELECT)
        lines = result.stdout.splitlines()
        self.assertEqual(lines[0].split(",")[:2], ["window_start", "dst_as"])
        self.assertEqual(len({line.split(",")[0] for line in lines[1:]}), 2)
        self.assertEqual(result.stderr, "")
        self.no_session_is_left()

    def test_a_closed_pipe_is_no_failure(self):
        process = subprocess.Popen([harness.BINARY, "sql", "-o", "jsonl", "-c", SELECT], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, **self.environment}, text=True)
        process.stdout.readline()
        process.stdout.close()
        with process.stderr:
            self.assertEqual(process.wait(timeout=60), 0, process.stderr.read())
        self.no_session_is_left()

    def test_interrupts(self):
        for limits, code in (([], 0), (["-n", "1000000"], 130)):
            process = subprocess.Popen([harness.BINARY, "sql", "-o", "csv", *limits, "-c", SELECT + "; " + SELECT], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, env={**os.environ, **self.environment}, text=True)
            process.stdout.readline()
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
            self.assertEqual(process.returncode, code, errors)
            self.assertIn("ended by Ctrl-C", errors)
            self.no_session_is_left()

    @needs_known_answers
    def test_errors_have_place_and_code(self):
        result = self.sql("-c", "EXPLAIN SELECT 1 FROM flows;\n\tSELECT 'é', scr_addr FROM flows; SELECT 1 FROM flows")
        self.assertEqual(result.returncode, 3)
        self.assertIn('-c:2:14: error: column "scr_addr" does not exist in "flows"\n', result.stderr)
        lines = result.stderr.splitlines()
        self.assertEqual(lines[-2].expandtabs().index("scr_addr"), lines[-1].expandtabs().index("^~~~~~~~"))
        self.assertEqual(len(self.service.asked("POST", "/api/v1/sessions")), 1)

    def test_a_text_is_parsed_before_any_of_it_runs(self):
        path = self.write("views.sql", "EXPLAIN SELECT count(*) FROM flows;\nSELEC 1;\n")
        result = self.sql("-f", path)
        self.assertEqual((result.returncode, result.stdout), (3, ""))
        self.assertIn("views.sql:2:1: error: ", result.stderr)

    def test_standard_input_and_included_files(self):
        path = self.write("in.sql", "\\pset format csv\nEXPLAIN SELECT octets FROM flows;\n\\d\n")
        result = self.sql(input=f"\\i {path}\n\\dq\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("Name,Kind,Columns,Comment", result.stdout)
        self.assertIn("Name,State,Version", result.stdout)
        loop = self.write("loop.sql", f"\\i {self.path('loop.sql')}\n")
        result = self.sql("-f", loop)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("files that read each other", result.stderr)

    @needs_known_answers
    def test_nothing_came(self):
        result = self.sql("--for", "2s", "-c", "SELECT silent FROM flows")
        self.assertEqual(result.returncode, 7)
        self.assertIn("no rows yet: no exporter has sent anything yet; listening on", result.stderr)

    def test_exit_codes(self):
        self.assertEqual(self.sql("--server", "http://127.0.0.1:1", "-c", "\\d").returncode, 4)
        self.assertEqual(self.sql("-c", "DROP MATERIALIZED VIEW there_is_none").returncode, 6)
        self.assertEqual(self.sql("-c", "\\d there_is_none").returncode, 6)
        self.assertEqual(self.sql("-c", "\\nothing").returncode, 3)
        self.assertEqual(self.sql("-c", "\\watch i=x").returncode, 2)
        self.assertEqual(self.sql("-o", "yaml", "-c", "\\d").returncode, 2)
        self.assertEqual(self.sql("--rows", "0", "-c", "\\d").returncode, 2)


def file_text(path):
    with open(path) as file:
        return file.read()


if __name__ == "__main__":
    sys.exit(harness.main())
