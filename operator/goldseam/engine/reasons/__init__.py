"""Every reason that a user can meet, with its meaning and what to do about it.

Here: tables, one for each place where a reason is read. `docs/reference/reasons.md` and `goldseam explain` are made
from them, and a test holds them against what the code says. Not here: anything that decides.
"""
