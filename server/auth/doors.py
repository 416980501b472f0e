"""Which path needs what. Pure.

Everything is closed that is not named here: a route that is added tomorrow is closed as well.
"""

from typing import Literal

Need = Literal["nothing", "read", "admin"]

# Whoever looks after the process must see that it lives without a password, and the login page
# needs its style sheet. Readiness tells states, but no names, addresses or reasons to strangers.
OPEN = frozenset({"/livez", "/healthz", "/readyz", "/login", "/favicon.ico"})
OPEN_BELOW = ("/static/",)
LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
# A backup holds everything: to get one is more than to look. In both spellings of the path.
WHOLE_BELOW = ("/api/v1/backups/", "/api/backups/")


def need(method: str, path: str) -> Need:
    """What a request must bring: a session or a key with the scope `admin` opens everything, one
    with `read` what only looks."""
    if path in OPEN or path.startswith(OPEN_BELOW):
        return "nothing"
    looks = method in LOOKING and not path.startswith(WHOLE_BELOW)
    return "read" if looks else "admin"


def opens(scopes: frozenset[str], needed: Need) -> bool:
    return needed == "nothing" or "admin" in scopes or (needed == "read" and "read" in scopes)


def safe_return(path: str) -> str:
    """Where to go after the login: a path of ours or the overview, never another site.

    `//evil.example` and `/\\evil.example` are other sites to a browser, and a control character in
    front of them is left out by it.
    """
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if inside and "\\" not in path and not path.startswith("/login") else "/"
