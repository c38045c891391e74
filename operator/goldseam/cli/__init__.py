"""The command line for people: look at incidents, answer them, pause.

It speaks with the API server only, with the user's own kubeconfig and rights. Here: what is asked and what is printed.
Not here: the operator, which never imports this; decisions, which are the engine's.
"""
