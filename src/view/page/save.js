// Copies and files of what is seen.

/** The variants in view that a shown track has a row of. */
function visible() {
  const found = [];
  for (let i = firstVariant(Math.floor(view.start)); i < variants.count; i++) {
    if (variants.position[i] >= view.start + view.span) break;
    if (lanes.some((lane) => hasRow(lane, i))) found.push(i);
  }
  return found;
}

/** Text in a cell of a table: nothing in it ends a line or a column. */
const plainCell = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** What is seen as a table, scores with all their digits. */
function tableText() {
  const shown = lanes.filter((lane) => !lane.of);
  const differences = lanes.filter((lane) => lane.of);
  const tracks = [...new Set(shown.map((lane) => lane.track))];
  const head = [
    "contig", "position", "reference", "alternate",
    ...shown.map((lane) => `${lane.track.name}.${lane.column.name}`),
    ...tracks.map((track) => `${track.name}.status`),
    ...differences.map((lane) => lane.name.replaceAll(" · ", ".")),
    ...(page.labels ? ["label"] : []),
  ];
  const number = (value) => (Number.isNaN(value) ? "" : String(value));
  const lines = visible().map((i) => [
    page.contig.name, String(variants.position[i]), refOf(i), altOf(i),
    ...shown.map((lane) => number(lane.column.numbers[i])),
    ...tracks.map((track) => statusOf(track, i)),
    ...differences.map((lane) => number(lane.numbers[i])),
    ...(page.labels ? [labelOf(i) ?? ""] : []),
  ]);
  return [head, ...lines].map((cells) => `${cells.map(plainCell).join("\t")}\n`).join("");
}

function pictureText() {
  const width = Math.max(280, Math.floor(stage.clientWidth));
  const measure = (text, size, weight) => new CanvasSurface(context).width(text, size, weight);
  const surface = new SvgSurface(width, layoutOf(width).height, measure);
  draw(surface, width, ink, cursor.held);
  return surface.toString();
}

const fileName = (ending) => {
  const first = Math.floor(view.start);
  const last = Math.min(page.end, Math.ceil(view.start + view.span) - 1);
  return `${page.contig.name}_${first}-${last}.${ending}`.replace(/[^\w.+-]/g, "_");
};

function save(blob, ending) {
  const address = URL.createObjectURL(blob);
  const link = element("a", { href: address, download: fileName(ending) });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
  announce(`Saved ${fileName(ending)}`);
}

function announce(text) {
  byId("live").textContent = text;
}

async function copyTable() {
  const text = tableText();
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Files and frames may have no clipboard of their own.
    const area = element("textarea", { readonly: "" });
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) {
      announce("The browser does not allow copying here; save the TSV instead");
      return;
    }
  }
  announce(`Copied ${plural(visible().length, "row")}`);
}

function listenToSaving() {
  byId("copy").addEventListener("click", copyTable);
  byId("tsv").addEventListener("click", () => save(new Blob([tableText()], { type: "text/tab-separated-values" }), "tsv"));
  byId("svg").addEventListener("click", () => save(new Blob([pictureText()], { type: "image/svg+xml" }), "svg"));
  byId("png").addEventListener("click", () => canvas.toBlob((blob) => blob && save(blob, "png"), "image/png"));
}
