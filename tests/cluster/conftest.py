from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from distributed import Client, Event


@pytest.fixture
def gate(client: Client) -> Iterator[str]:
    """Name of an event for which tasks can wait; set at the end, so that none stays behind."""
    event = Event(f"gate-{uuid.uuid4()}", client=client)
    yield event.name
    event.set()
