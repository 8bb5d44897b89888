"""Three ways to look for good hyper-parameters.

Learning rate and weight decay are chosen by the accuracy on validation images, never by that on test images, which
would then say nothing new. A grid tries few values of each. Random points try a new value of both every time.
Bayesian search (Optuna's tree-structured Parzen estimator) learns from the trials so far where it pays to look.

Chapter 6 of *Deep Learning from Scratch*.
"""

import matplotlib as mpl
import numpy as np

import dlcore as dl
import support
from dlcore import backend, data, models, optim
from dlcore.train import evaluate

try:
    import optuna
except ModuleNotFoundError:
    optuna = None

RATES, DECAYS = (1e-3, 10.0), (1e-6, 1.0)  # both are searched on a logarithmic scale

options = support.options(__doc__)
everything, validation, test = support.digits_or_mnist(options)
train, validation = data.Subset(everything, range(500)), data.Subset(validation, range(300))
side, epochs = (3, 5) if options.quick else (6, 20)
trials = side * side


def learn(rate: float, decay: float) -> models.MLP:
    """A network trained with these hyper-parameters, always from the same initial values."""
    backend.seed(options.seed)
    network = models.MLP(train.input_shape, 10, hidden=(100, 100))
    trainer = dl.Trainer(network, optim.SGD(network.parameters(), lr=rate, weight_decay=decay), progress=False)
    trainer.fit(data.DataLoader(train, batch_size=100, shuffle=True), epochs=epochs)
    return network


def score(rate: float, decay: float) -> float:
    """The accuracy on the validation images; 0 where training diverges."""
    try:
        return evaluate(learn(rate, decay), validation)["accuracy"]
    except dl.TrainingError:
        return 0.0


random = np.random.default_rng(options.seed)
points = {
    "grid": [(rate, decay) for rate in np.geomspace(*RATES, side) for decay in np.geomspace(*DECAYS, side)],
    "random": np.exp(random.uniform(*np.log([RATES, DECAYS]).T, size=(trials, 2))).tolist(),
}
found = {name: [(rate, decay, score(rate, decay)) for rate, decay in each] for name, each in points.items()}
if optuna:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=options.seed))
    study.optimize(
        lambda trial: score(
            trial.suggest_float("rate", *RATES, log=True), trial.suggest_float("decay", *DECAYS, log=True)
        ),
        n_trials=trials,
    )
    found["Bayesian"] = [(trial.params["rate"], trial.params["decay"], trial.value) for trial in study.trials]
else:
    print("Bayesian search is left out: Optuna is not installed (pip install optuna, or dlcore[tune]).")

best = {name: max(results, key=lambda result: result[2]) for name, results in found.items()}
headings = ["search", "learning rate", "weight decay", "validation", "test", "mean of all trials"]
rows = []
for name, (rate, decay, accuracy) in best.items():
    mean = float(np.mean([result[2] for result in found[name]]))
    rows.append([name, rate, decay, accuracy, evaluate(learn(rate, decay), test)["accuracy"], mean])
support.table(headings, rows)

figure, axes = support.subplots(1, len(found), height=3.4, sharex=True, sharey=True)
for each, (name, results) in zip(axes, found.items(), strict=True):
    rates, decays, accuracies = zip(*results, strict=True)
    dots = each.scatter(rates, decays, c=accuracies, cmap="viridis", norm=mpl.colors.Normalize(0, 1), s=36)
    each.plot(*best[name][:2], marker="o", markersize=12, markeredgecolor=support.RED, fillstyle="none")
    each.set_title(f"{name}: best of {trials}: {best[name][2]:.3f}")
    each.set_xscale("log")
    each.set_yscale("log")
    each.set_xlabel("learning rate")
axes[0].set_ylabel("weight decay")
figure.colorbar(dots, ax=axes, label="validation accuracy")
support.save(figure, options)
