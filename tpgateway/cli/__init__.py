"""The command line. Each command is thin: settings, a connection, one service call, a readable answer.

A group of commands is imported when it is asked for: most of a short command's time would else go to what it does not use.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from tpgateway.cli import processes

# Where each group of commands stands.
_GROUPS = {
    "secrets": "keys.app",
    "insurers": "insurers.app",
    "conventions": "publications.conventions_app",
    "dre": "publications.dre_app",
    "tariffs": "publications.tariffs_app",
    "rights": "imports.rights_app",
    "directory": "imports.directory_app",
    "practitioners": "practitioners.app",
    "cards": "cards.app",
    "simulate": "sandbox.simulate_app",
    "certify": "sandbox.certify_app",
    "audit": "trail.app",
    "sessions": "practitioners.sessions_app",
    "people": "people.people_app",
    "retention": "people.retention_app",
}


class _Lazy(TyperGroup):
    """All commands by name, each group's module imported once it is named."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_GROUPS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _GROUPS:
            return super().get_command(ctx, cmd_name)
        module, _, app = _GROUPS[cmd_name].partition(".")
        group = get_group(getattr(import_module(f"tpgateway.cli.{module}"), app))
        group.name = cmd_name
        return group


main = typer.Typer(
    name="tpgateway",
    cls=_Lazy,
    help="The gateway of a third-party-payment network. Start with: tpgateway demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
main.add_typer(processes.app)
