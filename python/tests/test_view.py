"""Pages of a store: those of the command line, in a frame or a file."""

import html
import json

import pytest

import vestore
from conftest import command

MARK = '<script type="application/json" id="vestore-data">'


def document(page):
    return json.loads(page.split(MARK, 1)[1].split("</script>", 1)[0])


def test_a_page_is_that_of_the_command_line(scored, tmp_path):
    store = vestore.open(scored)
    view = store.view("1:2400-2460", tracks=["llr", "effects"], scores=["llr", "log_sum_max_abs"])
    words = ["1:2400-2460", "--track", "llr", "--track", "effects", "--score", "llr,log_sum_max_abs"]
    assert view.html == command("view", scored, *words, "-o", "-").decode()
    command("view", scored, *words, "--static", tmp_path / "figure.svg")
    assert view.figure() == (tmp_path / "figure.svg").read_text()
    frame = view._repr_html_()
    page = frame.split('srcdoc="', 1)[1].split('"', 1)[0]
    assert html.unescape(page) == view.html
    file = tmp_path / "view.html"
    view.save(file)
    assert file.read_text() == view.html
    with pytest.raises(vestore.VestoreError, match="the output exists"):
        view.save(file)
    view.save(file, force=True)
    with pytest.raises(vestore.VestoreError, match="lies in a vestore store"):
        view.save(scored / "view.html")


def test_a_page_has_the_details_of_its_variants(scored):
    store = vestore.open(scored)
    found = document(store.view("1:2400-2460").html)
    details = {(detail["track"], detail["table"]): detail for detail in found["details"]}
    assert set(details) == {("llr", "ablation"), ("effects", "effects"), ("effects", "gene-effects")}
    variants = found["variants"]
    positions, position = [], 0
    for difference in variants["position"]:
        position += difference
        positions.append(position)
    detail = details["effects", "effects"]
    columns = [column["name"] for column in detail["columns"]]
    rows = {
        (positions[variant], variants["alleles"][variants["alternate"][variant]], detail["names"][target], *values)
        for variant, target, *values in zip(
            detail["variant"], detail["target"], *(column["values"] for column in detail["columns"])
        )
    }
    answer = store.effects("1:2400-2460", tracks="effects", top=10).to_arrow().to_pylist()
    near = lambda value: None if value is None else pytest.approx(value, rel=1e-7)
    expected = [
        (row["position"], row["alternate"], row["target"], *(near(row[name]) for name in columns))
        for row in answer
        if row["target"]
    ]
    assert len(rows) == len(expected)
    by_key = {row[:3]: row for row in rows}
    assert all(by_key[row[:3]] == row for row in expected)
    assert details["effects", "gene-effects"]["gene"]


def test_what_cannot_be_shown_is_an_error(scored):
    store = vestore.open(scored)
    for places, part in [("1:1-9", "no rows in"), ([], "no place to show"), ("1:2400", "not a score column")]:
        with pytest.raises(vestore.VestoreError, match=part):
            store.view(places, scores="status" if places == "1:2400" else None)
