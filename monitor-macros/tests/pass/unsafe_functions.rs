//! The body of an attributed unsafe function may perform the same operations as that of the plain function.

use monitor_client::{cross_thread, normal_task};

#[normal_task]
unsafe fn read(from: *const u8) -> u8 {
    unsafe { *from }
}

#[normal_task]
async unsafe fn read_later(from: *const u8) -> u8 {
    unsafe { *from }
}

#[cross_thread]
async unsafe fn read_elsewhere(from: *const u8) -> u8 {
    unsafe { *from }
}

#[normal_task]
unsafe extern "C" fn foreign(from: *const u8) -> u8 {
    unsafe { *from }
}

#[normal_task]
#[unsafe(no_mangle)]
pub extern "C" fn monitor_test_exported(a: i32) -> i32 {
    a + 1
}

fn main() {
    let byte = 7;
    unsafe {
        assert_eq!(read(&raw const byte), 7);
        assert_eq!(foreign(&raw const byte), 7);
        drop(read_later(&raw const byte));
        drop(read_elsewhere(&raw const byte));
    }
    assert_eq!(monitor_test_exported(1), 2);
}
