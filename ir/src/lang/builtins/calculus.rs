//! Derivatives and batches of functions.

use super::{Arg, Args};
use crate::diag::Diagnostic;
use crate::lang::callable::{Callable, ReverseMode};
use crate::lang::eval::Elab;
use crate::lang::tree::Tree;
use crate::lang::value::{Res, Val};

/// The function that parameter `k` is.
fn function(e: &Elab, args: &Args, k: usize) -> Res<Callable> {
    match args.value(k) {
        Val::Fn(f) => Ok(f.clone()),
        // The value of `sites` stands for the function of the parameters whose value it is.
        Val::Tree(tree) if tree.sites.is_some() => Ok(Callable::Sites(tree.clone())),
        _ => Err(args.wrong(e, k, "a function")),
    }
}

/// The arguments that parameter `k` is: the items of a list, or one.
fn arguments(args: &Args, k: usize) -> Vec<Arg> {
    let span = args.at(k);
    match args.value(k) {
        Val::List(list) => list.items().iter().map(|value| Arg { value: value.clone(), span }).collect(),
        value => vec![Arg { value: value.clone(), span }],
    }
}

pub(super) fn jvp(e: &mut Elab, args: &Args) -> Res {
    let f = function(e, args, 0)?;
    e.jvp(&f, &arguments(args, 1), &arguments(args, 2), args.span)
}

pub(super) fn vjp(e: &mut Elab, args: &Args) -> Res {
    let f = function(e, args, 0)?;
    let ct = Arg { value: args.value(2).clone(), span: args.at(2) };
    let inner = args.flag(e, 3)?;
    if inner && e.step.is_none() {
        return Err(args.fail(3, "`inner` is about the sites of a model, which estimators know"));
    }
    let reverse = ReverseMode { inner, memory: f64::INFINITY };
    e.vjp(&f, &arguments(args, 1), &ct, &reverse, args.span)
}

pub(super) fn grad(e: &mut Elab, args: &Args) -> Res {
    let f = function(e, args, 0)?;
    let at = arguments(args, 1);
    let ct = Arg { value: Val::Int(1), span: args.span };
    let memory = match args.given(2).map(|a| a.value.number()) {
        None => f64::INFINITY,
        Some(Some(bytes)) if bytes >= 0.0 => bytes,
        Some(Some(bytes)) => return Err(args.fail(2, format!("`memory` is a number of bytes, not {bytes}"))),
        Some(None) => return Err(args.wrong(e, 2, "a number of bytes")),
    };
    e.vjp(&f, &at, &ct, &ReverseMode { inner: false, memory }, args.span)
}

pub(super) fn vmap(e: &mut Elab, args: &Args) -> Res {
    let f = function(e, args, 0)?;
    e.vmap(&f, &arguments(args, 1), args.span)
}

/// What each sample adds to a loss of the model, or each of its parts.
pub(super) fn samples(e: &mut Elab, args: &Args) -> Res {
    let parts = args.flag(e, 1)?;
    match args.value(0) {
        Val::Fn(Callable::Loss(of)) => Ok(Val::Fn(Callable::Shares { of: *of, parts })),
        _ => Err(args.wrong(e, 0, "a loss of the model")),
    }
}

/// The sites that a loss of the model depends on.
pub(super) fn sites_of(e: &mut Elab, args: &Args) -> Res {
    match args.value(0) {
        Val::Fn(Callable::Loss(of)) => e.sites_of(*of, args.span),
        _ => Err(args.wrong(e, 0, "a loss of the model")),
    }
}

/// 1 for each parameter that sites depend on, else 0.
pub(super) fn params_of(e: &mut Elab, args: &Args) -> Res {
    match args.value(0) {
        Val::Tree(Tree { sites: Some(sites), .. }) => e.params_of(&sites.clone(), args.span),
        _ => Err(args.wrong(e, 0, "sites of the model")),
    }
}

/// `site(x)`: `x`, at which estimators may perturb the model.
pub(super) fn site(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    if !e.builder.ty(x).dtype.is_float() {
        return Err(args.wrong(e, 0, "a tensor of floats"));
    }
    if e.evaluating_consts || e.step.is_some() {
        return Err(Box::new(Diagnostic::new(args.span, "`site` marks a value of a model")));
    }
    e.mark_site(x);
    Ok(Val::Tensor(x))
}
