"""What the demo maps: kept apart, so that workers import NumPy for it and nothing more."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Classifier:
    """A small trained network: one hidden layer of tanh units."""

    hidden: tuple[Floats, Floats]
    output: tuple[Floats, Floats]

    def scores(self, images: Floats) -> Floats:
        """Ten scores for each image."""
        inner = np.tanh(images @ self.hidden[0] + self.hidden[1])
        scores: Floats = inner @ self.output[0] + self.output[1]
        return scores


def analyse(images: Floats, classifier: Classifier, pace: float) -> dict[str, Floats]:
    """What is mapped: the classifier's scores and the second moments of a block of images."""
    time.sleep(pace)
    return {"scores": classifier.scores(images), "moments": images.T @ images}
