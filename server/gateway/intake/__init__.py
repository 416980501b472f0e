"""Reading a request: its head, its JSON body or the leading parts of its form.

Owns the limits of what a client may send, and that uploads are passed on while they come. Refuses
what is malformed before any engine is asked, and to hold anything of user size but JSON in memory.
"""
