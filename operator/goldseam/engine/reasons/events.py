"""What stands in an Incident's timeline and, under the same names, in Kubernetes Events and the outcomes of steps."""

from __future__ import annotations

from goldseam.engine.reasons.entry import Entry

EVENTS: tuple[Entry, ...] = (
    Entry("Opened", "The alert fires for a target of a policy: an incident was opened.", ""),
    Entry(
        "Changed",
        "What changed on the target within 30 minutes before the alert began, and who changed it.",
        "Look there first: a new image or a new setting is the likeliest cause.",
    ),
    Entry("Investigating", "The alert came back within `flapWindow`: the same incident goes on.", ""),
    Entry("Intent", "A step is written down, and is carried out next. Also on the target.", ""),
    Entry("Fixing", "A step is being carried out, or what it does is being watched.", ""),
    Entry("Passed", "The step helped.", ""),
    Entry("Failed", "The step did not help in its time: the next attempt or rung comes.", ""),
    Entry("WentOn", "The step was done and the alert still fires: the next rung comes (`goOn: WhenDone`).", ""),
    Entry(
        "Inconclusive",
        "What the step has started is gone, and how it ended is not known: nothing is tried on that.",
        "See what it has done: people have the incident.",
    ),
    Entry(
        "Refused",
        "A guard, or the API server, refused the step: the next rung comes.",
        "The message says which. Where it is wrong to refuse, change what it names.",
    ),
    Entry("NothingToDo", "The target is already as the step would make it: the next rung comes.", ""),
    Entry("NotTaken", "The step was written down, and not begun: something held it until it was no use.", ""),
    Entry(
        "Superseded",
        "Somebody else changed what Goldseam had changed, or was about to change.",
        "Nothing: people have the incident, and what they did is left alone.",
    ),
    Entry("Observed", "In mode Observe: what would have been done.", ""),
    Entry("WouldTell", "In mode Observe: who would have been told.", ""),
    Entry(
        "AwaitingApproval", "A person has to say yes.", "`goldseam show`, then `goldseam approve` or `goldseam deny`."
    ),
    Entry("Asked", "People were asked whether a step may be done.", "`goldseam approve` or `goldseam deny` it."),
    Entry("Approved", "A person said yes.", ""),
    Entry("Denied", "A person said no: the next rung comes.", ""),
    Entry("Unanswered", "Nobody answered in time: `approval.onTimeout` says what follows.", ""),
    Entry("Acknowledged", "A person has seen it.", ""),
    Entry("TakenOver", "A person took over (`goldseam undo`): nothing more is tried.", ""),
    Entry("Collected", "The rung wrote down how things are: `goldseam show` has it.", ""),
    Entry("Told", "The rung has people told; whether anybody could be is said by `NobodyTold`, and under People.", ""),
    Entry(
        "NobodyTold",
        "There was no way to anybody: the contact has no channel, or its channels refuse for good, and the AlertSource"
        " names no Alertmanager. It stands in the Event `Escalated` and on the Incident only, and is not tried again.",
        "Give a contact of the Runbook a channel, or name the Alertmanager in the AlertSource.",
    ),
    Entry(
        "ThresholdUnknown",
        "The query of a threshold in the Runbook has no answer that decides; it crosses nothing. Said once.",
        "`goldseam lint` tells why; put a threshold by time beside it.",
    ),
    Entry("Escalation", "A threshold was crossed: people are told. As an Event it is named Escalated.", "Take over."),
    Entry(
        "Escalated",
        "People have the incident: the ladder is used up, a threshold says stop, or somebody undid the work.",
        "Take over: `goldseam show` says what was tried.",
    ),
    Entry("PageHeld", "Nobody is called about the alert while it is healed. Only as an Event.", ""),
    Entry("PageReleased", "People are called about the alert as ever again, within two minutes. Only as an Event.", ""),
    Entry("Monitoring", "The alert is gone; it is watched for `resolve.after` whether it stays away.", ""),
    Entry("Resolved", "The alert stayed away. What is owed falls due.", ""),
    Entry("Undo", "Something owed is being put back. Also on the target.", ""),
    Entry("Undone", "It was put back.", ""),
    Entry(
        "Forced",
        "The deadline of a drain has passed: the pods that are left are deleted, past their PodDisruptionBudgets. Also"
        " on the target.",
        "Nothing, if that was meant. Else write another `atDeadline`.",
    ),
    Entry(
        "LeftCordoned",
        "The deadline of a drain has passed, and the node stays cordoned. Also on the target.",
        "`kubectl uncordon` it when it may take pods again.",
    ),
    Entry("Paid", "An obligation is settled: it was put back.", ""),
    Entry("Void", "An obligation is settled: nothing was changed, or the object is gone.", ""),
    Entry(
        "Lost",
        "An obligation is settled without being paid: somebody else moved the field, and it was left alone.",
        "Look whether the value is what you want.",
    ),
    Entry("Abandoned", "The target or the policy is gone. What is owed is paid.", ""),
    Entry(
        "Adopted", "An object carried Goldseam's mark without a record; this incident has it now, and undoes it.", ""
    ),
    Entry(
        "CrdOutdated",
        "The CRDs are older than the operator: what it wants to write has a field that they do not have.",
        "Apply deploy/kustomize/base of the operator's version; then it goes on.",
    ),
    Entry(
        "RecordMissing",
        "The Guardrails' status has spent actions of Incidents that are gone: somebody deleted them. Or an Incident"
        " cannot be read, for a newer version wrote it.",
        "Find out who deletes Incidents; what they owed was adopted where it could be found. What a newer version has"
        " begun only that version ends.",
    ),
)
