"""Lint against reality: what of a policy cannot work as it is written, by its spec and by what its alert source has.

Each check is a function over a policy and what is known; `order` lists them. A check claims only what can be known.
Here: what is found. Not here: reading files and servers, which the command line and the operator do.
"""
