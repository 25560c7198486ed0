//! Values as few bytes: what is sealed into a ticket. The form is postcard's (<https://postcard.jamesmunns.com/wire-format>):
//! one field after the other, numbers of seven bits a byte, lengths in front of texts, a number in front of a variant.

/// What can be packed. `#[derive(Packed)]` makes it of structs and enums.
pub trait Packed: Sized {
    /// Packs it behind others.
    fn pack(&self, bytes: &mut Vec<u8>);

    /// Takes it out. Where the bytes are none of this type the packet is broken, and what this gives means nothing.
    fn unpack(packet: &mut Packet<'_>) -> Self;
}

pub use edgemint_derive::Packed;

/// Packs a value.
pub fn pack(value: &impl Packed) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.pack(&mut bytes);
    bytes
}

/// Takes out a value that is the first, or all there is.
pub fn unpack<T: Packed>(bytes: &[u8]) -> Option<T> {
    let mut packet = Packet { rest: bytes, sound: true };
    let value = T::unpack(&mut packet);
    packet.sound.then_some(value)
}

/// Bytes of which values are taken, and whether all were there so far.
pub struct Packet<'a> {
    rest: &'a [u8],
    sound: bool,
}

impl<'a> Packet<'a> {
    /// So many bytes.
    fn take(&mut self, length: u64) -> &'a [u8] {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (taken, rest) = split.unwrap_or_else(|| {
            self.break_off();
            Default::default()
        });
        self.rest = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// A number of seven bits a byte, the lowest first.
    pub fn number(&mut self) -> u64 {
        let mut number = 0;
        for place in 0..10 {
            let byte = self.byte();
            number |= u64::from(byte & 0x7F) << (7 * place);
            if byte < 0x80 {
                return number;
            }
        }
        self.break_off();
        0
    }

    /// The bytes are not what they should be.
    pub fn break_off(&mut self) {
        self.sound = false;
        self.rest = &[];
    }
}

/// Packs a number.
pub fn pack_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Packs bytes behind their length.
pub fn pack_bytes(bytes: &mut Vec<u8>, own: &[u8]) {
    pack_number(bytes, own.len() as u64);
    bytes.extend_from_slice(own);
}

impl Packed for u8 {
    fn pack(&self, bytes: &mut Vec<u8>) {
        bytes.push(*self);
    }

    fn unpack(packet: &mut Packet<'_>) -> Self {
        packet.byte()
    }
}

macro_rules! number {
    ($($number:ty)*) => {$(
        impl Packed for $number {
            fn pack(&self, bytes: &mut Vec<u8>) {
                pack_number(bytes, u64::from(*self));
            }

            fn unpack(packet: &mut Packet<'_>) -> Self {
                packet.number().try_into().unwrap_or_else(|_| {
                    packet.break_off();
                    0
                })
            }
        }
    )*};
}

number! { u16 u32 u64 }

impl Packed for bool {
    fn pack(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }

    fn unpack(packet: &mut Packet<'_>) -> Self {
        let byte = packet.byte();
        if byte > 1 {
            packet.break_off();
        }
        byte == 1
    }
}

impl Packed for String {
    fn pack(&self, bytes: &mut Vec<u8>) {
        pack_bytes(bytes, self.as_bytes());
    }

    fn unpack(packet: &mut Packet<'_>) -> Self {
        Self::from_utf8(Packed::unpack(packet)).unwrap_or_else(|_| {
            packet.break_off();
            Self::new()
        })
    }
}

impl Packed for Vec<u8> {
    fn pack(&self, bytes: &mut Vec<u8>) {
        pack_bytes(bytes, self);
    }

    fn unpack(packet: &mut Packet<'_>) -> Self {
        let length = packet.number();
        packet.take(length).to_vec()
    }
}

impl<T: Packed> Packed for Option<T> {
    fn pack(&self, bytes: &mut Vec<u8>) {
        self.is_some().pack(bytes);
        if let Some(own) = self {
            own.pack(bytes);
        }
    }

    fn unpack(packet: &mut Packet<'_>) -> Self {
        bool::unpack(packet).then(|| T::unpack(packet))
    }
}

impl Packed for Vec<String> {
    fn pack(&self, bytes: &mut Vec<u8>) {
        pack_number(bytes, self.len() as u64);
        for own in self {
            own.pack(bytes);
        }
    }

    fn unpack(packet: &mut Packet<'_>) -> Self {
        let mut texts = Self::new();
        for _ in 0..packet.number() {
            // No more than are there, whatever length was said.
            if !packet.sound {
                break;
            }
            texts.push(String::unpack(packet));
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Packed)]
    struct Everything {
        truth: bool,
        small: u8,
        medium: u16,
        count: u32,
        large: u64,
        text: String,
        bytes: Bytes,
        maybe: Option<Shape>,
        list: Vec<String>,
        shape: Shape,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Packed)]
    struct Bytes(Vec<u8>);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Packed)]
    enum Shape {
        Unit,
        One(String),
        Named { x: u64, y: Option<bool> },
    }

    fn everything(number: u64, text: &str) -> Everything {
        Everything {
            truth: number.is_multiple_of(2),
            small: number.to_be_bytes()[0],
            medium: (number >> 16) as u16,
            count: number as u32,
            large: number,
            text: text.to_owned(),
            bytes: Bytes(number.to_be_bytes().to_vec()),
            maybe: number.is_multiple_of(3).then(|| Shape::One(text.to_owned())),
            list: vec![text.to_owned(); (number % 4) as usize],
            shape: if number.is_multiple_of(5) {
                Shape::Unit
            } else {
                Shape::Named { x: number, y: Some(true) }
            },
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_packed_is_what_postcard_would_pack(number: u64, shift in 0_u32..64, text: String) {
            let whole = everything(number >> shift, &text);
            let bytes = pack(&whole);
            assert_eq!(bytes, postcard::to_allocvec(&whole).unwrap());
            assert_eq!(unpack::<Everything>(&bytes), Some(whole));
            for end in 0..bytes.len() {
                assert_eq!(unpack::<Everything>(&bytes[..end]), None);
            }
        }

        #[test]
        fn any_bytes_are_what_they_are_to_postcard(bytes: Vec<u8>) {
            assert_eq!(unpack::<Everything>(&bytes), postcard::from_bytes(&bytes).ok());
        }
    }
}
