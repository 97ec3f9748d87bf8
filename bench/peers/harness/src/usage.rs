//! What this process has used: processor time, and how often it has allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// A thread's number of allocations, on a cache line of its own: a counter that
/// all threads share would slow down what is measured.
#[repr(align(64))]
struct Slot(AtomicU64);

const SLOTS: usize = 256;
const NO_SLOT: usize = usize::MAX;

static COUNTS: [Slot; SLOTS] = [const { Slot(AtomicU64::new(0)) }; SLOTS];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(NO_SLOT) };
}

/// The system's allocator, which counts.
pub struct Counting;

fn count() {
    SLOT.with(|slot| {
        if slot.get() == NO_SLOT {
            slot.set(NEXT.fetch_add(1, Relaxed) % SLOTS);
        }
        let n = &COUNTS[slot.get()].0;
        n.store(n.load(Relaxed) + 1, Relaxed); // no other thread writes it
    })
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(p, layout, size) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        unsafe { System.dealloc(p, layout) }
    }
}

#[derive(Clone, Copy)]
pub struct Usage {
    pub cpu: Duration,
    pub mallocs: u64,
}

pub fn now() -> Usage {
    let mut ru: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut ru) };
    let of = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    Usage {
        cpu: of(ru.ru_utime) + of(ru.ru_stime),
        mallocs: COUNTS.iter().map(|s| s.0.load(Relaxed)).sum(),
    }
}
