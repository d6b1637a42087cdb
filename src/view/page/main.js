// Puts the page together.

/** Colours of the page's styles, for the canvas. */
function readInk() {
  const style = getComputedStyle(document.documentElement);
  const named = (name) => style.getPropertyValue(`--${name}`).trim();
  const theme = named("theme");
  const names = ["ink", "soft", "line", "faint", "raised", "accent", "neutral", "missing", "gene", "cross"];
  ink = Object.fromEntries(names.map((name) => [name, named(name)]));
  ink.theme = theme;
  ink.bases = BASE_COLOURS[theme];
  ink.labels = Object.fromEntries(LABEL_KINDS.map((kind) => [kind, named(kind)]));
  drawMarks(ink);
}

/** The lanes that are chosen, shaded anew. */
function chooseLanes() {
  const before = lanes[cursor.lane];
  lanes = columns.filter((lane) => !lane.hidden);
  const [first, second] = [byId("minuend"), byId("subtrahend")].map((select) => columns[select.value]);
  if (first && second && first !== second) {
    lanes = [{ of: [first, second], name: `${first.name} − ${second.name}` }, ...lanes];
  }
  for (const lane of lanes) {
    if (lane.of) shadeDifference(lane, scale);
    else if (lane.scale !== scale) {
      shadeColumn(lane, scale);
      lane.scale = scale;
      lane.peaks = undefined;
    } else continue;
    summarize(lane);
  }
  cursor.lane = Math.max(0, lanes.indexOf(before));
  const names = lanes.map((lane) => lane.name).join(", ");
  stage.setAttribute("aria-label", `Heatmap of ${page.place}, position by allele: ${names}`);
  if (layout) place({});
  renew();
}

function fillControls() {
  const option = (value, text) => element("option", { value }, text);
  byId("minuend").append(option("", "none"), ...columns.map((lane, index) => option(index, lane.name)));
  byId("subtrahend").append(...columns.map((lane, index) => option(index, lane.name)));
  if (columns.length > 1) byId("subtrahend").value = "1";
  byId("compare").hidden = columns.length < 2;
  for (const lane of columns) {
    const box = element("input", { type: "checkbox", checked: "" });
    box.addEventListener("change", () => {
      if (!box.checked && lanes.filter((one) => !one.of).length === 1 && !lane.hidden) box.checked = true;
      lane.hidden = !box.checked;
      chooseLanes();
    });
    byId("picker").append(element("label", {}, box, lane.name));
  }
  for (const id of ["minuend", "subtrahend"]) {
    byId(id).addEventListener("change", () => {
      if (id === "minuend" && byId("subtrahend").value === byId("minuend").value) {
        byId("subtrahend").value = byId("minuend").value === "0" ? "1" : "0";
      }
      chooseLanes();
    });
  }
  byId("scale").addEventListener("change", () => {
    scale = byId("scale").value;
    chooseLanes();
  });
  byId("in").addEventListener("click", () => zoom(0.5, keyCentre()));
  byId("out").addEventListener("click", () => zoom(2, keyCentre()));
  byId("left").addEventListener("click", () => look(view.start - view.span * 0.4, view.span));
  byId("right").addEventListener("click", () => look(view.start + view.span * 0.4, view.span));
  byId("whole").addEventListener("click", () => look(whole.start, whole.span));
  byId("go").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!goTo(byId("place").value.trim())) {
      announce(`Not on this page: ${byId("place").value}. Expected a position, a range, a variant or a gene of ${page.place}`);
    }
  });
}

/** Shows a position, a range, a variant or a gene; false where the text is none of the page. */
function goTo(text) {
  const gene = page.genes.find((one) => one.id.toLowerCase() === text.toLowerCase());
  if (gene) {
    const [start, end] = [Math.max(gene.start, page.start), Math.min(gene.end, page.end)];
    look(start - (end - start) * 0.05, (end - start + 1) * 1.1);
    return true;
  }
  const plain = (name) => name.replace(/^chr/i, "").toLowerCase();
  const here = (contig) => contig === undefined || plain(contig) === plain(page.contig.name);
  const variant = text.match(/^(?:(.+)[-:])?(\d+)[-:]([A-Za-z]+)[-:>]([A-Za-z]+)$/);
  if (variant) {
    if (!here(variant[1])) return false;
    const found = findVariant(Number(variant[2]), variant[3].toUpperCase(), variant[4].toUpperCase());
    if (found < 0) return false;
    showVariant(found, true);
    return true;
  }
  const range = text.replaceAll(",", "").match(/^(?:(.+):)?(\d+)(?:\s*[-–]\s*(\d+))?$/);
  if (!range || !here(range[1])) return false;
  const start = Number(range[2]);
  const end = range[3] ? Number(range[3]) : start;
  if (end < start || end < page.start || start > page.end) return false;
  if (range[3]) look(start, end - start + 1);
  else look(start - Math.min(view.span, 100) / 2, Math.min(view.span, 100));
  point(cursor.lane, cursor.row, clamp(start, page.start, page.end));
  return true;
}

const THEMES = ["system", "light", "dark"];
function listenToTheme() {
  const button = byId("theme");
  const set = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    readInk();
    renew();
  };
  button.addEventListener("click", () => {
    set(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % 3]);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => set(document.documentElement.dataset.theme ?? "system"));
}

function start() {
  const assembly = page.assembly ? ` · ${page.assembly}` : "";
  byId("kicker").textContent = `vestore${assembly}`;
  const bases = page.end - page.start + 1;
  byId("summary").textContent =
    `${page.contig.name}:${grouped(page.start)}–${grouped(page.end)}, ${plural(bases, "base")}; ` +
    `${plural(variants.count, "variant")}, ${plural(page.tracks.length, "track")}`;
  fillControls();
  showReading();
  showProvenance();
  readInk();
  chooseLanes();
  paint();
  listen();
  listenToSaving();
  listenToTheme();
  new ResizeObserver(renew).observe(stage);
  if (page.focus !== null) {
    showVariant(page.focus, true);
  } else {
    // The most extreme cell of all, so that the panel shows what it can.
    const [best] = largest(lanes[0], 1);
    if (best !== undefined) place({ lane: 0, row: rowOf[best], position: variants.position[best], variant: best });
    else place({ lane: 0, row: 0, position: page.start, variant: -1 });
  }
  showExtremes();
}

start();
