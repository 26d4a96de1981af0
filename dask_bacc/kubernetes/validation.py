"""What a cluster would not accept of manifests, or would silently drop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dask_bacc.kubernetes.schemas import pruned, relaxed, schemas

#: The oldest version of Kubernetes that is looked at.
OLDEST = (1, 29)


def supported_versions() -> list[str]:
    """Versions of Kubernetes whose schemas are installed, from 1.29 on."""
    from kubernetes_validate.utils import all_versions, major_minor

    found = dict.fromkeys(major_minor(version) for version in all_versions())
    return [v for v in found if tuple(map(int, v.split("."))) >= OLDEST]


def problems(
    manifests: Sequence[Mapping[str, Any]], versions: Sequence[str] | None = None
) -> list[str]:
    r"""What is wrong with manifests, a line each.

    Resources of the operator's are held against the schemas that it comes with, and fields that an
    API server would drop without a word are problems, too. What the operator would make of them,
    and all else, is held against the strict schemas of Kubernetes.

    Parameters
    ----------
    manifests : sequence of mappings
    versions : sequence of str, optional
        Of Kubernetes; by default all that are known, from 1.29 on.

    Raises
    ------
    ModuleNotFoundError
        Without the extra ``kubernetes``.

    Examples
    --------
    >>> from dask_bacc.kubernetes import manifests
    >>> made = manifests("grid", image="registry.example/grid:1", n=12, k=8)
    >>> problems(made)
    []
    >>> made[-1]["spec"]["worker"]["spec"]["nodeSelectors"] = {"disk": "fast"}
    >>> print(*problems(made), sep="\n")
    DaskCluster grid: spec.worker.spec.nodeSelectors is not known, and would be dropped
    """
    known = schemas()
    looked_at = supported_versions() if versions is None else versions
    found: list[str] = []
    for manifest in manifests:
        kind = str(manifest.get("kind"))
        title = f"{kind} {manifest.get('metadata', {}).get('name')}"
        if kind not in known:
            found += [f"{title}: {p}" for p in _of_kubernetes([manifest], looked_at)]
            continue
        of_resource = list(_of_resource(manifest, known[kind]))
        found += [f"{title}: {problem}" for problem in of_resource]
        # Nothing can be made of what is not as it has to be.
        if not of_resource:
            made = list(_made_of(manifest, kind))
            found += [
                f"{title}: in what is made of it: {p}" for p in _of_kubernetes(made, looked_at)
            ]
    return found


def _of_resource(manifest: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """What the schema of a custom resource has against one, and what is dropped."""
    from jsonschema import Draft7Validator

    for error in Draft7Validator(relaxed(schema)).iter_errors(manifest):
        yield f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
    for path in pruned(manifest, schema)[1]:
        yield f"{path} is not known, and would be dropped"
    if manifest.get("kind") == "DaskAutoscaler":
        spec = manifest.get("spec", {})
        if spec.get("minimum", 0) > spec.get("maximum", 0):
            yield "spec.minimum is above spec.maximum"


def _of_kubernetes(
    manifests: Sequence[Mapping[str, Any]], versions: Sequence[str]
) -> Iterator[str]:
    """What strict schemas have against manifests; the same of several versions once."""
    from kubernetes_validate import SchemaNotFoundError, ValidationError, validate

    said: dict[str, list[str]] = {}
    for manifest in manifests:
        for version in versions:
            try:
                validate(dict(manifest), version, strict=True)
            except ValidationError as error:
                place = ".".join(map(str, error.absolute_path))
                said.setdefault(f"{manifest['kind']} {place}: {error.message}", []).append(version)
            except SchemaNotFoundError:
                said.setdefault(f"kind {manifest['kind']} is not known", []).append(version)
    for message, of in said.items():
        yield f"{message} (Kubernetes {', '.join(of)})"


def _made_of(manifest: Mapping[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """The deployments, services and pods that the operator would make."""
    from dask_kubernetes.operator.controller import controller

    name = manifest["metadata"]["name"]
    namespace = manifest["metadata"].get("namespace", "default")
    spec = manifest["spec"]
    if kind == "DaskJob":
        build: Callable[..., dict[str, Any]] = controller.build_job_pod_spec
        yield build(name, name, namespace, spec["job"]["spec"], {}, {})
        spec = spec["cluster"]["spec"]
    if kind in ("DaskJob", "DaskCluster"):
        scheduler, worker = spec["scheduler"], spec["worker"]
        yield controller.build_scheduler_deployment_spec(name, scheduler["spec"], {}, {})
        yield controller.build_scheduler_service_spec(name, scheduler["service"], {}, {})
        yield controller.build_worker_deployment_spec(
            f"{name}-default", namespace, name, "0123456789", worker["spec"], {}, {}
        )
