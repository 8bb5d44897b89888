"""`common.functions`, `common.gradient` and `common.util`, by hand arithmetic, loops and plain formulas."""

import math

import numpy as np
import pytest

from dlcore.book.common import functions, gradient, util
from kernels import reference


def test_activations_by_hand():
    x = np.array([-1.0, 0.0, 2.0])
    assert functions.identity_function(x) is x
    steps = functions.step_function(x)
    assert steps.tolist() == [0, 0, 1]
    assert steps.dtype.kind == "i"
    assert functions.sigmoid(x) == pytest.approx([1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-2))], rel=1e-14)
    assert functions.sigmoid_grad(x) == pytest.approx([math.e / (1 + math.e) ** 2, 0.25, 0.10499358540350652])
    assert functions.relu(x).tolist() == [0, 0, 2]
    assert functions.relu_grad(x).tolist() == [0, 1, 1]  # the book's: 1 at 0


def test_functions_take_numbers_integers_and_large_values():
    assert functions.sigmoid(0) == 0.5
    assert functions.sigmoid(np.array([-1000.0, 1000.0])).tolist() == [0, 1]
    assert functions.sigmoid(np.array([1], np.uint8)) == pytest.approx(1 / (1 + math.exp(-1)))
    assert functions.relu(np.array([-3, 3])).tolist() == [0, 3]
    assert functions.relu_grad(np.array([-3, 3])).tolist() == [0, 1]
    assert functions.step_function(-0.5) == 0
    assert functions.softmax(np.array([1010, 1000, 990])) == pytest.approx([0.9999546, 4.5397869e-05, 2.0610600e-09])
    assert functions.softmax(np.array([0, 255], np.uint8)) == pytest.approx([math.exp(-255), 1])


def test_softmax_goes_along_the_last_axis():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    y = functions.softmax(x)
    for place in np.ndindex(2, 3):
        total = sum(math.exp(value) for value in x[place])
        assert y[place] == pytest.approx([math.exp(value) / total for value in x[place]], rel=1e-13)
    assert functions.softmax(x.astype(np.float32)).dtype == np.float32


def test_errors_by_hand():
    y, t = np.array([0.1, 0.6, 0.3]), np.array([0, 1, 0])
    assert functions.sum_squared_error(y, t) == pytest.approx(0.5 * (0.01 + 0.16 + 0.09))
    assert functions.mean_squared_error(y, t) == functions.sum_squared_error(y, t)
    expected = -math.log(0.6 + 1e-7)
    assert functions.cross_entropy_error(y, t) == pytest.approx(expected, rel=1e-13)
    assert functions.cross_entropy_error(y, np.array(1)) == pytest.approx(expected, rel=1e-13)
    assert functions.cross_entropy_error(y, np.array([1])) == pytest.approx(expected, rel=1e-13)
    batch = np.array([y, [0.0, 0.5, 0.5]])
    expected = -(math.log(0.6 + 1e-7) + math.log(1e-7)) / 2
    assert functions.cross_entropy_error(batch, np.array([1, 0], np.uint8)) == pytest.approx(expected, rel=1e-13)
    assert functions.cross_entropy_error(batch, np.array([[0, 1, 0], [1.0, 0, 0]])) == pytest.approx(expected)


def test_softmax_loss_of_equal_scores():
    assert functions.softmax_loss(np.zeros((4, 10)), np.arange(4)) == pytest.approx(math.log(10), rel=1e-5)


def test_numerical_gradient_moves_in_place_and_puts_back():
    weight = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]])
    before, seen = weight.copy(), []

    def loss(_):  # as a network does, it reads the weight itself
        seen.append(weight.copy())
        return np.sum(weight**3)

    found = gradient.numerical_gradient(loss, weight)
    np.testing.assert_allclose(
        found, 3 * before**2 + 1e-8, rtol=1e-7, atol=1e-10
    )  # ((w + h)³ − (w − h)³) / 2h = 3w² + h²
    assert (weight == before).all()
    assert len(seen) == 2 * weight.size
    assert seen[0][0, 0] == 1.0 + 1e-4
    assert seen[1][0, 0] == 1.0 - 1e-4


def test_numerical_gradient_puts_back_where_f_fails():
    x = np.array([1.0])
    with pytest.raises(ZeroDivisionError):
        gradient.numerical_gradient(lambda x: 1 / 0, x)
    assert x == 1.0


def test_numerical_gradient_of_integers_and_of_float32():
    assert gradient.numerical_gradient(lambda x: np.sum(x**2), np.array([3, 4])) == pytest.approx([6, 8])
    found = gradient.numerical_gradient(lambda x: np.sum(x**2), np.array([3, 4], np.float32))
    assert found.dtype == np.float32
    assert found == pytest.approx([6, 8], rel=1e-2)


def test_numerical_gradient_2d_takes_rows():
    X = np.array([[1.0, 2.0], [3.0, -4.0]])
    found = gradient.numerical_gradient_2d(lambda row: row[0] ** 2 + 10 * row[1], X)
    np.testing.assert_allclose(found, [[2, 10], [6, 10]], rtol=1e-7)
    found = gradient.numerical_gradient_2d(lambda row: row[0] ** 2 + 10 * row[1], X[0])
    np.testing.assert_allclose(found, [2, 10], rtol=1e-7)


def test_smooth_curve():
    assert util.smooth_curve([3.0] * 15) == pytest.approx([3.0] * 15)
    x = np.random.default_rng(0).normal(size=40)
    smooth = util.smooth_curve(list(x))
    assert smooth.shape == (40,)
    # I₀(β·√(1 − r²)) / I₀(β), Kaiser's window, by the series of the Bessel function.
    weights = [sum((1 - (k / 5) ** 2) ** m / math.factorial(m) ** 2 for m in range(30)) for k in range(-5, 6)]
    expected = sum(weight * value for weight, value in zip(weights, x[10:21], strict=True)) / sum(weights)
    assert smooth[15] == pytest.approx(expected, rel=1e-12)


def test_shuffle_dataset_draws_one_permutation():
    t = np.arange(6)
    for x in (np.arange(12).reshape(6, 2), np.arange(24).reshape(6, 1, 2, 2)):
        np.random.seed(3)
        order = np.random.permutation(6)
        following = np.random.rand()
        np.random.seed(3)
        shuffled, classes = util.shuffle_dataset(x, t)
        assert (shuffled == x[order]).all()
        assert (classes == order).all()
        assert np.random.rand() == following


def test_conv_output_size_is_a_float():
    assert util.conv_output_size(28, 5, stride=1, pad=2) == 28.0
    assert util.conv_output_size(7, 4, stride=2) == 2.5


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint8])
@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (2, 1), (3, 2)])
def test_im2col_and_col2im(dtype, stride, pad):
    x = np.random.default_rng(0).integers(0, 9, (2, 3, 7, 6)).astype(dtype)
    cols = util.im2col(x, 3, 2, stride, pad)
    expected = reference.im2col(x.astype(np.float64), (3, 2), stride=stride, padding=pad)
    assert cols.dtype == dtype
    assert (cols == expected).all()
    back = util.col2im(cols.astype(np.float64), x.shape, 3, 2, stride, pad)
    assert (back == reference.col2im(expected, x.shape, (3, 2), stride=stride, padding=pad)).all()


def test_star_imports_hand_over_what_scripts_count_on():
    names = {
        "functions": "np softmax sigmoid cross_entropy_error",
        "gradient": "np numerical_gradient",
        "util": "np im2col shuffle_dataset",
        "layers": "np softmax cross_entropy_error im2col col2im Relu Convolution",
        "optimizer": "np SGD Adam",
        "multi_layer_net": "np os sys OrderedDict numerical_gradient Affine Dropout softmax MultiLayerNet",
        "multi_layer_net_extend": "np OrderedDict BatchNormalization numerical_gradient MultiLayerNetExtend",
        "trainer": "np os sys Adam Trainer",
    }
    for module, expected in names.items():
        given = {}
        exec(f"from dlcore.book.common.{module} import *", given)
        assert set(expected.split()) <= set(given), module
        assert given["np"] is np
