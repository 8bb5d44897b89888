"""Datasets, transforms of their images, and the loader that cuts them into batches."""

from dlcore.data import transforms
from dlcore.data.cifar import cifar10
from dlcore.data.dataset import ArrayDataset, Dataset, Subset, random_split
from dlcore.data.digits import digits
from dlcore.data.image_folder import image_folder
from dlcore.data.loader import DataLoader
from dlcore.data.mnist import fashion_mnist, mnist
from dlcore.data.npz import npz
from dlcore.data.transforms import (
    Compose,
    Normalize,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomShift,
    Transform,
)

__all__ = [
    "ArrayDataset",
    "Compose",
    "DataLoader",
    "Dataset",
    "Normalize",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomShift",
    "Subset",
    "Transform",
    "cifar10",
    "digits",
    "fashion_mnist",
    "image_folder",
    "mnist",
    "npz",
    "random_split",
    "transforms",
]
