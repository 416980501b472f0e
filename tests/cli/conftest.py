"""A real, tiny HTTP server that answers what the test says, and the program run against it."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from server.cli.main import main


@dataclass
class Answer:
    """Status, body (JSON, or bytes as they are) and content type."""

    body: Any = None
    status: int = 200
    content_type: str = "application/json"

    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Asked:
    method: str
    path: str
    query: str
    body: Any
    headers: dict[str, str]


@dataclass
class Api:
    """`on("GET", path, a, b)` answers a, then b, then b again; `asked` is what came in."""

    url: str = ""
    routes: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, method: str, path: str, *answers: Any) -> None:
        self.routes[(method, path)] = [a if isinstance(a, Answer) else Answer(a) for a in answers]

    def refuse(self, method: str, path: str, status: int, message: str, **more: Any) -> None:
        error = {"message": message, "type": "t", "code": "conflict", "param": None, **more}
        self.on(method, path, Answer({"error": error}, status))

    def next(self, asked: Asked) -> Answer:
        with self.lock:
            self.asked.append(asked)
            answers = self.routes.get((asked.method, asked.path))
            if not answers:
                return Answer({"error": {"message": "no such thing", "code": "not_found"}}, 404)
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def bodies(self, method: str, path: str) -> list[Any]:
        return [a.body for a in self.asked if (a.method, a.path) == (method, path)]


def _handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length)
            path, _, query = self.path.partition("?")
            is_json = "json" in self.headers.get("Content-Type", "")
            body = json.loads(text) if text and is_json else text or None
            asked = Asked(self.command, path, query, body, dict(self.headers))
            answer = api.next(asked)
            raw = answer.raw()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the names http.server calls

        def log_message(self, *args: Any) -> None:
            """Silence: pytest shows what matters."""

    return Handler


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("hosts", "list")` as the program would, against the little server."""
    monkeypatch.setenv("SPARK_CONTROL_URL", api.url)

    def call(*argv: str) -> Ran:
        capsys.readouterr()
        code = main(list(argv))
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call
