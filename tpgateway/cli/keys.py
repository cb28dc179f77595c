"""Keys of the gateway itself."""

import json
import math
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from tpgateway import mail, vault
from tpgateway import settings as configuration
from tpgateway.cards.codec import nirs
from tpgateway.claims import documents
from tpgateway.claims import keeping as kept_claims
from tpgateway.cli.frame import Steps, err, explained, on_database, out
from tpgateway.database import Connection, sealed
from tpgateway.insurers import endpoints
from tpgateway.insurers import people as insurer_people
from tpgateway.insurers import service as insurers
from tpgateway.members import service as members
from tpgateway.portal import pages
from tpgateway.practitioners import access, bank
from tpgateway.vault import Vault
from tpgateway.web import idempotency
from tpgateway.web.tokens import new_signing_keys_json, rotated_signing_keys_json

_MADE = {
    "tpg_token_keys": new_signing_keys_json,
    "tpg_vault_keys": Vault.new_json,
    "tpg_table_keys": new_signing_keys_json,
}
SEALED = (
    *(
        *nirs.SEALED,
        *documents.SEALED,
        *kept_claims.SEALED,
        *bank.SEALED,
        *members.SEALED,
        *endpoints.SEALED,
        *insurers.SEALED,
    ),
    *(*mail.SEALED, *access.SEALED, *insurer_people.SEALED, *idempotency.SEALED, *pages.SEALED),
)
"""Every column of sealed values."""

app = typer.Typer(no_args_is_help=True)


@app.command("rotate")
def rotate_secrets(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the keys.", exists=True, file_okay=False)],
    tables: Annotated[
        bool, typer.Option("--tables", help="Replace the key that published tables are signed with.")
    ] = False,
    of_vault: Annotated[
        bool, typer.Option("--vault", help="Replace the key that NIRs, secrets and documents are sealed with.")
    ] = False,
) -> None:
    """Go one step in replacing the key that access tokens are signed with; nobody is logged out.

    Three steps, the processes restarted after each: a new key is published beside the old one; the new one signs and the
    old one still checks; the next time, the old one makes room.

    With --tables, the next publication is signed by a fresh key. What was signed before stays good: its key stays in the key
    set. Who verifies files without the network must fetch the key set again.

    With --vault, three steps too, all processes restarted after each: a new key opens; it seals, and
    `tpgateway secrets reseal` seals anew what the old one did; then the old one is removed, unless the database still holds
    something that needs it.

    Example: `tpgateway secrets rotate /etc/tpgateway/secrets`
    """
    if tables:
        if not (folder / "tpg_table_keys").exists():
            raise typer.BadParameter("there is no tpg_table_keys in this folder; `tpgateway secrets new` makes one")
        with explained():
            _replace(folder / "tpg_table_keys", new_signing_keys_json())
        out.print("The next `tpgateway dre publish` signs by a fresh key.")
        return
    if of_vault:
        with explained():
            _rotate_vault(folder / "tpg_vault_keys")
        return
    path = folder / "tpg_token_keys"
    with explained():
        keys, said = rotated_signing_keys_json(path.read_text())
        _replace(path, keys)
    out.print(said + " Now restart the processes that serve.")


@app.command("reseal")
def reseal() -> None:
    """Seal by the vault's current key whatever is sealed by another, while the service goes on.

    Stopped and begun again, it goes on where it was. Of a person's NIR and of secrets nothing is shown.

    Example: `tpgateway secrets reseal`
    """
    with explained():
        settings = configuration.load()
        keys = Vault.from_json(settings.vault_keys.get_secret_value())

        async def run(connection: Connection) -> int:
            done = 0
            with Steps() as steps:
                for table, columns in groupby(SEALED, lambda each: each.table):
                    for column in columns:
                        count = await sealed.count_old(connection, keys, column)
                        with steps.counting(table, math.ceil(count / sealed.AT_ONCE)) as was_sealed:
                            async for number in sealed.reseal(connection, keys, column):
                                done += number
                                was_sealed()
            return done

        out.print(f"{on_database(settings, run):,} values sealed anew; nothing is left under another key.")


def _rotate_vault(path: Path) -> None:
    text = path.read_text()
    current, newest = json.loads(text)["current"], vault.newest_key(text)
    if current != newest:
        _replace(path, vault.with_newest_current(text))
        out.print(f"Key {newest} seals from now on. Restart all processes, then run `tpgateway secrets reseal`.")
        return
    if len(json.loads(text)["keys"]) == 1:
        text = vault.with_new_key(text)
        _replace(path, text)
        out.print(
            f"Key {vault.newest_key(text)} opens and does not seal yet. Restart all processes, then rotate again."
        )
        return
    keys = Vault.from_json(text)
    left, is_ours = on_database(configuration.load_database(), lambda connection: _left(connection, keys))
    if not is_ours:
        err.print("[red]Not removed[/]: this database holds nothing sealed. Is it the right one?")
        err.print("TPG_DATABASE_URL names the database that these keys belong to.")
        raise typer.Exit(1)
    if any(left.values()):
        err.print(
            f"[red]Not removed[/]: {', '.join(f'{count:,} of {table}' for table, count in left.items() if count)}"
        )
        err.print("These are sealed by the old key. Run `tpgateway secrets reseal`, then rotate again.")
        raise typer.Exit(1)
    _replace(path, vault.with_current_alone(text))
    out.print(
        f"Only key {current} is left. Restart all processes. Backups of before need the old file: keep a copy of it."
    )


async def _left(connection: Connection, keys: Vault) -> tuple[dict[str, int], bool]:
    """By table what other keys sealed, and whether the database holds anything sealed at all."""
    left: dict[str, int] = {}
    is_ours = False
    for each in SEALED:
        left[each.table] = left.get(each.table, 0) + await sealed.count_old(connection, keys, each)
        is_ours = is_ours or left[each.table] > 0 or await sealed.is_used(connection, keys, each)
    return left, is_ours


@app.command("new")
def new_secrets(folder: Annotated[Path, typer.Argument(help="Folder to write the keys to; made if missing.")]) -> None:
    """Make the gateway's own keys, readable by you alone. Existing files are left as they are.

    Example: `tpgateway secrets new /etc/tpgateway/secrets`
    """
    with explained():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, make in _MADE.items():
            path = folder / name
            if path.exists():
                continue
            path.touch(mode=0o600)
            path.write_text(make())
            out.print(f"Wrote {path}")
    out.print(f"Now set TPG_SECRETS_DIR={folder}, and keep a copy: what is sealed cannot be read without these keys.")


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)
