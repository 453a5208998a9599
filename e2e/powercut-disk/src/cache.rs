//! The volatile write cache of a disk. Pure: memory only, time and chance are arguments.
//!
//! It loses whole blocks of 4 KiB and keeps their order free; it does not tear inside a block.
//!
//! Invariant: what was flushed is in every image; what was not is in it block by block, as the keeper says.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

/// The unit that survives or not, in bytes.
pub const BLOCK: usize = 4096;

/// A disk with a volatile cache.
#[derive(Debug)]
pub struct Disk {
    platter: Vec<u8>,
    unflushed: BTreeMap<usize, Vec<u8>>,
    flushes: u64,
    writes: u64,
}

/// What a power cut left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Blocks written since the last flush.
    pub unflushed: usize,
    /// Of these, blocks that reached the platter all the same.
    pub kept: usize,
    /// Flushes since the start.
    pub flushes: u64,
    /// Writes since the start.
    pub writes: u64,
}

/// How much of the cache reaches the platter at a cut, in percent of its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepPercent(u8);

impl KeepPercent {
    /// Nothing: the cache is lost.
    pub const NOTHING: Self = Self(0);

    /// `None` above 100.
    pub fn new(percent: u8) -> Option<Self> {
        (percent <= 100).then_some(Self(percent))
    }

    /// In percent.
    pub fn percent(self) -> u8 {
        self.0
    }

    /// Nothing, few, half or most blocks, each as likely.
    pub fn random(random: &mut fastrand::Rng) -> Self {
        Self(random.choice([0, 10, 50, 90]).unwrap_or(0))
    }
}

impl Disk {
    /// An empty disk of `size` bytes, rounded up to blocks.
    pub fn new(size: usize) -> Self {
        let platter = vec![0; size.next_multiple_of(BLOCK)];
        Self {
            platter,
            unflushed: BTreeMap::new(),
            flushes: 0,
            writes: 0,
        }
    }

    /// A disk that begins with `image`; at least as large as it.
    pub fn from_image(mut image: Vec<u8>, size: usize) -> Self {
        image.resize(image.len().max(size).next_multiple_of(BLOCK), 0);
        Self {
            platter: image,
            unflushed: BTreeMap::new(),
            flushes: 0,
            writes: 0,
        }
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        self.platter.len()
    }

    /// Blocks that a cut now may lose.
    pub fn unflushed(&self) -> usize {
        self.unflushed.len()
    }

    fn block(&self, number: usize) -> &[u8] {
        let on_platter = || {
            self.platter
                .get(number * BLOCK..(number + 1) * BLOCK)
                .unwrap_or_default()
        };
        self.unflushed.get(&number).map_or_else(on_platter, Vec::as_slice)
    }

    /// Up to `len` bytes at `offset`, fewer at the end of the disk.
    pub fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        let end = offset.saturating_add(len).min(self.size());
        let mut bytes = Vec::with_capacity(end.saturating_sub(offset));
        let mut at = offset;
        while at < end {
            let start = at % BLOCK;
            let piece = self
                .block(at / BLOCK)
                .get(start..BLOCK.min(start + end - at))
                .unwrap_or_default();
            bytes.extend_from_slice(piece);
            at += piece.len();
        }
        bytes
    }

    /// Writes to the cache. Returns the bytes taken: fewer at the end of the disk.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> usize {
        self.writes += 1;
        let end = offset.saturating_add(bytes.len()).min(self.size());
        let mut at = offset;
        while at < end {
            let (number, start) = (at / BLOCK, at % BLOCK);
            let len = (BLOCK - start).min(end - at);
            let mut block = self.block(number).to_vec();
            if let (Some(to), Some(from)) = (
                block.get_mut(start..start + len),
                bytes.get(at - offset..at - offset + len),
            ) {
                to.copy_from_slice(from);
            }
            self.unflushed.insert(number, block);
            at += len;
        }
        end.saturating_sub(offset)
    }

    /// Everything written so far is safe.
    pub fn flush(&mut self) {
        self.flushes += 1;
        for (number, block) in std::mem::take(&mut self.unflushed) {
            if let Some(place) = self.platter.get_mut(number * BLOCK..(number + 1) * BLOCK) {
                place.copy_from_slice(&block);
            }
        }
    }

    /// Writes to `image` what a power cut now would leave. The disk itself goes on.
    pub fn cut(
        &self,
        image: &mut (impl Write + Seek),
        keep: KeepPercent,
        random: &mut fastrand::Rng,
    ) -> io::Result<Cut> {
        let zeros = [0; BLOCK];
        let mut kept = 0;
        for (number, block) in self.platter.chunks(BLOCK).enumerate() {
            let survivor = self.unflushed.get(&number).filter(|_| random.u8(..100) < keep.0);
            kept += usize::from(survivor.is_some());
            let block = survivor.map_or(block, Vec::as_slice);
            if *block != zeros {
                image.seek(SeekFrom::Start((number * BLOCK) as u64))?;
                image.write_all(block)?;
            }
        }
        // Holes are cheap, but the image has the size of the disk.
        image.seek(SeekFrom::Start(self.size().saturating_sub(1) as u64))?;
        image.write_all(self.block_end())?;
        Ok(Cut {
            unflushed: self.unflushed.len(),
            kept,
            flushes: self.flushes,
            writes: self.writes,
        })
    }

    fn block_end(&self) -> &[u8] {
        self.platter.last_chunk::<1>().map_or(&[], |last| last)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn image(disk: &Disk, keep: KeepPercent) -> (Vec<u8>, Cut) {
        let mut image = Cursor::new(Vec::new());
        let cut = disk
            .cut(&mut image, keep, &mut fastrand::Rng::with_seed(1))
            .unwrap();
        (image.into_inner(), cut)
    }

    #[test]
    fn unflushed_writes_are_read_back_but_lost_by_a_cut() {
        let mut disk = Disk::new(3 * BLOCK);
        disk.write(BLOCK - 2, b"safe");
        disk.flush();
        disk.write(2 * BLOCK, b"lost");
        assert_eq!(disk.read(BLOCK - 2, 4), b"safe");
        assert_eq!(disk.read(2 * BLOCK, 4), b"lost");
        let (image, cut) = image(&disk, KeepPercent::NOTHING);
        assert_eq!(
            cut,
            Cut {
                unflushed: 1,
                kept: 0,
                flushes: 1,
                writes: 2
            }
        );
        assert_eq!(image.len(), 3 * BLOCK);
        assert_eq!(&image[BLOCK - 2..BLOCK + 2], b"safe");
        assert_eq!(&image[2 * BLOCK..2 * BLOCK + 4], [0; 4]);
    }

    #[test]
    fn a_part_of_the_cache_may_survive() {
        let mut disk = Disk::new(1000 * BLOCK);
        for number in 0..1000 {
            disk.write(number * BLOCK, b"x");
        }
        let (_, half) = image(&disk, KeepPercent::new(50).unwrap());
        assert!((400..600).contains(&half.kept), "{half:?}");
        let (all, cut) = image(&disk, KeepPercent::new(100).unwrap());
        assert_eq!(cut.kept, 1000);
        assert_eq!(Disk::from_image(all, 0).read(999 * BLOCK, 1), b"x");
        assert_eq!(KeepPercent::new(101), None);
    }

    proptest! {
        #[test]
        fn reads_show_what_was_written(
            writes in proptest::collection::vec((0usize..4 * BLOCK, 0usize..2 * BLOCK, any::<u8>(), any::<bool>()), 0..12),
        ) {
            let mut disk = Disk::new(4 * BLOCK);
            let mut model = vec![0; 4 * BLOCK];
            let mut safe = model.clone();
            for (offset, len, byte, flush) in writes {
                let taken = disk.write(offset, &vec![byte; len]);
                prop_assert_eq!(taken, len.min(model.len() - offset));
                model[offset..offset + taken].fill(byte);
                if flush {
                    disk.flush();
                    safe.clone_from(&model);
                }
            }
            prop_assert_eq!(disk.read(0, usize::MAX), model);
            prop_assert_eq!(image(&disk, KeepPercent::NOTHING).0, safe);
        }
    }
}
