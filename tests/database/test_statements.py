"""What statements ask for: columns by name, so that those of a later schema change nothing for who was started before it."""

import ast
import re
from pathlib import Path

import tpgateway

PROGRAM = Path(tpgateway.__file__).parent
_STAR = re.compile(r"(?:\bSELECT|\bRETURNING|,)\s+(?:\w+\.)?\*(?=\s*(?:,|FROM|$))")
_BRACKETS = re.compile(r"\([^()]*\)")
# Commands of an operator, on connections of their own: they give out, or seal anew, all that there is.
MAY = {"database/sealed.py", "cards/store/checks.py of_person"}


def _texts(tree: ast.AST, within: str = "") -> "list[tuple[str, str]]":
    """Every text of a module, with the function that it stands in; what is put into one counts as a name."""
    found = []
    for node in ast.iter_child_nodes(tree):
        name = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else within
        if isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values]
            found.append((name, "".join(parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append((name, node.value))
        else:
            found += _texts(node, name)
    return found


def _asks_for_all(text: str) -> bool:
    """Whether a statement answers whatever columns a table has; what stands in brackets is not answered."""
    if not re.search(r"\b(?:SELECT|RETURNING)\b", text):
        return False
    while (less := _BRACKETS.sub(" ", text)) != text:
        text = less
    answers = text if text.lstrip().startswith(("SELECT", "WITH")) else text[text.find("RETURNING") :]
    return _STAR.search(answers) is not None


def test_what_asks_for_all_columns_is_found() -> None:
    assert _asks_for_all("SELECT * FROM insurers")
    assert _asks_for_all("SELECT k.*, i.number FROM card_checks k")
    assert _asks_for_all("SELECT i.number, k.* FROM card_checks k")
    assert _asks_for_all("INSERT INTO insurers (number) VALUES ($1) RETURNING *")
    assert _asks_for_all("WITH one AS (SELECT 1) SELECT two.* FROM two")
    assert not _asks_for_all("SELECT count(*) FROM insurers")
    assert not _asks_for_all("WITH one AS (SELECT * FROM insurers) SELECT number FROM one")
    assert not _asks_for_all("INSERT INTO lines (id, item) SELECT $1, e.* FROM unnest($2::text[]) AS e")


def test_no_statement_asks_for_all_columns() -> None:
    # PostgreSQL refuses to go on with a prepared statement whose answer got another column ("cached plan must not change
    # result type"), and within a transaction nothing can be done about it: a request would fail while a schema is migrated.
    found = {
        f"{path.relative_to(PROGRAM)} {within}"
        for path in PROGRAM.rglob("*.py")
        for within, text in _texts(ast.parse(path.read_text()))
        if _asks_for_all(text)
    }
    assert {each for each in found if each not in MAY and each.split()[0] not in MAY} == set()
