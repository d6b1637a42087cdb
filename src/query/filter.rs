//! Conditions on rows, such as `llr < -3 and cosine > 0.1`.

mod evaluate;
mod parse;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use thiserror::Error;
use vestore_schema::{Assembly, Direction, STATUS_COLUMN, Status, nearest};

use crate::narrow::to_score;

/// The column of contigs, the first of every answer.
const CONTIG: usize = 0;
/// Columns that an error lists of many.
const SHOWN: usize = 3;

/// Why a condition makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The text cannot be read as a condition.
    #[error(
        "syntax error at character {at} of the condition `{text}`: {problem}; write for example \
         `llr < -3 and (cosine > 0.1 or status != 'scored')`"
    )]
    Malformed {
        /// As typed.
        text: String,
        /// What was expected.
        problem: &'static str,
        /// 1-based.
        at: usize,
    },
    /// No column of the answer has the name.
    #[error(
        "unknown column `{name}`; the nearest of {count} columns are {}; names are written in backticks, texts in quotes",
        near.join(", ")
    )]
    UnknownColumn {
        /// As typed.
        name: String,
        /// Columns of the answer that look like it.
        near: Vec<String>,
        /// How many columns the answer has.
        count: usize,
    },
    /// The name is the end of several columns.
    #[error(
        "ambiguous column `{name}`: {count} columns end so, such as {}; write one of them in full",
        some.join(", ")
    )]
    AmbiguousColumn {
        /// As typed.
        name: String,
        /// The first columns that end so.
        some: Vec<String>,
        /// How many do.
        count: usize,
    },
    /// No contig of the reference has the name.
    #[error("unknown contig `{name}`; the nearest of the reference are {}", near.join(", "))]
    UnknownContig {
        /// As typed.
        name: String,
        /// Contigs that look like it.
        near: Vec<String>,
    },
    /// No row can have the status.
    #[error("unknown status `{name}`; expected one of {}", known.join(", "))]
    UnknownStatus {
        /// As typed.
        name: String,
        /// All that rows can have.
        known: Vec<&'static str>,
    },
    /// A number is compared with text.
    #[error(
        "`{left}` and `{right}` cannot be compared: one is a number, the other is text; write text in quotes, numbers \
         without"
    )]
    Mixed {
        /// One side.
        left: String,
        /// The other side.
        right: String,
    },
    /// Embeddings are asked for, which cannot be compared.
    #[error("column `{name}` holds neither numbers nor text and cannot be compared")]
    NoValue {
        /// The column.
        name: String,
    },
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

impl Comparison {
    /// The same comparison with its sides exchanged.
    fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Greater => Self::Less,
            same => same,
        }
    }

    fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::GreaterOrEqual => left >= right,
            Self::Greater => left > right,
        }
    }
}

/// One side of a comparison. `C` is how a column is spoken of: by name, later by index.
#[derive(Clone, Debug, PartialEq)]
enum Operand<C> {
    Column(C),
    Number(f64),
    Text(String),
}

impl Operand<usize> {
    fn column(&self) -> Option<usize> {
        match self {
            Self::Column(column) => Some(*column),
            Self::Number(_) | Self::Text(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Condition<C> {
    Compare(Operand<C>, Comparison, Operand<C>),
    IsNull(C),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

/// A condition as typed. Columns are compared with numbers or quoted text, or with each other; `and`,
/// `or`, `not`, parentheses, `is null` and `is not null` combine them. A comparison with a missing value
/// is false. Names that are no plain words stand in backticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    condition: Condition<String>,
}

/// A condition on rows of one schema.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BoundFilter {
    condition: Condition<usize>,
    schema: SchemaRef,
}

/// A comparison of a column of numbers with a number, which every wanted row fulfils.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound<'a> {
    /// Name of the column.
    pub(crate) column: &'a str,
    comparison: Comparison,
    number: f64,
}

impl<'a> Bound<'a> {
    /// Scores that are as extreme as `least`, oriented, or more; none of magnitudes, which lie on both sides.
    pub(crate) fn beyond(column: &'a str, direction: Direction, least: f32) -> Option<Self> {
        let (comparison, number) = match direction {
            Direction::High => (Comparison::GreaterOrEqual, least),
            Direction::Low => (Comparison::LessOrEqual, -least),
            Direction::Magnitude => return None,
        };
        Some(Self { column, comparison, number: number.into() })
    }

    /// The number that a value must reach at least; none where it need not.
    pub(crate) fn at_least(&self) -> Option<f64> {
        let reaches =
            matches!(self.comparison, Comparison::GreaterOrEqual | Comparison::Greater | Comparison::Equal);
        reaches.then_some(self.number)
    }

    /// Whether a value between `low` and `high` can fulfil it.
    pub(crate) fn can_hold(&self, low: f64, high: f64) -> bool {
        match self.comparison {
            Comparison::Less => low < self.number,
            Comparison::LessOrEqual => low <= self.number,
            Comparison::Equal => low <= self.number && self.number <= high,
            Comparison::NotEqual => low != self.number || high != self.number,
            Comparison::GreaterOrEqual => high >= self.number,
            Comparison::Greater => high > self.number,
        }
    }
}

impl Filter {
    /// Reads a condition.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Ok(Self { condition: parse::parse(text)? })
    }

    /// The condition for rows of `schema`. A name that is not a column, but the ending after `.` of
    /// exactly one, means that one. Texts that contigs are compared with may be spelled as `assembly` resolves them.
    ///
    /// # Errors
    /// When a column or contig is unknown, or a column is of another kind than what it is compared with.
    pub(crate) fn bind(&self, schema: &SchemaRef, assembly: &Assembly) -> Result<BoundFilter, FilterError> {
        let condition = bind(&self.condition, schema, assembly)?;
        Ok(BoundFilter { condition, schema: SchemaRef::clone(schema) })
    }
}

impl BoundFilter {
    /// The columns that it looks at.
    pub(super) fn columns(&self) -> Vec<usize> {
        let mut columns = Vec::new();
        let mut open = vec![&self.condition];
        while let Some(condition) = open.pop() {
            match condition {
                Condition::Compare(left, _, right) => {
                    columns.extend([left, right].into_iter().filter_map(Operand::column));
                }
                Condition::IsNull(column) => columns.push(*column),
                Condition::Not(inner) => open.push(inner),
                Condition::And(left, right) | Condition::Or(left, right) => open.extend([&**left, right]),
            }
        }
        columns
    }

    /// The bounds that every wanted row fulfils.
    pub(crate) fn bounds(&self) -> Vec<Bound<'_>> {
        let mut bounds = Vec::new();
        self.collect(&self.condition, &mut bounds);
        bounds
    }

    fn collect<'a>(&'a self, condition: &'a Condition<usize>, bounds: &mut Vec<Bound<'a>>) {
        match condition {
            Condition::And(left, right) => {
                self.collect(left, bounds);
                self.collect(right, bounds);
            }
            Condition::Compare(Operand::Column(column), comparison, Operand::Number(number)) => {
                bounds.push(self.bound(*column, *comparison, *number));
            }
            Condition::Compare(Operand::Number(number), comparison, Operand::Column(column)) => {
                bounds.push(self.bound(*column, comparison.turned(), *number));
            }
            _ => {}
        }
    }

    fn bound(&self, column: usize, comparison: Comparison, number: f64) -> Bound<'_> {
        let field = self.schema.field(column);
        let single = *field.data_type() == DataType::Float32;
        let number = if single { f64::from(to_score(number)) } else { number };
        Bound { column: field.name(), comparison, number }
    }
}

fn bind(
    condition: &Condition<String>,
    schema: &SchemaRef,
    assembly: &Assembly,
) -> Result<Condition<usize>, FilterError> {
    let bound = |condition: &Condition<String>| bind(condition, schema, assembly).map(Box::new);
    Ok(match condition {
        Condition::Compare(left, comparison, right) => {
            let (left_kind, right_kind) = (is_text(left, schema)?, is_text(right, schema)?);
            if left_kind != right_kind {
                return Err(FilterError::Mixed { left: told(left), right: told(right) });
            }
            let mut sides = [operand(left, schema)?, operand(right, schema)?];
            if sides.contains(&Operand::Column(CONTIG)) {
                for side in &mut sides {
                    spell(side, *comparison, assembly)?;
                }
            }
            for (side, other) in [(left, &sides[1]), (right, &sides[0])] {
                if let (Operand::Column(name), Operand::Text(text)) = (side, other) {
                    check_status(name, *comparison, text)?;
                }
            }
            let [left, right] = sides;
            Condition::Compare(left, *comparison, right)
        }
        Condition::IsNull(name) => Condition::IsNull(find(name, schema)?),
        Condition::Not(inner) => Condition::Not(bound(inner)?),
        Condition::And(left, right) => Condition::And(bound(left)?, bound(right)?),
        Condition::Or(left, right) => Condition::Or(bound(left)?, bound(right)?),
    })
}

/// Writes a contig's name as the reference does.
fn spell(
    operand: &mut Operand<usize>,
    comparison: Comparison,
    assembly: &Assembly,
) -> Result<(), FilterError> {
    let Operand::Text(text) = operand else { return Ok(()) };
    if let Some(contig) = assembly.resolve(text) {
        text.clone_from(&assembly.contig(contig).name);
    } else if matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
        let near = assembly.near(text).into_iter().map(str::to_owned).collect();
        return Err(FilterError::UnknownContig { name: text.clone(), near });
    }
    Ok(())
}

/// Refuses a text that is equal to no status, where `column` holds statuses: of a track's rows, or of wide ones.
fn check_status(column: &str, comparison: Comparison, text: &str) -> Result<(), FilterError> {
    let of_statuses = column.rsplit('.').next() == Some(STATUS_COLUMN);
    let equal = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    if of_statuses && equal && Status::parse(text).is_none() {
        let known = Status::ALL.map(Status::as_str).to_vec();
        return Err(FilterError::UnknownStatus { name: text.to_owned(), known });
    }
    Ok(())
}

fn operand(operand: &Operand<String>, schema: &SchemaRef) -> Result<Operand<usize>, FilterError> {
    Ok(match operand {
        Operand::Column(name) => Operand::Column(find(name, schema)?),
        Operand::Number(number) => Operand::Number(*number),
        Operand::Text(text) => Operand::Text(text.clone()),
    })
}

fn told(operand: &Operand<String>) -> String {
    match operand {
        Operand::Column(name) => name.clone(),
        Operand::Number(number) => number.to_string(),
        Operand::Text(text) => format!("'{text}'"),
    }
}

fn is_text(operand: &Operand<String>, schema: &SchemaRef) -> Result<bool, FilterError> {
    match operand {
        Operand::Number(_) => Ok(false),
        Operand::Text(_) => Ok(true),
        Operand::Column(name) => match schema.field(find(name, schema)?).data_type() {
            DataType::Float32 | DataType::Float64 | DataType::Int32 => Ok(false),
            DataType::Utf8 | DataType::Dictionary(..) => Ok(true),
            _ => Err(FilterError::NoValue { name: name.clone() }),
        },
    }
}

/// The index of the column `name`, or of the one column that ends in `.name`.
pub(super) fn find(name: &str, schema: &Schema) -> Result<usize, FilterError> {
    let fields = schema.fields();
    if let Some(index) = fields.iter().position(|field| field.name() == name) {
        return Ok(index);
    }
    let ends = |field: &str| field.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    let endings: Vec<usize> = (0..fields.len()).filter(|index| ends(fields[*index].name())).collect();
    let names = || fields.iter().map(|field| field.name().as_str());
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    match endings.as_slice() {
        [index] => Ok(*index),
        [] => {
            // What people type is the end of a wide answer's name.
            let near = nearest(name, names(), |name| name.rsplit('.').next().unwrap_or(name));
            Err(FilterError::UnknownColumn { name: name.to_owned(), near: owned(near), count: fields.len() })
        }
        several => {
            let some = several.iter().take(SHOWN).map(|index| fields[*index].name().as_str()).collect();
            Err(FilterError::AmbiguousColumn {
                name: name.to_owned(),
                some: owned(some),
                count: several.len(),
            })
        }
    }
}

#[cfg(test)]
mod tests;
