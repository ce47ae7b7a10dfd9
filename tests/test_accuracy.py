"""Every elementwise operation and its first and second derivatives, against exact arithmetic.

The points are spread evenly over all exponents of a dtype, and lie closer together where functions
bend. The exact results there are computed once, with 50 digits. An error is counted in ulps: steps
from one number of the dtype to the next, at the exact result. Below the smallest normal number a
step is the smallest subnormal number, and infinity counts as the number after the largest one.
`accuracy.md` states the worst error that is allowed for each operation, as a table to read.

Poles are not compared, and neither are slopes of values too large for the dtype. Where the result
is not real, only the value is checked: it is nan. test_operations.py and test_torch.py check what
operations give at such points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from domains import DOMAINS

from microgd import Value, gradients, operations
from microgd.registry import OPERATIONS

mpmath = pytest.importorskip("mpmath")
mp = mpmath.MPContext()
mp.dps = 50

ELEMENTWISE = sorted(name for name in OPERATIONS if name in DOMAINS and DOMAINS[name].elementwise)
DTYPES = [np.float32, np.float64]


# ── Exact results ─────────────────────────────────────────────────────────────────────────────────
def _sigmoid_slope(x):
    return 0.25 * mp.sech(x / 2) ** 2


def _root(x):
    """sqrt(1 - x²)."""
    return mp.sqrt((1 - x) * (1 + x))


def _other_root(x):
    """sqrt(x² - 1), where x is at least 1."""
    return mp.sqrt(x - 1) * mp.sqrt(x + 1)


def _cube_root(x):
    return mp.sign(x) * mp.cbrt(abs(x))


def _power(x, y):
    if x > 0 and abs(y) > 1000:  # mpmath would compute a whole power by repeated multiplication
        return mp.exp(y * mp.log(x))
    if x < 0 and abs(y) > 1000 and y == int(y):
        return _power(-x, y) * (-1) ** (int(y) % 2)
    return mp.power(x, y)


def _choice(is_x):
    """The larger or smaller of two numbers; where they are equal, each gets half of the slope."""
    return [
        lambda x, y: x if is_x(x, y) else y,
        lambda x, y: mp.mpf(is_x(x, y) + (not is_x(y, x))) / 2,
        lambda x, y: mp.mpf(is_x(y, x) + (not is_x(x, y))) / 2,
        *[lambda x, y: mp.zero] * 3,
    ]


def _one(*x):
    return mp.one


def _none(*x):
    return mp.zero


LN2, LN10 = mp.ln2, mp.ln10
# Value, slope and second derivative; for two operands the value, the slopes by x and y, and the
# second derivatives xx, xy and yy. No subtraction here loses more than 50 digits can spare.
EXACT: dict[str, list[Callable[..., Any]]] = {
    "add": [lambda x, y: x + y, _one, _one, _none, _none, _none],
    "subtract": [lambda x, y: x - y, _one, lambda x, y: -mp.one, _none, _none, _none],
    "multiply": [lambda x, y: x * y, lambda x, y: y, lambda x, y: x, _none, _one, _none],
    "divide": [
        lambda x, y: x / y, lambda x, y: 1 / y, lambda x, y: -x / y**2,
        lambda x, y: mp.zero if y else 1 / y, lambda x, y: -1 / y**2, lambda x, y: 2 * x / y**3,
    ],
    "power": [
        _power, lambda x, y: y * _power(x, y - 1), lambda x, y: _power(x, y) * mp.log(x),
        lambda x, y: y * (y - 1) * _power(x, y - 2),
        lambda x, y: _power(x, y - 1) * (1 + y * mp.log(x)),
        lambda x, y: _power(x, y) * mp.log(x) ** 2,
    ],
    "logaddexp": [
        lambda x, y: max(x, y) + mp.log1p(mp.exp(-abs(x - y))),
        lambda x, y: 1 / (1 + mp.exp(y - x)), lambda x, y: 1 / (1 + mp.exp(x - y)),
        lambda x, y: _sigmoid_slope(x - y), lambda x, y: -_sigmoid_slope(x - y),
        lambda x, y: _sigmoid_slope(x - y),
    ],
    "maximum": _choice(lambda x, y: x > y),
    "minimum": _choice(lambda x, y: x < y),
    "negative": [lambda x: -x, lambda x: -mp.one, _none],
    "positive": [lambda x: x, _one, _none],
    "sign": [mp.sign, _none, _none],
    "absolute": [abs, mp.sign, _none],
    "relu": [lambda x: max(x, mp.zero), lambda x: mp.mpf(x > 0), _none],
    "square": [lambda x: x**2, lambda x: 2 * x, lambda x: mp.mpf(2)],
    "sqrt": [mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x)), lambda x: -1 / (4 * x * mp.sqrt(x))],
    "exp": [mp.exp] * 3,
    "exp2": [lambda x: mp.exp(x * LN2), lambda x: mp.exp(x * LN2) * LN2, lambda x: mp.exp(x * LN2) * LN2**2],
    "expm1": [mp.expm1, mp.exp, mp.exp],
    "log": [mp.log, lambda x: 1 / x, lambda x: -1 / x**2],
    "log2": [lambda x: mp.log(x) / LN2, lambda x: 1 / (x * LN2), lambda x: -1 / (x**2 * LN2)],
    "log10": [lambda x: mp.log(x) / LN10, lambda x: 1 / (x * LN10), lambda x: -1 / (x**2 * LN10)],
    "log1p": [mp.log1p, lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2],
    "sin": [mp.sin, mp.cos, lambda x: -mp.sin(x)],
    "cos": [mp.cos, lambda x: -mp.sin(x), lambda x: -mp.cos(x)],
    "tan": [mp.tan, lambda x: mp.sec(x) ** 2, lambda x: 2 * mp.tan(x) * mp.sec(x) ** 2],
    "arcsin": [mp.asin, lambda x: 1 / _root(x), lambda x: x / _root(x) ** 3],
    "arccos": [mp.acos, lambda x: -1 / _root(x), lambda x: -x / _root(x) ** 3],
    "arctan": [mp.atan, lambda x: 1 / (1 + x**2), lambda x: -2 * x / (1 + x**2) ** 2],
    "sinh": [mp.sinh, mp.cosh, mp.sinh],
    "cosh": [mp.cosh, mp.sinh, mp.cosh],
    "tanh": [mp.tanh, lambda x: mp.sech(x) ** 2, lambda x: -2 * mp.tanh(x) * mp.sech(x) ** 2],
    "arcsinh": [mp.asinh, lambda x: 1 / mp.hypot(x, 1), lambda x: -x / mp.hypot(x, 1) ** 3],
    "arccosh": [mp.acosh, lambda x: 1 / _other_root(x), lambda x: -x / _other_root(x) ** 3],
    "arctanh": [mp.atanh, lambda x: 1 / ((1 - x) * (1 + x)), lambda x: 2 * x / ((1 - x) * (1 + x)) ** 2],
    "sigmoid": [lambda x: 1 / (1 + mp.exp(-x)), _sigmoid_slope, lambda x: -_sigmoid_slope(x) * mp.tanh(x / 2)],
    "_sech": [
        mp.sech, lambda x: -mp.tanh(x) * mp.sech(x),
        lambda x: mp.sech(x) * (mp.tanh(x) ** 2 - mp.sech(x) ** 2),
    ],
    "_half_sech": [
        lambda x: mp.sech(x / 2) / 2, lambda x: -mp.tanh(x / 2) * mp.sech(x / 2) / 4,
        lambda x: mp.sech(x / 2) * (mp.tanh(x / 2) ** 2 - mp.sech(x / 2) ** 2) / 8,
    ],
    "_hypotenuse": [
        lambda x: mp.hypot(x, 1), lambda x: x / mp.hypot(x, 1), lambda x: 1 / mp.hypot(x, 1) ** 3,
    ],
    "_one_minus_square": [lambda x: (1 - x) * (1 + x), lambda x: -2 * x, lambda x: -mp.mpf(2)],
    "arctan2": [
        mp.atan2, lambda y, x: x / (x**2 + y**2), lambda y, x: -y / (x**2 + y**2),
        lambda y, x: -2 * x * y / (x**2 + y**2) ** 2, lambda y, x: (y - x) * (y + x) / (x**2 + y**2) ** 2,
        lambda y, x: 2 * x * y / (x**2 + y**2) ** 2,
    ],
    "hypot": [
        mp.hypot, lambda x, y: x / mp.hypot(x, y), lambda x, y: y / mp.hypot(x, y),
        lambda x, y: y**2 / mp.hypot(x, y) ** 3, lambda x, y: -x * y / mp.hypot(x, y) ** 3,
        lambda x, y: x**2 / mp.hypot(x, y) ** 3,
    ],
    "cbrt": [_cube_root, lambda x: 1 / (3 * _cube_root(x) ** 2), lambda x: -2 / (9 * _cube_root(x) ** 5)],
    "floor": [mp.floor, _none, _none],
    "ceil": [mp.ceil, _none, _none],
    "trunc": [lambda x: mp.sign(x) * mp.floor(abs(x)), _none, _none],
    "rint": [mp.nint, _none, _none],
}  # fmt: skip

# A sum that can be 0 is only as precise as its larger term. For these results the error is counted
# in ulps of that term.
TERMS: dict[tuple[str, int], Callable[..., Any]] = {
    ("logaddexp", 0): lambda x, y: max(x, y),
    ("power", 4): lambda x, y: _power(x, y - 1) * max(mp.one, abs(y * mp.log(x))),
    ("_sech", 2): mp.sech,
    ("_half_sech", 2): lambda x: mp.sech(x / 2) / 8,
    ("_hypotenuse", 2): lambda x: 1 / mp.hypot(x, 1),
    ("hypot", 3): lambda x, y: 1 / mp.hypot(x, y),
    ("hypot", 5): lambda x, y: 1 / mp.hypot(x, y),
    ("arctan2", 3): lambda y, x: 1 / (x**2 + y**2),
    ("arctan2", 4): lambda y, x: 1 / (x**2 + y**2),
    ("arctan2", 5): lambda y, x: 1 / (x**2 + y**2),
}


@np.errstate(all="ignore")
def _hard_power(x, y, info):
    """Where y - 1 rounds to y, which flips the sign, or an intermediate power is out of range."""
    exponents = np.maximum(np.abs(y), np.abs(y - 2)) * np.abs(np.log2(np.abs(x)))
    rounded = (x < 0) & (np.abs(y) > 2.0**info.nmant)
    return rounded | (exponents > info.maxexp - 3) | (x == 0)  # 0**y is a matter of convention


@np.errstate(all="ignore")
def _steep_angle(y, x, info):
    """Where 1 / (x² + y²), a term of the second derivatives, is out of range."""
    return np.hypot(x, y) < 2.0 ** (1 - info.maxexp / 2)


LEFT_OUT = {"power": _hard_power, "arctan2": _steep_angle}  # where derivatives are not compared


# ── Points ────────────────────────────────────────────────────────────────────────────────────────
def spread(exponents, rng):
    """A positive and a negative number for every exponent."""
    found = np.ldexp(rng.uniform(1, 2, len(exponents)), exponents.astype(int))
    return np.concatenate([found, -found])


def all_exponents(dtype, count):
    """`count` exponents over the whole range of the dtype, including subnormal numbers."""
    info = np.finfo(dtype)
    return np.linspace(info.minexp - info.nmant, info.maxexp - 1, count)


def points(dtype, many):
    """Points for operations on one operand."""
    info, rng = np.finfo(dtype), np.random.default_rng(0)
    near_one = 2.0 ** -np.arange(1, info.nmant + 1)
    turns = np.pi / 2 * np.array([*range(1, 9), 25, 1000, 12345, 1e6 + 1])
    # Beyond this exp is infinite; beyond twice this, tails are 0.
    end_of_exp = info.maxexp * np.log(2)
    tails = np.linspace(0, 2.2 * end_of_exp, 40 * many)
    critical = np.concatenate([1 - near_one, 1 + near_one, turns, tails])
    everywhere = spread(all_exponents(dtype, 160 * many), rng)
    middle = spread(np.repeat(np.arange(-25, 8), 4 * many), rng)
    edges = [0.0, info.smallest_subnormal, info.tiny, info.max]
    return np.concatenate([everywhere, middle, critical, -critical, edges]).astype(dtype)


def pairs(dtype, many):
    """Points for operations on two operands: a grid, and pairs where functions bend."""
    info, rng = np.finfo(dtype), np.random.default_rng(0)
    edges = [0.0, info.smallest_subnormal, info.tiny, info.max, 1.0, -1.0, 2.0, 3.0]
    line = np.concatenate([spread(all_exponents(dtype, 20 * many), rng), edges])
    x, y = np.meshgrid(line, line)
    n = 150 * many
    some = spread(rng.integers(-8, 8, n), rng)
    nearly_the_same = some * (1 + 2.0 ** -rng.uniform(0, info.nmant, 2 * n))
    end_of_exp = 1.1 * info.maxexp * np.log(2)
    straight = rng.uniform(-end_of_exp, end_of_exp, (3, n))
    bases, exponents = 2.0 ** rng.uniform(-8, 8, n), rng.uniform(-20, 20, n)
    x = np.concatenate([x.ravel(), some, straight[0], bases, rng.uniform(0.5, 2, n)])
    y = np.concatenate([y.ravel(), nearly_the_same, straight[1], exponents, straight[2]])
    return x.astype(dtype), y.astype(dtype)


# ── Errors ────────────────────────────────────────────────────────────────────────────────────────
@dataclass
class Exact:
    """Exact results, each a sum of two float64 numbers, and the sizes at which ulps are counted."""

    high: Any
    low: Any
    size: Any

    def __getitem__(self, where):
        return Exact(self.high[where], self.low[where], self.size[where])


def exactly(name, order, *operands):
    """The exact results: nan where there is no real result, nan of infinite size at a pole."""
    found = np.zeros((3, operands[0].size))
    term = TERMS.get((name, order))
    for i, point in enumerate(zip(*(x.astype(float).tolist() for x in operands), strict=True)):
        point = [mp.mpf(x) for x in point]
        try:
            result = EXACT[name][order](*point)
            result = mp.nan if isinstance(result, mp.mpc) else result
            high = float(result)
            size = max(abs(high), abs(float(term(*point)))) if term else abs(high)
            found[:, i] = high, float(result - high) if np.isfinite(high) else 0.0, size
        except (ZeroDivisionError, ValueError, TypeError):
            found[:, i] = np.nan, np.nan, np.inf
    return Exact(*found)


@np.errstate(all="ignore")
def ulps(got, exact, dtype):
    """The errors in ulps of the exact result, or of its size."""
    info, got = np.finfo(dtype), np.asarray(got, float)
    size = np.where(np.isfinite(exact.size), exact.size, info.max)
    exponent = np.clip(np.frexp(size)[1], info.minexp + 1, info.maxexp)

    def scaled(x):  # so that nothing overflows; infinity becomes the number after the largest
        end = np.ldexp(1.0, info.maxexp - exponent)
        return np.clip(np.where(np.isinf(x), x, np.ldexp(x, -exponent)), -end, end)

    off = scaled(got) - scaled(exact.high)
    beyond = np.abs(exact.high) > info.max
    off -= np.where(beyond, 0.0, np.ldexp(exact.low, -exponent))
    return np.where(np.isnan(got), np.inf, np.abs(off) * 2.0 ** (info.nmant + 1))


# ── Results of microgd ────────────────────────────────────────────────────────────────────────────
PARTS = {
    1: ["value", "slope", "second"],
    2: ["value", "slope", "slope", "second", "second", "second"],
}


@cache
def truth(name, many):
    """For each dtype, operands and their exact values, slopes and second derivatives."""
    arity = len(OPERATIONS[name].rules)
    draw = points if arity == 1 else pairs
    given = [np.atleast_2d(np.array(draw(dtype, many), float)) for dtype in DTYPES]
    operands, n = np.concatenate(given, axis=1), given[0].shape[1]
    exact = [exactly(name, order, *operands) for order in range(len(EXACT[name]))]
    return {np.float32: (operands[:, :n], [x[:n] for x in exact]), np.float64: (operands, exact)}


def results(name, operands):
    """Each result: its place in EXACT, and what microgd gives for it."""
    values = [Value(x) for x in operands]
    out = DOMAINS[name].function(*values)
    yield 0, out.data
    for i, slope in enumerate(gradients((out * 1.0).sum(), values, create_graph=True)):
        yield 1 + i, slope.data
        for j, second in enumerate(gradients((slope * 1.0).sum(), values)):
            yield 1 + len(values) + i + j, second


def compared(name, operands, exact, order, dtype):
    """Where to compare: values where they are real, derivatives where the value is in range."""
    info = np.finfo(dtype)
    there = ~np.isnan(exact[order].high) & ~np.isnan(exact[0].high)
    if not order:
        return there
    there &= np.abs(exact[0].high) <= info.max
    if len(operands) == 2:
        for x in (*operands, exact[0].high):
            there &= (x == 0) | (np.abs(x) >= info.tiny)
    if name in LEFT_OUT:
        there &= ~LEFT_OUT[name](*operands, info)
    return there


def errors(name, dtype, many):
    """For each result its place in EXACT, the operands compared, and the errors in ulps."""
    operands, exact = truth(name, many)[dtype]
    for order, got in results(name, operands.astype(dtype)):
        where = compared(name, operands, exact, order, dtype)
        yield order, operands[:, where], ulps(got[where], exact[order][where], dtype)


# ── The table ─────────────────────────────────────────────────────────────────────────────────────
def stated():
    """The worst errors that `accuracy.md` states: by operation, dtype, and part."""
    rows = {}
    for line in Path(__file__).with_name("accuracy.md").read_text().splitlines():
        name, *cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) == 3 and all("·" in cell for cell in cells):
            both = zip(*(map(float, cell.split("·")) for cell in cells), strict=True)
            for dtype, figures in zip(DTYPES, both, strict=True):
                rows[name, dtype] = dict(zip(PARTS[1], figures, strict=True))
    return rows


STATED = stated()
# The tests of an operation share its exact results, so one worker runs them all.
every_operation = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ELEMENTWISE]
)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def assert_within(error, bound, operands, what):
    """Fail, and show the worst point, if any error is larger than the bound."""
    worst = np.argmax(error)
    point = operands[:, worst].tolist()
    assert error[worst] <= bound, f"{what}: {error[worst]:.3g} ulps, more than {bound}, at {point}"


def test_the_table_has_a_row_for_each_elementwise_operation_and_no_other():
    assert sorted({name for name, _ in STATED}) == ELEMENTWISE


def test_each_elementwise_operation_has_its_exact_function():
    assert sorted(EXACT) == ELEMENTWISE


@every_operation
@every_dtype
def test_values_and_derivatives_of_both_orders_are_as_near_to_exact_as_stated(name, dtype, size):
    with np.errstate(all="ignore"):
        for order, operands, error in errors(name, dtype, size(1, 3)):
            part = PARTS[len(operands)][order]
            assert_within(error, STATED[name, dtype][part], operands, f"{part} {order}")


@every_operation
def test_numbers_get_values_and_derivatives_as_near_to_exact(name, size):
    operands, exact = truth(name, size(1, 3))[np.float64]
    with np.errstate(all="ignore"):
        for i in range(0, operands.shape[1], 23):
            point, true = operands[:, i : i + 1], [x[i : i + 1] for x in exact]
            for order, got in results(name, point[:, 0].tolist()):
                if compared(name, point, true, order, np.float64):
                    part = PARTS[len(point)][order]
                    error = ulps([got], true[order], np.float64)
                    assert_within(error, STATED[name, np.float64][part], point, f"{part} {order}")


@every_operation
@every_dtype
def test_a_value_is_nan_where_there_is_none_that_is_real(name, dtype, size):
    operands, exact = truth(name, size(1, 3))[dtype]
    unreal = np.isnan(exact[0].high) & np.isnan(exact[0].size)
    with np.errstate(all="ignore"):
        (_, value), *_ = results(name, operands.astype(dtype))
    assert np.isnan(value[unreal]).all()


@every_operation
@every_dtype
@pytest.mark.parametrize("sign", [1, -1], ids=["large", "small"])
def test_slopes_stay_as_near_where_the_upstream_gradient_is_far_from_1(name, dtype, sign, size):
    operands, exact = truth(name, size(1, 3))[dtype]
    third = np.finfo(dtype).maxexp // 3
    values = [Value(x) for x in operands.astype(dtype)]
    g, bound = 2.0 ** (sign * third), STATED[name, dtype]["slope"]
    with np.errstate(all="ignore"):
        found = gradients((DOMAINS[name].function(*values) * dtype(g)).sum(), values)
    for order, slope in enumerate(found, 1):
        where = compared(name, operands, exact, order, dtype)
        where &= (exact[order].size < 2.0**third) & (exact[order].size > 2.0**-third)
        if where.any():
            true = exact[order][where]
            error = ulps(slope[where], Exact(true.high * g, true.low * g, true.size * g), dtype)
            assert_within(error, bound, operands[:, where], f"slope {order}")


@every_operation
@every_dtype
def test_no_rule_warns_where_the_slope_is_in_range(name, dtype, size):
    operands, exact = truth(name, size(1, 3))[dtype]
    largest = np.finfo(dtype).max
    there = np.ones(operands.shape[1], bool)
    for order in range(1, 1 + len(operands)):
        there &= compared(name, operands, exact, order, dtype)
        there &= np.abs(exact[order].high) <= largest
    if name == "logaddexp":  # np.logaddexp also warns when x - y is out of range
        there &= np.abs(operands[0] / 2 - operands[1] / 2) <= largest / 2
    values = [Value(x) for x in operands[:, there].astype(dtype)]
    with np.errstate(all="ignore"):
        total = DOMAINS[name].function(*values).sum()
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        slopes = gradients(total, values)
    assert [slope.size for slope in slopes] == [there.sum()] * len(operands)


# ── Special cases ─────────────────────────────────────────────────────────────────────────────────
@every_dtype
def test_the_softpluss_derivatives_are_as_near_to_exact_as_the_sigmoid_and_its_slope(dtype, size):
    operands, exact = truth("sigmoid", size(1, 3))[dtype]
    x = Value(operands[0].astype(dtype))
    with np.errstate(all="ignore"):
        (slope,) = gradients(operations.logaddexp(x, 0.0).sum(), [x], create_graph=True)
        (second,) = gradients(slope.sum(), [x])
    for part, got, true in (("value", slope.data, exact[0]), ("slope", second, exact[1])):
        assert_within(ulps(got, true, dtype), STATED["sigmoid", dtype][part], operands, part)


# Slopes where an intermediate result may overflow, vanish, or lose its last digits: the operation,
# its operands, the upstream gradient, the index of one operand, and that operand's slope.
TRAPS = [
    ("tanh", [10.0], 1.0, 0, 8.244614480129478e-09),
    ("sigmoid", [20.0], 1.0, 0, 2.061153613941849e-09),
    ("expm1", [-20.0], 1.0, 0, 2.061153622438558e-09),
    ("arcsin", [1 - 2896 * 2.0**-24], 1.0, 0, 53.822567814153295),
    ("arccos", [1 - 2896 * 2.0**-24], 1.0, 0, -53.822567814153295),
    ("arctanh", [1 - 2896 * 2.0**-24], 1.0, 0, 2896.8688061091307),
    ("arctan", [1e20], 1e30, 0, 1e-10),
    ("arcsinh", [1e20], 1.0, 0, 1e-20),
    ("arccosh", [1e20], 1.0, 0, 1e-20),
    ("square", [3e38], 1e-10, 0, 6e28),
    ("divide", [1e30, 1e10], 1e20, 1, -1e30),  # g * x / y overflows
    ("divide", [1e-20, 1e15], 1e30, 1, -1e-20),  # x / y / y vanishes
    ("divide", [1e38, 1e20], 1e-30, 1, -1e-32),  # g / y vanishes
    ("divide", [1e-30, 1e-10], 1e30, 1, -1e20),  # g / y overflows
    ("divide", [0.0, 1e-30], 1e10, 1, 0.0),
    ("divide", [1e-30, 1e-10], 1e-25, 1, -1e-35),  # g * (x / y) vanishes
]
by_name = [f"{name} {operands} {g}" for name, operands, g, *_ in TRAPS]


@pytest.mark.parametrize(("name", "operands", "g", "place", "slope"), TRAPS, ids=by_name)
def test_slopes_are_right_where_a_step_in_between_may_not_be(name, operands, g, place, slope):
    given = [np.array([x], np.float32) for x in operands]
    given[place] = x = Value(given[place])
    with np.errstate(all="ignore"):
        out = DOMAINS[name].function(*given)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        out.backward(np.array([g], np.float32))
    np.testing.assert_allclose(x.grad, [slope], rtol=1e-6)


@every_dtype
def test_arcsinh_of_exp_has_the_slope_1_as_far_as_exp_goes(dtype):
    k = Value(np.linspace(20, 0.98 * np.log(np.finfo(dtype).max), 50).astype(dtype))
    operations.arcsinh(operations.exp(k)).sum().backward()
    np.testing.assert_allclose(k.grad, 1.0, rtol=4 * np.finfo(dtype).eps)
