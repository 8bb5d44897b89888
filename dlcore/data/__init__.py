"""Datasets, and the loader that cuts them into batches."""

from dlcore.data.dataset import ArrayDataset, Dataset, Subset, random_split
from dlcore.data.digits import digits
from dlcore.data.loader import DataLoader
from dlcore.data.mnist import mnist

__all__ = ["ArrayDataset", "DataLoader", "Dataset", "Subset", "digits", "mnist", "random_split"]
