"""A derivative is the slope of a tangent; a gradient points uphill.

Numerically a derivative is (f(x + h) - f(x - h)) / 2h. A smaller h is more exact, until the difference is lost in
rounding: the best step depends on the numbers' precision. Differentiation by the rules is exact, and that is what
`dl.grad` does. The arrows are the negative gradient of f(x₀, x₁) = x₀² + x₁²: each way downhill leads to the minimum.

Chapter 4 of *Deep Learning from Scratch*.
"""

import numpy as np

import dlcore as dl
import support

options = support.options(__doc__)


def f(x):
    """0.01 x² + 0.1 x."""
    return 0.01 * x * x + 0.1 * x


def bowl(x):
    """x₀² + x₁², for each pair in (…, 2)."""
    return (x * x).sum(-1)


def difference(function, x: dl.Tensor, h: float = 1e-4) -> np.ndarray:
    """The numerical gradient: the central difference for each element in turn."""
    steps = [dl.tensor(step, x.dtype) for step in h * np.eye(x.size).reshape(x.size, *x.shape)]
    return np.array([((function(x + step) - function(x - step)) / (2 * h)).item() for step in steps]).reshape(x.shape)


def gradient(function, x: dl.Tensor) -> np.ndarray:
    """The gradient by the rules of differentiation."""
    return dl.grad(function(x).sum(), [x])[0].numpy()


rows = []
for name, function, at in (
    ("0.01 x² + 0.1 x", f, 5.0),
    ("0.01 x² + 0.1 x", f, 10.0),
    ("x₀² + x₁²", bowl, [3.0, 4.0]),
    ("x₀² + x₁²", bowl, [0.0, 2.0]),
    ("x₀² + x₁²", bowl, [3.0, 0.0]),
):
    x = dl.tensor(at, "float64", requires_grad=True)
    rows.append((name, at, np.round(difference(function, x), 10), np.round(gradient(function, x), 10)))
support.table(["function", "at", "numerical", "by the rules"], rows)

figure, (left, middle, right) = support.subplots(1, 3, height=3.2)
line = np.linspace(0, 20, 100)
left.plot(line, f(line), color=support.BLACK, label="$f(x)$")
for at in (5.0, 10.0):
    slope = gradient(f, dl.tensor(at, "float64", requires_grad=True)).item()
    left.plot(line, f(at) + slope * (line - at), "--", label=f"slope {slope:.2f} at {at:.0f}")
left.set(title="Tangents of $0.01 x^2 + 0.1 x$", xlabel="$x$", ylabel="$f(x)$", ylim=(-0.5, 8.5))
left.legend(loc="upper left")

corners = np.stack(np.meshgrid(np.linspace(-2, 2, 13), np.linspace(-2, 2, 13)), axis=-1)
field = -gradient(bowl, dl.tensor(corners, "float64", requires_grad=True))
middle.quiver(corners[..., 0], corners[..., 1], field[..., 0], field[..., 1], color=support.BLUE)
middle.set(title="Downhill on $x_0^2 + x_1^2$", xlabel="$x_0$", ylabel="$x_1$", aspect="equal")

widths = 10.0 ** np.arange(-12, 1)
rows = []
for precision in ("float32", "float64"):
    x = dl.tensor(1.0, precision)
    errors = [abs(difference(dl.Tensor.exp, x, h).item() - np.e) for h in widths]
    rows.append((precision, *(f"{error:.0e}" for error in errors)))
    right.loglog(widths, errors, "o-", markersize=4, label=precision)
support.table(["error, h =", *(f"{h:.0e}" for h in widths)], rows)
right.set(title="Derivative of $e^x$ at 1", xlabel="step $h$", ylabel="error of the difference", ylim=(1e-14, 1e2))
right.legend(loc="lower left")
support.save(figure, options)
