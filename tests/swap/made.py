"""Values that the swap tests are made of."""

from datetime import UTC, datetime, timedelta

from server.launch.model import Engine, LaunchSpec, Node
from server.swap.model import Deployment, State, SwapRecord

T0 = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def spec(model: str = "new", *, hosts: tuple[str, ...] = ("spark-1",)) -> LaunchSpec:
    return LaunchSpec(
        model=model,
        served_names=(model,),
        source=f"org/{model}",
        local_path=False,
        launcher="docker",
        nodes=tuple(Node(host, f"192.0.2.{n + 11}") for n, host in enumerate(hosts)),
        image="vllm-node",
        container="spark-control-engine",
        port=8000,
        argv=("vllm", "serve", f"org/{model}"),
        env=(),
        mounts=(),
        options=(),
        fingerprint=f"sha-{model}",
    )


def engine(tag: str, model: str = "new", *, host: str = "spark-1", running: bool = True) -> Engine:
    return Engine(
        launcher="docker",
        host=host,
        container="spark-control-engine",
        ident=f"id-{tag}",
        started="2026-11-21T08:00:00Z",
        tag=tag,
        model=model,
        fingerprint=f"sha-{model}",
        running=running,
        exit_code=None if running else 1,
    )


def deployment(model: str = "old", tag: str = "swap-0") -> Deployment:
    return Deployment(spec(model), engine(tag, model), T0)


def record(
    node: str = "queued",
    *,
    target: LaunchSpec | None = None,
    previous: Deployment | None = None,
    evicted: tuple[Deployment, ...] | None = None,
    unload: bool = False,
    **changes: object,
) -> SwapRecord:
    made = SwapRecord(
        id="swap-1",
        model=None if unload else "new",
        node=node,
        state=State.QUEUED,
        created_at=T0,
        requested_by="test",
        target=None if unload else target or spec(),
        previous=previous,
        evicted=evicted if evicted is not None else (previous,) if previous else (),
        touched=True,
    )
    return made.with_(**changes)
