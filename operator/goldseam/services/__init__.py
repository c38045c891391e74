"""The use cases: gather, decide, write the intent, act, record; read the sources; keep the ledger; tell people.

Here: the order of reads and writes, and what is believed when one fails. Not here: what follows from a situation (that
is `goldseam.engine`), HTTP (that is `goldseam.adapters`).
"""
