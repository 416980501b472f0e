"""What ends a command: one sentence on stderr and an exit code. Never a traceback.

0    done
1    it was tried and failed (a swap that did not serve, a refusal of the API)
2    wrong usage (unknown verb, option or value)
3    Spark Control could not be reached, or something else answers at that address
130  interrupted with Ctrl-C
"""

FAILURE = 1
USAGE = 2
UNREACHABLE = 3
INTERRUPTED = 130


class CliError(Exception):
    """Ends the command with `code` after printing `message` (one line or a few)."""

    def __init__(self, message: str, code: int = FAILURE) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class UnreachableError(CliError):
    """Nobody answers at the address, or it is not Spark Control that does."""

    def __init__(self, message: str) -> None:
        super().__init__(message, UNREACHABLE)


class RefusedError(CliError):
    """The API answered with an error body. `status` and `error_code` are the API's."""

    def __init__(self, message: str, *, status: int, error_code: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
