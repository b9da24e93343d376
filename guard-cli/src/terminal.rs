//! Colour, where a person looks on: on a terminal, unless NO_COLOR (no-color.org) says otherwise.

use owo_colors::{OwoColorize, Stream, Style};

/// What a word says, and thereby its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Doubtful,
    Bad,
    Quiet,
    Strong,
}

impl Tone {
    fn style(self) -> Style {
        let style = Style::new();
        match self {
            Tone::Good => style.green(),
            Tone::Doubtful => style.yellow(),
            Tone::Bad => style.red(),
            Tone::Quiet => style.dimmed(),
            Tone::Strong => style.bold(),
        }
    }
}

/// The text for stdout, coloured if that is a terminal which takes it.
pub(crate) fn paint(text: &str, tone: Tone) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.style(tone.style())).to_string()
}

/// Text from elsewhere (a path, a symbol) as it may stand on a terminal: what steers is escaped.
pub(crate) fn visible(text: &str) -> String {
    fnguard::report::text::visible(text.as_bytes())
}
