//! The border to the `tokenizers` crate, which panics over files that contradict themselves and over regular
//! expressions that backtrack without end.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// Most steps back of one search by a regular expression (Oniguruma, in C, which backtracks). A search of honest
/// patterns takes next to none. What stays within the limit at every place of a window is slow and no more.
const MOST_RETRIES: u32 = 1_000_000;

thread_local! {
    /// Whether this thread is inside the crate, so that its panics are ours to tell.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Calls into the crate; a panic there is an error with its message, and prints nothing.
pub(super) fn guarded<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    static SET_UP: Once = Once::new();
    SET_UP.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !INSIDE.get() {
                usual(panic);
            }
        }));
        #[expect(unsafe_code, reason = "the only way to Oniguruma's limit")]
        // SAFETY: the call stores a number for searches to come; nothing searches before it.
        unsafe {
            onig_sys::onig_set_retry_limit_in_search(MOST_RETRIES.into());
        }
    });
    INSIDE.set(true);
    let called = catch_unwind(AssertUnwindSafe(call));
    INSIDE.set(false);
    match called {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            Err(format!("the tokenizers library fails over it ({text})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let panicked: Result<(), String> = guarded(|| panic!("a lie at {}", 7));
        assert!(panicked.expect_err("a panic").contains("a lie at 7"));
        assert_eq!(guarded(|| Ok(5)), Ok(5));
        assert!(!INSIDE.get());
    }
}
