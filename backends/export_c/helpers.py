"""Functions that steps call, written into the file only where one does."""

from __future__ import annotations

from collections.abc import Iterable

_NEEDS = {
    "scaled": ("shifted",),
    "rounded": ("bit_length",),
    "added": ("rounded",),
    "newton_share": ("high_product", "by_power", "bit_length"),
    "table_share": ("bit_length", "shifted"),
    "float_share": ("added", "mantissa", "exponent"),
    "reciprocal_share": ("added", "mantissa", "exponent"),
}

_TEXTS = {
    "shifted": """\
/* u as a two's complement number, divided by 2^s and rounded down. */
static int64_t shifted(uint64_t u, int64_t s)
{
    if (u >> 63) return -(int64_t)(~u >> s) - 1;
    return (int64_t)(u >> s);
}
""",
    "scaled": """\
/* (x m + a) / 2^s, rounded down. */
static int64_t scaled(int64_t x, uint64_t m, uint64_t a, int64_t s)
{
    return shifted((uint64_t)x * m + a, s);
}
""",
    "clipped": """\
static int64_t clipped(int64_t x, int64_t lo, int64_t hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}
""",
    "wrapped": """\
/* u as a two's complement number: sums are proved to fit. */
static int32_t wrapped(uint32_t u)
{
    return u >> 31 ? -(int32_t)~u - 1 : (int32_t)u;
}
""",
    "bit_length": """\
static int32_t bit_length(uint64_t x)
{
    int32_t n = 0;
    for (; x; x >>= 1) n++;
    return n;
}
""",
    "floor_div": """\
/* a / b for b > 0, rounded down. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}
""",
    "root": """\
/* The square root, rounded down. */
static int64_t root(int64_t x)
{
    int64_t r = 0, bit = INT64_C(1) << 62;
    while (bit > x) bit /= 4;
    for (; bit; bit /= 4) {
        if (x >= r + bit) {
            x -= r + bit;
            r = r / 2 + bit;
        } else {
            r /= 2;
        }
    }
    return r;
}
""",
    "high_product": """\
/* x y / 2^31, rounded half away from 0 above and half towards 0 below it. */
static int64_t high_product(int64_t x, int64_t y)
{
    const int64_t p = x * y;
    return (p + (p >= 0 ? INT64_C(1) << 30 : 1 - (INT64_C(1) << 30))) / (INT64_C(1) << 31);
}
""",
    "by_power": """\
/* x / 2^s for x >= 0, rounded half up. */
static int64_t by_power(int64_t x, int32_t s)
{
    return (x + ((INT64_C(1) << s) >> 1)) >> s;
}
""",
    "newton_share": """\
/* 2^bits e / total by Newton's method, as gemmlowp divides. */
static int64_t newton_share(int64_t e, int64_t total, int32_t bits)
{
    const int32_t leading = 32 - bit_length((uint64_t)total);
    const int64_t half = (total << leading) >> 1;
    int64_t guess = INT64_C(1515870810) + high_product(half, -INT64_C(1010580540));
    for (int32_t step = 0; step < 3; step++) {
        const int64_t error = (INT64_C(1) << 29) - high_product(half, guess);
        guess += high_product(guess, error) * 4;
    }
    guess = guess * 2 > INT32_MAX ? INT32_MAX : guess * 2;
    const int64_t share = by_power(high_product(e, guess), 12 - leading + 31 - bits);
    return share > INT64_C(1) << bits ? INT64_C(1) << bits : share;
}
""",
    "table_share": """\
static int64_t near_share(int64_t t)
{
    return ((INT64_C(1) << 26) + 1024 + t) / (2 * (1024 + t));
}

/* 2^15 / (1 + i / 512), moved by half of its error midway to the next. */
static int64_t reciprocal_of(int64_t i)
{
    if (i == 512) return near_share(1024);
    const int64_t n = 1024 + 2 * i + 2, v = near_share(2 * i);
    const int64_t d = ((INT64_C(1) << 25) + (v + 1) * n) / (2 * n) - near_share(2 * i + 1);
    const int64_t b = d >= 0 ? (d + 1) / 2 : -((1 - d) / 2);
    return v - b > 32767 ? 32767 : v - b;
}

/* 2^15 e / total by a table of reciprocals, as TFLite divides. */
static int64_t table_share(int64_t e, int64_t total)
{
    const int32_t k = 32 - bit_length((uint64_t)total);
    int64_t q = (((total << (k - 1)) + (INT64_C(1) << 13)) >> 14) - 98304;
    q = q > 32767 ? 32767 : q;
    const int64_t i = 256 + shifted((uint64_t)q, 7), f = q - 128 * shifted((uint64_t)q, 7);
    const int64_t r0 = reciprocal_of(i), r1 = reciprocal_of(i + 1);
    const int64_t r = r0 + shifted((uint64_t)((r1 - r0) * f + 64), 7);
    const int64_t share = (e * r + (INT64_C(1) << (30 - k))) >> (31 - k);
    return share > 32767 ? 32767 : share;
}
""",
    "mantissa": """\
/* The mantissa of a float32 >= 0 that is given by its bits. */
static int64_t mantissa(int64_t bits)
{
    return (bits & 0x7FFFFF) + (bits >> 23 ? 0x800000 : 0);
}
""",
    "exponent": """\
static int32_t exponent(int64_t bits)
{
    return (int32_t)(bits >> 23 ? bits >> 23 : 1) - 150;
}
""",
    "rounded": """\
/* x as a mantissa of 24 bits, half to even; the bits dropped are added to e. */
static int64_t rounded(int64_t x, int32_t *e)
{
    const int32_t length = bit_length((uint64_t)x), drop = length > 24 ? length - 24 : 0;
    const int64_t whole = x >> drop, rest = x - whole * (INT64_C(1) << drop);
    const int64_t half = drop ? INT64_C(1) << (drop - 1) : 1;
    *e += drop;
    return whole + (rest > half || (rest == half && whole % 2));
}
""",
    "added": """\
/* m 2^e + n 2^f as a float32, half to even. */
static void added(int64_t *m, int32_t *e, int64_t n, int32_t f)
{
    if ((f > *e && n > 0) || *m == 0) {
        const int64_t mantissa_of_other = *m;
        const int32_t exponent_of_other = *e;
        *m = n;
        *e = f;
        n = mantissa_of_other;
        f = exponent_of_other;
    }
    int32_t below = n > 0 ? *e - f : 0;
    below = below > 52 ? 52 : below;
    const int64_t low = n * (INT64_C(1) << 26), part = low >> below;
    *e -= 26;
    *m = rounded(*m * (INT64_C(1) << 26) + (part | (part * (INT64_C(1) << below) != low)), e);
}
""",
    "float_share": """\
/* 2^bits x / (m 2^e), rounded half to even; x is a float32 by its bits. */
static int64_t float_share(int64_t x, int64_t m, int32_t e, int32_t bits)
{
    const int32_t shift = exponent(x) - e + bits;
    const int32_t up = shift < 0 ? 0 : shift > 52 ? 52 : shift;
    const int32_t down = shift > 0 ? 0 : shift < -26 ? 26 : -shift;
    /* A shift up beyond 38 only meets mantissas of a few bits. */
    const uint64_t above = (uint64_t)mantissa(x) << up, below = (uint64_t)m << down;
    const uint64_t whole = above / below, rest = above % below;
    return (int64_t)(whole + (2 * rest > below || (2 * rest == below && whole % 2)));
}
""",
    "reciprocal_share": """\
/* x (1 / (2^-bits m 2^e)), each step a float32, rounded half up; x is a float32 by its bits. */
static int64_t reciprocal_share(int64_t x, int64_t m, int32_t e, int32_t bits)
{
    int32_t place = bits - e - 51;
    const int64_t quotient = (INT64_C(1) << 50) / m;
    const int64_t inverse = rounded(2 * quotient + ((INT64_C(1) << 50) % m > 0), &place);
    place += exponent(x);
    const int64_t whole = rounded(mantissa(x) * inverse, &place);
    const int32_t below = -place < 1 ? 1 : -place > 49 ? 49 : -place;
    return (whole + (INT64_C(1) << (below - 1))) >> below;
}
""",
}


def helper_text(names: Iterable[str]) -> str:
    """The functions of these names and what they need, each before it is called."""
    needed: set[str] = set()
    for name in names:
        _collect(name, needed)
    return "\n".join(text for name, text in _TEXTS.items() if name in needed)


def _collect(name: str, needed: set[str]) -> None:
    needed.add(name)
    for other in _NEEDS.get(name, ()):
        _collect(other, needed)
