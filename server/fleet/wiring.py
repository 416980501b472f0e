"""The rules of the doctor on what lies between Sparks: fast links, MTU, ssh from one to another.

Owns when they matter (models that span several hosts) and what is wrong with them. Pure. Refuses
to call broken what could not be seen.
"""

from server.base.finding import Severity
from server.config.model import Host, Settings
from server.fleet.facts import Facts, Link

OK, WARNING = Severity.OK, Severity.WARNING
ERROR, UNKNOWN = Severity.ERROR, Severity.UNKNOWN

CX7_DRIVER = "mlx5_core"
JUMBO = 9000
TIMED_OUT = 124

Row = tuple[str, Severity, str, str]
"""Code, severity, message, advice."""


def clustered(host: Host, settings: Settings) -> bool:
    """Whether this host takes part in models that span several."""
    return len(settings.hosts) > 1 and (host.cluster_address is not None or launches(settings))


def launches(settings: Settings) -> bool:
    """Whether launch-cluster.sh is configured."""
    engine = settings.engine
    return engine.launcher == "launch-cluster" or engine.launch_cluster_dir is not None


def links(facts: Facts, host: Host, settings: Settings) -> list[Row]:
    if not facts.links:
        return [
            ("interfaces", UNKNOWN, "The network interfaces could not be read.", "Check again.")
        ]
    used, problem = _used_link(facts, host, settings)
    if problem is not None:
        return [problem]
    fast = [link for link in facts.links if link.driver == CX7_DRIVER]
    up = [used] if used is not None else [link for link in fast if link.up]
    if not fast:
        return [
            (
                "interfaces",
                WARNING,
                "No ConnectX-7 interface was found.",
                "Models over several Sparks will use the slow network.",
            )
        ]
    if not up:
        names = ", ".join(link.name for link in fast)
        return [
            (
                "interfaces",
                ERROR,
                f"No link on the ConnectX-7 ports ({names}).",
                "Connect the Sparks with a QSFP cable and give the port an address.",
            )
        ]
    names = ", ".join(link.name for link in up)
    rows: list[Row] = [("interfaces", OK, f"The fast link is up ({names}).", "")]
    small = [link for link in up if link.mtu is not None and link.mtu < JUMBO]
    rows += [
        (
            "mtu",
            WARNING,
            f"{link.name} has an MTU of {link.mtu}.",
            f"Set {JUMBO} on this port on every Spark.",
        )
        for link in small
    ]
    return rows


def _used_link(facts: Facts, host: Host, settings: Settings) -> tuple[Link | None, Row | None]:
    """The interface that the settings name, or what is wrong with it."""
    wanted, address = settings.engine.eth_if, host.cluster_address
    if address is not None and address in facts.addresses:
        wanted = facts.addresses[address]
    elif address is not None and facts.addresses and address[:1].isdigit():
        return None, (
            "interfaces",
            ERROR,
            f"{address} is not an address of this host.",
            "Correct cluster_address, or give the port that address.",
        )
    if wanted is None:
        return None, None
    link = next((link for link in facts.links if link.name == wanted), None)
    if link is None:
        return None, (
            "interfaces",
            ERROR,
            f"There is no interface {wanted} here.",
            "Correct engine.eth_if: it must be the same on every Spark.",
        )
    if not link.up and link.driver == CX7_DRIVER:
        return None, (
            "interfaces",
            ERROR,
            f"The interface {wanted} has no link.",
            "Connect the Sparks with a QSFP cable.",
        )
    return link, None


def peers(facts: Facts) -> list[Row]:
    rows: list[Row] = []
    for peer in facts.peers:
        if peer.status == 0:
            rows.append(("peer_ssh", OK, f"It reaches {peer.address} without a password.", ""))
        elif peer.status == TIMED_OUT or "timed out" in peer.message.lower():
            rows.append(
                (
                    "peer_ssh",
                    UNKNOWN,
                    f"{peer.address} did not answer it in time.",
                    "Check the cable and the addresses between the Sparks.",
                )
            )
        else:
            said = f" ({peer.message[:200]})" if peer.message else ""
            rows.append(
                (
                    "peer_ssh",
                    ERROR,
                    f"It cannot reach {peer.address} by ssh{said}.",
                    "launch-cluster.sh needs it: ssh-copy-id to that Spark.",
                )
            )
    return rows
