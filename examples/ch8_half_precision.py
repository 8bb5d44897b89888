"""A trained network needs few bits.

DeepConvNet is trained in float32, whose numbers have 23 binary places. Then everything that it stores while it reads
digits, weights, images and what passes from layer to layer, is rounded to fewer places; only the sums inside a layer
stay in float32. With the 10 places of float16 nothing is lost, nor with the 7 of bfloat16. Half the memory is free.

Chapter 8 of *Deep Learning from Scratch*.
"""

from collections.abc import Callable

import numpy as np

import dlcore as dl
import support
from dlcore import backend, data, models, nn, optim

PLACES = (23, 16, 10, 8, 7, 6, 5, 4, 3, 2, 1, 0)


def rounded(x: np.ndarray, places: int) -> np.ndarray:
    """Float32 numbers, each to the nearest that has so many binary places behind its leading 1."""
    dropped = 23 - places
    words = x.view(np.uint32) + np.uint32((1 << dropped) >> 1)
    return (words >> dropped << dropped).view(np.float32)


def accuracy(store: Callable[[np.ndarray], np.ndarray]) -> float:
    """The accuracy on the test images where every array goes through `store`."""
    stored = models.DeepConvNet(train.input_shape, num_classes=10).eval()
    stored.load_state_dict({name: store(backend.to_numpy(array)) for name, array in network.state_dict().items()})
    right = 0
    with dl.no_grad():
        for x, labels in data.DataLoader(test, batch_size=500):
            for layer in [nn.Identity(), *stored]:
                x = dl.tensor(store(layer(x).numpy()))
            right += (x.argmax(axis=1) == labels).sum().item()
    return right / len(test)


options = support.options(__doc__)
train, _, test = support.digits_or_mnist(options)
network = models.DeepConvNet(train.input_shape, num_classes=10)
trainer = dl.Trainer(network, optim.Adam(network.parameters()))
trainer.fit(data.DataLoader(train, batch_size=100, shuffle=True), epochs=8 if options.quick else 4)

accuracies = [accuracy(lambda x, places=places: rounded(x, places)) for places in PLACES]
# float16 has a smaller range besides: 0.00000006 to 65504. bfloat16 has the range of float32.
half = accuracy(lambda x: x.astype(np.float16).astype(np.float32))
count = sum(parameter.size for parameter in network.parameters())
names = {23: "float32", 10: "10 places of float16", 7: "7 places of bfloat16"}
support.table(
    ["stored numbers", "test accuracy", "weights, kB"],
    [
        *(
            [names.get(places, f"{places} places"), value, (9 + places) * count / 8000]
            for places, value in zip(PLACES, accuracies, strict=True)
        ),
        ["float16 itself", half, 16 * count / 8000],
    ],
)

figure, axes = support.subplots()
axes.plot(PLACES, accuracies, marker="o", markersize=5, label="rounded to so many places")
axes.plot(10, half, marker="x", markersize=9, color=support.RED, linestyle="", label=f"float16 itself: {half:.4f}")
for places, name in ((23, "float32"), (10, "float16"), (7, "bfloat16")):
    axes.axvline(places, color=support.GREY, linestyle=":", linewidth=1)
    axes.annotate(name, (places, 0.5), (-4, 0), "data", "offset points", rotation=90, ha="right", color=support.GREY)
axes.set_xlim(24, -1)
axes.set_ylim(0, 1.03)
axes.set_xlabel("binary places of each stored number")
axes.set_ylabel("test accuracy")
axes.set_title("DeepConvNet, trained in float32, with everything that it stores rounded")
axes.legend(loc="lower left")
support.save(figure, options)
