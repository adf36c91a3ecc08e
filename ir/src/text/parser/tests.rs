//! What parses to what, and what is said of what does not.

use super::*;
use crate::text::ast::*;

/// The syntax tree of `text`, which must be without errors.
fn parsed(text: &str) -> File {
    let (file, errors) = parse_text(text);
    assert!(errors.is_empty(), "{text}\n{errors:?}");
    file
}

fn parse_text(text: &str) -> (File, Vec<Diagnostic>) {
    let mut sources = Sources::new();
    let file = sources.add("a.fg", text);
    parse(&sources, file)
}

/// The messages of `text`, with the source at the place to blame and the help, if any.
fn errors(text: &str) -> Vec<String> {
    let shown = |d: Diagnostic| {
        let (span, _) = &d.labels[0];
        let at = &text[span.start as usize..span.end as usize];
        format!("{} @ {at}{}", d.message, d.help.map(|h| format!(" ; {h}")).unwrap_or_default())
    };
    parse_text(text).1.into_iter().map(shown).collect()
}

fn error_in_model(stmts: &str) -> Vec<String> {
    errors(&format!("model m() {{\n{stmts}\n}}"))
}

/// An expression, with parentheses around every operation.
fn full(e: &Expr) -> String {
    let list = |v: &[Expr]| v.iter().map(full).collect::<Vec<_>>().join(", ");
    let part = |e: &Option<Expr>| e.as_ref().map(full).unwrap_or_default();
    match &e.kind {
        ExprKind::Error => "error".to_owned(),
        ExprKind::Int(i) => i.to_string(),
        ExprKind::Float(x) => format!("{x:?}"),
        ExprKind::Bool(b) => b.to_string(),
        ExprKind::Str(s) => format!("{s:?}"),
        ExprKind::Name(n) => n.clone(),
        ExprKind::List(v) => format!("[{}]", list(v)),
        ExprKind::Call { callee, args, instance } => {
            let arg = |a: &Arg| {
                a.name.as_ref().map(|n| format!("{}=", n.name)).unwrap_or_default() + &full(&a.value)
            };
            let instance = instance.as_ref().map(|i| format!(" as {}", i.name)).unwrap_or_default();
            format!("{}({}){instance}", callee.name, args.iter().map(arg).collect::<Vec<_>>().join(", "))
        }
        ExprKind::Unary { op, arg } => format!("({op:?} {})", full(arg)),
        ExprKind::Binary { op, args } => format!("({} {op:?} {})", full(&args.0), full(&args.1)),
        ExprKind::Index { base, items } => {
            let item = |i: &IndexItem| match i {
                IndexItem::At(e) => full(e),
                IndexItem::Range { start, stop, step } => {
                    format!("{}:{}:{}", part(start), part(stop), part(step))
                }
            };
            format!("{}[{}]", full(base), items.iter().map(item).collect::<Vec<_>>().join(", "))
        }
    }
}

fn expr(text: &str) -> String {
    match &parsed(&format!("const c = {text}")).items[..] {
        [Item::Const { value, .. }] => full(value),
        items => panic!("{items:?}"),
    }
}

#[test]
fn operators_bind_as_in_python() {
    assert_eq!(expr("a + b * c - d"), "((a Add (b Mul c)) Sub d)");
    assert_eq!(expr("-a ** -b ** c"), "(Neg (a Pow (Neg (b Pow c))))");
    assert_eq!(expr("a // b % c @ d / e"), "((((a FloorDiv b) Rem c) MatMul d) Div e)");
    assert_eq!(expr("not a == b and c or d"), "(((Not (a Eq b)) And c) Or d)");
    assert_eq!(expr("a < b + 1"), "(a Lt (b Add 1))");
    assert_eq!(expr("(a + b) * c"), "((a Add b) Mul c)");
}

#[test]
fn primaries() {
    assert_eq!(expr("f(a, k=[1, 2.5, true,],) as g[0]"), "f(a, k=[1, 2.5, true]) as g[0]");
    assert_eq!(expr("x[:, 1:2, ::k, -1, a:]"), "x[::, 1:2:, ::k, (Neg 1), a::]");
    assert_eq!(expr("f(\n  a, # why\n\n  b\n)"), "f(a, b)");
    assert_eq!(expr("einsum(\"bi,ij->bj\", 1e-5)"), "einsum(\"bi,ij->bj\", 1e-5)");
    assert_eq!(expr("f()"), "f()");
}

#[test]
fn spans_hold_the_whole_expression() {
    let text = "const c = (a + b) * f(c) as d";
    let file = parsed(text);
    let Item::Const { value, .. } = &file.items[0] else { panic!() };
    let at = |span: Span| &text[span.start as usize..span.end as usize];
    let ExprKind::Binary { args, .. } = &value.kind else { panic!() };
    assert_eq!(
        [at(value.span), at(args.0.span), at(args.1.span)],
        ["(a + b) * f(c) as d", "(a + b)", "f(c) as d"]
    );
}

#[test]
fn items_and_statements() {
    let file = parsed(
        "const n = 2; init lecun(scale=1.0) = normal(scale)
         fn dense(x, units, init=lecun) {
           param w: f32[dim(x, -1), units] ~ init
           state mean: f32[] ~ zeros; update mean = mean + 1
           require n > 0 and true, \"why\"
           param = 1; state, output = pair(x)
           return x @ w, b
         }
         model mlp(x: f32[batch, 28], y: i32[batch],)
         {
           repeat dim(x, 0) as t { h = x[t] }
           repeat 2 { }
           if training { h = 1 } else if n == 2 { h = 2 }
           else { h = 3 }
           output h; output g = h
           metric accuracy = mean(h)
           h
         }",
    );
    let [Item::Const { .. }, Item::Init { .. }, Item::Fn(dense), Item::Model(mlp)] = &file.items[..] else {
        panic!("{file:?}")
    };
    assert_eq!((dense.params.len(), dense.body.stmts.len(), mlp.inputs.len()), (3, 7, 2));
    let kinds: Vec<&StmtKind> = mlp.body.stmts.iter().map(|s| &s.kind).collect();
    let [
        StmtKind::Repeat { count, index: Some(t), .. },
        StmtKind::Repeat { index: None, .. },
        StmtKind::If { otherwise: Some(otherwise), .. },
        StmtKind::Output { value: None, .. },
        StmtKind::Output { value: Some(_), .. },
        StmtKind::Metric { .. },
        StmtKind::Expr(_),
    ] = kinds[..]
    else {
        panic!("{kinds:?}")
    };
    assert_eq!((full(count).as_str(), t.name.as_str()), ("dim(x, 0)", "t"));
    assert!(matches!(otherwise.stmts[0].kind, StmtKind::If { otherwise: Some(_), .. }));
}

#[test]
fn every_statement_with_an_error_is_reported() {
    let text = "const a = \nfn f(x { y = $ }\nmodel m(x: f23[2]) {\n  h = relu(dense(x, 10)\n  \
                g = (1 + ]\n  ok = 1\n  let z = 2\n}\nconst = 3\n";
    let expected = [
        "expected an expression, found end of line @  ; \
         an expression goes on in the next line only within parentheses or brackets",
        "expected `,` or `)`, found `{` @ {",
        "`$` isn't part of the language @ $ ; \
         outside of comments and strings, a text is ASCII letters, digits and operators",
        "unknown element type `f23` @ f23 ; did you mean `f32`?",
        "expected `,` or `)`, found end of line @ ",
        "expected an expression, found `]` @ ]",
        "expected end of line, found `z` @ z ; assign without a keyword: `x = 1`",
        "expected the constant's name, found `=` @ =",
    ];
    assert_eq!(errors(text), expected);
}

#[test]
fn what_other_languages_write() {
    for (stmt, expected) in [
        ("if a = b { }", "expected `{`, found `=` @ = ; `==` compares"),
        ("metric m = mean(f(a) = b)", "expected `,` or `)`, found `=` @ = ; `==` compares"),
        (
            "n = x.shape",
            "values have no fields or methods @ . ; the size of dimension 0 of `x` is `dim(x, 0)`",
        ),
        ("n = x.mean()", "values have no fields or methods @ . ; call a function: `mean(x)`"),
        (
            "for i in x { }",
            "expected end of line, found `i` @ i ; loops have a fixed count: `repeat 3 as i { … }`",
        ),
        ("y = x ^ 2", "expected end of line, found `^` @ ^ ; `**` is the power"),
        ("y = a && b", "expected end of line, found `&&` @ && ; write `and`"),
        ("y = a || b", "expected end of line, found `||` @ || ; write `or`"),
        ("y = !a", "expected an expression, found `!` @ ! ; write `not`"),
        ("y = a < b < c", "comparisons can't be chained @ < ; write `a < b and b < c`"),
        ("x[0] = 1", "expected end of line, found `=` @ = ; only names can be assigned; `==` compares"),
        ("if = 1", "expected an expression, found `=` @ ="),
        ("true = 1", "expected a name, found the keyword `true` @ true"),
        ("y = x[]", "expected an index between `[` and `]` @ x[]"),
        (
            "y = 99999999999999999999",
            "the integer is too large: at most 9223372036854775807 @ 99999999999999999999",
        ),
        ("y = 1e999", "the number is too large: at most 1.7976931348623157e308 @ 1e999"),
        ("y = (a, b)", "expected `)`, found `,` @ , ; a list stands in brackets: `[a, b]`"),
        (
            "param w: f32[2]",
            "expected `~` and an initialiser, found end of line @  ; \
             say how it starts: `param w: … ~ lecun_normal`",
        ),
        ("param w: float32[] ~ zeros", "unknown element type `float32` @ float32 ; did you mean `f32`?"),
    ] {
        assert_eq!(error_in_model(stmt), [expected], "{stmt}");
    }
    let found = errors("def f(x) {\n}\nmodle m() {\n}\nh = 3");
    let lead = "expected `const`, `init`, `fn`, `model`, `estimator`, `optimizer` or `graph`, found";
    assert_eq!(found[0], format!("{lead} `def` @ def ; functions are declared with `fn`"), "{found:?}");
}

#[test]
fn unclosed_braces_are_reported_once() {
    assert_eq!(errors("model m() {\nrepeat 2 {\nif a {"), ["expected `}`, found end of file @ "]);
    let found = errors("model m() {\nrepeat 2 {\nx = 1\nfn f(x) { x + }\n");
    assert_eq!(found, ["expected `}`, found `fn` @ fn", "expected an expression, found `}` @ }"]);
    let (_, errors) = parse_text("y = 1\nmodel m() {\nx = (1 +\n 2");
    assert_eq!(errors[1].labels[1].1, "unclosed `(` opened here");
}

#[test]
fn depth_is_limited() {
    for deep in [
        "(".repeat(100_000),
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "not ".repeat(100_000),
        "f(".repeat(100_000),
        "x[".repeat(100_000),
        "1 ** ".repeat(100_000),
        "1 or 1 and 1 == 1 + 1 * (".repeat(10_000),
    ] {
        let found = errors(&format!("const c = {deep}"));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("nested too deeply"), "{}", found[0]);
    }
    let blocks = ["repeat 2 {", "if a {} else ", "if a { "].map(|b| b.repeat(10_000));
    for deep in blocks {
        assert!(error_in_model(&deep)[0].starts_with("nested too deeply"));
    }
    for long in ["1 + ".repeat(100_000) + "1", format!("x{}", "[0]".repeat(100_000))] {
        let found = errors(&format!("const c = {long}"));
        assert!(found[0].starts_with("the expression is too long"), "{}", found[0]);
    }
    let deep = format!("graph g {{\n%0 = const[{}", "[".repeat(100_000));
    assert!(errors(&deep)[0].starts_with("nested too deeply"));
}

#[test]
fn errors_are_limited() {
    let (_, errors) = parse_text(&"$ ".repeat(1000));
    assert_eq!(errors.len(), MAX_ERRORS + 1);
    assert_eq!(errors[MAX_ERRORS].message, "too many errors; the others aren't shown");
}

#[test]
fn graphs() {
    let file = parsed(
        "graph mlp.jvp {
           %x = input[\"x\"] : f32[4, 2]  # the data
           %fc.0.w' = param[\"w\", init=uniform(-1.5, inf)] : f32[]
           %3~' = dot[contract=[1:0], a=-2, b=true, c=nan, d=-inf, e=-1:2:-3] %x, %fc.0.w' : f32[4]
           ; loss 0.loss = %3~'
         }",
    );
    let Item::Graph(CoreGraph { name, lines }) = &file.items[0] else { panic!() };
    assert_eq!((name.name.as_str(), lines.len()), ("mlp.jvp", 4));
    let CoreLine::Node { target, op, attrs, args, ty, .. } = &lines[2] else { panic!() };
    assert_eq!((target.label.name.as_deref(), target.label.marks.as_str()), (Some("3"), "~'"));
    assert_eq!((op.name.as_str(), args.len(), ty), ("dot", 2, &(DType::F32, vec![4])));
    assert_eq!(attrs.to_string(), "[contract=[1:0], a=-2, b=true, c=nan, d=-inf, e=-1:2:-3]");
    let CoreLine::Output { name, .. } = &lines[3] else { panic!() };
    assert_eq!(name.name, "0.loss");
}

#[test]
fn errors_in_graphs() {
    let text = "graph g {\n%x = input[\"x\" : f32[2]\n%y = neg %x f32[2]\n%z = neg x : f32[2]\n\
                %a = neg %x : g32[2]\nlos l = %x\nx = 3\n%b = iota[dim=1:x] : i32[-1]\n";
    let help = " ; a line reads `%y = add %a, %b : f32[2, 3]`";
    let lead = "expected `%name = …`, `loss`, `output`, `metric`, `update`, `local`, `site` or `}`, found";
    let expected = [
        "expected `,` or `]`, found `:` @ :".to_owned(),
        format!("expected `:` and a type, found `f32` @ f32{help}"),
        format!("expected `:` and a type, found `x` @ x{help}"),
        "unknown element type `g32` @ g32 ; did you mean `f32`?".to_owned(),
        format!("{lead} `los` @ los ; did you mean `loss`?"),
        format!("{lead} `x` @ x"),
        "expected a number, found `x` @ x".to_owned(),
        "expected `}`, found end of file @ ".to_owned(),
    ];
    assert_eq!(errors(text), expected);
}
