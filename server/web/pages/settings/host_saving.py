"""A host from a form, saved in two steps: its machine is asked for the host key, and a person who
has compared the fingerprint says that it is the right one. Only then is the key pinned and the host
saved. A machine that does not answer may be added all the same; its key is then pinned at the first
contact, as for a host that is written into `config.yaml`.

Shared by the settings and the first run. Refuses to trust a key that was looked at under another
address than the one that is saved.
"""

from collections.abc import Mapping

from server.base.errors import Conflict, HostUnreachable, InvalidValue, SparkError
from server.config.model import Host
from server.config.store import Stale
from server.ssh.hostkeys import UNREADABLE, fingerprint
from server.ssh.model import Target
from server.web.api.hosts import save_changed, save_new
from server.web.api.views import target
from server.web.pages.form import VERSION
from server.web.pages.settings import item
from server.web.pages.settings import section as sections
from server.web.pages.settings.host import FirstKey, HostForm
from server.web.parts import Parts

KEY, KEY_OF = "host_key", "host_key_of"


async def saved(
    parts: Parts, form: HostForm, given: Mapping[str, str], old: Host | None = None
) -> tuple[HostForm | None, int]:
    """(None, 200) when it is saved, else the form to show and its status. `form` is as it would be
    opened now."""
    try:
        host = item.meant(Host, "hosts", given, old)
        _refuse_taken(parts, host, old)
        first = await _first_key(parts, host, given, old)
        if first is not None:
            return HostForm(sections.kept(form.fields, given), first), 200
        if old is None:
            await save_new(parts, host)
        else:
            await save_changed(parts, old.name, host, given.get(VERSION) or None)
    except HostUnreachable as error:
        silent = sections.kept(form.fields, given)
        return HostForm(silent, None, error.message, error.advice or ""), error.status
    except Stale as error:
        return HostForm(sections.stale(form.fields, given)), error.status
    except SparkError as error:
        return HostForm(sections.refused(form.fields, given, error)), error.status
    return None, 200


def place(of: Target) -> str:
    return f"{of.address}:{of.port}"


def _refuse_taken(parts: Parts, host: Host, old: Host | None) -> None:
    """Before anybody is asked to compare fingerprints."""
    if (old is None or host.name != old.name) and parts.settings.current.host(host.name):
        raise Conflict(f"There is a host named {host.name!r} already.", param="name")


async def _first_key(
    parts: Parts, host: Host, given: Mapping[str, str], old: Host | None
) -> FirstKey | None:
    """The key to be compared by a person, if there is one. Pins the one that was."""
    at = target(host)
    unmoved = old is not None and place(target(old)) == place(at)
    if unmoved or given.get("anyway") == "yes":
        return None
    if given.get("trust") == "yes" and given.get(KEY_OF) == place(at):
        parts.hostkeys.pin(at, _readable(given.get(KEY, "")))
        return None
    key = await parts.offered_key(at)
    pinned, shown = parts.hostkeys.pinned(at), fingerprint(key)
    return None if shown == pinned else FirstKey(key, shown, place(at), pinned or "")


def _readable(key: str) -> str:
    if fingerprint(key) == UNREADABLE or not key.isprintable():
        raise InvalidValue("The host key that came with the form cannot be read.", param=KEY)
    return key
