//! Performance figures: decimals between 0 and 1, kept as whole percent.

/// Reads a plain decimal as percent, rounded down, without ever being a floating point number.
/// Figures above 1 count as 1. `None` if the text is no plain decimal.
pub(super) fn parse(text: &str) -> Option<u8> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.len() + fraction.len();
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if digits == 0 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if whole.bytes().any(|b| b != b'0') {
        return Some(100);
    }
    let mut digits = fraction.bytes().map(|b| b - b'0').chain([0, 0]);
    let tens = digits.next()?;
    let ones = digits.next()?;
    Some(10 * tens + ones)
}

/// Writes percent as a decimal; more than 100 counts as 100.
pub(super) fn format(percent: u8) -> String {
    match percent {
        100.. => "1".to_owned(),
        0 => "0".to_owned(),
        percent if percent % 10 == 0 => format!("0.{}", percent / 10),
        percent => format!("0.{percent:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_round_down_and_never_suffer_from_binary_fractions() {
        let cases = [
            ("0", 0),
            ("1", 100),
            ("1.0", 100),
            ("0.58", 58),
            ("0.29", 29),
            ("0.5", 50),
            ("0.05", 5),
            ("0.009", 0),
            ("0.4999999999", 49),
            ("0.999999999999999999", 99),
            ("3.7", 100),
            (".5", 50),
            ("00.50", 50),
        ];
        for (text, percent) in cases {
            assert_eq!(parse(text), Some(percent), "{text}");
        }
    }

    #[test]
    fn what_is_no_plain_decimal_is_none() {
        for text in ["", ".", "-0.5", "+1", "1e-1", "0,5", "0.5.5", "half", " 1", "0.-5"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_percentage_survives_its_text() {
        for percent in 0..=100 {
            assert_eq!(parse(&format(percent)), Some(percent));
        }
    }
}
