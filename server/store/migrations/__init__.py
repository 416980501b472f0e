"""The history of the schema. `REVISIONS` lists every revision, oldest first; a test holds it to the
files in `versions/`. Knowing the list lets a start with an up-to-date database skip Alembic."""

REVISIONS = ("0001", "0002", "0003", "0004")
HEAD = REVISIONS[-1]
