//! A number for what a set of filters answers, the same in each build and on each machine.
//!
//! FNV-1a with 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>). It tells settings apart that an
//! operator chose; it withstands nobody who looks for collisions, and need not.

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The fingerprint of `parts`, where neither order nor borders are lost; never 0, which is "no filter".
pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = OFFSET;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    };
    for part in parts {
        add(&(part.len() as u64).to_le_bytes());
        add(part);
    }
    hash.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_fnv_1a() {
        // Of the published vectors: "foobar"; here behind its length.
        let mut bytes = 6_u64.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"foobar");
        let plain = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
        };
        assert_eq!(plain(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(of([&b"foobar"[..]]), plain(&bytes));
    }

    #[test]
    fn borders_and_order_count() {
        let all = [
            of([]),
            of([&b"ab"[..]]),
            of([&b"a"[..], b"b"]),
            of([&b"b"[..], b"a"]),
            of([&b"ab"[..], b""]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert_eq!(all.iter().filter(|other| *other == one).count(), 1, "{index}");
        }
    }
}
