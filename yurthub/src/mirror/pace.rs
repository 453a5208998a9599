//! How many objects one page of a list may have, so that it comes in a bounded time over the link as it was measured.
//! Pure.
//!
//! The apiserver ends a request after a minute, whatever it is at, and compresses what is above 128 KiB. So on a thin
//! link a page must be neither too large nor, where that saves more than it costs, too small.

use std::time::Duration;

/// The time that one page should take.
const PAGE_TIME: Duration = Duration::from_secs(12);
/// The time that a page may take where only its length makes it compressed.
const LONGEST_PAGE: Duration = Duration::from_secs(24);
/// The apiserver compresses what is longer (`defaultGzipThresholdBytes`), here with some room.
const COMPRESSED_FROM: u64 = 150 << 10;
/// What is believed of compression before it was seen.
const USUAL_COMPRESSION: u64 = 4;
/// Objects of the first page while the link is not known to be fast. So many Services or EndpointSlices, of some 390 bytes
/// each in protobuf, are compressed, and come quicker than fifty of them as they are.
const SAMPLE: u64 = 450;
/// Shorter answers say nothing of the link.
const LEAST_MEASURED: u64 = 4 << 10;
/// A link below that is thin: lists go one page at a time.
const THIN: u64 = 128 << 10;

/// What was learned of the link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pace {
    /// Bytes per second.
    rate: Option<u64>,
}

/// A page as it came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PageSize {
    pub(super) objects: u64,
    /// Bytes of the list.
    pub(super) plain: u64,
    /// Bytes that came for them.
    pub(super) carried: u64,
}

impl Pace {
    /// Takes in that `bytes` came in `time`, counted from the question: on a fast link that is mostly the round trip,
    /// so that larger pages make a better opinion.
    pub(super) fn measured(&mut self, bytes: u64, time: Duration) {
        if bytes < LEAST_MEASURED {
            return;
        }
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = bytes.saturating_mul(1000) / millis;
        self.rate = Some(self.rate.map_or(rate, |before| before.midpoint(rate)).max(1));
    }

    /// Whether the link is known to be thin.
    pub(super) fn is_thin(self) -> bool {
        self.rate.is_some_and(|rate| rate < THIN)
    }

    /// How many objects to ask for, at most `most`, where the page before was `last`.
    pub(super) fn objects(self, last: Option<PageSize>, most: u64) -> u64 {
        match (self.rate, last) {
            (Some(rate), _) if rate >= THIN => most,
            (Some(rate), Some(last)) if last.objects > 0 => fitting(rate, last).clamp(1, most),
            (None, Some(_)) => most, // so little came that there is nothing to learn from
            _ => SAMPLE.min(most),
        }
    }
}

fn fitting(rate: u64, last: PageSize) -> u64 {
    let plain = (last.plain / last.objects).max(1);
    let packed = if last.carried < last.plain {
        (last.carried / last.objects).max(1)
    } else {
        (plain / USUAL_COMPRESSION).max(1)
    };
    let in_time = |time: Duration, size: u64| rate.saturating_mul(time.as_secs()) / size;
    let enough_to_pack = COMPRESSED_FROM.div_ceil(plain);
    let objects = in_time(PAGE_TIME, packed);
    if objects >= enough_to_pack {
        objects
    } else if enough_to_pack <= in_time(LONGEST_PAGE, packed) {
        enough_to_pack
    } else {
        in_time(PAGE_TIME, plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 500;

    fn pace(rate: u64) -> Pace {
        Pace { rate: Some(rate) }
    }

    fn page(objects: u64, each: u64, packed: u64) -> PageSize {
        PageSize {
            objects,
            plain: objects * each,
            carried: objects * packed,
        }
    }

    #[test]
    fn a_link_that_is_not_known_gets_a_smaller_page_first() {
        assert_eq!(Pace::default().objects(None, MOST), SAMPLE);
        assert_eq!(Pace::default().objects(None, 5), 5);
        assert_eq!(pace(1 << 20).objects(None, MOST), MOST);
        assert_eq!(pace(6_000).objects(None, MOST), SAMPLE);
    }

    #[test]
    fn pages_fit_the_time_on_the_link_that_was_measured() {
        // 50 kbit/s, in bytes.
        let thin = pace(6_000);
        for (last, expected) in [
            // Small objects that will be compressed: all that there may be.
            (page(16, 600, 600), 480),
            (page(480, 600, 60), MOST),
            // 4 KiB each: 38 of them are compressed, and more fit.
            (page(16, 4096, 4096), 70),
            // Large and not compressible: as many as fit.
            (page(16, 50_000, 49_999), 1),
            (page(1, 1 << 20, 1 << 20), 1),
        ] {
            assert_eq!(thin.objects(Some(last), MOST), expected, "{last:?}");
        }
        assert_eq!(pace(1 << 20).objects(Some(page(16, 4096, 4096)), MOST), MOST);
    }

    #[test]
    fn a_page_that_would_just_miss_compression_is_made_larger() {
        // 37,500 bytes come in the longest time, which is what 150 KiB are compressed; 75 objects would stay as they are.
        assert_eq!(pace(1_600).objects(Some(page(16, 1024, 1024)), MOST), 150);
        // On an even thinner link that would take too long.
        assert_eq!(pace(1_000).objects(Some(page(16, 1024, 1024)), MOST), 11);
    }

    #[test]
    fn the_opinion_follows_what_is_seen() {
        let mut pace = Pace::default();
        pace.measured(100, Duration::from_secs(1));
        assert_eq!(pace, Pace::default(), "too little to say anything");
        pace.measured(12_000, Duration::from_secs(2));
        assert!(pace.is_thin());
        pace.measured(1 << 20, Duration::ZERO);
        assert!(!pace.is_thin());
        pace.measured(6_000, Duration::from_secs(1 << 40));
        assert_eq!(
            pace.objects(Some(page(16, 600, 600)), MOST),
            MOST,
            "half of what it was"
        );
    }
}
