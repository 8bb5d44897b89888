"""`common.multi_layer_net`, `common.multi_layer_net_extend` and `common.trainer`: draws, gradients, bookkeeping."""

import numpy as np
import pytest

from dlcore.book.common.multi_layer_net import MultiLayerNet
from dlcore.book.common.multi_layer_net_extend import MultiLayerNetExtend
from dlcore.book.common.optimizer import SGD, RMSprop
from dlcore.book.common.trainer import Trainer
from kernels.errors import ArgumentError

SIZES = (6, [5, 4], 3)


def softmax(x):
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 6)), rng.integers(0, 3, 7)


@pytest.mark.parametrize("kind", [MultiLayerNet, MultiLayerNetExtend])
@pytest.mark.parametrize(
    ("given", "scales"),
    [
        ("relu", [np.sqrt(2 / 6), np.sqrt(2 / 5), np.sqrt(2 / 4)]),
        ("He", [np.sqrt(2 / 6), np.sqrt(2 / 5), np.sqrt(2 / 4)]),
        ("sigmoid", [np.sqrt(1 / 6), np.sqrt(1 / 5), np.sqrt(1 / 4)]),
        ("Xavier", [np.sqrt(1 / 6), np.sqrt(1 / 5), np.sqrt(1 / 4)]),
        (0.01, [0.01, 0.01, 0.01]),
    ],
)
def test_weights_are_drawn_as_the_book_draws_them(kind, given, scales):
    np.random.seed(0)
    network = kind(*SIZES, weight_init_std=given)
    following = np.random.rand()
    np.random.seed(0)
    for number, (shape, scale) in enumerate(zip([(6, 5), (5, 4), (4, 3)], scales, strict=True), start=1):
        np.testing.assert_allclose(network.params[f"W{number}"], scale * np.random.randn(*shape), rtol=1e-14)
        assert not network.params[f"b{number}"].any()
    assert np.random.rand() == following
    assert list(network.params) == ["W1", "b1", "W2", "b2", "W3", "b3"]


def test_names_and_aliases():
    network = MultiLayerNet(*SIZES)
    assert list(network.layers) == ["Affine1", "Activation_function1", "Affine2", "Activation_function2", "Affine3"]
    network = MultiLayerNetExtend(*SIZES, use_dropout=True, use_batchnorm=True, dropout_ration=0.2)
    assert list(network.layers)[:5] == ["Affine1", "BatchNorm1", "Activation_function1", "Dropout1", "Affine2"]
    assert list(network.layers)[-1] == "Affine3"
    assert network.layers["Dropout2"].dropout_ratio == 0.2
    assert set(network.params) == {*["W1", "b1", "W2", "b2", "W3", "b3", "gamma1", "beta1", "gamma2", "beta2"]}
    for number in (1, 2, 3):
        assert network.layers[f"Affine{number}"].W is network.params[f"W{number}"]
        assert network.layers[f"Affine{number}"].b is network.params[f"b{number}"]
    assert network.layers["BatchNorm2"].gamma is network.params["gamma2"]


@pytest.mark.parametrize("kind", [MultiLayerNet, MultiLayerNetExtend])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_loss_and_accuracy(kind, activation, samples):
    network, (x, t) = kind(*SIZES, activation=activation, weight_decay_lambda=0.3), samples
    hidden, p = x, network.params
    for number in (1, 2):
        hidden = hidden @ p[f"W{number}"] + p[f"b{number}"]
        hidden = np.maximum(hidden, 0) if activation == "relu" else 1 / (1 + np.exp(-hidden))
    scores = hidden @ p["W3"] + p["b3"]
    np.testing.assert_allclose(network.predict(x), scores, rtol=1e-12)
    decay = 0.5 * 0.3 * sum(np.sum(p[f"W{number}"] ** 2) for number in (1, 2, 3))
    expected = -np.mean(np.log(softmax(scores)[np.arange(7), t] + 1e-7)) + decay
    for targets in (t, np.eye(3)[t]):
        assert network.loss(x, targets) == pytest.approx(expected, rel=1e-12)
        assert network.accuracy(x, targets) == np.mean(scores.argmax(axis=1) == t)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MultiLayerNet(*SIZES, weight_decay_lambda=0.1),
        lambda: MultiLayerNet(*SIZES, activation="sigmoid"),
        lambda: MultiLayerNetExtend(*SIZES, use_batchnorm=True, weight_decay_lambda=0.1),
        lambda: MultiLayerNetExtend(*SIZES, use_batchnorm=True, activation="sigmoid"),
    ],
)
@pytest.mark.parametrize("one_hot", [False, True])
def test_gradients_agree_with_differences(make, one_hot, samples):
    np.random.seed(1)
    network, (x, t) = make(), samples
    t = np.eye(3)[t] if one_hot else t
    found, expected = network.gradient(x, t), network.numerical_gradient(x, t)
    assert set(found) == set(expected) == set(network.params)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def test_dropout_is_for_training_only(samples):
    network, (x, t) = MultiLayerNetExtend(*SIZES, use_dropout=True), samples
    assert network.loss(x, t) == network.loss(x, t)
    np.random.seed(2)
    network.gradient(x, t)
    following = np.random.rand()
    np.random.seed(2)
    np.random.rand(7, 5), np.random.rand(7, 4)  # one mask per hidden layer
    assert np.random.rand() == following


def test_unknown_names_are_told():
    with pytest.raises(ArgumentError, match="activation must be 'relu' or 'sigmoid', got 'tanh'"):
        MultiLayerNet(*SIZES, activation="tanh")
    with pytest.raises(ArgumentError, match=r"optimizer must be one of sgd, .*, got 'lion'"):
        Trainer(None, np.zeros((1, 2)), None, None, None, optimizer="lion")


class Recorder:
    """A network that only notes what the trainer asks of it."""

    def __init__(self):
        self.params, self.asked = {"w": np.zeros(1)}, []

    def gradient(self, x, t):
        self.asked.append(("gradient", x[:, 0].tolist(), t.tolist()))
        return {"w": np.ones(1)}

    def loss(self, x, t):
        self.asked.append(("loss", x[:, 0].tolist(), t.tolist()))
        return float(self.params["w"][0])

    def accuracy(self, x, t):
        self.asked.append(("accuracy", len(x), len(t)))
        return 0.5


def test_trainer(capsys):
    network = Recorder()
    x, t = np.arange(10.0)[:, None], np.arange(10)
    np.random.seed(0)
    trainer = Trainer(network, x, t, x[:6], t[:6], epochs=2, mini_batch_size=4, evaluate_sample_num_per_epoch=3)
    assert isinstance(trainer.optimizer, SGD)
    assert (trainer.optimizer.lr, trainer.iter_per_epoch, trainer.max_iter) == (0.01, 2.5, 5)
    trainer.train()
    np.random.seed(0)
    batches = [np.random.choice(10, 4).tolist() for _ in range(5)]
    assert [entry[2] for entry in network.asked if entry[0] == "gradient"] == batches
    assert [entry[2] for entry in network.asked if entry[0] == "loss"] == batches
    # 2.5 steps make an epoch, so only each second epoch begins with a step.
    assert [entry for entry in network.asked if entry[0] == "accuracy"] == [("accuracy", 3, 3)] * 2 + [
        ("accuracy", 6, 6)
    ]
    assert trainer.train_loss_list == pytest.approx([-0.01, -0.02, -0.03, -0.04, -0.05])
    assert trainer.train_acc_list == trainer.test_acc_list == [0.5]
    assert trainer.current_epoch == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["train loss:-0.01", "=== epoch:1, train acc:0.5, test acc:0.5 ==="]
    assert lines[-2:] == ["=============== Final Test Accuracy ===============", "test acc:0.5"]


@pytest.mark.parametrize("name", ["sgd", "Momentum", "nesterov", "AdaGrad", "rmsprop", "rmsprpo", "Adam"])
def test_trainer_is_quiet_where_asked_and_knows_every_optimizer(name, capsys):
    network, x, t = Recorder(), np.zeros((4, 1)), np.zeros(4, int)
    trainer = Trainer(
        network, x, t, x, t, epochs=1, mini_batch_size=4, optimizer=name, optimizer_param={"lr": 0.5}, verbose=False
    )
    trainer.train()
    assert trainer.optimizer.lr == 0.5
    assert isinstance(trainer.optimizer, RMSprop) == name.startswith("rms")
    assert network.params["w"] < 0
    assert capsys.readouterr().out == ""


def test_a_network_learns(samples):
    np.random.seed(0)
    x, t = np.repeat(samples[0], 10, axis=0), np.repeat(samples[1], 10)
    network = MultiLayerNetExtend(6, [20], 3, use_batchnorm=True)
    trainer = Trainer(
        network,
        x,
        t,
        x,
        t,
        epochs=30,
        mini_batch_size=35,
        optimizer="Adam",
        optimizer_param={"lr": 0.01},
        verbose=False,
    )
    trainer.train()
    assert trainer.test_acc_list[-1] == 1.0
    assert trainer.train_loss_list[-1] < 0.3 * trainer.train_loss_list[0]
