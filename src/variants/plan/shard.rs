//! Parts of a plan, which take about the same and can be scored apart.

use std::ops::Range;

use vestore_schema::Shard;

use super::{Kind, Plan, PlanError};

impl Plan {
    /// All parts of this plan, which is a whole one, in order. Parts are runs of whole units of at most `unit` variants
    /// of one contig, as scoring cuts them, with about as many variants that can be scored in each.
    ///
    /// # Errors
    /// The temporary file of the plan cannot be read.
    pub fn parts(&self, of: u32, unit: u64) -> Result<Vec<Self>, PlanError> {
        let mut borders = self.borders(of, unit)?;
        borders.resize(of as usize + 1, self.len());
        let parts = (1..=of).zip(borders.windows(2)).map(|(part, rows)| {
            let (kind, rows) = (self.kind.clone(), rows[0]..rows[1]);
            Self { kind, rows, shard: Some(Shard { part, of }) }
        });
        Ok(parts.collect())
    }

    /// The first row of each of so many parts.
    fn borders(&self, parts: u32, unit: u64) -> Result<Vec<u64>, PlanError> {
        let mut all = 0;
        self.for_each_unit(unit, |_, scorable| all += scorable)?;
        let mut borders = vec![0];
        let (mut done, mut previous) = (0, (0, 0));
        self.for_each_unit(unit, |rows, scorable| {
            // Where a part ideally begins lies between two borders of units; the nearer one is taken.
            while borders.len() < parts as usize {
                let ideal = u128::from(all) * borders.len() as u128 / u128::from(parts);
                if u128::from(done) < ideal {
                    break;
                }
                let (before, row) = previous;
                let nearer = ideal - u128::from(before).min(ideal) < u128::from(done) - ideal;
                let border = if nearer { row } else { rows.start };
                borders.push(border.max(borders.last().copied().unwrap_or(0)));
            }
            previous = (done, rows.start);
            done += scorable;
        })?;
        Ok(borders)
    }

    /// Hands over the rows of each unit, and how many of them can be scored.
    fn for_each_unit(&self, size: u64, mut take: impl FnMut(Range<u64>, u64)) -> Result<(), PlanError> {
        if let Kind::Saturation(saturation) = &self.kind {
            let contigs = saturation.contigs();
            let ends = contigs.iter().skip(1).map(|(_, first)| *first).chain([saturation.len()]);
            for ((_, first), end) in contigs.iter().zip(ends) {
                let mut row = *first;
                while row < end {
                    let next = end.min(row + size);
                    take(row..next, next - row);
                    row = next;
                }
            }
            return Ok(());
        }
        let (mut unit, mut scorable, mut contig) = (0..0, 0, None);
        for planned in self.rows()? {
            let planned = planned?;
            if contig != Some(planned.variant.contig) || unit.end - unit.start == size {
                if !unit.is_empty() {
                    take(unit.clone(), scorable);
                }
                (unit, scorable, contig) = (unit.end..unit.end, 0, Some(planned.variant.contig));
            }
            unit.end += 1;
            scorable += u64::from(planned.status.is_none());
        }
        if !unit.is_empty() {
            take(unit, scorable);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use vestore_schema::{Region, Variant};

    use super::*;
    use crate::fixture::{Random, random_bases};
    use crate::reference::Reference;
    use crate::variants::{PlanOptions, Planned, Report, VariantSource};

    fn genome(folder: &Path) -> Reference {
        let mut random = Random::new(5);
        let contig = |random: &mut Random, length| random_bases(random, length);
        let text = [
            b">1\n".as_slice(),
            &contig(&mut random, 1000),
            b"\n>2\n",
            &contig(&mut random, 100),
            b"\n>3\n",
            &contig(&mut random, 700),
            b"\n",
        ]
        .concat();
        std::fs::write(folder.join("x.fa"), text).unwrap();
        Reference::open(folder.join("x.fa")).unwrap()
    }

    /// Units as scoring cuts them.
    fn units(rows: &[Planned], size: usize) -> Vec<&[Planned]> {
        rows.chunk_by(|a, b| a.variant.contig == b.variant.contig)
            .flat_map(|rows| rows.chunks(size))
            .collect()
    }

    fn rows(plan: &Plan) -> Vec<Planned> {
        plan.rows().unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn parts_are_runs_of_whole_units_of_about_the_same_work() {
        let folder = tempfile::tempdir().unwrap();
        let mut reference = genome(folder.path());
        let assembly = reference.survey().unwrap();
        let regions: Vec<Region> = (0..3)
            .map(|contig| Region { contig, start: 0, end: [1000, 100, 700][contig as usize] })
            .collect();
        let saturated = Plan::saturation(regions, &reference, &mut Report::new()).unwrap();
        // The second half of a file's variants cannot be scored.
        let mut vcf = String::new();
        for (number, row) in rows(&saturated).iter().enumerate() {
            let alternate = if number > 2700 { "<DEL>" } else { &*row.variant.alternate };
            let contig = row.variant.contig + 1;
            let Variant { position, reference, .. } = &row.variant;
            writeln!(vcf, "{contig}\t{}\t.\t{reference}\t{alternate}", position.one_based()).unwrap();
        }
        std::fs::write(folder.path().join("x.vcf"), vcf).unwrap();
        let source = VariantSource::open(&folder.path().join("x.vcf")).unwrap();
        let options = PlanOptions::default();
        let filed = Plan::read(source, &mut reference, &assembly, &options, &mut Report::new()).unwrap();
        for plan in [&saturated, &filed] {
            let all = rows(plan);
            let scorable = |rows: &[Planned]| rows.iter().filter(|row| row.status.is_none()).count();
            for (of, unit) in [(1, 18), (2, 18), (3, 54), (7, 90), (40, 1), (5, 1152), (9, 9000)] {
                let shards = Shard { part: 1, of };
                let parts = plan.parts(of, unit as u64).unwrap();
                let joined: Vec<Planned> = parts.iter().flat_map(rows).collect();
                assert_eq!(joined, all);
                let cut: Vec<Vec<Planned>> = parts.iter().map(rows).collect();
                let of_parts: Vec<&[Planned]> = cut.iter().flat_map(|rows| units(rows, unit)).collect();
                assert_eq!(of_parts, units(&all, unit), "{of} {unit}");
                for (shard, part) in shards.all().zip(&parts) {
                    assert_eq!((part.shard(), part.digest()), (Some(shard), plan.digest()));
                    let share = scorable(&all).div_ceil(of as usize);
                    assert!(scorable(&rows(part)).abs_diff(share) <= unit + 1, "{shard} of units of {unit}");
                    assert_eq!(part.rows_from(part.len()).unwrap().count(), 0);
                    assert!(
                        part.rows_from(1).unwrap().map(Result::unwrap).eq(rows(part).into_iter().skip(1))
                    );
                }
            }
        }
    }
}
