"""Where an upstream may be: names, IPv6, TLS; and what is no address."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from server.base.errors import Unavailable, UpstreamError
from server.gateway.client.request import Origin, origin_of, split
from server.gateway.client.sockets import connected
from server.gateway.model import UpstreamClient
from tests.gateway.client.far import MAKERS, OK, Far, ask, far, fetch

LARGE = OK + b"content-length: 1000000\r\n\r\n" + b"x" * 1_000_000


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "far")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "far.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@asynccontextmanager
async def far_tls(certificate: Path, *answers: bytes) -> AsyncIterator[Far]:
    upstream = Far(list(answers))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await upstream.talk(reader, writer, 0)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    upstream.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("kind", sorted(MAKERS))
class TestTls:
    async def test_a_trusted_upstream_is_asked(self, kind: str, certificate: Path) -> None:
        """Large bodies both ways, and the connection is used again."""
        client = MAKERS[kind](tls=ssl.create_default_context(cafile=str(certificate)))
        async with far_tls(certificate, LARGE) as upstream:
            for _ in range(2):
                got = await fetch(client, ask(upstream.url, body=b"y" * 1_000_000))
                assert len(got.body) == 1_000_000
            assert [len(one) for one in upstream.requests] == [2]
            await client.close()

    async def test_one_that_nobody_vouches_for_is_not(self, kind: str, certificate: Path) -> None:
        """Nothing of the request is sent to it."""
        client = MAKERS[kind]()
        async with far_tls(certificate, LARGE) as upstream:
            with pytest.raises(Unavailable):
                await fetch(client, ask(upstream.url))
            assert upstream.requests == []
            await client.close()


async def test_an_ipv6_address_is_an_address(client: UpstreamClient) -> None:
    """In brackets, as in every URL, and so in the Host header."""
    upstream = Far([OK + b"content-length: 0\r\n\r\n"])

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.talk(reader, writer, 0)
        writer.close()

    server = await asyncio.start_server(connected, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    assert (await fetch(client, ask(f"http://[::1]:{port}"))).status == 200
    assert b"host: [::1]:%d\r\n" % port in upstream.requests[0][0].lower()
    await client.close()
    server.close()
    await server.wait_closed()


async def test_a_name_is_looked_up(client: UpstreamClient) -> None:
    """Every address of it is tried: `localhost` is often ::1 first."""
    async with far(OK + b"content-length: 0\r\n\r\n") as upstream:
        url = upstream.url.replace("127.0.0.1", "localhost")
        assert (await fetch(client, ask(url))).status == 200


@pytest.mark.parametrize(
    "url", ["", "localhost:80", "ftp://x", "http://", "http://:80", "http://x:99999", "http://a b"]
)
async def test_what_is_no_address_is_an_error_of_the_upstream(
    client: UpstreamClient, url: str
) -> None:
    """It was set wrong; the caller can do nothing about it."""
    with pytest.raises((UpstreamError, Unavailable)):
        await client.open(ask(url))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_origin_is_scheme_host_and_port(scheme: str) -> None:
    """What is left out is what the scheme says."""
    port = 443 if scheme == "https" else 80
    assert split(f"{scheme}://spark:8000/v1/x?a/b#c") == (f"{scheme}://spark:8000", "/v1/x?a/b")
    assert origin_of(f"{scheme}://spark") == Origin(scheme == "https", "spark", port, b"spark")
    assert origin_of(f"{scheme}://[::1]:1") == Origin(scheme == "https", "::1", 1, b"[::1]:1")


def test_an_address_with_a_password_is_refused() -> None:
    """It would end up in a Host header or in an error text."""
    with pytest.raises(ValueError, match="not an HTTP address"):
        origin_of("http://user:secret@spark")


class Names:
    """The loop of the test, whose names have the addresses that a test says."""

    def __init__(self, *addresses: tuple[str, int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._addresses = addresses

    async def getaddrinfo(self, *_asked: object, **_more: object) -> list[object]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, address) for address in self._addresses]

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)


async def test_an_address_that_is_silent_does_not_keep_the_next_one_waiting() -> None:
    """Names often have an address that leads nowhere: the one that answers first is taken."""
    with ExitStack() as stack:
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
        listens = stack.enter_context(socket.socket())
        listens.bind(("127.0.0.1", 0))
        listens.listen()
        names = Names(silent.getsockname(), listens.getsockname())
        async with asyncio.timeout(10):
            found = await connected("spark", 80, names)  # type: ignore[arg-type]
        assert found.getpeername() == listens.getsockname()
        found.close()
