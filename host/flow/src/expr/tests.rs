use super::*;
use serde_json::json;

fn compile(code: &str) -> Result<Expr, String> {
    let vars = Vars::new(&["context", "input", "x"]);
    Expr::compile(code, &vars).map_err(|r| match r.hint {
        Some(hint) => format!("{}; {hint}", r.message),
        None => r.message,
    })
}

fn eval_on(code: &str, dot: Value) -> Result<Value, String> {
    let x = json!({"a": {"b": [1, 2]}});
    let lookup = |name: &str| Some(Data::from(if name == "x" { x.clone() } else { json!({}) }));
    compile(code)?.eval(&Data::from(dot), &lookup).map_err(|failure| failure.message)?.into_json()
}

fn eval(code: &str) -> Result<Value, String> {
    eval_on(code, Value::Null)
}

#[test]
fn ordinary_programs() {
    let dot = json!({"a": {"b": 1}, "l": [3, 1, 2], "s": "Hällo wörld"});
    let cases = [
        (".", dot.clone()),
        (".a.b", json!(1)),
        (".a.c", Value::Null),
        (".a.b.c?", Value::Null),
        ("$x.a.b", json!([1, 2])),
        ("[.l[] | . * 2]", json!([6, 2, 4])),
        (".l | sort | map(. + 1) | add", json!(9)),
        ("[range(3)]", json!([0, 1, 2])),
        (".l | to_entries | map(select(.value > 1).key)", json!([0, 2])),
        (".s | split(\" \") | join(\"-\")", json!("Hällo-wörld")),
        (".s | gsub(\"l+\"; \"L\")", json!("HäLo wörLd")),
        (".a.b += 2 | .l[0] *= 10 | del(.s)", json!({"a": {"b": 3}, "l": [30, 1, 2]})),
        ("[limit(3; repeat(1))]", json!([1, 1, 1])),
        ("[.l[] as $v | {v: $v, $x}] | length", json!(3)),
        ("reduce .l[] as $v (0; . + $v)", json!(6)),
        ("def f: if . > 3 then . else . + 1 | f end; 0 | f", json!(4)),
        ("\"a\\(1 + 1)b\" | ascii_upcase", json!("A2B")),
        ("[1, [2, [3]]] | flatten", json!([1, 2, 3])),
        ("try error(\"x\") catch .", json!("x")),
        ("\"2026-01-02T03:04:05Z\" | fromdate | todate", json!("2026-01-02T03:04:05Z")),
        ("[paths]|length", json!(7)),
        ("path(.a.b)", json!(["a", "b"])),
        ("setpath([\"a\", \"c\"]; 5).a", json!({"b": 1, "c": 5})),
        ("[..] | length", json!(8)),
        ("walk(if type == \"number\" then . + 1 else . end).l", json!([4, 2, 3])),
        ("\"[1]\" | fromjson", json!([1])),
        ("[\"1\", \"2.5\"] | map(tonumber)", json!([1, 2.5])),
        ("with_entries(.value |= type) | keys", json!(["a", "l", "s"])),
        (".l |= map(. - 1) | .l", json!([2, 0, 1])),
        ("[.l | group_by(. > 1)[] | length]", json!([1, 2])),
        ("empty", Value::Null),
        ("${ 1 }", json!(1)),
        (". as {a: {b: $v}} | $v", json!(1)),
        ("[foreach .l[] as $i (0; . + $i)]", json!([3, 4, 6])),
        ("label $out | foreach .l[] as $i (0; . + $i; if . > 3 then ., break $out else empty end)", json!(4)),
        (".s | test(\"W\"; \"i\")", json!(true)),
        ("@base64 \"x\\(.l)\"", json!("xWzMsMSwyXQ==")),
        ("[.l[] | select(. == (1, 2))]", json!([1, 2])),
        ("{a: (1, 2)} | .a", json!("more")),
    ];
    for (code, expected) in cases {
        if expected == json!("more") {
            assert!(eval_on(code, dot.clone()).unwrap_err().contains("more than one result"), "{code}");
        } else {
            assert_eq!(eval_on(code, dot.clone()), Ok(expected), "{code}");
        }
    }
}

#[test]
fn integers_keep_their_digits() {
    for n in [u64::MAX, u64::MAX - 1, i64::MAX as u64, (1 << 53) + 1] {
        assert_eq!(eval_on(".n", json!({"n": n})), Ok(json!(n)));
        assert_eq!(eval_on("[.n] | .[0]", json!({"n": n})), Ok(json!(n)));
        assert_eq!(eval_on(".n - 1 + 1", json!({"n": n})), Ok(json!(n)));
    }
    assert_eq!(eval_on(".n | . + 0", json!({"n": i64::MIN})), Ok(json!(i64::MIN)));
    assert_eq!(eval_on("tojson | fromjson", json!(u64::MAX)), Ok(json!(u64::MAX)));
    assert_eq!(eval("nan"), Ok(Value::Null));
}

#[test]
fn nothing_reaches_the_process() {
    for code in [
        "env",
        "$ENV",
        "$ENV.PATH",
        "env.PATH",
        "halt",
        "halt_error",
        "halt(1)",
        "halt_error(1)",
        "input",
        "inputs",
        "debug",
        "debug(1)",
        "stderr",
        "input_filename",
        "input_line_number",
        "now",
        "localtime",
        "strflocaltime(\"%c\")",
        "get_search_list",
        "$__prog_args",
        "$secrets",
        "import \"a\" as a; 1",
        "include \"a\"; 1",
        "\"a\" | ltrimstr(env)",
        "flow_expression_main",
        "debug_empty",
        "stderr_empty",
        "$__loc__",
        "def f: env; 1",
        "[.[] | now]",
        "\"\\(env)\"",
        "@text \"\\(now)\"",
        ".[env]",
        "{(env): 1}",
        "reduce env as $e (0; 1)",
        "try env catch 1",
        ". as [$a, {b: $c}] | env",
        "$context | env",
    ] {
        assert!(compile(code).is_err(), "{code}");
    }
    assert!(compile("now").unwrap_err().contains("$workflow.startedAt"));
    assert_eq!(
        compile("env.PATH").unwrap_err(),
        "there is no function env/0 here; an expression cannot reach the process"
    );
    assert!(compile("$secrets.key").unwrap_err().contains("never sees a secret"));
}

#[test]
fn mistakes_are_named() {
    assert!(
        compile(".a | ").unwrap_err().contains("this is not jq, at its end: expected term"),
        "{:?}",
        compile(".a | ")
    );
    assert_eq!(
        compile("lenght").unwrap_err(),
        "there is no function lenght/0 here; did you mean \"length\"?"
    );
    assert_eq!(compile("$contxt.a").unwrap_err(), "$contxt is not known here; did you mean \"context\"?");
    assert!(compile("").unwrap_err().contains("empty"));
    assert!(compile("${ }").unwrap_err().contains("empty"));
    assert!(compile("\"abc").unwrap_err().contains("this is not jq"));
    let message = eval_on(".a.b", json!({"a": 1})).unwrap_err();
    assert!(message.contains("cannot index 1 with \"b\""), "{message}");
}

#[test]
fn every_loop_ends() {
    for code in [
        "def f: f; f",
        "def f: 1 + f; f",
        "def f: ., (. + 1 | f); 0 | [f]",
        "def f: (f | .), 1; f",
        "def f(g): g | f(g); f(.)",
        "def f(g): f(g); f(.)",
        "def f(g): def h: f(g); h; f(.)",
        "def f($a): f($a + 1); f(0)",
        "[repeat(1)]",
        "last(range(1e12))",
        "[range(1e12)]",
        "[range(0; 1; 0)]",
        "[limit(1e12; repeat(1))]",
        "until(false; .)",
        "[while(true; .)]",
        "[recurse(.)]",
        "try until(false; .) catch 1",
        "first(repeat(try until(false; .) catch empty))",
        "[range(10)] | [.,.,.,.,.,.,.,.,.,.,.,.] | [combinations]",
        "[range(10000)] as $a | [$a[] as $x | $a[] as $y | $x * $y]",
        "last((1,2)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.)|(.,.))",
        "\"x\" * 1000000000",
        "\"x\" * 1e300",
        "reduce range(100) as $i (\"a\"; . + .)",
        "reduce range(100) as $i ([1]; . + .)",
        "reduce range(100) as $i (\"a\"; . += .)",
        "reduce range(100) as $i (\"a\"; \"\\(.)\\(.)\")",
        "reduce range(100) as $i (1; [., .]) | tojson",
        "reduce range(100) as $i (1; {a: ., b: .}) | tojson",
        "reduce range(100000) as $i (2; . * .)",
        "reduce range(100000) as $i (2; . *= .)",
        "reduce range(100000) as $i (null; [.])",
        "reduce range(100000) as $i (null; {a: .})",
        "reduce range(100000) as $i ({}; .a |= [.])",
        "null | setpath([range(100000) | \"a\"]; 1)",
        "(reduce range(100000) as $i (.; .a)) |= 1",
        "null | getpath([range(100000) | \"a\"]) |= 1",
        "[range(100000) | \"a\"] as $p | null | delpaths([$p])",
        "[range(100000) | \"a\"] as $p | null | pick(getpath($p))",
        "null | path(reduce range(100000) as $i (.; .a))",
        "null | last(path(recurse(.a)))",
        "null | [paths(true)], path(until(false; .a))",
        "null | path(def f: .a | f; f)",
        "{} | to_entries, (last(recurse(.a)) |= 1)",
        "\"x\" * 1000000 as $s | [range(1000000) | $s + \"y\"]",
    ] {
        let error = eval(code).map(|v| v.to_string().len()).unwrap_err();
        let named = [
            "steps",
            "too large",
            "deeply",
            "more than one",
            "nested",
            "calls itself",
            "cannot calculate",
            "cannot use",
        ]
        .iter()
        .any(|w| error.contains(w));
        assert!(named, "{code}: {error}");
    }
}

#[test]
fn hostile_programs_are_refused_or_end() {
    let deep = [
        "[".repeat(5000) + "1" + &"]".repeat(5000),
        "- ".repeat(8000) + "1",
        "try ".repeat(4000) + "1",
        "1 | ".repeat(4000) + "1",
        "def a: ".repeat(1000) + "1" + &"; 1".repeat(1000),
        "if 1 then ".repeat(1000) + "1" + &" end".repeat(1000),
        ". as $x | ".repeat(1600) + "1",
        ".a".repeat(8000),
        format!("path({})", ".a".repeat(8000)),
        "\"\\(".repeat(4000) + "1" + &")\"".repeat(4000),
        "x".repeat(MAX_EXPRESSION + 1),
    ];
    std::thread::Builder::new()
        .stack_size(crate::COMPILE_STACK)
        .spawn(move || {
            for code in deep {
                let error = compile(&code).unwrap_err();
                assert!(
                    error.contains("deeply") || error.contains("bytes") || error.contains("not jq"),
                    "{error}"
                );
            }
        })
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn hostile_data_is_refused() {
    let deep = json!({"s": "[".repeat(100_000)});
    assert!(eval_on(".s | fromjson", deep).unwrap_err().contains("not JSON"));
    assert!(eval_on(".s | tonumber", json!({"s": "[".repeat(100_000)})).is_err());
    for code in [
        "[-9223372036854775808] | .[0] | length",
        "1e308 * 10 | floor",
        "[-9223372036854775807 - 1] | implode",
    ] {
        // Whatever comes out, it comes back.
        let _ = eval(code);
    }
}
