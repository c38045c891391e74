"""An incident's policy as it stands now: read live, or known by the watch where nothing is to be done."""

from __future__ import annotations

from datetime import datetime

from goldseam.api.policy import ClusterRemediationPolicySpec, RemediationPolicySpec
from goldseam.api.problems import InvalidSpec, read_spec
from goldseam.engine.matching import PolicyKey
from goldseam.engine.situation import LivePolicy
from goldseam.engine.views import IncidentView
from goldseam.errors import Unavailable
from goldseam.ports import Cluster, Json
from goldseam.resources import OURS
from goldseam.services.catalogue import Catalogue
from goldseam.services.reads import Reads


class LivePolicies:
    """The policies of open incidents."""

    def __init__(self, cluster: Cluster, catalogue: Catalogue) -> None:
        self._cluster, self._catalogue = cluster, catalogue
        self._as_pinned: dict[str, tuple[str, int]] = {}
        """By the uid of the incident: which policy, in which generation, was read and says what the snapshot says."""

    async def of(self, incident: IncidentView, reads: Reads) -> LivePolicy | None:
        """Read live; None where there is none, or where `reads` names it as not read."""
        live = await _read(incident, reads)
        if live is not None and live.spec == incident.pinned:
            self._as_pinned[incident.uid] = (live.uid, live.generation)
        else:
            self.forget(incident.uid)
        return live

    async def lately(self, incident: IncidentView, reads: Reads) -> LivePolicy | None:
        """The same for a look that does not act: what was read once is not read again until the watch shows a new
        generation. Only which generation it was is kept, for the snapshot says the rest."""
        armed = self._catalogue.armed.get(incident.policy)
        if armed is None or self._as_pinned.get(incident.uid) != (armed.uid, armed.generation):
            return await self.of(incident, reads)
        return LivePolicy(armed.key, armed.uid, armed.generation, armed.created, incident.pinned, "")

    async def surely(self, incident: IncidentView) -> LivePolicy | None:
        """Read live.

        Raises:
            Unavailable: it could not be read, which does not mean that it is gone.
        """
        reads = Reads(self._cluster)
        live = await _read(incident, reads)
        if reads.unknown:
            raise Unavailable(f"not read: {', '.join(reads.unknown)}")
        return live

    def forget(self, uid: str) -> None:
        """The incident of that uid is over, or its policy says something else than its snapshot."""
        self._as_pinned.pop(uid, None)


async def _read(incident: IncidentView, reads: Reads) -> LivePolicy | None:
    ref = incident.spec.policy_ref
    obj = await reads.one(OURS[ref.kind], ref.namespace, ref.name)
    return None if obj is None else live_policy(ref.kind, obj)


def live_policy(kind: str, obj: Json) -> LivePolicy:
    """A policy as it stands now, valid or not."""
    meta = obj["metadata"]
    key = PolicyKey(kind, meta.get("namespace", ""), meta["name"])
    created = datetime.fromisoformat(meta["creationTimestamp"])
    try:
        spec, problem = read_spec(kind, obj), ""
    except InvalidSpec as error:
        return LivePolicy(key, meta["uid"], meta.get("generation", 0), created, None, str(error))
    assert isinstance(spec, RemediationPolicySpec | ClusterRemediationPolicySpec)
    return LivePolicy(key, meta["uid"], meta.get("generation", 0), created, spec, problem)
