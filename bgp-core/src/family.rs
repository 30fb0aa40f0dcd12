//! Address families (RFC 4760): the ones this engine carries routes for, as one parameter.
//!
//! Code that differs by family matches on [`Family`] in one place; no function exists twice.
//! AFI/SAFI pairs that we do not carry stay what they are on the wire ([`AfiSafi`]).

use std::fmt;

/// An AFI/SAFI pair as it stands on the wire, known or not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AfiSafi {
    /// Address Family Identifier: 1 is IPv4, 2 is IPv6.
    pub afi: u16,
    /// Subsequent Address Family Identifier: 1 is unicast.
    pub safi: u8,
}

impl AfiSafi {
    /// The family, when it is one that we carry.
    pub fn family(self) -> Option<Family> {
        Family::ALL
            .into_iter()
            .find(|family| family.afi_safi() == self)
    }
}

impl fmt::Debug for AfiSafi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.afi, self.safi)
    }
}

/// A family of routes that this engine carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4 unicast, AFI 1 SAFI 1.
    Ipv4Unicast,
    /// IPv6 unicast, AFI 2 SAFI 1.
    Ipv6Unicast,
}

impl Family {
    /// Every family, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Ipv4Unicast, Self::Ipv6Unicast];

    /// The numbers on the wire.
    pub fn afi_safi(self) -> AfiSafi {
        match self {
            Self::Ipv4Unicast => AfiSafi { afi: 1, safi: 1 },
            Self::Ipv6Unicast => AfiSafi { afi: 2, safi: 1 },
        }
    }

    /// The most bits a prefix of this family can have.
    pub fn max_prefix_len(self) -> u8 {
        match self {
            Self::Ipv4Unicast => 32,
            Self::Ipv6Unicast => 128,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Ipv4Unicast => 0,
            Self::Ipv6Unicast => 1,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4Unicast => "ipv4-unicast",
            Self::Ipv6Unicast => "ipv6-unicast",
        })
    }
}

/// A set of families.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FamilySet(u8);

impl FamilySet {
    /// No family.
    pub const EMPTY: Self = Self(0);

    /// Every family.
    pub const ALL: Self = Self((1 << Family::ALL.len()) - 1);

    /// Whether `family` is in the set.
    pub fn contains(self, family: Family) -> bool {
        self.0 & (1 << family.index()) != 0
    }

    /// Puts `family` into the set.
    pub fn insert(&mut self, family: Family) {
        self.0 |= 1 << family.index();
    }

    /// Takes `family` out of the set.
    pub fn remove(&mut self, family: Family) {
        self.0 &= !(1 << family.index());
    }

    /// The families in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no family is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The families, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL
            .into_iter()
            .filter(move |family| self.contains(*family))
    }
}

impl FromIterator<Family> for FamilySet {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        let mut set = Self::EMPTY;
        families.into_iter().for_each(|family| set.insert(family));
        set
    }
}

impl fmt::Debug for FamilySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// One `T` for each family.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FamilyMap<T>([T; 2]);

impl<T> FamilyMap<T> {
    /// A map whose values are made by `make`.
    pub fn new(make: impl FnMut(Family) -> T) -> Self {
        Self(Family::ALL.map(make))
    }

    /// Each family with its value.
    pub fn iter(&self) -> impl Iterator<Item = (Family, &T)> {
        Family::ALL.into_iter().zip(&self.0)
    }

    /// Each family with its value, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Family, &mut T)> {
        Family::ALL.into_iter().zip(&mut self.0)
    }
}

impl<T> std::ops::Index<Family> for FamilyMap<T> {
    type Output = T;

    fn index(&self, family: Family) -> &T {
        &self.0[family.index()]
    }
}

impl<T> std::ops::IndexMut<Family> for FamilyMap<T> {
    fn index_mut(&mut self, family: Family) -> &mut T {
        &mut self.0[family.index()]
    }
}
