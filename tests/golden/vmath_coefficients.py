"""Prints the polynomial coefficients of include/tandem/cpu/vmath.hpp.

Weighted minimax fits by Remez exchange with 60 digits, rounded to the target type, and the error
that is left after the rounding.  Needs mpmath (1.3.0 was used).  No random numbers.

    python3 vmath_coefficients.py
"""

import struct

import mpmath as mp

mp.mp.dps = 60


def fit(f, weight, low, high, degree):
    """Coefficients c with min max |weight(x) (c0 + c1 x + ... - f(x))| on [low, high]."""
    count = degree + 2
    nodes = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (count - 1 - i) / (count - 1))
             for i in range(count)]
    for _ in range(12):
        rows = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for i, x in enumerate(nodes):
            for j in range(degree + 1):
                rows[i, j] = x**j
            rows[i, degree + 1] = (-1)**i / weight(x)
            right[i] = f(x)
        solution = mp.lu_solve(rows, right)
        c = [solution[j] for j in range(degree + 1)]

        def error(x):
            return weight(x) * (mp.polyval(c[::-1], x) - f(x))

        # The extremes lie one between each two neighbouring sign changes of the error.
        grid = [low + (high - low) * i / mp.mpf(400) for i in range(401)]
        values = [error(x) for x in grid]
        pieces, start = [], 0
        for i in range(1, len(grid)):
            if values[i] * values[i - 1] < 0:
                pieces.append((start, i - 1))
                start = i
        pieces.append((start, len(grid) - 1))
        nodes = []
        for first, last in pieces:
            best = max(range(first, last + 1), key=lambda i: abs(values[i]))
            left, right_x = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
            for _ in range(40):
                a = left + (right_x - left) / 3
                b = right_x - (right_x - left) / 3
                if abs(error(a)) < abs(error(b)):
                    left = a
                else:
                    right_x = b
            nodes.append((left + right_x) / 2)
        while len(nodes) > count:
            nodes.pop(0 if abs(error(nodes[0])) < abs(error(nodes[-1])) else -1)
        if len(nodes) != count:
            raise RuntimeError(f"the error has {len(nodes)} extremes, expected {count}")
    return c


def rounded(c, kind):
    return [mp.mpf(struct.unpack(kind, struct.pack(kind, float(x)))[0]) for x in c]


def show(name, f, weight, low, high, degree, kind):
    c = rounded(fit(f, weight, mp.mpf(low), mp.mpf(high), degree), kind)
    worst = max(abs(weight(x) * (mp.polyval(c[::-1], x) - f(x)))
                for x in (mp.mpf(low) + (mp.mpf(high) - low) * i / 2000 for i in range(2001)))
    print(f"{name}: error 2^{mp.nstr(mp.log(worst, 2), 4)}")
    for x in c:
        print(f"    {float(x).hex()}  {mp.nstr(x, 9 if kind == '<f' else 17)}")


def exp_tail(r):
    """(e^r - 1 - r) / r^2"""
    return mp.nsum(lambda k: r**k / mp.factorial(k + 2), [0, mp.inf]) if abs(r) < mp.mpf(10)**-3 \
        else (mp.expm1(r) - r) / r**2


def log_tail(z):
    """(log((1+s)/(1-s)) - 2s) / s^3 with z = s^2"""
    if z < mp.mpf(10)**-6:
        return mp.nsum(lambda k: 2 * z**k / (2 * k + 3), [0, mp.inf])
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) - 2 * s) / s**3


def erf_small(z):
    """erf(x)/x - 1 with z = x^2"""
    return 2 / mp.sqrt(mp.pi) - 1 if z == 0 else mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1


def sin_tail(z):
    """(sin r - r) / r^3 with z = r^2"""
    return mp.nsum(lambda k: (-1)**(k + 1) * z**k / mp.factorial(2 * k + 3), [0, 25])


def cos_tail(z):
    """(cos r - 1 + r^2/2) / r^4 with z = r^2"""
    return mp.nsum(lambda k: (-1)**k * z**k / mp.factorial(2 * k + 4), [0, 25])


if __name__ == "__main__":
    half = mp.log(2) / 2 * mp.mpf("1.0001")
    z_max = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1))**2 * mp.mpf("1.0001")
    for kind, exp_degree, log_degree in (("<f", 5, 3), ("<d", 10, 6)):
        # e^r - 1 = r + r^2 q(r): the error relative to r
        show(f"exp {kind}", exp_tail, lambda r: abs(r) + mp.mpf(10)**-9, -half, half, exp_degree, kind)
        # log((1+s)/(1-s)) = 2s + s^3 L(z): the error relative to 2s
        show(f"log {kind}", log_tail, lambda z: z / 2 + mp.mpf(10)**-9, 0, z_max, log_degree, kind)
    # erf(x) = x + x P(x^2) up to 1, relative; beyond, erf(x) = 1 - exp(G(x)), relative to 1
    show("erf small <f", erf_small, lambda z: 1 / (1 + erf_small(z)), 0, 1, 6, "<f")
    show("erf large <f", lambda a: mp.log(mp.erfc(a)), lambda a: mp.erfc(a), 1, 4, 7, "<f")
    # n ln 2 is subtracted in two steps; the first part has few enough bits to make n times it exact
    for kind, bits in (("<f", 15), ("<d", 40)):
        high = mp.floor(mp.log(2) * 2**bits) / mp.mpf(2)**bits
        low = rounded([mp.log(2) - high], kind)[0]
        print(f"ln 2 {kind}: {float(high).hex()} {mp.nstr(high, 17)}  {float(low).hex()} {mp.nstr(low, 17)}")
    # sin r = r + r^3 S(r^2) relative to sin r, cos r = 1 - r^2/2 + r^4 C(r^2)
    eighth = (mp.pi / 4)**2 * mp.mpf("1.0001")
    for kind, sin_degree, cos_degree in (("<f", 3, 2), ("<d", 5, 5)):
        show(f"sin {kind}", sin_tail, lambda z: z + mp.mpf(10)**-9, 0, eighth, sin_degree, kind)
        show(f"cos {kind}", cos_tail, lambda z: z * z + mp.mpf(10)**-9, 0, eighth, cos_degree, kind)
    # n pi/2 is subtracted in parts, of few enough bits that n times each but the last is exact
    for kind, cuts in (("<f", [29]), ("<d", [32, 65, 98])):
        rest = mp.pi / 2
        for cut in cuts:
            part = mp.floor(rest * mp.mpf(2)**cut) / mp.mpf(2)**cut
            rest -= part
            print(f"pi/2 {kind}: {float(part).hex()}")
        print(f"pi/2 {kind}: {float(rest).hex()}")
