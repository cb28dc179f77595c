"""Small charts as SVG, drawn here: no script, no colour that the page does not set, and each with its numbers in words."""

from collections.abc import Sequence

from markupsafe import Markup

from tpgateway.portal.french import number

_WIDTH = 640
_ROW, _BAR = 46, 16
_HEIGHT, _FOOT = 180, 22


def bars(rows: Sequence[tuple[str, int]]) -> Markup | None:
    """Horizontal bars, each under its name; None where there is nothing to show."""
    most = max((count for _, count in rows), default=0)
    if not most:
        return None
    parts = []
    for place, (name, count) in enumerate(rows):
        y = place * _ROW
        length = max(2, round((_WIDTH - 90) * count / most)) if count else 0
        parts.append(
            Markup('<text x="0" y="{}">{}</text><rect x="0" y="{}" width="{}" height="{}" rx="3"/>').format(
                y + 14, name, y + 20, length, _BAR
            )
            + Markup('<text x="{}" y="{}">{}</text>').format(length + 8, y + 33, number(count))
        )
    said = ", ".join(f"{name} {number(count)}" for name, count in rows)
    return _svg(len(rows) * _ROW, said, parts)


def columns(rows: Sequence[tuple[str, int]]) -> Markup | None:
    """Columns over time, the first and the last named; None where there is nothing to show."""
    most = max((count for _, count in rows), default=0)
    if not most:
        return None
    step = _WIDTH / len(rows)
    tall = _HEIGHT - _FOOT - 18
    parts = [
        Markup('<line x1="0" y1="{0}" x2="{1}" y2="{0}"/>').format(_HEIGHT - _FOOT, _WIDTH),
        Markup('<text x="0" y="12" class="soft">{}</text>').format(f"au plus {number(most)}"),
    ]
    for place, (name, count) in enumerate(rows):
        height = max(1, round(tall * count / most)) if count else 0
        parts.append(
            Markup('<rect x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
                round(place * step + 1, 1),
                _HEIGHT - _FOOT - height,
                round(step - 2, 1),
                height,
                f"{name} : {number(count)}",
            )
        )
    parts.append(Markup('<text x="0" y="{}" class="soft">{}</text>').format(_HEIGHT - 5, rows[0][0]))
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="end" class="soft">{}</text>').format(_WIDTH, _HEIGHT - 5, rows[-1][0])
    )
    said = ", ".join(f"{name} {number(count)}" for name, count in rows if count)
    return _svg(_HEIGHT, said, parts)


def _svg(height: int, said: str, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(_WIDTH, height, said)
    return head + Markup("").join(parts) + Markup("</svg>")
