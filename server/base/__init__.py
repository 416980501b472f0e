"""The words everybody uses: errors, events, time, ids, units, redaction, atomic files, logs.

Owns vocabulary that every floor shares and that knows nothing of hosts, models or HTTP.
Refuses anything that would need an import from another room.
"""
