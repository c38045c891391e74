"""The pure core: what is true, what follows from it, and why.

Here: situations, verdicts, guards, the ladder, escalation, obligations, and `decide`. Not here: I/O, kopf, Kubernetes
clients, asyncio, the clock (`now` is an argument), randomness, logging. The same situation gives the same decision.
"""
