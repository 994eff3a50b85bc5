//! `call`: runs a plugin's function.
//!
//! ```yaml
//! - saveContact:
//!     call: crm/upsert-contact:^1.2@default
//!     with:
//!       name: ${ .name }
//!       mail: ${ .mail }
//! ```
//!
//! A plain name is looked up in `use.functions`; what stands in `with` here goes over what stands there.

use super::compensate::{Plan, Undoes, Way, of_another_kind};
use super::{Around, Kind, KindSpec, Ran, function, grants, http, human, idempotency, map, openapi, refused};
use crate::FunctionRef;
use crate::decode::{At, Decoder, Object, did_you_mean, shorten};
use crate::expr::{self, Data, Expr, Template};
use crate::reuse::Context;
use crate::run::{self, Halt, Position, Run, Running, Scope, Undoing, answered};
use crate::sites::CallSite;
use crate::yaml::Kind as NodeKind;
use factotum_provenance::Provenance;
use serde_json::{Map, Value};

pub(super) const SPEC: KindSpec = KindSpec { key: "call", also: &["with"], decode };

/// What `call` does itself.
const BUILT_IN: [&str; 4] = ["http", "openapi", human::WORD, map::WORD];

/// A call of a plugin's function.
#[derive(Debug)]
struct Call {
    function: FunctionRef,
    /// The arguments of the reusable function, then the call's own over them.
    with: Vec<Template>,
    key: Option<idempotency::Key>,
    host_retries: bool,
    metadata: Map<String, Value>,
}

fn decode(
    d: &mut Decoder<'_>,
    object: &Object<'_>,
    cx: &mut Context<'_>,
    around: &Around<'_>,
) -> Option<Box<dyn Kind>> {
    let at = d.required(object, "call")?;
    let name = d.text(&at)?;
    let own = object.get("with");
    let (at, name, base) = if name.contains('/') || BUILT_IN.contains(&name) {
        (at, name, None)
    } else {
        let definition = reusable(d, &at, name, cx)?;
        if !function::is_call(&definition) {
            grants::refuse(d, object, &format!("call: {name}"));
            idempotency::unused(d, around, &format!("call: {name}"));
            return function::decode(d, &at, name, own, cx, around);
        }
        let function = d.required(&definition, "call")?;
        let text = d.text(&function)?;
        (function, text, definition.get("with"))
    };
    if matches!(name, human::WORD | map::WORD) {
        grants::refuse(d, object, &format!("call: {name}"));
        idempotency::unused(d, around, &format!("call: {name}"));
    }
    match name {
        "http" => return http::decode(d, object, own, base, cx, around),
        human::WORD => return human::decode(d, object, own, base, cx, around),
        map::WORD => return map::decode(d, object, own, base, cx, around),
        "openapi" => return openapi::decode(d, object, own, base, cx, around),
        _ => {}
    }
    let function = reference(d, &at, name)?;
    let mut with = Vec::with_capacity(2);
    let mut written = Map::new();
    for at in [base, own].into_iter().flatten() {
        if !matches!(at.node.kind, NodeKind::Map(_)) {
            d.error_hint(
                &at,
                format!("`with` must be an object of the function's parameters, not {}", at.node.describe()),
                "write `name: value` for each",
            );
            return None;
        }
        with.push(expr::template(d, &at, around.vars));
        if let Value::Object(map) = at.node.to_json() {
            written.extend(map);
        }
    }
    let grants = grants::decode(d, object)?;
    let key = idempotency::decode(d, around)?;
    cx.calls.push(CallSite {
        path: object.at.path.clone(),
        line: at.node.mark.line,
        column: at.node.mark.column,
        function: function.clone(),
        with: Value::Object(written),
        grants,
    });
    Some(Box::new(Call {
        function,
        with: with.into_iter().collect::<Option<_>>()?,
        key,
        host_retries: !around.retried,
        metadata: around.metadata.clone(),
    }))
}

/// Checks the `call` of a reusable function.
pub(crate) fn check(d: &mut Decoder<'_>, at: &At<'_>) -> Option<()> {
    let text = d.text(at)?;
    if BUILT_IN.contains(&text) {
        return Some(());
    }
    refused_word(d, at, text)?;
    reference(d, at, text).map(|_| ())
}

pub(super) fn reference(d: &mut Decoder<'_>, at: &At<'_>, text: &str) -> Option<FunctionRef> {
    match text.parse::<FunctionRef>() {
        Ok(function) if function.catalog.as_deref().is_none_or(|c| c == "default") => Some(function),
        Ok(_) => {
            d.error_hint(
                at,
                "catalogs other than the default one are refused, because nothing pins what they hold",
                "install the plugin and leave the catalog out",
            );
            None
        }
        Err(message) => {
            d.error_hint(
                at,
                shorten(&message, 300),
                "for example crm/upsert-contact or crm/upsert-contact:^1.2",
            );
            None
        }
    }
}

/// Refuses what the DSL can call and the profile does not.
fn refused_word(d: &mut Decoder<'_>, at: &At<'_>, name: &str) -> Option<()> {
    let Some((word, why, hint)) = refused::CALLS.iter().find(|(word, ..)| *word == name) else {
        return Some(());
    };
    d.error_hint(
        at,
        format!("`call: {word}` is refused by the profile (authorization, 403), because {why}"),
        *hint,
    );
    None
}

fn reusable<'n>(d: &mut Decoder<'_>, at: &At<'_>, name: &str, cx: &Context<'n>) -> Option<Object<'n>> {
    if let Some(found) = cx.functions.get(name) {
        return Some(found.clone());
    }
    refused_word(d, at, name)?;
    let hint = did_you_mean(name, cx.functions.keys().map(String::as_str)).unwrap_or_else(|| {
        "name a plugin's function as plugin/function, or define it in use.functions".into()
    });
    d.error_hint(at, format!("there is no function \"{}\"", shorten(name, 60)), hint);
    None
}

impl Call {
    /// The arguments for this input, where they come from, and the key if the flow computes it.
    fn arguments(
        &self,
        run: &Run<'_>,
        scope: &Scope<'_>,
        input: &Data,
    ) -> Result<(Value, Option<String>, Provenance), Halt> {
        let (mut with, mut from) = (Map::new(), Provenance::default());
        for template in &self.with {
            let filled = run.fill(template, input, scope)?;
            let filled_from = filled.provenance().clone();
            let Value::Object(map) = filled.into_value().map_err(Halt::Fault)? else { continue };
            if with.is_empty() {
                (with, from) = (map, filled_from);
                continue;
            }
            for (key, value) in map {
                from = from.with_member(&key, filled_from.member(&key));
                with.insert(key, value);
            }
        }
        let mut idempotency_key = None;
        if let Some(key) = &self.key {
            let (key, labels) = key.of(run, input, scope)?;
            from = from.with_member(idempotency::ARGUMENT, labels);
            idempotency_key = Some(key);
        }
        Ok((Value::Object(with), idempotency_key, from))
    }

    async fn make(
        &self,
        run: &Run<'_>,
        at: &Position,
        (with, idempotency_key, from): (Value, Option<String>, Provenance),
        way: Way,
    ) -> Result<Data, Halt> {
        let call = run::Call {
            function: &self.function,
            idempotency_key,
            with,
            from,
            host_retries: self.host_retries,
            metadata: &self.metadata,
            deadline: way.deadline,
        };
        let asked = match way.takes_back {
            true => run.fx.compensate(at, &Undoing::Call(&call)).await,
            false => run.fx.call(at, &call).await,
        };
        answered(asked, call.from.total())
    }
}

impl Kind for Call {
    fn run<'a>(
        &'a self,
        run: &'a Run<'a>,
        scope: &'a Scope<'a>,
        at: &'a Position,
        input: Data,
    ) -> Running<'a, Ran> {
        Box::pin(async move {
            let arguments = self.arguments(run, scope, &input)?;
            let way = Way { deadline: scope.deadline(), takes_back: false };
            self.make(run, at, arguments, way).await.map(Ran::done)
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        self.with.iter().any(|t| t.any(test)) || self.key.as_ref().is_some_and(|key| key.any_expr(test))
    }

    fn undoes(self: Box<Self>) -> Option<Box<dyn Undoes>> {
        Some(self)
    }
}

impl Undoes for Call {
    fn name(&self) -> String {
        self.function.to_string()
    }

    fn plan(&self, run: &Run<'_>, scope: &Scope<'_>, input: &Data) -> Result<Plan, Halt> {
        let (with, key, from) = self.arguments(run, scope, input)?;
        Ok(Plan::Call { with, key, from })
    }

    fn carry_out<'a>(
        &'a self,
        run: &'a Run<'a>,
        at: &'a Position,
        plan: Plan,
        way: Way,
    ) -> Running<'a, Data> {
        Box::pin(async move {
            let Plan::Call { with, key, from } = plan else { return Err(of_another_kind()) };
            self.make(run, at, (with, key, from), way).await
        })
    }

    fn any_expr(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        Kind::any_expr(self, test)
    }
}
