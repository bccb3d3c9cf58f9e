"""The examples in the docstrings of `blending` say what is so."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest
import torch
from tilework import blending
from tilework.blending.fusion.views import grid_views

ROOT = Path(blending.__file__).parent
MODULES = [file for file in sorted(ROOT.rglob("*.py")) if ">>>" in file.read_text("utf-8")]


def test_they_are_found():
    assert len(MODULES) >= 10


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_it_does_what_it_says(file):
    module = import_module(".".join(("tilework.blending", *file.relative_to(ROOT).with_suffix("").parts)))
    offered = {"torch": torch, "grid_views": grid_views, **{name: getattr(blending, name) for name in blending.__all__}}
    failed, tried = doctest.testmod(module, extraglobs=offered, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried and not failed
