"""Which client speaks to upstreams is a setting; nothing but this knows that there are two."""

from typing import Literal

from server.gateway.client.aiohttp import AiohttpUpstream
from server.gateway.client.pool import PooledUpstream
from server.gateway.model import UpstreamClient

Kind = Literal["pooled", "aiohttp"]


def make_client(kind: Kind) -> UpstreamClient:
    return PooledUpstream() if kind == "pooled" else AiohttpUpstream()
