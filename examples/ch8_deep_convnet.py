"""A deep convolutional network, and the digits that it gets wrong.

Six layers of small 3×3 filters, pooled after each second one, then two affine layers with dropout. On MNIST it misreads
some 60 of 10,000 images. They are shown here, those it was surest of first: many of them would puzzle a reader, too.

Chapter 8 of *Deep Learning from Scratch*.
"""

import numpy as np

import dlcore as dl
import support
from dlcore import data, models, optim
from dlcore import functional as F

COLUMNS, MOST = 10, 70  # pictures side by side, and altogether

options = support.options(__doc__)
train, validation, test = support.digits_or_mnist(options)
epochs, settling = (8, 2) if options.quick else (20, 5)

network = models.DeepConvNet(train.input_shape, num_classes=10)
optimizer = optim.Adam(network.parameters(), lr=0.001)
trainer = dl.Trainer(network, optimizer)
loader = data.DataLoader(train, batch_size=100, shuffle=True)
trainer.fit(loader, epochs=epochs - settling, validation=validation)
optimizer.lr /= 10  # for the last epochs, so that the weights settle
trainer.fit(loader, epochs=settling, validation=validation)

probabilities = F.softmax(dl.asarray(trainer.predict(test))).numpy()
guesses, sureness = probabilities.argmax(axis=1), probabilities.max(axis=1)
wrong = np.flatnonzero(guesses != test.y)
wrong = wrong[np.argsort(-sureness[wrong])]
accuracy = 1 - len(wrong) / len(test)
print(f"\nTest accuracy after {epochs} epochs: {accuracy:.4f}; {len(wrong)} of {len(test):,} images misread")

support.table(
    ["the surest mistakes: image", "true", "read as", "probability"],
    [[number, test.y[number], guesses[number], float(sureness[number])] for number in wrong[:10]],
)

shown = wrong[:MOST]
lines = max(-(-len(shown) // COLUMNS), 1)
figure, axes = support.subplots(lines, COLUMNS, height=0.5 + 0.92 * lines, squeeze=False)
support.bare(*axes.flat)
for each, number in zip(axes.flat, shown, strict=False):
    each.imshow(test.x[number, 0])
    each.set_title(f"{test.y[number]} → {guesses[number]}", fontsize=9, pad=2)
which = "All" if len(shown) == len(wrong) else f"The {MOST} surest of"
figure.suptitle(f"{which} {len(wrong)} mistakes in {len(test):,} images: true digit → what the network read")
support.save(figure, options)
