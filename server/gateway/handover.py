"""A request that the fast lane has begun and does not finish: where the ordinary way goes on.

The fast lane has no errors of its own. Whatever is not as usual before its caller was sent anything
(nobody idle to ask, a place that is not free, an answer that is not a plain one, a connection that
broke, an end that somebody orders) is handed over as it stands: nothing is asked, counted or let in
twice.
"""

from dataclasses import dataclass

from server.base.errors import SparkError
from server.gateway.intake.request import Taken
from server.gateway.model import Grant, Operation, Passage, Route, UpstreamResponse

HANDOVER = "spark_control.handover"
"""Key of the `Handover` in an ASGI scope: no header can set it."""


@dataclass(frozen=True, slots=True)
class Handover:
    """`passage` was shown to who sees beginnings, the key was charged (`allow`), and `reserved`
    bytes are held for the body.

    `grant` is None where the request has to wait. With a grant one of these: the `response` has its
    head; `error` came in its place, `ended` when somebody ended the request by it; else it is still
    to be asked, `again` when a kept connection turned out to be stale.
    """

    operation: Operation
    passage: Passage
    taken: Taken
    route: Route
    reserved: int
    grant: Grant | None = None
    response: UpstreamResponse | None = None
    error: SparkError | None = None
    ended: bool = False
    again: bool = False
