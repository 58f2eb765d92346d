"""A terminal for tests: a program on a pseudo-terminal, and the screen that its output draws."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata


class Screen:
    """As much of a VT100 as the program and libedit use."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines = [[]]
        self.row = self.column = 0
        self.unknown = []

    def feed(self, text):
        at = 0
        while at < len(text):
            found = re.compile(r"\x1b\[([?>]?)([0-9;]*)([A-Za-z@])|\x1b[()][A-Z0-9]|\x1b[=>78M]").match(text, at)
            if found:
                self.escape(found)
                at = found.end()
                continue
            c = text[at]
            at += 1
            if c == "\r":
                self.column = 0
            elif c == "\n":
                self.row += 1
            elif c == "\b":
                self.column = max(0, self.column - 1)
            elif c == "\t":
                self.column = (self.column // 8 + 1) * 8
            elif c == "\x07":
                pass
            elif ord(c) < 32:
                self.unknown.append(c)
            else:
                self.put(c)
            while len(self.lines) <= self.row:
                self.lines.append([])

    def put(self, c):
        width = 2 if unicodedata.east_asian_width(c) in "WF" else 1
        if self.column + width > self.columns:
            self.row, self.column = self.row + 1, 0
        while len(self.lines) <= self.row:
            self.lines.append([])
        line = self.lines[self.row]
        line.extend(" " * (self.column + 1 - len(line)))
        line[self.column] = c
        self.column += width

    def escape(self, found):
        if found[3] is None or found[1]:
            return
        number = int(found[2].split(";")[0] or 0)
        line = self.lines[self.row]
        if found[3] == "A":
            self.row = max(0, self.row - max(1, number))
        elif found[3] == "B":
            self.row += max(1, number)
        elif found[3] == "C":
            self.column += max(1, number)
        elif found[3] == "D":
            self.column = max(0, self.column - max(1, number))
        elif found[3] == "G":
            self.column = max(1, number) - 1
        elif found[3] == "H" and not found[2]:
            self.row = self.column = 0
        elif found[3] == "K" and number == 0:
            del line[self.column:]
        elif found[3] == "J" and number == 0:
            del line[self.column:]
            del self.lines[self.row + 1:]
        elif found[3] == "J" and number == 2:
            self.lines = [[] for _ in self.lines]
        elif found[3] == "P":
            del line[self.column:self.column + max(1, number)]
        elif found[3] == "@":
            line[self.column:self.column] = " " * max(1, number)
        elif found[3] not in "mhl":
            self.unknown.append(found[0])

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.lines)


class Terminal:
    def __init__(self, arguments, columns=80, rows=30, environment=None):
        self.columns, self.rows = columns, rows
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(arguments, stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_terminal, close_fds=True,
                                        env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(environment or {})})
        os.close(slave)
        self.output = ""
        self.seen = 0  # up to where expect() has looked
        self._bytes = b""

    def _read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # The program has ended.
            piece = b""
        if not piece:
            return None
        self._bytes += piece
        text = self._bytes.decode(errors="ignore")
        keep = len(self._bytes) - len(text.encode())  # Half a character stays for the next time.
        self.output += text
        self._bytes = self._bytes[len(self._bytes) - keep:] if keep else b""
        return True

    def expect(self, pattern, timeout=30):
        """Waits until it comes after what was expected before; the match."""
        expression = re.compile(pattern, re.S)
        end = time.monotonic() + timeout
        while True:
            found = expression.search(self.output, self.seen)
            if found:
                self.seen = found.end()
                return found
            if self._read(0.1) is None or time.monotonic() > end:
                found = expression.search(self.output, self.seen)
                if found:
                    self.seen = found.end()
                    return found
                raise AssertionError(f"{pattern!r} did not come; what came last: {self.output[self.seen:][-2000:]!r}")

    def wait_for_raw(self, timeout=30):
        """libedit shows its prompt before it takes the echo from the terminal; what is sent in between is seen twice."""
        end = time.monotonic() + timeout
        while termios.tcgetattr(self.master)[3] & termios.ECHO and time.monotonic() < end:
            time.sleep(0.005)

    def send(self, text):
        os.write(self.master, text.encode())

    def line(self, text):
        self.send(text + "\r")

    def screen(self):
        while self._read(0):
            pass
        screen = Screen(self.columns, self.rows)
        screen.feed(self.output)
        return screen

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, timeout=30):
        end = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < end:
            self._read(0.05)
        return self.process.wait(timeout=0.1)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)
