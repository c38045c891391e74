"""Why people are told, what becomes of questions and answers, and how the metric of decisions names them."""

from __future__ import annotations

from goldseam.engine import escalation as e
from goldseam.engine.reasons.entry import Entry

THRESHOLDS: tuple[Entry, ...] = (
    Entry(e.ESCALATE_AFTER, "The alert has been active for the policy's `escalateAfter`.", "Take over, or wait."),
    Entry(
        e.LADDER_EXHAUSTED,
        "All rungs were tried or passed over, and the alert still fires.",
        "Take over: `goldseam show` says what was tried.",
    ),
    Entry(e.RUNG, "The ladder came to its `escalate` rung.", "Take over: the policy leaves it to people from here."),
    Entry(
        e.TAKEN_OVER,
        "Somebody changed what Goldseam had changed, so it does nothing more.",
        "Go on by hand; it was one of you, or another controller.",
    ),
    Entry(
        e.HELD,
        "A guard has held the work for the policy's `unknownTimeout`.",
        "`goldseam explain` names the guard and what to do about it.",
    ),
    Entry(
        e.OWED,
        "What is owed could not be put back for the policy's `unknownTimeout`: the API server does not accept it, or "
        "something holds it, though all else is over.",
        "Its message says why: mend that, or put it back by hand.",
    ),
    Entry(
        e.UNKNOWN,
        "Nothing has been known about the alert for the policy's `unknownTimeout`.",
        "See whether Prometheus runs and is reached: `kubectl describe alertsource`.",
    ),
    Entry(
        e.UNANSWERED,
        "Nobody answered a question in time, and `approval.onTimeout` is Escalate.",
        "Take over; what was asked is on the incident.",
    ),
    Entry(
        e.INCONCLUSIVE,
        "The Job that a rung has started is gone, and how it ended is not known: nothing is tried on that.",
        "See what it has done, by its audit log or its effect; go on by hand.",
    ),
    Entry(
        "approval-STEP-TIME",
        "A person has to say yes to this step.",
        "`goldseam show`, then `goldseam approve` or `goldseam deny`.",
    ),
    Entry("notify-STEP", "The ladder came to a `notify` rung; the ladder goes on.", "As its message says."),
)
"""The last word in the subject of each message. Any other is the name of a threshold in the Runbook."""

ANSWERS: tuple[Entry, ...] = (
    Entry("Waiting", "Nobody has answered yet.", "`goldseam approve` or `goldseam deny` it.", "approval"),
    Entry("Approved", "A person said yes; the guards are asked once more, then it is done.", "", "approval"),
    Entry("Denied", "A person said no: the rung is passed over.", "", "approval"),
    Entry("Expired", "Nobody answered in time: `approval.onTimeout` says what follows.", "", "approval"),
    Entry(
        "Replaced",
        "What would be done has changed, or the yes could not be used in time: it was asked anew.",
        "Answer the newer question.",
        "approval",
    ),
    Entry("Counted", "The Incident has it.", "", "Response"),
    Entry(
        "Ignored",
        "It does not count, and never will; the message says why.",
        "Mend what the message names, and say it again: a Response never changes.",
        "Response",
    ),
)
"""`status.approvals[].state` of an Incident, and `status.state` of a Response."""

DECISIONS: tuple[Entry, ...] = (
    Entry("Act", "A step is written down, to be carried out.", "", "act"),
    Entry("Forced", "What is left at the deadline of a drain is deleted.", "", "act"),
    Entry("GoOn", "The next write of a step, or one that was written down before a restart.", "", "act"),
    Entry("Undo", "Something owed is put back.", "", "undo"),
    Entry("Observed", "Mode Observe: what would be done was recorded, or the next rung is waited for.", "", "rehearse"),
    Entry("Acted", "A step's writes were made.", "", "wait"),
    Entry("Waiting", "A rung or a step is being waited for.", "", "wait"),
    Entry("Verifying", "It is not known yet whether a step helps.", "", "wait"),
    Entry("Passed", "A step helped.", "", "wait"),
    Entry("Undone", "Something owed was put back.", "", "wait"),
    Entry("NextAttempt", "A step did not help: it is tried again.", "", "wait"),
    Entry("NextRung", "A rung did not help or was passed over: the next one comes.", "", "wait"),
    Entry("NotTaken", "The alert was over before a step that was written down was begun.", "", "wait"),
    Entry("Replanned", "The world has moved: a step is planned anew.", "", "wait"),
    Entry("Collecting", "A `collect` rung reads what it writes down.", "", "wait"),
    Entry("Told", "A `notify` rung has people told, and does not wait for that.", "", "wait"),
    Entry("WouldEscalate", "Mode Observe: an `escalate` rung would tell people.", "", "wait"),
    Entry("Monitoring", "The alert is gone; it is watched whether it stays away.", "", "wait"),
    Entry("Reopened", "The alert is back within `flapWindow`.", "", "wait"),
    Entry("FlapWindow", "The alert stayed away; until `flapWindow` is over it would re-open the incident.", "", "wait"),
    Entry("Owing", "The incident is over but for what it owes.", "", "wait"),
    Entry("Resolved", "The alert stayed away for `resolve.after`.", "", "resolve"),
    Entry("Escalated", "People have the incident.", "", "escalate"),
    Entry("HandedOver", "People have taken over.", "", "escalate"),
    Entry("LadderExhausted", "The ladder is used up.", "", "escalate"),
    Entry("ThresholdStops", "A threshold of the runbook ends all acting.", "", "escalate"),
    Entry("Abandoned", "The target or the policy is gone.", "", "end"),
    Entry("Superseded", "Somebody else moved what a step was about to change.", "", "end"),
    Entry("HandedOn", "The node stays cordoned for another incident, which owes the uncordon, too.", "", "end"),
)
"""`reason` of the metric `goldseam_decisions_total`, where it is no hold's."""
