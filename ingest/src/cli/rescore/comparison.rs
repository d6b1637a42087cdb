//! Stored numbers beside recomputed ones: what differs is counted and printed.

use std::collections::BTreeSet;
use std::io;

use vestore::{Store, StoreError};
use vestore_ingest::GeneRow;
use vestore_schema::{Dtype, Status, Track, Variant};

use super::super::shared::{plural, print_finding};
use super::stored::{Gene, Lists};

/// Details of a change in a gene, and where: rounding chooses between places where the change is as large.
const DETAILS: [&str; 3] = ["_position", "_ref", "_alt"];
/// Smallest change whose details are compared.
const CLEAR: f32 = 0.01;
/// Coarsest tolerance at which they are.
const EXACT: f64 = 1e-3;

/// The comparison of one track's rows.
pub(super) struct Comparison<'a> {
    store: &'a Store,
    track: &'a Track,
    targets: Vec<String>,
    pub(super) mismatches: usize,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(store: &'a Store, track: &'a Track) -> Result<Self, StoreError> {
        Ok(Self { store, track, targets: store.target_names(track)?, mismatches: 0 })
    }

    /// A row with scores whose variant has no window.
    pub(super) fn status(&mut self, variant: &Variant, new: Status) -> io::Result<()> {
        self.tell(variant, "column status", Status::Scored.as_str(), new.as_str())
    }

    pub(super) fn scores(
        &mut self,
        variant: &Variant,
        stored: &[Option<f32>],
        new: &[Option<f32>],
    ) -> io::Result<()> {
        let track = self.track;
        for ((column, stored), new) in track.columns.iter().zip(stored).zip(new) {
            self.number(variant, &format!("column {column}"), *stored, *new)?;
        }
        Ok(())
    }

    pub(super) fn effects(
        &mut self,
        variant: &Variant,
        stored: Option<Lists>,
        new: &[Vec<f32>],
    ) -> io::Result<()> {
        match stored {
            Some(stored) => self.lists(variant, "", &self.track.effect_columns, &stored, new),
            None => self.tell(variant, "effects", "none", "some"),
        }
    }

    /// Numbers by column and target; the error of a list is that of its largest number, as for the score made of it.
    /// The first target of a column that differs is named.
    fn lists(
        &mut self,
        variant: &Variant,
        of: &str,
        columns: &[String],
        stored: &Lists,
        new: &[Vec<f32>],
    ) -> io::Result<()> {
        let track = self.track;
        for (number, (column, stored)) in columns.iter().zip(stored).enumerate() {
            let largest = stored.iter().flatten().map(|value| value.abs()).fold(0.0, f32::max);
            let allowed = tolerance(track, largest.into());
            let pair = |target: usize| {
                let new = new.get(number).and_then(|list| list.get(target)).copied();
                (stored.get(target).copied().flatten(), new.filter(|value| value.is_finite()))
            };
            let differs = |target: &usize| {
                let (stored, new) = pair(*target);
                !near(stored, new, allowed)
            };
            let differing: Vec<usize> = (0..self.targets.len()).filter(differs).collect();
            let Some(first) = differing.first() else { continue };
            let (stored, new) = pair(*first);
            let more = match differing.len() - 1 {
                0 => String::new(),
                more => format!(" and {}", plural(more as u64, "other target")),
            };
            let what = format!("{of}column {column}, target {}{more}", self.targets[*first]);
            self.tell(variant, &what, &text(stored), &text(new))?;
            self.mismatches += differing.len() - 1;
        }
        Ok(())
    }

    /// Effects in genes.
    pub(super) fn genes(&mut self, variant: &Variant, stored: &[Gene], new: &[GeneRow]) -> io::Result<()> {
        let names = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join("+");
        let of_stored = names(stored.iter().map(|gene| gene.name.as_str()).collect());
        let of_new = names(new.iter().map(|row| row.gene.as_str()).collect());
        if of_stored != of_new {
            return self.tell(variant, "genes", &of_stored, &of_new);
        }
        let columns = &self.track.gene_columns;
        for Gene { name, values, lists } in stored {
            let Some(new) = new.iter().find(|row| row.gene == *name) else { continue };
            self.lists(variant, &format!("gene {name}, "), columns, lists, &new.effects)?;
            for ((column, number), recomputed) in columns.iter().zip(values).zip(&new.values) {
                let change = DETAILS.iter().find_map(|end| column.strip_suffix(end));
                if change.is_none_or(|change| self.is_clear(change, values, &new.values)) {
                    self.number(variant, &format!("gene {name}, column {column}"), *number, *recomputed)?;
                }
            }
        }
        Ok(())
    }

    /// Whether more than rounding decides where a change is.
    fn is_clear(&self, change: &str, stored: &[Option<f32>], new: &[Option<f32>]) -> bool {
        let place = format!("{change}{}", DETAILS[0]);
        let of = |name: &str, numbers: &[Option<f32>]| -> Option<f32> {
            numbers[self.track.gene_columns.iter().position(|column| column == name)?]
        };
        let is_large = of(change, stored).is_some_and(|change| change.abs() >= CLEAR);
        let has_place = of(&place, stored).is_some() && of(&place, new).is_some();
        is_large && has_place && tolerance(self.track, 0.0) <= EXACT
    }

    fn number(
        &mut self,
        variant: &Variant,
        what: &str,
        stored: Option<f32>,
        new: Option<f32>,
    ) -> io::Result<()> {
        let allowed = tolerance(self.track, stored.unwrap_or_default().into());
        if near(stored, new, allowed) { Ok(()) } else { self.tell(variant, what, &text(stored), &text(new)) }
    }

    /// Counts and prints a mismatch. It is what was asked for: data.
    fn tell(&mut self, variant: &Variant, what: &str, stored: &str, new: &str) -> io::Result<()> {
        self.mismatches += 1;
        print_finding(format_args!(
            "track {}, variant {}, {what}: stored {stored}, recomputed {new}",
            self.track.name,
            variant.display(self.store.assembly())
        ))
    }
}

fn text(number: Option<f32>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| number.to_string())
}

fn near(stored: Option<f32>, new: Option<f32>, allowed: f64) -> bool {
    match (stored, new) {
        (Some(stored), Some(new)) => f64::from(stored - new).abs() <= allowed,
        (None, None) => true,
        _ => false,
    }
}

/// How far a recomputed score may lie from `stored`: 1e-5 in float32, as other batches round otherwise, 0.01 in
/// TF32 and 0.1 in bfloat16, each of the score's size where that is greater than 1; and the spacing
/// of stored scores where they are rounded.
pub(super) fn tolerance(track: &Track, stored: f64) -> f64 {
    let rounding = match track.recipe.dtype {
        Dtype::F32 => 1e-5,
        Dtype::Tf32 => 1e-2,
        Dtype::Bf16 => 1e-1,
    };
    let spacing = track.recipe.rounding().map_or(0.0, |precision| precision.spacing(stored));
    rounding * stored.abs().max(1.0) + spacing
}
