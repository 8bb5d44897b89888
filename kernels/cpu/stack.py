"""Small arrays on the stack: sums and parameters of one stretch of channels.

A loop that stores into an array while it loads from others is vectorised only where the compiler can tell that they
do not overlap. Heap arrays it must compare at run time, and of more than a handful it gives up; what lies on the
stack and never leaves the function overlaps with nothing.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

#: Elements of a stack array: 1 KiB in float32, so that half a dozen leave the first-level cache to the data.
TILE = 256


@intrinsic
def stack_array(typing_context: Any, like: Any) -> Any:
    """An uninitialised array of `TILE` elements of `like`'s type; it lives until the function returns."""
    kind = types.Array(like.dtype, 1, "C")

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        element = context.get_data_type(kind.dtype)
        memory = cgutils.alloca_once(builder, ir.ArrayType(element, TILE))
        size = ir.Constant(context.get_value_type(types.intp), context.get_abi_sizeof(element))
        array = context.make_array(kind)(context, builder)
        populate_array(
            array,
            data=builder.bitcast(memory, array.data.type),
            shape=cgutils.pack_array(builder, [ir.Constant(size.type, TILE)]),
            strides=cgutils.pack_array(builder, [size]),
            itemsize=size,
            meminfo=None,
        )
        return array._getvalue()

    return kind(like), generate
