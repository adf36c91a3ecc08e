//! Items and statements.

use super::super::ast::{
    Block, DeclaredType, Expr, ExprKind, FnParam, Function, Ident, Item, Model, Stmt, StmtKind, TypeExpr,
};
use super::super::lexer::{ITEMS, Kind};
use super::{Parse, Parser, Reported};
use crate::diag::nearest;
use crate::text::print::LOCAL;

impl Parser<'_> {
    /// The items of the whole text.
    pub(super) fn file(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        loop {
            self.blank_lines();
            if self.kind() == Kind::Eof {
                return items;
            }
            let start = self.at;
            match self.item().and_then(|item| self.end_of_line().map(|()| item)) {
                Ok(item) => items.push(item),
                Err(Reported) => self.next_item(start),
            }
        }
    }

    pub(super) fn blank_lines(&mut self) {
        while matches!(self.kind(), Kind::Newline | Kind::Sign(";")) {
            self.bump();
        }
    }

    /// Goes to the next item behind `start`.
    fn next_item(&mut self, start: usize) {
        self.nest = 0;
        while self.kind() != Kind::Eof && !(self.at > start && self.begins_item(self.at)) {
            self.bump();
        }
    }

    fn item(&mut self) -> Parse<Item> {
        let word = self.word_at(self.at).unwrap_or("");
        match word {
            "const" => self.constant(),
            "init" => self.init(),
            "fn" => self.function("the function's name").map(Item::Fn),
            "model" => self.model(),
            "estimator" => self.function("the estimator's name").map(Item::Estimator),
            "optimizer" => self.function("the optimizer's name").map(Item::Optimizer),
            "graph" => self.graph(),
            _ => Err(self.no_item(word)),
        }
    }

    fn no_item(&mut self, word: &str) -> Reported {
        let expected = "`const`, `init`, `fn`, `model`, `estimator`, `optimizer` or `graph`";
        match word {
            "def" | "function" | "func" => self.unexpected_help(expected, "functions are declared with `fn`"),
            "optimiser" => self.unexpected_help(expected, "it is spelt `optimizer`"),
            "let" | "var" => self.unexpected_help(expected, "constants are declared with `const`"),
            _ => match nearest(word, ITEMS) {
                Some(item) => self.unexpected_help(expected, &format!("did you mean `{item}`?")),
                None if self.begins_stmt(self.at) => {
                    self.unexpected_help(expected, "statements stand within a `model` or `fn`")
                }
                None => self.unexpected(expected),
            },
        }
    }

    fn constant(&mut self) -> Parse<Item> {
        self.bump();
        let name = self.name("the constant's name")?;
        self.expect("=")?;
        Ok(Item::Const { name, value: self.value() })
    }

    fn init(&mut self) -> Parse<Item> {
        self.bump();
        let name = self.name("the initialiser's name")?;
        let params = self.list("(", ")", Self::fn_param)?;
        self.expect("=")?;
        Ok(Item::Init { name, params, body: self.value() })
    }

    /// What has a name, parameters and a body.
    fn function(&mut self, what: &str) -> Parse<Function> {
        self.bump();
        let head = |p: &mut Self| Ok((p.name(what)?, p.list("(", ")", Self::fn_param)?));
        let ((name, params), body) = self.headed(head)?;
        Ok(Function { name, params, body })
    }

    fn model(&mut self) -> Parse<Item> {
        self.bump();
        let head = |p: &mut Self| Ok((p.name("the model's name")?, p.list("(", ")", Self::input)?));
        let ((name, inputs), body) = self.headed(head)?;
        Ok(Item::Model(Model { name, inputs, body }))
    }

    fn fn_param(&mut self) -> Parse<FnParam> {
        let name = self.name("a parameter's name")?;
        if self.is(":") {
            return Err(self.unexpected_help("`,` or `)`", "parameters have no stated type"));
        }
        let default = if self.eat("=") { Some(self.expr()?) } else { None };
        Ok(FnParam { name, default })
    }

    fn input(&mut self) -> Parse<(Ident, TypeExpr)> {
        let name = self.name("an input's name")?;
        if !self.is(":") {
            return Err(self.unexpected_help("`:`", "an input has a type: `x: f32[batch, 10]`"));
        }
        self.bump();
        Ok((name, self.type_expr()?))
    }

    fn type_expr(&mut self) -> Parse<TypeExpr> {
        let start = self.span();
        let dtype = self.dtype()?;
        if !self.is("[") {
            return Err(
                self.unexpected_help("`[`", "a type has sizes, `f32[2, 3]`; that of a scalar is `f32[]`")
            );
        }
        let dims = self.list("[", "]", Self::expr)?;
        Ok(TypeExpr { dtype, dims, span: self.since(start) })
    }

    /// What `head` reads, and a block. The block behind a bad head is read for its errors.
    fn headed<T>(&mut self, head: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<(T, Block)> {
        let head = head(self).and_then(|head| if self.at_block() { Ok(head) } else { Err(self.no_block()) });
        if head.is_err() && !self.recover_to_block() {
            return Err(Reported);
        }
        let body = self.block()?;
        Ok((head?, body))
    }

    /// Goes over an end of line before a `{`; whether there is a `{`.
    fn at_block(&mut self) -> bool {
        if self.kind() == Kind::Newline && self.second() == Kind::Sign("{") {
            self.at += 1;
        }
        self.is("{")
    }

    fn no_block(&mut self) -> Reported {
        match self.kind() {
            Kind::Sign("=") => self.unexpected_help("`{`", "`==` compares"),
            Kind::Sign(":") => self.unexpected_help("`{`", "a block stands in braces"),
            _ => self.unexpected("`{`"),
        }
    }

    fn block(&mut self) -> Parse<Block> {
        self.nested(|p| {
            let start = p.span();
            p.expect("{")?;
            let mut stmts = Vec::new();
            loop {
                p.blank_lines();
                if p.eat("}") {
                    return Ok(Block { stmts, span: p.since(start) });
                }
                if p.at_outer_end() {
                    return Err(p.unclosed(start, "{", "}", ""));
                }
                let before = p.at;
                match p.stmt().and_then(|stmt| p.end_of_stmt(&stmt).map(|()| stmt)) {
                    Ok(stmt) => stmts.push(stmt),
                    // An unclosed block within this one: this one isn't closed either.
                    Err(Reported) if p.at > before && p.at_outer_end() => return Err(Reported),
                    Err(Reported) => p.recover(),
                }
                if p.at == before {
                    p.bump();
                }
            }
        })
    }

    /// Whether no block goes on here, closed or not.
    pub(super) fn at_outer_end(&self) -> bool {
        self.kind() == Kind::Eof || self.begins_item(self.at)
    }

    pub(super) fn at_end_of_stmt(&self) -> bool {
        matches!(self.kind(), Kind::Newline | Kind::Eof | Kind::Sign(";" | "}"))
    }

    fn end_of_line(&mut self) -> Parse<()> {
        let ended = matches!(self.kind(), Kind::Newline | Kind::Eof | Kind::Sign(";"));
        if ended || self.begins_item(self.at) { Ok(()) } else { Err(self.unexpected("end of line")) }
    }

    fn end_of_stmt(&mut self, stmt: &Stmt) -> Parse<()> {
        if self.at_end_of_stmt() {
            return Ok(());
        }
        let lone = match &stmt.kind {
            StmtKind::Expr(Expr { kind: ExprKind::Name(name), .. }) => name.as_str(),
            _ => "",
        };
        let advice = match (lone, self.kind(), self.text_at(self.at)) {
            ("let" | "var", Kind::Word, _) => "assign without a keyword: `x = 1`",
            ("for" | "while", ..) => "loops have a fixed count: `repeat 3 as i { … }`",
            ("def" | "fn", ..) => "functions are declared with `fn`, outside of models and functions",
            ("param" | "state", Kind::Word, _) => "write `param w: f32[2, 3] ~ zeros`",
            ("print", ..) => "`output x` returns a value",
            (_, Kind::Sign("="), _) => "only names can be assigned; `==` compares",
            (_, _, "as") => "`as` names an instance and stands directly behind a call",
            _ => return Err(self.unexpected("end of line")),
        };
        Err(self.unexpected_help("end of line", advice))
    }

    fn stmt(&mut self) -> Parse<Stmt> {
        let start = self.span();
        let named = self.second() == Kind::Word;
        let kind = match self.word_at(self.at).unwrap_or("") {
            "param" if named => self.declare(false),
            "state" if named => self.declare(true),
            "update" if named => self.update(),
            "metric" if named => self.metric(),
            LOCAL if named && self.token_after_is("loss") => self.local_loss(),
            "output" if named => self.output(),
            "repeat" => self.repeat(),
            "if" => self.condition(),
            "require" => self.require(),
            "return" => self.result(),
            _ if self.begins_assign() => self.assign(),
            _ => Ok(StmtKind::Expr(self.expr()?)),
        }?;
        Ok(Stmt { kind, span: self.since(start) })
    }

    /// Whether names, separated by commas, and a `=` are next.
    fn begins_assign(&self) -> bool {
        let mut at = self.at;
        while self.token(at).kind == Kind::Word {
            match self.token(at + 1).kind {
                Kind::Sign("=") => return true,
                Kind::Sign(",") => at += 2,
                _ => return false,
            }
        }
        false
    }

    fn assign(&mut self) -> Parse<StmtKind> {
        let mut targets = vec![self.name("a name")?];
        while self.eat(",") {
            targets.push(self.name("a name")?);
        }
        self.expect("=")?;
        Ok(StmtKind::Assign { targets, value: self.value() })
    }

    /// An expression. One that can't be read is passed over, up to the end of the statement, so
    /// that what it is assigned to stays known.
    fn value(&mut self) -> Expr {
        let start = self.span();
        let ended = |p: &mut Self, e: Expr| match p.kind() {
            Kind::Sign("=") => Err(p.unexpected_help("end of line", "`==` compares")),
            _ => Ok(e),
        };
        match self.expr().and_then(|e| ended(self, e)) {
            Ok(e) => e,
            Err(Reported) => {
                self.recover();
                Expr { kind: ExprKind::Error, span: self.since(start) }
            }
        }
    }

    fn declare(&mut self, is_state: bool) -> Parse<StmtKind> {
        self.bump();
        let name = self.name("a name")?;
        self.expect(":")?;
        let ty = if self.is_word("like") {
            self.bump();
            DeclaredType::Like(self.expr()?)
        } else {
            DeclaredType::Stated(self.type_expr()?)
        };
        if !self.is("~") {
            let (what, like) = if is_state { ("state", "zeros") } else { ("param", "lecun_normal") };
            let help = format!("say how it starts: `{what} {}: … ~ {like}`", name.name);
            return Err(self.unexpected_help("`~` and an initialiser", &help));
        }
        self.bump();
        Ok(StmtKind::Declare { is_state, name, ty, init: self.value() })
    }

    fn update(&mut self) -> Parse<StmtKind> {
        let (name, value) = self.named_value("the state's name")?;
        Ok(StmtKind::Update { name, value })
    }

    fn metric(&mut self) -> Parse<StmtKind> {
        let (name, value) = self.named_value("the metric's name")?;
        Ok(StmtKind::Metric { name, value })
    }

    /// Whether the token behind the next one is `word`.
    fn token_after_is(&self, word: &str) -> bool {
        self.word_at(self.at + 1) == Some(word)
    }

    fn local_loss(&mut self) -> Parse<StmtKind> {
        let (_, value) = self.named_value("`loss`")?;
        Ok(StmtKind::LocalLoss { value })
    }

    fn named_value(&mut self, what: &str) -> Parse<(Ident, Expr)> {
        self.bump();
        let name = self.name(what)?;
        self.expect("=")?;
        Ok((name, self.value()))
    }

    fn output(&mut self) -> Parse<StmtKind> {
        self.bump();
        let name = self.name("the output's name")?;
        let value = self.eat("=").then(|| self.value());
        Ok(StmtKind::Output { name, value })
    }

    fn repeat(&mut self) -> Parse<StmtKind> {
        self.bump();
        let head = |p: &mut Self| {
            let mut count = p.expr()?;
            // In `repeat dim(x, 0) as i { … }` the name is that of the turn.
            let mut index = match &mut count.kind {
                ExprKind::Call { instance, .. } => instance.take(),
                _ => None,
            };
            if index.is_none() && p.eat_word("as") {
                index = Some(p.name("a name for the turn")?);
            }
            Ok((count, index))
        };
        let ((count, index), body) = self.headed(head)?;
        Ok(StmtKind::Repeat { count, index, body })
    }

    fn condition(&mut self) -> Parse<StmtKind> {
        self.bump();
        let (cond, then) = self.headed(Self::expr)?;
        if self.kind() == Kind::Newline && self.word_at(self.at + 1) == Some("else") {
            self.bump();
        }
        let otherwise = match self.eat_word("else") {
            false => None,
            true if self.is_word("if") => Some(self.else_if()?),
            true if self.at_block() => Some(self.block()?),
            true => return Err(self.unexpected("`{` or `if`")),
        };
        Ok(StmtKind::If { cond, then, otherwise })
    }

    fn else_if(&mut self) -> Parse<Block> {
        let start = self.span();
        let kind = self.nested(Self::condition)?;
        let span = self.since(start);
        Ok(Block { stmts: vec![Stmt { kind, span }], span })
    }

    fn require(&mut self) -> Parse<StmtKind> {
        self.bump();
        let cond = self.expr()?;
        if self.is("=") {
            return Err(self.unexpected_help("`,` and a message", "`==` compares"));
        }
        if !self.eat(",") {
            return Err(
                self.unexpected_help("`,` and a message", "say why: `require n > 0, \"n is positive\"`")
            );
        }
        if self.kind() != Kind::Str {
            return Err(self.unexpected("a message in quotes"));
        }
        let message = self.take_str();
        Ok(StmtKind::Require { cond, message })
    }

    fn result(&mut self) -> Parse<StmtKind> {
        self.bump();
        let mut values = vec![self.expr()?];
        while self.eat(",") {
            values.push(self.expr()?);
        }
        Ok(StmtKind::Return(values))
    }
}
