"""The `bare` launcher's argv: `vllm serve` on the host itself, found in a venv or on PATH. Pure."""

import json

from server.launch.model import LaunchSpec


def engine_argv(spec: LaunchSpec) -> tuple[str, ...]:
    """With the engine's environment in front. The venv's `bin` is put first on PATH remotely."""
    env = dict(spec.env)
    if spec.option("hf_home"):
        env["HF_HOME"] = spec.option("hf_home")
    if not env:
        return spec.argv
    return ("env", *(f"{key}={value}" for key, value in env.items()), *spec.argv)


def meta(spec: LaunchSpec, tag: str) -> str:
    """One line, kept beside the pid file. Compact: the remote side looks for `"tag":"…"`."""
    body = {
        "tag": tag,
        "model": spec.model,
        "fingerprint": spec.fingerprint,
        "container": spec.container,
        "port": spec.port,
    }
    return json.dumps(body, separators=(",", ":"))
