//! Random numbers of the system.

/// Returns 32 hexadecimal digits from the system's random number generator.
///
/// # Panics
/// If the system has no random numbers, because no key would be secret.
pub(crate) fn random() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    format!("{:032x}", u128::from_ne_bytes(bytes))
}
