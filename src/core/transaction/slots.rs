//! Numbered places for transactions. The lowest free one is used first, and a block that is empty is given back: the memory of a
//! peak does not stay.

/// Places of one block: as many as 16 words have bits.
const BLOCK: usize = 1024;

/// Places, in blocks.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    blocks: Vec<Block<T>>,
    /// No block before this one has room.
    first: usize,
    len: usize,
}

/// Some places.
#[derive(Debug)]
struct Block<T> {
    places: Vec<Option<T>>,
    /// A bit for each place in use.
    taken: [u64; BLOCK / 64],
}

impl<T> Block<T> {
    const fn empty() -> Self {
        Self { places: Vec::new(), taken: [0; BLOCK / 64] }
    }

    /// The first place that is free.
    fn vacancy(&self) -> Option<usize> {
        let at = self.taken.iter().position(|&word| word != u64::MAX)?;
        Some(at * 64 + self.taken.get(at)?.trailing_ones() as usize)
    }

    fn mark(&mut self, place: usize) {
        if let Some(word) = self.taken.get_mut(place / 64) {
            *word ^= 1 << (place % 64);
        }
    }

    fn is_empty(&self) -> bool {
        self.taken.iter().all(|&word| word == 0)
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), first: 0, len: 0 }
    }
}

impl<T> Slots<T> {
    /// How many are in use.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The place that the next one will have.
    pub(crate) fn vacancy(&self) -> usize {
        self.first * BLOCK + self.blocks.get(self.first).and_then(Block::vacancy).unwrap_or(0)
    }

    /// Takes one in. It gets the place that [`Slots::vacancy`] named.
    pub(crate) fn insert(&mut self, one: T) {
        let place = self.vacancy() % BLOCK;
        if self.first == self.blocks.len() {
            self.blocks.push(Block::empty());
        }
        let Some(block) = self.blocks.get_mut(self.first) else { return };
        match block.places.get_mut(place) {
            Some(free) => *free = Some(one),
            None => block.places.push(Some(one)),
        }
        block.mark(place);
        self.len += 1;
        if block.vacancy().is_none() {
            let rest = self.blocks.iter().skip(self.first);
            self.first += rest.take_while(|block| block.vacancy().is_none()).count();
        }
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, at: usize) -> Option<T> {
        let (number, place) = (at / BLOCK, at % BLOCK);
        let block = self.blocks.get_mut(number)?;
        let one = block.places.get_mut(place)?.take()?;
        block.mark(place);
        self.len -= 1;
        self.first = self.first.min(number);
        if block.is_empty() {
            *block = Block::empty();
            while self.blocks.last().is_some_and(Block::is_empty) {
                self.blocks.pop();
            }
            self.first = self.first.min(self.blocks.len());
        }
        Some(one)
    }

    /// What is in a place.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.blocks.get(at / BLOCK)?.places.get(at % BLOCK)?.as_ref()
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.blocks.get_mut(at / BLOCK)?.places.get_mut(at % BLOCK)?.as_mut()
    }

    /// All, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flat_map(|block| &block.places).flatten()
    }

    /// All with their places, in order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.blocks.iter_mut().enumerate().flat_map(|(number, block)| {
            let places = block.places.iter_mut().enumerate();
            places.filter_map(move |(place, one)| Some((number * BLOCK + place, one.as_mut()?)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_place_is_used_first_and_empty_blocks_are_given_back() {
        let mut slots = Slots::default();
        for at in 0..3 * BLOCK {
            assert_eq!(slots.vacancy(), at);
            slots.insert(at);
        }
        assert_eq!((slots.len(), slots.iter().count(), slots.blocks.len()), (3 * BLOCK, 3 * BLOCK, 3));
        for at in [2 * BLOCK, BLOCK + 7, 3] {
            assert_eq!((slots.remove(at), slots.remove(at), slots.vacancy()), (Some(at), None, at));
        }
        for at in [3, BLOCK + 7, 2 * BLOCK, 3 * BLOCK] {
            assert_eq!((slots.get(at), slots.vacancy()), (None, at));
            slots.insert(at);
        }
        assert!(slots.iter_mut().all(|(at, one)| at == *one));
        // What is left at the end of a peak holds its own block alone.
        for at in (0..=3 * BLOCK).filter(|&at| at != BLOCK) {
            assert_eq!(slots.remove(at), Some(at));
        }
        assert_eq!((slots.blocks.len(), slots.blocks[0].places.capacity(), slots.vacancy()), (2, 0, 0));
        assert_eq!((slots.remove(BLOCK), slots.blocks.len(), slots.vacancy()), (Some(BLOCK), 0, 0));
    }
}
