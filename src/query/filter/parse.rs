//! From text to a condition: `or` binds least, then `and`, then `not`.

use super::{Comparison, Condition, FilterError, Operand};

/// Parentheses and `not` nested deeper than this are no condition that a person wrote.
const DEEPEST: usize = 100;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Name(String),
    Text(String),
    Number(f64),
    Compare(Comparison),
    Open,
    Close,
}

pub(super) fn parse(text: &str) -> Result<Condition<String>, FilterError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens, next: 0, depth: 0 };
    let condition = parser.any()?;
    if parser.next < parser.tokens.len() {
        return Err(parser.due("expected `and`, `or` or the end"));
    }
    Ok(condition)
}

fn malformed(text: &str, problem: &'static str, offset: usize) -> FilterError {
    let at = text[..offset].chars().count() + 1;
    FilterError::Malformed { text: text.to_owned(), problem, at }
}

/// The words of `text`, each with the offset where it begins.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, FilterError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, token) = match first {
            _ if first.is_whitespace() => {
                at += first.len_utf8();
                continue;
            }
            '(' => (1, Token::Open),
            ')' => (1, Token::Close),
            '\'' | '"' | '`' => {
                let Some(end) = rest[1..].find(first) else {
                    return Err(malformed(text, "expected a closing quote", at));
                };
                let inner = rest[1..=end].to_owned();
                (end + 2, if first == '`' { Token::Name(inner) } else { Token::Text(inner) })
            }
            '<' | '>' | '=' | '!' => {
                let known = [
                    ("<=", Comparison::LessOrEqual),
                    (">=", Comparison::GreaterOrEqual),
                    ("==", Comparison::Equal),
                    ("!=", Comparison::NotEqual),
                    ("<>", Comparison::NotEqual),
                    ("<", Comparison::Less),
                    (">", Comparison::Greater),
                    ("=", Comparison::Equal),
                ];
                match known.into_iter().find(|(sign, _)| rest.starts_with(sign)) {
                    Some((sign, comparison)) => (sign.len(), Token::Compare(comparison)),
                    None => return Err(malformed(text, "expected a comparison such as `<` or `!=`", at)),
                }
            }
            '0'..='9' | '-' | '+' | '.' => {
                let exponent_sign = |offset: usize| matches!(rest.as_bytes()[offset - 1], b'e' | b'E');
                let length = rest
                    .char_indices()
                    .find(|(offset, letter)| {
                        let sign = matches!(letter, '-' | '+') && (*offset == 0 || exponent_sign(*offset));
                        !(letter.is_ascii_alphanumeric() || *letter == '.' || sign)
                    })
                    .map_or(rest.len(), |(offset, _)| offset);
                match rest[..length].parse::<f64>() {
                    Ok(number) if number.is_finite() => (length, Token::Number(number)),
                    _ => return Err(malformed(text, "expected a number", at)),
                }
            }
            _ if first.is_alphabetic() || first == '_' => {
                let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.');
                let length = rest.find(|letter: char| !plain(letter)).unwrap_or(rest.len());
                (length, Token::Word(rest[..length].to_owned()))
            }
            _ => return Err(malformed(text, "expected a column, a number or a text in quotes", at)),
        };
        tokens.push((at, token));
        at += length;
    }
    Ok(tokens)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn due(&self, problem: &'static str) -> FilterError {
        let offset = self.tokens.get(self.next).map_or(self.text.len(), |(offset, _)| *offset);
        malformed(self.text, problem, offset)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    /// Goes past the word `wanted`, when it comes next.
    fn word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.next += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<Condition<String>, FilterError> {
        let mut left = self.all()?;
        while self.word("or") {
            left = Condition::Or(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Condition<String>, FilterError> {
        let mut left = self.one()?;
        while self.word("and") {
            left = Condition::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Condition<String>, FilterError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.due("expected less nesting"));
        }
        let condition = if self.word("not") {
            Condition::Not(Box::new(self.one()?))
        } else if self.peek() == Some(&Token::Open) {
            self.next += 1;
            let inner = self.any()?;
            if self.peek() != Some(&Token::Close) {
                return Err(self.due("expected `)`"));
            }
            self.next += 1;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn comparison(&mut self) -> Result<Condition<String>, FilterError> {
        let left = self.operand()?;
        if let Operand::Column(name) = &left
            && self.word("is")
        {
            let not = self.word("not");
            if !self.word("null") {
                return Err(self.due("expected `null`"));
            }
            let condition = Condition::IsNull(name.clone());
            return Ok(if not { Condition::Not(Box::new(condition)) } else { condition });
        }
        let Some(Token::Compare(comparison)) = self.peek() else {
            return Err(self.due("expected a comparison such as `<` or `!=`"));
        };
        let comparison = *comparison;
        self.next += 1;
        Ok(Condition::Compare(left, comparison, self.operand()?))
    }

    fn operand(&mut self) -> Result<Operand<String>, FilterError> {
        let reserved = |word: &str| ["and", "or", "not", "is", "null"].contains(&word);
        let operand = match self.peek() {
            Some(Token::Word(word)) if !reserved(&word.to_ascii_lowercase()) => Operand::Column(word.clone()),
            Some(Token::Name(name)) => Operand::Column(name.clone()),
            Some(Token::Text(text)) => Operand::Text(text.clone()),
            Some(Token::Number(number)) => Operand::Number(*number),
            _ => return Err(self.due("expected a column, a number or a text in quotes")),
        };
        self.next += 1;
        Ok(operand)
    }
}
