"""The settings in force, and the only writer of `config.yaml`.

Readers take `current`, an immutable value. `refresh` picks up edits made by hand; a broken file
leaves the last good settings in force and says what is wrong in `problems`. A save holds the lock
from reading to writing, changes only what was asked, and is refused when the result would not be
valid, so that two savers lose nothing and no save makes the next start fail. A saver that says by
`mark` what it has seen is refused when that has changed since: a form that lay open for an hour
overwrites nobody's work.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from server.base.errors import Conflict, NotFound
from server.base.files import atomic_write, locked
from server.base.logs import get_logger
from server.config import edit, source
from server.config.environ import overlay
from server.config.load import ConfigError, read, settle
from server.config.marks import Origin, index_of, mark_of, origin_of
from server.config.model import Host, Link, Service, Settings
from server.config.paths import DataDir
from server.config.schema import keys_at

log = get_logger("config")

Edit = Callable[[str, dict[str, Any]], tuple[str, dict[str, Any]]]
"""(text, data) before -> (text, data) after; the data says what the new text must mean."""


class Stale(Conflict):
    """What was to be saved has changed since the saver looked at it."""


class SettingsStore:
    """Raises `ConfigError` when the settings are wrong at the start: there is no last good one."""

    def __init__(self, data: Path, environ: Mapping[str, str]) -> None:
        self._path = DataDir(data).config
        self._environ = dict(environ)
        self._raw = read(self._path)
        self._current = settle(self._raw, self._environ)
        self._problems: tuple[str, ...] = ()
        self._rejected: bytes | None = None
        self._emptied = False
        self._saving = asyncio.Lock()
        self.version = 1

    @property
    def current(self) -> Settings:
        return self._current

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the file as it is now; empty when it is in force."""
        return self._problems

    def refresh(self) -> bool:
        """Look at the file; True when other settings are in force than before. Never raises."""
        try:
            raw = read(self._path)
        except ConfigError as error:
            self._report(error.problems)
            return False
        if raw == self._raw:
            self._rejected, self._emptied = None, False
            self._report(())
            return False
        if raw == self._rejected or self._half_written(raw):
            return False
        try:
            settings = settle(raw, self._environ)
        except ConfigError as error:
            self._rejected = raw
            self._report(error.problems)
            return False
        return self._take(raw, settings)

    def mark(self, section: str, item: str | None = None) -> str:
        """Stands for what the file says of a section, or of one item of a list, in force now."""
        return mark_of(source.parse(self._raw).data or {}, section, item)

    def origins(self, section: str) -> dict[str, Origin]:
        """Where the value in force of each setting of a group comes from."""
        data, above = source.parse(self._raw).data or {}, overlay(self._environ)
        return {key: origin_of((section, key), data, above) for key in keys_at((section,))}

    def variable(self, section: str) -> str | None:
        """The variable that gives a whole list, which cannot be changed from here then."""
        return overlay(self._environ).name((section,))

    async def add_host(self, host: Host) -> Settings:
        """Raises `Conflict` when the name is taken."""
        return await self._add("hosts", host, host.name)

    async def replace_host(self, name: str, host: Host, mark: str | None = None) -> Settings:
        """Raises `NotFound`, `Conflict` when a new name is taken or the old one is in use, and
        `Stale`."""
        if host.name != name:
            self._refuse_used(name)
        return await self._replace("hosts", name, host, host.name, mark)

    async def remove_host(self, name: str) -> Settings:
        """Raises `NotFound`, and `Conflict` while services or the engine name the host."""
        self._refuse_used(name)
        return await self._remove("hosts", name)

    async def add_service(self, service: Service) -> Settings:
        return await self._add("services", service, service.name)

    async def replace_service(
        self, name: str, service: Service, mark: str | None = None
    ) -> Settings:
        return await self._replace("services", name, service, service.name, mark)

    async def remove_service(self, name: str) -> Settings:
        return await self._remove("services", name)

    async def save_section(
        self, section: str, changes: Mapping[str, Any], mark: str | None = None
    ) -> Settings:
        """Change keys of a group (`engine`, `gateway`, …). Raises `ConfigError` for bad values, and
        `Stale`."""
        for key in changes:
            self._refuse_overridden(section, key)

        def change(text: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
            _refuse_stale(data, section, None, mark)
            group = {**(data.get(section) or {}), **changes}
            return edit.change_section(text, section, changes), {**data, section: group}

        return await self._save(change) if changes else self._current

    async def save_links(self, links: Sequence[Link], mark: str | None = None) -> Settings:
        """All of them: those of other names go, new ones stand at the end. Raises `Stale`."""
        self._refuse_overridden("links")

        def change(text: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
            _refuse_stale(data, "links", None, mark)
            items = list(data.get("links") or [])
            wanted = {link.name: _plain(link) for link in links}
            for index in reversed(range(len(items))):
                if items[index].get("name") not in wanted:
                    text = edit.remove_item(text, "links", index)
                    del items[index]
            for name, link in wanted.items():
                found = index_of(items, name)
                if found is None:
                    text = edit.append_item(text, "links", link)
                    items.append(link)
                elif items[found] != link:
                    text = edit.change_item(text, "links", found, {"url": link["url"]})
                    items[found] = link
            return text, {**data, "links": items or None}

        return await self._save(change)

    # -- lists of groups

    async def _add(self, section: str, item: BaseModel, name: str) -> Settings:
        self._refuse_overridden(section)
        plain = _plain(item)

        def change(text: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
            items = data.get(section) or []
            if index_of(items, name) is not None:
                raise Conflict(f"{section}: there is one named {name!r} already.", param="name")
            return edit.append_item(text, section, plain), {**data, section: [*items, plain]}

        return await self._save(change)

    async def _replace(
        self, section: str, old: str, item: BaseModel, name: str, mark: str | None
    ) -> Settings:
        self._refuse_overridden(section)
        everything = item.model_dump(mode="json")
        plain = _plain(item)

        def change(text: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
            items = list(data.get(section) or [])
            index = index_of(items, old)
            if index is None:
                raise NotFound(f"{section}: there is none named {old!r}.")
            _refuse_stale(data, section, old, mark)
            if name != old and index_of(items, name) is not None:
                raise Conflict(f"{section}: there is one named {name!r} already.", param="name")
            # A key that is written stays written, with its default if need be: its comment stays.
            wanted = {key: everything[key] for key in items[index] if key in everything} | plain
            changes = {
                key: value
                for key, value in wanted.items()
                if key not in items[index] or items[index][key] != value
            }
            items[index] = {**items[index], **changes}
            return edit.change_item(text, section, index, changes), {**data, section: items}

        return await self._save(change)

    async def _remove(self, section: str, name: str) -> Settings:
        self._refuse_overridden(section)

        def change(text: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
            items = list(data.get(section) or [])
            index = index_of(items, name)
            if index is None:
                raise NotFound(f"{section}: there is none named {name!r}.")
            del items[index]
            return edit.remove_item(text, section, index), {**data, section: items or None}

        return await self._save(change)

    # -- saving

    async def _save(self, change: Edit) -> Settings:
        async with self._saving:
            try:
                raw, settings = await asyncio.to_thread(self._write, change)
            except Stale:
                self.refresh()  # so that the saver is shown what it has not seen
                raise
            if raw != self._raw:
                self._take(raw, settings)
        return self._current

    def _write(self, change: Edit) -> tuple[bytes, Settings]:
        """In a thread: lock, read what is there now, change, prove, write."""
        with locked(self._path):
            before = read(self._path)
            self._refuse_broken(before)
            data = source.parse(before).data or {}
            text, meant = change(before.decode("utf-8-sig"), dict(data))
            raw = text.encode()
            if not _same(source.parse(raw).data, meant):
                raise Conflict(
                    f"{self._path.name} is written in a way that cannot be changed from here.",
                    advice="Make this change in the file by hand.",
                )
            settings = settle(raw, self._environ)
            if raw != before:
                atomic_write(self._path, raw, _mode(self._path))
            return raw, settings

    def _refuse_broken(self, before: bytes) -> None:
        """A file broken by hand is its author's to mend: writing into it could hide their work."""
        try:
            settle(before, self._environ)
        except ConfigError as error:
            raise Conflict(
                f"{self._path.name} has mistakes and is not changed from here: {error.problems[0]}",
                advice=f"Correct {self._path.name} first.",
            ) from error

    def _refuse_used(self, host: str) -> None:
        users = [f"service {s.name}" for s in self._current.services if s.host == host]
        if self._current.engine.default_host == host:
            users.append("engine.default_host")
        if users:
            raise Conflict(
                f"The host {host!r} is in use by {', '.join(users)}.",
                advice="Change or remove these first.",
            )

    def _refuse_overridden(self, *where: str) -> None:
        """A save that the environment would hide must not look as if it had worked."""
        name = overlay(self._environ).name(where)
        if name is not None:
            raise Conflict(
                f"{'.'.join(where)} is set by the environment variable {name}.",
                advice=f"Change it there, or remove {name} and restart.",
            )

    # -- taking

    def _take(self, raw: bytes, settings: Settings) -> bool:
        changed = settings != self._current
        self._raw, self._current, self._rejected = raw, settings, None
        self._problems = ()
        if changed:
            self.version += 1
        return changed

    def _half_written(self, raw: bytes) -> bool:
        """An editor may empty a file before it writes it: believe emptiness at the second look."""
        first_look = not raw and not self._emptied
        self._emptied = not raw
        return first_look

    def _report(self, problems: tuple[str, ...]) -> None:
        if problems != self._problems:
            for problem in problems:
                log.warning("settings not taken", file=self._path.name, problem=problem)
        self._problems = problems


def _refuse_stale(
    data: Mapping[str, Any], section: str, item: str | None, mark: str | None
) -> None:
    if mark is not None and mark != mark_of(data, section, item):
        named = section if item is None else f"{item} in {section}"
        raise Stale(
            f"The settings of {named} were changed meanwhile.",
            advice="Look at what is saved now, then save again.",
        )


def _plain(item: BaseModel) -> dict[str, Any]:
    """What is worth writing: all that differs from the defaults."""
    return item.model_dump(mode="json", exclude_defaults=True)


def _same(data: dict[str, Any] | None, meant: dict[str, Any]) -> bool:
    """Equal, where an absent and an empty section are the same."""

    def written(body: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in body.items() if value not in (None, [], {})}

    return data is not None and written(data) == written(meant)


def _mode(path: Path) -> int:
    """The file's own mode without what would let others write; 0600 for a new file."""
    try:
        return path.stat().st_mode & 0o755
    except OSError:
        return 0o600
