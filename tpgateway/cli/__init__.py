"""The command line. Each command is thin: settings, a connection, one service call, a readable answer.

A group of commands is imported when it is asked for: most of a short command's time would else go to what it does not use.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from tpgateway.cli import processes

# Where each group of commands stands, and what it is about.
_GROUPS = {
    "secrets": ("keys.app", "Keys of the gateway itself."),
    "insurers": ("insurers.app", "Complementary insurers of the network."),
    "conventions": ("publications.conventions_app", "Conventions of the specialities."),
    "dre": ("publications.dre_app", "DRE tables."),
    "tariffs": ("publications.tariffs_app", "National amounts and periods."),
    "rights": ("imports.rights_app", "Rights of insured people."),
    "directory": ("imports.directory_app", "Public directories that registrations are compared with."),
    "practitioners": ("practitioners.app", "Practitioners' accounts."),
    "cards": ("cards.app", "Insurance cards: the code that a reader reads from one."),
    "simulate": ("sandbox.simulate_app", "The other side, simulated."),
    "certify": ("sandbox.certify_app", "Conformance lists, with a report."),
    "audit": ("trail.app", "The audit trail."),
    "sessions": ("practitioners.sessions_app", "Who is logged in, of practices and insurers."),
    "people": ("people.people_app", "One insured person's data: given out, or erased."),
    "retention": ("people.retention_app", "What was kept long enough."),
}


class _Group(TyperGroup):
    """A group known by its name and sentence; what it holds is imported when it is entered."""

    def __init__(self, name: str, place: str, sentence: str) -> None:
        super().__init__(name=name, help=sentence)
        self._place = place

    def _whole(self) -> TyperGroup:
        module, _, app = self._place.partition(".")
        group = get_group(getattr(import_module(f"tpgateway.cli.{module}"), app))
        group.name, group.help = self.name, self.help
        return group

    def make_context(self, *args: Any, **named: Any) -> Any:
        return self._whole().make_context(*args, **named)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self._whole().get_command(ctx, cmd_name)


class _Lazy(TyperGroup):
    """All commands by name, no group imported to be listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_GROUPS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _GROUPS:
            return super().get_command(ctx, cmd_name)
        return _Group(cmd_name, *_GROUPS[cmd_name])


main = typer.Typer(
    name="tpgateway",
    cls=_Lazy,
    help="The gateway of a third-party-payment network. Start with: tpgateway demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
main.add_typer(processes.app)
