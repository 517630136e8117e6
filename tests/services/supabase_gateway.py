"""What hosted Supabase puts in front of PostgREST, and every fault it can have: in the standard library alone.

``/rest/v1`` in front of paths, keys (``apikey``), a cap on bodies, today's code for a missing table, no ``UPDATE`` or
``DELETE`` without a filter. Faults are queued: ``gateway.faults.append(Fault(...))`` hits the next request it fits.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal
from urllib.parse import urlsplit

from postgrest_server import token

SECRET_KEY = "sb_secret_for_tests_0123456789"
PUBLISHABLE_KEY = "sb_publishable_for_tests_0123456789"

_PREFIX = "/rest/v1"
_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "host", "content-length"}


@dataclass(frozen=True)
class Request:
    """One request as it came in: what tests look at."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int | None = None
    """What PostgREST or the gateway said; None where no answer was given."""

    @property
    def table(self) -> str:
        return self.path.removeprefix(f"{_PREFIX}/")


@dataclass
class Fault:
    """What goes wrong, and for which requests.

    Args:
        kind: ``status`` answers with ``status`` in place of PostgREST; ``drop_before`` hangs up without having asked
            it; ``drop_after`` lets it execute and hangs up without an answer; ``status_after`` lets it execute and
            answers with ``status``; ``call`` calls ``action`` and goes on.
        times: How many requests it hits.
        skip: How many fitting requests pass before.
        fits: Which requests.
    """

    kind: Literal["status", "drop_before", "drop_after", "status_after", "call"]
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"<html>bad gateway</html>"
    times: int = 1
    skip: int = 0
    fits: Callable[[Request], bool] = lambda request: True
    action: Callable[[], object] = lambda: None


def posts(request: Request) -> bool:
    """Fits writes alone."""
    return request.method == "POST"


def gets(request: Request) -> bool:
    """Fits reads of tables alone, not the description of the schema."""
    return request.method == "GET" and bool(request.table)


class SupabaseGateway:
    """A project's URL, in front of a PostgREST.

    Attributes:
        url: What stands as ``url`` in a connection.
        requests: All that came in, in order of arrival.
        faults: What goes wrong next; a fault leaves the list when it has hit ``times`` times.
        delay: Seconds added to every request.
        max_body: Bytes; larger bodies are answered with 413.
        describes_schema_to_all: Whether the publishable key may read the description (hosted Supabase: no more).
    """

    def __init__(self, postgrest_url: str) -> None:
        self._upstream = urlsplit(postgrest_url)
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.delay = 0.0
        self.max_body = 8 * 1024 * 1024
        self.describes_schema_to_all = False
        self.executing = 0
        self.most_executing = 0
        self._lock = threading.Lock()
        self._tokens = {SECRET_KEY: token("service_role"), PUBLISHABLE_KEY: token("anon")}
        self._tokens |= {jwt: jwt for jwt in self._tokens.values()}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> SupabaseGateway:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reset(self) -> None:
        """As new: no faults, no delay, nothing seen."""
        self.requests.clear()
        self.faults.clear()
        self.delay, self.max_body, self.describes_schema_to_all, self.most_executing = 0.0, 8 * 1024 * 1024, False, 0

    def answer(self, request: Request) -> tuple[int, dict[str, str], bytes] | None:
        """What to say; None: hang up."""
        if self.delay:
            time.sleep(self.delay)
        fault = self._fault_for(request)
        if fault is not None and fault.kind == "call":
            fault.action()
        elif fault is not None and fault.kind in {"status", "drop_before"}:
            answered = None if fault.kind == "drop_before" else (fault.status, fault.headers, fault.body)
            return self._note(request, answered)
        answered = self._refusal(request) or self._forward(request)
        if fault is not None and fault.kind == "status_after":
            answered = (fault.status, fault.headers, fault.body)
        return self._note(request, None if fault is not None and fault.kind == "drop_after" else answered)

    def _note(
        self, request: Request, answered: tuple[int, dict[str, str], bytes] | None
    ) -> tuple[int, dict[str, str], bytes] | None:
        status = None if answered is None else answered[0]
        with self._lock:
            self.requests.append(
                Request(request.method, request.path, request.query, request.headers, request.body, status)
            )
        return answered

    def _fault_for(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if not fault.fits(request):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None

    def _refusal(self, request: Request) -> tuple[int, dict[str, str], bytes] | None:
        if not request.path.startswith(f"{_PREFIX}/"):
            return _say(404, {"message": "no Route matched with those values"})
        key = request.headers.get("apikey", "")
        if key not in self._tokens:
            return _say(401, {"message": "Invalid API key", "hint": "Double check your API key."})
        if len(request.body) > self.max_body:
            return 413, {"Content-Type": "text/html"}, b"<html>Request Entity Too Large</html>"
        is_description = not request.table
        if is_description and not self.describes_schema_to_all and self._tokens[key] != token("service_role"):
            return _say(401, {"message": "Access to schema is forbidden", "hint": "Use a secret key."})
        filters = [part for part in request.query.split("&") if part and not part.startswith(("select=", "columns="))]
        if request.method in {"DELETE", "PATCH"} and not filters:
            verb = "DELETE" if request.method == "DELETE" else "UPDATE"
            return _say(400, {"code": "21000", "message": f"{verb} requires a WHERE clause"})
        return None

    def _forward(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in request.headers.items() if name not in {*_HOP, "apikey"}}
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if bearer in {"", request.headers["apikey"]}:
            headers["authorization"] = f"Bearer {self._tokens[request.headers['apikey']]}"
        connection = http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=60)
        path = request.path.removeprefix(_PREFIX)
        try:
            with self._lock:
                self.executing += 1
                self.most_executing = max(self.most_executing, self.executing)
            connection.request(
                request.method, f"{path}?{request.query}" if request.query else path, request.body or None, headers
            )
            answer = connection.getresponse()
            body = answer.read()
            told = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        except OSError:
            return 502, {"Content-Type": "text/html"}, b"<html>bad gateway</html>"
        finally:
            with self._lock:
                self.executing -= 1
            connection.close()
        return _as_today(request, answer.status, told, body)


def _as_today(request: Request, status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
    """A missing table as newer versions name it."""
    missing = status == 404 and (body in {b"", b"{}"} or b'"42P01"' in body)
    if not missing:
        return status, headers, body
    message = f"Could not find the table 'public.{request.table}' in the schema cache"
    return _say(404, {"code": "PGRST205", "details": None, "hint": None, "message": message})


def _say(status: int, what: dict[str, object]) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"}, json.dumps(what).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def _handler(gateway: SupabaseGateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: Nagle's algorithm would add 40 ms to each answer
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answered = gateway.answer(Request(self.command, parts.path, parts.query, headers, body))
            if answered is None:
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, told, content = answered
            self.send_response_only(status)
            for name, value in told.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Silent: tests read ``requests``."""

        def handle(self) -> None:
            with suppress(ConnectionError):  # a client that went away, which is what some tests want
                super().handle()

    return Handler
