"""Nothing that dev.py deletes is ever reached through a link."""

import pytest
from tilework.tools.process.host_error import HostError
from tilework.tools.process.links import copy_file, discard, is_link, link_folder, remove_link, remove_tree, share_file


@pytest.fixture
def repository(tmp_path):
    """A folder that holds a host, that holds a link to the folder."""
    repository = tmp_path / "repository"
    (repository / "nodes").mkdir(parents=True)
    (repository / "nodes" / "split.py").write_text("precious")
    link_folder(repository / ".host" / "base" / "custom_nodes" / "tilework", repository)
    return repository


def test_a_host_is_deleted_and_the_repository_it_links_to_stays(repository):
    assert (repository / ".host" / "base" / "custom_nodes" / "tilework" / "nodes" / "split.py").exists(), "the link works"
    remove_tree(repository / ".host")
    assert not (repository / ".host").exists()
    assert (repository / "nodes" / "split.py").read_text() == "precious"


def test_deleting_a_link_itself_leaves_what_it_leads_to(repository):
    remove_tree(repository / ".host" / "base" / "custom_nodes" / "tilework")
    assert (repository / "nodes" / "split.py").exists()


def test_a_dangling_link_is_deleted_too(tmp_path):
    (tmp_path / "target").mkdir()
    link_folder(tmp_path / "folder" / "link", tmp_path / "target")
    (tmp_path / "target").rmdir()
    assert is_link(tmp_path / "folder" / "link")
    remove_tree(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_link_is_led_to_another_folder(repository, tmp_path):
    (tmp_path / "other").mkdir()
    link = repository / ".host" / "base" / "custom_nodes" / "tilework"
    link_folder(link, tmp_path / "other")
    assert link.resolve() == tmp_path / "other"
    assert (repository / "nodes" / "split.py").exists()


def test_a_real_folder_is_never_replaced_by_a_link(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(HostError, match="in the way"):
        link_folder(tmp_path / "mine", tmp_path)
    with pytest.raises(ValueError, match="not a link"):
        remove_link(tmp_path / "mine")
    assert (tmp_path / "mine" / "file").exists()


def test_read_only_files_and_nothing_at_all_can_be_deleted(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch(mode=0o444)
    remove_tree(tmp_path / "a")
    remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_what_is_discarded_is_gone_even_where_deleting_it_is_stopped(tmp_path, monkeypatch):
    from tilework.tools.process import links

    (tmp_path / "venv" / "bin").mkdir(parents=True)

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(links, "remove_tree", stop)
    with pytest.raises(KeyboardInterrupt):
        discard(tmp_path / "venv", tmp_path / "tmp")
    assert not (tmp_path / "venv").exists()
    assert len(list((tmp_path / "tmp").iterdir())) == 1


def test_a_copied_file_can_be_written_to_without_changing_the_original(tmp_path):
    (tmp_path / "photo.png").write_text("original")
    copy_file(tmp_path / "photo.png", tmp_path / "input" / "example.png")
    (tmp_path / "input" / "example.png").write_text("uploaded")
    assert (tmp_path / "photo.png").read_text() == "original"


def test_a_shared_file_takes_the_place_of_an_older_one(tmp_path):
    for content in ("one", "two"):
        (tmp_path / "model").unlink(missing_ok=True)
        (tmp_path / "model").write_text(content)
        share_file(tmp_path / "model", tmp_path / "models" / "model")
        assert (tmp_path / "models" / "model").read_text() == content
