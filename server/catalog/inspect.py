"""Looks at one model's files on one host: one remote command, nothing written, nothing executed.

Owns the check that cannot be made from here: where symlinks lead, whether every shard is whole.
"""

from collections.abc import Sequence

from server.catalog.model import Model, ModelFiles
from server.catalog.paths import check_local_path
from server.catalog.probe import INSPECT
from server.catalog.report import read_report
from server.ssh.model import Shell

DEADLINE = 60.0


async def inspect(
    shell: Shell,
    model: Model,
    roots: Sequence[str],
    hf_home: str | None,
    *,
    deadline: float = DEADLINE,
) -> ModelFiles:
    """What is there of the model. Raises what the shell raises: no answer is not 'absent'."""
    host = shell.target.name
    path = model.source.path
    if path is not None:
        problem = check_local_path(path, roots)
        if problem:
            return ModelFiles(host, False, False, reason=f"{path} {problem}")
    result = await shell.run(
        inspect_argv(model, roots, hf_home), deadline=deadline, stdin=INSPECT.encode(), check=False
    )
    return read_report(result.stdout.splitlines(), host, model)


def inspect_argv(model: Model, roots: Sequence[str], hf_home: str | None) -> list[str]:
    """The words of the remote command; the script itself goes by stdin."""
    source = model.source
    if source.path is not None:
        return ["sh", "-s", "--", "path", source.path, "", "", *roots]
    folder = "models--" + (source.hf or "").replace("/", "--")
    return ["sh", "-s", "--", "hf", folder, source.revision or "main", hf_home or ""]
