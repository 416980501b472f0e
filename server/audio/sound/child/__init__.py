"""The process that opens recordings: `python -m server.audio.sound.child`.

Reads one question a line from its standard input and writes one answer a line, both JSON. Owns
every touch of the libraries that read containers and codecs, which a hostile file may break: this
process has bounds on memory and files, no network, no other program and no environment of ours.
Refuses to decide: it tells what is in a recording, and who asked says what that means.
"""
