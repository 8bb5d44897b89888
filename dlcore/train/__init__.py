"""Training: the Trainer, its callbacks and metrics, and the run folders of the command line."""

from dlcore.train.callbacks import Callback, EarlyStopping, MetricsFile, SaveWeights
from dlcore.train.evaluation import evaluate, predict
from dlcore.train.history import History
from dlcore.train.metrics import Accuracy, ConfusionMatrix, Metric
from dlcore.train.progress import Progress
from dlcore.train.trainer import Trainer

__all__ = [
    "Accuracy",
    "Callback",
    "ConfusionMatrix",
    "EarlyStopping",
    "History",
    "Metric",
    "MetricsFile",
    "Progress",
    "SaveWeights",
    "Trainer",
    "evaluate",
    "predict",
]
