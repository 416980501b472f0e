"""Gathers what a placement is decided from, and turns the decision into specs.

Owns the questions (what is served, what it is used for, what memory the hosts have); what follows
from the answers is `swap.placing`.
"""

from collections.abc import Callable, Mapping, Sequence

from server.config.model import Settings
from server.launch.model import LaunchSpec, Node
from server.launch.place import moved, share
from server.swap.events import Placement
from server.swap.ground import Ground
from server.swap.model import Deployment, SwapRecord, Use
from server.swap.placing import Room, Rules, Tenant, Wish, place, worth_a_look
from server.swap.preflight import Standing
from server.swap.showing import Showing

Groups = Callable[[LaunchSpec], Sequence[tuple[Node, ...]]]
"""The groups of hosts that may take the model of a spec, besides its own; none when unknown."""


class Placer:
    """One per app. `pinned` and `use` answer for the moment, from memory."""

    def __init__(
        self,
        *,
        ground: Ground,
        showing: Showing,
        settings: Callable[[], Settings],
        groups: Groups,
        pinned: Callable[[], frozenset[str]],
        use: Callable[[], Mapping[str, Use]],
    ) -> None:
        self._ground = ground
        self._showing = showing
        self._settings = settings
        self._groups = groups
        self._pinned = pinned
        self._use = use

    async def place(self, record: SwapRecord) -> Placement:
        """For a record with a target. Raises `Conflict` when there is no way."""
        if record.target is None:
            raise TypeError("an unload is not placed")
        if record.fixed and self._is_free(record.target):
            return Placement(record.target)
        return await self.of(record.target)

    async def of(self, spec: LaunchSpec) -> Placement:
        layout = self._showing.deployments
        nodes = {tuple(n.host for n in group): group for group in self.groups(spec)}
        engine = self._settings().engine
        wish = Wish(spec.model, share(spec), tuple(nodes), engine.container, engine.port)
        rules = Rules(engine.max_models, engine.overlap, engine.guard_bytes)
        tenants = self._tenants(layout)
        rooms: Mapping[str, Room] = {}
        if worth_a_look(wish, tenants, rules):
            hosts = tuple(dict.fromkeys(host for group in wish.groups for host in group))
            rooms = await self._ground.rooms(hosts, layout)
        plan = place(wish, tenants, rooms, rules)
        by_model = {deployment.spec.model: deployment for deployment in layout}
        return Placement(
            moved(spec, nodes[plan.hosts], plan.container, plan.port),
            tuple(by_model[model] for model in plan.evict),
            plan.mode,
        )

    def groups(self, spec: LaunchSpec) -> tuple[tuple[Node, ...], ...]:
        """What the catalog says now; the spec's own hosts when it says nothing."""
        return tuple(dict.fromkeys(self._groups(spec))) or (spec.nodes,)

    def standing(self, placement: Placement) -> Standing:
        """What will be on the hosts when the target of `placement` starts."""
        going = frozenset(gone.engine.tag for gone in placement.evicted)
        if placement.mode != "replace":
            return Standing(self._showing.tags, sweep=False)
        return Standing(self._showing.tags - going, going)

    def _is_free(self, spec: LaunchSpec) -> bool:
        hosts = {node.host for node in spec.nodes}
        return not any(
            other.model == spec.model
            or (
                hosts & {node.host for node in other.nodes}
                and (other.container == spec.container or other.port == spec.port)
            )
            for other in (deployment.spec for deployment in self._showing.deployments)
        )

    def _tenants(self, layout: Sequence[Deployment]) -> tuple[Tenant, ...]:
        pinned, use = self._pinned(), self._use()
        return tuple(
            Tenant(
                model=spec.model,
                hosts=tuple(node.host for node in spec.nodes),
                container=spec.container,
                port=spec.port,
                share=share(spec),
                pinned=spec.model in pinned,
                use=use.get(spec.model, Use()),
            )
            for spec in (deployment.spec for deployment in layout)
        )
