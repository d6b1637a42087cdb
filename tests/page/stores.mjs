// Stores from a seed, made by the programs themselves: 200 bases saturated with gaps, 81 kb saturated, 2 Mb sparse.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
export function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 4294967296;
  };
}

/** Runs `vestore`; returns its stdout. */
export const vestore = (program, ...words) =>
  execFileSync(program, words, { encoding: "utf8", maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "pipe"] });

const TRACKS = ["full", "half", "other"];

/** A score like that of a language model: mostly small, strong inside the motifs of the seed. */
function score(next, position, track) {
  const motif = Math.sin(position / 37) > 0.93 || position % 9973 < 120;
  const noise = (next() + next() + next() - 1.5) * 2;
  const value = noise - (motif ? 4 * next() : 0);
  return Math.fround(track === 2 ? Math.abs(value) / 10 : value + track * noise * 0.3);
}

/** A store at `folder`/store with the tracks; `variants` yields position, reference and alternate. */
function store(program, folder, length, variants, { gaps = 0, seed = 1 } = {}) {
  mkdirSync(folder, { recursive: true });
  const next = random(seed);
  const bases = Array.from({ length }, () => "ACGT"[Math.floor(next() * 4)]);
  const lines = [];
  for (let at = 0; at < length; at += 80) lines.push(bases.slice(at, at + 80).join(""));
  writeFileSync(join(folder, "genome.fa"), `>17\n${lines.join("\n")}\n`);
  const root = join(folder, "store");
  vestore(program, "init", root, "--reference", join(folder, "genome.fa"), "--assembly", "seeded");
  TRACKS.forEach((name, track) => {
    const rows = ["contig\tposition\treference\talternate\tllr"];
    for (const [position, reference, alternate] of variants(bases, random(seed + 9))) {
      if (next() < gaps) continue;
      rows.push(`17\t${position}\t${reference}\t${alternate}\t${score(next, position, track)}`);
    }
    const file = join(folder, `${name}.tsv`);
    writeFileSync(file, `${rows.join("\n")}\n`);
    vestore(program, "import", root, "--track", name, file, "--quiet");
  });
  return root;
}

/** Every SNV of bases `from` to `to`, 1-based. */
const saturated = (from, to) =>
  function* (bases) {
    for (let position = from; position <= to; position++) {
      for (const base of "ACGT") if (base !== bases[position - 1]) yield [position, bases[position - 1], base];
    }
  };

/** The stores by name: folder, place, and what else the page shows. */
export function stores(program, folder) {
  const small = join(folder, "small");
  const smallRoot = store(
    program,
    small,
    4000,
    function* (bases) {
      yield* saturated(1001, 1200)(bases);
      // Neither deletion can be moved to the left: the base before differs from the last one deleted.
      for (const position of [1050, 1100]) {
        let at = position;
        while (bases[at - 1] === bases[at + 1]) at++;
        yield [at, bases.slice(at - 1, at + 2).join(""), bases[at - 1]];
      }
    },
    { gaps: 0.05 },
  );
  const bases = (position) => {
    const line = vestore(program, "query", smallRoot, `17:${position}`, "--format", "tsv", "--limit", "1");
    return line.split("\n")[1].split("\t").slice(2, 4);
  };
  const records = [1010, 1020, 1030, 1040, 1150].map((position, index) => {
    const [reference, alternate] = bases(position);
    const text = ["Pathogenic", "Benign", "Uncertain_significance", "Likely_benign", "Conflicting_classifications"][index];
    return `17\t${position}\trs${index}\t${reference}\t${alternate}\t.\t.\tCLNSIG=${text}`;
  });
  writeFileSync(
    join(small, "labels.vcf"),
    "##fileformat=VCFv4.2\n##INFO=<ID=CLNSIG,Number=.,Type=String,Description=\"class\">\n" +
      `#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n${records.join("\n")}\n`,
  );
  const exon = (id, from, to, strand) =>
    `17\tx\texon\t${from}\t${to}\t.\t${strand}\t.\tgene_id "${id}"; transcript_id "${id}.1";\n`;
  const genes = exon("ALPHA", 900, 1030, "+") + exon("ALPHA", 1070, 1110, "+") + exon("BETA", 1130, 1500, "-");
  writeFileSync(join(small, "genes.gtf"), genes);
  const wide = join(folder, "wide");
  const long = join(folder, "long");
  const exons = (id, strand, from, count, every) =>
    Array.from({ length: count }, (_, index) => exon(id, from + index * every, from + index * every + 180, strand)).join("");
  mkdirSync(wide, { recursive: true });
  mkdirSync(long, { recursive: true });
  writeFileSync(join(wide, "genes.gtf"), exons("GAMMA", "-", 2500, 22, 3600));
  writeFileSync(join(long, "genes.gtf"), exons("DELTA", "+", 90_000, 30, 11_000) + exons("EPSILON", "-", 800_000, 60, 16_000));
  return {
    "200 bases": {
      root: smallRoot,
      place: "17:1001-1200",
      more: ["--labels", join(small, "labels.vcf"), "--genes", join(small, "genes.gtf")],
    },
    "81 kb saturated": {
      root: store(program, wide, 83_000, saturated(1001, 82_190), { seed: 2 }),
      place: "17:1,001-82,190",
      more: ["--genes", join(wide, "genes.gtf")],
    },
    "2 Mb sparse": {
      root: store(
        program,
        long,
        2_010_000,
        function* (bases, next) {
          for (let position = 1001; position <= 2_001_000; position += 1 + Math.floor(next() * 60)) {
            yield [position, bases[position - 1], "ACGT"["ACGT".indexOf(bases[position - 1]) ^ (1 + Math.floor(next() * 3))]];
          }
        },
        { seed: 3 },
      ),
      place: "17:1,001-2,001,000",
      more: ["--genes", join(long, "genes.gtf")],
    },
  };
}
