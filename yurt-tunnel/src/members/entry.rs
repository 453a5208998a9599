//! What a key of the ConfigMap says: addresses, one a line (pure). Whoever may write the ConfigMap has written it.

/// More addresses than a server has.
const MOST: usize = 16;
/// A name of the DNS has at most 253 characters.
const LONGEST: usize = 253 + ":65535".len();

/// The value of these addresses.
pub fn text(addresses: &[String]) -> String {
    addresses
        .iter()
        .take(MOST)
        .flat_map(|address| [address, "\n"])
        .collect()
}

/// The addresses in a value, `HOST:PORT`; what is none is left out.
pub fn addresses(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| is_address(line));
    lines.take(MOST).map(str::to_owned).collect()
}

/// Whether this is `HOST:PORT`, with an IPv6 address in brackets.
pub fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_port = port.parse::<u16>().is_ok_and(|port| port != 0) && !port.starts_with('+');
    let six = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match six {
        Some(six) => six.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || c == b'.' || c == b'-')
        }
    };
    text.len() <= LONGEST && is_port && is_host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let some = ["a.example:443", "10.0.0.1:10262", "[fd00::1]:1"].map(str::to_owned);
        assert_eq!(text(&some), "a.example:443\n10.0.0.1:10262\n[fd00::1]:1\n");
        assert_eq!(addresses(&text(&some)), some);
        assert_eq!(text(&[]), "");
    }

    #[test]
    fn what_is_no_address_is_left_out() {
        let long = format!("{}:1", "a".repeat(300));
        for bad in [
            "",
            "a",
            ":1",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a b:1",
            "a/b:1",
            "fd00::1:1",
            "[a]:1",
            "[fd00::1]",
            "ä:1",
            &long,
        ] {
            assert_eq!(addresses(&format!("{bad}\nb:2\n")), ["b:2"], "{bad}");
        }
        assert_eq!(addresses(&"a:1\n".repeat(100)).len(), MOST);
    }
}
