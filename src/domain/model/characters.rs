//! Characters that people cannot see, or that move or split the text around them.

/// The characters of the Unicode categories Cc, Cf, Zl and Zp, those that renderers ignore by default, and the blank Braille
/// pattern; in order.
const HIDDEN: [(char, char); 28] = [
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Returns whether a character is invisible, or moves or splits the text around it.
pub fn is_hidden(c: char) -> bool {
    let index = HIDDEN.partition_point(|(_, last)| *last < c);
    HIDDEN.get(index).is_some_and(|(first, _)| *first <= c)
}

/// Returns a foreign text for a message: hidden characters are escaped, and a text of more than `chars_max` characters
/// loses its middle.
pub fn shown(text: &str, chars_max: usize) -> String {
    let escape = |c: char| if is_hidden(c) { c.escape_default().to_string() } else { c.to_string() };
    let len = text.chars().count();
    if len <= chars_max {
        return text.chars().map(escape).collect();
    }
    let (head, tail) = (chars_max - chars_max / 2, chars_max / 2);
    let head = text.chars().take(head).map(escape).collect::<String>();
    let tail = text.chars().skip(len - tail).map(escape).collect::<String>();
    format!("{head}…{tail}")
}

/// Returns whether a text holds a hidden character. A variation selector that chooses between the two forms of a symbol
/// is visible.
pub fn hides_something(text: &str) -> bool {
    if text.is_ascii() {
        return text.bytes().any(|byte| byte.is_ascii_control());
    }
    let before = std::iter::once('\0').chain(text.chars());
    before.zip(text.chars()).any(|(before, c)| is_hidden(c) && !is_choice_of_form(before, c))
}

const fn is_choice_of_form(symbol: char, c: char) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}')
        && matches!(symbol, '©' | '®' | '\u{203c}' | '\u{2049}' | '\u{2100}'..='\u{27bf}' | '\u{2900}'..='\u{2bff}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}
