"""The audit trail."""

import json
import sys
from typing import Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from tpgateway import settings as configuration
from tpgateway.audit import chain
from tpgateway.cli.frame import AsJson, err, explained, on_database, out
from tpgateway.database import Connection

app = typer.Typer(no_args_is_help=True)


@app.command("verify")
def verify_audit(as_json: AsJson = False) -> None:
    """Go through the whole audit trail: exit status 1 where anything is not as it was written.

    Keep the last hash elsewhere, and compare it with the same day's later: it changes if the chain was written anew.

    Example: `tpgateway audit verify --json`
    """

    async def act(connection: Connection) -> list[chain.Finding]:
        days = await connection.fetchval("SELECT count(*) FROM audit_days")
        findings = []
        with Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} days"),
                      console=err, transient=True) as progress:  # fmt: skip
            task = progress.add_task("Verifying", total=days + 1)
            async for finding in chain.verify(connection):
                findings.append(finding)
                progress.advance(task)
        return findings

    with explained():
        findings = on_database(configuration.load_database(), act)
    if as_json:
        sys.stdout.write(json.dumps([_finding(each) for each in findings], ensure_ascii=False) + "\n")
        raise typer.Exit(int(any(each.fault is not None for each in findings)))
    for finding in findings:
        if finding.fault is not None:
            out.print(f"[red]{finding.day}[/]: {finding.fault}")
    entries = sum(finding.entries for finding in findings)
    checks = sum(finding.card_checks or 0 for finding in findings)
    if any(finding.fault is not None for finding in findings):
        err.print("[red]The trail is not as it was written.[/] Compare with a backup; the days named above are where.")
        raise typer.Exit(1)
    out.print(f"Whole: {len(findings)} days, {entries} entries, {checks} card checks of closed days")
    if gone := [finding for finding in findings if finding.is_forgotten]:
        out.print(
            f"Let go when their time was over: {len(gone)} days up to {gone[-1].day}, of which the closing hashes are left"
        )
    if findings and (last := findings[-1].hash) is not None:
        out.print(f"Last hash, of {findings[-1].day}: {last.hex()}", soft_wrap=True)


def _finding(finding: chain.Finding) -> dict[str, Any]:
    return {
        "day": finding.day.isoformat(),
        "entries": finding.entries,
        "card_checks": finding.card_checks,
        "hash": finding.hash.hex() if finding.hash else None,
        "fault": finding.fault,
        "is_forgotten": finding.is_forgotten,
    }
