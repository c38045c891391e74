"""The kinds of `goldseam.dev/v1alpha1` as pydantic models, and the generator of their CRDs.

Here: what a field means, its bounds and default, and the rules between fields, each once for the API server (CEL) and
once for us (pydantic). Not here: I/O, kopf, decisions.
"""
