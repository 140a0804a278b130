//! Tokens with the bytes that they stand at, and the comments between them.

use std::ops::Range;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tidy) enum Kind {
    Word,
    Sign,
    Literal,
    Open,
    Close,
}

/// One token.
#[derive(Clone, Debug)]
pub(in crate::tidy) struct Token {
    pub(in crate::tidy) kind: Kind,
    /// Its bytes in the file.
    pub(in crate::tidy) range: Range<usize>,
}

/// Tokens and the bytes of comments, in the order of the file. Comments of documentation are comments, not
/// attributes.
pub(super) fn lex(text: &str) -> Option<(Vec<Token>, Vec<Range<usize>>)> {
    // Locations are kept for the life of the thread otherwise.
    proc_macro2::extra::invalidate_current_thread_spans();
    let stream: TokenStream = text.parse().ok()?;
    let mut lexer = Lexer { text, tokens: Vec::new(), comments: Vec::new(), end: 0 };
    lexer.stream(stream);
    lexer.gap(text.len());
    Some((lexer.tokens, lexer.comments))
}

struct Lexer<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    comments: Vec<Range<usize>>,
    /// The byte behind the last token or comment.
    end: usize,
}

impl Lexer<'_> {
    fn stream(&mut self, stream: TokenStream) {
        let mut trees = stream.into_iter().peekable();
        while let Some(tree) = trees.next() {
            let range = tree.span().byte_range();
            // A documentation comment arrives as `#`, perhaps `!`, and `[doc = "…"]`, all with its range.
            if matches!(tree, TokenTree::Punct(_))
                && self.text[range.clone()].starts_with('/')
                && range.len() > 1
            {
                while trees.next_if(|next| next.span().byte_range() == range).is_some() {}
                self.gap(range.end);
                continue;
            }
            self.gap(range.start);
            self.tree(tree, range);
        }
    }

    fn tree(&mut self, tree: TokenTree, range: Range<usize>) {
        match tree {
            TokenTree::Ident(_) => self.push(Kind::Word, range),
            TokenTree::Punct(_) => self.push(Kind::Sign, range),
            TokenTree::Literal(_) => self.push(Kind::Literal, range),
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => self.stream(group.stream()),
            TokenTree::Group(group) => {
                self.push(Kind::Open, group.span_open().byte_range());
                self.stream(group.stream());
                let close = group.span_close().byte_range();
                self.gap(close.start);
                self.push(Kind::Close, close);
            }
        }
    }

    fn push(&mut self, kind: Kind, range: Range<usize>) {
        self.end = range.end;
        self.tokens.push(Token { kind, range });
    }

    /// Notes the comments between the last token and this byte: everything there that is no white space.
    fn gap(&mut self, to: usize) {
        let mut from = self.end;
        while let Some(text) = self.text.get(from..to) {
            from += text.len() - text.trim_start().len();
            let rest = self.text.get(from..to).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let length =
                if rest.starts_with("/*") { block(rest) } else { rest.find('\n').unwrap_or(rest.len()) };
            self.comments.push(from..from + length);
            from += length;
        }
        self.end = to;
    }
}

/// Bytes of the block comment that begins here; such comments nest.
fn block(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            let Some(character) = rest.chars().next() else { break };
            at += character.len_utf8();
        }
    }
    text.len()
}
