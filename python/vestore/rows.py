"""Rows of an answer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Iterator

from . import _native, matrix
from .optional import needed

if TYPE_CHECKING:
    import anndata
    import numpy
    import pandas
    import polars
    import pyarrow


class Rows:
    """Rows of an answer, as an Arrow stream that is read in batches of a few thousand rows.

    Nothing is read before the rows are asked for. They are those of the moment of the query, however often they are
    read and whatever is committed meanwhile.

    >>> import vestore
    >>> rows = vestore.open("mito.vestore").query("MT:100-110")
    >>> rows.count()
    22
    >>> rows.to_arrow().num_rows
    22
    """

    def __init__(self, native: _native.Rows | _native.Table) -> None:
        self._native = native

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self._native.columns()

    def count(self) -> int:
        """The number of rows; where the catalog knows it, without reading them."""
        return self._native.count()

    def to_arrow(self) -> pyarrow.Table:
        """All rows as a `pyarrow.Table`."""
        library = needed("pyarrow", "to_arrow()")
        with self._own_errors():
            table: pyarrow.Table = library.table(self)
        return table

    def to_pandas(self, **options: Any) -> pandas.DataFrame:
        """All rows as a `pandas.DataFrame`; contigs, models and tracks are categories.

        `options` are those of `pyarrow.Table.to_pandas`.
        """
        needed("pandas", "to_pandas()")
        return self.to_arrow().to_pandas(**options)

    def to_polars(self) -> polars.DataFrame:
        """All rows as a `polars.DataFrame`; contigs, models and tracks are categories."""
        library = needed("polars", "to_polars()")
        with self._own_errors():
            frame: polars.DataFrame = library.DataFrame(self)
        return frame

    def to_numpy(self) -> dict[str, numpy.ndarray]:
        """Each column as a NumPy array, embeddings as `[rows, width]`; missing numbers are NaN."""
        return matrix.arrays(self.to_arrow())

    def to_anndata(self) -> anndata.AnnData:
        """Effects, gene effects or ablation as a matrix: `obs` are variants, `var` targets, genes or layers.

        `layers` has one matrix per score column, and `X` is the first of them; what has no row is NaN. Embeddings are
        in `obsm`, without `X`. An observation is a variant on one track, named like `17-43044295-G-A`, with `-track`
        behind it if there are several tracks.
        """
        return matrix.matrices(self.to_arrow())

    def batches(self) -> Iterator[pyarrow.RecordBatch]:
        """The rows batch by batch, for answers that do not fit into memory."""
        reader = needed("pyarrow", "batches()").RecordBatchReader.from_stream(self)
        while True:
            with self._own_errors():
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
            yield batch

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        return self._native.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> Any:
        return self._native.__arrow_c_schema__()

    def __repr__(self) -> str:
        return f"<vestore.Rows: {', '.join(self.columns)}>"

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        """Raises what ended the stream, of which Arrow's consumers keep only the text."""
        try:
            yield
        except BaseException as error:
            failure = self._native.take_failure()
            if failure is None:
                raise
            raise failure from (None if isinstance(error, Exception) else error)
