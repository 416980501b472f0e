"""Embeddings, reranking and a small vector store: deterministic, of the right shape, meaningless.

Pure but for the store, which lives as long as its process.
"""

import hashlib
import math
from typing import Any

DIMENSIONS = 16
NAME = "simulated-embeddings"


def vector(text: str) -> list[float]:
    """A deterministic vector of length 1."""
    digest = hashlib.sha256(text.encode()).digest()
    raw = [byte - 127.5 for byte in digest[:DIMENSIONS]]
    length = math.sqrt(sum(one * one for one in raw))
    return [one / length for one in raw]


def _words(texts: list[str]) -> int:
    return sum(len(text.split()) for text in texts)


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("input", "")
    texts = [str(one) for one in (given if isinstance(given, list) else [given])]
    rows = [
        {"object": "embedding", "index": at, "embedding": _encoded(text, body)}
        for at, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": _words(texts), "total_tokens": _words(texts)}
    return {"object": "list", "model": NAME, "data": rows, "usage": usage}


def _encoded(text: str, body: dict[str, Any]) -> list[float] | str:
    """The official client asks for base64 unless told otherwise."""
    if body.get("encoding_format") != "base64":
        return vector(text)
    import base64  # noqa: PLC0415 - these processes start often, and few need it
    import struct  # noqa: PLC0415

    return base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector(text))).decode()


def rerank(body: dict[str, Any]) -> dict[str, Any]:
    documents = [str(one) for one in body.get("documents", [])]
    query = vector(str(body.get("query", "")))
    scores = [sum(a * b for a, b in zip(query, vector(one), strict=True)) for one in documents]
    best = sorted(range(len(documents)), key=lambda at: -scores[at])
    rows = [
        {"index": at, "document": {"text": documents[at]}, "relevance_score": scores[at]}
        for at in best[: int(body.get("top_n") or len(best))]
    ]
    used = {"total_tokens": _words(documents)}
    return {"id": "rerank-simulated", "model": NAME, "results": rows, "usage": used}


class Points:
    """Collections of points, as Qdrant's HTTP API tells of them: create, upsert, search, delete."""

    def __init__(self) -> None:
        self._collections: dict[str, dict[str, dict[str, Any]]] = {}

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        if parts[0] != "collections":
            return 404, "not found"
        if len(parts) == 1:
            return 200, {"collections": [{"name": name} for name in self._collections]}
        name, rest = parts[1], parts[2:]
        if not rest:
            return self._collection(method, name)
        points = self._collections.get(name)
        if points is None:
            return 404, f"Not found: Collection `{name}` doesn't exist!"
        return self._points(method, points, rest, body)

    def _collection(self, method: str, name: str) -> tuple[int, Any]:
        if method == "PUT":
            self._collections.setdefault(name, {})
            return 200, True
        if method == "DELETE":
            return 200, self._collections.pop(name, None) is not None
        if name not in self._collections:
            return 404, f"Not found: Collection `{name}` doesn't exist!"
        return 200, {"status": "green", "points_count": len(self._collections[name])}

    def _points(
        self, method: str, points: dict[str, dict[str, Any]], rest: list[str], body: dict[str, Any]
    ) -> tuple[int, Any]:
        if method == "PUT":
            points.update({str(one["id"]): one for one in body.get("points", [])})
            return 200, {"operation_id": len(points), "status": "completed"}
        if rest[-1] in {"search", "query"}:
            wanted = body.get("vector") or body.get("query") or []
            rows = [
                {**one, "score": sum(a * b for a, b in zip(wanted, one["vector"], strict=False))}
                for one in points.values()
            ]
            rows.sort(key=lambda row: -row["score"])
            return 200, rows[: int(body.get("limit") or 10)]
        return 404, "not found"
