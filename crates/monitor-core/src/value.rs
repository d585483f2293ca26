//! Conversions to the value of a field.

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

/// An amount of progress: any number, or an `Option` of one. Negative and non-finite numbers count as unknown.
///
/// # Examples
///
/// ```
/// use monitor_client::Process;
///
/// let import = Process::builder("import").begin();
/// import.progress(3_u8, 10.0);
/// import.progress(4, None::<u64>);
/// import.progress(5, Some(10));
/// ```
pub trait Amount {
    /// Returns the number. `None` if it is unknown.
    #[doc(hidden)]
    fn amount(self) -> Option<f64>;
}

macro_rules! amounts {
    ($($number:ty)*) => {
        $(impl Amount for $number {
            #[allow(clippy::cast_lossless, reason = "not all of them are")]
            fn amount(self) -> Option<f64> {
                Some(self as f64).filter(|amount| amount.is_finite() && *amount >= 0.0)
            }
        })*
    };
}

amounts! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64 }

impl<A: Amount> Amount for Option<A> {
    fn amount(self) -> Option<f64> {
        self.and_then(Amount::amount)
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

    #[test]
    fn negative_infinite_and_nan_values_are_no_amounts() {
        assert_eq!((7_u8.amount(), Some(0.5).amount(), None::<u64>.amount()), (Some(7.0), Some(0.5), None));
        assert_eq!((f64::NAN.amount(), f32::INFINITY.amount(), (-1).amount()), (None, None, None));
    }
}
