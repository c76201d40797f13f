//! Bytes and bytes a second as a person writes them: `10GiB`, `5MiB`. Called by `globals` and `commands`.

use std::num::NonZeroU64;

/// Fewest bytes a second: with less, servers give up on a request.
const RATE_MIN: u64 = 1024;

/// Bytes, with an optional unit: K, M, G, T of 1000 (`GB` too) or of 1024 (`GiB`).
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1_000),
        "m" | "mb" => Some(1_000_000),
        "g" | "gb" => Some(1_000_000_000),
        "t" | "tb" => Some(1_000_000_000_000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "tib" => Some(1_u64 << 40),
        _ => None,
    };
    let bytes = factor.and_then(|factor| number.checked_mul(factor));
    bytes.ok_or_else(|| "write a number and a unit such as MB or GiB".to_owned())
}

/// Bytes a second, at least [`RATE_MIN`]: a size, with or without `/s`.
pub fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    let bytes = parse_size(text.strip_suffix("/s").unwrap_or(text))?;
    NonZeroU64::new(bytes)
        .filter(|_| bytes >= RATE_MIN)
        .ok_or_else(|| format!("write at least {RATE_MIN} bytes a second, such as 500KiB; a bare number is bytes"))
}

/// A number and what stands behind it.
pub fn split(text: &str) -> Result<(u64, &str), String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Ok((number.parse().map_err(|_| "it begins with no number, or a very large one".to_owned())?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_rates_read_as_people_write_them() {
        assert_eq!(parse_size("10GiB"), Ok(10 << 30));
        assert_eq!(parse_size("5mb"), Ok(5_000_000));
        assert_eq!(parse_size("0"), Ok(0));
        for nonsense in ["", "GiB", "10 GiB", "1.5GB", "99999999999999999999", "9999999999TiB"] {
            assert!(parse_size(nonsense).is_err() && parse_rate(nonsense).is_err(), "{nonsense}");
        }
        assert_eq!(parse_rate("5MiB").map(NonZeroU64::get), Ok(5 << 20));
        assert_eq!(parse_rate("500kb/s").map(NonZeroU64::get), Ok(500_000));
        for slow in ["0", "500", "1023"] {
            assert!(parse_rate(slow).unwrap_err().contains("at least 1024"), "{slow}");
        }
    }
}
