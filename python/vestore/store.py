"""Stores and what is asked of them."""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING, Any, Iterable, Sequence, Union

from . import _native
from .program import run
from .rows import Rows
from .view import View

if TYPE_CHECKING:
    import duckdb

    Texts = Union[str, Iterable[str], None]
    Path = Union[str, "os.PathLike[str]"]

FILES = (".vcf", ".vcf.gz", ".vcf.bgz", ".bcf", ".tsv", ".tsv.gz", ".csv", ".csv.gz", ".parquet")
VARIANT_COLUMNS = ("contig", "position", "reference", "alternate")


def open(path: Path, *, reference: Path | None = None, last_committed: bool = False) -> Store:
    """Opens the store in the folder `path`, or the published store at an address (`https://…`), to read it.

    `reference` is a FASTA to read instead of the recorded one, where variants have to be normalized. `last_committed`
    reads the last committed state without waiting for a commit in progress.

    >>> import vestore
    >>> vestore.open("mito.vestore")
    <vestore.Store: mito.vestore>
    """
    return Store(path, reference=reference, last_committed=last_committed)


class Store:
    """A store. It holds no file open, may be used by several threads, and sees what others commit meanwhile."""

    def __init__(self, path: Path, *, reference: Path | None = None, last_committed: bool = False) -> None:
        self._arguments = (path, last_committed, reference)
        self._native = _native.Store(*self._arguments)

    @property
    def path(self) -> str:
        """The folder or address."""
        return self._native.path

    def models(self) -> list[dict[str, Any]]:
        """The model versions, each as a dictionary."""
        return _list(self._native.models())

    def tracks(self) -> list[dict[str, Any]]:
        """The tracks, each as a dictionary.

        >>> import vestore
        >>> [(track["name"], track["columns"]) for track in vestore.open("mito.vestore").tracks()]
        [('full', ['llr', 'cosine']), ('half', ['llr'])]
        """
        return _list(self._native.tracks())

    def runs(self) -> list[dict[str, Any]]:
        """The runs that wrote rows, oldest first."""
        return _list(self._native.runs())

    def contigs(self) -> list[dict[str, Any]]:
        """The contigs of the reference: name, length, digest."""
        return _list(self._native.contigs())

    def info(self) -> dict[str, Any]:
        """A summary: format, reference, models, and rows and bytes of each track.

        >>> import vestore
        >>> vestore.open("mito.vestore").info()["tracks"]["half"]["tables"]["scores"]["rows"]
        300
        """
        return _dictionary(self._native.info())

    def query(
        self,
        regions: Texts = None,
        variants: Any = None,
        *,
        bed: Path | None = None,
        tracks: Texts = None,
        models: Texts = None,
        where: str | None = None,
        columns: Texts = None,
        wide: bool = False,
        sort: Texts = None,
        limit: int | None = None,
        ref_mismatch: str = "auto",
    ) -> Rows:
        """Scores, a row per variant and track, or with `wide` a row per variant.

        `regions` are texts such as `17:43,044,295-43,125,483` (1-based inclusive) or `BRCA1`, `bed` is a BED file. `variants` are
        texts such as `17-43044295-G-A`, `NC_000017.11:g.43044295G>A` or `rs80357713`, a file (VCF, BCF, TSV, CSV, Parquet), or a table (pandas, Polars, pyarrow) with
        the columns contig, position, reference and alternate. Without any of them all rows are meant. `where` is a condition such
        as `llr < -3 and cosine > 0.1`. Of `columns` those of the variant, model, track and status come first unless one
        of them is named. `sort` names columns; `-llr` is from the largest on.

        >>> import vestore
        >>> store = vestore.open("mito.vestore")
        >>> store.query(variants="MT-100-G-A", columns="llr", tracks="full").to_arrow().to_pylist()[0]["llr"]
        0.25
        >>> store.query("MT", sort="-llr", limit=3, columns=["position", "llr"]).to_arrow().num_rows
        3
        """
        return self._rows(
            "scores", regions, variants, bed=bed, tracks=tracks, models=models, where=where, columns=columns,
            wide=wide, sort=sort, limit=limit, ref_mismatch=ref_mismatch,
        )  # fmt: skip

    def effects(
        self,
        regions: Texts = None,
        variants: Any = None,
        *,
        targets: Texts = None,
        top: int | None = None,
        **options: Any,
    ) -> Rows:
        """What each variant does to each target of a regulatory model, a row per variant and target.

        `targets` are names in which `*` and `?` stand for letters; `top` keeps the targets of each variant with the
        largest absolute effects. Other `options` are those of `query`, except `wide`.
        """
        return self._rows("effects", regions, variants, targets=targets, top=top, **options)

    def gene_effects(
        self,
        regions: Texts = None,
        variants: Any = None,
        *,
        targets: Texts = None,
        top: int | None = None,
        **options: Any,
    ) -> Rows:
        """What each variant does in each gene, a row per variant and gene (and target). Options as for `effects`."""
        return self._rows("gene-effects", regions, variants, targets=targets, top=top, **options)

    def embeddings(self, regions: Texts = None, variants: Any = None, **options: Any) -> Rows:
        """Embeddings of each variant's windows, as lists. Options as for `query`, except `wide`."""
        return self._rows("embeddings", regions, variants, **options)

    def ablation(self, regions: Texts = None, variants: Any = None, **options: Any) -> Rows:
        """The change of each score without each layer. Options as for `query`, except `wide`."""
        return self._rows("ablation", regions, variants, **options)

    def similar(
        self,
        variant: str,
        *,
        track: str | None = None,
        top: int = 10,
        by: str = "delta",
        metric: str = "cosine",
        labels: Path | None = None,
        label: str = "label",
    ) -> Rows:
        """The variants whose embeddings are nearest to that of `variant`, the nearest first.

        `by` is `delta` (alternate − reference) or `reference`; `metric` is `cosine` or `euclidean`, and the column is
        called `cosine` or `distance`. `track` is needed if several tracks have embeddings. Of `labels`, a VCF, TSV or
        CSV file, the INFO field or column `label` stands beside each neighbour.
        """
        file = None if labels is None else (os.fspath(labels), label)
        native, remarks = self._native.similar(variant, track, top, by, metric, file)
        for remark in remarks:
            warnings.warn(remark, stacklevel=2)
        return Rows(native)

    def view(
        self,
        places: Texts,
        *,
        tracks: Texts = None,
        scores: Texts = None,
        labels: Path | None = None,
        genes: Path | None = None,
        ref_mismatch: str = "auto",
    ) -> View:
        """A page that shows a region, or variants with 50 bases on each side; a notebook displays it.

        `places` are texts such as `17:43,044,295-43,125,483` or `17-43044295-G-A`. By default all tracks that have rows
        there are shown, and of each the first column of every score kind; `tracks` and `scores` choose others. `labels`
        is a VCF (ClinVar), `genes` a GTF or the name of a gene table that the store keeps.

        >>> import vestore
        >>> vestore.open("mito.vestore").view("MT:100-110", tracks="full")
        <vestore.View: 11 variants of full>
        """
        native, remarks = self._native.view(
            as_texts(places), as_texts(tracks), as_texts(scores), labels, genes, ref_mismatch
        )
        for remark in remarks:
            warnings.warn(remark, stacklevel=2)
        return View(native)

    def annotate(self, source: Path, output: Path, *, tracks: Texts = None, force: bool = False) -> None:
        """Adds scores to a VCF or BCF file as INFO fields; everything else stays unchanged.

        >>> import vestore
        >>> vestore.open("mito.vestore").annotate("mito.vcf", "annotated.vcf", tracks="full")
        """
        words = ["annotate", self.path, os.fspath(source), os.fspath(output)]
        words += [word for track in as_texts(tracks) for word in ("--track", track)]
        run([*words, *(["--force"] if force else [])], quiet=True)

    def diff(self, first: str, second: str, column: str, regions: Texts = None) -> dict[str, Any]:
        """Compares a score column of two tracks: rows, correlations, differences, variants that differ most.

        >>> import vestore
        >>> vestore.open("mito.vestore").diff("full", "half", "llr")["in_both"]
        300
        """
        return _dictionary(self._native.diff(first, second, column, as_texts(regions)))

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """Runs a query of DuckDB's over the view `scores` and a view of each track, and returns its relation.

        The views read exactly the files that are committed now. A track called `scores` has no view of its own: select
        its rows from `scores` by `track`.

        >>> import vestore
        >>> vestore.open("mito.vestore").sql("select track, count(*) from scores group by 1 order by 1").fetchall()
        [('full', 300), ('half', 300)]
        """
        if "://" in self.path:
            raise _native.VestoreError(
                f"SQL reads files of this machine, not {self.path}; use `query`, or open a local copy"
            )
        from . import views

        relation: duckdb.DuckDBPyRelation = views.sql(self._native, query)
        return relation

    def _rows(
        self,
        table: str,
        regions: Texts,
        variants: Any,
        *,
        bed: Path | None = None,
        tracks: Texts = None,
        models: Texts = None,
        where: str | None = None,
        columns: Texts = None,
        wide: bool = False,
        targets: Texts = None,
        top: int | None = None,
        sort: Texts = None,
        limit: int | None = None,
        ref_mismatch: str = "auto",
    ) -> Rows:
        file = None
        texts = None if regions is None else as_texts(regions)
        if is_file(variants):
            file = os.fspath(variants)
        elif variants is not None:
            texts = (texts or []) + variant_texts(variants)
        native, remarks = self._native.rows(
            table, texts, bed, file, ref_mismatch, as_texts(models), as_texts(tracks), where, wide,
            as_texts(columns), as_texts(targets), top, as_texts(sort), limit,
        )  # fmt: skip
        for remark in remarks:
            warnings.warn(remark, stacklevel=3)
        return Rows(native)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the store anew."""
        path, last_committed, reference = self._arguments
        path = path if "://" in os.fspath(path) else os.path.abspath(path)
        return _opened, (path, last_committed, reference and os.path.abspath(reference))

    def __repr__(self) -> str:
        return f"<vestore.Store: {self.path}>"


def _opened(path: Path, last_committed: bool, reference: Path | None) -> Store:
    return Store(path, reference=reference, last_committed=last_committed)


def _list(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)
    return found


def _dictionary(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def as_texts(texts: Texts) -> list[str]:
    """One text, some, or none, as a list."""
    if texts is None:
        return []
    return [texts] if isinstance(texts, str) else list(texts)


def is_file(variants: Any) -> bool:
    """Whether `variants` is the path of a file, and not the text of a variant."""
    if isinstance(variants, str):
        return variants.endswith(FILES) or os.path.isfile(variants)
    return isinstance(variants, os.PathLike)


def variant_texts(variants: Any) -> list[str]:
    """The variants of texts or of a table, as texts."""
    if isinstance(variants, (str, list, tuple, set)):
        return as_texts(variants)
    return ["-".join(map(str, row)) for row in variant_rows(variants)]


def variant_rows(table: Any) -> Iterable[Sequence[Any]]:
    """Contig, position, reference and alternate of each row of a table."""
    try:
        columns = [table[name] for name in VARIANT_COLUMNS]
    except (KeyError, TypeError, IndexError) as error:
        raise _native.VestoreError(
            f"not variants: {type(table).__name__}; expected texts such as `17-43044295-G-A`, a file of variants, or a "
            f"table with the columns {', '.join(VARIANT_COLUMNS)}"
        ) from error
    lists = (column.to_pylist() if hasattr(column, "to_pylist") else list(column) for column in columns)
    return zip(*lists)
