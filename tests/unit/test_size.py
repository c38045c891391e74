"""However hostile the input: an Incident stays below 256 KiB, and what is owed stays on it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from goldseam.api.drained import Aftermath, PodVolumes
from goldseam.api.findings import Change, Evidence
from goldseam.api.incident import (
    AlertRecord,
    ApprovalRecord,
    Escalation,
    HoldRecord,
    IncidentSpec,
    IncidentStatus,
    ObjectRef,
    Obligation,
    PolicyRef,
    PolicySnapshot,
    ResponseRecord,
    Step,
    TimelineEntry,
    Write,
)
from goldseam.engine import record
from goldseam.engine.alerts import ActiveAlert
from goldseam.engine.matching import PolicyKey
from goldseam.engine.opening import incident_spec
from goldseam.engine.situation import LivePolicy
from goldseam.engine.size import LARGEST, METADATA, fitted

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LONG = "x" * 253  # names are ASCII: DNS subdomains
REF = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="n" * 63, name=LONG, uid="u" * 36)


def size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def step(number: int, phase: str, writes: int) -> Step:
    made = [Write(verb="Evict", object=REF, message="ü" * 512, state="Pending") for _ in range(writes)]
    return Step(
        id=f"{number}-drain", rung=0, action="drain", phase=phase, intent_at=NOW, writes=made, message="ü" * 512,
        evidence="ü" * 2048, preflight=["x" * 512] * 16, ending=["u" * 64] * 256,
    )  # type: ignore[arg-type]  # fmt: skip


def question(number: int, state: str) -> ApprovalRecord:
    return ApprovalRecord(
        step=f"{number}-drain", rung=0, plan_hash="h" * 64, summary="ü" * 512, state=state, requested_at=NOW,
        expires_at=NOW, by=LONG, reason="\x01" * 512, preflight=["x" * 512] * 16,
    )  # type: ignore[arg-type]  # fmt: skip


def hostile() -> IncidentStatus:
    owed = Obligation(
        key="k" * 400, kind="ScaleBack", object=REF, subresource="scale", field="spec.replicas", original="3", want="9",
        message="ü" * 512,
    )  # fmt: skip
    return IncidentStatus(
        policy_snapshot=PolicySnapshot(spec={"x": "ü" * 15_000}),
        steps=[*(step(n, "Done", 100) for n in range(40)), step(41, "Intended", 256)],
        obligations=[owed.model_copy(update={"key": str(n)}) for n in range(16)],
        timeline=[TimelineEntry(at=NOW, kind="x", message="ü" * 512) for _ in range(50)],
        approvals=[*(question(n, "Denied") for n in range(15)), question(15, "Waiting")],
        responses=[
            ResponseRecord(uid=f"{n:064}", decision="Acknowledge", by=LONG, at=NOW, reason="\x01" * 512)
            for n in range(16)
        ],
        changes=[Change(at=NOW, what="x" * 128, before="x" * 128, after="x" * 128, by="x" * 128)] * 16,
        evidence=[Evidence(at=NOW, about="x" * 128, text="x" * 256, log="ü" * 2048)] * 32,
        holds=[HoldRecord(guard="g", kind="Wait", reason="r", message="ü" * 512, since=NOW) for _ in range(16)],
        escalations=[
            Escalation(threshold=str(n), at=NOW, message="ü" * 512, runbook_line="ü" * 800) for n in range(40)
        ],
    )


def spec(labels: dict[str, str]) -> IncidentSpec:
    policy = LivePolicy(PolicyKey("RemediationPolicy", "shop", "p" * 253), "u", 1, NOW, None)
    return incident_spec(policy, REF, ActiveAlert(labels, {}, "firing", NOW), "u")


def test_the_worst_that_can_come_fits_and_keeps_what_is_owed_and_what_is_under_way() -> None:
    about = spec({f"{n}" + "ü" * 200: "ü" * 2_000 for n in range(100)})
    status = fitted(about, hostile())
    assert size({"spec": about.dump(), "status": status.dump()}) <= LARGEST - METADATA
    assert [(o.key, o.original, o.state) for o in status.obligations] == [(str(n), "3", "Open") for n in range(16)]
    assert [len(s.writes) for s in status.steps if s.phase == "Intended"] == [256]
    assert status.approvals[-1].summary == "ü" * 512, "people must know what they are asked"
    assert [r.uid for r in status.responses] == [f"{n:064}" for n in range(16)], "no word is heard twice"


def test_what_is_small_is_left_as_it_is() -> None:
    status = IncidentStatus(steps=[step(1, "Done", 3)], timeline=[TimelineEntry(at=NOW, kind="x", message="y")])
    about = IncidentSpec(
        policy_ref=PolicyRef(kind="RemediationPolicy", namespace="a", name="b", uid="c"),
        target=REF,
        alert=AlertRecord(name="A", active_at=NOW),
    )
    assert fitted(about, status) is status


def test_dropped_entries_of_the_timeline_are_counted() -> None:
    status = fitted(spec({}), hostile())
    assert len(status.timeline) + status.timeline_folded == 50


def test_a_status_within_its_room_is_not_shortened_by_one_step_too_many() -> None:
    status = fitted(spec({}), hostile().model_copy(update={"steps": [step(1, "Done", 100)]}))
    assert status.responses[0].reason == "\x01" * 512


@pytest.mark.parametrize("letter", ["x", "ü", "漢", "🙂"])
def test_a_text_that_is_cut_takes_no_more_bytes_than_it_may_and_no_half_letters(letter: str) -> None:
    short = record.cut(letter * 600)
    assert 500 < len(short.encode()) <= 512
    assert (short[0], short[-1]) == (letter, "…")
    assert record.cut("ü" * 256) == "ü" * 256


def test_the_labels_of_an_alert_are_bounded_and_its_name_is_kept() -> None:
    labels = spec(
        {"alertname": "Trouble", "namespace": "shop"} | {f"a{n}": "x" * 1_024 for n in range(60)}
    ).alert.labels
    assert sum(len(k) + len(v) for k, v in labels.items()) <= 16 * 1024
    assert size(spec({f"a{n}": "\x01" * 1_024 for n in range(60)}).alert.labels) <= 17 * 1024, "as it is written"
    assert labels["alertname"] == "Trouble"
    assert labels["namespace"] == "shop"


def test_what_a_drain_waits_for_beyond_its_pods_is_given_up_before_a_pod_is_forgotten() -> None:
    volumes = PodVolumes(names=[LONG] * 64, workload="u" * 36, gone_at=NOW)
    under_way = step(1, "Intended", 256)
    writes = [write.model_copy(update={"volumes": volumes}) for write in under_way.writes]
    waits = {"writes": writes, "aftermath": Aftermath(workloads=[REF] * 256)}
    about = spec({})
    status = fitted(about, IncidentStatus(steps=[under_way.model_copy(update=waits)]))
    assert size({"spec": about.dump(), "status": status.dump()}) <= LARGEST - METADATA
    assert [write.object for write in status.steps[0].writes] == [REF] * 256
    both = waits | {"writes": writes[:200], "ending": ["u" * 36] * 56}  # more than this no drain evicts and waits for
    status = fitted(about, IncidentStatus(steps=[under_way.model_copy(update=both)]))
    assert (status.steps[0].aftermath, status.steps[0].ending) == (None, both["ending"])
    few = {"writes": writes[:3], "aftermath": waits["aftermath"]}
    status = fitted(about, IncidentStatus(steps=[under_way.model_copy(update=few)]))
    assert [write.volumes for write in status.steps[0].writes] == [volumes] * 3


def test_of_what_jobs_have_said_the_last_stays_longest() -> None:
    status = IncidentStatus(steps=[step(number, "Done", 0) for number in range(60)])
    kept = [step.evidence for step in fitted(spec({}), status).steps]
    assert len(kept) == 60
    assert kept[-1] == "ü" * 2048
    assert set(kept[:-1]) == {None}


def test_the_plan_of_what_is_under_way_or_asked_goes_last_and_that_of_the_past_first() -> None:
    small = hostile().model_copy(update={"steps": [step(1, "Done", 9), step(2, "Intended", 9)]})
    status = fitted(spec({}), small)
    assert [len(s.preflight or ()) for s in status.steps] == [0, 16]
    assert {a.state: len(a.preflight or ()) for a in status.approvals} == {"Denied": 0, "Waiting": 16}
    assert [s.preflight for s in fitted(spec({}), hostile()).steps] == [None] * len(fitted(spec({}), hostile()).steps)
