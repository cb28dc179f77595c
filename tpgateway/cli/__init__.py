"""The command line. Each command is thin: settings, a connection, one service call, a readable answer."""

import typer

from tpgateway.cli import cards, imports, insurers, keys, practitioners, processes, publications, sandbox, trail

main = typer.Typer(
    name="tpgateway",
    help="The gateway of a third-party-payment network. Start with: tpgateway demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
main.add_typer(processes.app)
main.add_typer(keys.app, name="secrets")
main.add_typer(insurers.app, name="insurers")
main.add_typer(publications.conventions_app, name="conventions")
main.add_typer(publications.dre_app, name="dre")
main.add_typer(publications.tariffs_app, name="tariffs")
main.add_typer(imports.rights_app, name="rights")
main.add_typer(imports.directory_app, name="directory")
main.add_typer(practitioners.app, name="practitioners")
main.add_typer(cards.app, name="cards")
main.add_typer(sandbox.simulate_app, name="simulate")
main.add_typer(sandbox.certify_app, name="certify")
main.add_typer(trail.app, name="audit")
