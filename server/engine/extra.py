"""Imports of the optional extra, or one sentence about what to install."""

import os
from importlib import import_module
from typing import Any

from server.engine.weights.pinned import INSTALL
from server.engine.weights.shelf import MissingWeights


def need(name: str) -> Any:
    """The module `name`. Raises MissingWeights when the extra is not installed."""
    # Else onnxruntime (1.31), whoever imports it, makes itself a device id and tells its maker
    # what is done with it.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingWeights(f"The reference engine needs {error.name}.", advice=INSTALL) from None
