"""A network with given weights reads handwritten digits, one image at a time and in batches.

The answers are the same, the time is not: a batch is one matrix product per layer, where single images are many small
ones. The weights of 64-50-100-10 neurons lie beside this file; without it they are learned and saved there again.

Chapter 3 of *Deep Learning from Scratch*.
"""

import time
from pathlib import Path

import numpy as np

import dlcore as dl
import support
from dlcore import data, models, optim

options = support.options(__doc__)
train, validation, test = data.digits()
network = models.MLP(test.input_shape, test.num_classes, hidden=(50, 100))

weights = Path(__file__).with_suffix(".safetensors")
if not weights.exists():
    trainer = dl.Trainer(network, optim.Adam(network.parameters()))
    trainer.fit(data.DataLoader(train, batch_size=50, shuffle=True), epochs=40, validation=validation)
    dl.save(network, weights)
dl.load(network, weights)


def probabilities(batch_size: int) -> tuple[np.ndarray, float]:
    """What the network says to all test images, in batches of so many, and the seconds it took."""
    images = dl.tensor(test.x)
    start = time.perf_counter()
    with dl.no_grad():
        parts = [network(images[i : i + batch_size]).softmax() for i in range(0, len(test), batch_size)]
        result = dl.concat(parts).numpy()
    return result, time.perf_counter() - start


network.eval()
sizes = [1, 3, 10, 30, 100, 300]
for size in sizes:
    probabilities(size)  # the first run compiles
answers, rows = {}, []
for size in sizes:
    tries = [probabilities(size) for _ in range(5 if options.quick else 50)]
    answers[size], seconds = tries[0][0], min(seconds for _, seconds in tries)
    right = (answers[size].argmax(axis=1) == test.y).mean()
    rows.append((size, f"{right:.4f}", f"{len(test) / seconds:,.0f}"))
support.table(["images at once", "accuracy", "images per second"], [(str(size), *others) for size, *others in rows])
print(f"\nAnswers differ by at most {max(abs(answers[size] - answers[1]).max() for size in sizes):.1e}")

guess, sure = answers[300].argmax(axis=1), answers[300].max(axis=1)
figure, (left, right) = support.subplots(1, 2, height=3.6, width_ratios=[3, 2])
support.bare(left)
sheet = np.ones((4 * 11, 6 * 10))
for place, number in enumerate(np.argsort(guess == test.y, kind="stable")[:24]):  # mistakes first
    y, x = 11 * (place // 6) + 3, 10 * (place % 6) + 1
    sheet[y : y + 8, x : x + 8] = 1 - test.x[number, 0]
    colour = support.BLACK if guess[number] == test.y[number] else support.RED
    left.text(x + 3.5, y - 0.8, f"{guess[number]}: {sure[number]:.0%}", ha="center", color=colour, fontsize=8)
left.imshow(sheet)
left.set_title(f"Answers, mistakes in red: {sum(guess != test.y)} of {len(test)}")
right.loglog(sizes, [float(row[2].replace(",", "")) for row in rows], "o-")
right.set(title="Speed", xlabel="images at once", ylabel="images per second", xticks=sizes, xticklabels=sizes)
right.minorticks_off()
support.save(figure, options)
