"""How a stream is spoken to: what a client's messages ask for, and how it is told.

Owns two protocols over the same machine, ours (`plain`) and OpenAI's realtime transcription
(`realtime`), and the checks of what a client chooses. Refuses to know sound, engines and sockets.
"""
