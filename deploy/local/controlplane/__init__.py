"""A real control plane without Docker: built from Go modules, run as plain processes on loopback.

Here: building, starting, waiting for and ending etcd, the Kubernetes components, KWOK, Prometheus and Alertmanager.
Not here: anything of Goldseam itself.
"""
