//! Calls: of functions, which are inlined, of builtins, and of the elementwise rows.

use super::builtins::{self, Arg, Args, Builtin};
use super::callable::Callable;
use super::eval::{Elab, fail};
use super::names::{Activation, Kind};
use super::stmt::Flow;
use super::value::{Fail, Res, Val};
use crate::attrs::{AttrReader, Attrs};
use crate::diag::{Diagnostic, elsewhere, nearest};
use crate::graph::Span;
use crate::ops::{Binary, Compare, Op, OpRules, Unary};
use crate::text::ast::{self, Function, Ident};
use crate::types::{DType, Type};

/// How deep calls may be nested.
const MAX_CALLS: usize = 64;

/// What a name calls.
enum Callee<'a> {
    Function(&'a Function),
    Held(Callable),
    Builtin(&'static Builtin),
    Cast(DType),
    Row(Box<Op>, usize),
}

/// An evaluated argument.
struct Given<'a> {
    name: Option<&'a Ident>,
    arg: Arg,
}

/// The elementwise row called `name`, and its number of operands.
fn row(name: &str) -> Option<(Op, usize)> {
    let ty = Type::scalar(DType::F64);
    let mut attrs = AttrReader::new(Attrs::none());
    if let Some(Ok(op)) = Unary::parse(name, &mut attrs, &ty) {
        return Some((op.into(), 1));
    }
    if let Some(Ok(op)) = Binary::parse(name, &mut attrs, &ty) {
        return Some((op.into(), 2));
    }
    match Compare::parse(name, &mut attrs, &ty) {
        Some(Ok(op)) => Some((op.into(), 2)),
        _ => None,
    }
}

/// The names of the elementwise rows.
pub fn row_names() -> Vec<&'static str> {
    let samples = [Unary::samples(), Binary::samples(), Compare::samples()];
    let mut names: Vec<&str> = samples.iter().flatten().map(|s| s.op.name()).collect();
    names.dedup();
    names
}

impl<'a> Elab<'a> {
    fn find(&self, name: &str, from: Span) -> Option<Callee<'a>> {
        let user = if from.file == self.prelude_file { None } else { self.user.fns.get(name) };
        if let Some(function) = user.or_else(|| self.prelude.fns.get(name)) {
            return Some(Callee::Function(function));
        }
        if let Some(builtin) = builtins::find(name) {
            return Some(Callee::Builtin(builtin));
        }
        match name.parse() {
            Ok(dtype) => Some(Callee::Cast(dtype)),
            Err(()) => row(name).map(|(op, n)| Callee::Row(Box::new(op), n)),
        }
    }

    /// Whether something called `name` can be called from `from`.
    pub(super) fn is_function(&self, name: &str, from: Span) -> bool {
        self.find(name, from).is_some()
    }

    fn unknown(&self, callee: &Ident) -> Fail {
        let error = Diagnostic::new(callee.span, format!("there is no function `{}`", callee.name));
        // In a later turn of a `repeat`: looking for near names takes a while.
        if self.is_blamed(callee.span) {
            return Box::new(error);
        }
        let fns = self.user.fns.keys().chain(self.prelude.fns.keys()).copied();
        let names = fns.chain(builtins::all().map(|b| b.name)).chain(row_names());
        Box::new(if let Some(here) = elsewhere(&callee.name) {
            error.help(format!("it is written `{here}`"))
        } else if let Some(near) = nearest(&callee.name, names) {
            error.help(format!("did you mean `{near}`?"))
        } else if self.activation.vars.contains_key(callee.name.as_str()) {
            error.help(format!("`{}` is a value", callee.name))
        } else {
            error
        })
    }

    /// `callee(args) as instance`.
    pub(super) fn call(
        &mut self,
        span: Span,
        callee: &'a Ident,
        args: &'a [ast::Arg],
        instance: Option<&'a Ident>,
    ) -> Res {
        let found = match self.held_function(&callee.name, callee.span) {
            Some(held) => Some(Callee::Held(held)),
            None => self.find(&callee.name, callee.span),
        };
        let mut given = Vec::with_capacity(args.len());
        for arg in args {
            let value = self.expr(&arg.value);
            given.push(Given { name: arg.name.as_ref(), arg: Arg { value, span: arg.value.span } });
        }
        let found = found.ok_or_else(|| self.unknown(callee))?;
        if given.iter().any(|g| g.arg.value.is_poison()) {
            return Ok(Val::Poison);
        }
        if let (Some(instance), false) = (instance, matches!(found, Callee::Function(_))) {
            let message = format!("`{}` is built in and declares nothing that `as` could name", callee.name);
            return Err(fail(instance.span, message));
        }
        self.invoke(&callee.name, found, given, span, instance)
    }

    /// The function that the variable `name` holds, or that is known under it.
    fn held_function(&mut self, name: &str, span: Span) -> Option<Callable> {
        let held = match self.visible(name, span) {
            Some(value) => Some(value.clone()),
            None => return self.known_function(name),
        };
        match held {
            Some(Val::Fn(f)) => Some(f),
            _ => None,
        }
    }

    /// The function called `name`, as seen from `from`, of `args`.
    pub(super) fn call_named(&mut self, name: &str, from: Span, args: Vec<Arg>, span: Span) -> Res {
        let Some(found) = self.find(name, from) else {
            unreachable!("a function that is a value was found when it was named")
        };
        let given = args.into_iter().map(|arg| Given { name: None, arg }).collect();
        self.invoke(name, found, given, span, None)
    }

    fn invoke(
        &mut self,
        name: &str,
        found: Callee<'a>,
        given: Vec<Given<'a>>,
        span: Span,
        instance: Option<&'a Ident>,
    ) -> Res {
        self.at(span);
        match found {
            Callee::Function(function) => self.inline(function, given, span, instance),
            Callee::Held(f) => {
                if let Some(named) = given.iter().find_map(|g| g.name) {
                    let message = format!("{} takes its arguments by position", f.describe());
                    return Err(fail(named.span, message));
                }
                self.apply(&f, given.into_iter().map(|g| g.arg).collect(), span)
            }
            Callee::Builtin(builtin) => {
                let mut names: Vec<(&str, bool)> =
                    builtin.params.iter().map(|p| (p.name(), p.is_required())).collect();
                if let Some((last, _)) = names.last().copied().filter(|_| builtin.is_variadic()) {
                    let more = given.len().saturating_sub(names.len());
                    names.extend(std::iter::repeat_n((last, false), more));
                }
                let bound = bind(builtin.name, &builtin.signature(), &names, given, span, None)?;
                if builtin.of_trees || !bound.iter().flatten().any(|arg| matches!(arg.value, Val::Tree(_))) {
                    return (builtin.run)(self, &Args::new(builtin, bound, span));
                }
                let args: Vec<(Val, Span)> = bound
                    .iter()
                    .map(|arg| arg.as_ref().map_or((Val::Nothing, span), |arg| (arg.value.clone(), arg.span)))
                    .collect();
                self.leafwise(&args, span, |e, leaves| {
                    let args = leaves.iter().zip(&bound).map(|((value, span), arg)| {
                        arg.as_ref().map(|_| Arg { value: value.clone(), span: *span })
                    });
                    (builtin.run)(e, &Args::new(builtin, args.collect(), span))
                })
            }
            Callee::Cast(dtype) => {
                let bound = bind(dtype.name(), &format!("{dtype}(x)"), &[("x", true)], given, span, None)?;
                match bound.into_iter().next().flatten() {
                    Some(Arg { value: tree @ Val::Tree(_), span: at }) => {
                        self.leafwise(&[(tree, at)], span, |e, leaf| match leaf {
                            [(value, at)] => e.cast(&Arg { value: value.clone(), span: *at }, dtype),
                            _ => unreachable!("one argument"),
                        })
                    }
                    Some(arg) => self.cast(&arg, dtype),
                    None => Ok(Val::Poison),
                }
            }
            Callee::Row(op, arity) => {
                let names: &[(&str, bool)] =
                    if arity == 1 { &[("x", true)] } else { &[("a", true), ("b", true)] };
                let signature = format!("{name}({})", if arity == 1 { "x" } else { "a, b" });
                let bound = bind(name, &signature, names, given, span, None)?;
                let args: Vec<(Val, Span)> = bound.into_iter().flatten().map(|a| (a.value, a.span)).collect();
                self.elementwise(*op, name, &args, span)
            }
        }
    }

    /// `f32(x)`: a conversion; of a number, a scalar of that type.
    fn cast(&mut self, arg: &Arg, dtype: DType) -> Res {
        let dtype = self.meant(dtype);
        match &arg.value {
            Val::Tensor(v) => {
                let built = self.builder.cast(*v, dtype).map_err(|e| fail(arg.span, e.message));
                self.checked(built?, arg.span).map(Val::Tensor)
            }
            other => self.tensor_of(other, dtype, arg.span).map(Val::Tensor),
        }
    }

    /// The element type that the text's `dtype` stands for.
    pub(super) fn meant(&self, dtype: DType) -> DType {
        if dtype == DType::F32 { self.float } else { dtype }
    }

    fn inline(
        &mut self,
        function: &'a Function,
        given: Vec<Given<'a>>,
        span: Span,
        instance: Option<&'a Ident>,
    ) -> Res {
        let name = function.name.name.as_str();
        let names: Vec<(&str, bool)> =
            function.params.iter().map(|p| (p.name.name.as_str(), p.default.is_none())).collect();
        let shown: Vec<&str> = names.iter().map(|(n, _)| *n).collect();
        let signature = format!("{name}({})", shown.join(", "));
        let defined = (function.name.span.file != self.prelude_file).then_some(function.name.span);
        let bound = bind(name, &signature, &names, given, span, defined)?;
        if self.calls >= MAX_CALLS {
            self.fatal(
                Diagnostic::new(span, format!("calls are nested more than {MAX_CALLS} deep"))
                    .help(format!("does `{name}` call itself without an end?")),
            );
            return Ok(Val::Poison);
        }
        let path = self.activation.instance(name, instance.map(|i| i.name.as_str()));
        let site = if span.file == self.prelude_file { self.activation.site } else { Some(span) };
        let inner =
            Activation { path: Some(path), call: Some(span), site, ..Activation::new(Kind::Function(name)) };
        let outer = std::mem::replace(&mut self.activation, inner);
        self.calls += 1;
        for (param, arg) in function.params.iter().zip(bound) {
            let value = match (arg, &param.default) {
                (Some(arg), _) => arg.value,
                (None, Some(default)) => self.expr(default),
                (None, None) => Val::Poison,
            };
            self.activation.vars.insert(&param.name.name, value);
        }
        let flow = self.block(&function.body, true);
        self.calls -= 1;
        let inner = std::mem::replace(&mut self.activation, outer);
        if let Flow::Return(Val::Tensor(v)) = &flow
            && inner.path.as_ref().is_some_and(|p| p.named())
        {
            self.instances.push((*v, inner.path_text()));
        }
        self.at(span);
        Ok(match flow {
            Flow::Return(value) => value,
            Flow::Next => Val::Nothing,
        })
    }
}

/// Assigns arguments to the parameters `names`, each with whether it is required.
fn bind(
    callee: &str,
    signature: &str,
    names: &[(&str, bool)],
    given: Vec<Given>,
    span: Span,
    defined: Option<Span>,
) -> Res<Vec<Option<Arg>>> {
    let note = |error: Diagnostic| {
        let error = match defined {
            Some(at) => error.also(at, "defined here"),
            None => error,
        };
        Box::new(if error.help.is_some() {
            error
        } else {
            error.help(format!("it is called as `{signature}`"))
        })
    };
    let mut bound: Vec<Option<Arg>> = names.iter().map(|_| None).collect();
    let mut positional = 0;
    let count = given.len();
    for Given { name, arg } in given {
        let at = match name {
            None => {
                positional += 1;
                positional - 1
            }
            Some(name) => match names.iter().position(|(n, _)| *n == name.name) {
                Some(at) => at,
                None => {
                    let error =
                        Diagnostic::new(name.span, format!("`{callee}` has no parameter `{}`", name.name));
                    let near = nearest(&name.name, names.iter().map(|(n, _)| *n));
                    return Err(note(match near {
                        Some(near) => error.help(format!("did you mean `{near}`?")),
                        None => error,
                    }));
                }
            },
        };
        let place = arg.span;
        match bound.get_mut(at) {
            None => {
                let s = if names.len() == 1 { "" } else { "s" };
                let message = format!("`{callee}` takes {} argument{s}, not {count}", names.len());
                return Err(note(Diagnostic::new(place, message).here("one too many")));
            }
            Some(Some(first)) => {
                let message =
                    format!("`{}` of `{callee}` is given twice", names.get(at).map_or("", |(n, _)| n));
                let first = first.span;
                return Err(note(
                    Diagnostic::new(place, message).here("again here").also(first, "first here"),
                ));
            }
            Some(free) => *free = Some(arg),
        }
    }
    let missing: Vec<String> = names
        .iter()
        .zip(&bound)
        .filter(|((_, need), b)| *need && b.is_none())
        .map(|((n, _), _)| format!("`{n}`"))
        .collect();
    if missing.is_empty() {
        return Ok(bound);
    }
    Err(note(Diagnostic::new(span, format!("`{callee}` is called without {}", missing.join(" and ")))))
}
