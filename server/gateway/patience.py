"""How long an upstream may take until its answer begins. Pure.

An engine that hangs accepts a request and says nothing; its caller, and everybody behind it, would
wait for as long as anybody waits. A stream begins at once, before its first token, and vectors are
quick; a whole completion begins when it is complete, which may be minutes on a slow machine.
"""

from server.config.gateway import Gateway
from server.gateway.model import Operation

_QUICK = frozenset(
    {
        "/v1/embeddings",
        "/v1/rerank",
        "/v1/reranking",
        "/rerank",
        "/v1/score",
        "/v1/tokenize",
        "/v1/detokenize",
        "/v1/messages/count_tokens",
        "/v1/audio/voices",
    }
)


def patience(operation: Operation, settings: Gateway, *, stream: bool) -> float:
    """Seconds from the end of the request to the head of its answer."""
    if (stream and operation.events) or operation.path in _QUICK:
        return min(settings.stream_head_seconds, settings.head_seconds)
    return settings.head_seconds
