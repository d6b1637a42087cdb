"""Python's answers are those of the command line, for every form of a query."""

import json
import random
import subprocess

import openpyxl
import pyarrow
import pytest

import vestore
from conftest import command

FORMS = {
    "query": ("", {}),
    "wide": ("--wide", {"wide": True}),
    "embeddings": ("--embeddings --track llr", {"tracks": "llr"}),
    "ablation": ("--ablation", {}),
    "effects": ("--effects --track effects", {"tracks": "effects"}),
    "gene_effects": ("--gene-effects", {}),
}
# A condition, columns and an order for each form.
REFINED = {
    "query": ("llr < 0 or status != 'scored'", "llr", "-llr,position"),
    "wide": ("llr.llr < 0", "position,llr.llr", "-llr.llr"),
    "embeddings": ("position > 2420", "position,status", "-position,alternate"),
    "ablation": ("layer > 1", "llr", "layer,-llr"),
    "effects": ("log_sum > 0", "target,log_sum", "-log_sum"),
    "gene_effects": ("gene = 'plus'", "gene_sed", "gene_sed,target"),
}


def place(choice):
    contig, low, high = choice.choice([("1", 2380, 2520), ("1", 2395, 2440), ("HLA-A*01:01", 990, 1030)])
    start = choice.randint(low, high)
    return f"{contig}:{start}-{start + choice.randint(0, 40)}"


def asked(form, choice):
    """The same random question in words of the command line and as arguments of Python's."""
    words, arguments = FORMS[form][0].split(), dict(FORMS[form][1])
    regions = [place(choice) for _ in range(choice.randint(0, 3))]
    arguments["regions"] = regions or None
    where, columns, sort = REFINED[form]
    if choice.random() < 0.5:
        words, arguments["where"] = [*words, "--where", where], where
    if choice.random() < 0.5:
        words, arguments["columns"] = [*words, "--columns", columns], columns.split(",")
    if choice.random() < 0.5 and form != "effects" or "columns" not in arguments:
        words, arguments["sort"] = [*words, "--sort", sort], sort.split(",")
    if choice.random() < 0.3:
        limit = choice.randint(0, 40)
        words, arguments["limit"] = [*words, "--limit", limit], limit
    if form in ("effects", "gene_effects") and choice.random() < 0.5:
        words, arguments["top"] = [*words, "--top", 1], 1
    return [*regions, *words], arguments


@pytest.mark.parametrize("form", FORMS)
def test_answers_are_those_of_the_command_line(scored, form):
    choice, store, rows = random.Random(form), vestore.open(scored), 0
    ask = getattr(store, "query" if form == "wide" else form)
    for _ in range(25):
        words, arguments = asked(form, choice)
        expected = pyarrow.ipc.open_stream(command("query", scored, *words, "--format", "arrow")).read_all()
        answer = ask(**arguments)
        found = answer.to_arrow()
        assert found.schema.equals(expected.schema, check_metadata=True), words
        assert found.equals(expected), words
        assert answer.count() == found.num_rows == int(command("query", scored, *words, "--count")), words
        assert answer.columns == found.schema.names
        text = command("query", scored, *words, "--format", "tsv").decode()
        assert text.split("\n", 1)[0].split("\t") == answer.columns, words
        rows += found.num_rows
    assert rows > 250


def test_variants_are_texts_tables_or_files(mito):
    store = vestore.open(mito / "mito.vestore")
    texts = ["MT-1-A-G", "MT-8-G-A", "MT-15-T-G"]
    expected = store.query(variants=texts).to_arrow()
    assert expected.num_rows == 6
    file = mito / "three.vcf"
    file.write_text("".join((mito / "mito.vcf").read_text().splitlines(keepends=True)[:5]))
    for variants in [file, str(file)]:
        assert store.query(variants=variants).to_arrow().equals(expected)
    table = expected.select(["contig", "position", "reference", "alternate"]).slice(0, 6)
    assert store.query(variants=table).to_arrow().equals(expected)
    for package in ["pandas", "polars"]:
        pytest.importorskip(package)
    assert store.query(variants=table.to_pandas()).to_arrow().equals(expected)
    assert store.query("MT:200", variants=texts).count() == 8


def test_nothing_asked_is_everything_and_an_empty_list_is_nothing(mito):
    store = vestore.open(mito / "mito.vestore")
    assert store.query().count() == 600
    assert store.query(regions=[]).count() == store.query(variants=[]).to_arrow().num_rows == 0


def test_sorting_puts_missing_values_last_in_both_directions(scored):
    for sort in ["cosine", "-cosine"]:
        rows = vestore.open(scored).query("1:2400-2410", sort=sort).to_arrow()
        missing = rows["cosine"].is_null().to_pylist()
        assert missing == sorted(missing) and 0 < sum(missing) < len(missing)
        values = [value for value in rows["cosine"].to_pylist() if value is not None]
        assert values == sorted(values, reverse=sort[0] == "-")


def test_info_is_that_of_the_command_line(scored):
    info = vestore.open(scored).info()
    assert json.loads(command("info", scored, "--format", "json")) == info
    assert info["runs"] >= 4 and info["interrupted_runs"] == 0
    assert info["tracks"]["effects"]["tables"]["effects"]["statuses"] == {"scored": 123}


def test_contigs_are_sorted_as_in_the_reference(scored):
    rows = vestore.open(scored).query(tracks="llr", sort="-contig", columns=["contig"]).to_arrow()
    assert rows["contig"].to_pylist()[0] == "HLA-A*01:01"


def test_spreadsheets_hold_what_tsv_holds(scored, tmp_path):
    for words in [[], ["--wide", "--sort=-llr.llr"], ["--embeddings", "--track", "llr"]]:
        text = command("query", scored, *words, "--format", "tsv", text=True)
        expected = [line.split("\t") for line in text.splitlines()]
        command("query", scored, *words, "-o", tmp_path / "out.xlsx", "--force")
        sheet = openpyxl.load_workbook(tmp_path / "out.xlsx")["vestore"]
        lines = [[cell.value for cell in row] for row in sheet.iter_rows()]
        assert len(lines) == len(expected) > 50
        for cells, texts in zip(lines, expected):
            for cell, text in zip(cells, texts):
                number = isinstance(cell, (int, float))
                assert cell == float(text) if number else (cell or "") == text
        assert any(isinstance(cell, float) for cell in lines[1]) or "--embeddings" in words
    first = (tmp_path / "out.xlsx").read_bytes()
    command("query", scored, *words, "-o", tmp_path / "out.xlsx", "--force")
    assert (tmp_path / "out.xlsx").read_bytes() == first


@pytest.mark.parametrize("words", [["--columns", "llr"], ["--sort", "llr"]])
def test_vcf_has_all_columns_in_order(scored, words):
    with pytest.raises(subprocess.CalledProcessError) as error:
        command("query", scored, "--format", "vcf", *words)
    assert error.value.returncode == 2 and b"leave --columns and --sort" in error.value.stderr


def test_neighbours_are_those_of_numpy(scored):
    import numpy

    store = vestore.open(scored)
    table = store.embeddings().to_arrow()
    known = [status.as_py() == "scored" for status in table["status"]]
    names = list(zip(*(table[name].to_pylist() for name in ["contig", "position", "reference", "alternate"])))
    names = [name for name, is_known in zip(names, known) if is_known]
    for by, column in [("delta", "delta_embedding"), ("reference", "reference_embedding")]:
        vectors = [row for row in table[column].to_pylist() if row is not None]
        vectors = numpy.array(vectors, dtype=numpy.float32).astype(numpy.float64)
        lengths = numpy.linalg.norm(vectors, axis=1)
        for metric, place in [("cosine", 0), ("euclidean", 17), ("cosine", len(names) - 1)]:
            if metric == "cosine":
                values = vectors @ vectors[place] / (lengths * lengths[place])
                order = numpy.argsort(-values, kind="stable")
            else:
                values = numpy.linalg.norm(vectors - vectors[place], axis=1)
                order = numpy.argsort(values, kind="stable")
            expected = [at for at in order if at != place][:25]
            variant = "-".join(map(str, names[place]))
            found = store.similar(variant, track="llr", top=25, by=by, metric=metric).to_arrow()
            scores = found["cosine" if metric == "cosine" else "distance"].to_numpy()
            assert numpy.allclose(scores, values[expected], atol=1e-6), (by, metric)
            # Variants at nearly one distance may change places.
            assert (numpy.sort(scores) == (scores if metric == "euclidean" else scores[::-1])).all()
            rows = zip(*(found[name].to_pylist() for name in ["contig", "position", "reference", "alternate"]))
            for row, score in zip(rows, scores):
                assert abs(values[names.index(row)] - score) < 1e-6 and names.index(row) != place


def test_neighbours_have_labels_and_errors(scored, tmp_path):
    store = vestore.open(scored)
    with pytest.raises(vestore.VestoreError, match="unknown by `x`; expected one of delta, reference"):
        store.similar("1-2400-A-C", by="x")
    with pytest.raises(vestore.VestoreError, match="not one variant: `1:2400`"):
        store.similar("1:2400")
    rows = store.embeddings(["1:2401-2402"]).to_arrow().to_pylist()
    first, second = ("-".join(str(row[name]) for name in ["contig", "position", "reference", "alternate"]) for row in rows[:2])
    labels = tmp_path / "labels.csv"
    row = rows[1]
    labels.write_text(f"chrom,pos,ref,alt,label\n1,{row['position']},{row['reference']},{row['alternate']},benign\n")
    found = store.similar(first, track="llr", top=1000, labels=labels)
    assert found.columns[-2:] == ["cosine", "label"] and found.count() > 100
    named = {"-".join(str(row[name]) for name in ["contig", "position", "reference", "alternate"]): row["label"] for row in found.to_arrow().to_pylist()}
    assert named.pop(second) == "benign" and set(named.values()) == {None} and first not in named
