"""What a microphone heard of the loudspeaker: found, measured, and told word by word.

The microphone is transcribed as it was recorded. An echo canceller (AEC3 of WebRTC) runs beside it
as a detector only: by how much it makes a word quieter tells whose word it was. Feeding its output
to a recogniser would eat whoever speaks at the same time as the far side.
"""
