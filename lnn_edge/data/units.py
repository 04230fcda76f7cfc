"""Units of channels: which measure the same thing, and how many of one make another. Exact."""

from __future__ import annotations

import math
from fractions import Fraction

_G = Fraction("9.80665")  # m/s2, by definition (CGPM 1901)
_DEGREE = Fraction(math.pi) / 180

# Spelling -> what is measured, and how many of its base unit. Spellings are compared in lower case.
_UNITS: dict[str, tuple[str, Fraction]] = {
    **{u: ("volts", Fraction(1)) for u in ("v", "volt", "volts")},
    **{u: ("volts", Fraction(1, 10**3)) for u in ("mv", "millivolt", "millivolts")},
    **{u: ("volts", Fraction(1, 10**6)) for u in ("uv", "µv", "microvolt", "microvolts")},
    "nv": ("volts", Fraction(1, 10**9)),
    **{u: ("acceleration", Fraction(1)) for u in ("m/s2", "m/s^2", "m/s²", "m/s/s", "ms-2")},
    "g": ("acceleration", _G),
    "mg": ("acceleration", _G / 1000),
    **{u: ("rotation", Fraction(1)) for u in ("rad/s", "rads-1", "radians/s")},
    "mrad/s": ("rotation", Fraction(1, 1000)),
    **{u: ("rotation", _DEGREE) for u in ("deg/s", "°/s", "dps", "degrees/s")},
    "mdps": ("rotation", _DEGREE / 1000),
    "t": ("field", Fraction(1)),
    "mt": ("field", Fraction(1, 10**3)),
    **{u: ("field", Fraction(1, 10**6)) for u in ("ut", "µt")},
}


def factor(old: str, new: str) -> Fraction | None:
    """Return how many of the new unit one of the old makes; None where no number does.

    Units that are not known here make one of themselves.
    """
    one, other = _plain(old), _plain(new)
    if one == other:
        return Fraction(1)
    measured, base = _UNITS.get(one, ("", Fraction(1)))
    wanted, new_base = _UNITS.get(other, ("", Fraction(1)))
    return base / new_base if measured and measured == wanted else None


def _plain(unit: str) -> str:
    return unit.strip().lower().replace(" ", "").replace("μ", "µ")  # Greek mu, micro sign
