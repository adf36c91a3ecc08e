//! Statements.

use super::eval::{Elab, fail};
use super::items::{is_reserved, reserved};
use super::names::Kind;
use super::step::{KNOWN, LR, MethodKind};
use super::tree::Tree;
use super::value::{Res, Val};
use crate::diag::{Diagnostic, nearest};
use crate::graph::{OutputKind, Span};
use crate::text::ast::{Block, Expr, ExprKind, Ident, Stmt, StmtKind};

/// How often a `repeat` may turn.
const MAX_TURNS: i64 = 100_000;

/// Where to go on after a statement.
pub(super) enum Flow {
    /// With the next one.
    Next,
    /// Behind the call, with its result.
    Return(Val),
}

impl<'a> Elab<'a> {
    /// Runs a block. If `tail`, it is the end of a function, whose result is that of its last
    /// statement.
    pub(super) fn block(&mut self, block: &'a Block, tail: bool) -> Flow {
        if !self.enter(block.span) {
            return Flow::Return(Val::Poison);
        }
        let mut flow = Flow::Next;
        for (k, stmt) in block.stmts.iter().enumerate() {
            if !self.charge(1, stmt.span) {
                flow = Flow::Return(Val::Poison);
                break;
            }
            let before = self.instances.len();
            let done = self.stmt(stmt, tail && k + 1 == block.stmts.len());
            for (v, path) in self.instances.split_off(before.min(self.instances.len())) {
                self.label(v, path);
            }
            match done {
                Ok(Flow::Next) => {}
                Ok(end) => {
                    flow = end;
                    break;
                }
                Err(error) => self.report(*error),
            }
        }
        self.leave();
        flow
    }

    fn stmt(&mut self, stmt: &'a Stmt, last: bool) -> Res<Flow> {
        self.at(stmt.span);
        match &stmt.kind {
            StmtKind::Assign { targets, value } => self.assign(targets, value)?,
            StmtKind::Declare { is_state, name, ty, init } => {
                let value = self.declare(*is_state, name, ty, init);
                // An error leaves poison behind, lest every use of the name be one more.
                let known = value.as_ref().cloned().unwrap_or(Val::Poison);
                self.activation.vars.insert(&name.name, known);
                value?;
            }
            StmtKind::Update { name, value } => self.update(name, value)?,
            StmtKind::Metric { name, value } => self.metric(name, value, stmt.span)?,
            StmtKind::LocalLoss { value } => self.local_loss(value)?,
            StmtKind::Output { name, value } => self.named_output(name, value.as_ref(), stmt.span)?,
            StmtKind::Repeat { count, index, body } => return self.repeat(count, index.as_ref(), body),
            StmtKind::If { cond, then, otherwise } => {
                return match self.condition(cond)? {
                    Some(true) => Ok(self.block(then, last)),
                    Some(false) => Ok(otherwise.as_ref().map_or(Flow::Next, |b| self.block(b, last))),
                    None => {
                        self.poison(then);
                        if let Some(block) = otherwise {
                            self.poison(block);
                        }
                        Ok(if last { Flow::Return(Val::Poison) } else { Flow::Next })
                    }
                };
            }
            StmtKind::Require { cond, message } => {
                if self.condition(cond)? == Some(false) {
                    return Err(self.required(cond, message));
                }
            }
            StmtKind::Return(values) => return self.give_back(values, stmt.span),
            StmtKind::Expr(expr) => return self.lone(expr, last),
        }
        Ok(Flow::Next)
    }

    fn assign(&mut self, targets: &'a [Ident], value: &'a Expr) -> Res<()> {
        for target in targets {
            if is_reserved(&target.name) {
                return Err(Box::new(reserved(target)));
            }
            let fixed = KNOWN.contains(&target.name.as_str()) && target.name != LR;
            if self.step.is_some() && fixed {
                let message = format!("`{}` is known here, and can't be assigned", target.name);
                let error = Diagnostic::new(target.span, message);
                return Err(Box::new(match target.name.as_str() {
                    "params" => error.help("what they become is said by `update params = …`"),
                    _ => error,
                }));
            }
        }
        let value = self.expr(value);
        if let [target] = targets {
            self.name_value(&target.name, &value);
            self.activation.vars.insert(&target.name, value);
            return Ok(());
        }
        let wrong = match &value {
            Val::List(list) if list.items().len() == targets.len() => {
                for (target, item) in targets.iter().zip(list.items()) {
                    self.name_value(&target.name, item);
                    self.activation.vars.insert(&target.name, item.clone());
                }
                return Ok(());
            }
            Val::List(list) => format!("a list of {}", list.items().len()),
            Val::Poison => String::new(),
            other => other.describe(&self.builder),
        };
        for target in targets {
            self.activation.vars.insert(&target.name, Val::Poison);
        }
        match (targets.first().zip(targets.last()), value) {
            (_, Val::Poison) | (None, _) => Ok(()),
            (Some((first, last)), _) => {
                let message = format!("{} names are assigned from {wrong}", targets.len());
                Err(fail(first.span.to(last.span), message))
            }
        }
    }

    fn repeat(&mut self, count: &'a Expr, index: Option<&'a Ident>, body: &'a Block) -> Res<Flow> {
        let turns = match self.expr(count) {
            Val::Int(n) if n < 0 => {
                self.poison(body);
                return Err(fail(count.span, format!("a `repeat` can't turn {n} times")));
            }
            Val::Int(n) if n > MAX_TURNS => {
                self.poison(body);
                let message = format!("a `repeat` turns at most {MAX_TURNS} times, not {n}");
                return Err(Box::new(Diagnostic::new(count.span, message).help("every turn is unrolled")));
            }
            Val::Int(n) => n as usize,
            other => {
                self.poison(body);
                if other.is_poison() {
                    return Ok(Flow::Next);
                }
                let message = format!(
                    "the count of a `repeat` is a compile-time integer, not {}",
                    other.describe(&self.builder)
                );
                return Err(fail(count.span, message));
            }
        };
        if let Some(index) = index.filter(|i| is_reserved(&i.name)) {
            return Err(Box::new(reserved(index)));
        }
        for turn in 0..turns {
            if let Some(index) = index {
                self.activation.vars.insert(&index.name, Val::Int(turn as i64));
            }
            self.activation.turns.push(turn);
            let flow = self.block(body, false);
            self.activation.turns.pop();
            if let Flow::Return(_) = flow {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// A compile-time truth value; `None` if an error hid it.
    fn condition(&mut self, cond: &'a Expr) -> Res<Option<bool>> {
        match self.expr(cond) {
            Val::Bool(x) => Ok(Some(x)),
            Val::Poison => Ok(None),
            other => {
                let found = other.describe(&self.builder);
                let error = Diagnostic::new(
                    cond.span,
                    format!("a condition is decided at compile time, but this is {found}"),
                );
                Err(Box::new(match other {
                    Val::Tensor(_) => error.help("`select(m, a, b)` chooses element by element"),
                    _ => error.help("compare it: a condition is `true` or `false`"),
                }))
            }
        }
    }

    /// The error of a `require` that doesn't hold: the caller's.
    fn required(&mut self, cond: &'a Expr, message: &str) -> super::value::Fail {
        let prelude = cond.span.file == self.prelude_file;
        let call = if prelude { self.activation.site } else { self.activation.call };
        let error = match call {
            Some(call) => Diagnostic::new(call, message).also(cond.span, "required here"),
            None => Diagnostic::new(cond.span, message).here("doesn't hold"),
        };
        let shown = self.operands(cond);
        Box::new(if shown.is_empty() { error } else { error.help(format!("here {}", shown.join(", "))) })
    }

    /// The values of the variables that a failed condition names.
    fn operands(&mut self, cond: &'a Expr) -> Vec<String> {
        let mut names = Vec::new();
        variables(cond, &mut names);
        names.dedup();
        let shown = names.into_iter().filter_map(|name| {
            let value = self.activation.vars.get(name)?;
            Some(format!("`{name}` is {}", value.describe(&self.builder)))
        });
        shown.collect()
    }

    fn give_back(&mut self, values: &'a [Expr], span: Span) -> Res<Flow> {
        if !matches!(self.activation.kind, Kind::Function(_)) {
            return Err(Box::new(
                Diagnostic::new(span, "only a function has a result")
                    .help("name a result with `output NAME = …`"),
            ));
        }
        let mut given: Vec<Val> = values.iter().map(|e| self.expr(e)).collect();
        let result = match (given.pop(), given.is_empty()) {
            (None, _) => Val::Nothing,
            (Some(one), true) => one,
            (Some(last), false) => {
                given.push(last);
                Val::list(given).map_err(|m| fail(span, m))?
            }
        };
        Ok(Flow::Return(result))
    }

    /// An expression as a statement.
    fn lone(&mut self, expr: &'a Expr, last: bool) -> Res<Flow> {
        let is_call = matches!(expr.kind, ExprKind::Call { .. });
        if last {
            let value = if is_call { self.expr_or_nothing(expr) } else { self.expr(expr) };
            return Ok(Flow::Return(value));
        }
        let value = self.expr_or_nothing(expr);
        if is_call || value.is_poison() {
            return Ok(Flow::Next);
        }
        let help = match self.activation.kind {
            Kind::Function(_) => "only the last line of a function is its result",
            Kind::Item | Kind::Model => "assign it to a name, or make it an `output`",
            Kind::Method(_) => "assign it to a name",
        };
        Err(Box::new(Diagnostic::new(expr.span, "this value isn't used").help(help)))
    }

    fn metric(&mut self, name: &'a Ident, value: &'a Expr, span: Span) -> Res<()> {
        if !matches!(self.activation.kind, Kind::Method(_)) {
            self.only_in_model("metric", span)?;
        }
        let at = value.span;
        let value = self.expr(value);
        let Some(v) = self.result_tensor(value, at)? else { return Ok(()) };
        let ty = self.builder.ty(v).clone();
        if ty.rank() > 0 {
            let error = Diagnostic::new(at, format!("metric `{}` is a scalar, not {ty}", name.name));
            return Err(Box::new(error.help("`mean(…)` makes it one")));
        }
        self.add_output(name, OutputKind::Metric, v)
    }

    /// `local loss = value`, in a model or a function of it.
    fn local_loss(&mut self, value: &'a Expr) -> Res<()> {
        let at = value.span;
        if self.step.is_some() || self.evaluating_consts {
            return Err(fail(at, "a local loss belongs in a model"));
        }
        let value = self.expr(value);
        let Some(v) = self.result_tensor(value, at)? else { return Ok(()) };
        let ty = self.builder.ty(v).clone();
        if ty.rank() > 0 || !ty.dtype.is_float() {
            let error = Diagnostic::new(at, format!("a loss is a float scalar, not {ty}"));
            return Err(Box::new(error.help("`mean(…)` of the losses of the examples is a scalar")));
        }
        self.builder.local_loss(v);
        Ok(())
    }

    fn named_output(&mut self, name: &'a Ident, value: Option<&'a Expr>, span: Span) -> Res<()> {
        self.has_output = true;
        self.only_in_model("output", span)?;
        let (value, at) = match value {
            Some(e) => (self.expr(e), e.span),
            None => (self.variable(&name.name, name.span)?, name.span),
        };
        let Some(v) = self.result_tensor(value, at)? else { return Ok(()) };
        self.add_output(name, OutputKind::Value, v)
    }

    fn add_output(&mut self, name: &'a Ident, kind: OutputKind, v: crate::graph::Value) -> Res<()> {
        if let Some(first) = self.named_outputs.insert(name.name.clone(), name.span) {
            let message = format!("there are two results called `{}`", name.name);
            let error = Diagnostic::new(name.span, message);
            return Err(Box::new(if first == name.span {
                error.here("in a second turn of a `repeat`")
            } else {
                error.here("the second").also(first, "the first")
            }));
        }
        self.name_value(&name.name, &Val::Tensor(v));
        let full = match self.step {
            Some(_) => self.take_name(&name.name),
            None => name.name.clone(),
        };
        self.outputs.push((full, kind, v));
        Ok(())
    }

    /// A result as a value of the graph; `None` if an error hid it.
    fn result_tensor(&mut self, value: Val, span: Span) -> Res<Option<crate::graph::Value>> {
        if value.is_poison() {
            return Ok(None);
        }
        let dtype = self.float;
        self.tensor_of(&value, dtype, span).map(Some)
    }

    fn only_in_model(&mut self, what: &str, span: Span) -> Res<()> {
        match self.activation.kind {
            Kind::Function(name) => Err(Box::new(
                Diagnostic::new(span, format!("`{what}` belongs in a model, not in a function"))
                    .help(format!("let `{name}` return the value")),
            )),
            Kind::Method(method) => {
                Err(fail(span, format!("`{what}` belongs in a model, not in an {}", method.name())))
            }
            Kind::Item | Kind::Model => Ok(()),
        }
    }

    fn update(&mut self, name: &'a Ident, value: &'a Expr) -> Res<()> {
        let at = value.span;
        let value = self.expr(value);
        if self.step.is_some() && name.name == "params" {
            return self.update_params(value, at, name.span);
        }
        let Some(positions) = self.activation.states.get(name.name.as_str()).cloned() else {
            if self.activation.vars.get(name.name.as_str()).is_some_and(Val::is_poison) {
                return Ok(());
            }
            let error = Diagnostic::new(name.span, format!("no state `{}` is declared here", name.name));
            let near = nearest(&name.name, self.activation.states.keys().copied());
            return Err(Box::new(match near {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help(format!("declare it with `state {}: f32[…] ~ zeros`", name.name)),
            }));
        };
        match value {
            Val::Tree(tree) if tree.leaves.len() == positions.len() => {
                for (position, leaf) in positions.into_iter().zip(tree.leaves.iter()) {
                    self.update_one(position, leaf.value.clone(), at, name.span)?;
                }
                Ok(())
            }
            value => positions.into_iter().try_for_each(|p| self.update_one(p, value.clone(), at, name.span)),
        }
    }

    /// Says what the state at `position` becomes.
    fn update_one(&mut self, position: usize, value: Val, at: Span, name: Span) -> Res<()> {
        let Some(state) = self.states.get(position) else { return Ok(()) };
        let (current, full, before) = (state.value, state.name.clone(), state.update);
        if let Some((_, first)) = before {
            let message = format!("state `{full}` is updated twice");
            return Err(Box::new(super::items::twice(&message, first, name)));
        }
        let ty = self.builder.ty(current).clone();
        let next = match value {
            Val::Poison => return Ok(()),
            Val::Int(_) | Val::Float(_) => {
                let number = self.tensor_of(&value, ty.dtype, at)?;
                self.broadcast_to(number, &ty.shape, at)?
            }
            other => self.tensor_of(&other, ty.dtype, at)?,
        };
        if *self.builder.ty(next) != ty {
            let found = self.builder.ty(next).clone();
            let message = format!("state `{full}` is {ty}, but its update is {found}");
            return Err(fail(at, message));
        }
        if self.step.is_some() {
            self.label(next, format!("{full}.next"));
        }
        if let Some(state) = self.states.get_mut(position) {
            state.update = Some((next, name));
        }
        Ok(())
    }

    /// Says what the parameters become.
    fn update_params(&mut self, value: Val, at: Span, name: Span) -> Res<()> {
        if self.activation.kind != Kind::Method(MethodKind::Optimizer) {
            let error = Diagnostic::new(name, "only an optimizer says what the parameters become");
            return Err(Box::new(error.help("an estimator assigns its estimate to `grad`")));
        }
        let tree: Tree = match value {
            Val::Poison => return Ok(()),
            Val::Tree(tree) if self.is_of_params(&tree) => tree,
            Val::Tree(tree) => {
                let Some(why) = self.unlike_params(&tree) else { unreachable!("it isn't of the parameters") };
                return Err(Box::new(Diagnostic::new(at, "`params` become a tree of their types").here(why)));
            }
            other => {
                let found = other.describe(&self.builder);
                return Err(fail(at, format!("`params` become a tree of their types, not {found}")));
            }
        };
        let Some(step) = &mut self.step else { unreachable!("methods are of steps") };
        if let Some((_, first)) = step.updated {
            return Err(Box::new(super::items::twice("the parameters are updated twice", first, name)));
        }
        step.updated = Some((tree, name));
        Ok(())
    }

    /// Poisons the variables that a block that can't be run would assign, and takes note of its outputs.
    fn poison(&mut self, block: &'a Block) {
        for stmt in &block.stmts {
            match &stmt.kind {
                StmtKind::Assign { targets, .. } => {
                    for target in targets {
                        self.activation.vars.insert(&target.name, Val::Poison);
                    }
                }
                StmtKind::Declare { name, .. } => {
                    self.activation.vars.insert(&name.name, Val::Poison);
                }
                StmtKind::Output { .. } => self.has_output = true,
                StmtKind::Repeat { body, .. } => self.poison(body),
                StmtKind::If { then, otherwise, .. } => {
                    self.poison(then);
                    if let Some(block) = otherwise {
                        self.poison(block);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The names of the variables in `e`.
fn variables<'a>(e: &'a Expr, names: &mut Vec<&'a str>) {
    match &e.kind {
        ExprKind::Name(name) if !names.contains(&name.as_str()) => names.push(name),
        ExprKind::Unary { arg, .. } => variables(arg, names),
        ExprKind::Binary { args, .. } => {
            variables(&args.0, names);
            variables(&args.1, names);
        }
        ExprKind::Call { args, .. } => args.iter().for_each(|a| variables(&a.value, names)),
        ExprKind::List(items) => items.iter().for_each(|a| variables(a, names)),
        ExprKind::Index { base, .. } => variables(base, names),
        _ => {}
    }
}
