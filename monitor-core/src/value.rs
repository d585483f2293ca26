//! What a field can be made from.

use crate::record::Value;

macro_rules! from {
    ($($from:ty => |$value:ident| $into:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $into
            }
        })*
    };
}

from! {
    bool => |value| Value::Bool(value);
    i8 => |value| Value::Signed(value.into());
    i16 => |value| Value::Signed(value.into());
    i32 => |value| Value::Signed(value.into());
    i64 => |value| Value::Signed(value);
    isize => |value| Value::Signed(value as i64);
    u8 => |value| Value::Signed(value.into());
    u16 => |value| Value::Signed(value.into());
    u32 => |value| Value::Signed(value.into());
    u64 => |value| i64::try_from(value).map_or(Value::Unsigned(value), Value::Signed);
    usize => |value| Value::from(value as u64);
    f32 => |value| Value::Float(value.into());
    f64 => |value| Value::Float(value);
    String => |value| Value::Text(value);
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_signed_as_long_as_it_fits() {
        assert_eq!(Value::from(7_u64), Value::Signed(7));
        assert_eq!(Value::from(u64::MAX), Value::Unsigned(u64::MAX));
        assert_eq!(Value::from(usize::MAX), Value::Unsigned(u64::MAX));
        assert_eq!(Value::from(-7_i8), Value::Signed(-7));
    }
}
