"""Which pages the settings have, and in which order the fields of a section are shown. Pure.

A key that is named nowhere here lands in the last group of its section: a new setting is never
missing from its page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from server.config.schema import keys_at

REST = "More"


@dataclass(frozen=True, slots=True)
class Tab:
    """An entry of the settings' own navigation."""

    key: str
    label: str


@dataclass(frozen=True, slots=True)
class Group:
    """Fields under one heading. `folded`: rarely touched, shown when opened."""

    title: str
    keys: tuple[str, ...]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A section with a page of its own. `note` says when a change takes effect."""

    section: str
    title: str
    about: str
    note: str


TABS: Sequence[Tab] = (
    Tab("hosts", "Hosts"),
    Tab("services", "Services"),
    Tab("engine", "Engine"),
    Tab("gateway", "Gateway"),
    Tab("keys", "API keys"),
    Tab("anonymous", "Without a key"),
    Tab("audio", "Audio"),
    Tab("access", "Access"),
    Tab("links", "Links"),
    Tab("fleet", "Watching"),
    Tab("web", "Browsers"),
    Tab("log", "Log"),
    Tab("backup", "Backup"),
    Tab("about", "About"),
)

PAGES: Mapping[str, Page] = MappingProxyType(
    {
        page.section: page
        for page in (
            Page(
                "engine",
                "Engine",
                "How models are started on the Sparks.",
                "Changes count from the next swap on: what is served goes on as it was started.",
            ),
            Page(
                "gateway",
                "Gateway",
                "The OpenAI-compatible address for programs: its limits, its queue, what it loads.",
                "Changes take effect at once.",
            ),
            Page(
                "audio", "Audio", "Limits of speech and speakers.", "Changes take effect at once."
            ),
            Page(
                "anonymous",
                "Callers without a key",
                "What a program that sends no API key may use, each address for itself.",
                "Changes take effect at once.",
            ),
            Page(
                "backup",
                "Backup",
                "How often backups are made by themselves, and how many are kept.",
                "",
            ),
            Page(
                "fleet",
                "Watching",
                "How often the Sparks are looked at, and how long the figures are kept.",
                "Changes take effect at once; sampling begins anew.",
            ),
            Page(
                "web",
                "Browsers",
                "Under which names browsers may reach this app.",
                "Changes take effect at once.",
            ),
            Page("log", "Log", "What is written to the log.", ""),
        )
    }
)

_ORDER: Mapping[str, Sequence[Group]] = MappingProxyType(
    {
        "engine": (
            Group("Starting", ("launcher", "image", "model_roots", "hf_home")),
            Group("Several models", ("max_models", "overlap")),
            Group("Where", ("default_host", "port", "container")),
            Group("Trouble", ("on_death", "restart_limit", "guard_bytes")),
            Group(
                "Launchers",
                ("launch_cluster_dir", "eth_if", "ib_if", "bare_venv"),
                folded=True,
            ),
            Group(
                "Patience",
                (
                    "drain_seconds",
                    "stop_seconds",
                    "memory_wait_seconds",
                    "start_seconds",
                    "no_progress_seconds",
                    "answer_seconds",
                    "host_lost_seconds",
                ),
                folded=True,
            ),
        ),
        "gateway": (
            Group("Limits", ("max_upload_mb", "queue_seconds", "queue_limit", "client_in_flight")),
            Group("Who may ask", ("require_key",)),
            Group(
                "Loading on demand",
                ("auto_swap", "batch_seconds", "residency_seconds", "bridge"),
            ),
            Group("Default model", ("default_model", "default_after_seconds")),
            Group("Kept answers", ("cache_mb", "cache_seconds")),
            Group(
                "Patience",
                (
                    "head_seconds",
                    "stream_head_seconds",
                    "socket_accept_seconds",
                    "socket_idle_seconds",
                    "socket_seconds",
                ),
                folded=True,
            ),
            Group("Wire", ("keepalive_seconds", "upstream_client", "fast_lane"), folded=True),
        ),
        "hosts": (
            Group("", ("name", "address", "port", "user")),
            Group("Cluster", ("labels", "cluster_address")),
        ),
        "services": (
            Group("", ("name", "kind", "host", "port")),
            Group("Container", ("container", "ssh_user")),
            Group("Requests", ("max_in_flight", "models", "model_sent")),
            Group("Links", ("links",)),
            Group("Address", ("scheme", "health_path", "path_prefix"), folded=True),
        ),
    }
)


def groups(section: str) -> tuple[Group, ...]:
    """Every key of the section exactly once."""
    known = keys_at((section,))
    wanted = _ORDER.get(section, ())
    named = {key for group in wanted for key in group.keys}
    rest = tuple(key for key in known if key not in named)
    found = [
        Group(group.title, tuple(key for key in group.keys if key in known), group.folded)
        for group in wanted
    ]
    return (*found, Group(REST if wanted else "", rest)) if rest else tuple(found)
