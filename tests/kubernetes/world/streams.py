"""Requests that go on: watches, and connections to ports of pods."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time

from aiohttp import WSMsgType, web

from tests.kubernetes.world.selectors import by_fields, by_labels
from tests.kubernetes.world.store import Kind, Object, Store

#: Seconds for which a watch goes on, if it does not say.
LONG = 1800.0
#: Channels of a forwarded port.
DATA, ERRORS = b"\x00", b"\x01"


async def watch(
    request: web.Request, store: Store, kind: Kind, namespace: str | None, name: str | None
) -> web.StreamResponse:
    """Tell of objects and what happens to them, as long as the client stays."""
    labels = by_labels(request.query.get("labelSelector"))
    fields = by_fields(request.query.get("fieldSelector"))

    def wanted(found: Object) -> bool:
        metadata = found["metadata"]
        return (
            namespace in (None, metadata.get("namespace"))
            and name in (None, metadata["name"])
            and labels(found)
            and fields(found)
        )

    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)

    async def tell(what: str, found: Object) -> None:
        await response.write((json.dumps({"type": what, "object": found}) + "\n").encode())

    until = time.monotonic() + float(request.query.get("timeoutSeconds") or LONG)
    since = int(request.query.get("resourceVersion") or 0)
    with contextlib.suppress(ConnectionResetError):
        if since == 0:
            since = store.version
            for found in store.all(kind):
                if wanted(found):
                    await tell("ADDED", found)
        while time.monotonic() < until:
            changed = store.next_change()
            for change in store.changes_since(since):
                since = change.version
                if change.kind != kind:
                    continue
                was = change.before is not None and wanted(change.before)
                if change.type == "DELETED" and was:
                    await tell("DELETED", change.object)
                elif change.type != "DELETED" and wanted(change.object):
                    await tell("MODIFIED" if was else "ADDED", change.object)
                elif change.type != "DELETED" and was:
                    await tell("DELETED", change.object)
            if changed.is_set():
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(until - time.monotonic(), 0.01)):
                    await changed.wait()
    return response


async def forward_port(request: web.Request, pod: Object) -> web.WebSocketResponse:
    """Connect a client to a port of a pod."""
    socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io", "portforward.k8s.io"))
    await socket.prepare(request)
    port = int(request.query["ports"].split(",")[0])
    for channel in (DATA, ERRORS):
        await socket.send_bytes(channel + struct.pack("<H", port))
    try:
        reader, writer = await asyncio.open_connection(pod["status"]["podIP"], port)
    except OSError as error:
        await socket.send_bytes(ERRORS + str(error).encode())
        await socket.close()
        return socket

    async def up() -> None:
        async for message in socket:
            if message.type == WSMsgType.BINARY and message.data[:1] == DATA:
                writer.write(message.data[1:])
                await writer.drain()
        writer.close()

    async def down() -> None:
        while data := await reader.read(2**16):
            await socket.send_bytes(DATA + data)
        await socket.close()

    await asyncio.gather(up(), down(), return_exceptions=True)
    return socket
