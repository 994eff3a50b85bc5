//! What the variables of an expression mean, where it stands. A scope borrows the scope around it; nothing is copied
//! until an expression asks.

use super::{Deadline, Position, Run};
use crate::expr::Data;
use crate::task::{Task, Undo};
use factotum_provenance::Provenance;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};

/// The variables at one place of a run.
pub(crate) struct Scope<'s> {
    run: &'s Run<'s>,
    parent: Option<&'s Scope<'s>>,
    binds: Bind<'s>,
    /// `$context`, as the last `export` left it. A branch of a `fork` has its own.
    context: &'s Mutex<Data>,
    /// What was done and can be taken back, the last at the end. A branch of a `fork` has its own.
    undo: &'s Mutex<Vec<Undo>>,
    /// In an extension, the scope of the extended task: `$task` is that task.
    extended: Option<&'s Scope<'s>>,
    /// The earliest moment by which work here must be over.
    deadline: Option<Deadline>,
}

enum Bind<'s> {
    None,
    Workflow(Data),
    Task { task: &'s Task, at: &'s Position, raw: Data, started: Option<&'s Value> },
    Input(Data),
    Output(Data),
    Named(&'s str, Data),
}

impl<'s> Scope<'s> {
    pub fn root(run: &'s Run<'s>, context: &'s Mutex<Data>, undo: &'s Mutex<Vec<Undo>>) -> Self {
        Scope { run, parent: None, binds: Bind::None, context, undo, extended: None, deadline: None }
    }

    fn inner<'n>(&'n self, binds: Bind<'n>) -> Scope<'n> {
        Scope { parent: Some(self), binds, ..*self }
    }

    /// The same, with an end to the time for it; the earlier end counts.
    pub fn until<'n>(&'n self, deadline: Deadline) -> Scope<'n> {
        let deadline = Some(self.deadline.map_or(deadline, |outer| outer.min(deadline)));
        Scope { deadline, ..self.inner(Bind::None) }
    }

    /// The earliest moment by which work here must be over.
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// The same, with a context and a list of what can be taken back of its own.
    pub fn branch<'n>(&'n self, context: &'n Mutex<Data>, undo: &'n Mutex<Vec<Undo>>) -> Scope<'n> {
        Scope { context, undo, ..self.inner(Bind::None) }
    }

    /// In an extension around a task.
    pub fn extension<'n>(&'n self) -> Scope<'n> {
        Scope { extended: Some(self), ..self.inner(Bind::None) }
    }

    /// Takes down what can be taken back.
    pub fn can_undo(&self, undo: impl IntoIterator<Item = Undo>) {
        self.undo.lock().unwrap_or_else(PoisonError::into_inner).extend(undo);
    }

    /// `$context`, as the last `export` left it.
    pub fn context(&self) -> Data {
        self.context.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets `$context`.
    pub fn export(&self, context: Data) {
        *self.context.lock().unwrap_or_else(PoisonError::into_inner) = context;
    }

    /// After the flow's `input.from`.
    pub fn workflow<'n>(&'n self, input: &Data) -> Scope<'n> {
        self.inner(Bind::Workflow(input.clone()))
    }

    /// In a task, before its `input.from`.
    pub fn task<'n>(
        &'n self,
        task: &'n Task,
        at: &'n Position,
        raw: &Data,
        started: Option<&'n Value>,
    ) -> Scope<'n> {
        self.inner(Bind::Task { task, at, raw: raw.clone(), started })
    }

    /// After a task's `input.from`.
    pub fn input<'n>(&'n self, input: &Data) -> Scope<'n> {
        self.inner(Bind::Input(input.clone()))
    }

    /// After a task's work.
    pub fn output<'n>(&'n self, output: &Data) -> Scope<'n> {
        self.inner(Bind::Output(output.clone()))
    }

    /// With one more variable.
    pub fn named<'n>(&'n self, name: &'n str, value: Data) -> Scope<'n> {
        self.inner(Bind::Named(name, value))
    }

    /// The value of `$name`.
    pub fn get(&self, name: &str) -> Option<Data> {
        if let Bind::Named(bound, value) = &self.binds
            && *bound == name
        {
            return Some(value.clone());
        }
        match (name, &self.binds) {
            ("input", Bind::Input(data) | Bind::Workflow(data)) | ("output", Bind::Output(data)) => {
                return Some(data.clone());
            }
            ("task", _) if self.extended.is_some() => {
                return self.extended.map(|task| task.descriptor(true));
            }
            ("task", Bind::Output(_) | Bind::Input(_) | Bind::Task { .. }) => {
                return Some(self.descriptor(false));
            }
            ("context", _) => return Some(self.context()),
            ("workflow", _) => return Some(self.run.workflow()),
            ("runtime", _) => return Some(self.run.runtime()),
            _ => {}
        }
        self.parent?.get(name)
    }

    /// `$task`: what is known of the task so far; for an extension, the members of its definition too.
    fn descriptor(&self, extended: bool) -> Data {
        let mut value = json!({});
        let (mut input_from, mut output_from) = (Provenance::default(), None);
        let mut scope = Some(self);
        let Some(members) = value.as_object_mut() else { return Data::default() };
        while let Some(at) = scope {
            match &at.binds {
                Bind::Output(data) => {
                    members.entry("output").or_insert_with(|| data.json().cloned().unwrap_or_default());
                    output_from.get_or_insert_with(|| data.provenance().clone());
                }
                Bind::Task { task, at, raw, started } => {
                    members.insert("name".into(), Value::from(&*task.name));
                    members.insert("reference".into(), Value::from(at.pointer()));
                    let definition = self.run.flow.definition().pointer(at.pointer()).cloned();
                    if let (true, Some(Value::Object(own))) = (extended, &definition) {
                        for (key, value) in own {
                            members.entry(key.clone()).or_insert_with(|| value.clone());
                        }
                    }
                    members.insert("definition".into(), definition.unwrap_or_default());
                    members.insert("input".into(), raw.json().cloned().unwrap_or_default());
                    input_from = raw.provenance().clone();
                    if let Some(started) = started {
                        members.insert("startedAt".into(), (*started).clone());
                    }
                    break;
                }
                _ => {}
            }
            scope = at.parent;
        }
        Data::from(value).of(Provenance::object([
            ("input".into(), input_from),
            ("output".into(), output_from.unwrap_or_default()),
        ]))
    }
}
