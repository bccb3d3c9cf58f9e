"""What runs by itself on the repository's host: valid, pinned, and calling only what exists."""

import re
import shlex
import subprocess
import sys

import pytest
import yaml
from tilework.tools import commands, release_check
from tilework.tools.setup.environment import REPOSITORY

FOLDER = REPOSITORY / ".github" / "workflows"
WORKFLOWS = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.yml"))}
ACTIONS = {"actions/checkout", "actions/setup-python", "actions/cache", "Comfy-Org/publish-node-action"}


def steps(name):
    return [step for job in WORKFLOWS[name]["jobs"].values() for step in job["steps"]]


def test_there_is_one_for_tests_and_one_for_publishing():
    # YAML takes the bare word `on` for true.
    triggers = {name: workflow[True] for name, workflow in WORKFLOWS.items()}
    assert set(triggers) == {"test.yml", "publish.yml"}
    assert {"push", "pull_request"} <= set(triggers["test.yml"])
    assert set(triggers["publish.yml"]) == {"push"} and list(triggers["publish.yml"]["push"]) == ["tags"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_known_and_pinned_by_its_major_tag(name):
    used = [step["uses"] for step in steps(name) if "uses" in step]
    assert used and used[0].startswith("actions/checkout@")
    for action in used:
        owner, tag = action.split("@")
        assert owner in ACTIONS and re.fullmatch(r"v\d+", tag), action


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_command_calls_what_exists(name):
    lines = [line for step in steps(name) for line in step.get("run", "").splitlines()]
    assert lines
    for line in lines:
        python, first, second, *rest = shlex.split(line)
        assert python == "python"
        if first == "dev.py":
            assert second in commands.COMMANDS and all((REPOSITORY / path).exists() for path in rest), line
        else:
            assert first == "-m" and (REPOSITORY / f"{second.replace('.', '/')}.py").is_file(), line


def test_nothing_is_published_before_the_check_and_without_the_secret():
    order = [step.get("run") or step["uses"] for step in steps("publish.yml")]
    check = next(i for i, said in enumerate(order) if "tools.release_check" in said and "GITHUB_REF_NAME" in said)
    publish = next(i for i, said in enumerate(order) if said.startswith("Comfy-Org/publish-node-action@"))
    assert check < publish
    assert steps("publish.yml")[publish]["with"]["personal_access_token"] == "${{ secrets.REGISTRY_ACCESS_TOKEN }}"


def release(folder, version="1.2.3", heading="## 1.2.3 - 2026-11-30", mark=""):
    (folder / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n[tool.comfy]\n{mark}\nPublisherId = "us"\n', "utf-8")
    (folder / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("tag", "how", "words"),
    [
        ("v1.2.3", {}, None),
        ("v1.2.4", {}, "the tag must be v1.2.3"),
        ("1.2.3", {}, "the tag must be v1.2.3"),
        ("v1.2.3", {"heading": "## 1.2.3 - unreleased"}, "CHANGELOG.md"),
        ("v1.2.3", {"heading": "## 1.2.30 - 2026-11-30"}, "CHANGELOG.md"),
        ("v1.2.3", {"mark": "# PLACEHOLDER: the publisher"}, 'PublisherId = "us"'),
    ],
)
def test_a_release_goes_where_tag_version_and_changelog_agree_and_is_refused_in_words(tmp_path, tag, how, words):
    said = release_check.faults(tag, release(tmp_path, **how))
    assert len(said) == (words is not None) and all(words in line for line in said)


@pytest.mark.parametrize(("tags", "words"), [((), "Which tag?"), (("v0.0.0",), "the tag must be")])
def test_the_check_ends_with_a_status(tags, words):
    command = [sys.executable, "-m", "tools.release_check", *tags]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and words in ended.stderr
