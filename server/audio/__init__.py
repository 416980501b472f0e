"""Words with the right names on them: who said what, from transcripts, turns and channels.

Owns what is decided about recorded speech: which speaker a word belongs to, how the transcripts of
overlapping parts become one, which words of a microphone are the loudspeaker's, and how a
transcript is written down. Refuses to hear anything: recognising speech and telling voices apart is
the work of the services this stands before.
"""
