"""What initial weights do to the activations of five layers.

1,000 random inputs run through five untrained layers of 100 neurons. Each small histogram shows the activations of one
layer. Weights of 0 make all neurons the same, for ever. Too large ones push sigmoid and tanh to their ends, where the
gradient is 0, and make ReLU explode; too small ones let everything collapse into one value. Xavier's initial values
keep the spread for sigmoid and tanh, He's for ReLU.

Chapter 6 of *Deep Learning from Scratch*.
"""

import numpy as np

import dlcore as dl
import support
from dlcore import functional as F
from dlcore import nn

LAYERS, NEURONS = 5, 100

# Each activation with the range that its histograms show; what lies beyond counts in the last bar.
ACTIVATIONS = {"sigmoid": (F.sigmoid, 0, 1), "tanh": (F.tanh, -1, 1), "ReLU": (F.relu, 0, 5)}

INITIAL_VALUES = {
    "zero": nn.init.zeros_,
    "std 1": lambda weight: nn.init.normal_(weight, std=1.0),
    "std 0.01": lambda weight: nn.init.normal_(weight, std=0.01),
    "Xavier": nn.init.xavier_normal_,
    "He": nn.init.he_normal_,
}


def activations(activation, initialize, x: dl.Tensor) -> list[np.ndarray]:
    """The output of each layer, (1000, NEURONS)."""
    outputs = []
    for _ in range(LAYERS):
        layer = nn.Linear(NEURONS, NEURONS, bias=False)
        initialize(layer.weight)
        x = activation(layer(x))
        outputs.append(x.numpy())
    return outputs


options = support.options(__doc__)
inputs = dl.randn(1000, NEURONS)
figure, axes = support.subplots(len(ACTIVATIONS), len(INITIAL_VALUES), height=6.2, sharex=True, sharey="row")
rows = []
for row, (name, (activation, low, high)) in enumerate(ACTIVATIONS.items()):
    for each, (initial, initialize) in zip(axes[row], INITIAL_VALUES.items(), strict=True):
        with dl.no_grad():
            outputs = activations(activation, initialize, inputs)
        rows.append([f"{name}, {initial}", *(float(output.std()) for output in outputs)])
        for layer, output in enumerate(outputs, start=1):
            shown = output[output != 0] if output.any() else output  # ReLU's zeros, half of all, would dwarf the rest
            counts, edges = np.histogram(shown.clip(low, high), bins=31, range=(low, high))
            bars = layer - 0.4 + 0.8 * counts / counts.max()
            each.stairs(bars, edges, baseline=layer - 0.4, orientation="horizontal", fill=True, color=support.BLUE)
        each.set_title(f"{name}, {initial}", fontsize=9)
        each.set_xticks(range(1, LAYERS + 1))
        each.grid(visible=False)
    axes[row, 0].set_ylabel("ReLU activation, if not 0" if name == "ReLU" else f"{name} activation")
for each in axes[-1]:
    each.set_xlabel("layer")
figure.suptitle("How often each activation occurs, layer by layer, before any training")

support.table(["standard deviation of", *(f"layer {layer}" for layer in range(1, LAYERS + 1))], rows)
support.save(figure, options)
