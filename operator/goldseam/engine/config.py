"""ConfigMaps: where a value stands, and which workloads read it."""

from __future__ import annotations

from collections.abc import Iterator

from goldseam.engine.objects import Json


def value_of(key: str) -> str:
    """The path of a key's value."""
    return f"data[{key}]"


def reads(workload: Json, name: str, key: str) -> bool:
    """Whether the workload's template refers to this key of the ConfigMap: in an environment, or in a volume.

    What a program reads by itself, through the API, cannot be seen here.
    """
    pods: Json = ((workload.get("spec") or {}).get("template") or {}).get("spec") or {}
    return any(ref.get("name") == name and key in (keys or {key}) for ref, keys in _references(pods))


def _references(pods: Json) -> Iterator[tuple[Json, set[str]]]:
    """Each reference to a ConfigMap, with the keys that it names; none where it takes all."""
    for container in (*(pods.get("initContainers") or ()), *(pods.get("containers") or ())):
        for source in container.get("envFrom") or ():
            yield source.get("configMapRef") or {}, set()
        for variable in container.get("env") or ():
            ref: Json = (variable.get("valueFrom") or {}).get("configMapKeyRef") or {}
            yield ref, {str(ref.get("key"))}
    for volume in pods.get("volumes") or ():
        projected = (volume.get("projected") or {}).get("sources") or ()
        for source in (volume, *projected):
            mounted: Json = source.get("configMap") or {}
            yield mounted, {str(item.get("key")) for item in mounted.get("items") or ()}
