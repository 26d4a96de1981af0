"""Networks of pods: a bridge, a namespace for each pod, and addresses of services."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.kubernetes.world.admission import NETWORK

BRIDGE = "br0"
GATEWAY = f"{NETWORK}.1"


def run(*command: str, check: bool = True, lines: str | None = None) -> None:
    """Run a command, perhaps with lines that it reads."""
    subprocess.run(command, check=check, capture_output=True, text=True, input=lines)


class Network:
    """The network of a world, which has a namespace for itself.

    Parameters
    ----------
    hosts : Path
        File that all pods have as /etc/hosts.
    """

    def __init__(self, hosts: Path) -> None:
        self._hosts = hosts
        self._numbers = iter(range(11, 200))
        #: where addresses of services are: in a pod's namespace, or nowhere
        self._at: dict[str, str | None] = {}
        self._namespaces: set[str] = set()
        hosts.write_text("127.0.0.1 localhost\n")
        run("mount", "--make-rprivate", "/")
        Path("/run/netns").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        run("mount", "--bind", str(hosts), "/etc/hosts")
        # Nobody answers there, which is known at once.
        resolver = hosts.with_name("resolv.conf")
        resolver.write_text("nameserver 127.0.0.1\n")
        run("mount", "--bind", str(resolver), "/etc/resolv.conf")
        bridge = f"link set lo up\nlink add {BRIDGE} type bridge\n"
        address = f"addr add {GATEWAY}/24 dev {BRIDGE}\nlink set {BRIDGE} up\n"
        run("ip", "-b", "-", lines=bridge + address)

    def add(self) -> tuple[str, str]:
        """A namespace with an address; its name and the address."""
        number = next(self._numbers)
        name, address = f"pod{number}", f"{NETWORK}.{number}"
        run("ip", "netns", "add", name)
        outside = f"link add veth{number} type veth peer name eth0 netns {name}\n"
        run("ip", "-b", "-", lines=f"{outside}link set veth{number} master {BRIDGE} up\n")
        inside = f"link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\n"
        run("ip", "-n", name, "-b", "-", lines=f"{inside}route add default via {GATEWAY}\n")
        self._namespaces.add(name)
        return name, address

    def remove(self, name: str) -> None:
        """Remove a namespace."""
        self._namespaces.discard(name)
        run("ip", "netns", "del", name, check=False)

    def connect(self, name: str, *, connected: bool) -> None:
        """Pull a namespace's cable, or plug it in."""
        device = name.replace("pod", "veth")
        run("ip", "link", "set", device, "up" if connected else "down")

    def serve(self, services: Mapping[str, tuple[str, str | None]]) -> None:
        """Put addresses of services where they are answered.

        Parameters
        ----------
        services : mapping
            Of names to the service's address, and the namespace of a pod that is ready, if any.
        """
        lines = ["127.0.0.1 localhost"]
        for name, (address, namespace) in services.items():
            lines.append(f"{address} {name} {name}.svc {name}.svc.cluster.local")
            if address not in self._at or self._at[address] != namespace:
                self._move(address, namespace)
        text = "\n".join(lines) + "\n"
        if self._hosts.read_text() != text:
            # In place, for pods have this file and not its name.
            self._hosts.write_text(text)

    def _move(self, address: str, namespace: str | None) -> None:
        # Whom nobody answers is refused at once by the bridge, as kube-proxy does it.
        if address in self._at and self._at[address] in self._namespaces | {None}:
            run(*_place(self._at[address], "del", address), check=False)
        run(*_place(namespace, "add", address))
        run("ip", "neigh", "flush", "all", check=False)
        for name in self._namespaces:
            run("ip", "-n", name, "neigh", "flush", "all", check=False)
        self._at[address] = namespace


def _place(namespace: str | None, verb: str, address: str) -> list[str]:
    where = ["ip"] if namespace is None else ["ip", "-n", namespace]
    device = BRIDGE if namespace is None else "eth0"
    return [*where, "addr", verb, f"{address}/32", "dev", device]
