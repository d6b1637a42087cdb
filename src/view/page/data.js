// The document of the page, unpacked: a variant is a number, and every column has an entry for each.

const page = JSON.parse(document.getElementById("vestore-data").textContent);
const BASES = "ACGT";
/** Rows of a heatmap: the alternate base of an SNV, and one for all other variants. */
const ROW_NAMES = ["A", "C", "G", "T", "other"];

function runningSum(differences) {
  const positions = new Uint32Array(differences.length);
  let position = 0;
  for (let i = 0; i < differences.length; i++) positions[i] = position += differences[i];
  return positions;
}

const variants = {
  position: runningSum(page.variants.position),
  reference: page.variants.reference,
  alternate: page.variants.alternate,
  count: page.variants.position.length,
};
const allele = (number) => page.variants.alleles[number];
const refOf = (i) => allele(variants.reference[i]);
const altOf = (i) => allele(variants.alternate[i]);
const nameOf = (i) => `${page.contig.name}-${variants.position[i]}-${refOf(i)}-${altOf(i)}`;
const shortAllele = (text) => (text.length > 12 ? `${text.slice(0, 10)}… (${text.length})` : text);
const shortName = (i) =>
  `${page.contig.name}-${variants.position[i]}-${shortAllele(refOf(i))}-${shortAllele(altOf(i))}`;

/** The row of each allele pair: A, C, G, T by the alternate of an SNV, else the last. */
const rowOf = new Uint8Array(variants.count);
for (let i = 0; i < variants.count; i++) {
  const base = refOf(i).length === 1 ? BASES.indexOf(altOf(i)) : -1;
  rowOf[i] = altOf(i).length === 1 && base >= 0 ? base : 4;
}
/** The variants of each row, in order. */
const rowMembers = ROW_NAMES.map((_, row) => {
  const members = [];
  for (let i = 0; i < variants.count; i++) if (rowOf[i] === row) members.push(i);
  return Uint32Array.from(members);
});
const hasOther = rowMembers[4].length > 0;

/** The first of `members` (variants) at or beyond `position`. */
function firstFrom(members, position) {
  let low = 0;
  let high = members.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (variants.position[members[middle]] < position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The first variant at or beyond `position`. */
function firstVariant(position) {
  let low = 0;
  let high = variants.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (variants.position[middle] < position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The variant of these alleles; -1 without. */
function findVariant(position, reference, alternate) {
  for (let i = firstVariant(position); i < variants.count && variants.position[i] === position; i++) {
    if (refOf(i) === reference && altOf(i) === alternate) return i;
  }
  return -1;
}

function unpackRuns(runs) {
  const codes = new Uint8Array(variants.count);
  let at = 0;
  for (let i = 0; i < runs.length; i += 2) {
    codes.fill(runs[i], at, at + runs[i + 1]);
    at += runs[i + 1];
  }
  return codes;
}

for (const track of page.tracks) {
  track.codes = unpackRuns(track.status);
  for (const column of track.columns) {
    column.numbers = new Float64Array(column.values.length);
    for (let i = 0; i < column.values.length; i++) column.numbers[i] = column.values[i] ?? NaN;
    delete column.values;
  }
}
const statusOf = (track, i) => page.statuses[track.codes[i]];
const isCalibration = (track, column) => track.columns.some((other) => other.percentile === column.name);

/** What a page shows below each other: a column of a track. */
const columns = page.tracks.flatMap((track) =>
  track.columns
    .filter((column) => !isCalibration(track, column))
    .map((column) => ({ track, column, name: `${track.name} · ${column.name}` })),
);

/** Labels by variant: position, reference and alternate joined. */
const labels = { list: [], at: new Map() };
if (page.labels) {
  const positions = runningSum(page.labels.position);
  page.labels.text.forEach((number, i) => {
    const label = {
      position: positions[i],
      reference: page.labels.alleles[page.labels.reference[i]],
      alternate: page.labels.alleles[page.labels.alternate[i]],
      text: page.labels.texts[number],
    };
    label.kind = labelKind(label.text);
    labels.list.push(label);
    const key = `${label.position}-${label.reference}-${label.alternate}`;
    labels.at.set(key, labels.at.has(key) ? `${labels.at.get(key)}; ${label.text}` : label.text);
  });
}
const labelOf = (i) => labels.at.get(`${variants.position[i]}-${refOf(i)}-${altOf(i)}`);

/** ClinVar's classes; other texts are of no class. */
function labelKind(text) {
  const plain = text.toLowerCase().replaceAll("_", " ");
  if (plain.startsWith("conflicting")) return "conflicting";
  if (plain.includes("pathogenic")) return "pathogenic";
  if (plain.includes("benign")) return "benign";
  if (plain.includes("uncertain")) return "uncertain";
  return "named";
}

const genesAt = (position) => page.genes.filter((gene) => gene.start <= position && position <= gene.end);
const baseAt = (position) => page.sequence[position - page.start] ?? ".";
const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");
const plural = (count, noun) => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;

/** A score for people; tables that are saved hold all digits. */
function figure(value) {
  if (Number.isNaN(value) || value === undefined || value === null) return "–";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 0.001 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}
