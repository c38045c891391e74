"""What the operator's token can do, and what not: the attempts of a thief, and the table that is made of them.

`attempts.yaml` is read by the table (`python -m tests.stolen docs/reference`) and by the test that makes each attempt
on the real control plane, so that the two cannot disagree. A new piece says in annotations of its admission policies
what it lets through (`goldseam.dev/lets-through`), what a thief can do with that (`leaves`), which action it serves
where none names it (`serves`), and why it is not in `overlays/all`, where it is not (`off-by-default`). Then come its
attempts.
"""
