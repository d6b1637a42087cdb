//! Models come, go and change their names.

use vestore_schema::{EXTERNAL_MODEL, Model, check_name};

use super::commit::Writer;
use super::error::StoreError;
use super::{Snapshot, Store};

/// Whether `model` can be added to `known`; name and identity are one-to-one.
///
/// # Errors
/// When the name cannot be used or belongs to another model, or the model has another name.
pub fn check_model(model: &Model, known: &[Model]) -> Result<(), StoreError> {
    check_name(&model.name)?;
    let conflict = |reason| Err(StoreError::Conflict { kind: "model", name: model.name.clone(), reason });
    if model.name == EXTERNAL_MODEL {
        return conflict("the name stands for the source of imported scores; choose another".to_owned());
    }
    for known in known {
        if known.name == model.name && known.id != model.id {
            return conflict(format!(
                "the name belongs to another model (id {}, this one has {}); choose another name",
                known.id.short(),
                model.id.short()
            ));
        }
        if known.name != model.name && known.id == model.id {
            return conflict(format!("this model is in the store as `{}`; use that name", known.name));
        }
    }
    Ok(())
}

impl Writer {
    /// Adds a model version. Adding the same again under the same name renews where its files lie; a copy that is no
    /// longer named is removed.
    ///
    /// # Errors
    /// When the name belongs to another model, or the model has another name.
    pub fn put_model(&mut self, model: &Model) -> Result<(), StoreError> {
        check_model(model, &self.store().snapshot()?.models)?;
        model.check(&model.name).map_err(|error| StoreError::Conflict {
            kind: "model",
            name: model.name.clone(),
            reason: error.to_string(),
        })?;
        self.guarded(|writer| {
            let store = writer.store();
            store.catalog.write(|catalog| catalog.put_model(model))?;
            store.remove_unnamed_copies(&store.snapshot()?.models)
        })
    }

    /// Takes a model out of the store, and then its copied files unless another model has them too.
    ///
    /// # Errors
    /// When there is no such model, when tracks, models or studies name it, or when the system refuses.
    pub fn remove_model(&mut self, name: &str) -> Result<(), StoreError> {
        let snapshot = self.store().snapshot()?;
        snapshot.model(name)?;
        let users = users(self.store(), &snapshot, name)?;
        if !users.is_empty() {
            return Err(StoreError::InUse { name: name.to_owned(), users });
        }
        self.guarded(|writer| {
            let store = writer.store();
            store.catalog.write(|catalog| catalog.remove_model(name))?;
            store.remove_unnamed_copies(&store.snapshot()?.models)
        })
    }

    /// Gives a model another name; whatever names it in the catalog follows in the same transaction. Tracks keep
    /// their names, and segments that are written keep the old one in their footers.
    ///
    /// # Errors
    /// When there is no such model, the new name cannot be used or is taken, or the system refuses.
    pub fn rename_model(&mut self, old: &str, new: &str) -> Result<(), StoreError> {
        let snapshot = self.store().snapshot()?;
        let model = Model { name: new.to_owned(), ..snapshot.model(old)?.clone() };
        let others: Vec<Model> = snapshot.models.iter().filter(|model| model.name != old).cloned().collect();
        check_model(&model, &others)?;
        let older = self.store().catalog.read(|catalog| catalog.older_reports())?;
        let mut reports = self.store().all_reports()?;
        reports.retain(|report| report.models.iter().any(|model| model == old));
        for model in reports.iter_mut().flat_map(|report| &mut report.models).filter(|model| *model == old) {
            new.clone_into(model);
        }
        self.guarded(|writer| {
            writer.store().catalog.write(|catalog| {
                catalog.remove_model(old)?;
                catalog.put_model(&model)?;
                for mut child in others.into_iter().filter(|child| child.parent.as_deref() == Some(old)) {
                    child.parent = Some(new.to_owned());
                    catalog.put_model(&child)?;
                }
                for track in snapshot.tracks.into_iter().filter(|track| track.is_of_model(old)) {
                    catalog.put_track(&track.with_model_renamed(old, new))?;
                }
                catalog.move_older_reports(&older)?;
                for report in &reports {
                    catalog.put_report(report)?;
                }
                Ok(())
            })
        })
    }
}

/// What names a model: kind and name of each.
fn users(store: &Store, snapshot: &Snapshot, name: &str) -> Result<Vec<String>, StoreError> {
    let mut users = Vec::new();
    for track in snapshot.tracks.iter().filter(|track| track.is_of_model(name)) {
        users.push(format!("track `{}`", track.name));
    }
    for child in snapshot.models.iter().filter(|child| child.parent.as_deref() == Some(name)) {
        users.push(format!("model `{}`", child.name));
    }
    for report in store.all_reports()?.iter().filter(|report| report.models.iter().any(|model| model == name))
    {
        users.push(format!("{} `{}`", report.kind, report.name));
    }
    users.dedup();
    Ok(users)
}
