"""Weight decay holds back overfitting.

300 images are too few for a network of seven layers: it soon knows them by heart, and does much worse on images that it
never saw. Weight decay adds λ/2 · |w|² to the loss, so that every step also shrinks the weights: the network fits the
training images less closely, and the gap to the test images narrows. Where λ is too large it reads both worse.

Chapter 6 of *Deep Learning from Scratch*.
"""

import math

import dlcore as dl
import support
from dlcore import backend, data, models, optim

options = support.options(__doc__)
everything, _, test = support.digits_or_mnist(options)
train = data.Subset(everything, range(300))
epochs = 20 if options.quick else 200

figure, (left, right) = support.subplots(1, 2, height=3.8)
rows = []
for weight_decay, color in ((0.0, support.RED), (0.03, support.GREEN), (0.1, support.BLUE)):
    backend.seed(options.seed)
    network = models.MLP(train.input_shape, 10, hidden=(100,) * 6)
    optimizer = optim.SGD(network.parameters(), lr=0.01, weight_decay=weight_decay)
    trainer = dl.Trainer(network, optimizer, progress=False)
    loader = data.DataLoader(train, batch_size=100, shuffle=True, seed=options.seed)
    seen, unseen, lengths = [], [], []
    for _ in range(epochs):
        trainer.fit(loader, epochs=1)
        seen.append(trainer.evaluate(train)["accuracy"])
        unseen.append(trainer.evaluate(test)["accuracy"])
        lengths.append(math.sqrt(sum((w.detach() ** 2).sum().item() for w in network.parameters())))
    rows.append([f"λ = {weight_decay}", seen[-1], unseen[-1], seen[-1] - unseen[-1], lengths[-1]])
    left.plot(range(1, epochs + 1), seen, "--", color=color, label=f"λ = {weight_decay}, training")
    left.plot(range(1, epochs + 1), unseen, color=color, label=f"λ = {weight_decay}, test")
    right.plot(range(1, epochs + 1), lengths, color=color, label=f"λ = {weight_decay}")

support.table(["weight decay", "training accuracy", "test accuracy", "gap", "length of the weights"], rows)
left.set_title("300 training images: accuracy")
left.set_ylabel("accuracy")
left.set_ylim(0, 1.03)
right.set_title("Length of all weights together")
right.set_ylabel("|w|")
right.set_ylim(bottom=0)
for each in (left, right):
    each.set_xlabel("epoch")
    each.legend(loc="lower right")
support.save(figure, options)
