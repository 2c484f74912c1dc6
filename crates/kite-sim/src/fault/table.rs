//! Generates everything about a kind of fault from one table row.

/// Expands the rows of [`super::kinds`]; each is `Kind "name" Family ARGUMENT "Sentence." [pattern]
/// value, draw, read;`.
macro_rules! faults {
    ($($kind:ident $name:literal $family:ident $argument:expr, $description:literal
        [$pattern:pat $(if $guard:expr)?] $value:expr, $draw:expr, $read:expr;)*) => {
        /// The kind of a [`Fault`], without its values.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum FaultKind {
            $(#[doc = $description] $kind,)*
        }

        impl Fault {
            /// All kinds of faults, in a fixed order.
            pub const KINDS: &'static [FaultKind] = &[$(FaultKind::$kind,)*];

            /// Returns the kind.
            #[must_use]
            #[expect(unused_variables, reason = "patterns bind what the value needs")]
            pub fn kind(&self) -> FaultKind {
                match self { $($pattern $(if $guard)? => FaultKind::$kind,)* }
            }

            /// Returns the value that [`FaultKind::argument`] describes, as text; `None` if there
            /// is none.
            pub(super) fn value(&self) -> Option<String> {
                match self { $($pattern $(if $guard)? => $value,)* }
            }
        }

        impl FaultKind {
            /// Returns the name used in reports, which is stable across releases.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// Returns a one-sentence description.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$kind => $description,)* }
            }

            /// Returns what faults of this kind strike.
            #[must_use]
            pub const fn family(self) -> FaultFamily {
                match self { $(Self::$kind => FaultFamily::$family,)* }
            }

            /// Returns the description of the value that may follow this kind: `KIND:VALUE`.
            #[must_use]
            pub const fn argument(self) -> Option<FaultArgument> {
                match self { $(Self::$kind => $argument,)* }
            }

            pub(super) fn draw_by(self, random: &mut Random, longest_delay: Duration) -> Fault {
                match self {
                    $(Self::$kind => {
                        let draw: fn(&mut Random, Duration) -> Fault = $draw;
                        draw(random, longest_delay)
                    })*
                }
            }

            /// Creates a fault of this kind; `None` if the value does not fit.
            pub(super) fn read(self, value: Value<'_>) -> Option<Fault> {
                match self {
                    $(Self::$kind => {
                        let read: fn(Value<'_>) -> Option<Fault> = $read;
                        read(value)
                    })*
                }
            }
        }
    };
}
pub(super) use faults;
