"""How the emulation's own tests compile and launch kernels of a few lines."""

from collections.abc import Callable
from typing import Any

from tests import emulation

cp = emulation.stand_in()


def kernel(code: str, name: str = "kernel", *defines: str) -> Callable[..., None]:
    options = ("-std=c++17", *(f"-D{define}" for define in defines))
    return cp.RawModule(code=code, options=options).get_function(name)


def run(
    body: str,
    *arguments: Any,
    parameters: str = "float* y, int n",
    grid: tuple[int, ...] = (2,),
    block: tuple[int, ...] = (64,),
    shared: int = 0,
) -> None:
    code = f'extern "C" __global__ void kernel({parameters}) {{\n{body}\n}}\n'
    kernel(code)(grid, block, arguments, shared_mem=shared)
