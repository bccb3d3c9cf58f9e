"""Nothing that dev.py deletes is ever reached through a link."""

import pytest
from tilework.tools.process import links
from tilework.tools.process.host_error import HostError
from tilework.tools.process.links import discard, is_link, link_folder, place_file, remove_tree

LINK = ".host/base/custom_nodes/tilework"


@pytest.fixture
def repository(tmp_path):
    """A folder that holds a host, that holds a link to the folder."""
    repository = tmp_path / "repository"
    (repository / "nodes").mkdir(parents=True)
    (repository / "nodes" / "split.py").write_text("precious")
    link_folder(repository / LINK, repository)
    assert (repository / LINK / "nodes" / "split.py").exists(), "the link works"
    return repository


@pytest.mark.parametrize("what", [".host", LINK])
def test_a_host_or_its_link_is_deleted_and_the_repository_it_links_to_stays(repository, what):
    remove_tree(repository / what)
    assert not (repository / what).exists()
    assert (repository / "nodes" / "split.py").read_text() == "precious"


def test_a_link_is_led_to_another_folder_and_deleted_where_it_dangles(repository, tmp_path):
    (tmp_path / "other").mkdir()
    link_folder(repository / LINK, tmp_path / "other")
    assert (repository / LINK).resolve() == tmp_path / "other"
    assert (repository / "nodes" / "split.py").exists()
    (tmp_path / "other").rmdir()
    assert is_link(repository / LINK)
    remove_tree(repository / ".host")
    assert not (repository / ".host").exists()


def test_a_real_folder_is_never_replaced_by_a_link(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(HostError, match="in the way"):
        link_folder(tmp_path / "mine", tmp_path)
    assert (tmp_path / "mine").is_dir() and not is_link(tmp_path / "mine")


def test_read_only_files_and_nothing_at_all_can_be_deleted(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch(mode=0o444)
    remove_tree(tmp_path / "a")
    remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_what_is_discarded_is_gone_even_where_deleting_it_is_stopped(tmp_path, monkeypatch):
    (tmp_path / "venv" / "bin").mkdir(parents=True)

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(links, "remove_tree", stop)
    with pytest.raises(KeyboardInterrupt):
        discard(tmp_path / "venv", tmp_path / "tmp")
    assert not (tmp_path / "venv").exists()
    assert len(list((tmp_path / "tmp").iterdir())) == 1


@pytest.mark.parametrize("share", [False, True])
def test_a_placed_file_takes_the_place_of_an_older_one_and_a_copy_can_be_written_to(tmp_path, share):
    source, target = tmp_path / "model", tmp_path / "models" / "model"
    for content in ("one", "two"):
        source.unlink(missing_ok=True)
        source.write_text(content)
        place_file(source, target, share)
        assert target.read_text() == content
    if not share:
        target.write_text("uploaded")
        assert source.read_text() == "two"
