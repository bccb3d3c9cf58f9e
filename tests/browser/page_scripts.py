"""The scripts that lie beside the tests and run in a page, where they make `T`."""

from pathlib import Path


def give(page, *names: str) -> None:
    """Run each of `names`.js in the page; waits.js makes `T` anew, the others add to it."""
    for name in names:
        page.evaluate(Path(__file__).with_name(f"{name}.js").read_text("utf-8"))
