//! Pins the public API: names, signatures, fields, variants, traits and defaults.
//!
//! Most of this is checked by the compiler, so a change of type breaks the build. Behaviour is
//! tested elsewhere.

/// Pins functions and methods: the item coerces to exactly this function pointer.
macro_rules! signatures {
    ($($signature:ty = $item:path;)+) => { $(let _: $signature = $item;)+ };
}

/// Pins async functions and methods: the future's output is exactly the return type.
macro_rules! async_signatures {
    ($(($($argument:ty),*) -> $output:ty = $item:path;)+) => {
        $({
            fn pinned(_: impl AsyncFn($($argument),*) -> $output) {}
            pinned($item);
        })+
    };
}

/// Pins traits that types implement.
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
