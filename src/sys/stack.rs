//! The initial stack of the process: its environment as the kernel laid it out, before libc has
//! looked at it. Reading and overwriting it is `secrets`' business; this file only makes the raw
//! strings safe to hold.

use std::ffi::c_char;

/// The environment block of this process: an array of pointers, NULL last, into the pages that
/// /proc/self/environ serves.
#[derive(Debug)]
pub struct InitialEnvironment {
    array: *mut *mut c_char,
}

impl InitialEnvironment {
    /// Takes the array that the kernel passed.
    ///
    /// # Safety
    ///
    /// `array` must be the process's initial environment array or one like it: writable pointers
    /// to writable strings that end with NUL, the last pointer NULL; the process must have one
    /// thread, and nobody may hold a reference into the strings.
    pub unsafe fn new(array: *mut *mut c_char) -> Self {
        InitialEnvironment { array }
    }

    /// How many variables there are.
    pub fn count(&self) -> usize {
        let mut count = 0;
        // SAFETY: up to the NULL, which `new`'s caller vouches for.
        while unsafe { !(*self.array.add(count)).is_null() } {
            count += 1;
        }
        count
    }

    /// The bytes of a variable, `NAME=value`, without the NUL.
    pub fn get(&self, index: usize) -> &[u8] {
        if index >= self.count() {
            return &[];
        }
        // SAFETY: below the count, so a pointer to a string that ends with NUL.
        unsafe { std::ffi::CStr::from_ptr(*self.array.add(index)).to_bytes() }
    }

    /// Overwrites the bytes of a variable with zeros, in place: name, `=` and value. The kernel
    /// serves /proc/PID/environ from these very pages, so that removing the pointer alone would
    /// hide nothing (proc_pid_environ(5)).
    pub fn wipe(&mut self, index: usize) {
        if index >= self.count() {
            return;
        }
        // SAFETY: below the count; the string is writable, and nobody else refers to it.
        unsafe {
            let start = *self.array.add(index);
            let length = std::ffi::CStr::from_ptr(start).to_bytes().len();
            let bytes = std::slice::from_raw_parts_mut(start.cast::<u8>(), length);
            zeroize::Zeroize::zeroize(bytes);
        }
    }

    /// Overwrites the value of a variable with zeros and removes the variable from the array,
    /// the others moving up.
    pub fn remove(&mut self, index: usize) {
        let count = self.count();
        if index >= count {
            return;
        }
        self.wipe(index);
        // SAFETY: the array has `count` pointers and a NULL; the last copy moves the NULL.
        unsafe {
            for position in index..count {
                *self.array.add(position) = *self.array.add(position + 1);
            }
        }
    }

    /// Puts a variable at the end of the array, into a slot that [`InitialEnvironment::remove`]
    /// has made free. `text` must hold `NAME=value` and live as long as the process.
    ///
    /// `free` is how many slots have been made free so far; false when there is none.
    pub fn append(&mut self, text: &'static std::ffi::CStr, free: usize) -> bool {
        if free == 0 {
            return false;
        }
        let count = self.count();
        // SAFETY: at least one slot behind the NULL belongs to the array.
        unsafe {
            *self.array.add(count) = text.as_ptr().cast_mut();
            *self.array.add(count + 1) = std::ptr::null_mut();
        }
        true
    }
}
