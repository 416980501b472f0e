"""All links of the app, one per (host, user), made when first asked for.

Owns which link belongs to which settings: a host whose address, port or user changed gets a new
one, and the old connection is closed. Refuses to keep settings: `hosts` is asked each time.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

from server.base.clock import Clock
from server.base.errors import Unavailable
from server.ssh.hostkeys import HostKeys
from server.ssh.link import Link
from server.ssh.model import Limits, LinkState, LinkStatus, Shell, Target
from server.ssh.remote import RemoteShell

Hosts = Callable[[str, str | None], Target]


class SshPool:
    """Implements `Shells`. One per app."""

    def __init__(
        self,
        hosts: Hosts,
        *,
        key_path: Path,
        hostkeys: HostKeys,
        clock: Clock,
        rng: random.Random,
        limits: Limits | None = None,
    ) -> None:
        self._hosts = hosts
        self._key_path = key_path
        self._hostkeys = hostkeys
        self._clock = clock
        self._rng = rng
        self._limits = limits or Limits()
        self._links: dict[tuple[str, str], Link] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def shell(self, host: str, user: str | None = None) -> Shell:
        """The shell of a host; NotFound when it is not configured. Nothing is connected by this."""
        self._hosts(host, user)
        return RemoteShell(lambda: self._link(host, user))

    def state(self, host: str, user: str | None = None) -> LinkState:
        """How the connection stands, without touching the host."""
        target = self._hosts(host, user)
        link = self._links.get((host, target.user))
        if link is None or link.target != target:
            return LinkState(LinkStatus.IDLE)
        return link.state()

    def forget(self, host: str) -> None:
        """Close the connections of a host (removed, changed, its key accepted)."""
        for key in [key for key in self._links if key[0] == host]:
            self._drop(self._links.pop(key))

    async def close(self) -> None:
        """Close everything, in a few seconds at most. No shell works afterwards."""
        self._closed = True
        for host in {name for name, _ in self._links}:
            self.forget(host)
        if self._closing:
            await asyncio.gather(*self._closing)

    def _link(self, host: str, user: str | None) -> Link:
        if self._closed:
            raise Unavailable("Spark Control is shutting down.", retry_after=5)
        target = self._hosts(host, user)
        key = (host, target.user)
        link = self._links.get(key)
        if link is not None and link.target != target:
            self._drop(self._links.pop(key))
            link = None
        if link is None:
            link = self._links[key] = Link(
                target,
                key_path=self._key_path,
                hostkeys=self._hostkeys,
                clock=self._clock,
                rng=self._rng,
                limits=self._limits,
            )
        return link

    def _drop(self, link: Link) -> None:
        task = asyncio.get_running_loop().create_task(link.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
