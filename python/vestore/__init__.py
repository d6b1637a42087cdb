"""Read variant effects from a vestore store.

>>> import vestore
>>> store = vestore.open("mito.vestore")
>>> store.query("MT:100-200", where="llr < 0", limit=2).columns
['contig', 'position', 'reference', 'alternate', 'model', 'track', 'status', 'llr', 'cosine']

Rows are Arrow streams: `.to_pandas()`, `.to_polars()`, `.to_arrow()`, or hand them to whatever takes
`__arrow_c_stream__`. Nothing but this package is needed to open a store; pandas, Polars, pyarrow and DuckDB are
imported when they are first used.
"""

from ._native import VestoreError
from .rows import Rows
from .scoring import score
from .store import Store, open
from .view import View

__all__ = ["Rows", "Store", "VestoreError", "View", "open", "score"]
