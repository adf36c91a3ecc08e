//! The syntax tree of a `.fg` file.
//!
//! ```text
//! file   = { item }
//! item   = "const" NAME "=" expr
//!        | "init" NAME "(" params ")" "=" expr
//!        | "fn" NAME "(" params ")" block
//!        | "model" NAME "(" [ NAME ":" type { "," NAME ":" type } ] ")" block
//!        | ( "estimator" | "optimizer" ) NAME "(" params ")" block
//!        | "graph" DOTTED "{" { core line } "}"
//! params = [ NAME [ "=" expr ] { "," NAME [ "=" expr ] } ]
//! type   = DTYPE "[" [ expr { "," expr } ] "]"
//! block  = "{" { stmt } "}"                       statements end at a line's end or at ";"
//! stmt   = NAME { "," NAME } "=" expr
//!        | ("param" | "state") NAME ":" ( type | "like" expr ) "~" expr
//!        | "update" NAME "=" expr
//!        | "metric" NAME "=" expr
//!        | "local" "loss" "=" expr
//!        | "output" NAME [ "=" expr ]
//!        | "repeat" expr [ "as" NAME ] block
//!        | "if" expr block [ "else" ( block | if-stmt ) ]
//!        | "require" expr "," STRING
//!        | "return" expr { "," expr }
//!        | expr                                   the last of a function: its result
//! expr   = or, and, not, comparison, + -, * / // % @, unary -, **, postfix, primary
//! postfix= primary { "[" index { "," index } "]" }
//! primary= NUMBER | STRING | "true" | "false" | NAME | "(" expr ")" | "[" exprs "]"
//!        | NAME "(" [ [ NAME "=" ] expr { "," … } ] ")" [ "as" NAME ]
//! index  = expr | [ expr ] ":" [ expr ] [ ":" expr ]
//! ```
//!
//! A `graph` is the core form, what printing a [`Graph`](crate::Graph) gives; its lines are
//!
//! ```text
//! %h' = dot[contract=[1:0]] %x, %fc.0.w' : f32[64, 512]
//! loss loss = %31                     also: output, metric, update
//! site fc.0 = %12                     where estimators may perturb it
//! local loss = %31                    a loss beside that of the graph
//! ```

use crate::attrs::Attrs;
use crate::graph::{Label, OutputKind, Span};
use crate::types::DType;

/// A whole file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct File {
    /// Its items, in order.
    pub items: Vec<Item>,
}

/// A name and where it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Ident {
    /// The name.
    pub name: String,
    /// Where.
    pub span: Span,
}

/// An item of a file.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// `const NAME = expr`: a number that `--set` can override.
    Const {
        /// Its name.
        name: Ident,
        /// Its value.
        value: Expr,
    },
    /// `init NAME(params) = distribution`.
    Init {
        /// Its name.
        name: Ident,
        /// Its parameters.
        params: Vec<FnParam>,
        /// A call of another initialiser.
        body: Expr,
    },
    /// `fn NAME(params) { … }`.
    Fn(Function),
    /// `model NAME(inputs) { … }`.
    Model(Model),
    /// `estimator NAME(params) { … }`: how the gradient of a model's loss is come by.
    Estimator(Function),
    /// `optimizer NAME(params) { … }`: what becomes of a gradient.
    Optimizer(Function),
    /// `graph NAME { … }`.
    Graph(CoreGraph),
}

/// A function.
#[derive(Clone, PartialEq, Debug)]
pub struct Function {
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<FnParam>,
    /// What it does.
    pub body: Block,
}

/// A parameter of a function or initialiser.
#[derive(Clone, PartialEq, Debug)]
pub struct FnParam {
    /// Its name.
    pub name: Ident,
    /// Its value if the call gives none.
    pub default: Option<Expr>,
}

/// A model.
#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    /// Its name.
    pub name: Ident,
    /// Its inputs.
    pub inputs: Vec<(Ident, TypeExpr)>,
    /// What it computes.
    pub body: Block,
}

/// `f32[batch, 10]`.
#[derive(Clone, PartialEq, Debug)]
pub struct TypeExpr {
    /// The element type; `None` where the text named none that exists (reported).
    pub dtype: Option<DType>,
    /// The sizes.
    pub dims: Vec<Expr>,
    /// The whole of it.
    pub span: Span,
}

/// What a declaration says of its type.
#[derive(Clone, PartialEq, Debug)]
pub enum DeclaredType {
    /// A type.
    Stated(TypeExpr),
    /// `like expr`: the types of the leaves of a tree, one declaration for each, or that of a tensor.
    Like(Expr),
}

/// `{ … }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// Its statements.
    pub stmts: Vec<Stmt>,
    /// From brace to brace.
    pub span: Span,
}

/// A statement.
#[derive(Clone, PartialEq, Debug)]
pub struct Stmt {
    /// Which.
    pub kind: StmtKind,
    /// The whole of it.
    pub span: Span,
}

/// The kinds of statement.
#[derive(Clone, PartialEq, Debug)]
pub enum StmtKind {
    /// `a, b = expr`.
    Assign {
        /// The names assigned; more than one unpack a list.
        targets: Vec<Ident>,
        /// The value.
        value: Expr,
    },
    /// `param NAME: type ~ init` or `state NAME: type ~ init`.
    Declare {
        /// A state rather than a parameter.
        is_state: bool,
        /// Its name within the instance.
        name: Ident,
        /// Its type.
        ty: DeclaredType,
        /// A call of an initialiser, or its bare name.
        init: Expr,
    },
    /// `update NAME = expr`: the next content of a state.
    Update {
        /// The state.
        name: Ident,
        /// Its next content.
        value: Expr,
    },
    /// `metric NAME = expr`.
    Metric {
        /// Its name.
        name: Ident,
        /// A scalar.
        value: Expr,
    },
    /// `local loss = expr`: a loss beside that of the model.
    LocalLoss {
        /// A scalar.
        value: Expr,
    },
    /// `output NAME [= expr]`.
    Output {
        /// Its name.
        name: Ident,
        /// Its value; that of the variable of this name if not given.
        value: Option<Expr>,
    },
    /// `repeat expr [as NAME] { … }`.
    Repeat {
        /// How often.
        count: Expr,
        /// The name of the turn, 0, 1, ….
        index: Option<Ident>,
        /// What.
        body: Block,
    },
    /// `if expr { … } else { … }`, decided at compile time.
    If {
        /// A compile-time truth value.
        cond: Expr,
        /// Taken if it holds.
        then: Block,
        /// Taken if not. An `else if` is a block of one `If`.
        otherwise: Option<Block>,
    },
    /// `require expr, "message"`: fails the call with the message unless it holds.
    Require {
        /// A compile-time truth value.
        cond: Expr,
        /// What to say.
        message: String,
    },
    /// `return expr, …`.
    Return(Vec<Expr>),
    /// An expression alone.
    Expr(Expr),
}

/// An expression.
#[derive(Clone, PartialEq, Debug)]
pub struct Expr {
    /// Which.
    pub kind: ExprKind,
    /// The whole of it.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// What couldn't be read (reported).
    Error,
    /// An integer.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `"text"`.
    Str(String),
    /// A variable or constant.
    Name(String),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `f(a, k=b) as name`.
    Call {
        /// What is called.
        callee: Ident,
        /// The arguments.
        args: Vec<Arg>,
        /// The instance's name.
        instance: Option<Ident>,
    },
    /// `-a`, `not a`.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// The operand.
        arg: Box<Expr>,
    },
    /// `a + b`.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left and right.
        args: Box<(Expr, Expr)>,
    },
    /// `x[:, 0]`.
    Index {
        /// What is indexed.
        base: Box<Expr>,
        /// For each dimension.
        items: Vec<IndexItem>,
    },
}

/// An argument.
#[derive(Clone, PartialEq, Debug)]
pub struct Arg {
    /// The parameter it is for, if named.
    pub name: Option<Ident>,
    /// Its value.
    pub value: Expr,
}

/// `i`, or `start:stop:step`.
#[derive(Clone, PartialEq, Debug)]
// There are few of them, and boxes would be in the way of matching.
#[expect(clippy::large_enum_variant)]
pub enum IndexItem {
    /// One position; the dimension is dropped.
    At(Expr),
    /// A range.
    Range {
        /// The first; the beginning if not given.
        start: Option<Expr>,
        /// The end, excluded; that of the dimension if not given.
        stop: Option<Expr>,
        /// Every how many; 1 if not given.
        step: Option<Expr>,
    },
}

/// A prefix operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `not`
    Not,
}

/// An infix operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `//`: rounded down, of compile-time integers
    FloorDiv,
    /// `%`
    Rem,
    /// `**`
    Pow,
    /// `@`: matrix product
    MatMul,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `and`
    And,
    /// `or`
    Or,
}

/// `graph NAME { … }`.
#[derive(Clone, PartialEq, Debug)]
pub struct CoreGraph {
    /// Its name, which may have dots.
    pub name: Ident,
    /// Its lines.
    pub lines: Vec<CoreLine>,
}

/// A line of a graph in core form.
#[derive(Clone, PartialEq, Debug)]
pub enum CoreLine {
    /// `%h = op[attrs] %a, %b : type`.
    Node {
        /// What is defined, `%h'` or `%12`.
        target: ValueRef,
        /// The operation's spelling.
        op: Ident,
        /// Its attributes.
        attrs: Attrs,
        /// From bracket to bracket, or just behind the operation.
        attrs_span: Span,
        /// Its operands.
        args: Vec<ValueRef>,
        /// The stated type.
        ty: (DType, Vec<usize>),
        /// Where the type stands.
        ty_span: Span,
        /// The whole line.
        span: Span,
    },
    /// `loss loss = %31`.
    Output {
        /// What it is for.
        kind: OutputKind,
        /// Its name, which may have dots.
        name: Ident,
        /// The value returned.
        value: ValueRef,
    },
    /// `site fc.0 = %12`.
    Site {
        /// Its name, which may have dots.
        name: Ident,
        /// The value at which the graph may be perturbed.
        value: ValueRef,
    },
    /// `local loss = %12`.
    LocalLoss {
        /// The loss.
        value: ValueRef,
    },
}

/// `%h'`: a value named in core form.
#[derive(Clone, PartialEq, Debug)]
pub struct ValueRef {
    /// Name and marks. A value known by its number has that number for a name.
    pub label: Label,
    /// Where it stands.
    pub span: Span,
}
