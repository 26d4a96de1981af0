"""How clients find an API server."""

from __future__ import annotations

from pathlib import Path

import yaml


def written(path: Path, port: int) -> Path:
    """A file by which clients find the API server at a port of this machine."""
    server = {"server": f"http://127.0.0.1:{port}"}
    context = {"cluster": "world", "user": "anybody", "namespace": "default"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "world", "cluster": server}],
        "users": [{"name": "anybody", "user": {"token": "any"}}],
        "contexts": [{"name": "world", "context": context}],
        "current-context": "world",
    }
    path.write_text(yaml.safe_dump(config))
    return path
