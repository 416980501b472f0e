"""Recordings as files: how they come in, what is in them, and how they are cut.

Owns the upload on disk, the process that opens recordings, and the plain sound that it makes of
them. Refuses to open a recording in this process: whatever comes from outside is read by a child
that may crash, be slow and be ended, and that no network and no secret is given to.
"""
