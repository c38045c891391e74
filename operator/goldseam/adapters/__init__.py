"""The outside world behind the ports: Kubernetes, Prometheus, webhooks, the clock, HTTP for probes and metrics.

Foreign errors leave only as those of `goldseam.errors`. Not here: what an answer means for an incident.
"""
