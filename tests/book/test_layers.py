"""`common.layers`: values by plain formulas and reference loops, gradients by finite differences."""

import numpy as np
import pytest

from dlcore.book.common import layers
from dlcore.book.common.gradient import numerical_gradient
from kernels import reference

RNG = np.random.default_rng(1)


def check_gradients(layer, x, *names, forward=None):
    """`backward` of a layer, and the gradients it leaves, against differences of a weighted sum of its output."""
    forward = forward or layer.forward
    weights = RNG.normal(size=forward(x).shape)

    def total(_):
        return np.sum(forward(x) * weights)

    forward(x)
    dx = layer.backward(weights.copy())
    assert dx.shape == x.shape
    np.testing.assert_allclose(dx, numerical_gradient(total, x), rtol=1e-6, atol=1e-7)
    for name in names:
        array = getattr(layer, name)  # moved in place: the layer must read it anew
        np.testing.assert_allclose(
            getattr(layer, f"d{name}"), numerical_gradient(total, array), rtol=1e-6, atol=1e-7, err_msg=name
        )


def test_relu():
    layer = layers.Relu()
    x = np.array([[1.0, -0.5], [-2.0, 3.0], [0.0, np.inf]])
    assert layer.forward(x).tolist() == [[1, 0], [0, 3], [0, np.inf]]
    assert layer.mask.tolist() == [[False, True], [True, False], [True, False]]
    assert layer.backward(np.array([[1.0, 2], [3, 4], [5, 6]])).tolist() == [[1, 0], [0, 4], [0, 6]]
    assert x[0, 1] == -0.5
    assert layer.forward(np.array([-1, 2])).tolist() == [0, 2]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_relu_of_a_large_array(dtype):
    """As large as kernels take it over; what `backward` needs is kept, whatever becomes of the output."""
    x, dout = RNG.normal(size=(2, 3, 128, 128)).astype(dtype), RNG.normal(size=(2, 3, 128, 128)).astype(dtype)
    x[0, 0, 0, :3] = 0, np.nan, -0.0
    layer, expected = layers.Relu(), np.where(x <= 0, 0, x)
    y = layer.forward(x)
    np.testing.assert_array_equal(y, expected)
    y[:] = 1
    assert (layer.mask == (x <= 0)).all()
    assert (layer.backward(dout) == np.where(x <= 0, 0, dout)).all()


def test_sigmoid():
    layer = layers.Sigmoid()
    assert layer.forward(np.array([0.0])) == 0.5
    assert layer.out == 0.5
    check_gradients(layer, RNG.normal(size=(3, 4)))


@pytest.mark.parametrize("shape", [(5, 6), (5, 1, 2, 3)])
def test_affine(shape):
    W, b, x = RNG.normal(size=(6, 4)), RNG.normal(size=4), RNG.normal(size=shape)
    layer = layers.Affine(W, b)
    rows = x.reshape(5, 6)
    expected = [[sum(rows[n] * W[:, k]) + b[k] for k in range(4)] for n in range(5)]
    np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12)
    assert layer.W is W
    assert layer.x.shape == (5, 6)
    assert layer.original_x_shape == shape
    check_gradients(layer, x, "W", "b")


@pytest.mark.parametrize("one_hot", [False, True])
def test_softmax_with_loss(one_hot):
    layer, x, classes = layers.SoftmaxWithLoss(), RNG.normal(size=(4, 3)), np.array([2, 0, 1, 1], np.uint8)
    t = np.eye(3)[classes] if one_hot else classes
    loss = layer.forward(x, t)
    y = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(layer.y, y, rtol=1e-13)
    assert loss == layer.loss == pytest.approx(-np.mean(np.log(y[range(4), classes] + 1e-7)), rel=1e-13)
    assert layer.t is t
    found = layer.backward()
    np.testing.assert_allclose(found, (y - np.eye(3)[classes]) / 4, rtol=1e-12)
    expected = numerical_gradient(lambda x: layer.forward(x, t), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)  # 1e-7 in the logarithm is left out of it


def test_dropout_draws_as_the_book_does():
    layer, x = layers.Dropout(0.3), RNG.normal(size=(3, 2, 4, 4))
    np.random.seed(5)
    kept = np.random.rand(3, 2, 4, 4) > 0.3
    np.random.seed(5)
    assert (layer.forward(x) == x * kept).all()
    assert (layer.mask == kept).all()
    assert (layer.backward(np.ones(x.shape)) == kept).all()
    np.testing.assert_allclose(layer.forward(x, train_flg=False), 0.7 * x, rtol=1e-15)
    assert layers.Dropout().dropout_ratio == 0.5


@pytest.mark.parametrize("shape", [(6, 5), (6, 2, 3, 2)])
def test_batch_normalization(shape):
    size = int(np.prod(shape[1:]))
    gamma, beta, x = RNG.normal(size=size), RNG.normal(size=size), RNG.normal(2.0, 3.0, size=shape)
    layer = layers.BatchNormalization(gamma, beta)
    columns = x.reshape(6, size)
    mean, var = columns.mean(axis=0), columns.var(axis=0)
    expected = gamma * (columns - mean) / np.sqrt(var + 1e-6) + beta
    np.testing.assert_allclose(layer.forward(x), expected.reshape(shape), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(layer.running_mean, 0.1 * mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var, 0.1 * var, rtol=1e-12)
    layer.forward(x)
    np.testing.assert_allclose(layer.running_mean, 0.19 * mean, rtol=1e-12)
    running_mean, running_var = layer.running_mean, layer.running_var
    expected = gamma * (columns - running_mean) / np.sqrt(running_var + 1e-6) + beta
    np.testing.assert_allclose(layer.forward(x, train_flg=False), expected.reshape(shape), rtol=1e-10, atol=1e-12)
    assert layer.running_mean is running_mean
    check_gradients(layer, x, "gamma", "beta")


def test_batch_normalization_with_given_statistics_and_with_none():
    given = layers.BatchNormalization(2.0, 1.0, running_mean=np.array([1.0]), running_var=np.array([4.0]))
    assert given.forward(np.array([[5.0]]), train_flg=False) == pytest.approx(2 * 4 / np.sqrt(4 + 1e-6) + 1)
    none = layers.BatchNormalization(np.ones(1), np.zeros(1))
    assert none.forward(np.array([[5.0]]), train_flg=False) == pytest.approx(5 / np.sqrt(1e-6))


@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (1, 1), (2, 2)])
def test_convolution(stride, pad):
    W, b, x = RNG.normal(size=(4, 3, 3, 2)), RNG.normal(size=4), RNG.normal(size=(2, 3, 6, 5))
    layer = layers.Convolution(W, b, stride, pad)
    expected = reference.conv2d(x, W, b, stride=stride, padding=pad)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12, atol=1e-12)
    assert layer.x is x
    check_gradients(layer, x, "W", "b")
    assert layer.dW.flags.c_contiguous


def test_convolution_of_many_channels():
    """Where Winograd's way is taken."""
    W, b, x = RNG.normal(size=(17, 16, 3, 3)), RNG.normal(size=17), RNG.normal(size=(2, 16, 7, 6))
    layer = layers.Convolution(W, b, pad=2)
    expected = reference.conv2d(x, W, b, padding=2)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-11, atol=1e-11)
    dout = RNG.normal(size=expected.shape)
    dx = reference.conv2d_input_grad(dout, W, x.shape, padding=2)
    np.testing.assert_allclose(layer.backward(dout), dx, rtol=1e-11, atol=1e-11)
    dW = reference.conv2d_weight_grad(x, dout, W.shape, padding=2)
    np.testing.assert_allclose(layer.dW, dW, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(layer.db, dout.sum(axis=(0, 2, 3)), rtol=1e-11)


def test_convolution_with_one_number_as_bias():
    """As in chapter 7, where a photograph is filtered: float32, and b = 0."""
    W, x = RNG.normal(size=(1, 1, 5, 5)), RNG.random((1, 1, 9, 9), np.float32)
    expected = reference.conv2d(x.astype(np.float64), W)
    for b in (0, 0.5, np.array([0.5])):
        y = layers.Convolution(W, b).forward(x)
        assert y.dtype == np.float64
        np.testing.assert_allclose(y, expected + b, rtol=1e-12)


@pytest.mark.parametrize(("size", "stride", "pad"), [((2, 2), 2, 0), ((3, 2), 1, 1), ((2, 3), 3, 0)])
def test_pooling(size, stride, pad):
    x = RNG.permutation(2 * 3 * 7 * 8).reshape(2, 3, 7, 8) - 200.5  # no two alike, so that differences are smooth
    layer = layers.Pooling(*size, stride=stride, pad=pad)
    y = layer.forward(x)
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    for n, c, i, j in np.ndindex(y.shape):
        top, left = i * stride, j * stride
        assert y[n, c, i, j] == padded[n, c, top : top + size[0], left : left + size[1]].max()
    assert y.shape[2:] == ((7 + 2 * pad - size[0]) // stride + 1, (8 + 2 * pad - size[1]) // stride + 1)
    check_gradients(layer, x)


def test_pooling_steps_by_two_unless_told():
    layer = layers.Pooling(2, 2)
    assert layer.forward(np.arange(16).reshape(1, 1, 4, 4)).tolist() == [[[[5, 7], [13, 15]]]]
    assert layer.backward(np.ones((1, 1, 2, 2))).sum() == 4


def make_layers(rng, dtype):
    return [
        layers.Convolution(rng.normal(size=(3, 2, 3, 3)).astype(dtype), np.zeros(3, dtype), pad=1),
        layers.Relu(),
        layers.Pooling(2, 2, stride=2),
        layers.Affine(rng.normal(size=(3 * 2 * 2, 4)).astype(dtype), np.ones(4, dtype)),
        layers.BatchNormalization(np.ones(4, dtype), np.zeros(4, dtype)),
        layers.Dropout(0.0),
    ]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_other_types_of_parameters(dtype):
    """float16 in, float16 out, computed in float32; gradients too."""
    given = np.random.default_rng(3)
    chain, x = make_layers(given, dtype), given.normal(size=(5, 2, 4, 4)).astype(dtype)
    given = np.random.default_rng(3)
    wide, y = make_layers(given, np.float64), given.normal(size=(5, 2, 4, 4))
    tolerance = 0.05 if dtype == np.float16 else 1e-4
    for layer, twin in zip(chain, wide, strict=True):
        x, y = layer.forward(x), twin.forward(y)
        assert x.dtype == dtype, layer
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)
    dout = np.ones_like(x)
    for layer in reversed(chain):
        dout = layer.backward(dout)
        assert dout.dtype == dtype, layer


def test_parameters_may_be_exchanged():
    layer = layers.Affine(np.ones((2, 1)), np.zeros(1))
    assert layer.forward(np.ones((1, 2))) == 2
    layer.W, layer.b = 3 * layer.W, np.ones(1)
    assert layer.forward(np.ones((1, 2))) == 7
