"""Cards: what prints on them."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from tpgateway.cards.codec import datamatrix
from tpgateway.cards.errors import CardUnreadable
from tpgateway.cli.frame import amc, explained, out

app = typer.Typer(no_args_is_help=True)


@app.callback()
def cards() -> None:
    """Cards."""


@app.command("datamatrix")
def write_datamatrix(
    insurer: Annotated[str, typer.Option(help="AMC number of the insurer.")],
    membership_number: Annotated[str, typer.Option(help="1 to 16 letters or digits.")],
    beneficiary: Annotated[
        list[str], typer.Option(help="Birth date (8 digits) and rank, as 19800229-1; once for each person.")
    ],
    valid_from: Annotated[str, typer.Option(help="First day, YYYY-MM-DD.")],
    valid_to: Annotated[str, typer.Option(help="Last day, YYYY-MM-DD.")],
    convention_type: Annotated[list[str], typer.Option(help="Two letters; may be repeated.")],
    csr: Annotated[str, typer.Option(help="Secondary routing criterion, where there is one.")] = "",
    output: Annotated[Path | None, typer.Option(help="PNG file to write; without it the text is printed.")] = None,
) -> None:
    """Write a card's DataMatrix, in the syntax of schemas/README.md.

    Example: `tpgateway cards datamatrix --insurer 75004407 --membership-number 1234567 --convention-type SP
    --valid-from 2026-01-01 --valid-to 2026-12-31 --beneficiary 19800229-1 --output card.png`
    """
    number = amc(insurer)
    first, last = _day(valid_from, "--valid-from"), _day(valid_to, "--valid-to")
    _fit("--membership-number", membership_number, r"[A-Z0-9]{1,16}", "1 to 16 letters or digits")
    _fit("--csr", csr, r"[A-Z0-9]{0,8}", "up to 8 letters or digits")
    for each in convention_type:
        _fit("--convention-type", each, r"[A-Z]{2}", "two letters")
    for each in beneficiary:
        _fit("--beneficiary", each, r"\d{8}-[1-9]", "8 digits, a hyphen, a rank from 1 to 9")
    if last < first:
        raise typer.BadParameter("it is before the first day", param_hint="--valid-to")
    if output is not None and output.suffix.lower() != ".png":
        raise typer.BadParameter("a PNG is written: name it .png", param_hint="--output")
    if output is not None and not output.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {output.parent}", param_hint="--output")
    with explained():
        try:
            card = datamatrix.PrintedCard(
                insurer_number=number,
                convention_types=tuple(convention_type),
                csr=csr,
                membership_number=membership_number,
                valid_from=first,
                valid_to=last,
                beneficiaries=tuple(
                    (born, int(rank)) for born, _, rank in (each.partition("-") for each in beneficiary)
                ),
            )
            text = datamatrix.write(card)
            datamatrix.parse(text)
        except CardUnreadable:  # more of them than there is room for
            raise typer.BadParameter(
                "at most 10 convention types and 20 beneficiaries: see schemas/README.md"
            ) from None
        if output is None:
            out.print(text, soft_wrap=True, highlight=False)
            return
        output.write_bytes(datamatrix.draw(text))
    out.print(f"Written: {output}")


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("no day: YYYY-MM-DD", param_hint=option) from None


def _fit(option: str, text: str, form: str, said: str) -> None:
    if not re.fullmatch(form, text.upper(), re.ASCII) or not text.isascii():
        raise typer.BadParameter(said, param_hint=option)
