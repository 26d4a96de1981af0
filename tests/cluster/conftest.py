from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from distributed import Client, Event


def closed_gate(client: Client) -> Iterator[str]:
    event = Event(f"gate-{uuid.uuid4()}", client=client)
    yield event.name
    event.set()


@pytest.fixture
def gate(client: Client) -> Iterator[str]:
    """Name of an event for which tasks can wait; set at the end, so that none stays behind."""
    yield from closed_gate(client)


@pytest.fixture
def other_gate(client: Client) -> Iterator[str]:
    """Another, to hold a run up until what it is to meet is there."""
    yield from closed_gate(client)
