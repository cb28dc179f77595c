"""Keys of the gateway itself."""

from pathlib import Path
from typing import Annotated

import typer

from tpgateway.cli.frame import explained, out
from tpgateway.vault import Vault
from tpgateway.web.tokens import new_signing_keys_json, rotated_signing_keys_json

_MADE = {
    "tpg_token_keys": new_signing_keys_json,
    "tpg_vault_keys": Vault.new_json,
    "tpg_table_keys": new_signing_keys_json,
}
app = typer.Typer(help="Keys of the gateway itself.", no_args_is_help=True)


@app.command("rotate")
def rotate_secrets(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the keys.", exists=True, file_okay=False)],
    tables: Annotated[
        bool, typer.Option("--tables", help="Replace the key that published tables are signed with.")
    ] = False,
) -> None:
    """Go one step in replacing the key that access tokens are signed with; nobody is logged out.

    Three steps, the processes restarted after each: a new key is published beside the old one; the new one signs and the
    old one still checks; the next time, the old one makes room.

    With --tables, the next publication is signed by a fresh key. What was signed before stays good: its key stays in the key
    set. Who verifies files without the network must fetch the key set again.

    Example: `tpgateway secrets rotate /etc/tpgateway/secrets`
    """
    if tables:
        if not (folder / "tpg_table_keys").exists():
            raise typer.BadParameter("there is no tpg_table_keys in this folder; `tpgateway secrets new` makes one")
        with explained():
            _replace(folder / "tpg_table_keys", new_signing_keys_json())
        out.print("The next `tpgateway dre publish` signs by a fresh key.")
        return
    path = folder / "tpg_token_keys"
    with explained():
        keys, said = rotated_signing_keys_json(path.read_text())
        _replace(path, keys)
    out.print(said + " Now restart the processes that serve.")


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
