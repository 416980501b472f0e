"""A language model that says what a test tells it to, over HTTP, as the referee would ask one."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Judge:
    """`answer` gives the content of each answer from the request's body."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], str] = lambda _: "{}"
        self.asked: list[dict[str, Any]] = []
        self.port = 0


@contextmanager
def running_judge() -> Iterator[Judge]:
    judge = Judge()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say({"object": "list", "data": [{"id": "judge", "object": "model"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            judge.asked.append(body)
            message = {"role": "assistant", "content": judge.answer(body)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._say({"id": "1", "object": "chat.completion", "choices": [choice]})

        def _say(self, shape: dict[str, Any]) -> None:
            body = json.dumps(shape).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    judge.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield judge
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
