//! Runs a flow's JavaScript. The component imports nothing that leads outside; the host bounds its time and memory, and what
//! a script writes is bounded here.

use std::cell::RefCell;

use boa_engine::{
    Context, JsArgs, JsError, JsNativeError, JsResult, JsString, JsValue, NativeFunction, Source, js_string,
    object::{FunctionObjectBuilder, builtins::JsArray},
};

mod bindings {
    wit_bindgen::generate!({
        path: "../wit/factotum-script-0.1.0",
        inline: "package factotum:script-engine; world engine { export factotum:script/script@0.1.0; }",
        world: "factotum:script-engine/engine",
    });
}

use bindings::exports::factotum::script::script::{Guest, Outcome};

/// The most bytes that a script writes, both ways together.
const MAX_OUTPUT: usize = 1 << 20;
/// The most calls inside of one another: what the host's stack for a guest holds.
const MAX_DEPTH: usize = 160;
const PRELUDE: &str = include_str!("prelude.js");

thread_local! {
    static WRITTEN: RefCell<Written> = const { RefCell::new(Written { out: String::new(), err: String::new(), exit: None }) };
}

/// What a script left behind so far.
struct Written {
    out: String,
    err: String,
    exit: Option<i32>,
}

struct Engine;

impl Guest for Engine {
    fn run(
        code: String,
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        stdin: Option<String>,
    ) -> Outcome {
        let mut context = Context::default();
        context.runtime_limits_mut().set_recursion_limit(MAX_DEPTH);
        let ended = prepare(&mut context, arguments, environment, stdin)
            .and_then(|()| context.eval(Source::from_bytes(&code)))
            .and_then(|_| context.run_jobs());
        let error = ended.err().map(|error| describe(&error, &mut context));
        WRITTEN.with_borrow_mut(|written| {
            let code = match (written.exit, error) {
                (Some(code), _) => code,
                (None, None) => 0,
                (None, Some(error)) => {
                    written.err.push_str("Uncaught ");
                    written.err.push_str(&error);
                    written.err.push('\n');
                    1
                }
            };
            Outcome {
                code,
                stdout: std::mem::take(&mut written.out),
                stderr: std::mem::take(&mut written.err),
            }
        })
    }
}

/// Gives the script its globals.
fn prepare(
    context: &mut Context,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    stdin: Option<String>,
) -> JsResult<()> {
    let setup = context.eval(Source::from_bytes(PRELUDE))?;
    let host =
        FunctionObjectBuilder::new(context.realm(), NativeFunction::from_fn_ptr(host)).length(2).build();
    let text = |text: String| JsValue::from(JsString::from(text));
    let arguments: Vec<JsValue> = arguments.into_iter().map(text).collect();
    let arguments = JsArray::from_iter(arguments, context);
    let mut pairs: Vec<JsValue> = Vec::new();
    for (name, value) in environment {
        pairs.push(JsArray::from_iter([text(name), text(value)], context).into());
    }
    let pairs = JsArray::from_iter(pairs, context);
    let stdin = stdin.map_or(JsValue::undefined(), text);
    let setup =
        setup.as_callable().ok_or_else(|| JsNativeError::typ().with_message("the prelude is no function"))?;
    setup.call(&JsValue::undefined(), &[host.into(), arguments.into(), pairs.into(), stdin], context)?;
    Ok(())
}

/// The one way out: writes to 1 or 2, or ends with 0.
fn host(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let way = arguments.get_or_undefined(0).to_i32(context)?;
    let text = arguments.get_or_undefined(1).to_string(context)?.to_std_string_lossy();
    WRITTEN.with_borrow_mut(|written| {
        // A script that catches its own end goes on, and writes no more.
        if written.exit.is_some() {
            return Err(ended());
        }
        if way == 0 {
            written.exit = Some(text.parse().unwrap_or(1));
            return Err(ended());
        }
        if written.out.len() + written.err.len() + text.len() > MAX_OUTPUT {
            written.exit = Some(1);
            written.err.push_str("the script wrote more than 1 MiB\n");
            return Err(ended());
        }
        if way == 1 {
            written.out.push_str(&text)
        } else {
            written.err.push_str(&text)
        }
        Ok(JsValue::undefined())
    })
}

fn ended() -> JsError {
    JsNativeError::error().with_message("the script has ended").into()
}

/// An error as a person reads it.
fn describe(error: &JsError, context: &mut Context) -> String {
    let Ok(value) = error.clone().into_opaque(context) else { return error.to_string() };
    let Some(object) = value.as_object() else { return value.display().to_string() };
    let mut part = |name: JsString| {
        let value = object.get(name, context).ok().filter(|value| !value.is_undefined())?;
        Some(value.to_string(context).ok()?.to_std_string_lossy())
    };
    match (part(js_string!("name")), part(js_string!("message"))) {
        (Some(name), Some(message)) if !message.is_empty() => format!("{name}: {message}"),
        (Some(name), _) => name,
        _ => error.to_string(),
    }
}

bindings::export!(Engine with_types_in bindings);
