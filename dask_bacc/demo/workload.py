"""What the demo maps: kept apart, so that workers import NumPy for it and nothing more."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from dask_bacc.coding._typing import FloatArray


@dataclass(frozen=True)
class Classifier:
    """A small trained network: one hidden layer of tanh units."""

    hidden: tuple[FloatArray, FloatArray]
    output: tuple[FloatArray, FloatArray]

    def scores(self, images: FloatArray) -> FloatArray:
        """Ten scores for each image."""
        inner = np.tanh(images @ self.hidden[0] + self.hidden[1])
        scores: FloatArray = inner @ self.output[0] + self.output[1]
        return scores


def analyse(images: FloatArray, classifier: Classifier, pace: float) -> dict[str, FloatArray]:
    """What is mapped: the classifier's scores and the second moments of a block of images."""
    time.sleep(pace)
    return {"scores": classifier.scores(images), "moments": images.T @ images}
