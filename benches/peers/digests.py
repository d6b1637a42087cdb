"""A digest of scores, whatever the order of the rows."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute


def of(table):
    """Of the column `s` of a table of SNVs, by position and alternate."""
    position = table["position"].to_numpy().astype(np.uint64)
    letter = pa.compute.index_in(table["alternate"].cast(pa.string()), pa.array(list("ACGT"))).to_numpy()
    order = np.argsort(position * 4 + letter.astype(np.uint64), kind="stable")
    return hashlib.blake2b(table["s"].to_numpy().astype(np.float32)[order].tobytes()).hexdigest()
