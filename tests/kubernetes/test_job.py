"""A job from its manifests to its answer, and what there is of it afterwards."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import yaml
from distributed import Security
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from benchmarks.processes.cluster import LONG, until
from dask_bacc.kubernetes import manifests

pytestmark = pytest.mark.kubernetes
EXAMPLE = Path(__file__).parents[2] / "examples" / "kubernetes"
JOB = str(EXAMPLE / "job.py")


def right() -> float:
    """Share of the digits that are right, by SciPy and in one process."""
    images, labels = load_digits(return_X_y=True)
    squares = cdist(images, images, "sqeuclidean")
    weights = np.exp(-squares / 200) * (squares > 0)
    found = (weights @ np.eye(10)[labels]).argmax(axis=1)
    count = len(images) // 6 * 6
    return float(np.mean(found[:count] == labels[:count]))


def outcome(world, made, name):
    """What the job's program has said, once the job is over; all of it is deleted then."""

    def status():
        (job,) = [j for j in world.all("DaskJob") if j["metadata"]["name"] == name]
        return job.get("status", {}).get("jobStatus")

    world.apply(made)
    until(lambda: status() in ("Successful", "Failed"), LONG, world.logs)
    (pod,) = world.all("Pod", cluster_name=name, component="job-runner")
    said, how = world.log(pod), status()
    until(lambda: not world.all("DaskCluster"), LONG, "the cluster stays")
    world.delete(made)
    until(lambda: not world.all("Pod"), LONG, "pods stay")
    return how, said


def test_the_example_comes_to_its_answer(world):
    made = list(yaml.safe_load_all((EXAMPLE / "job.yaml").read_text()))
    # There are no images here, but this machine's files.
    made[-1]["spec"]["job"]["spec"]["containers"][0]["args"] = ["python", JOB]
    how, said = outcome(world, made, "digits")
    assert how == "Successful", said
    assert f"{right():.1%} of 1794 digits are right" in said


def test_connections_are_encrypted(world):
    pytest.importorskip("cryptography")
    known = Security.temporary()
    files = {
        "ca.crt": known.tls_ca_file,
        "tls.crt": known.tls_scheduler_cert,
        "tls.key": known.tls_scheduler_key,
    }
    program = (
        "from distributed import Client; import dask_bacc, numpy as np; c = Client();"
        "print(c.scheduler.address, dask_bacc.map(np.square, [2, 3], client=c).result())"
    )
    made = manifests(
        "secret",
        image="local",
        n=2,
        k=2,
        command=["python", "-c", program],
        tls={name: text.encode() for name, text in files.items()},
    )
    how, said = outcome(world, copy.deepcopy(made), "secret")
    assert how == "Successful", said
    assert "tls://" in said
    assert "[4, 9]" in said.replace("np.int64(4)", "4").replace("np.int64(9)", "9")


def test_a_job_that_fails_says_so(world):
    program = "from distributed import Client; Client().wait_for_workers(2); 1/0"
    made = manifests("fails", image="local", n=2, k=2, command=["python", "-c", program])
    how, said = outcome(world, made, "fails")
    assert how == "Failed"
    assert "ZeroDivisionError" in said
