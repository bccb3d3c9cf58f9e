"""The help pages: whole, with pictures that are there, and with no link that leads nowhere. For every node that the server has."""

import io
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image
from tilework.tools.server.loopback import get

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "web" / "docs"
PAGES = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.md"))}
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|<(?:a|img)\b[^>]*?(?:href|src)=[\"']([^\"']+)")
# Core nodes that pages send people to, by their names in the editor, are looked up among all nodes.
RELATED = re.compile(r"^Related: (.+)$", re.MULTILINE)
KILOBYTES = 60
WORDS = {
    "tile": "TileworkTileSplit",
    "untile": "TileworkSeamBlend",
    "stitch": "TileworkSeamBlend",
    "feather": "TileworkSeamBlend",
    "seam": "TileworkSeamCheck",
    "solarize": "TileworkSolarCurvePreview",
    "latent tile": "TileworkLatentTileSplit",
    "color correction": "TileworkColorMatch",
}


@pytest.fixture(scope="module")
def nodes(object_info):
    """The pack's nodes."""
    return {name: info for name, info in object_info.items() if name.startswith("Tilework") and not name.startswith("TileworkTest")}


def section(page, title):
    """The lines below a heading, up to the next of its level."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title}"
    return found[1]


def entries(text):
    """Input name -> what is said of it. A list and no table: the help panel is too narrow for three columns."""
    found = re.findall(r"^- (\*\*.+?\*\*)(?: \(optional\))?: (.+)$", text, re.MULTILINE)
    return {name.strip("* "): said for names, said in found for name in names.split(",")}


def test_every_node_has_a_page_and_every_page_a_node(nodes):
    assert set(PAGES) == set(nodes)


def test_every_page_is_whole(nodes):
    for name, info in nodes.items():
        page = PAGES[name]
        assert page.startswith(f"# {info['display_name']}\n\n"), name
        about = page.split("\n## ")[0].split("\n", 2)[2]
        assert len(about) > 60, f"{name} does not say what it is for"
        said = entries(section(page, "Inputs").split("\n### ")[0])
        inputs = [key for category, keys in info["input_order"].items() if category != "hidden" for key in keys]
        assert set(said) == set(inputs), name
        assert all(len(words) > 10 for words in said.values()), name
        outputs = section(page, "Outputs?")
        assert all(f"**{key}**" in outputs for key in info["output_name"]), name
        assert section(page, "Mistakes people make").count("\n- **") + 1 >= 2, name


def test_related_nodes_exist(object_info, nodes):
    ours = {info["display_name"] for info in nodes.values()}
    everybodys = {info["display_name"] for info in object_info.values()}
    for name, page in PAGES.items():
        (line,) = RELATED.findall(page)
        named = re.findall(r"\*\*([^*]+)\*\*", line)
        assert named and set(named) <= ours - {nodes[name]["display_name"]}, f"{name}: {line}"
        assert set(re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", line)) <= everybodys, f"{name}: {line}"


def test_who_is_named_names_back(nodes):
    titles = {page.split("\n", 1)[0].removeprefix("# "): name for name, page in PAGES.items()}
    related = {name: {titles[title] for title in re.findall(r"\*\*([^*]+)\*\*", RELATED.search(page)[1])} for name, page in PAGES.items()}
    assert {(one, other) for one, others in related.items() for other in others if one not in related[other]} == set()


def test_every_picture_is_served_small_and_not_empty(server):
    used = set()
    for name, page in PAGES.items():
        pictures = IMAGE.findall(page)
        assert pictures, f"{name} has no picture"
        for words, address in pictures:
            # The help panel puts the address of the folder docs before it; GitHub reads it from the page's own folder, which is that.
            assert re.fullmatch(r"pictures/[\w.-]+\.(jpg|png)", address), f"{name}: {address}"
            assert len(words) > 20, f"{name}: {address} says nothing to who cannot see it"
            body = get(f"{server.url}/extensions/tilework/docs/{address}")
            picture = Image.open(io.BytesIO(body)).convert("L")
            assert len(body) < KILOBYTES * 1000 and picture.width <= 1000, f"{address}: {len(body)} bytes, {picture.size}"
            assert len(picture.getcolors(256)) > 20, f"{address} is empty"
            used.add(address.split("/")[1])
    assert used == {path.name for path in (FOLDER / "pictures").iterdir()}, "pictures that no page shows"


def test_no_page_has_a_link_that_the_help_panel_would_break():
    """The panel opens a relative link in the editor's own address, where there is nothing."""
    for name, page in PAGES.items():
        for link in (first or second for first, second in LINK.findall(page)):
            assert link.startswith("https://"), f"{name}: {link}"


@pytest.mark.parametrize("path", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_every_link_of_the_documents_resolves(path):
    page = (ROOT / path).read_text("utf-8")
    links = [first or second for first, second in LINK.findall(page)] + [address for _, address in IMAGE.findall(page)]
    for link in links:
        file, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", file):
            continue
        target = (ROOT / path).parent / unquote(file) if file else ROOT / path
        assert target.exists(), f"{path}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, f"{path}: {link}"


def test_the_readme_names_every_node(nodes):
    page = (ROOT / "README.md").read_text("utf-8")
    table = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("|"))
    assert [info["display_name"] for info in nodes.values() if f"**{info['display_name']}**" not in table] == []


def test_every_value_of_a_combo_is_explained_in_its_tooltip(nodes):
    hosts_own = {"sampler_name", "scheduler"}
    silent = {}
    for name, info in nodes.items():
        for category in info["input"].values():
            for key, (kind, *more) in category.items():
                values = kind if isinstance(kind, list) else more[0].get("options", []) if more and kind == "COMBO" else []
                words = more[0].get("tooltip", "") if more else ""
                if key not in hosts_own and [value for value in values if not re.search(rf"\b{re.escape(value)}\b", words)]:
                    silent[f"{name} {key}"] = values
    assert silent == {}


def test_people_find_every_node_by_the_words_they_use(nodes):
    for name, info in nodes.items():
        aliases = info["search_aliases"]
        assert len(set(aliases)) == len(aliases) >= 3, name
    for word, name in WORDS.items():
        assert word in nodes[name]["search_aliases"], f"{name} is not found by {word}"
