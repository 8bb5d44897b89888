"""Scripts in the book's style, run as a reader runs them: `python -m dlcore.book SCRIPT` and `dlcore book SCRIPT`."""

import json
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcore.book import figures, runner
from dlcore.cli import main
from dlcore.train.report import can_draw
from kernels.errors import ArgumentError, BackendUnavailableError, MissingFileError

draws = pytest.mark.skipif(not can_draw(), reason="matplotlib is not installed (pip install 'dlcore[plot]')")

WHERE = """
    import json
    from common.functions import sigmoid
    from helper import twice
    print(json.dumps([sys.argv, os.getcwd(), __name__, __file__, sys.path[0], twice(4), sigmoid(0.0)]))
    sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
"""

TWO_LAYER_NET = """
    from common.functions import *
    from common.gradient import numerical_gradient

    class TwoLayerNet:
        def __init__(self, input_size, hidden_size, output_size, weight_init_std=0.01):
            self.params = {}
            self.params['W1'] = weight_init_std * np.random.randn(input_size, hidden_size)
            self.params['b1'] = np.zeros(hidden_size)
            self.params['W2'] = weight_init_std * np.random.randn(hidden_size, output_size)
            self.params['b2'] = np.zeros(output_size)

        def predict(self, x):
            z1 = sigmoid(np.dot(x, self.params['W1']) + self.params['b1'])
            return softmax(np.dot(z1, self.params['W2']) + self.params['b2'])

        def loss(self, x, t):
            return cross_entropy_error(self.predict(x), t)

        def accuracy(self, x, t):
            return np.mean(np.argmax(self.predict(x), axis=1) == np.argmax(t, axis=1))

        def numerical_gradient(self, x, t):
            loss_W = lambda W: self.loss(x, t)
            return {key: numerical_gradient(loss_W, self.params[key]) for key in self.params}

        def gradient(self, x, t):
            z1 = sigmoid(np.dot(x, self.params['W1']) + self.params['b1'])
            dy = (self.predict(x) - t) / x.shape[0]
            da1 = np.dot(dy, self.params['W2'].T)
            dz1 = sigmoid_grad(np.dot(x, self.params['W1']) + self.params['b1']) * da1
            return {'W2': np.dot(z1.T, dy), 'b2': np.sum(dy, axis=0),
                    'W1': np.dot(x.T, dz1), 'b1': np.sum(dz1, axis=0)}
"""

TRAIN = """
    import matplotlib.pyplot as plt
    from two_layer_net import TwoLayerNet
    np.random.seed(0)
    x = np.random.rand(60, 8)
    t = np.eye(3)[np.argmax(x[:, :3], axis=1)]
    network = TwoLayerNet(8, 6, 3, weight_init_std=0.5)
    grads, expected = network.gradient(x, t), network.numerical_gradient(x, t)
    print(max(np.abs(grads[key] - expected[key]).max() for key in grads))
    losses, accuracies = [], []
    for i in range(300):
        batch = np.random.choice(60, 30)
        grad = network.gradient(x[batch], t[batch])
        for key in ('W1', 'b1', 'W2', 'b2'):
            network.params[key] -= 1.0 * grad[key]
        losses.append(network.loss(x, t))
        accuracies.append(network.accuracy(x, t))
    print(losses[0], losses[-1], accuracies[-1])
    plt.plot(losses, label='loss')
    plt.legend(loc='lower right')
    plt.show()
    plt.plot(accuracies)
    plt.show()
"""

CONVNET = """
    import pickle
    from collections import OrderedDict
    from common.layers import *
    from common.gradient import numerical_gradient

    class SimpleConvNet:
        def __init__(self, input_dim=(1, 10, 10), conv_param={'filter_num': 4, 'filter_size': 3, 'pad': 0, 'stride': 1},
                     hidden_size=20, output_size=3, weight_init_std=0.1):
            self.params = {}
            self.params['W1'] = weight_init_std * np.random.randn(4, input_dim[0], 3, 3)
            self.params['b1'] = np.zeros(4)
            self.params['W2'] = weight_init_std * np.random.randn(4 * 4 * 4, hidden_size)
            self.params['b2'] = np.zeros(hidden_size)
            self.params['W3'] = weight_init_std * np.random.randn(hidden_size, output_size)
            self.params['b3'] = np.zeros(output_size)
            self.layers = OrderedDict()
            self.layers['Conv1'] = Convolution(self.params['W1'], self.params['b1'],
                                               conv_param['stride'], conv_param['pad'])
            self.layers['Relu1'] = Relu()
            self.layers['Pool1'] = Pooling(pool_h=2, pool_w=2, stride=2)
            self.layers['Affine1'] = Affine(self.params['W2'], self.params['b2'])
            self.layers['Relu2'] = Relu()
            self.layers['Affine2'] = Affine(self.params['W3'], self.params['b3'])
            self.last_layer = SoftmaxWithLoss()

        def predict(self, x):
            for layer in self.layers.values():
                x = layer.forward(x)
            return x

        def loss(self, x, t):
            return self.last_layer.forward(self.predict(x), t)

        def accuracy(self, x, t):
            return np.mean(np.argmax(self.predict(x), axis=1) == t)

        def numerical_gradient(self, x, t):
            loss_w = lambda w: self.loss(x, t)
            return {key: numerical_gradient(loss_w, self.params[key]) for key in self.params}

        def gradient(self, x, t):
            self.loss(x, t)
            dout = self.last_layer.backward(1)
            layers = list(self.layers.values())
            layers.reverse()
            for layer in layers:
                dout = layer.backward(dout)
            grads = {}
            for i, key in enumerate(('Conv1', 'Affine1', 'Affine2')):
                grads['W' + str(i + 1)] = self.layers[key].dW
                grads['b' + str(i + 1)] = self.layers[key].db
            return grads

        def load_params(self, file_name):
            with open(file_name, 'rb') as f:
                params = pickle.load(f)
            for key, val in params.items():
                self.params[key] = val
            for i, key in enumerate(('Conv1', 'Affine1', 'Affine2')):
                self.layers[key].W = self.params['W' + str(i + 1)]
                self.layers[key].b = self.params['b' + str(i + 1)]
"""

TRAIN_CONVNET = """
    import pickle
    import matplotlib.pyplot as plt
    from simple_convnet import SimpleConvNet
    from common.trainer import Trainer
    np.random.seed(1)
    x = np.random.rand(90, 1, 10, 10).astype(np.float32)
    t = np.arange(90) % 3
    x[t == 0, :, :4] += 1
    x[t == 1, :, 6:] += 1
    network = SimpleConvNet()
    grads, expected = network.gradient(x[:5], t[:5]), network.numerical_gradient(x[:5], t[:5])
    print(max(np.abs(grads[key] - expected[key]).max() for key in grads))
    trainer = Trainer(network, x, t, x, t, epochs=20, mini_batch_size=30, optimizer='Adam',
                      optimizer_param={'lr': 0.01}, evaluate_sample_num_per_epoch=50)
    trainer.train()
    print(trainer.test_acc_list[-1])
    with open('params.pkl', 'wb') as f:
        pickle.dump(network.params, f)
    fresh = SimpleConvNet()
    fresh.load_params('params.pkl')
    print(np.array_equal(fresh.predict(x), network.predict(x)))
    x = x.astype(np.float16)
    for param in fresh.params.values():
        param[...] = param.astype(np.float16)
    print(fresh.accuracy(x, t))
    fresh.layers['Conv1'].W = fresh.params['W1'].astype(np.float16)
    fresh.layers['Conv1'].b = fresh.params['b1'].astype(np.float16)
    print(fresh.layers['Conv1'].forward(x).dtype)
"""

OPTIMIZERS = """
    from collections import OrderedDict
    from common.optimizer import *
    optimizers = OrderedDict([('SGD', SGD(lr=0.95)), ('Momentum', Momentum(lr=0.1)), ('AdaGrad', AdaGrad(lr=1.5)),
                              ('Adam', Adam(lr=0.3))])
    for key, optimizer in optimizers.items():
        params, grads = {'x': -7.0, 'y': 2.0}, {'x': 0, 'y': 0}
        for i in range(30):
            grads['x'], grads['y'] = params['x'] / 10.0, 2.0 * params['y']
            optimizer.update(params, grads)
        print(key, float(params['x']), float(params['y']))
"""

WEIGHTS = """
    import pickle
    from common.functions import sigmoid, softmax
    with open('sample_weight.pkl', 'rb') as f:
        network = pickle.load(f)
    x = np.arange(4)
    a = softmax(np.dot(sigmoid(np.dot(x, network['W1']) + network['b1']), network['W2']) + network['b2'])
    print(np.argmax(a), a.dtype, a.shape)
"""


def test_a_script_is_at_home(repository):
    script = repository.write("ch03/where.py", WHERE)
    repository.write("ch03/helper.py", "twice = lambda x: 2 * x")
    process = repository.run("book/ch03/where.py", "7", "--flag", "x")
    assert process.returncode == 7
    home = str(script.parent)
    expected = [[str(script), "7", "--flag", "x"], home, "__main__", str(script), home, 8, 0.5]
    assert process.stdout == json.dumps(expected) + "\n"
    assert process.stderr == ""


def test_the_same_in_this_process(repository, capsys, monkeypatch):
    script = repository.write("ch03/where.py", WHERE)
    repository.write("ch03/helper.py", "twice = lambda x: 2 * x")
    monkeypatch.chdir(repository.folder)
    before = list(sys.argv), list(sys.path), Path.cwd(), sys.modules["__main__"], set(sys.modules)
    with pytest.raises(SystemExit) as stopped:
        main(["book", str(script), "3"])
    assert stopped.value.code == 3
    assert (sys.argv, sys.path, Path.cwd(), sys.modules["__main__"]) == before[:4]
    assert {"common", "common.functions", "dataset", "helper"}.isdisjoint(set(sys.modules) - before[4])
    # The next script has a helper of its own.
    repository.write("ch04/helper.py", "twice = lambda x: 20 * x")
    with pytest.raises(SystemExit):
        runner.run(repository.write("ch04/where.py", WHERE))
    one, two = capsys.readouterr().out.splitlines()
    assert one.endswith("8, 0.5]")
    assert two.endswith("80, 0.5]")


@draws
def test_train_a_two_layer_net(repository):
    repository.write("ch04/two_layer_net.py", TWO_LAYER_NET)
    repository.write("ch04/train_neuralnet.py", TRAIN)
    folder = repository.folder.parent / "figures"
    printed = repository.run_well("--figures", "figures", "book/ch04/train_neuralnet.py")
    difference, first, last, accuracy = map(float, printed.split())
    assert difference < 1e-6
    assert last < 0.5 * first
    assert accuracy > 0.9
    assert sorted(file.name for file in folder.iterdir()) == ["train_neuralnet-1.png", "train_neuralnet-2.png"]
    one, two = (np.asarray(Image.open(file)) for file in sorted(folder.iterdir()))
    assert one.shape == two.shape == (480, 640, 4)
    assert (one != two).any()  # show() closed the first


def test_train_a_convnet(repository):
    repository.write("ch07/simple_convnet.py", CONVNET)
    repository.write("ch07/train_convnet.py", TRAIN_CONVNET.replace("import matplotlib.pyplot as plt", ""))
    lines = repository.run_well("book/ch07/train_convnet.py").splitlines()
    assert float(lines[0]) < 1e-6
    assert lines[1].startswith("train loss:")
    assert lines[-4:-2] == ["1.0", "True"]
    assert float(lines[-2]) > 0.95
    assert lines[-1] == "float16"
    assert (repository.folder / "ch07/params.pkl").exists()


def test_compare_optimizers_on_numbers(repository):
    repository.write("ch06/optimizer_compare_naive.py", OPTIMIZERS)
    lines = repository.run_well("book/ch06/optimizer_compare_naive.py").splitlines()
    name, x, y = lines[0].split()
    assert name == "SGD"
    assert float(x) == pytest.approx(-7 * (1 - 0.095) ** 30, rel=1e-12)
    assert float(y) == pytest.approx(2 * (1 - 1.9) ** 30, rel=1e-12)
    assert len(lines) == 4


def test_pickled_weights_and_one_sample(repository):
    script = repository.write("ch03/neuralnet_mnist.py", WEIGHTS)
    rng = np.random.default_rng(0)
    shapes = {"W1": (4, 3), "b1": (3,), "W2": (3, 2), "b2": (2,)}
    weights = {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    (script.parent / "sample_weight.pkl").write_bytes(pickle.dumps(weights))
    assert repository.run_well("book/ch03/neuralnet_mnist.py").split()[1:] == ["float64", "(2,)"]


@draws
def test_everything_that_is_shown_is_kept(repository):
    repository.write(
        "ch03/shows.py",
        """
        import matplotlib.pylab as plt
        from PIL import Image
        Image.fromarray(np.uint8(np.eye(28) * 255)).show()
        Image.fromarray(np.eye(4, dtype=np.float32)).show("a title")
        plt.figure(); plt.figure(); plt.show()
        plt.plot([1, 2]); plt.show(block=False); plt.pause(0.01)  # stays open
        """,
    )
    kept = repository.folder.parent / "kept"
    for where in ("before", "behind"):
        folder = kept / where
        given = ("--figures", folder, "book/ch03/shows.py") if where == "before" else (
            "book/ch03/shows.py", f"--figures={folder}")  # fmt: skip
        repository.run_well(*given, MPLBACKEND="agg")
        assert sorted(file.name for file in folder.iterdir()) == [f"shows-{number}.png" for number in range(1, 6)]
    assert np.array_equal(np.asarray(Image.open(folder / "shows-1.png")), np.uint8(np.eye(28) * 255))


@draws
def test_without_a_display_nothing_is_waited_for(repository):
    script = repository.write(
        "ch01/shows.py",
        "import matplotlib.pyplot as plt\nfrom PIL import Image\nplt.plot([1]); plt.show()\n"
        "Image.new('L', (4, 4)).show()\nprint('done')\n",
    )
    process = repository.run("book/ch01/shows.py", command="dlcore book")
    assert (process.returncode, process.stdout) == (0, "done\n")
    assert process.stderr == "dlcore: no display for 2 figures; --figures DIR keeps them\n"
    assert list(script.parent.iterdir()) == [script]


def test_a_traceback_is_the_scripts(repository):
    script = repository.write("ch04/fails.py", "def fail():\n    return 1 / 0\n\n\nfail()\n")
    process = repository.run("book/ch04/fails.py")
    assert process.returncode == 1
    lines = process.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{script}", line 9, in <module>'
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "runner.py" not in process.stderr


def test_what_a_script_says_on_leaving(repository):
    repository.write("ch04/leaves.py", "sys.exit('enough')\n")
    process = repository.run("book/ch04/leaves.py")
    assert (process.returncode, process.stderr) == (1, "enough\n")


def test_a_script_that_python_cannot_read(repository, capsys):
    script = repository.write("ch04/typo.py", "print('a'\n")
    assert runner.run(script) == 1
    assert "typo.py" in capsys.readouterr().err


def test_modules_that_a_reader_added_are_found(repository, capsys):
    repository.write("common/my_layers.py", "from common.layers import Relu\nclass MyRelu(Relu): pass\n")
    script = repository.write(
        "ch05/uses.py",
        "import common.functions, dataset.mnist\nfrom common import layers\nfrom common.my_layers import MyRelu\n"
        "print(common.functions.__name__, MyRelu().forward(np.array([-1.0])), issubclass(MyRelu, layers.Relu))\n",
    )
    assert runner.run(script) == 0
    assert capsys.readouterr().out == "dlcore.book.common.functions [0.] True\n"


@pytest.mark.parametrize("command", ["dlcore.book", "dlcore book"])
def test_a_missing_script_is_told(repository, command):
    process = repository.run("book/ch09/nothing.py", command=command)
    assert process.returncode == 2
    assert process.stderr.startswith("dlcore: book: there is no script")
    assert process.stderr.count("\n") == 1


def test_what_is_wrong_is_told(repository, monkeypatch, capsys):
    with pytest.raises(MissingFileError, match="there is no script"):
        runner.run(repository.folder)
    script = repository.write("ch04/draws.py", "import matplotlib.pyplot as plt\n")
    with pytest.raises(ArgumentError, match="--figures needs a folder"):
        runner.run(script, ["--figures"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(figures, "has_display", lambda: True)
    monkeypatch.setattr(runner, "has_display", lambda: True)
    monkeypatch.setattr(sys, "meta_path", [NoMatplotlib(), *sys.meta_path])
    with pytest.raises(BackendUnavailableError, match=r"draws.py draws with matplotlib, .* pip install"):
        runner.run(script)
    assert main(["book", str(script)]) == 2
    assert capsys.readouterr().err.startswith("dlcore: book: draws.py draws with matplotlib")


class NoMatplotlib:
    """An importer that knows for sure that matplotlib is not there."""

    def find_spec(self, name, path=None, target=None):
        if name == "matplotlib":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_figures_may_stand_behind_the_script_but_not_behind_two_dashes():
    assert runner._split(["a", "--figures", "out", "b"]) == (["a", "b"], "out")
    assert runner._split(["--figures=out"]) == ([], "out")
    assert runner._split(["--", "--figures", "out"]) == (["--", "--figures", "out"], None)


needs_mnist = pytest.mark.skipif(
    "DLCORE_DATA" not in os.environ, reason="needs MNIST: set DLCORE_DATA to the folder that holds it"
)

ON_MNIST = """
    from dataset.mnist import load_mnist
    from common.multi_layer_net import MultiLayerNet
    from common.optimizer import SGD
    (x_train, t_train), (x_test, t_test) = load_mnist(normalize=True, one_hot_label=True)
    np.random.seed(0)
    network, optimizer = MultiLayerNet(784, [50], 10, weight_init_std=0.01), SGD(lr=0.1)
    for i in range(1200):
        batch = np.random.choice(len(x_train), 100)
        optimizer.update(network.params, network.gradient(x_train[batch], t_train[batch]))
    print(network.accuracy(x_train, t_train), network.accuracy(x_test, t_test))
"""

DEEP_CONVNET = """
    from common.layers import *
    from common.trainer import Trainer
    from dataset.mnist import load_mnist

    class DeepConvNet:
        def __init__(self):
            self.params, self.layers, channels, number = {}, [], 1, 0
            for filters, pad in ((16, 1), (16, 1), (32, 1), (32, 2), (64, 1), (64, 1)):
                number += 1
                W, b = 'W' + str(number), 'b' + str(number)
                self.params[W] = np.sqrt(2.0 / (9 * channels)) * np.random.randn(filters, channels, 3, 3)
                self.params[b] = np.zeros(filters)
                self.layers += [Convolution(self.params[W], self.params[b], 1, pad), Relu()]
                if number % 2 == 0:
                    self.layers.append(Pooling(pool_h=2, pool_w=2, stride=2))
                channels = filters
            self.params['W7'] = np.sqrt(2.0 / 1024) * np.random.randn(1024, 50)
            self.params['b7'] = np.zeros(50)
            self.params['W8'] = np.sqrt(2.0 / 50) * np.random.randn(50, 10)
            self.params['b8'] = np.zeros(10)
            self.layers += [Affine(self.params['W7'], self.params['b7']), Relu(), Dropout(0.5)]
            self.layers += [Affine(self.params['W8'], self.params['b8']), Dropout(0.5)]
            self.last_layer = SoftmaxWithLoss()

        def predict(self, x, train_flg=False):
            for layer in self.layers:
                x = layer.forward(x, train_flg) if isinstance(layer, Dropout) else layer.forward(x)
            return x

        def loss(self, x, t):
            return self.last_layer.forward(self.predict(x, train_flg=True), t)

        def accuracy(self, x, t):
            return sum(np.sum(np.argmax(self.predict(x[i:i + 100]), axis=1) == t[i:i + 100])
                       for i in range(0, len(x), 100)) / len(x)

        def gradient(self, x, t):
            self.loss(x, t)
            dout = self.last_layer.backward(1)
            for layer in reversed(self.layers):
                dout = layer.backward(dout)
            trained = [layer for layer in self.layers if isinstance(layer, (Convolution, Affine))]
            grads = {'W' + str(i + 1): layer.dW for i, layer in enumerate(trained)}
            grads.update({'b' + str(i + 1): layer.db for i, layer in enumerate(trained)})
            return grads

    (x_train, t_train), (x_test, t_test) = load_mnist(flatten=False)
    np.random.seed(0)
    network = DeepConvNet()
    trainer = Trainer(network, x_train[:12000], t_train[:12000], x_test, t_test, epochs=1, mini_batch_size=100,
                      optimizer='Adam', optimizer_param={'lr': 0.001}, evaluate_sample_num_per_epoch=1000,
                      verbose=False)
    trainer.train()
    print(network.accuracy(x_test[:2000], t_test[:2000]))
    for key in network.params:
        network.params[key][...] = network.params[key].astype(np.float16)
    print(network.accuracy(x_test[:2000].astype(np.float16), t_test[:2000]))
"""


@pytest.mark.slow
@needs_mnist
def test_a_fully_connected_network_reads_mnist(repository):
    repository.write("ch05/train_neuralnet.py", ON_MNIST)
    train, test = map(float, repository.run_well("book/ch05/train_neuralnet.py").split())
    assert min(train, test) > 0.9


@pytest.mark.slow
@needs_mnist
def test_deep_convnet_reads_mnist(repository):
    repository.write("ch08/train_deepnet.py", DEEP_CONVNET)
    wide, narrow = map(float, repository.run_well("book/ch08/train_deepnet.py").split())
    assert wide > 0.8  # after 120 steps, with dropout behind the last layer, as the book has it
    assert abs(wide - narrow) < 0.01
