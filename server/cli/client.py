"""The API as the command line sees it: requests, their errors as sentences, shapes checked.

Owns the one httpx client of a command. Refuses to guess: an answer that is not what the API
documents ends the command with exit code 3 and says so. httpx is imported on first use, so that
`--help` and shell completion stay quick.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from server import __version__
from server.cli.errors import USAGE, CliError, RefusedError, UnreachableError

if TYPE_CHECKING:
    import httpx

KEY_VARIABLE = "SPARK_CONTROL_API_KEY"
DEFAULT_URL = "http://127.0.0.1:9999"
CONNECT_SECONDS = 5.0
READ_SECONDS = 120.0


def path(*parts: str) -> str:
    """`path("hosts", name)` -> `/api/v1/hosts/<name>`, each part quoted whole."""
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)


class Client:
    """One per command; close it or use it as a context manager."""

    def __init__(self, url: str, read_seconds: float = READ_SECONDS) -> None:
        self.url = url.rstrip("/")
        self._read_seconds = read_seconds
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def get(self, url: str, **params: Any) -> Any:
        return self._request("GET", url, params=_given(params))

    def readiness(self) -> dict[str, Any]:
        """`/readyz`, whose 503 is an answer like any other: it tells what is missing."""
        return self.as_object(self._request("GET", "/readyz", also=503))

    def post(self, url: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._request("POST", url, json=body if body is not None else {})

    def put(self, url: str, body: Mapping[str, Any]) -> Any:
        return self._request("PUT", url, json=body)

    def send(
        self, url: str, body: Iterator[bytes], *, headers: Mapping[str, str], params: Any
    ) -> Any:
        """A body of bytes, as it comes."""
        return self._request("POST", url, content=body, headers=dict(headers), params=params)

    def delete(self, url: str) -> Any:
        return self._request("DELETE", url)

    def get_object(self, url: str, **params: Any) -> dict[str, Any]:
        return self.as_object(self.get(url, **params))

    def get_list(self, url: str, key: str, **params: Any) -> list[dict[str, Any]]:
        """A list of objects, bare or under `key`."""
        return self.as_list(self.get(url, **params), key)

    def as_object(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise self._odd()
        return body

    def as_list(self, body: Any, key: str) -> list[dict[str, Any]]:
        items = body.get(key) if isinstance(body, dict) else body
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self._odd()
        return items

    @contextmanager
    def stream(self, method: str, url: str, **options: Any) -> Iterator[httpx.Response]:
        """An open answer of status 2xx, to be read piece by piece."""
        with self._reaching(), self._http().stream(method, self.url + url, **options) as response:
            if response.is_error:
                response.read()
                raise refusal(response)
            yield response

    def _request(self, method: str, url: str, also: int = 200, **options: Any) -> Any:
        with self._reaching():
            response = self._http().request(method, self.url + url, **options)
        if not response.is_success and response.status_code != also:
            raise refusal(response)
        if response.status_code == 204 or not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise self._odd() from None

    def _odd(self) -> UnreachableError:
        return UnreachableError(
            f"What answers at {self.url} does not answer like Spark Control {__version__}: "
            "check --url or SPARK_CONTROL_URL, and that both sides are of one version."
        )

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        import httpx  # noqa: PLC0415 - slow to import; most verbs' help needs none

        try:
            yield
        except httpx.ConnectTimeout:
            raise UnreachableError(
                self._unreachable("no answer to the connection attempt")
            ) from None
        except httpx.ReadTimeout:
            raise UnreachableError(self._unreachable("the answer did not come in time")) from None
        except httpx.ConnectError as error:
            raise UnreachableError(self._unreachable(str(error))) from None
        except httpx.HTTPError as error:
            raise UnreachableError(self._unreachable(f"the connection broke: {error}")) from None

    def _unreachable(self, why: str) -> str:
        return (
            f"Spark Control could not be reached at {self.url} ({why}). "
            "Is `spark-control serve` running there? Name another address with --url or "
            "SPARK_CONTROL_URL."
        )

    def _http(self) -> httpx.Client:
        if self._client is None:
            import httpx  # noqa: PLC0415 - as above

            check_url(self.url)
            # The system's certificates (a StartOS root CA is installed there), never a proxy from
            # the environment: this is a LAN address.
            verify = ssl.create_default_context() if self.url.startswith("https") else True
            self._client = httpx.Client(
                verify=verify,
                trust_env=False,
                timeout=httpx.Timeout(self._read_seconds, connect=CONNECT_SECONDS),
                headers={"User-Agent": f"spark-control/{__version__}", **_key(self.url)},
            )
        return self._client


def _key(url: str) -> dict[str, str]:
    """The API key of the environment: on a command line everybody on the machine could read it.
    Without one, what the app on this very machine wrote for those who may read its data."""
    key = os.environ.get(KEY_VARIABLE, "").strip() or _local_token(url)
    if not key:
        return {}
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CliError(f"{KEY_VARIABLE} holds something that cannot be an API key.", USAGE)
    return {"Authorization": f"Bearer {key}"}


def _local_token(url: str) -> str:
    """Never for another machine's address."""
    if urlsplit(url).hostname not in {"127.0.0.1", "::1", "localhost"}:
        return ""
    data = Path(os.environ.get("SPARK_CONTROL_DATA") or "data")
    try:
        return (data / "local.token").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise CliError(
            f"{url!r} is not an address: it should look like http://box.local:9999", USAGE
        )


def refusal(response: httpx.Response) -> CliError:
    """The API's error as one sentence, with its advice; anything else is not Spark Control."""
    try:
        error = json.loads(response.content)["error"]
        message, code = error["message"], str(error.get("code") or "")
    except (ValueError, TypeError, KeyError, AttributeError):
        return UnreachableError(
            f"{response.request.url} answered HTTP {response.status_code} without an error of "
            "Spark Control: check --url or SPARK_CONTROL_URL."
        )
    text = str(message)
    if advice := error.get("advice"):
        text += f"\n  what to do: {advice}"
    if request_id := error.get("request_id"):
        text += f"\n  request id: {request_id}"
    return RefusedError(text, status=response.status_code, error_code=code)


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if value is not None}
