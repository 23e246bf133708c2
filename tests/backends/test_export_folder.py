"""The folder of an export appears whole, and takes the place of nothing but an earlier export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from intaglio.backends.export_folder import _replace, write_folder
from intaglio.errors import UsageError

FACTS = {"format": "hex", "network": "net"}


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_folder_holds_the_files_and_their_list(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", {"a.hex": b"1\n", "b.hex": b"2\n"}, FACTS)
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "b.hex").read_bytes() == b"2\n"
    assert json.loads((tmp_path / "out" / "export.json").read_text()) == {
        "format": "hex",
        "network": "net",
        "files": ["a.hex", "b.hex", "export.json"],
    }


def test_an_earlier_export_and_an_empty_folder_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_folder(tmp_path / "out", {"a.hex": b"1\n"}, FACTS)
    write_folder(tmp_path / "out", {"b.mem": b"2\n"}, FACTS)
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["b.mem", "export.json"]


def test_a_link_to_an_export_leads_to_the_new_one(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", {"a.hex": b"1\n"}, FACTS)
    (tmp_path / "link").symlink_to("out")
    write_folder(tmp_path / "link", {"b.hex": b"2\n"}, FACTS)
    assert names(tmp_path) == ["link", "out"]
    assert names(tmp_path / "out") == ["b.hex", "export.json"]
    assert (tmp_path / "link").is_symlink()


def test_an_export_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", {"a.hex": b"1\n"}, FACTS)
    with pytest.raises(FileNotFoundError):
        _replace(tmp_path / "lost", tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "a.hex").read_bytes() == b"1\n"


def test_the_current_folder_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="The folder is the current one"):
        write_folder(Path("."), {"a.hex": b"1\n"}, FACTS)
    write_folder(Path("out"), {"a.hex": b"1\n"}, FACTS)
    assert names(Path(".")) == ["out"]


def test_an_export_with_a_file_of_someone_else_is_kept(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", {"a.hex": b"1\n"}, FACTS)
    (tmp_path / "out" / "top.v").write_text("module top;")
    with pytest.raises(UsageError) as error:
        write_folder(tmp_path / "out", {"a.hex": b"2\n"}, FACTS)
    assert str(error.value) == (
        f"'{tmp_path / 'out'}': The folder holds 'top.v', which is not of an earlier export. "
        "Choose another name, or move that file away."
    )
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "a.hex").read_bytes() == b"1\n"


@pytest.mark.parametrize("manifest", ["[]", "{", '{"files": 3}'])
def test_a_list_that_cannot_be_read_lists_nothing(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "export.json").write_text(manifest)
    with pytest.raises(UsageError, match=r"holds .export\.json., which is not"):
        write_folder(tmp_path, {"a.hex": b""}, FACTS)


def test_a_file_of_that_name_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError) as error:
        write_folder(tmp_path / "out", {"a.hex": b""}, FACTS)
    assert str(error.value) == (
        f"'{tmp_path / 'out'}': This format is a folder, but there is a file of that name. "
        "Choose another name."
    )


def test_a_place_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        write_folder(tmp_path / "no" / "out", {"a.hex": b""}, FACTS)
    assert str(error.value) == (
        f"'{tmp_path / 'no' / 'out'}': The folder cannot be written: No such folder to put it in. "
        "Choose a place that exists and that you may write to."
    )


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="The folder cannot be written: No such file"):
        write_folder(tmp_path / "out", {"a.hex": b"", "no/b.hex": b""}, FACTS)
    assert names(tmp_path) == []
