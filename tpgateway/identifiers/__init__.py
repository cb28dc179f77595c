"""The identifiers of the field: one module each, all of one shape.

Every module offers ``compact``, ``validate``, ``is_valid`` and ``format``, as python-stdnum does. ``validate`` is the only
maker of the module's type and raises ``stdnum.exceptions.ValidationError`` (``InvalidLength``, ``InvalidFormat``,
``InvalidComponent``, ``InvalidChecksum``). What kind of number a value is can never be guessed from it: FINESS, Adeli and
SIREN all have nine digits and a Luhn key, so the caller names the scheme.
"""
