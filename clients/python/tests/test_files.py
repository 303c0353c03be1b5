"""Files on both sides: 10.4 and 10.6 of PROTOCOL.md."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pairlay import Data, Entry, Source, SourceError, save, sources_of
from pairlay.saving import Partial
from pairlay.tokens import Tokens
from pairlay.wire import to_base64url

from .two import Two, source

TOKEN = bytes(range(16))
PARTIAL = f".pairlay-{to_base64url(TOKEN)}.part"


def handed(into: Path, sources: Sequence[Source], tokens: Sequence[bytes] = ()) -> list[str]:
    """Saves an offer of these, and returns the names that they have got."""

    async def hand_over() -> list[Path]:
        async with asyncio.timeout(60), Two() as two:
            offer, _ = await two.sender.offer(sources, tokens)
            asked = await two.receiver.next_offer()
            assert asked is not None
            saved = await save(asked, into)
            await offer.result
            return saved

    return sorted(path.name for path in asyncio.run(hand_over()))


def test_equal_names_become_different_at_every_level(tmp_path: Path) -> None:
    paths = ("a", "A", "CON", "_CON", "folder/\u00e4", "folder/a\u0308")
    assert handed(tmp_path, [source(path, path.encode()) for path in paths]) == [
        "A (2)",
        "_CON",
        "_CON (2)",
        "a",
        "folder",
    ]
    assert (tmp_path / "A (2)").read_text() == "A"
    assert len(list((tmp_path / "folder").iterdir())) == 2


def test_what_is_there_keeps_its_name_also_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("mine")
    assert handed(tmp_path, [source("folder/x", b"x"), source("file.txt", b"other")]) == ["file (2).txt", "folder (2)"]
    assert (tmp_path / "file.txt").read_text() == "mine"
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_partial_goes_on_behind_what_is_equal_and_begins_anew_where_it_is_not(tmp_path: Path) -> None:
    (tmp_path / PARTIAL).mkdir()
    (tmp_path / PARTIAL / "a").write_bytes(b"aa")
    (tmp_path / PARTIAL / "b").write_bytes(b"xx")
    (tmp_path / PARTIAL / "gone").write_bytes(b"x")
    assert handed(tmp_path, [source("a", b"aaaa"), source("b", b"bbbb")], [TOKEN]) == ["a", "b"]
    assert [(tmp_path / name).read_text() for name in "ab"] == ["aaaa", "bbbb"]


@pytest.mark.parametrize("attacker", ["a linked folder", "a second name", "a link"])
def test_nothing_is_written_through_what_is_in_the_place_of_a_partial(tmp_path: Path, attacker: str) -> None:
    into, outside = tmp_path / "in", tmp_path / "outside"
    into.mkdir()
    outside.mkdir()
    (outside / "a").write_bytes(b"aa")
    if attacker == "a linked folder":
        (into / PARTIAL).symlink_to(outside)
    else:
        (into / PARTIAL).mkdir()
        if attacker == "a link":
            (into / PARTIAL / "a").symlink_to(outside / "a")
        else:
            os.link(outside / "a", into / PARTIAL / "a")
    assert handed(into, [source("a", b"aaaa")], [TOKEN]) == ["a"]
    assert (into / "a").read_bytes() == b"aaaa"
    assert (outside / "a").read_bytes() == b"aa"


def test_a_link_that_is_put_in_the_way_of_a_file_is_not_followed(tmp_path: Path) -> None:
    partial = Partial(tmp_path, TOKEN, [Entry("a", size=1)])
    partial.begin({})
    (partial.path / "a").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError):
        partial.write(Data(0, b"x"))
    assert not (tmp_path / "outside").exists()


def test_a_file_that_changed_since_it_was_offered_gives_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    [offered], _ = sources_of([tmp_path / "file"])
    offered.open(0).close()
    (tmp_path / "file").write_text("longer")
    with pytest.raises(SourceError) as error:
        offered.open(0)
    assert error.value.reason == "changed"


def test_links_and_pipes_of_a_folder_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("x")
    (folder / "up").symlink_to(tmp_path)
    (folder / "other").symlink_to(folder / "file")
    os.mkfifo(folder / "pipe")
    sources, left_out = sources_of([folder])
    assert [each.entry.path for each in sources] == ["folder/file"]
    assert left_out == ["folder/other", "folder/pipe", "folder/up"]


def test_tokens_are_kept_for_one_choice_of_paths_until_they_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    tokens = Tokens.of([tmp_path / "a"])
    tokens.keep(TOKEN)
    tokens.keep(bytes(16))
    assert Tokens.of([tmp_path / "a"]).known() == [bytes(16), TOKEN]
    assert Tokens.of([tmp_path / "b"]).known() == []
    tokens.forget(bytes(16))
    assert tokens.known() == [TOKEN]
    assert (tmp_path / "pairlay-python" / "transfers.json").stat().st_mode & 0o077 == 0
