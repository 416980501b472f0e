"""One error tree. A message names what failed, where, and what to do; never a trace or a path.

    SparkError                     500 internal
    ├─ InvalidRequest              400 invalid_request
    │  └─ InvalidValue             422 invalid_request      (a named field is wrong)
    ├─ InvalidApiKey               401 invalid_api_key
    ├─ Forbidden                   403 forbidden
    ├─ NotFound                    404 not_found
    │  └─ ModelNotFound            404 model_not_found
    ├─ MethodNotAllowed            405 method_not_allowed
    ├─ SessionExpired              408 session_expired      (a WebSocket that carried nothing)
    ├─ Conflict                    409 conflict
    │  └─ HostKeyChanged           409 host_key_changed     (until a person accepts the new key)
    ├─ PayloadTooLarge             413 payload_too_large
    ├─ UnsupportedMediaType        415 unsupported_media_type
    ├─ RateLimited                 429 rate_limited         retryable
    │  └─ QueueFull                429 queue_full           retryable
    ├─ ClientClosed                499 client_closed        (log only: nobody is left to read it)
    ├─ UpstreamError               502 upstream_error
    │  └─ RemoteCommandFailed      502 remote_command_failed
    ├─ Unavailable                 503 unavailable          retryable
    │  ├─ ModelLoading             503 model_loading        retryable
    │  └─ HostUnreachable          503 host_unreachable     retryable
    │     └─ SshAuthFailed         503 ssh_auth_failed
    ├─ UpstreamTimeout             504 upstream_timeout     retryable
    │  └─ DeadlineExceeded         504 deadline_exceeded    retryable
    └─ InsufficientStorage         507 insufficient_storage

The web floor maps this tree once to JSON, once to an HTML fragment and once to an SSE error frame.
"""

from typing import Any, ClassVar


class SparkError(Exception):
    """Base of every error that may reach a caller.

    `message` is written for people. `advice` is the next step. `param` names the offending field.
    `retry_after` is in seconds. `source` is `spark-control` or the upstream that failed.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    kind: ClassVar[str] = "server_error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        advice: str | None = None,
        retry_after: float | None = None,
        source: str = "spark-control",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.advice = advice
        self.retry_after = retry_after
        self.source = source

    def to_dict(self, request_id: str | None = None) -> dict[str, Any]:
        """The body of `{"error": …}` as the API documents it."""
        body: dict[str, Any] = {
            "message": self.message,
            "type": self.kind,
            "code": self.code,
            "param": self.param,
            "request_id": request_id,
            "source": self.source,
        }
        if self.advice:
            body["advice"] = self.advice
        return body


class InvalidRequest(SparkError):
    status = 400
    code = "invalid_request"
    kind = "invalid_request_error"


class InvalidValue(InvalidRequest):
    status = 422


class InvalidApiKey(SparkError):
    status = 401
    code = "invalid_api_key"
    kind = "authentication_error"


class Forbidden(SparkError):
    status = 403
    code = "forbidden"
    kind = "permission_error"


class NotFound(SparkError):
    status = 404
    code = "not_found"
    kind = "invalid_request_error"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(SparkError):
    status = 405
    code = "method_not_allowed"
    kind = "invalid_request_error"


class SessionExpired(SparkError):
    status = 408
    code = "session_expired"
    kind = "timeout_error"


class Conflict(SparkError):
    status = 409
    code = "conflict"
    kind = "invalid_request_error"


class HostKeyChanged(Conflict):
    code = "host_key_changed"


class PayloadTooLarge(SparkError):
    status = 413
    code = "payload_too_large"
    kind = "invalid_request_error"


class UnsupportedMediaType(SparkError):
    status = 415
    code = "unsupported_media_type"
    kind = "invalid_request_error"


class RateLimited(SparkError):
    status = 429
    code = "rate_limited"
    kind = "rate_limit_error"
    retryable = True


class QueueFull(RateLimited):
    code = "queue_full"


class ClientClosed(SparkError):
    status = 499
    code = "client_closed"
    kind = "client_error"


class UpstreamError(SparkError):
    status = 502
    code = "upstream_error"
    kind = "upstream_error"


class RemoteCommandFailed(UpstreamError):
    """A remote command ended with a non-zero status. `exit_status` and `stderr` tell how."""

    code = "remote_command_failed"

    def __init__(
        self, message: str, *, exit_status: int = 1, stderr: str = "", **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.exit_status = exit_status
        self.stderr = stderr


class Unavailable(SparkError):
    status = 503
    code = "unavailable"
    kind = "unavailable_error"
    retryable = True


class ModelLoading(Unavailable):
    code = "model_loading"


class HostUnreachable(Unavailable):
    code = "host_unreachable"


class SshAuthFailed(HostUnreachable):
    code = "ssh_auth_failed"
    retryable = False


class UpstreamTimeout(SparkError):
    status = 504
    code = "upstream_timeout"
    kind = "timeout_error"
    retryable = True


class DeadlineExceeded(UpstreamTimeout):
    code = "deadline_exceeded"


class InsufficientStorage(SparkError):
    status = 507
    code = "insufficient_storage"
    kind = "storage_error"
