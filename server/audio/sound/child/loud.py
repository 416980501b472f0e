"""The question `loud`: whether anything in a recording sounds at all.

It ends at the first sample that is loud enough, which for nearly every recording is within its
first second; only silence is decoded to its end. Nothing is written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av.error
import numpy as np

from server.audio.sound.child.gather import Gathered, frames_of, shape_of
from server.audio.sound.child.opened import opened


def loud(args: Mapping[str, Any]) -> dict[str, Any]:
    """`level` is the amplitude, 0 to 1, above which something sounds. What cannot be decoded is
    not called silent: that is for whoever hears it to say."""
    path, offset, length = Path(args["path"]), int(args["offset"]), int(args["length"])
    level = float(args["level"])
    with opened(path, offset, length) as found:
        heard = False
        try:
            for packet in found.container.demux(found.stream):
                frames = frames_of(packet)
                if frames is None:
                    return {"loud": True}
                for frame in frames:
                    heard = True
                    gathered = Gathered(shape_of(frame))
                    gathered.add(frame)
                    sound = gathered.taken()
                    if sound.size and float(np.abs(sound).max()) > level:
                        return {"loud": True}
        except av.error.FFmpegError:
            return {"loud": True}
        return {"loud": not heard}
