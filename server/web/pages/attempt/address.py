"""The address under which the person's browser reaches this app, for the code that is shown. Pure.

A proxy with TLS in front of the app is known by what the browser says: `Origin` has the scheme,
which a `Host` lacks. It is shown to the one who sent it and trusted for nothing else.
"""

import re
from collections.abc import Mapping

from server.web.guard import same_origin

UNKNOWN = "http://ADDRESS:9999"
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_SCHEMES = ("http", "https")


def base(headers: Mapping[str, str], scheme: str) -> str:
    """Without a slash at its end."""
    host = headers.get("host", "")
    if not _HOST.fullmatch(host):
        return UNKNOWN
    origin = headers.get("origin", "")
    said = origin.partition("://")[0].lower() if same_origin(origin, host) else ""
    told = (said, headers.get("x-forwarded-proto", "").strip().lower(), scheme, "http")
    return f"{next(one for one in told if one in _SCHEMES)}://{host}"
