"""The last lines of a container on a host, bounded and with secrets taken out.

Owns the check of the name and of the number of lines. Refuses to follow (the launch room does).
"""

from server.base.errors import InvalidValue, NotFound, RemoteCommandFailed, Unavailable
from server.base.redact import redact, strip_ansi
from server.config.words import CONTAINER
from server.fleet.readings import count, docker_problem
from server.ssh.model import Shell

MOST_LINES = 10_000
MOST_BYTES = 1 << 20
DEADLINE = 30.0

# One writer for both streams keeps their order; the status travels as the last line, because
# that of a pipeline is the status of its end.
_TAIL = (
    '{ timeout --foreground -k 2 20 docker logs --tail "$1" "$2"; echo "status=$?"; } 2>&1'
    ' | tail -c "$3"'
)


async def logs(shell: Shell, container: str, lines: int = 200) -> str:
    """The end of the log, standard output and error in their order.

    Raises InvalidValue, NotFound, Unavailable (docker cannot be asked), and what `Shell` does.
    """
    if not CONTAINER.fullmatch(container):
        raise InvalidValue("This is not a container name.", param="container")
    if not 1 <= lines <= MOST_LINES:
        raise InvalidValue(f"Ask for 1 to {MOST_LINES} lines.", param="lines")
    argv = ("sh", "-c", _TAIL, "sh", str(lines), container, str(MOST_BYTES))
    answer = await shell.run(argv, deadline=DEADLINE, check=False)
    text, _, ending = answer.stdout.rstrip("\n").rpartition("status=")
    status = count(ending)
    text = redact(strip_ansi(text))
    if status == 0:
        return text
    host = shell.target.name
    if "no such container" in text.lower():
        raise NotFound(f"There is no container {container} on {host}.", param="container")
    if status in {124, 126, 127} or "docker" in text.lower():
        late = "docker did not answer in time"
        problem = late if status == 124 else docker_problem(status or 1, text.strip()[:200])
        raise Unavailable(f"The log of {container} on {host} cannot be read: {problem}.")
    raise RemoteCommandFailed(
        f"docker on {host} did not give the log of {container}.",
        exit_status=status if status is not None else answer.exit_status,
        stderr=text[-500:],
    )
