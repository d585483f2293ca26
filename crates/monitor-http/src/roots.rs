//! Root certificates for systems without any, such as a container image with the program alone.

/// Returns the root certificates of Mozilla as DER, if the system has none. Empty without the feature `roots`, so that a monitored program
/// contains no certificates.
pub fn built_in_roots() -> impl Iterator<Item = &'static [u8]> {
    #[cfg(feature = "roots")]
    let roots = {
        use std::sync::LazyLock;

        static HAS_SYSTEM_ROOTS: LazyLock<bool> = LazyLock::new(|| !rustls_native_certs::load_native_certs().certs.is_empty());
        let roots = if *HAS_SYSTEM_ROOTS { &[] } else { webpki_root_certs::TLS_SERVER_ROOT_CERTS };
        roots.iter().map(|root| &**root)
    };
    #[cfg(not(feature = "roots"))]
    let roots = std::iter::empty();
    roots
}
