"""The networks that the benchmarks compile: LeNet-5 and ResNet-20, with their data."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache

import numpy as np
from data import ASSETS, cifar10, digits, folder
from numpy.typing import NDArray

import intaglio
from intaglio.ir.evaluate import evaluate_batches
from intaglio.ir.graph import Graph

CALIBRATION = 1024
Reals = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Case:
    """A float network with test images, labels and calibration images from the training set."""

    name: str
    graph: Graph
    images: Reals
    labels: NDArray[np.integer]
    calibration: Reals

    def compile(self, **options: object) -> intaglio.Network:
        """The network in integers, calibrated on training images."""
        return intaglio.compile(self.graph, self.calibration, **options)

    def float_accuracy(self) -> float:
        """Percent of the test images that the float network gets right."""
        (output,) = evaluate_batches(self.graph, {self.graph.inputs[0].name: self.images}).values()
        return accuracy(output, self.labels)


def accuracy(outputs: NDArray[np.generic], labels: NDArray[np.integer]) -> float:
    """Percent of rows whose greatest output is at the label."""
    return float(np.mean(np.asarray(outputs).argmax(axis=1) == labels) * 100)


@cache
def lenet(dataset: str) -> Case:
    """LeNet-5 as shipped; ``dataset`` is ``mnist`` or ``fashion_mnist``."""
    path = ASSETS / f"lenet5-{dataset.replace('_', '-')}.onnx"
    images, labels = digits(dataset, "t10k")
    calibration = digits(dataset, "train")[0][:CALIBRATION]
    return Case(f"LeNet-5 {dataset}", intaglio.import_model(path), images, labels, calibration)


@cache
def resnet20() -> Case:
    """ResNet-20 with published weights, on normalised CIFAR-10 images."""
    import torch

    module = resnet_module()
    images, labels = cifar10("test")
    calibration = normalised(cifar10("train1")[0][:CALIBRATION])
    graph = intaglio.import_model(module, (torch.zeros(1, 3, 32, 32),))
    return Case("ResNet-20 cifar10", graph, normalised(images), labels, calibration)


def resnet_module() -> object:
    """The torch module of ResNet-20 with published weights, in eval mode."""
    sys.path.insert(0, str(ASSETS.parent))
    from resnet_cifar import load

    return load(folder() / "models" / "cifar_resnet" / "resnet20-12fca82f.th").eval()


def normalised(images: Reals) -> Reals:
    """Images in 0..1, with the mean and deviation that the published weights expect."""
    mean = np.array([0.485, 0.456, 0.406], dtype=np.float32).reshape(3, 1, 1)
    deviation = np.array([0.229, 0.224, 0.225], dtype=np.float32).reshape(3, 1, 1)
    return (images - mean) / deviation
