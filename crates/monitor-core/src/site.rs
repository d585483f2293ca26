//! The sites of a program: its attributed functions, and the callsites of its spans.
//!
//! Rings refer to a site by a number: its distance from the first attributed function, in sites. Callsites are created at run time in a
//! static table, so that their numbers are computed in the same way and differ from those of functions.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::inside;
use crate::record::Site;

/// All attributed functions that are linked into the program.
#[cfg(feature = "record")]
mod section {
    use crate::record::Site;

    crate::section::section!(Site, "monitor_sites", Site::new("", "", "", 0));
}

/// Returns all attributed functions that are linked into this program, called or not, in no particular order.
/// Empty without the feature `record`.
///
/// # Examples
///
/// ```
/// for site in monitor_core::registered() {
///     println!("{} {} at {}:{}", site.kind, site.name, site.file, site.line);
/// }
/// ```
pub fn registered() -> &'static [Site] {
    #[cfg(feature = "record")]
    {
        section::all()
    }
    #[cfg(not(feature = "record"))]
    {
        &[]
    }
}

/// Number of bits of a site's number.
const BITS: u32 = 31;
pub(crate) const NUMBERS: usize = (1 << BITS) - 1;

/// Maximum number of callsites with a number. Spans of further callsites are recorded with their definition each time.
pub(crate) const MOST: usize = 4096;
/// Bit that is set in the key of a callsite while its site is being created.
const IS_MADE: usize = 1;

static KEYS: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static INTERNED: [OnceLock<Site>; MOST] = [const { OnceLock::new() }; MOST];

/// Returns the address of the first attributed function.
pub(crate) fn first() -> usize {
    registered().as_ptr().addr()
}

/// Returns the number of a site, given the address of the first attributed function.
#[inline]
pub(crate) fn number(site: &'static Site, first: usize) -> usize {
    let sites = std::ptr::from_ref(site).addr().wrapping_sub(first) / size_of::<Site>();
    sites & NUMBERS
}

/// Returns the site with this number.
pub(crate) fn of(number: usize) -> Option<&'static Site> {
    registered().get(number).or_else(|| {
        // The table may be located before the functions. The number is then negative.
        let sites = (number << (usize::BITS - BITS)).cast_signed() >> (usize::BITS - BITS);
        let address = first().wrapping_add_signed(sites.wrapping_mul(size_of::<Site>().cast_signed()));
        let place = address.wrapping_sub(INTERNED.as_ptr().addr()) / size_of::<OnceLock<Site>>();
        INTERNED.get(place)?.get().filter(|site| std::ptr::from_ref(*site).addr() == address)
    })
}

/// Returns the site of a callsite. The first caller creates it by `make` and passes it to `tell` before any thread uses it.
/// `key` is the even address of a value that lives as long as the program. `None` if there are too many callsites, or while
/// the first caller creates the site.
pub(crate) fn intern(key: usize, make: impl FnOnce() -> Site, tell: impl FnOnce(u32, &'static Site)) -> Option<&'static Site> {
    // Addresses of statics are far apart and aligned.
    let first = (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> (usize::BITS - MOST.trailing_zeros());
    for at in (first..MOST).chain(0..first) {
        let mut found = KEYS[at].load(Ordering::Acquire);
        if found == 0 {
            match KEYS[at].compare_exchange(0, key | IS_MADE, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    let _inside = inside::enter();
                    let site = INTERNED[at].get_or_init(make);
                    tell(number(site, self::first()) as u32, site);
                    KEYS[at].store(key, Ordering::Release);
                    return Some(site);
                }
                Err(other) => found = other,
            }
        }
        if found & !IS_MADE == key {
            return INTERNED[at].get().filter(|_| found == key);
        }
    }
    None
}

/// Returns the index of a callsite, if the site is one.
pub(crate) fn callsite(site: &'static Site) -> Option<usize> {
    let place = std::ptr::from_ref(site).addr().wrapping_sub(INTERNED.as_ptr().addr()) / size_of::<OnceLock<Site>>();
    Some(place).filter(|place| *place < MOST)
}

/// Returns all callsites with their numbers.
pub fn interned() -> impl Iterator<Item = (u32, &'static Site)> {
    INTERNED.iter().filter_map(OnceLock::get).map(|site| (number(site, first()) as u32, site))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_registered_once_found_by_number_and_limited_in_count() {
        let mut told = Vec::new();
        for key in 1..=MOST {
            let mut made = || intern(key * 8, || Site::new("a", "span", "a.rs", key as u32), |number, _| told.push(number));
            let (site, again) = (made().expect("room"), made().expect("known"));
            assert!(std::ptr::eq(site, again));
            let number = told[told.len() - 1] as usize;
            assert_eq!((told.len(), site.line), (key, key as u32));
            assert!(of(number).is_some_and(|found| std::ptr::eq(found, site)) && number >= registered().len());
        }
        assert!(intern(8 * (MOST + 1), || Site::new("", "", "", 0), |_, _| ()).is_none());
        let mut all: Vec<u32> = interned().map(|(number, _)| number).collect();
        all.sort_unstable();
        told.sort_unstable();
        assert_eq!(all, told);
        all.dedup();
        assert_eq!(all.len(), MOST);
        // An entry of the table is larger than a site.
        assert!(all.iter().all(|number| of(*number as usize + 1).is_none() && of(*number as usize - 1).is_none()));
        assert!(of(NUMBERS).is_none() && of(registered().len()).is_none());
    }
}
