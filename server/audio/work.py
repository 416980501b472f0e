"""The other side of `server.audio.apart`: `python -m server.audio.work JOB SECONDS`.

Reads the request's body from standard input; writes one line of JSON that tells the media type, or
why it was refused, and then the answer. Ends itself when nobody else does.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

import orjson

from server.audio import merging
from server.audio.apart import Job
from server.audio.scrub import service as scrubbing
from server.audio.scrub import transcripts
from server.base.errors import InvalidValue
from server.gateway.client.here import Answered


def jobs() -> Mapping[Job, Callable[[bytes], Answered]]:
    return {
        "scrub": scrubbing.answered,
        "scrub-text": scrubbing.answered_text,
        "scrub-words": transcripts.answered,
        "label-merge": merging.answered,
    }


def worked(work: Callable[[bytes], Answered], raw: bytes) -> bytes:
    try:
        done = work(raw)
    except InvalidValue as error:
        told = {"refused": error.message, "param": error.param, "advice": error.advice}
        return orjson.dumps(told) + b"\n"
    return orjson.dumps({"media_type": done.media_type}) + b"\n" + done.body


def main(argv: Sequence[str]) -> None:
    job, seconds = argv
    # The default action ends the process, also within one long search.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(seconds))
    os.nice(10)
    # What is made here is used until the end: looking for what is not, again and again while lists
    # of a hundred thousand words grow, would take as long as the work itself.
    gc.set_threshold(200_000, 20, 100)
    work = next(work for name, work in jobs().items() if name == job)
    sys.stdout.buffer.write(worked(work, sys.stdin.buffer.read()))


if __name__ == "__main__":
    main(sys.argv[1:])
