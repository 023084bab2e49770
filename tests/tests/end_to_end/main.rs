//! Both runtimes against a network on real sockets. Every scenario runs unchanged over each.

/// Makes each scenario a test on either runtime.
macro_rules! over_both_runtimes {
    ($($scenario:ident),* $(,)?) => {
        mod on_std {
            $(#[test] fn $scenario() { super::$scenario(&tests::Cast::STD); })*
        }
        mod on_smol {
            $(#[test] fn $scenario() { super::$scenario(&tests::Cast::SMOL); })*
        }
    };
}

/// Makes each scenario a test of one runtime talking to the other.
macro_rules! between_runtimes {
    ($($scenario:ident),* $(,)?) => {
        mod between {
            $(#[test] fn $scenario() { super::$scenario(&tests::Cast::MIXED); })*
        }
    };
}

mod conversations;
mod endings;
mod hostile;
mod outages;
mod raw;
mod replies;
mod starting;
mod twins;
