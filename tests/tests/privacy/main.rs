//! What an observer of the client's link can learn, in virtual time (client 17.5), with broken
//! schedules on which the tests fail.

mod disturbances;
