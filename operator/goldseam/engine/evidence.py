"""What a `collect` rung finds, in words and numbers that are known: no message of a controller, a probe or an app is
repeated, for it may hold anything, and whoever reads the Incident would read it. Logs only where a namespace allows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from goldseam.api.findings import Evidence
from goldseam.engine.objects import Json, cordoned, is_ready, metadata
from goldseam.engine.record import legible, shown
from goldseam.engine.redaction import end_of

PODS = 8
EVENTS = 8
NODES = 3
VALUES = 5
FOUND = 32
"""Pieces of evidence that one Incident holds: the newest."""
ABOUT, TEXT = 128, 256
COLLECT_LOGS = "goldseam.dev/collect-logs"
"""The label of a Namespace that says that logs of its pods may stand on Incidents."""
LATELY = timedelta(hours=1)
"""Events that were last seen longer ago say nothing of the alert."""
_BAD_WHEN_TRUE = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


def piece(now: datetime, about: str, text: str, *, missing: bool = False) -> Evidence:
    """One piece, within its bounds."""
    return Evidence(at=now, about=legible(about, ABOUT), text=legible(text, TEXT), missing=missing)


def missing(now: datetime, about: str, why: str) -> Evidence:
    """What could not be read."""
    return piece(now, about, f"not read: {why}", missing=True)


def of_object(kind: str, obj: Json, now: datetime) -> Evidence:
    """The conditions of a workload or a node, by type, status and reason."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    said = [f"{c.get('type')}={c.get('status')} ({c.get('reason') or 'no reason'})" for c in _worst_first(conditions)]
    held = "; unschedulable" if cordoned(obj) else ""
    return piece(now, f"{kind} {metadata(obj).get('name')}", (", ".join(said) or "no conditions") + held)


def _worst_first(conditions: Iterable[Json]) -> list[Json]:
    def is_well(one: Json) -> bool:
        return one.get("status") == ("False" if one.get("type") in _BAD_WHEN_TRUE else "True")

    return sorted(conditions, key=is_well)


def worst(pods: Iterable[Json]) -> list[Json]:
    """The pods, those that are not ready first."""
    return sorted(pods, key=lambda pod: (is_ready(pod), -_restarts(pod), str(metadata(pod).get("name"))))


def of_pods(pods: Sequence[Json], now: datetime) -> list[Evidence]:
    """How each of the worst pods is, and how many more there are."""
    first = [piece(now, f"Pod {metadata(pod).get('name')}", _pod(pod)) for pod in worst(pods)[:PODS]]
    ready = sum(is_ready(pod) for pod in pods)
    return [piece(now, "pods", f"{ready} of {len(pods)} ready"), *first]


def _pod(pod: Json) -> str:
    status = pod.get("status") or {}
    where = (pod.get("spec") or {}).get("nodeName")
    said = [str(status.get("phase")), "ready" if is_ready(pod) else "not ready", f"{_restarts(pod)} restarts"]
    said += [f"on {where}"] if where else ["on no node"]
    said += ["on its way out"] if metadata(pod).get("deletionTimestamp") else []
    said += [str(status["reason"])] if status.get("reason") else []
    return ", ".join(said) + "".join(f"; {one}" for c in _containers(pod) if (one := _container(c)))


def _containers(pod: Json) -> list[Json]:
    status = pod.get("status") or {}
    return [one for part in ("initContainerStatuses", "containerStatuses") for one in status.get(part) or ()]


def _restarts(pod: Json) -> int:
    return sum(int(one.get("restartCount") or 0) for one in _containers(pod))


def _container(one: Json) -> str:
    """Why a container waits, and how its last run ended; empty where it runs, and has run ever since."""
    waits = ((one.get("state") or {}).get("waiting") or {}).get("reason")
    ended = (one.get("state") or {}).get("terminated") or (one.get("lastState") or {}).get("terminated") or {}
    said = [f"waits ({waits})"] if waits else []
    said += [f"last ended with {ended.get('exitCode')} ({ended.get('reason') or 'no reason'})"] if ended else []
    return f"{one.get('name')} {', '.join(said)}" if said else ""


def logs_of(pod: Json) -> list[tuple[str, bool]]:
    """Which logs tell most: of the first container that is not well, or the first, that of its last run, where it had
    one that ended, and that of now, where it runs or has ended. Each by the container's name, and whether it is that
    of a run before."""
    found = _containers(pod)
    if not found:
        return []
    ill = next((one for one in found if not one.get("ready") and not _ended_well(one)), found[-1])
    state = ill.get("state") or {}
    before = [True] if (ill.get("lastState") or {}).get("terminated") else []
    now = [False] if {"running", "terminated"} & state.keys() else []
    return [(str(ill.get("name")), previous) for previous in (*before, *now)]


def _ended_well(container: Json) -> bool:
    return ((container.get("state") or {}).get("terminated") or {}).get("exitCode") == 0


def about_log(pod: Json, container: str, *, previous: bool) -> str:
    """What a log is about."""
    return f"log of Pod {metadata(pod).get('name')} {container}{', the run before' if previous else ''}"


def of_log(about: str, log: str, now: datetime) -> Evidence:
    """The end of a log."""
    text = end_of(log)
    lines = len(text.splitlines())
    return piece(now, about, f"its last {lines} lines" if lines else "empty").model_copy(update={"log": text or None})


def allows_logs(namespace: Json) -> bool:
    """Whether the Namespace lets logs of its pods be written down."""
    return (metadata(namespace).get("labels") or {}).get(COLLECT_LOGS) == "true"


def of_events(events: Iterable[Json], now: datetime) -> list[Evidence]:
    """The newest warnings by reason and object, without their words."""
    found = [(at, event) for event in events if event.get("type") == "Warning" and (at := _seen(event)) is not None]
    found = [(at, event) for at, event in found if now - at < LATELY]
    found.sort(key=lambda pair: (pair[0], str(metadata(pair[1]).get("name"))), reverse=True)
    return [piece(now, _regarding(event), _event(event, at)) for at, event in found[:EVENTS]]


def _regarding(event: Json) -> str:
    about = event.get("involvedObject") or {}
    return f"event about {about.get('kind')} {about.get('name')}"


def _event(event: Json, at: datetime) -> str:
    times = (event.get("series") or {}).get("count") or event.get("count") or 1
    return f"{event.get('reason')} (Warning), seen {times} times, last at {at:%H:%M:%S} UTC"


def _seen(event: Json) -> datetime | None:
    """When it was last seen; events of the new kind have a series, or a time of their own."""
    series = (event.get("series") or {}).get("lastObservedTime")
    text = series or event.get("lastTimestamp") or event.get("eventTime") or metadata(event).get("creationTimestamp")
    return datetime.fromisoformat(str(text)) if text else None


def of_values(expression: str, values: Sequence[float], now: datetime) -> Evidence:
    """What a query answered: its values, the largest first, without the labels."""
    ordered = sorted(values, key=lambda value: (not math.isnan(value), value), reverse=True)
    rest = f" and {len(values) - VALUES} more" if len(values) > VALUES else ""
    said = ", ".join(f"{value:g}" for value in ordered[:VALUES]) + rest
    return piece(now, f"query {shown(expression)}", said or "no data")


def summary(found: Sequence[Evidence]) -> str:
    """What was found, in a sentence."""
    unread = [one.about for one in found if one.missing]
    return f"{len(found) - len(unread)} pieces of evidence" + (f"; not read: {', '.join(unread)}" if unread else "")
