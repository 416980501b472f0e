"""Errors of the JSON API: whatever is raised under FastAPI leaves in the one documented shape.

Owns the mapping of validation errors (all fields at once) and of unknown paths and methods.
Refuses to show a traceback: an unexpected error is logged by the outermost layer and answered
with its request id.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from server.base.errors import (
    InvalidRequest,
    InvalidValue,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    SparkError,
    UnsupportedMediaType,
)
from server.gateway.wire import REQUEST_ID, error_answer

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PLACES = frozenset({"body", "query", "path", "header", "cookie"})


class InvalidFields(InvalidValue):
    """Several fields are wrong: `param` is the first, `errors` has each with its message."""

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        named = [f"{name}: {message}" if name else message for name, message in fields]
        super().__init__("; ".join(named), param=next((name for name, _ in fields if name), None))
        self.fields = tuple(fields)

    def to_dict(self, request_id: str | None = None) -> dict[str, Any]:
        listed = [{"param": name or None, "message": message} for name, message in self.fields]
        return super().to_dict(request_id) | {"errors": listed}


class UnexpectedError(SparkError):
    """A mistake of ours. The request id leads to the traceback in the log."""

    def __init__(self) -> None:
        super().__init__(
            "Something went wrong inside Spark Control.",
            advice="Search the log for the request id; please report what you find there.",
        )


def invalid(errors: Iterable[Mapping[str, Any]]) -> SparkError:
    """Pydantic's errors as one of ours; malformed JSON is not a matter of fields."""
    fields: list[tuple[str, str]] = []
    for error in errors:
        place = [str(part) for part in error.get("loc", ())]
        if error.get("type") == "json_invalid":
            reason = error.get("ctx", {}).get("error", "")
            return InvalidRequest(f"The body is not valid JSON: {reason}".rstrip(": ") + ".")
        if place and place[0] in _PLACES:
            place = place[1:]
        fields.append((".".join(place), str(error.get("msg", "is not valid"))))
    return InvalidFields(fields)


def answer(error: SparkError, request_id: str | None) -> Response:
    status, headers, body = error_answer(error, request_id)
    pairs = {key.decode(): value.decode() for key, value in headers}
    return Response(body, status, pairs)


def allowed(app: FastAPI, scope: Scope) -> tuple[str, ...]:
    """The methods that some route of this path answers."""
    found = {"HEAD"} if _answers(app, scope, "GET") else set()
    found |= {method for method in _METHODS if _answers(app, scope, method)}
    return (
        *(m for m in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") if m in found),
        "OPTIONS",
    )


def _answers(app: FastAPI, scope: Scope, method: str) -> bool:
    asked = {**scope, "method": method, "path_params": {}}
    return any(route.matches(asked)[0] is Match.FULL for route in app.routes)


async def _on_spark(request: Request, error: Exception) -> Response:
    if not isinstance(error, SparkError):
        raise error
    return answer(error, request.scope.get(REQUEST_ID))


async def _on_validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError | ValidationError):
        raise error
    return answer(invalid(error.errors()), request.scope.get(REQUEST_ID))


async def _on_http(request: Request, error: Exception) -> Response:
    """Starlette's own: unknown path, wrong method (and OPTIONS, which no route answers)."""
    if not isinstance(error, HTTPException):
        raise error
    request_id = request.scope.get(REQUEST_ID)
    if error.status_code == 405:
        methods = ", ".join(allowed(request.app, request.scope))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"allow": methods})
        refused = answer(
            MethodNotAllowed(f"{request.url.path} answers {methods}, not {request.method}."),
            request_id,
        )
        refused.headers["allow"] = methods
        return refused
    if error.status_code == 404:
        return answer(NotFound(f"There is no {request.url.path} here."), request_id)
    return answer(_of_status(error.status_code, str(error.detail)), request_id)


def _of_status(status: int, detail: str) -> SparkError:
    if status == 413:
        return PayloadTooLarge(detail)
    if status == 415:
        return UnsupportedMediaType(detail)
    return InvalidRequest(detail) if status < 500 else UnexpectedError()


async def _on_unexpected(request: Request, error: Exception) -> Response:
    """Starlette raises it again after this answer; the outermost layer writes it to the log."""
    return answer(UnexpectedError(), request.scope.get(REQUEST_ID))


def install(app: FastAPI) -> None:
    app.add_exception_handler(SparkError, _on_spark)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(ValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unexpected)
