//! Pins the public API, that of release 0.4.1 and what was added: names, signatures, fields, variants, traits and defaults.
//!
//! The compiler checks most of this, since a change of type breaks the build. No behaviour is
//! tested here.

/// Pins functions and methods. The item must coerce to exactly this function pointer.
macro_rules! signatures {
    ($($signature:ty = $item:path;)+) => { $(let _: $signature = $item;)+ };
}

/// Pins async functions and methods. The future's output must be exactly this type.
macro_rules! async_signatures {
    ($(($($argument:ty),*) -> $output:ty = $item:path;)+) => {
        $({
            fn pinned(_: impl AsyncFn($($argument),*) -> $output) {}
            pinned($item);
        })+
    };
}

/// Pins the traits that types implement.
macro_rules! traits {
    ($($ty:ty: $first:path $(, $more:path)*;)+) => {
        $({
            fn implements<T: $first $(+ $more)*>() {}
            implements::<$ty>();
        })+
    };
}

mod data;
mod methods;
mod multi;
