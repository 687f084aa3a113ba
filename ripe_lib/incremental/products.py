"""Matrix products inside compiled loops, without the GIL and without a call into a library.

The products here are small (one window, a few alternatives) and follow each other while their operands are in the
cache, which no BLAS call from Python can do; NumPy's OpenBLAS moreover does not know the wide vectors of new processors
(about 100 of 200 GFLOP/s and core on an AMD EPYC with AVX-512). The inner loop is written as LLVM instructions because
a compiler does not keep a tile of sums in registers by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

PADDING = 16  # columns of a right-hand matrix come in multiples of this
# A tile of ROWS x (VECTORS x LANES) sums has to fit the vector registers: 32 of 16 numbers with AVX-512, else 16 of 8.
_HAS_AVX512 = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
ROWS, LANES, VECTORS = (6, 16, 4) if _HAS_AVX512 else (6, 8, 2)
RUN = 128  # products summed before they are added to the rest: long sums stay as exact as blocked ones


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first use and keep the code on disk, where there is a place for it."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"nsz", "contract"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return numba.njit(**options)(function)


def _tile(rows: int, vectors: int) -> Any:
    """Return ``f(a, at, step, b, at, step, bias, at, c, at, step, k)``: C[rows, vectors] = bias + A[rows, k] @ B[k].

    All arrays are flat; ``at`` and ``step`` count numbers. Rows of A may overlap: a convolution is such a product.
    """

    @intrinsic
    def tile(typing, a, a_at, a_step, b, b_at, b_step, bias, bias_at, c, c_at, c_step, k):  # type: ignore[no-untyped-def]
        flat, count = numba.float32[::1], numba.intp
        signature = numba.void(flat, count, count, flat, count, count, flat, count, flat, count, count, count)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vector = ir.VectorType(ir.FloatType(), LANES)
            lane, whole = ir.IntType(32), arguments[1].type
            fused = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{LANES}f32"
            )
            nowhere = ir.Constant(vector, ir.Undefined)
            everywhere = ir.Constant(ir.VectorType(lane, LANES), [0] * LANES)

            def pointer(which: int, at: Any) -> Any:
                array = context.make_array(signature.args[which])(context, builder, arguments[which])
                return builder.gep(array.data, [at])

            def place(base: Any, at: Any) -> Any:
                return builder.bitcast(builder.gep(base, [at]), vector.as_pointer())

            def constant(value: int) -> Any:
                return ir.Constant(whole, value)

            a, b, bias, c = (pointer(which, arguments[which + 1]) for which in (0, 3, 6, 8))
            a_step, b_step, c_step, n = (arguments[which] for which in (2, 5, 10, 11))
            a_rows = [builder.gep(a, [builder.mul(a_step, constant(r))]) for r in range(rows)]
            c_rows = [builder.gep(c, [builder.mul(c_step, constant(r))]) for r in range(rows)]
            for v in range(vectors):
                start = builder.load(place(bias, constant(v * LANES)), align=4)
                for c_row in c_rows:
                    builder.store(start, place(c_row, constant(v * LANES)), align=4)
            sums = [[cgutils.alloca_once(builder, vector) for _ in range(vectors)] for _ in range(rows)]
            n_runs = builder.sdiv(builder.add(n, constant(RUN - 1)), constant(RUN))
            with cgutils.for_range(builder, n_runs, intp=whole) as runs:
                for total in itertools.chain(*sums):
                    builder.store(ir.Constant(vector, [0.0] * LANES), total)
                begin = builder.mul(runs.index, constant(RUN))
                left = builder.sub(n, begin)
                length = builder.select(builder.icmp_signed("<", left, constant(RUN)), left, constant(RUN))
                with cgutils.for_range(builder, length, intp=whole) as loop:
                    at = builder.add(begin, loop.index)
                    b_row = builder.gep(b, [builder.mul(at, b_step)])
                    factors = [builder.load(place(b_row, constant(v * LANES)), align=4) for v in range(vectors)]
                    for a_row, row in zip(a_rows, sums, strict=True):
                        value = builder.load(builder.gep(a_row, [at]), align=4)
                        one = builder.insert_element(nowhere, value, ir.Constant(lane, 0))
                        spread = builder.shuffle_vector(one, nowhere, everywhere)
                        for total, factor in zip(row, factors, strict=True):
                            builder.store(builder.call(fused, [spread, factor, builder.load(total)]), total)
                for c_row, row in zip(c_rows, sums, strict=True):
                    for v, total in enumerate(row):
                        target = place(c_row, constant(v * LANES))
                        builder.store(builder.fadd(builder.load(target, align=4), builder.load(total)), target, align=4)
            return context.get_dummy_value()

        return signature, generate

    return tile


_many4, _many3, _many2, _many1 = (_tile(ROWS, min(n, VECTORS)) for n in (4, 3, 2, 1))
_one4, _one3, _one2, _one1 = (_tile(1, min(n, VECTORS)) for n in (4, 3, 2, 1))


@compiled
def product(a, a_at, a_step, b, b_at, n_columns, bias, c, c_at, c_step, n_rows, k):  # type: ignore[no-untyped-def]
    """Write ``bias + A @ B``.

    Parameters
    ----------
    a : float32 array, flat
        A (n_rows, k): row ``r`` begins at ``a_at + r a_step``; rows may overlap.
    b : float32 array, flat
        B (k, n_columns) from ``b_at``; ``n_columns`` is a multiple of :data:`PADDING`.
    bias : float32 array (n_columns,)
    c : float32 array, flat
        C (n_rows, n_columns): row ``r`` begins at ``c_at + r c_step``. Its rows do not overlap A.

    Notes
    -----
    Each number is one sum in the order of ``k``, whatever the tile it falls into: equal rows give equal results.
    """
    at = 0
    while at < n_columns:
        vectors = min(VECTORS, (n_columns - at) // LANES)
        row = 0
        while row < n_rows:
            many = n_rows >= ROWS
            first = min(row, n_rows - ROWS) if many else row  # the last tile may repeat rows of the one before
            a_row, c_row = a_at + first * a_step, c_at + first * c_step + at
            if many:
                if vectors == 4:
                    _many4(a, a_row, a_step, b, b_at + at, n_columns, bias, at, c, c_row, c_step, k)
                elif vectors == 3:
                    _many3(a, a_row, a_step, b, b_at + at, n_columns, bias, at, c, c_row, c_step, k)
                elif vectors == 2:
                    _many2(a, a_row, a_step, b, b_at + at, n_columns, bias, at, c, c_row, c_step, k)
                else:
                    _many1(a, a_row, a_step, b, b_at + at, n_columns, bias, at, c, c_row, c_step, k)
                row += ROWS
            else:
                if vectors == 4:
                    _one4(a, a_row, a_step, b, b_at + at, n_columns, bias, at, c, c_row, c_step, k)
                elif vectors == 3:
                    _one3(a, a_row, a_step, b, b_at + at, n_columns, bias, at, c, c_row, c_step, k)
                elif vectors == 2:
                    _one2(a, a_row, a_step, b, b_at + at, n_columns, bias, at, c, c_row, c_step, k)
                else:
                    _one1(a, a_row, a_step, b, b_at + at, n_columns, bias, at, c, c_row, c_step, k)
                row += 1
        at += vectors * LANES
