"""The class of a lens, from its values: they are looked at and forgotten.

Arrêté du 3 décembre 2018: single vision is simple from -6.00 to +6.00 with a cylinder up to 4.00 and complex beyond;
multifocal is complex, and very complex with a sphere beyond -4.00 to +4.00, or beyond -8.00 to +8.00 with a cylinder.
"""

from decimal import Decimal

from tpgateway.claims.model import Correction

_SIMPLE_SPHERE, _SIMPLE_CYLINDER = Decimal(6), Decimal(4)
_COMPLEX_SPHERE, _COMPLEX_SPHERE_WITH_CYLINDER = Decimal(4), Decimal(8)


def correction_of(*, sphere: Decimal, cylinder: Decimal, addition: Decimal) -> Correction:
    """The class; values in dioptres, an addition other than 0 makes a lens multifocal."""
    if not addition:
        is_simple = abs(sphere) <= _SIMPLE_SPHERE and abs(cylinder) <= _SIMPLE_CYLINDER
        return Correction.SIMPLE if is_simple else Correction.COMPLEX
    most = _COMPLEX_SPHERE_WITH_CYLINDER if cylinder else _COMPLEX_SPHERE
    return Correction.COMPLEX if abs(sphere) <= most else Correction.VERY_COMPLEX
