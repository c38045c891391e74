"""kopf: watches on the kinds that people write. A handler only puts what it saw on a queue.

Not here: decisions, status writes, any `if` about the domain.
"""
