"""The bill for two apples and three oranges, as a computational graph with values and gradients on its edges.

Values flow forward, to the right (black). Gradients flow back (red): each says by how much the bill grows when that
value grows by 1. Every operation needs to know only its own inputs: an addition hands the gradient on to both, a
multiplication hands each one the gradient times the other.

Chapter 5 of *Deep Learning from Scratch*.
"""

import dlcore as dl
import support

options = support.options(__doc__)
given = {"price of an apple": 100, "apples": 2, "price of an orange": 150, "oranges": 3, "tax": 1.1}
tensors = {name: dl.tensor(value, "float64", requires_grad=True) for name, value in given.items()}
apple, apples, orange, oranges, tax = tensors.values()

bill = (apple * apples + orange * oranges) * tax
picture = dl.draw_graph(bill, {**tensors, "bill": bill})

bill.backward()
rows = [(name, tensor.item(), tensor.grad.item()) for name, tensor in tensors.items()]
support.table(["", "value", "d bill / d value"], [*rows, ("bill", bill.item(), 1.0)])

figure, axes = support.subplots(height=7.5 * picture.height / picture.width + 0.5)
picture.plot(axes)
axes.set_title("Values above the lines, derivatives of the bill below them")
path = support.save(figure, options)
picture.save(path.with_suffix(".svg"))
