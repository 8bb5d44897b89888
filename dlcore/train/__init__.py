"""Training: the Trainer, its callbacks and metrics, and the run folders of the command line."""

from dlcore.train.callbacks import Callback, EarlyStopping, MetricsFile, SaveWeights, Scheduled
from dlcore.train.checkpoint import Checkpoints
from dlcore.train.evaluation import evaluate, predict
from dlcore.train.history import History
from dlcore.train.metrics import F1, Accuracy, ConfusionMatrix, Precision, Recall, TopK
from dlcore.train.progress import Progress
from dlcore.train.tally import Metric
from dlcore.train.trainer import Trainer

__all__ = [
    "F1",
    "Accuracy",
    "Callback",
    "Checkpoints",
    "ConfusionMatrix",
    "EarlyStopping",
    "History",
    "Metric",
    "MetricsFile",
    "Precision",
    "Progress",
    "Recall",
    "SaveWeights",
    "Scheduled",
    "TopK",
    "Trainer",
    "evaluate",
    "predict",
]
