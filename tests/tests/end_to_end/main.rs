//! Both runtimes against a network on real sockets. Every scenario runs unchanged over each.

#[macro_use]
extern crate tests;

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
