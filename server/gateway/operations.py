"""The table of the routes that are relayed, and how a path finds its row. Pure.

Owns which kind of upstream answers a path, how the name of the model is found, and what may be
asked again. Refuses to know what is served: that is the router's.
"""

from server.gateway.model import Operation

_ASR = ("asr", "llm")
_GET = ("GET", "HEAD")

_TABLE = (
    Operation("/v1/chat/completions", events=True),
    Operation("/v1/completions", events=True),
    Operation("/v1/responses", named_events=True, events=True),
    Operation("/v1/messages", named_events=True, events=True),
    Operation("/v1/messages/count_tokens", named_events=True),
    Operation("/v1/embeddings", ("embeddings", "llm")),
    Operation("/v1/rerank", ("rerank", "llm")),
    Operation("/v1/reranking", ("rerank", "llm"), upstream_path="/v1/rerank"),
    Operation("/rerank", ("rerank", "llm")),
    Operation("/v1/score", ("rerank", "llm")),
    Operation("/v1/tokenize", upstream_path="/tokenize"),
    Operation("/v1/detokenize", upstream_path="/detokenize"),
    Operation("/v1/audio/transcriptions", _ASR, "form", events=True),
    Operation("/v1/audio/translations", _ASR, "form", events=True),
    Operation("/v1/audio/diarize", ("diarize",), "form"),
    Operation("/v1/audio/diarize-chunk", ("diarize",), "form"),
    Operation("/v1/audio/label-merge", ("other",), "any", service="label-merge", here=True),
    Operation("/v1/audio/speech", ("tts",)),
    Operation("/v1/audio/voices", ("tts",), "any", methods=_GET),
    Operation("/v1/audio/stream", ("asr",), "any", methods=(), socket=True),
    Operation("/v1/realtime", ("asr", "llm"), "any", methods=(), socket=True),
    Operation("/scrub", ("other",), "any", service="scrub", here=True),
    # Whether a foreign request may be sent twice is not ours to say.
    Operation("/qdrant", ("qdrant",), "any", methods=(), prefix=True, repeatable=False),
    Operation("/upstream", (), "any", methods=(), prefix=True, named=True, repeatable=False),
)

OPERATIONS = {operation.path: operation for operation in _TABLE}
"""By path; of a `prefix` operation everything below that path as well."""

HERE = tuple(one.service for one in _TABLE if one.here and one.service is not None)
"""The names under which Spark Control answers itself."""

SEGMENTS = tuple(sorted({path.split("/", 2)[1] for path in OPERATIONS}))
"""The first path segments that belong to the gateway."""


def find(path: str) -> Operation | None:
    """The row of a path without its trailing slash."""
    found = OPERATIONS.get(path)
    if found is None:
        below = OPERATIONS.get(path[: path.find("/", 1)]) if path.count("/") > 1 else None
        found = below if below is not None and below.prefix else None
    return found


def methods_of(operation: Operation) -> tuple[str, ...]:
    """For `Allow`; empty when any method is."""
    return (*operation.methods, "OPTIONS") if operation.methods else ()
