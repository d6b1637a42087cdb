"""Pages that show a stretch of a store, in notebooks and files."""

from __future__ import annotations

import html
import os
from typing import TYPE_CHECKING, Union

from . import _native

if TYPE_CHECKING:
    Path = Union[str, "os.PathLike[str]"]


class View:
    """A self-contained page that shows a region: a notebook displays it, `save` writes it to a file.

    >>> import vestore
    >>> view = vestore.open("mito.vestore").view("MT:100-200")
    >>> view
    <vestore.View: 101 variants of full, half>
    >>> view.save("view.html")
    """

    def __init__(self, native: _native.View) -> None:
        self._native = native

    @property
    def html(self) -> str:
        """The page."""
        return self._native.html()

    def save(self, path: Path, *, force: bool = False) -> None:
        """Writes the page to a file; `force` replaces one that exists."""
        self._native.save(path, force)

    def figure(self) -> str:
        """The heatmap as an SVG for print."""
        return self._native.figure()

    def _repr_html_(self) -> str:
        # A frame of its own: styles and scripts of the notebook and of the page do not meet.
        page = html.escape(self.html, quote=True)
        return (
            f'<iframe srcdoc="{page}" title="vestore view" sandbox="allow-scripts allow-forms allow-downloads" '
            'allow="clipboard-write" style="width: 100%; height: 900px; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        variants, tracks = self._native.summary()
        return f"<vestore.View: {variants} variants of {', '.join(tracks)}>"
