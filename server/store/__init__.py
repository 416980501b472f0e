"""The database: tables, migrations, transactions, and what a crash left in the data directory.

Owns how rows are kept safe, and the clear words for a database that is full, broken, locked or
newer than the program. Refuses to know what the rows mean: each room owns its own tables.
"""
