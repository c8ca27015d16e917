//! Where a file can be broken, and how: one small change each, inside one function's body.

use proc_macro2::Span;
use std::collections::HashMap;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, Stmt, UnOp};

/// One change of one function.
pub struct Mutant {
    /// The function's name.
    pub function: String,
    /// What is replaced, in bytes of the file; within `body`.
    pub range: Range<usize>,
    /// By what.
    pub by: String,
    /// The function's body, without its braces.
    pub body: Range<usize>,
    /// The bounds of `-> impl Bounds`: then all bodies must be of one type.
    pub opaque: Option<String>,
}

/// A constant's name and its type, for those whose value can be changed where they are used.
pub type Constants = HashMap<String, String>;

/// Every mutant of a file.
pub fn find(text: &str, constants: &Constants) -> syn::Result<Vec<Mutant>> {
    let file = syn::parse_file(text)?;
    let mut finder = Finder {
        text,
        constants,
        function: None,
        found: Vec::new(),
    };
    finder.visit_file(&file);
    Ok(finder.found)
}

/// The constants of a file.
pub fn constants(text: &str, into: &mut Constants) -> syn::Result<()> {
    for item in syn::parse_file(text)?.items {
        if let syn::Item::Const(one) = item {
            let of = one.ty.span().byte_range();
            into.insert(one.ident.to_string(), text[of].to_owned());
        }
    }
    Ok(())
}

struct Function {
    name: String,
    body: Range<usize>,
    opaque: Option<String>,
}

struct Finder<'t> {
    text: &'t str,
    constants: &'t Constants,
    function: Option<Function>,
    found: Vec<Mutant>,
}

impl Finder<'_> {
    fn text(&self, span: Span) -> &str {
        &self.text[span.byte_range()]
    }

    fn change(&mut self, range: Range<usize>, by: &str) {
        if let Some(function) = &self.function {
            self.found.push(Mutant {
                function: function.name.clone(),
                range,
                by: by.to_owned(),
                body: function.body.clone(),
                opaque: function.opaque.clone(),
            });
        }
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        // What stands in a function of a function belongs to the outer one.
        if self.function.is_some() {
            return visit::visit_block(self, block);
        }
        let open = block.brace_token.span.open().byte_range();
        let close = block.brace_token.span.close().byte_range();
        let body = open.end..close.start;
        let (whole, opaque) = match &signature.output {
            syn::ReturnType::Default => (vec![""], None),
            syn::ReturnType::Type(_, of) => self.answers(of),
        };
        self.function = Some(Function {
            name: signature.ident.to_string(),
            body: body.clone(),
            opaque,
        });
        for by in whole {
            self.change(body.clone(), by);
        }
        visit::visit_block(self, block);
        self.function = None;
    }

    /// What a function of this type may answer instead, whatever it is asked; and the bounds of an
    /// opaque type.
    fn answers(&self, of: &syn::Type) -> (Vec<&'static str>, Option<String>) {
        if let syn::Type::ImplTrait(opaque) = of {
            let bounds = opaque
                .bounds
                .iter()
                .filter(|bound| !matches!(bound, syn::TypeParamBound::PreciseCapture(_)))
                .map(|bound| self.text(bound.span()))
                .collect::<Vec<_>>();
            return (vec![], Some(bounds.join(" + ")));
        }
        let text = self.text(of.span());
        let whole = match text {
            "bool" => vec!["true", "false"],
            "f64" => vec!["0.0", "1.0"],
            _ if text.starts_with("Option<") => vec!["None"],
            _ => vec!["Default::default()"],
        };
        (whole, None)
    }

    fn condition(&mut self, condition: &Expr) {
        if !has_let(condition) {
            let range = condition.span().byte_range();
            self.change(range.clone(), "true");
            self.change(range, "false");
        }
    }
}

fn has_let(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(both) => has_let(&both.left) || has_let(&both.right),
        _ => false,
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

/// Other operators in the place of one. A boundary is moved, and a comparison turned around.
fn others(op: &BinOp) -> &'static [&'static str] {
    match op {
        BinOp::Add(_) => &["-"],
        BinOp::Sub(_) => &["+"],
        BinOp::Mul(_) | BinOp::Rem(_) => &["/"],
        BinOp::Div(_) => &["*"],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::Lt(_) => &["<=", ">="],
        BinOp::Le(_) => &["<", ">"],
        BinOp::Gt(_) => &[">=", "<="],
        BinOp::Ge(_) => &[">", "<"],
        BinOp::BitAnd(_) => &["|"],
        BinOp::BitOr(_) => &["&"],
        BinOp::AddAssign(_) => &["-=", "="],
        BinOp::SubAssign(_) => &["+=", "="],
        BinOp::MulAssign(_) => &["/=", "="],
        BinOp::DivAssign(_) => &["*=", "="],
        BinOp::BitAndAssign(_) => &["|=", "="],
        BinOp::BitOrAssign(_) => &["&=", "="],
        _ => &[],
    }
}

/// The method that is most easily taken for this one.
fn other_method(name: &str) -> Option<&'static str> {
    Some(match name {
        "min" => "max",
        "max" => "min",
        "any" => "all",
        "all" => "any",
        "is_some" => "is_none",
        "is_none" => "is_some",
        "is_ok" => "is_err",
        "is_err" => "is_ok",
        "is_some_and" => "is_none_or",
        "is_none_or" => "is_some_and",
        _ => return None,
    })
}

/// Methods that give back what they are called on, or something of its type.
const LEFT_OUT: [&str; 13] = [
    "min",
    "max",
    "clamp",
    "filter",
    "take",
    "skip",
    "rev",
    "ceil",
    "round",
    "sqrt",
    "or",
    "scaled",
    "take_while",
];

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_expr_binary(&mut self, both: &'ast syn::ExprBinary) {
        for by in others(&both.op) {
            self.change(both.op.span().byte_range(), by);
        }
        visit::visit_expr_binary(self, both);
    }

    fn visit_expr_unary(&mut self, one: &'ast syn::ExprUnary) {
        if matches!(one.op, UnOp::Not(_) | UnOp::Neg(_)) {
            self.change(one.op.span().byte_range(), "");
        }
        visit::visit_expr_unary(self, one);
    }

    fn visit_expr_if(&mut self, choice: &'ast syn::ExprIf) {
        self.condition(&choice.cond);
        visit::visit_expr_if(self, choice);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.change(arm.span().byte_range(), "");
        if let Some((_, guard)) = &arm.guard {
            self.condition(guard);
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let name = call.method.to_string();
        if let Some(other) = other_method(&name) {
            self.change(call.method.span().byte_range(), other);
        }
        if LEFT_OUT.contains(&name.as_str()) {
            let range = call.dot_token.span().byte_range().start..call.span().byte_range().end;
            self.change(range, "");
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Expr(_, Some(_)) = statement {
            self.change(statement.span().byte_range(), "");
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_expr_macro(&mut self, call: &'ast syn::ExprMacro) {
        if call.mac.path.is_ident("matches") {
            let at = call.span().byte_range().start;
            self.change(at..at, "!");
        }
    }

    fn visit_expr_lit(&mut self, literal: &'ast syn::ExprLit) {
        let range = literal.span().byte_range();
        match &literal.lit {
            syn::Lit::Bool(value) => {
                self.change(range, if value.value { "false" } else { "true" });
            }
            syn::Lit::Int(value) => {
                if let Ok(value) = value.base10_parse::<u128>() {
                    self.change(range, &(value + 1).to_string());
                }
            }
            syn::Lit::Float(value) => match value.base10_parse::<f64>() {
                Ok(0.0) => self.change(range, "1.0"),
                Ok(value) => {
                    self.change(range.clone(), &format!("{:?}", value * 2.0));
                    self.change(range, &format!("{:?}", value / 2.0));
                }
                Err(_) => {}
            },
            _ => {}
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let name = path.path.segments.last().map(|last| last.ident.to_string());
        let Some(of) = name.and_then(|name| self.constants.get(&name)) else {
            return;
        };
        let range = path.span().byte_range();
        let text = self.text[range.clone()].to_owned();
        let changes: &[&str] = match of.as_str() {
            "f64" => &[" * 2.0)", " / 2.0)"],
            "u64" | "u32" | "usize" => &[" + 1)"],
            "Span" => &[".scaled(2.0))", ".scaled(0.5))"],
            _ => &[],
        };
        for change in changes {
            self.change(range.clone(), &format!("({text}{change}"));
        }
    }
}
