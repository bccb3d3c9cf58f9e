"""The translations, held against what the server says: all of it is translated, and nothing that does not exist."""

import json
import re
from pathlib import Path

import pytest
from tilework.tools.server.loopback import get_json

FOLDER = Path(__file__).resolve().parents[2] / "locales"
# Not English: a second copy of Python's words would drift away from them.
LANGUAGES = ("ja", "zh")
FILES = {language: json.loads((FOLDER / language / "nodeDefs.json").read_text("utf-8")) for language in LANGUAGES}
LETTERS = {"ja": re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]"), "zh": re.compile(r"[\u4e00-\u9fff]")}
# The names of these are the same everywhere.
INTERNATIONAL = {"VAE", "CFG", "Latent"}


@pytest.fixture(scope="module")
def nodes(object_info):
    """The pack's nodes."""
    return {name: info for name, info in object_info.items() if name.startswith("Tilework") and not name.startswith("TileworkTest")}


def inputs_of(info):
    """Input name -> options; what the host adds of its own beside a seed, it translates itself."""
    order = info["input_order"].items()
    return {name: info["input"][category][name][1] for category, names in order if category != "hidden" for name in names}


def texts(entry):
    """Every text of a node's entry, with where it is."""
    yield "display_name", entry["display_name"]
    yield "description", entry["description"]
    for kind in ("inputs", "outputs"):
        for name, words in entry[kind].items():
            yield from ((f"{kind}.{name}.{key}", text) for key, text in words.items())


def test_every_language_is_served_and_english_is_not_among_them(server):
    assert {path.name for path in FOLDER.iterdir()} == set(LANGUAGES)
    served = get_json(server.url + "/i18n")
    for language in LANGUAGES:
        for name, entry in FILES[language].items():
            assert served[language]["nodeDefs"][name] == entry


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_node_input_and_output_is_translated_and_nothing_else(language, nodes):
    entries = FILES[language]
    assert len(nodes) >= 15
    assert set(entries) == set(nodes)
    for name, info in nodes.items():
        entry, inputs = entries[name], inputs_of(info)
        assert set(entry) == {"display_name", "description", "inputs", "outputs"}, name
        assert list(entry["inputs"]) == list(inputs), name
        assert list(entry["outputs"]) == [str(i) for i in range(len(info["output"]))], name
        for words in (*entry["inputs"].values(), *entry["outputs"].values()):
            # And no third key: values of a combo are what workflows hold, so they stay as they are.
            assert set(words) == {"name", "tooltip"}, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_are_words_of_the_language(language):
    names = [entry["display_name"] for entry in FILES[language].values()]
    assert len(set(names)) == len(names)
    for name, entry in FILES[language].items():
        for where, text in texts(entry):
            assert LETTERS[language].search(text) or text in INTERNATIONAL, f"{name}.{where}: {text}"
            # The front end gives these a meaning of its own.
            assert not set("{}@|$<>") & set(text), f"{name}.{where}: {text}"
            assert text == text.strip() and "  " not in text, f"{name}.{where}: {text!r}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_tooltip_says_what_the_english_one_says(language, nodes):
    """As far as it can be counted: the same numbers, the same values of combos, the same inputs and nodes."""
    names = {info["display_name"]: FILES[language][name]["display_name"] for name, info in nodes.items()}
    for name, info in nodes.items():
        entry = FILES[language][name]
        pairs = [(info["description"], entry["description"])]
        for key, options in inputs_of(info).items():
            pairs.append((options["tooltip"], entry["inputs"][key]["tooltip"]))
            for value in options.get("options") or ():
                assert value not in options["tooltip"] or value in pairs[-1][1], f"{name}.{key}: {value}"
        pairs += [(tip, entry["outputs"][str(i)]["tooltip"]) for i, tip in enumerate(info["output_tooltips"])]
        for english, translated in pairs:
            there, here = (set(re.findall(r"\d+", text)) for text in (english, translated))
            # What English says in a word ("twice"), another language may say in a digit.
            assert there <= here and {number for number in here - there if len(number) > 1} == set(), f"{name}: {english}\n{translated}"
            for node, translation in names.items():
                assert node not in english or translation in translated, f"{name}: {node} is {translation}\n{translated}"
