//! Numbers for mutations, which a seed repeats on every machine.

/// A small generator (xorshift64*, Vigna 2016).
pub struct Numbers(u64);

impl Numbers {
    /// The numbers of one input: equal for an equal seed and input, whichever thread makes it.
    pub fn of_input(seed: u64, input: u64) -> Self {
        // SplitMix64 (Steele, Lea and Flood 2014) separates the sequences of neighbouring inputs.
        let mut mixed =
            seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(input).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // A state of 0 would give only zeros.
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below the limit; 0 below 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    pub fn of<'l, T: ?Sized>(&mut self, list: &[&'l T]) -> &'l T {
        list[self.below(list.len())]
    }
}
