"""The bytes that the load generator sends, as files: HTTP/1.1 written out, for each gateway."""

import json
from dataclasses import dataclass
from pathlib import Path

from bench.peers import Peer

BOUNDARY = "bench-boundary-5b0f6c1d"
_HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_QUESTION = "Why does the fox jump over the dog each day? Answer in two sentences at most, please."


@dataclass(frozen=True, slots=True)
class Requests:
    """Where the files go."""

    place: Path

    def chat(self, peer: Peer, model: str, tokens: int | None = None) -> Path:
        """One chat question; as a stream of so many chunks when `tokens` is given."""
        body: dict[str, object] = {
            "model": model,
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": _QUESTION},
            ],
            "temperature": 0.2,
            "max_tokens": tokens or 256,
        }
        if tokens:
            body["stream"] = True
        text = json.dumps(body, separators=(",", ":"))
        head = _head("POST", "/v1/chat/completions", peer, "application/json", len(text))
        return self._written(f"{peer.name}-{tokens or 'chat'}", head + text)

    def upload(
        self, peer: Peer, path: str, model: str, size: int, *, chunked: bool
    ) -> tuple[Path, Path]:
        """A recording of `size` bytes in a form: what comes before it, and after."""
        parts = f"--{BOUNDARY}\r\n" + 'Content-Disposition: form-data; name="model"\r\n\r\n'
        parts += f"{model}\r\n--{BOUNDARY}\r\nContent-Type: audio/wav\r\n"
        parts += 'Content-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'
        tail = f"\r\n--{BOUNDARY}--\r\n"
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        length = None if chunked else len(parts) + size + len(tail)
        head = _head("POST", path, peer, kind, length)
        first = f"{len(parts):x}\r\n{parts}\r\n" if chunked else parts
        return self._written(f"{peer.name}-form", head + first), self._written("tail", tail)

    def socket(self, peer: Peer, path: str) -> Path:
        bearer = f"Authorization: Bearer {peer.key}\r\n" if peer.key else ""
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{peer.port}\r\n{bearer}{_HANDSHAKE}\r\n"
        return self._written(f"{peer.name}-socket", head)

    def _written(self, name: str, text: str) -> Path:
        path = self.place / name.replace(" ", "-").replace(",", "")
        path.write_text(text, newline="")
        return path


def _head(method: str, path: str, peer: Peer, kind: str, length: int | None) -> str:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{peer.port}",
        "Accept: application/json",
        "User-Agent: bench/1",
        f"Content-Type: {kind}",
        f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked",
    ]
    if peer.key:
        lines.append(f"Authorization: Bearer {peer.key}")
    return "\r\n".join([*lines, "", ""])
