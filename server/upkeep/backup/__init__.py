"""Backups of Spark Control itself: one archive of its settings, models, database and keys.

`manifest`, `retention` and `seal` are pure; `archive` writes and unpacks, `gather` says what goes
in, `examine` proves what came out, `carry` and `restore` put it in place at a start; `service` is
the running app's: it makes them by hand and on schedule, keeps, checks and stages them. Refuses to
keep a private key outside a seal, and to touch anything before the whole archive was proven.
"""
