"""Rows as arrays and matrices."""

import pickle

import numpy
import pytest

import vestore
from conftest import command


def test_embeddings_are_arrays_of_rows_and_width(scored):
    rows = vestore.open(scored).embeddings("1:2400-2410")
    table, found = rows.to_arrow(), rows.to_numpy()
    assert list(found) == table.column_names
    assert found["delta_embedding"].shape == (33, 128) and found["delta_embedding"].dtype == numpy.float32
    assert found["delta_embedding"].tolist() == table["delta_embedding"].to_pylist()
    assert found["position"].tolist() == table["position"].to_pylist()
    assert found["reference"].tolist() == table["reference"].to_pylist()
    matrices = rows.to_anndata()
    assert matrices.shape == (33, 0) and numpy.array_equal(matrices.obsm["delta_embedding"], found["delta_embedding"])


@pytest.mark.parametrize("name", ["effects", "gene_effects", "ablation"])
def test_matrices_have_each_row_in_its_place(scored, name):
    rows = getattr(vestore.open(scored), name)()
    matrices, expected = rows.to_anndata(), rows.to_arrow().to_pylist()
    features = [key for key in ["gene", "target", "layer"] if key in rows.columns]
    kinds = rows.columns[rows.columns.index("status") + 1 :]
    kinds = [kind for kind in kinds if kind not in features]
    assert list(matrices.layers) == kinds and matrices.n_obs * matrices.n_vars == len(expected)
    assert numpy.array_equal(matrices.X, matrices.layers[kinds[0]], equal_nan=True)
    for row in expected:
        variant = "-".join(str(row[key]) for key in ["contig", "position", "reference", "alternate"])
        variable = " ".join(str(row[key]) for key in features)
        place = matrices.obs_names.get_loc(variant), matrices.var_names.get_loc(variable)
        assert matrices.obs["track"].iloc[place[0]] == row["track"]
        for kind in kinds:
            value = matrices.layers[kind][place]
            assert value == numpy.float32(row[kind]) if row[kind] is not None else numpy.isnan(value)


def test_what_has_no_row_is_not_a_number(scored):
    store = vestore.open(scored)
    matrices = store.effects("1:2425-2426", top=1).to_anndata()
    assert numpy.isfinite(matrices.X).sum() == matrices.n_obs == 6


def test_rows_that_are_no_matrix_are_refused(scored):
    store = vestore.open(scored)
    with pytest.raises(vestore.VestoreError, match="needs rows of effects"):
        store.query("1:2400").to_anndata()
    with pytest.raises(vestore.VestoreError, match="leave `columns` and `wide` out"):
        store.effects(columns=["position", "sum"]).to_anndata()


def test_a_store_is_opened_anew_in_another_process(mito, monkeypatch):
    monkeypatch.chdir(mito)
    kept = pickle.dumps(vestore.open("mito.vestore", last_committed=True))
    monkeypatch.chdir("/")
    assert pickle.loads(kept).query("MT:5").count() == 2


def test_sql_reads_a_track_called_scores(mito, tmp_path):
    command("init", tmp_path / "s", "--reference", mito / "mito.fa")
    for track, file in [("Scores", "full.tsv"), ("half", "half.tsv")]:
        command("import", tmp_path / "s", "--track", track, mito / file, "--quiet")
    store = vestore.open(tmp_path / "s")
    assert store.sql("select count(*) from scores").fetchall() == [(600,)]
    assert store.sql("select count(*) from scores where track = 'Scores'").fetchall() == [(300,)]
    assert store.sql("select distinct track from half").fetchall() == [("half",)]


def test_variants_come_from_tables_of_any_kind(scored, tmp_path):
    store = vestore.open(scored)
    rows = store.query("1:2400-2420", tracks="llr").to_arrow()
    frame = rows.to_pandas()
    frame["llr"] = 7
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_csv(tmp_path / "x.tsv.gz", sep="\t")
    frame.to_parquet(tmp_path / "x.parquet")
    for name in ["x.csv", "x.tsv.gz", "x.parquet"]:
        assert store.query(variants=tmp_path / name, tracks="llr").to_arrow() == rows
        assert store.query(variants=str(tmp_path / name), tracks="llr").to_arrow() == rows
    found = vestore.score(scored, model="small", variants=tmp_path / "x.csv", score="llr", track="llr", quiet=True)
    assert found.to_arrow() == rows
