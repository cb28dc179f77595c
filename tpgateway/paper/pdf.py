"""PDF: the same bytes each time that the same is written."""

from datetime import datetime

from fpdf import FPDF
from fpdf.enums import XPos, YPos

_GREY = 110


class Paper(FPDF):
    """An A4 document in French with its title on top, and a foot with the page number; texts in the PDF's own fonts."""

    def __init__(self, title: str, *, foot: str, made_at: datetime) -> None:
        super().__init__(format="A4")
        self.core_fonts_encoding = "cp1252"
        self._foot = foot
        self.set_margins(18, 18)
        self.set_auto_page_break(auto=True, margin=22)
        self.set_font("Helvetica", size=10)
        self.set_lang("fr-FR")
        self.set_producer("tpgateway")
        self.set_creation_date(made_at)
        self.set_title(title)
        self.add_page()
        self.set_font(size=18, style="B")
        self.write_line(title, height=9)
        self.ln(2)
        self.set_font(size=10, style="")

    def footer(self) -> None:
        self.set_y(-16)
        self.set_font("Helvetica", size=8, style="")
        self.set_text_color(_GREY)
        self.cell(0, 5, printable(f"{self._foot} - page {self.page_no()}"), align="C")
        self.set_text_color(0)
        self.set_font(size=10)

    def write_heading(self, text: str, *, size: int = 10) -> None:
        self.set_font(size=size, style="B")
        self.write_line(text, height=size * 0.55)
        self.set_font(size=10, style="")

    def write_line(self, text: str, *, height: float = 5.5) -> None:
        self._write(printable(text), height)

    def fact(self, name: str, value: str) -> None:
        self.set_text_color(_GREY)
        self.cell(32, 5.5, printable(name))
        self.set_text_color(0)
        self._write(printable(value), 5.5)

    def write_amount(self, code: str, text: str, amount: str) -> None:
        """A line of three columns: a code, what it is, and what it costs at the right of its last line."""
        self.cell(36, 5.5, printable(code))
        right = self.r_margin
        self.set_right_margin(right + 28)
        self._write(printable(text), 5.5)
        self.set_right_margin(right)
        self.set_y(self.y - 5.5)
        self.cell(0, 5.5, printable(amount), align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _write(self, text: str, height: float) -> None:
        """What fits on the line goes there at once: breaking lines takes the library five times as long."""
        if "\n" not in text and self.get_string_width(text) < self.w - self.r_margin - self.x - 2 * self.c_margin:
            self.cell(0, height, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        else:
            self.multi_cell(0, height, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def as_bytes(self) -> bytes:
        """The document as a file."""
        return bytes(self.output())


def printable(text: str) -> str:
    """What the PDF's own fonts can show; anything else becomes a question mark."""
    narrow = text.replace("\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}").replace("\N{MINUS SIGN}", "-")
    return narrow.encode("cp1252", "replace").decode("cp1252")
