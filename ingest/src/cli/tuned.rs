//! What a model was fine-tuned on, which is what it is scored on unless asked otherwise.

use serde_json::Value;
use vestore_schema::{Bins, Model, RecordError, Strands, Untransform, ancestors};

/// How a model's training read windows, as far as it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tuned {
    /// In bases; none for a model that was tuned on sequences.
    pub(super) window: Option<u32>,
    pub(super) strands: Option<Strands>,
    /// Of a transfer: the bins that were learned.
    pub(super) bins: Option<Bins>,
    /// Of a transfer: what undoes the transform of its targets.
    pub(super) untransform: Option<Untransform>,
}

impl Tuned {
    /// Of `model`, or of the model that it was pruned from.
    ///
    /// # Errors
    /// When the catalog makes the model its own ancestor.
    pub(super) fn of(model: &Model, models: &[Model]) -> Result<Self, RecordError> {
        let ancestors = ancestors(model, models)?;
        // Another adapter was trained on something else.
        let same = |ancestor: &&&Model| ancestor.adapter_digest == model.adapter_digest;
        let mut line = std::iter::once(&model).chain(ancestors.iter().take_while(same));
        let training = line.find_map(|model| model.training.as_ref());
        Ok(training.map(Self::read).unwrap_or_default())
    }

    fn read(training: &Value) -> Self {
        let window = training.pointer("/data/window").and_then(Value::as_u64);
        Self {
            window: window.and_then(|window| u32::try_from(window).ok()).filter(|window| *window > 0),
            strands: setting(training, "/plan/strands"),
            bins: setting(training, "/plan/bins"),
            untransform: setting(training, "/untransform"),
        }
    }

    /// What is taken from it where it is not given, as a remark; `bins` and `untransform` are given where the family has
    /// none.
    pub(super) fn remark(
        self,
        model: &str,
        [window, strands, bins, untransform]: [bool; 4],
    ) -> Option<String> {
        let bases =
            self.window.filter(|_| !window).map(|bases| (format!("windows of {bases} bp"), "--window"));
        let strands = self.strands.filter(|_| !strands).map(|strands| match strands {
            Strands::Both => ("both strands".to_owned(), "--strands"),
            Strands::Forward => ("the forward strand".to_owned(), "--strands"),
        });
        let bins = self.bins.filter(|_| !bins).map(|bins| match bins {
            Bins::Center => ("the bins in the middle".to_owned(), "--bins"),
            Bins::All => ("all bins".to_owned(), "--bins"),
        });
        let transform = |kind: Untransform| (format!("{}-style transforms", kind.as_str()), "--untransform");
        let transform = self.untransform.filter(|_| !untransform).map(transform);
        let taken: Vec<(String, &str)> = [bases, strands, bins, transform].into_iter().flatten().collect();
        if taken.is_empty() {
            return None;
        }
        let list = |words: Vec<&str>| match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => words.concat(),
        };
        Some(format!(
            "model `{model}` was fine-tuned on {}, and is scored on the same; change that with {}",
            list(taken.iter().map(|(what, _)| what.as_str()).collect()),
            list(taken.iter().map(|(_, flag)| *flag).collect())
        ))
    }
}

/// A setting of a training.
fn setting<T: serde::de::DeserializeOwned>(training: &Value, pointer: &str) -> Option<T> {
    serde_json::from_value(training.pointer(pointer)?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn window_and_strands_are_those_of_the_training() {
        let tuned = Tuned::read(&json!({ "plan": { "strands": "forward" }, "data": { "window": 120 } }));
        assert_eq!(tuned, Tuned { window: Some(120), strands: Some(Strands::Forward), ..Tuned::default() });
        let said = tuned.remark("m", [false, false, true, true]).expect("a remark");
        assert!(
            said.contains("windows of 120 bp and the forward strand")
                && said.contains("--window and --strands")
        );
        assert!(!tuned.remark("m", [true, false, true, true]).expect("a remark").contains("120"));
        assert_eq!(tuned.remark("m", [true; 4]), None);
        assert_eq!(Tuned::read(&json!({ "data": { "window": null } })), Tuned::default());
    }

    #[test]
    fn a_transferred_model_is_scored_on_its_bins_and_transforms() {
        let training = json!({ "plan": { "bins": "all" }, "data": { "window": 8192 }, "untransform": "new" });
        let tuned = Tuned::read(&training);
        assert_eq!((tuned.bins, tuned.untransform), (Some(Bins::All), Some(Untransform::New)));
        let said = tuned.remark("m", [false; 4]).expect("a remark");
        assert!(said.contains("windows of 8192 bp, all bins and new-style transforms"), "{said}");
        assert!(said.ends_with("--window, --bins and --untransform"), "{said}");
    }
}
