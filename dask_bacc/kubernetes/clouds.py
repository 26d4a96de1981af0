"""How clouds mark spot machines, and how long before they take them they say so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cloud:
    """What sets spot machines of a cloud apart.

    Parameters
    ----------
    label, value : str
        Of nodes that are spot machines.
    notice : int
        Seconds that pods have from SIGTERM on.
    """

    label: str
    value: str
    notice: int


#: Of the 30 s that Google gives the last 15 are for the system's own pods
#: (docs.cloud.google.com/kubernetes-engine, "Spot VMs"); Amazon gives two minutes, Azure 30 s, and
#: as long as it takes until a node is drained is to be left of them.
CLOUDS = {
    "gke": Cloud("cloud.google.com/gke-spot", "true", notice=15),
    "eks": Cloud("eks.amazonaws.com/capacityType", "SPOT", notice=100),
    "aks": Cloud("kubernetes.azure.com/scalesetpriority", "spot", notice=25),
}
