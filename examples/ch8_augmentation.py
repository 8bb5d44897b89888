"""More training images out of few: turn them, shift them.

A digit that is turned by some degrees or shifted by two pixels is still that digit. So each time an image comes up in
training it is varied a little, at random, and the network never sees quite the same picture twice. The fewer images
there are, the more this gains on images that it never saw.

Chapter 8 of *Deep Learning from Scratch*.
"""

import numpy as np
from PIL import Image

import dlcore as dl
import support
from dlcore import backend, data, models, optim

DEGREES, SHIFT = 12, 0.07  # at most; the shift is a part of the width


class Varied(data.Dataset):
    """A dataset of grey images, each turned and shifted at random every time it is read."""

    def __init__(self, dataset: data.Dataset, seed: int) -> None:
        self.dataset = dataset
        self.random = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index):
        images, labels = self.dataset[index]
        return np.stack([self.vary(image[0])[np.newaxis] for image in images]), labels

    def vary(self, image: np.ndarray) -> np.ndarray:
        """One image (H, W), turned and shifted."""
        angle = self.random.uniform(-DEGREES, DEGREES)
        shift = self.random.uniform(-SHIFT, SHIFT, size=2) * len(image)
        return np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR, translate=tuple(shift)))


def learn(train: data.Dataset) -> float:
    """The accuracy on the test images of a network trained on these, with the same number of updates for all."""
    backend.seed(options.seed)
    network = models.SimpleConvNet(test.input_shape, num_classes=10)
    trainer = dl.Trainer(network, optim.Adam(network.parameters()), progress=False)
    loader = data.DataLoader(train, batch_size=50, shuffle=True)
    trainer.fit(loader, epochs=updates // len(loader))
    return trainer.evaluate(test)["accuracy"]


options = support.options(__doc__)
everything, _, test = support.digits_or_mnist(options)
updates = 80 if options.quick else 1600
sizes = (100, 400) if options.quick else (100, 200, 400, 800, 1600)

rows = []
for size in sizes:
    few = data.Subset(everything, range(size))
    rows.append((size, learn(few), learn(Varied(few, options.seed))))
support.table(["training images", "accuracy as they are", "turned and shifted"], rows)

figure, axes = support.subplots(2, 10, height=5, gridspec_kw={"height_ratios": [1, 4]})
grid = axes[0, 0].get_gridspec()
for each in axes[1]:
    each.remove()
support.bare(*axes[0])
varied, image = Varied(everything, options.seed), everything[0][0][0]
for number, each in enumerate(axes[0]):
    each.imshow(varied.vary(image) if number else image, vmin=0, vmax=1)
    each.set_title("" if number else "original", fontsize=9)
below = figure.add_subplot(grid[1, :])
below.plot(sizes, [row[2] for row in rows], marker="o", label="turned and shifted")
below.plot(sizes, [row[1] for row in rows], "--", marker="o", label="as they are")
below.set_xscale("log")
below.set_xticks(sizes, [str(size) for size in sizes])
below.minorticks_off()
below.set_xlabel("training images")
below.set_ylabel("test accuracy")
below.legend(loc="lower right")
below.set_title(f"SimpleConvNet after {updates} updates")
figure.suptitle(f"One digit, varied: up to {DEGREES}° and {SHIFT:.0%} of the width")
support.save(figure, options)
