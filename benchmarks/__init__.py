"""How fast the kernels are, and against what.

One list of cases (`cases.py`), one list of contenders (`contenders.py`), two views:

    pytest benchmarks          every case and contender under pytest-benchmark, grouped by case
    python -m benchmarks       the contenders interleaved, in a table of ratios; --json FILE keeps the samples
"""
