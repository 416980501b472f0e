"""The table of the routes that are relayed. Pure."""

from server.gateway.model import Operation

OPERATIONS = {
    operation.path: operation
    for operation in (
        Operation("/v1/chat/completions"),
        Operation("/v1/completions"),
        Operation("/v1/responses", named_events=True),
        Operation("/v1/messages", named_events=True),
        Operation("/v1/embeddings"),
        Operation("/v1/tokenize", upstream_path="/tokenize"),
    )
}
