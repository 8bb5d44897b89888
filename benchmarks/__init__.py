"""How fast the kernels are, and against what.

One list of cases (`cases.py`), one list of contenders (`contenders.py`), two views:

    pytest benchmarks          every case and contender under pytest-benchmark, grouped by case
    python -m benchmarks       the contenders in turns, in tables of ratios beside goals; --json FILE keeps them

The command's forms:

    python -m benchmarks                             some kernels, against naive loops and the textbook's NumPy
    python -m benchmarks kernels --against torch     every kernel, against PyTorch and ONNX Runtime
    python -m benchmarks steps                       whole training steps and inference, with a profile of the step
    python -m benchmarks cold                        importing, and first steps with kernels compiled or not
    python -m benchmarks chart RESULTS.json … -o X   an SVG of what --json kept
"""
