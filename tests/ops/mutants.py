"""The errors to plant: those written by hand, where to generate others, and which of these change nothing.

A written mutant is a line (function, right, wrong). Generated ones come from every `backward`, `backward_arrays` and
`composite` of `dlcore.ops`, and from what computes gradients there beside them, `HELPERS`.
"""

import importlib
import inspect
import pkgutil

import dlcore as dl
from dlcore import ops
from tests.ops.mutation import Mutant, generated

#: Functions that compute gradients, or what gradients need, and bear another name.
HELPERS = {
    "arithmetic": ["_per_input"],
    "convolution": ["Conv2dInputGrad.forward", "Conv2dWeightGrad.forward", "ChannelSum.forward"],
    "dropout": ["DropoutGrad.forward"],
    "elementwise": [
        *("_to_one_of", "ReLUGrad.forward", "Where.forward", "Clip.forward", "Maximum.forward", "Minimum.forward"),
    ],
    "linear": ["_rows"],
    "normalization": ["_per_channel", "_activated"],
    "patches": ["Fold.forward", "Unfold.forward", "_window"],
    "pooling": ["MaxPool2dScatter.forward", "MaxPool2dGather.forward", "AvgPool2dSpread.forward"],
    "reduction": ["_spread", "CumSum.forward", "Max.forward"],
    "shape": ["sum_to", "SumTo.forward", "PutItem.forward", "BroadcastTo.forward"],
}


def operations() -> dict[str, list[type[dl.Function]]]:
    """The operations of each file of `dlcore.ops` that has some."""
    found = {}
    for file in pkgutil.iter_modules(ops.__path__):
        module = importlib.import_module(f"dlcore.ops.{file.name}")
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, dl.Function) and value.__module__ == module.__name__
        ]
        if own:
            found[file.name] = own
    return found


def generated_in(file: str) -> list[Mutant]:
    """The generated mutants of one file of `dlcore.ops`."""
    methods = [
        f"{operation.__name__}.{name}"
        for operation in operations()[file]
        for name, value in vars(operation).items()
        if inspect.isfunction(value) and name != "forward"
    ]
    functions = (*methods, *HELPERS.get(file, ()))
    return [mutant for function in functions for mutant in generated(f"dlcore.ops.{file}", function)]


def written(module: str, *lines: tuple[str, str, str]) -> list[Mutant]:
    return [Mutant(f"dlcore.{module}", *line) for line in lines]


#: One of each kind of error, for every run of the tests.
QUICK = [
    *written(
        "ops.arithmetic",
        ("Subtract.backward", "-grad_output if", "grad_output if"),
        ("Divide.backward", "-quotient * (a / b)", "-quotient * a"),
        ("_per_input", "sum_to(grad_b, edge_b.shape)", "sum_to(grad_b, edge_a.shape)"),
    ),
    *written("ops.elementwise", ("Tanh.backward", "1 - y * y", "1 + y * y")),
    *written("ops.linear", ("Matmul.backward", "a.mT @ grad_output", "grad_output.mT @ a")),
    *written("ops.reduction", ("Softmax.backward", "axis=self.axis", "axis=0")),
    *written("ops.shape", ("PermuteDims.backward", "axes=tuple(inverse)", "axes=self.axes")),
    *written("autograd", ("_walk", "pending[source] = pending[source] + gradient", "pending[source] = gradient")),
]

AUTOGRAD = written(
    "autograd",
    # the walk
    ("_walk", "pending[source] + gradient", "pending[source] - gradient"),
    ("_walk", "collected[source] = collected[source] + gradient", "collected[source] = gradient"),
    ("_walk", "collected[source] + gradient", "collected[source] - gradient"),
    ("_walk", "(-source.order, source)", "(source.order, source)"),
    ("_walk", "heapq.heappush(queue, (-source.order, source))", "queue.append((-source.order, source))"),
    ("_walk", "if node in wanted:", "if node not in wanted:"),
    ("_walk", "            if node in wanted:\n                collected[node] = gradient\n", ""),
    ("_walk", "if useful is not None and node not in useful:", "if node in wanted:"),
    ("_walk", "or edge.source in useful or edge.source in wanted", "or edge.source in useful"),
    ("_walk", "or edge.source in useful or edge.source in wanted", "or edge.source in wanted"),
    ("_walk", "zip(edges, node.needs_input_grad", "zip(edges[::-1], node.needs_input_grad"),
    ("_walk", "set_grad_enabled(create_graph)", "set_grad_enabled(True)"),
    ("_walk", "set_grad_enabled(create_graph)", "set_grad_enabled(False)"),
    ("_walk", "if not retain_graph:", "if retain_graph:"),
    ("_walk", "targets is None or source in wanted", "targets is None"),
    ("_walk", "targets is None or source in wanted", "source in wanted"),
    ("_between", "node.order <= floor", "node.order <= floor + 1"),
    ("_between", "key=lambda node: node.order", "key=lambda node: -node.order"),
    ("_between", "edge.source in useful or edge.source in wanted", "edge.source in useful"),
    ("_between", "edge.source in useful or edge.source in wanted", "edge.source in wanted"),
    ("_between", "target.order if isinstance(target, Function) else 0", "target.order"),
    ("_gradients", "gradients[index] = found.astype(edge.dtype)", "pass"),
    ("_gradients", "if found.shape != edge.shape:", "if len(found.shape) != len(edge.shape):"),
    # what comes in and what is left behind
    ("_seed_gradient", "ones_like", "zeros_like"),
    ("_seed_gradient", "if gradient.shape != output.shape:", "if len(gradient.shape) != len(output.shape):"),
    ("backward", "leaf.grad = leaf.grad + found", "leaf.grad = found"),
    ("backward", "leaf.grad = leaf.grad + found", "leaf.grad = leaf.grad - found"),
    ("backward", "with set_grad_enabled(create_graph):", "with set_grad_enabled(False):"),
    ("backward", "with set_grad_enabled(create_graph):", "with set_grad_enabled(True):"),
    ("backward", "id(block) in owned or 0 in found.data.strides", "0 in found.data.strides"),
    ("backward", "id(block) in owned or 0 in found.data.strides", "id(block) in owned"),
    ("backward", "owned = {id(_memory(seed.data))}", "owned = set()"),
    ("backward", "retain_graph or create_graph", "retain_graph"),
    ("grad", "for tensor in input_list]", "for tensor in input_list[::-1]]"),
    ("grad", "zip(output_list, seeds, strict=True)", "zip(output_list, seeds[::-1], strict=True)"),
    ("grad", "create_graph if retain_graph is None else retain_graph", "retain_graph or False"),
    ("grad", "create_graph if retain_graph is None else retain_graph", "create_graph"),
    # a node
    ("Function.apply", "value.grad_fn or (value if value.requires_grad else None)", "value.grad_fn"),
    ("Function.apply", "value.grad_fn or (value if value.requires_grad else None)", "value.grad_fn or value"),
    ("Function.apply", "source is not None for source in sources", "True for source in sources"),
    ("Function.apply", "node.is_view and isinstance(inputs[0], _tensor_type)", "False"),
    ("Function._record", "found.pop(0) if len(found) > 1 else found[0]", "found[-1]"),
    ("Function._record", "found.pop(0) if len(found) > 1 else found[0]", "found[0]"),
    ("Function._record", "{id(output): [(OUTPUT, version)]}", "{}"),
    ("Function._restore", "self if position == OUTPUT else self.edges[position].source", "self.edges[0].source"),
    ("Function._restore", "version.count != seen or", "False or"),
    ("Function._restore", "leaf is not None and leaf.data is not array", "False"),
    ("Function._restore", "leaf if leaf is not None else", "leaf if leaf is None else"),
    ("Function._free", '"_saved": None', '"_saved": ()'),
    # operations with a derivative of their own
    ("Fused.backward", "if not _grad_enabled.get():", "if True:"),
    ("Fused.backward", "if not _grad_enabled.get():", "if False:"),
    ("Fused.backward", "_Alias.apply(x) if need else x", "x"),
    ("Fused.backward", "targets = [x for x, needed", "targets = [x.detach() for x, needed"),
    ("Fused.backward", "tuple(next(found) if needed else None for", "tuple(next(found, None) for"),
    ("Fused.backward", "grad(self.composite(*inputs), targets", "grad(self.composite(*inputs), targets[::-1]"),
    ("Fused.backward", "grad_output, create_graph=True", "grad_output"),
    ("_Alias.backward", "return grad_output", "return -grad_output"),
)

HOOKS = written(
    "nn.hooks",
    ("_Mark.backward", "return self.seen(grad_output)", "return grad_output"),
    ("_Mark.backward", "return self.seen(grad_output)", "return -self.seen(grad_output)"),
    ("_Passage._at_output", "self.grad_output = gradient", "self.grad_output = -gradient"),
    ("_Passage._at_output", "return gradient", "return gradient * 2.0"),
    ("_Passage._at_input", "return changed", "return gradient"),
    ("_Passage._at_input", "place == self.place", "place != self.place"),
    ("_Passage._call", "grad_input = changed", "pass"),
    ("_Passage._call", "for hook in self.hooks:", "for hook in self.hooks[::-1]:"),
    ("_Passage._call", "self.grad_output = None", "pass"),
    ("_Passage.enter", "marked, *inputs[self.place + 1 :]", "*inputs[self.place :]"),
    ("_Passage.leave", "if output.requires_grad else output", "if self.place is not None else output"),
    ("Hooks.run", "passage.leave(output)", "output"),
)

#: What is made of operations has the derivative of what it computes: only values show these errors.
COMPOSITES = [
    *written(
        "functional.activation",
        ("leaky_relu", "where(x > 0, x,", "where(x < 0, x,"),
        ("elu", "where(x > 0, x,", "where(x > 1, x,"),
        ("elu", "alpha * minimum", "minimum"),
        ("selu", "elu(x, 1.6732632423543772)", "elu(x)"),
        ("gelu", "math.sqrt(0.5)", "math.sqrt(2.0)"),
        ("silu", "x * sigmoid(x)", "sigmoid(x)"),
        ("hardswish", "clip(0.0, 6.0)", "clip(0.0, 3.0)"),
    ),
    *written(
        "functional.convolution",
        ("conv1d", "((0, 0), (before, after))", "((0, 0), (after, before))"),
        ("conv1d", "(1, dilation), groups", "(dilation, 1), groups"),
        ("conv_transpose2d", "- 2 * p", "- p"),
        ("conv_transpose2d", "+ e + 1", "+ 1"),
        ("conv_transpose2d", "d * (r - 1)", "d * r - 1"),
        ("conv_transpose2d", "y + bias.reshape", "y - bias.reshape"),
        ("conv_transpose1d", "(0, output_padding), groups, (1, dilation)", "(0, 0), groups, (1, dilation)"),
        ("fold", "x.shape[1] // cells, *size", "x.shape[1] // cells, *size[::-1]"),
    ),
    *written(
        "functional.loss",
        ("_cross_entropy_of_shares", "labels * (1.0 - label_smoothing)", "labels"),
        ("_cross_entropy_of_shares", "-(shares * log_softmax(x, 1)).sum(1)", "-(shares * log_softmax(x, 0)).sum(1)"),
        ("_weighted_cross_entropy", "losses * (1.0 - label_smoothing)", "losses"),
        ("_weighted_cross_entropy", "losses.sum() / per_row.sum()", "losses.mean()"),
        ("_weighted_cross_entropy", "logs_by_class = logs * classes", "logs_by_class = logs"),
        ("_weighted_cross_entropy", ".mean(1) * counted.astype(x.dtype)", ".mean(1)"),
        ("_of_labels", "-gather", "gather"),
        ("kl_div", "safe.log() - x", "safe.log() + x"),
        ("kl_div", "x.shape[0]", "x.shape[-1]"),
        ("binary_cross_entropy", "_held_logarithm(1.0 - x)", "_held_logarithm(x)"),
        ("_held_logarithm", "clip(low=-100.0)", "clip(low=-1.0)"),
        ("binary_cross_entropy_with_logits", "- x * target", "- target"),
        ("mse_loss", "difference = x - target", "difference = x + target"),
        ("l1_loss", "(x - target).abs()", "(x - target)"),
        ("huber_loss", "0.5 * near", "near"),
        ("_reduce", "losses.mean()", "losses.sum()"),
    ),
    *written(
        "functional.normalization",
        ("group_norm", "y * asarray(weight)", "y / asarray(weight)"),
        ("group_norm", "y + asarray(bias)", "y - asarray(bias)"),
        ("group_norm", "eps=eps", "eps=2 * eps + 0.1"),
        ("instance_norm", "x.shape[1] if", "1 if"),
        ("batch_norm", "(running_mean, running_var)\n", "(running_var, running_mean)\n"),
    ),
    *written(
        "functional.pooling",
        ("_bounds", "-(-(i + 1) * length // parts)", "(i + 1) * length // parts"),
        ("_shares", "1.0 / (end - begin)", "1.0 / length"),
        ("adaptive_avg_pool2d", "rows @ x @ columns.T", "rows @ x @ columns.T * 2.0"),
        ("adaptive_max_pool2d", "x[:, :, a:b, c:d]", "x[:, :, a:b, c : d - 1]"),
        ("adaptive_max_pool2d", "axis=2", "axis=3"),
    ),
    *written("functional.linear", ("embedding", "weight)[index]", "weight)[index - 1]")),
    *written(
        "array_methods",
        ("ArrayMethods.mean", "self.size / total.size", "self.size"),
        ("ArrayMethods.min", "-ops.Max", "ops.Max"),
        ("ArrayMethods.var", "count - correction)\n", "count)\n"),
        ("ArrayMethods.var", "keepdims=True", "keepdims=False"),
        ("ArrayMethods.std", ".sqrt()", ""),
        ("ArrayMethods.prod", "rows[..., 1::2]", "rows[..., ::2]"),
        ("ArrayMethods.prod", "kept + axes", "axes + kept"),
        ("ArrayMethods.logsumexp", ".log() + top", ".log() - top"),
        ("ArrayMethods.mT", "self.ndim - 1, self.ndim - 2)", "self.ndim - 2, self.ndim - 1)"),
        ("ArrayMethods.expand_dims", "(*self.shape[:position], 1,", "(1, *self.shape[:position],"),
    ),
    *written(
        "array_functions",
        ("flip", "if a in axes", "if a not in axes"),
        ("roll", "tensor.shape[along] - options", "tensor.shape[along] + options"),
        ("gather", "if a == along", "if a != along"),
        ("take", 'normalize_axis("take", axis, tensor.ndim)', "0"),
        ("stack", "axis=position", "axis=0"),
        ("split", "for cut in cuts), length]", "for cut in cuts), length - 1]"),
        ("pad", "slice(before, before + n)", "slice(0, n)"),
        ("_mirrored", "slice(before, 0, -1)", "slice(before - 1, None, -1)"),
        ("_mirrored", "slice(length - 2,", "slice(length - 1,"),
        ("_edged", "slice(length - 1, length)", "slice(length - 2, length - 1)"),
    ),
]

WRITTEN = {"autograd": AUTOGRAD, "hooks": HOOKS, "composites": COMPOSITES}

#: Generated mutants that change no result, and why.
EQUIVALENT: dict[str, str] = {
    # More work, and a result that nobody asked for and the walk drops.
    "arithmetic: _per_input: needs_a and grad_a is not None -> needs_a or grad_a is not None": "not asked for",
    "arithmetic: _per_input: needs_b and grad_b is not None -> needs_b or grad_b is not None": "not asked for",
    "convolution: Conv2d.backward: any(needs_bias) -> needs_bias": "not asked for",
    "reduction: Max.forward: 1 -> 2 (number 2)": "of needs_input_grad there is one",
    # The same value, computed in another way.
    "arithmetic: Power.backward: y.data * 0 + a -> y.data * 0 - a": "compared with 0 only",
    "convolution: ChannelSum.forward: 1 -> 2": "of -1: NumPy takes any negative length for the one to find",
    "convolution: ChannelSum.forward: 1 -> 2 (number 4)": "likewise",
    "patches: Fold.forward: 1 -> 2 (number 2)": "likewise",
    "elementwise: Clip.forward: xp.maximum(x, x.dtype.type(low)) -> xp.maximum(x.dtype.type(low), x)": "commutes",
    "elementwise: Clip.forward: xp.minimum(y, y.dtype.type(high)) -> xp.minimum(y.dtype.type(high), y)": "commutes",
    "linear: Linear.composite: x.reshape((math.prod(x.shape[:-1]), x.shape[-1])) -> x": "@ multiplies stacks too",
    "normalization: BatchNorm.composite: (0, *range(2, x.ndim)) -> (*range(2, x.ndim), 0)": "a set of axes",
    "shape: SumTo.forward: (*range(extra), *repeated) -> (*repeated, *range(extra))": "a set of axes",
    "shape: SumTo.forward: True -> False": "keepdims: the sum is reshaped anyway",
    "patches: Unfold.forward: _window(options) -> options": "for all options that users can give",
    "patches: _window: ('stride', 'padding', 'dilation') -> ('padding', 'stride', 'dilation')": "keywords",
    # Held elsewhere.
    "shape: AsType.backward: grad_output.astype(self.edges[0].dtype) -> grad_output": "the walk converts it",
    "shape: Transfer.backward: Transfer.apply(grad_output, to=self.origin) -> grad_output": "on one backend; "
    "tests/test_tensor.py moves a tensor to another and back",
}
