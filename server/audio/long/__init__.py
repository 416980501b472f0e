"""Long recordings: heard in parts at the same time, and put together as if heard whole.

Owns what becomes of the parts of one recording: which are asked when, what is tried again, what is
given up as a gap, how the answers are woven and how far the work is. Refuses to cut (that is
`server.audio.sound`) and to speak to services: who hears a part is an argument.
"""
