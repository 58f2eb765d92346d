"""A small stand-in for `backstream serve`: just enough of /api/v1 to drive the shell, with answers that tests know."""
import json
import re
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COLUMNS = [{"name": "window_start", "type": "timestamptz"}, {"name": "dst_as", "type": "bigint"}, {"name": "name", "type": "text"},
           {"name": "octets", "type": "bigint"}]
RELATIONS = [{"name": "flows", "kind": "stream", "comment": "one row a flow record",
              "columns": [{"name": "time", "type": "timestamptz"}, {"name": "src_addr", "type": "inet"}, {"name": "dst_as", "type": "bigint"},
                          {"name": "octets", "type": "bigint"}]},
             {"name": "as_names", "kind": "table", "comment": None,
              "columns": [{"name": "asn", "type": "bigint"}, {"name": "as_name", "type": "text"}]}]
BEGIN = datetime(2026, 1, 31, 12, 0, 0, tzinfo=timezone.utc)


def rfc3339(when):
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Service:
    """What a statement does depends on words in it: `scr_addr` is a column that is not there, `silent` gives no rows,
    `evil` gives texts with escape sequences, `wide` long ones; all others a window every 0.2 s, three rows each."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sessions, self.queries, self.log, self.number = {}, {}, [], 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, document=None, kind="application/json"):
                body = b"" if document is None else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if body:
                    self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body)

            def problem(self, status, **more):
                self.answer(status, {"status": status, "title": "refused", **more}, "application/problem+json")

            def act(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                url = urlsplit(self.path)
                with service.lock:
                    service.log.append((self.command, unquote(url.path), body))
                try:
                    service.route(self, self.command, unquote(url.path), parse_qs(url.query), body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = act

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.stopping = False

    def close(self):
        self.stopping = True
        self.server.shutdown()
        self.server.server_close()

    def asked(self, method, pattern):
        with self.lock:
            return [body for verb, path, body in self.log if verb == method and re.fullmatch(pattern, path)]

    @staticmethod
    def mistake(text):
        at = text.find("scr_addr")
        if at < 0:
            return None
        line, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
        return {"code": "42703", "detail": 'column "scr_addr" does not exist in "flows"', "hint": 'did you mean "src_addr"?', "line": line,
                "column": column, "end_line": line, "end_column": column + 8}

    def route(self, handler, method, path, query, body):
        parts = path.removeprefix("/api/v1/").split("/")
        if path == "/api/v1/whoami":
            return handler.answer(200, {"name": "local", "role": "admin", "row_filter": "", "expires_at": None})
        if path == "/api/v1/status":
            return handler.answer(200, {"version": "0.1.0", "node": "n1", "site": "ams", "ready": True, "not_ready": [],
                                        "queries": {"running": len(self.queries)}, "exporters": {"sending": 3}, "rates": {"flows": 15000.5},
                                        "watermark": {"lag_seconds": 2.1}})
        if path == "/api/v1/relations":
            views = [{"name": name, "kind": "query", "columns": COLUMNS, "comment": entry["comment"]} for name, entry in self.queries.items()]
            return handler.answer(200, {"relations": RELATIONS + views})
        if path == "/api/v1/explain" and method == "POST":
            mistake = self.mistake(body["text"])
            return handler.problem(422, **mistake) if mistake else handler.answer(200, {"plan": "edge\n  filter\nmerge\n"})
        if path == "/api/v1/sessions" and method == "POST":
            mistake = self.mistake(body["text"])
            if mistake:
                return handler.problem(422, **mistake)
            with self.lock:
                self.number += 1
                name = f"~{self.number}"
                self.sessions[name] = body["text"]
            return handler.answer(201, {"name": name, "columns": COLUMNS})
        if parts[0] == "sessions" and method == "DELETE":
            gone = self.sessions.pop(parts[1], None)
            return handler.answer(204) if gone else handler.problem(404, code="42704", detail="no such session")
        if path == "/api/v1/queries" and method == "GET":
            return handler.answer(200, {"queries": list(self.queries.values())})
        if path == "/api/v1/queries" and method == "POST":
            mistake = self.mistake(body["text"])
            if mistake:
                return handler.problem(422, **mistake)
            name = re.search(r"VIEW\s+(\w+)", body["text"], re.I)[1]
            if name in self.queries:
                return handler.problem(409, code="42710", detail=f'there is a query "{name}" already')
            self.queries[name] = {"name": name, "version": 1, "revision": 5, "state": "running", "reason": "", "plain": False, "owner": "local",
                                  "comment": "", "text": body["text"], "reads": [], "columns": COLUMNS, "ledger": {"result_rows": 42},
                                  "collecting_since": rfc3339(BEGIN)}
            return handler.answer(201, {"done": [{"name": name, "verb": "add", "also": []}], "query": self.queries[name]})
        if parts[0] == "queries" and len(parts) == 2:
            name = parts[1]
            if name in self.sessions and method == "GET":
                return handler.answer(200, {"name": name, "plain": False, "text": self.sessions[name]})
            if name not in self.queries:
                return handler.problem(404, code="42704", detail=f'there is no query "{name}"')
            if method == "PUT":
                self.queries[name].update(text=body["text"], version=self.queries[name]["version"] + 1)
                if "comment" in body:
                    self.queries[name]["comment"] = body["comment"]
                return handler.answer(200, {"done": [{"name": name, "verb": "alter", "also": []}], "query": self.queries[name]})
            if method == "DELETE":
                self.queries.pop(name)
                return handler.answer(200, {"done": [{"name": name, "verb": "drop", "also": []}]})
            return handler.answer(200, self.queries[name])
        if parts[0] == "queries" and len(parts) == 3 and (parts[1] in self.sessions or parts[1] in self.queries):
            if parts[2] == "why":
                return handler.answer(200, {"text": "no exporter has sent anything yet\nlistening on udp://127.0.0.1:2055\n",
                                            "due": rfc3339(datetime.now(timezone.utc) + timedelta(seconds=30)), "reasons": ["silence"]})
            if parts[2] == "events":
                return self.events(handler, parts[1])
        return handler.problem(404, code="42704", detail=f"nothing at {path}")

    def events(self, handler, name):
        text = self.sessions.get(name) or self.queries[name]["text"]
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        number = 0
        while not self.stopping and (name in self.sessions or name in self.queries):
            if "silent" in text:
                handler.wfile.write(b": still here\n\n")
            else:
                handler.wfile.write(f"event: rows\ndata: {json.dumps(self.window(name, text, number))}\nid: {number + 1}\n\n".encode())
                number += 1
            handler.wfile.flush()
            time.sleep(0.2)
        handler.wfile.write(b'event: end\ndata: {"topic":"x"}\n\n')

    @staticmethod
    def window(name, text, number):
        start = BEGIN + timedelta(seconds=10 * number)
        label = "\x1b[31mred\x07\nline" if "evil" in text else "a very long name of an autonomous system " * 3 if "wide" in text else "Example"
        rows = [[rfc3339(start), 64500 + n, label, 1000 * number + n] for n in range(3)]
        return {"query": name, "version": 1, "seq": number + 1, "window_start": rfc3339(start), "window_end": rfc3339(start + timedelta(seconds=10)),
                "revision": 1, "final": True, "complete": True, "part": 0, "last": True, "rows_total": 3, "truncated": False, "columns": COLUMNS,
                "rows": rows}
