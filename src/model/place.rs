//! Where a grant lies: region, shard, table, owner, key. The address is written into every token of the grant, so any
//! later request goes straight there and nothing is ever rehashed.

use crate::{
    host::{Seconds, Timestamp},
    json::Json,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A region of the platform that objects can be hinted into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Json)]
#[serde(transparent)]
pub struct Region(u8);

/// Location hints. Positions are in tokens: append, never reorder.
const HINTS: &[&str] = &["weur", "eeur", "wnam", "enam", "sam", "apac", "oc", "afr", "me"];

impl Region {
    /// The region of someone at a continent and longitude, as the platform tells them.
    #[rustfmt::skip]
    pub fn of(continent: &str, longitude: f64) -> Self {
        let hint = match continent {
            "EU" if longitude > 20.0   => "eeur",
            "NA" if longitude < -100.0 => "wnam",
            "NA"                       => "enam",
            "SA"                       => "sam",
            "AS" if longitude < 60.0   => "me",
            "AS"                       => "apac",
            "OC" | "AN"                => "oc",
            "AF"                       => "afr",
            _                          => "weur",
        };
        Self::parse(hint).unwrap_or_default()
    }

    fn parse(hint: &str) -> Option<Self> {
        HINTS.iter().position(|known| *known == hint).and_then(|at| u8::try_from(at).ok()).map(Self)
    }

    /// The platform's location hint.
    pub fn hint(self) -> &'static str {
        HINTS.get(usize::from(self.0)).copied().unwrap_or("weur")
    }
}

/// One `GrantShard`: `weur-3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Json)]
pub struct Shard {
    /// Where it lives.
    pub region: Region,
    /// Which one of the region.
    pub number: u16,
}

impl Shard {
    /// Draws a shard of a region that has `count` of them.
    pub fn draw(region: Region, count: u16, dice: [u8; 2]) -> Self {
        Self { region, number: u16::from_be_bytes(dice) % count.max(1) }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        let (hint, number) = name.split_once('-')?;
        let shard = Self { region: Region::parse(hint)?, number: number.parse().ok()? };
        (shard.to_string() == name).then_some(shard)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.region.hint(), self.number)
    }
}

/// A table of rows that may all be forgotten at the same instant: it is dropped, not emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Json)]
pub enum Table {
    /// Rows whose end comes within two days: one table an hour.
    Short(u32),
    /// Rows whose end comes later: one table a day.
    Long(u32),
    /// Rows without an end; swept by scan.
    Never,
}

const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

impl Table {
    /// The table for rows that may be forgotten at `end` (`None`: never).
    pub fn for_end(end: Option<Timestamp>, now: Timestamp) -> Self {
        let Some(end) = end else { return Self::Never };
        let bucket = |width: u64| u32::try_from(end.seconds() / width + 1).unwrap_or(u32::MAX);
        if end.since(now) <= Seconds(2 * DAY) { Self::Short(bucket(HOUR)) } else { Self::Long(bucket(DAY)) }
    }

    /// The daily table for rows that may be forgotten at `end`, whatever the time is now: a reader who knows the end
    /// finds the table.
    pub fn daily(end: Timestamp) -> Self {
        if end == Timestamp::NEVER {
            return Self::Never;
        }
        Self::Long(u32::try_from(end.seconds() / DAY + 1).unwrap_or(u32::MAX))
    }

    /// When it is dropped.
    pub fn end(self) -> Option<Timestamp> {
        match self {
            Self::Short(bucket) => Some(Timestamp(u64::from(bucket) * HOUR * 1000)),
            Self::Long(bucket) => Some(Timestamp(u64::from(bucket) * DAY * 1000)),
            Self::Never => None,
        }
    }

    /// Its name in the database, for rows of one sort (`grants`, `revoked`, `sessions`).
    pub fn name(self, sort: &str) -> String {
        match self {
            Self::Short(bucket) => format!("{sort}_short_{bucket}"),
            Self::Long(bucket) => format!("{sort}_long_{bucket}"),
            Self::Never => format!("{sort}_never"),
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<(&str, Self)> {
        let (rest, last) = name.rsplit_once('_')?;
        if last == "never" {
            return Some((rest, Self::Never));
        }
        let bucket = last.parse().ok()?;
        let (sort, class) = rest.rsplit_once('_')?;
        match class {
            "short" => Some((sort, Self::Short(bucket))),
            "long" => Some((sort, Self::Long(bucket))),
            _ => None,
        }
    }
}

/// Where one grant lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Json)]
pub struct Address {
    /// The object.
    pub shard: Shard,
    /// The table.
    pub table: Table,
    /// The subject, or the client that acts for itself.
    pub owner: String,
    /// The grant, at random.
    pub key: String,
}

impl Address {
    /// Reads what [`Address`] displays.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '.');
        let shard = Shard::parse(parts.next()?)?;
        let (sort, table) = Table::parse(parts.next()?)?;
        let (key, owner) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        (sort == "grants").then_some(Self { shard, table, owner, key })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.shard, self.table.name("grants"), self.key, self.owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_ends_after_every_row_in_it() {
        let now = Timestamp(1_800_000_000_000);
        for seconds in [0, 1, 3599, 3600, 172_800, 172_801, 90 * DAY] {
            let end = now.plus(Seconds(seconds));
            let table = Table::for_end(Some(end), now);
            assert!(table.end().unwrap() > end, "{table:?}");
            assert_eq!(Table::parse(&table.name("grants")), Some(("grants", table)));
        }
        assert_eq!(Table::for_end(None, now), Table::Never);
    }

    #[test]
    fn an_address_is_read_as_it_is_written() {
        let shard = Shard::draw(Region::of("EU", 2.0), 8, [0, 11]);
        assert_eq!(shard.to_string(), "weur-3");
        let address = Address { shard, table: Table::Long(7), owner: "a.b".into(), key: "k".into() };
        assert_eq!(Address::parse(&address.to_string()), Some(address));
        for text in
            ["", "weur-3", "weur-03.grants_never.k.o", "mars-3.grants_never.k.o", "weur-3.x_never.k.o"]
        {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn regions_follow_continent_and_longitude() {
        let hints = [
            ("EU", 2.0),
            ("EU", 30.0),
            ("NA", -120.0),
            ("NA", -70.0),
            ("AS", 50.0),
            ("AS", 100.0),
            ("", 0.0),
        ];
        let hints = hints.map(|(continent, longitude)| Region::of(continent, longitude).hint());
        assert_eq!(hints, ["weur", "eeur", "wnam", "enam", "me", "apac", "weur"]);
    }
}
