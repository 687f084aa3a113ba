"""Matrix products inside compiled loops, without the GIL and without a call into a library.

The products here are small (one window, a few alternatives) and follow each other while their operands are in the
cache, which no BLAS call from Python can do; NumPy's OpenBLAS moreover does not know the wide vectors of new processors
(about 100 of 200 GFLOP/s and core on an AMD EPYC with AVX-512). The inner loop is written as LLVM instructions because
a compiler does not keep a tile of sums in registers by itself.
"""

from __future__ import annotations

import itertools
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from ripe_lib.output.compiled import compiled

PADDING = 16  # columns of a right-hand matrix come in multiples of this
# A tile of ROWS x (VECTORS x LANES) sums has to fit the vector registers: 32 of 16 numbers with AVX-512, else 16 of 8.
_HAS_AVX512 = bool(llvmlite.binding.get_host_cpu_features().get("avx512f"))
ROWS, LANES, VECTORS = (6, 16, 4) if _HAS_AVX512 else (6, 8, 2)
RUN = 128  # products summed before they are added to the rest: long sums stay as exact as blocked ones


class _Emitter:
    """Writes instructions on runs of :data:`LANES` numbers of flat float32 arrays."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.context, self.builder, self.signature, self.arguments = context, builder, signature, arguments
        self.vector = ir.VectorType(ir.FloatType(), LANES)
        self.lane = ir.IntType(32)
        self.whole = context.get_value_type(numba.intp)
        self.nowhere = ir.Constant(self.vector, ir.Undefined)

    def constant(self, value: int) -> Any:
        return ir.Constant(self.whole, value)

    def pointer(self, which: int, at: Any) -> Any:
        """Return the address of number ``at`` of an array argument."""
        array = self.context.make_array(self.signature.args[which])(self.context, self.builder, self.arguments[which])
        return self.builder.gep(array.data, [at])

    def place(self, base: Any, at: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(base, [at]), self.vector.as_pointer())

    def load(self, base: Any, at: Any) -> Any:
        return self.builder.load(self.place(base, at), align=4)

    def store(self, value: Any, base: Any, at: Any) -> None:
        self.builder.store(value, self.place(base, at), align=4)

    def spread(self, number: Any) -> Any:
        one = self.builder.insert_element(self.nowhere, number, ir.Constant(self.lane, 0))
        everywhere = ir.Constant(ir.VectorType(self.lane, LANES), [0] * LANES)
        return self.builder.shuffle_vector(one, self.nowhere, everywhere)

    def larger(self, one: Any, other: Any) -> Any:
        return self.builder.select(self.builder.fcmp_ordered(">", one, other), one, other)

    def variable(self) -> Any:
        return cgutils.alloca_once(self.builder, self.vector)

    def loop(self, n: Any) -> Any:
        return cgutils.for_range(self.builder, n, intp=self.whole)

    def done(self) -> Any:
        return self.context.get_dummy_value()


_FLAT, _COUNT, _NUMBER = numba.float32[::1], numba.intp, numba.float32


def _tile(rows: int, vectors: int) -> Any:
    """Return ``f(a, at, step, b, at, step, bias, at, c, at, step, k)``: C[rows, vectors] = bias + A[rows, k] @ B[k].

    All arrays are flat; ``at`` and ``step`` count numbers. Rows of A may overlap: a convolution is such a product.
    """

    @intrinsic
    def tile(typing, a, a_at, a_step, b, b_at, b_step, bias, bias_at, c, c_at, c_step, k):  # type: ignore[no-untyped-def]
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            e = _Emitter(context, builder, signature, arguments)
            fused = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(e.vector, [e.vector] * 3), f"llvm.fma.v{LANES}f32"
            )
            a, b, bias, c = (e.pointer(which, arguments[which + 1]) for which in (0, 3, 6, 8))
            a_step, b_step, c_step, n = (arguments[which] for which in (2, 5, 10, 11))
            a_rows = [builder.gep(a, [builder.mul(a_step, e.constant(r))]) for r in range(rows)]
            c_rows = [builder.gep(c, [builder.mul(c_step, e.constant(r))]) for r in range(rows)]
            columns = [e.constant(v * LANES) for v in range(vectors)]
            for column in columns:
                start = e.load(bias, column)
                for c_row in c_rows:
                    e.store(start, c_row, column)
            sums = [[e.variable() for _ in columns] for _ in a_rows]
            n_runs = builder.sdiv(builder.add(n, e.constant(RUN - 1)), e.constant(RUN))
            with e.loop(n_runs) as runs:
                for total in itertools.chain(*sums):
                    builder.store(ir.Constant(e.vector, [0.0] * LANES), total)
                begin = builder.mul(runs.index, e.constant(RUN))
                left = builder.sub(n, begin)
                length = builder.select(builder.icmp_signed("<", left, e.constant(RUN)), left, e.constant(RUN))
                with e.loop(length) as inner:
                    at = builder.add(begin, inner.index)
                    b_row = builder.gep(b, [builder.mul(at, b_step)])
                    factors = [e.load(b_row, column) for column in columns]
                    for a_row, row in zip(a_rows, sums, strict=True):
                        value = e.spread(builder.load(builder.gep(a_row, [at]), align=4))
                        for total, factor in zip(row, factors, strict=True):
                            builder.store(builder.call(fused, [value, factor, builder.load(total)]), total)
                for c_row, row in zip(c_rows, sums, strict=True):
                    for column, total in zip(columns, row, strict=True):
                        e.store(builder.fadd(e.load(c_row, column), builder.load(total)), c_row, column)
            return e.done()

        matrix = [_FLAT, _COUNT, _COUNT]
        return numba.void(*matrix, *matrix, _FLAT, _COUNT, *matrix, _COUNT), generate

    return tile


@intrinsic
def sum_of_rows(typing, table, first, second, third, out, out_at, n):  # type: ignore[no-untyped-def]
    """Write ``table[first:][:n] + table[second:][:n] + table[third:][:n]``; ``n`` a multiple of :data:`PADDING`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        e = _Emitter(context, builder, signature, arguments)
        rows = [e.pointer(0, at) for at in arguments[1:4]]
        out = e.pointer(4, arguments[5])
        with e.loop(builder.sdiv(arguments[6], e.constant(LANES))) as loop:
            at = builder.mul(loop.index, e.constant(LANES))
            first, second, third = (e.load(row, at) for row in rows)
            e.store(builder.fadd(builder.fadd(first, second), third), out, at)
        return e.done()

    return numba.void(_FLAT, _COUNT, _COUNT, _COUNT, _FLAT, _COUNT, _COUNT), generate


@intrinsic
def largest_of_rows(typing, rows, at, step, n_rows, floor, out, out_at, n):  # type: ignore[no-untyped-def]
    """Write the maximum of ``floor`` and ``n_rows`` rows of ``n`` numbers; ``n`` a multiple of :data:`PADDING`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        e = _Emitter(context, builder, signature, arguments)
        rows, out, step = e.pointer(0, arguments[1]), e.pointer(5, arguments[6]), arguments[2]
        floor, largest = e.spread(arguments[4]), e.variable()
        with e.loop(builder.sdiv(arguments[7], e.constant(LANES))) as loop:
            at = builder.mul(loop.index, e.constant(LANES))
            builder.store(floor, largest)
            with e.loop(arguments[3]) as inner:
                value = e.load(rows, builder.add(at, builder.mul(inner.index, step)))
                builder.store(e.larger(value, builder.load(largest)), largest)
            e.store(builder.load(largest), out, at)
        return e.done()

    return numba.void(_FLAT, _COUNT, _COUNT, _COUNT, _NUMBER, _FLAT, _COUNT, _COUNT), generate


@intrinsic
def combine_rows(typing, a, a_at, b, b_at, subtract, out, out_at, n):  # type: ignore[no-untyped-def]
    """Write ``a - b`` if ``subtract``, else ``a + b``, of runs of ``n`` numbers; a multiple of :data:`PADDING`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        e = _Emitter(context, builder, signature, arguments)
        a, b, out = e.pointer(0, arguments[1]), e.pointer(2, arguments[3]), e.pointer(5, arguments[6])
        with e.loop(builder.sdiv(arguments[7], e.constant(LANES))) as loop:
            at = builder.mul(loop.index, e.constant(LANES))
            one, other = e.load(a, at), e.load(b, at)
            e.store(builder.select(arguments[4], builder.fsub(one, other), builder.fadd(one, other)), out, at)
        return e.done()

    return numba.void(_FLAT, _COUNT, _FLAT, _COUNT, numba.boolean, _FLAT, _COUNT, _COUNT), generate


_WIDE, _THREE = VECTORS, min(3, VECTORS)
_six_wide, _six_three, _six_one = (_tile(ROWS, n) for n in (_WIDE, _THREE, 1))
_four_wide, _four_three, _four_one = (_tile(4, n) for n in (_WIDE, _THREE, 1))
_one_wide, _one_three, _one_one = (_tile(1, n) for n in (_WIDE, _THREE, 1))


@compiled
def product(a, a_at, a_step, b, b_at, b_step, n_columns, bias, c, c_at, c_step, n_rows, k):  # type: ignore[no-untyped-def]
    """Write ``bias + A @ B``.

    Parameters
    ----------
    a : float32 array, flat
        A (n_rows, k): row ``r`` begins at ``a_at + r a_step``; rows may overlap.
    b : float32 array, flat
        B (k, n_columns): row ``r`` begins at ``b_at + r b_step``; ``n_columns`` is a multiple of :data:`PADDING`.
    bias : float32 array (n_columns,)
    c : float32 array, flat
        C (n_rows, n_columns): row ``r`` begins at ``c_at + r c_step``.

    Notes
    -----
    Each number is one sum in the order of ``k``, whatever the tile it falls into: equal rows give equal results.
    """
    tile = 4 if n_rows in (4, 5, 8) else ROWS if n_rows >= ROWS else 1
    at = 0
    while at < n_columns:
        left = (n_columns - at) // LANES
        vectors = _THREE if left in (3, 6) else _WIDE if left >= _WIDE else 1
        row = 0
        while row < n_rows:
            first = min(row, n_rows - tile)  # the last tile may repeat rows of the one before
            x, y, z = a_at + first * a_step, b_at + at, c_at + first * c_step + at
            if tile == ROWS:
                if vectors == _WIDE:
                    _six_wide(a, x, a_step, b, y, b_step, bias, at, c, z, c_step, k)
                elif vectors == _THREE:
                    _six_three(a, x, a_step, b, y, b_step, bias, at, c, z, c_step, k)
                else:
                    _six_one(a, x, a_step, b, y, b_step, bias, at, c, z, c_step, k)
            elif tile == 4:
                if vectors == _WIDE:
                    _four_wide(a, x, a_step, b, y, b_step, bias, at, c, z, c_step, k)
                elif vectors == _THREE:
                    _four_three(a, x, a_step, b, y, b_step, bias, at, c, z, c_step, k)
                else:
                    _four_one(a, x, a_step, b, y, b_step, bias, at, c, z, c_step, k)
            elif vectors == _WIDE:
                _one_wide(a, x, a_step, b, y, b_step, bias, at, c, z, c_step, k)
            elif vectors == _THREE:
                _one_three(a, x, a_step, b, y, b_step, bias, at, c, z, c_step, k)
            else:
                _one_one(a, x, a_step, b, y, b_step, bias, at, c, z, c_step, k)
            row += tile
        at += vectors * LANES
