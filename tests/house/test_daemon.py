"""The process around the app."""

import subprocess
import sys

LOOK = """
import resource
from server.daemon import allow_connections
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))
allow_connections()
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_as_many_connections_as_the_system_allows() -> None:
    """Most systems begin with 1024 files; a stream takes two."""
    told = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "(512, 512)"
