"""What the first layer of a convolutional network looks for.

Before training its filters are noise. Training turns them into detectors of edges and blobs, in directions that strokes
of digits have: white weights count for, black ones against. Run over a photograph, which is nothing like a digit, each
filter still brings out the edges that it likes. (The photograph, of Grace Hopper, is in the public domain; it comes
with matplotlib, from https://commons.wikimedia.org/wiki/File:Grace_Hopper.jpg.)

Chapter 7 of *Deep Learning from Scratch*.
"""

import matplotlib as mpl
import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

import dlcore as dl
import support
from dlcore import data, models, nn, optim
from dlcore import functional as F


def tiles(filters: np.ndarray, columns: int = 6) -> np.ma.MaskedArray:
    """Filters of shape (30, 1, 5, 5) as one image, with gaps between them."""
    count, _, height, width = filters.shape
    image = np.full((count // columns * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for number, picture in enumerate(filters[:, 0]):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        image[top : top + height, left : left + width] = picture
    return np.ma.masked_invalid(image)


options = support.options(__doc__)
train, _, test = support.digits_or_mnist(options)
network = models.SimpleConvNet(train.input_shape, num_classes=10)
nn.init.normal_(network.conv1.weight, std=0.01)  # He's values are larger: one would still see them after training
before = network.conv1.weight.numpy()
trainer = dl.Trainer(network, optim.Adam(network.parameters()))
trainer.fit(data.DataLoader(train, batch_size=100, shuffle=True), epochs=10 if options.quick else 5)
after = network.conv1.weight.numpy()
print(f"\nTest accuracy: {trainer.evaluate(test)['accuracy']:.4f}")

with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as file:
    photograph = np.array(file.convert("L").resize((205, 240)), dtype=np.float32) / 255
with dl.no_grad():
    responses = F.conv2d(dl.tensor(photograph[None, None]), network.conv1.weight).numpy()[0]
greys = mpl.colormaps["gray"].resampled(24)  # so many are enough, and keep the file small
strongest = np.argsort(-responses.std(axis=(1, 2)))[:7]

support.table(
    ["filter", "std of its weights before", "after training", "std of its response to the photograph"],
    [[number + 1, *(float(x[number].std()) for x in (before, after, responses))] for number in strongest],
)

figure, axes = support.subplots(4, 4, height=7.7)
grid = axes[0, 0].get_gridspec()
for each in axes[:2].flat:
    each.remove()
halves = [figure.add_subplot(grid[:2, :2]), figure.add_subplot(grid[:2, 2:])]
for each, filters, title in zip(halves, (before, after), ("before training", "after training"), strict=True):
    each.imshow(tiles(filters), vmin=-3 * filters.std(), vmax=3 * filters.std())
    each.set_title(f"The 30 filters {title} (std {filters.std():.2f})")
for each, number in zip(axes[2:].flat, [None, *strongest], strict=True):
    picture = photograph if number is None else responses[number]
    each.imshow(picture, cmap=greys, interpolation="nearest")
    each.set_title("A photograph" if number is None else f"through filter {number + 1}", fontsize=9)
    if number is not None:
        inset = each.inset_axes((0.0, 0.0, 0.24, 0.24))
        inset.imshow(after[number, 0], vmin=-3 * after.std(), vmax=3 * after.std())
        support.bare(inset)
support.bare(*halves, *axes[2:].flat)
support.save(figure, options)
