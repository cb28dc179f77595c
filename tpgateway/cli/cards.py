"""Cards: what prints on them."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from tpgateway.cards.codec import datamatrix
from tpgateway.cards.errors import CardUnreadable
from tpgateway.cli.frame import amc, explained, out

app = typer.Typer(help="Cards.", no_args_is_help=True)


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
    with explained():
        try:
            card = datamatrix.PrintedCard(
                insurer_number=number,
                convention_types=tuple(convention_type),
                csr=csr,
                membership_number=membership_number,
                valid_from=date.fromisoformat(valid_from),
                valid_to=date.fromisoformat(valid_to),
                beneficiaries=tuple(
                    (born, int(rank)) for born, _, rank in (each.partition("-") for each in beneficiary)
                ),
            )
            text = datamatrix.write(card)
            datamatrix.parse(text)
        except (ValueError, CardUnreadable):
            raise typer.BadParameter("these are not the fields of a card: see --help and schemas/README.md") from None
        if output is None:
            out.print(text, soft_wrap=True, highlight=False)
            return
        output.write_bytes(datamatrix.draw(text))
    out.print(f"Written: {output}")
