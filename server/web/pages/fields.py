"""The fields of a form that a page sent. Its body is bounded before a route sees it."""

from urllib.parse import parse_qsl

from fastapi import Request

from server.base.errors import InvalidRequest

MAX_FIELDS = 200


async def fields(request: Request) -> dict[str, str]:
    """Of an urlencoded form; of two with one name the last."""
    body = await request.body()
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise InvalidRequest("The form cannot be read.") from None
    return dict(pairs)
