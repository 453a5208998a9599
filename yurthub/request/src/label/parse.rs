//! The grammar of label selectors (the `Parser` of `k8s.io/apimachinery/pkg/labels/selector.go`).
//!
//! Errors have the apiserver's wording. It does not sort the requirements.
//! Invariant: keys and values of what is returned are well-formed labels.

use super::lex::{Lexer, Token};
use super::{LabelSelectorError, Operator, Requirement};
use crate::validation::{label_key, label_value, quoted};

type Result<T> = std::result::Result<T, LabelSelectorError>;

/// Parses a whole selector; the order is that of the text.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>> {
    let mut lexer = Lexer::new(text);
    let mut requirements = Vec::new();
    loop {
        match lexer.peek() {
            Token::End => return Ok(requirements),
            token if token != Token::Not && token.identifier().is_none() => {
                return Err(unexpected(token, ", expected: !, identifier, or 'end of string'"));
            }
            _ => {}
        }
        let requirement = requirement(&mut lexer)
            .map_err(|error| LabelSelectorError(format!("unable to parse requirement: {error}")))?;
        requirements.push(requirement);
        match lexer.take() {
            Token::End => return Ok(requirements),
            Token::Comma => {
                let next = lexer.peek();
                if next != Token::Not && next.identifier().is_none() {
                    return Err(unexpected(next, ", expected: identifier after ','"));
                }
            }
            token => return Err(unexpected(token, ", expected: ',' or 'end of string'")),
        }
    }
}

fn requirement(lexer: &mut Lexer<'_>) -> Result<Requirement> {
    let mut token = lexer.take();
    let negated = token == Token::Not;
    if negated {
        token = lexer.take();
    }
    let Some(key) = token.identifier() else {
        return Err(unexpected(token, ", expected: identifier"));
    };
    let errors = label_key(key);
    if !errors.is_empty() {
        // The parser has no field to name; Go prints its nil path like this.
        return Err(LabelSelectorError(invalid("<nil>", key, &errors.join("; "))));
    }
    let operator = if negated {
        Operator::DoesNotExist
    } else if matches!(lexer.peek(), Token::End | Token::Comma) {
        Operator::Exists
    } else {
        binary(lexer, key)?
    };
    Ok(Requirement {
        key: key.to_owned(),
        operator,
    })
}

fn binary(lexer: &mut Lexer<'_>, key: &str) -> Result<Operator> {
    let token = lexer.take();
    match token {
        Token::In | Token::NotIn => {
            let mut values = value_set(lexer)?;
            values.sort_unstable();
            values.dedup();
            check(key, &values, &[])?;
            let values = values.into_iter().map(str::to_owned).collect();
            Ok(if token == Token::In {
                Operator::In(values)
            } else {
                Operator::NotIn(values)
            })
        }
        Token::Greater | Token::Less => {
            let value = exact_value(lexer)?;
            let number = value.parse::<i64>().ok();
            let no_integer = invalid(
                "values[0]",
                value,
                "for 'Gt', 'Lt' operators, the value must be an integer",
            );
            check(
                key,
                &[value],
                if number.is_none() {
                    std::slice::from_ref(&no_integer)
                } else {
                    &[]
                },
            )?;
            let number = number.ok_or(LabelSelectorError(no_integer))?;
            let text = value.to_owned();
            Ok(if token == Token::Greater {
                Operator::GreaterThan(number, text)
            } else {
                Operator::LessThan(number, text)
            })
        }
        Token::Equals | Token::DoubleEquals | Token::NotEquals => {
            let value = exact_value(lexer)?;
            check(key, &[value], &[])?;
            let value = value.to_owned();
            Ok(match token {
                Token::Equals => Operator::Equals(value),
                Token::DoubleEquals => Operator::DoubleEquals(value),
                _ => Operator::NotEquals(value),
            })
        }
        other => Err(unexpected(other, ", expected: in, notin, =, ==, !=, gt, lt")),
    }
}

fn exact_value<'a>(lexer: &mut Lexer<'a>) -> Result<&'a str> {
    if matches!(lexer.peek(), Token::End | Token::Comma) {
        return Ok("");
    }
    let token = lexer.take();
    token
        .identifier()
        .ok_or_else(|| unexpected(token, ", expected: identifier"))
}

/// `(a,b)`, with Go's tolerance for empty items.
fn value_set<'a>(lexer: &mut Lexer<'a>) -> Result<Vec<&'a str>> {
    let open = lexer.take();
    if open != Token::Open {
        return Err(unexpected(open, " expected: '('"));
    }
    let mut values = Vec::new();
    let first = lexer.peek();
    if first == Token::Close {
        values.push("");
    } else if first == Token::Comma || first.identifier().is_some() {
        value_list(lexer, &mut values)?;
    } else {
        return Err(unexpected(first, ", expected: ',', ')' or identifier"));
    }
    lexer.take(); // the closing parenthesis, seen by whichever branch was taken
    Ok(values)
}

fn value_list<'a>(lexer: &mut Lexer<'a>, values: &mut Vec<&'a str>) -> Result<()> {
    loop {
        let token = lexer.take();
        if let Some(value) = token.identifier() {
            values.push(value);
            match lexer.peek() {
                Token::Comma => {}
                Token::Close => return Ok(()),
                other => return Err(unexpected(other, ", expected: ',' or ')'")),
            }
        } else if token == Token::Comma {
            if values.is_empty() {
                values.push("");
            }
            match lexer.peek() {
                Token::Close => {
                    values.push("");
                    return Ok(());
                }
                Token::Comma => {
                    lexer.take();
                    values.push("");
                }
                _ => {}
            }
        } else {
            return Err(unexpected(token, ", expected: ',', or identifier"));
        }
    }
}

/// Checks the values; `first` are errors that the operator itself has found.
fn check(key: &str, values: &[&str], first: &[String]) -> Result<()> {
    let mut errors = first.to_vec();
    for (index, value) in values.iter().enumerate() {
        let problems = label_value(value);
        if !problems.is_empty() {
            errors.push(invalid(
                &format!("values[{index}][{key}]"),
                value,
                &problems.join("; "),
            ));
        }
    }
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(LabelSelectorError(one.clone())),
        many => Err(LabelSelectorError(format!("[{}]", many.join(", ")))),
    }
}

fn invalid(field: &str, value: &str, detail: &str) -> String {
    format!("{field}: Invalid value: {}: {detail}", quoted(value))
}

fn unexpected(token: Token<'_>, expected: &str) -> LabelSelectorError {
    LabelSelectorError(format!("found '{}'{expected}", token.literal()))
}
