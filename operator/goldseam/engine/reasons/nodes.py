"""Why nothing is done to a node now: reasons of holds that only node actions give."""

from __future__ import annotations

from goldseam.engine.reasons.entry import NOTHING, Entry

OF_NODES: tuple[Entry, ...] = (
    Entry(
        "NodeLeaseHeld",
        "Another operator, such as one of Medik8s, holds the node's Lease in `medik8s-leases`: it is at work there.",
        "Nothing: it goes on when the Lease is given back, or has lapsed.",
        "leased",
    ),
    Entry(
        "NodeLeaseClosed",
        "The namespace `medik8s-leases` exists, and Goldseam has no right to its Leases.",
        "Bind the ClusterRole of component `medik8s` there, as docs/actions/drain-preflight.md says.",
        "leased",
        refuses=True,
    ),
    Entry(
        "WorkloadPaused",
        "A workload that has pods on the node is paused: by a Pause of its namespace or of itself, or by the annotation"
        ' `goldseam.dev/ignore: "true"`.',
        "End the Pause, or remove the annotation, when you are done.",
        "collateral",
    ),
    Entry(
        "WorkloadBusy",
        "A workload that has pods on the node is being rolled out, or scaled by its HPA, or another Incident acts on"
        " it.",
        NOTHING,
        "collateral",
    ),
    Entry(
        "WorkloadCooldown",
        "Goldseam acted a short while ago on a workload that has pods on the node.",
        NOTHING,
        "collateral",
    ),
)
