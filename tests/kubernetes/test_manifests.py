"""Manifests are as Kubernetes wants them, and errors in them are told."""

from __future__ import annotations

import copy
from pathlib import Path

import kubernetes_validate
import pytest
from click.testing import CliRunner

from dask_bacc.cli import bacc
from dask_bacc.kubernetes import CLOUDS, manifests, problems
from dask_bacc.kubernetes.schemas import pruned
from dask_bacc.kubernetes.validation import supported_versions

EXAMPLES = Path(__file__).parents[2] / "examples" / "kubernetes"
IMAGE = "registry.example/digits:1"
JOB = {"image": IMAGE, "n": 12, "k": 8, "command": ["python", "job.py"]}
PEM = {"ca.crt": b"a", "tls.crt": b"b", "tls.key": b"c"}


def test_all_versions_in_support_are_looked_at():
    versions = supported_versions()
    assert versions[0] == "1.29"
    newest = kubernetes_validate.latest_version()
    assert newest.startswith(versions[-1])
    assert len(versions) == int(versions[-1].split(".")[1]) - 28


@pytest.mark.parametrize("cloud", [None, *CLOUDS])
@pytest.mark.parametrize(
    "options",
    [
        {"command": ["python", "job.py"]},
        {"most": 20, "clients": {"app": "jupyter"}},
        {"tls": PEM, "environment": {"OMP_NUM_THREADS": "1"}, "threads": 4},
    ],
)
def test_manifests_have_no_problems(cloud, options):
    assert problems(manifests("grid", image=IMAGE, n=12, k=8, cloud=cloud, **options)) == []


def change(path, value):
    """Another value at a path of the DaskJob; None for none."""

    def apply(job):
        *way, last = path
        for name in way:
            job = job[name]
        if value is None:
            del job[last]
        else:
            job[last] = value

    return apply


WORKER = ("spec", "cluster", "spec", "worker", "spec")
SCHEDULER = ("spec", "cluster", "spec", "scheduler")
CONTAINER = (*WORKER, "containers", 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        # Such as an API server drops without a word.
        ((*WORKER, "nodeSelectors"), {"disk": "fast"}),
        ((*WORKER, "terminationGracePeriod"), 5),
        ((*WORKER, "toleration"), []),
        ((*WORKER, "priorityClass"), "low"),
        ((*WORKER, "tolerations", 0, "efect"), "NoSchedule"),
        ((*CONTAINER, "resource"), {}),
        ((*CONTAINER, "environment"), []),
        ((*CONTAINER, "resources", "limit"), {"cpu": "1"}),
        ((*CONTAINER, "readinessProbe", "httpget"), {}),
        ((*SCHEDULER, "services"), {}),
        (("spec", "cluster", "spec", "idleTimeOut"), 60),
        (("spec", "jobs"), {}),
        # Such as it drops because the schemas are older than what they describe.
        ((*WORKER, "hostUsers"), False),
        # And such as it refuses.
        ((*CONTAINER, "resources", "limits", "cpu"), 1),
        ((*WORKER, "terminationGracePeriodSeconds"), "25"),
        ((*CONTAINER, "name"), None),
        ((*SCHEDULER, "service"), None),
    ],
)
def test_errors_are_told(path, value):
    made = manifests("grid", cloud="gke", **JOB)
    change(path, value)(made[-1])
    said = problems(made, ["1.33"])
    assert said
    assert all(line.startswith("DaskJob grid: ") for line in said)
    assert any(path[-1] in line for line in said)


def test_what_the_operator_would_make_is_looked_at_too():
    """Schemas of the operator's know nothing of the values that Kubernetes takes."""
    made = manifests("grid", **JOB)
    change((*WORKER, "restartPolicy"), 3)(made[-1])
    assert any("restartPolicy" in line for line in problems(made, ["1.33"]))
    budget = next(m for m in made if m["kind"] == "PodDisruptionBudget")
    budget["spec"]["minAvailabel"] = 3
    assert any("minAvailabel" in line for line in problems(made, ["1.29", "1.33"]))


def test_pruning_leaves_what_is_given_alone():
    made = manifests("grid", **JOB)[-1]
    before = copy.deepcopy(made)
    change((*WORKER, "nodeSelectors"), {})(made)
    schema = {"properties": {"spec": {"properties": {}}}}
    kept, dropped = pruned(made, schema)
    assert kept["spec"] == {}
    assert dropped == ["spec.job", "spec.cluster"]
    change((*WORKER, "nodeSelectors"), None)(made)
    assert made == before


def test_workers_are_on_spot_machines_and_nothing_else_is():
    cluster = manifests("grid", cloud="aks", **JOB)[-1]["spec"]["cluster"]["spec"]
    job = manifests("grid", cloud="aks", **JOB)[-1]["spec"]["job"]

    def operators(pod):
        terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        return [
            t["operator"] for term in terms["nodeSelectorTerms"] for t in term["matchExpressions"]
        ]

    assert operators(cluster["worker"]["spec"]) == ["In"]
    assert operators(cluster["scheduler"]["spec"]) == operators(job["spec"]) == ["NotIn"]
    assert cluster["worker"]["spec"]["tolerations"][0]["effect"] == "NoSchedule"
    assert cluster["worker"]["spec"]["terminationGracePeriodSeconds"] < 30


@pytest.mark.parametrize(
    ("n", "k", "threads", "least"), [(12, 8, 1, 8), (12, 8, 4, 2), (5, 5, 2, 3)]
)
def test_budgets_leave_as_many_workers_as_the_code_needs(n, k, threads, least):
    made = manifests("grid", image=IMAGE, n=n, k=k, threads=threads)
    budgets = {m["metadata"]["name"]: m["spec"] for m in made if "Budget" in m["kind"]}
    assert budgets["grid-worker"]["minAvailable"] == least
    assert budgets["grid-scheduler"]["maxUnavailable"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "Grid"}, "name must have"),
        ({"name": "x" * 33}, "name must have"),
        ({"k": 13}, "k must be from 1 to n"),
        ({"k": 0}, "k must be from 1 to n"),
        ({"threads": 0}, "threads must be"),
        ({"cpu": 1}, "cpu must be a quantity"),
        ({"memory": "4 GB"}, "memory must be a quantity"),
        ({"cloud": "azure"}, "cloud must be one of gke, eks, aks"),
        ({"most": 20}, "without a command"),
        ({"most": 3, "command": []}, "at least the 12 workers"),
        ({"tls": {"ca.crt": b""}}, "tls.crt, tls.key is missing"),
    ],
)
def test_bad_input_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        manifests(**({"name": "grid"} | JOB | options))


@pytest.mark.parametrize(
    ("file", "arguments"),
    [
        ("job.yaml", ["--name", "digits", "--", "python", "job.py"]),
        ("cluster.yaml", ["--name", "notebook", "--most", "20"]),
    ],
)
def test_example_files_are_what_the_command_writes(file, arguments):
    options = ["--n", "8", "--k", "6", "--image", IMAGE, "--cloud", "gke"]
    result = CliRunner().invoke(bacc, ["kubernetes", *options, *arguments])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout == (EXAMPLES / file).read_text()


def test_the_command_refuses_what_cannot_be(tmp_path):
    result = CliRunner().invoke(bacc, ["kubernetes", "--n", "4", "--image", "x", "--cpu", "one"])
    assert result.exit_code == 1
    assert "cpu must be a quantity" in result.output
    lacking = CliRunner().invoke(
        bacc, ["kubernetes", "--n", "4", "--image", "x", "--tls", str(tmp_path)]
    )
    assert "ca.crt, tls.crt, tls.key is missing" in lacking.output
    assert lacking.stdout == ""
