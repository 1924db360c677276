"""The experiment of edits beyond the data, at its smallest."""

import pytest

from benchmarks.editing import outcome, ways
from benchmarks.editing.__main__ import main

SHORT = ["--updates", "2", "--texts", "10"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("editing") / "out"
    with pytest.raises(SystemExit) as ended:
        main(["--seeds", "1", *SHORT, "--out", str(out)])
    assert not ended.value.code
    return out


def test_every_way_is_there_and_pays_for_what_it_feeds(folder):
    (record,) = outcome.read(folder)
    rows = [ways.Reached(**row) for row in record["reached"]]
    at = {(row.way, row.dial): row for row in rows}
    assert len(at) == len(rows) == 11 * 5 + 4 + 5 * (1 + 2 * 3)
    n = ways.TASK.max_length
    assert at["the likeliest edit", 5].cells <= 5 * (n + 1)
    assert at["best of 5 or none", 40].cells == 40 * (n + 1)  # whoever may stay does not stop
    assert at["best of 5 or none", 40].calls == 40 * 6
    estimated = at["best of 5 by the estimate or none", 40]  # the text, and six; the stop of one that stops, too
    assert 40 * (n + 1) * 7 <= estimated.cells <= 40 * ((n + 1) * 7 + 5)
    assert estimated.calls == at["the likeliest edit", 40].calls == 0
    best = at["asked for a score, temperature 0.2, the best of 200", 4]
    assert (best.cells, best.calls) == (ways.TOLD.prompt_tokens + 200 * n, 200)
    assert at["best of 5 or none", 40].attribute > at["best of 5 or none", 5].attribute > 1.5
    begun = {row.attribute for row in rows if row.dial == 0}
    assert len(begun) == 1  # all begin with the same texts
    climbed = [row.attribute for row in rows if row.way.startswith("no model")]
    assert climbed == sorted(climbed)
    assert climbed[-1] > 4


def test_the_table_has_a_line_for_each_and_the_picture_is_one(folder):
    text = (folder / "table.md").read_text()
    assert text.count("\n|") == 2 + 94
    assert "2 updates of the editor" in text
    assert f"the highest is {ways.TASK.best:.2f}" in text
    assert (folder / "ways.png").read_bytes().startswith(b"\x89PNG")
    two = [{**record, "seed": seed} for record in outcome.read(folder) for seed in (0, 1)]
    assert "2 seeds." in outcome.table(two)


def test_what_is_there_is_not_run_again_and_other_sizes_are_refused(folder, capsys, monkeypatch):
    before = (folder / outcome.NAME).read_bytes()
    monkeypatch.setattr("benchmarks.editing.__main__.of_seed", None)
    with pytest.raises(SystemExit) as ended:
        main(["--seeds", "1", *SHORT, "--out", str(folder)])
    assert not ended.value.code
    with pytest.raises(SystemExit) as ended:
        main(["--seeds", "1", "--updates", "3", "--texts", "10", "--out", str(folder)])
    assert ended.value.code == 2
    assert "give another --out" in capsys.readouterr().err
    assert (folder / outcome.NAME).read_bytes() == before


@pytest.mark.parametrize("content", ["{", "[{}]", '[{"seed": 0, "sizes": {}, "reached": [{"way": 1}]}]', "3"])
def test_records_that_are_none_are_refused_in_a_line(content, tmp_path, capsys):
    (tmp_path / outcome.NAME).write_text(content)
    with pytest.raises(SystemExit) as ended:
        main([*SHORT, "--out", str(tmp_path)])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert outcome.NAME in said
    assert said.count("\n") == 1
    assert (tmp_path / outcome.NAME).read_text() == content
