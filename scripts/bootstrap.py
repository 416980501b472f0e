"""The one door of every `make` verb: checks the Python version, then hands over to `verbs.py`.

Kept to syntax that any Python 3 reads, so that an old one gets a sentence instead of a
SyntaxError. Everything newer lives in the modules imported below the check.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this line is for the Pythons we do not support
    found = ".".join(map(str, sys.version_info[:3]))
    sys.stderr.write(
        "Spark Control needs Python 3.11 or newer; " + sys.executable + " is " + found + ".\n"
        "Install one, or name it: make PYTHON=python3.12 demo\n"
    )
    sys.exit(1)

from verbs import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
