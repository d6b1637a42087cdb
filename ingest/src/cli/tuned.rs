//! What a model was fine-tuned on, which is what it is scored on unless asked otherwise.

use serde_json::Value;
use vestore_schema::{Model, RecordError, Strands, ancestors};

/// The window and strands of a model's fine-tuning, as far as it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tuned {
    /// In bases; none for a model that was tuned on sequences.
    pub(super) window: Option<u32>,
    pub(super) strands: Option<Strands>,
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
        let strands = training.pointer("/plan/strands").cloned();
        Self {
            window: window.and_then(|window| u32::try_from(window).ok()).filter(|window| *window > 0),
            strands: strands.and_then(|strands| serde_json::from_value(strands).ok()),
        }
    }

    /// What is taken from it where neither `window` nor `strands` are given, as a remark.
    pub(super) fn remark(self, model: &str, window: bool, strands: bool) -> Option<String> {
        let bases =
            self.window.filter(|_| !window).map(|bases| (format!("windows of {bases} bp"), "--window"));
        let strands = self.strands.filter(|_| !strands).map(|strands| match strands {
            Strands::Both => ("both strands".to_owned(), "--strands"),
            Strands::Forward => ("the forward strand".to_owned(), "--strands"),
        });
        let taken: Vec<(String, &str)> = bases.into_iter().chain(strands).collect();
        if taken.is_empty() {
            return None;
        }
        let [what, flags]: [Vec<&str>; 2] = [
            taken.iter().map(|(what, _)| what.as_str()).collect(),
            taken.iter().map(|(_, flag)| *flag).collect(),
        ];
        Some(format!(
            "model `{model}` was fine-tuned on {}, and is scored on the same; change that with {}",
            what.join(" and "),
            flags.join(" and ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn window_and_strands_are_those_of_the_training() {
        let tuned = Tuned::read(&json!({ "plan": { "strands": "forward" }, "data": { "window": 120 } }));
        assert_eq!(tuned, Tuned { window: Some(120), strands: Some(Strands::Forward) });
        let said = tuned.remark("m", false, false).expect("a remark");
        assert!(
            said.contains("windows of 120 bp and the forward strand")
                && said.contains("--window and --strands")
        );
        assert!(!tuned.remark("m", true, false).expect("a remark").contains("120"));
        assert_eq!(tuned.remark("m", true, true), None);
        assert_eq!(Tuned::read(&json!({ "data": { "window": null } })), Tuned::default());
    }
}
