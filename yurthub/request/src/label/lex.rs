//! Tokens of a label selector (the `Lexer` of `k8s.io/apimachinery/pkg/labels/selector.go`).
//!
//! It gives no meaning to `in` and `notin`: whether they are operators depends on the place, which the parser knows.
//! Invariant: at the end of the text [`Token::End`] is returned for ever.

/// One token; `In` and `NotIn` are identifiers where a key or value is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    End,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Less,
    NotEquals,
    Open,
    In,
    NotIn,
    Identifier(&'a str),
}

impl<'a> Token<'a> {
    /// The text to show in an error.
    pub(super) fn literal(self) -> &'a str {
        match self {
            Self::End => "",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Not => "!",
            Self::DoubleEquals => "==",
            Self::Equals => "=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::NotEquals => "!=",
            Self::Open => "(",
            Self::In => "in",
            Self::NotIn => "notin",
            Self::Identifier(text) => text,
        }
    }

    /// The text if a key or value may stand here.
    pub(super) fn identifier(self) -> Option<&'a str> {
        matches!(self, Self::In | Self::NotIn | Self::Identifier(_)).then(|| self.literal())
    }
}

/// Splits the text into tokens, with one token of lookahead.
pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
    ahead: Option<Token<'a>>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            position: 0,
            ahead: None,
        }
    }

    /// The next token, left in place.
    pub(super) fn peek(&mut self) -> Token<'a> {
        let token = self.ahead.take().unwrap_or_else(|| self.scan());
        self.ahead = Some(token);
        token
    }

    /// The next token, taken.
    pub(super) fn take(&mut self) -> Token<'a> {
        self.ahead.take().unwrap_or_else(|| self.scan())
    }

    fn scan(&mut self) -> Token<'a> {
        let rest = &self.text[self.position..];
        let rest = &rest[rest
            .bytes()
            .position(|byte| !is_space(byte))
            .unwrap_or(rest.len())..];
        self.position = self.text.len() - rest.len();
        let (token, length) = match rest.as_bytes() {
            // Go's lexer takes a NUL for the end of the text.
            [] | [0, ..] => {
                self.position = self.text.len();
                return Token::End;
            }
            [b'=', b'=', ..] => (Token::DoubleEquals, 2),
            [b'!', b'=', ..] => (Token::NotEquals, 2),
            [b'=', ..] => (Token::Equals, 1),
            [b'!', ..] => (Token::Not, 1),
            [b'(', ..] => (Token::Open, 1),
            [b')', ..] => (Token::Close, 1),
            [b',', ..] => (Token::Comma, 1),
            [b'>', ..] => (Token::Greater, 1),
            [b'<', ..] => (Token::Less, 1),
            _ => return self.scan_word(rest),
        };
        self.position += length;
        token
    }

    fn scan_word(&mut self, rest: &'a str) -> Token<'a> {
        let ends =
            |byte| matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<' | b'\0') || is_space(byte);
        let length = rest.bytes().position(ends).unwrap_or(rest.len());
        let word = &rest[..length];
        // A NUL ends the word and is swallowed with it.
        self.position += length + usize::from(rest[length..].starts_with('\0'));
        match word {
            "in" => Token::In,
            "notin" => Token::NotIn,
            word => Token::Identifier(word),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
