//! The A-label of a name that is not ASCII: what a message proposes instead. Not a check of
//! internationalised names (RFC 5891), and never applied behind the user's back: a name that is
//! not ASCII is an error, and the proposal is there to be looked at.
//!
//! Written here because the crate for it brings two dozen others along, for one line of help; a
//! test compares the two.

/// The parameters of RFC 3492 section 5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// The name with each label that is not ASCII as its A-label; `None` where that needs more than
/// lower case (characters that combine, or a label too long for a DNS message).
pub(super) fn a_name(name: &str) -> Option<String> {
    // The dots of RFC 3490 section 3.1.
    let labels = name.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']);
    let labels: Option<Vec<String>> = labels.map(a_label).collect();
    Some(labels?.join("."))
}

fn a_label(label: &str) -> Option<String> {
    let label = label.to_lowercase();
    if label.is_ascii() {
        return Some(label);
    }
    // Combining marks and full-width letters have another normal form, which takes tables.
    let normal = label.chars().all(|c| {
        (c.is_alphanumeric() || c == '-')
            && !matches!(c, '\u{300}'..='\u{36f}' | '\u{1e9b}' | '\u{2100}'..='\u{214f}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}')
    });
    let encoded = format!("xn--{}", encode(&label)?);
    (normal && encoded.len() <= 63).then_some(encoded)
}

/// RFC 3492 section 6.3.
fn encode(label: &str) -> Option<String> {
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(out.len()).ok()?;
    let total = u32::try_from(label.chars().count()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0u32, INITIAL_BIAS, basic);
    while handled < total {
        let next = label.chars().map(u32::from).filter(|&c| c >= n).min()?;
        delta = next.checked_sub(n)?.checked_mul(handled.checked_add(1)?)?.checked_add(delta)?;
        n = next;
        for c in label.chars().map(u32::from) {
            if c < n {
                delta = delta.checked_add(1)?;
            }
            if c == n {
                push_variable_length(&mut out, delta, bias)?;
                bias = adapt(delta, handled.checked_add(1)?, handled == basic);
                delta = 0;
                handled = handled.checked_add(1)?;
            }
        }
        delta = delta.checked_add(1)?;
        n = n.checked_add(1)?;
    }
    Some(out)
}

fn push_variable_length(out: &mut String, mut q: u32, bias: u32) -> Option<()> {
    let mut k = BASE;
    loop {
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if q < threshold {
            out.push(char::from_digit(q, 36).map(digit)?);
            return Some(());
        }
        let rest = q.checked_sub(threshold)?;
        let span = BASE.checked_sub(threshold)?;
        out.push(char::from_digit(threshold.checked_add(rest % span)?, 36).map(digit)?);
        q = rest / span;
        k = k.checked_add(BASE)?;
    }
}

/// From base 36 as Rust has it (0-9, a-z) to the RFC's (a-z, 0-9).
fn digit(c: char) -> char {
    let value = c.to_digit(36).unwrap_or(0);
    char::from_digit((value + 10) % 36, 36).unwrap_or(c)
}

/// RFC 3492 section 6.1.
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta = delta.saturating_add(delta / points.max(1));
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 3492 section 7.1, those that are in lower case.
    #[test]
    fn samples_of_the_rfc() {
        for (label, expected) in [
            ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("pročprostěnemluvíčesky", "proprostnemluvesky-uyb24dma41a"),
            ("почемужеонинеговорятпорусски", "b1abfaaepdrnnbgefbadotcwatmq2g4l"),
            ("porquénopuedensimplementehablarenespañol", "porqunopuedensimplementehablarenespaol-fmd56a"),
        ] {
            assert_eq!(encode(label).as_deref(), Some(expected), "{label}");
        }
    }

    #[test]
    fn proposals() {
        assert_eq!(a_name("Bücher.Example").as_deref(), Some("xn--bcher-kva.example"));
        assert_eq!(a_name("пример。рф").as_deref(), Some("xn--e1afmkfd.xn--p1ai"));
        // u with a combining diaeresis: the normal form is another text.
        assert_eq!(a_name("bu\u{308}cher.example"), None);
        assert_eq!(a_name(&"ü".repeat(80)), None);
    }

    proptest! {
        #[test]
        fn agrees_with_the_idna_crate(label in "[a-zà-öø-ÿа-яα-ω一-龥]{1,12}") {
            // The crate also applies the mapping of UTS 46 and the rules of RFC 5893.
            if let (Some(ours), Ok(theirs)) = (a_name(&label), idna::domain_to_ascii(&label)) {
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
